# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ACME Renewal Information (RFC 9773): when CAs want certificates renewed.

Each request of a host has a record with its certificates. Each certificate has the window that the CA suggested, and a time in it. The time
is a hash of the certificate and the window, so that all runs, hosts and controllers agree. A CA can only move a renewal to an earlier time
than the lifetime says (module_utils/_certificates/renewal.py): nothing that it sends lets a certificate expire.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    not_after,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import (
    KEY_COMPROMISE,
    why_ca_wants_renewal,
)
from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import RenewalAdvice
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import (
    IssuedCertificate,
    key_digest,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import base64url
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import OrderKind
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.first_renewals import earliest_advice
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    Problem,
    Unreachable,
    error_code,
    is_server_failure,
    words_of_ca,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_window import renewal_instant, window
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import RenewalInfoObject
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import (
    JsonRecords,
    date_to_wait_for,
    file_name,
)

if t.TYPE_CHECKING:  # it needs the libraries of ACME, which a survey does not load
    from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.client import Client

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MIN_INTERVAL, MAX_INTERVAL = datetime.timedelta(minutes=1), datetime.timedelta(days=1)  # RFC 9773, section 4.3
DEFAULT_INTERVAL = datetime.timedelta(hours=6)
MAX_CERTIFICATES = 10  # of one request, in its record


class CertificateRecord(t.TypedDict, total=False):
    """What is recorded of a certificate. Dates are in ISO 8601."""

    serial_number: str  # hexadecimal
    not_before: str
    not_after: str
    certificate: str  # PEM
    directory: str | None  # the URL of the CA's directory, once it is known
    issued: bool  # to this controller; else it was seen on a host, which may show what is not its own
    replaced: bool
    revoked: bool
    reason: str  # for its revocation
    next: str  # when to ask the CA again
    failures: int  # in a row, of asking the CA
    window: list[str]  # start and end, as the CA suggested
    chosen: str  # renewal_instant() of the window
    explanation: str | None  # the page of the CA about the window


Spread = t.Callable[[str, str, CertificateRecord], "RenewalAdvice | None"]
OPTIONAL_TEXTS = ("directory", "reason", "next", "chosen", "explanation")  # of a CertificateRecord
REQUIRED_KEYS = ("serial_number", "not_before", "not_after", "certificate")  # of a CertificateRecord


class RenewalRecords:
    """The records of all requests."""

    def __init__(self, folder: JsonRecords) -> None:
        self.folder = folder

    def advice(self, host: str, request: str, spread: Spread | None = None) -> dict[str, RenewalAdvice]:
        """Return from when on CAs want the certificates of a request renewed, by serial number.

        spread: returns an earlier date for the first certificate of a request. Where the CA wants it still earlier, that holds.
        """
        advice: dict[str, RenewalAdvice] = {}
        for record in self._records(host, request).values():
            earliest = earliest_advice(advice_of_ca(record), spread(host, request, record) if spread else None)
            if earliest:
                advice[record["serial_number"]] = earliest
        return advice

    def has_issued(self, host: str, request: str) -> bool:
        """Say whether a certificate that is recorded was issued to this controller for a request of a host."""
        return any(is_issued_here(record) for record in self._records(host, request).values())

    def stale(self, host: str, request: str, now: datetime.datetime) -> list[str]:
        """Return the IDs of the certificates of a request about which a CA has to be asked again."""
        return [
            certificate
            for certificate, record in self._records(host, request).items()
            if date_to_wait_for(record.get("next"), MAX_INTERVAL, now) is None
            and now < (parse_date(record.get("not_after")) or now)
            and not (record.get("replaced") or record.get("revoked"))
        ]

    # not a parser: it reads what the collection has made or checked
    def add(
        self, host: str, request: str, leaf: x509.Certificate, known: CertificateRecord | None = None
    ) -> str | None:
        """Record a certificate, with what is *known* of it; return its ID, if it can have one."""
        name = certificate_id(leaf)
        if name is None or (name in self._records(host, request) and not known):
            return name
        with self._edit(host, request) as records:
            record: CertificateRecord = {
                "serial_number": f"{leaf.serial_number:x}",
                "not_before": not_before(leaf).isoformat(),
                "not_after": not_after(leaf).isoformat(),
                "certificate": to_pem([leaf]).decode(),
            }
            record.update(records.get(name, {}))
            record.update(known or {})
            records[name] = record
        return name

    def mark_replaced(self, host: str, request: str, names: t.Iterable[str]) -> None:
        """Record that certificates, by ID, have a successor. CAs are not asked about them any more."""
        with self._edit(host, request) as records:
            for name in names:
                if name in records:
                    records[name]["replaced"] = True

    def current(self, host: str, request: str) -> dict[str, CertificateRecord]:
        """Return the certificates of a request that are neither replaced nor revoked, by ID."""
        return {
            name: record
            for name, record in self._records(host, request).items()
            if not (record.get("replaced") or record.get("revoked"))
        }

    # not a parser: it reads what the collection has made or checked
    def predecessor(
        self, host: str, request: str, directory_url: str, domains: list[str], now: datetime.datetime
    ) -> str | None:
        """Return the ID of the certificate that a new order replaces.

        It is from the same CA, valid, and has one of the domains.
        """
        candidates = [
            (record["not_before"], name)
            for name, record in self.current(host, request).items()
            if record.get("directory") == directory_url
            and (parse_date(record["not_after"]) or now) > now
            and set(domains) & names_of(parse_chain(record["certificate"].encode())[0])
        ]
        return max(candidates)[1] if candidates else None

    # not a parser: it reads what the collection has made or checked
    def kind_of_order(
        self, host: str, request: str, replaces: str | None, domains: list[str], now: datetime.datetime
    ) -> OrderKind:
        """Return what an order is for the limits of its CA. replaces: the ID of the certificate that predecessor() returned."""
        record = self._records(host, request).get(replaces or "")
        if record is None:
            ends = [parse_date(one["not_after"]) for one in self.current(host, request).values()]
            return OrderKind(has_expired=any(end is not None and end <= now for end in ends))
        edges = [edge for edge in map(parse_date, record.get("window") or []) if edge]
        is_in_window = len(edges) == 2 and edges[0] <= now < edges[1]
        return OrderKind(names_of(parse_chain(record["certificate"].encode())[0]) == set(domains), is_in_window)

    def kind_of_next_order(
        self, host: str, request: str, directory_url: str, domains: list[str], now: datetime.datetime
    ) -> OrderKind:
        """Return what an order that is placed now is for the limits of its CA."""
        replaces = self.predecessor(host, request, directory_url, domains, now)
        return self.kind_of_order(host, request, replaces, domains, now)

    def update(self, host: str, request: str, name: str, clients: t.Sequence[Client], now: datetime.datetime) -> None:
        """Ask the CA about a certificate, by ID, and record what it says.

        What it said before stays if it cannot be asked.

        The CA of a certificate may be unknown; then all *clients* are asked in turn.
        """
        record = self._records(host, request).get(name)
        if record is None:
            return
        directory_url = record.get("directory")
        candidates = [client for client in clients if client.url == directory_url] if directory_url else clients
        failures = 0 if candidates else record.get("failures", 0) + 1  # there are none while all are unreachable
        changes: CertificateRecord = {
            "next": (now + (_interval_after(failures) if failures else DEFAULT_INTERVAL)).isoformat()
        }
        for client in candidates:
            try:
                changes = self._query(record, name, client, now)
                break
            except (Unreachable, Problem) as error:
                if is_server_failure(error) or error_code(error) == "rateLimited":
                    failures = record.get("failures", 0) + 1
                    changes = {"next": (now + max(_interval_after(failures), _retry_after(error))).isoformat()}
            except TlsError:  # this CA has no information, and another may have
                continue
        with self._edit(host, request) as records:
            if name in records:
                records[name].update(changes)
                records[name]["failures"] = failures

    def find(self, serial_number: str) -> tuple[str, str, CertificateRecord] | None:
        """Return host, request and record of the certificate with a serial number, or None."""
        for host, request in self._holders(serial_number):
            for record in self._records(host, request).values():
                if record.get("serial_number") == serial_number:
                    return host, request, record
        return None

    def mark_revoked(self, serial_number: str, reason: str) -> None:
        """Record that a certificate is revoked, wherever it is recorded."""
        for host, request in self._holders(serial_number):
            with self._edit(host, request) as records:
                for record in records.values():
                    if record.get("serial_number") == serial_number:
                        record["revoked"], record["reason"] = True, reason

    def issued(self, host: str, request: str) -> list[IssuedCertificate]:
        """Return what was issued to this controller for a request of a host, the oldest first; nothing that was only seen there."""
        recorded = self.folder.read_certificates(file_name(host, request), REQUIRED_KEYS)
        certificates = (
            IssuedCertificate(one["serial_number"], one["not_after"], one["not_before"], _revocation(one))
            for one in t.cast("dict[str, CertificateRecord]", recorded).values()
            if is_issued_here(one)
        )
        return sorted(certificates, key=lambda one: one.issued_at)

    def unreadable(self) -> list[str]:
        """Return nothing: each record is for one host and request, and issued() raises TlsError for it."""
        return []

    def revoked(self, host: str, request: str) -> dict[str, str]:
        """Return the reasons for what is revoked of a request of a host, by serial number."""
        reasons = {one["serial_number"]: _revocation(one) for one in self._records(host, request).values()}
        return {serial_number: reason for serial_number, reason in reasons.items() if reason}

    # not a parser: it reads what the collection has made or checked
    def compromised_keys(self, host: str, request: str) -> set[str]:
        """Return the digests of the keys of a request of a host that were compromised."""
        certificates = [
            parse_chain(one["certificate"].encode())[0]
            for one in self._records(host, request).values()
            if _revocation(one) == KEY_COMPROMISE
        ]
        return {key_digest(leaf.public_key()) for leaf in certificates}

    def revocation(self, serial_number: str) -> str | None:
        """Return the reason for which a certificate is revoked, None where it is not."""
        found = self.find(serial_number)
        return _revocation(found[2]) if found else None

    def _holders(self, serial_number: str) -> list[tuple[str, str]]:
        """Return the hosts and requests for which a certificate is recorded, those to which it was issued first."""
        found = []
        for name in self.folder.names():
            content = self.folder.read(name)
            host, request = (content.get(key) for key in ("host", "request"))
            if isinstance(host, str) and isinstance(request, str) and file_name(host, request) == name:
                for record in self._records(host, request).values():
                    if record["serial_number"] == serial_number:
                        found.append((not is_issued_here(record), host, request))
        return [(host, request) for _is_foreign, host, request in sorted(found)]

    def _query(self, record: CertificateRecord, name: str, client: Client, now: datetime.datetime) -> CertificateRecord:
        """Return what changes in a record by the renewal information of its CA."""
        if "renewalInfo" not in client.directory():
            return {"directory": record.get("directory"), "next": (now + MAX_INTERVAL).isoformat()}
        response = client.get(
            f"{client.resource_url('renewalInfo').rstrip('/')}/{name}", f"asking {client.url} about a renewal"
        )
        seconds = response.retry_after()
        interval = (
            DEFAULT_INTERVAL
            if seconds is None
            else min(max(datetime.timedelta(seconds=seconds), MIN_INTERVAL), MAX_INTERVAL)
        )
        renewal_info = t.cast(RenewalInfoObject, response.json())
        changes: CertificateRecord = {"directory": client.url, "next": (now + interval).isoformat()}
        suggested = window(renewal_info, parse_date(record["not_after"]) or now)
        if suggested is None:  # as if the CA had no information
            return changes
        start, end = suggested
        changes["window"] = [start.isoformat(), end.isoformat()]
        changes["chosen"] = renewal_instant(name, start, end).isoformat()
        page = renewal_info.get("explanationURL")
        changes["explanation"] = words_of_ca(page) if isinstance(page, str) else None
        return changes

    def _records(self, host: str, request: str) -> dict[str, CertificateRecord]:
        records = self.folder.read(file_name(host, request)).get("certificates")
        return {
            name: t.cast(CertificateRecord, _without_odd_values(one))
            for name, one in (records.items() if isinstance(records, dict) else ())
            if isinstance(one, dict) and all(isinstance(one.get(key), str) for key in REQUIRED_KEYS)
        }

    @contextlib.contextmanager
    def _edit(self, host: str, request: str) -> t.Iterator[dict[str, CertificateRecord]]:
        """Yield the certificates of a request to be changed, under a lock. Expired ones are removed."""
        name = file_name(host, request)
        with self.folder.locked(name):
            records = self._records(host, request)
            yield records
            now = utc_now()
            valid = {
                one: record for one, record in records.items() if (parse_date(record.get("not_after")) or now) > now
            }
            newest = sorted(valid, key=lambda one: valid[one]["not_before"])[-MAX_CERTIFICATES:]
            certificates = {one: valid[one] for one in newest}
            self.folder.write(name, {"host": host, "request": request, "certificates": certificates})


def _without_odd_values(record: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a record without values of another type, which somebody else has written."""
    kinds = {**dict.fromkeys(OPTIONAL_TEXTS, str), "failures": int, "window": list}
    return {key: value for key, value in record.items() if key not in kinds or isinstance(value, kinds[key])}


def advice_of_ca(record: CertificateRecord) -> RenewalAdvice | None:
    """Return when the CA of a certificate wants it renewed, None where it does not say."""
    return {"at": record["chosen"], "reason": renewal_reason(record)} if record.get("chosen") else None


def is_issued_here(record: CertificateRecord) -> bool:
    """Say whether a certificate was issued to this controller. Older records have no word of that, but of what is not replaced yet."""
    return bool(record.get("issued") or record.get("replaced") is False)


def _revocation(record: CertificateRecord) -> str | None:
    return record.get("reason", "unspecified") if record.get("revoked") else None


def certificate_id(leaf: x509.Certificate) -> str | None:
    """Return the ID of a certificate (RFC 9773, section 4.1).

    None if it has no authority key identifier.
    """
    try:
        identifier = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
    if identifier is None:
        return None
    serial = leaf.serial_number
    return f"{base64url(identifier)}.{base64url(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def renewal_reason(record: CertificateRecord) -> str:
    """Return why a certificate is to be renewed, from what is recorded of the CA's answer."""
    server = re.sub("^https?://([^/]*).*", r"\1", record.get("directory") or "the CA")
    return why_ca_wants_renewal(server, parse_date(record.get("chosen")), record.get("explanation"))


def _interval_after(failures: int) -> datetime.timedelta:
    """Return when to ask again after so many failures in a row."""
    return min(MIN_INTERVAL * 2 ** min(failures - 1, 10), DEFAULT_INTERVAL)


def _retry_after(error: TlsError) -> datetime.timedelta:
    seconds = error.retry_after if isinstance(error, Problem) else None
    return min(datetime.timedelta(seconds=seconds or 0), MAX_INTERVAL)
