# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a CA wants a certificate renewed (ACME Renewal Information, RFC 9773), and which certificates there are.

For each request of a host a record holds its certificates, each with the window that the CA gave and the instant that was chosen
in it. The instant stays until the window changes, so that all runs and all hosts agree. A CA may only move a renewal to an earlier
time than the lifetime says (module_utils/_certificates/renewal.py): nothing that it answers lets a certificate expire.
"""

from __future__ import annotations

import contextlib
import datetime
import random
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    not_after,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import base64url
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    Problem,
    Unreachable,
    words_of_ca,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import RenewalAdvice
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import State, file_name

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

SOONEST, LATEST = (
    datetime.timedelta(minutes=1),
    datetime.timedelta(days=1),
)  # when a CA is asked again, RFC 9773, section 4.3
UNTOLD = datetime.timedelta(hours=6)
MOST = 10  # certificates of one request that are remembered


class Renewals:
    """What is known of the certificates of all requests."""

    def __init__(self, state: State) -> None:
        self.state = state

    def advice(self, host: str, request: str) -> dict[str, RenewalAdvice]:
        """Return what CAs want of the certificates of a request: by serial number from when on, and the reason in words."""
        found: dict[str, RenewalAdvice] = {}
        for entry in self._entries(host, request).values():
            if entry.get("chosen"):
                found[entry["serial_number"]] = {"at": entry["chosen"], "reason": reason(entry)}
        return found

    def stale(self, host: str, request: str, now: datetime.datetime) -> list[str]:
        """Return the certificates of a request about which a CA is to be asked again."""
        return [
            certificate
            for certificate, entry in self._entries(host, request).items()
            if (parse_date(entry.get("next")) or now) <= now < (parse_date(entry.get("not_after")) or now)
            and not (entry.get("replaced") or entry.get("revoked"))
        ]

    # not a parser: it reads what the collection has made or checked
    def add(self, host: str, request: str, leaf: t.Any, **known: t.Any) -> str | None:
        """Remember a certificate of a request, unless it is known; return its name in renewal information, if it can have one."""
        name = certificate_id(leaf)
        if name is None or (name in self._entries(host, request) and not known):
            return name
        with self._changed(host, request) as entries:
            entries[name] = {
                "serial_number": f"{leaf.serial_number:x}",
                "not_before": not_before(leaf).isoformat(),
                "not_after": not_after(leaf).isoformat(),
                "certificate": to_pem([leaf]).decode(),
                **entries.get(name, {}),
                **known,
            }
        return name

    def replace(self, host: str, request: str, names: t.Iterable[str]) -> None:
        """Write down that certificates have a successor: CAs are not asked about them any more."""
        with self._changed(host, request) as entries:
            for name in names:
                if name in entries:
                    entries[name]["replaced"] = True

    def present(self, host: str, request: str) -> dict[str, dict]:
        """Return the certificates of a request that have no successor, by their name."""
        return {
            name: entry
            for name, entry in self._entries(host, request).items()
            if not (entry.get("replaced") or entry.get("revoked"))
        }

    # not a parser: it reads what the collection has made or checked
    def predecessor(
        self, host: str, request: str, directory: str, domains: list[str], now: datetime.datetime
    ) -> str | None:
        """Return the certificate that a new order replaces: of the same CA, valid still, and for some of the same names."""
        fits = [
            (entry["not_before"], name)
            for name, entry in self.present(host, request).items()
            if entry.get("directory") == directory
            and (parse_date(entry["not_after"]) or now) > now
            and set(domains) & names_of(parse_chain(entry["certificate"].encode())[0])
        ]
        return max(fits)[1] if fits else None

    def ask(self, host: str, request: str, name: str, networks: t.Sequence[t.Any], now: datetime.datetime) -> None:
        """Ask the CA when a certificate is to be renewed, and write that down. Where it cannot say, what it said before stays."""
        entry = self._entries(host, request).get(name)
        if entry is None:
            return
        issuer = entry.get("directory")
        candidates = [network for network in networks if network.url == issuer] if issuer else networks
        failures = 0 if candidates else entry.get("failures", 0) + 1  # nobody to be asked: all are out of reach
        told: dict[str, t.Any] = {"next": (now + (_pause(failures) if failures else UNTOLD)).isoformat()}
        for network in candidates:
            try:
                told = self._asked(entry, name, network, now)
                break
            except (Unreachable, Problem) as error:
                if isinstance(error, Unreachable) or error.status >= 500 or error.code == "rateLimited":
                    failures = entry.get("failures", 0) + 1
                    told = {"next": (now + max(_pause(failures), _seconds(error))).isoformat()}
            except TlsError:  # this one does not know, and somebody else may
                continue
        with self._changed(host, request) as entries:
            if name in entries:
                entries[name].update(told, failures=failures)

    def find(self, serial_number: str) -> tuple[str, str, dict[str, t.Any]] | None:
        """Return host, request and what is known of the certificate with a serial number, or None."""
        for name in self.state.names():
            record = self.state.read(name)
            for entry in (record.get("certificates") or {}).values():
                if entry.get("serial_number") == serial_number:
                    return record["host"], record["request"], entry
        return None

    def revoke(self, host: str, request: str, serial_number: str) -> None:
        """Write down that a certificate is revoked."""
        with self._changed(host, request) as entries:
            for entry in entries.values():
                if entry.get("serial_number") == serial_number:
                    entry["revoked"] = True

    def _asked(self, entry: dict, name: str, network: t.Any, now: datetime.datetime) -> dict[str, t.Any]:
        """Return what the CA says about a certificate, as it is written down."""
        if "renewalInfo" not in network.directory():
            return {"directory": entry.get("directory"), "next": (now + LATEST).isoformat()}
        reply = network.get(
            f"{network.address('renewalInfo').rstrip('/')}/{name}", f"asking {network.url} about a renewal"
        )
        wait = reply.wait()
        again = UNTOLD if wait is None else min(max(datetime.timedelta(seconds=wait), SOONEST), LATEST)
        document = reply.json()
        told: dict[str, t.Any] = {"directory": network.url, "next": (now + again).isoformat()}
        found = window(document, parse_date(entry["not_after"]) or now)
        if found is None:  # as if nothing had been answered
            return told
        start, end = (edge.isoformat() for edge in found)
        if [start, end] != entry.get("window") or not entry.get("chosen"):
            chosen = found[0] + (found[1] - found[0]) * random.SystemRandom().random()  # forks would draw the same
            told.update(window=[start, end], chosen=chosen.replace(microsecond=0).isoformat())
        explanation = document.get("explanationURL")
        told["explanation"] = words_of_ca(explanation) if isinstance(explanation, str) else None
        return told

    def _entries(self, host: str, request: str) -> dict[str, dict[str, t.Any]]:
        entries = self.state.read(file_name(host, request)).get("certificates")
        return entries if isinstance(entries, dict) else {}

    @contextlib.contextmanager
    def _changed(self, host: str, request: str) -> t.Iterator[dict[str, dict[str, t.Any]]]:
        """Give the certificates of a request to be changed, under the lock of their record; those that expired are dropped."""
        name = file_name(host, request)
        with self.state.locked(name):
            entries = self._entries(host, request)
            yield entries
            now = utc_now()
            valid = {one: entry for one, entry in entries.items() if (parse_date(entry.get("not_after")) or now) > now}
            newest = sorted(valid, key=lambda one: valid[one]["not_before"])[-MOST:]
            kept = {one: valid[one] for one in newest}
            self.state.write(name, {"host": host, "request": request, "certificates": kept})


def certificate_id(leaf: t.Any) -> str | None:
    """Return the name of a certificate in renewal information (RFC 9773, section 4.1); None where its issuer gave it no key identifier."""
    try:
        identifier = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
    if identifier is None:
        return None
    serial = leaf.serial_number
    return f"{base64url(identifier)}.{base64url(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def window(document: dict, end_of_life: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime] | None:
    """Return the window that a CA suggests, or None where it makes no sense: without an end after its start, or past the lifetime."""
    said = document.get("suggestedWindow")
    start, end = (parse_date(said.get(edge)) for edge in ("start", "end")) if isinstance(said, dict) else (None, None)
    if start is None or end is None or end <= start or start >= end_of_life:
        return None
    return start, min(end, end_of_life)


def reason(entry: dict[str, t.Any]) -> str:
    """Return why a certificate is to be renewed when the CA says so."""
    host = re.sub("^https?://([^/]*).*", r"\1", entry.get("directory") or "the CA")
    chosen = parse_date(entry.get("chosen"))
    page = f"; see {entry['explanation']}" if entry.get("explanation") else ""
    when = f" from {format_date(chosen)} on" if chosen else ""
    return f"{host} wants it renewed{when}{page}"


def _pause(failures: int) -> datetime.timedelta:
    """Return when to ask again after so many failures in a row."""
    return min(SOONEST * 2 ** min(failures - 1, 10), UNTOLD)


def _seconds(error: t.Any) -> datetime.timedelta:
    wait = getattr(error, "wait", None)
    return min(datetime.timedelta(seconds=wait or 0), LATEST)
