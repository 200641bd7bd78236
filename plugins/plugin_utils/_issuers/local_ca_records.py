# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of a private CA: one JSON file in C(issued) for each certificate, with its revocation."""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import KEY_COMPROMISE
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import (
    IssuedCertificate,
    key_digest,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.revocation_reasons import REVOCATION_REASONS
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca_certificates import (
    RevokedCertificate,
    crl_entry,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import (
    MALFORMED_INPUT_ERRORS,
    reject_malformed_input,
)

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes as CaPublicKey

SERIAL = re.compile(r"[0-9a-f]{1,64}")


class IssuedRecord(t.TypedDict):
    """The record of an issued certificate. Dates are in ISO 8601."""

    serial_number: str  # lower-case hexadecimal digits
    host: str
    request: str  # its name
    names: list[str]
    not_after: str
    issued_at: str
    revoked_at: str | None
    reason: str | None  # a key of REVOCATION_REASONS
    certificate: str  # PEM


def load_record(path: str) -> IssuedRecord | None:
    """Return the record of a certificate, or None. Raises TlsError when it is malformed."""
    content = read_file(path)
    if content is None:
        return None
    with reject_malformed_input(f"{path} is no record of a certificate; restore it from a backup"):
        record: IssuedRecord = json.loads(content)
        parse_chain(record["certificate"].encode())
        for date in (record["issued_at"], record["not_after"]):
            _check_date(date)
        if not SERIAL.fullmatch(record["serial_number"]) or not (
            isinstance(record["request"], str) and record["names"]
        ):
            raise ValueError(record["serial_number"])
        if record["revoked_at"] is not None:
            _check_date(record["revoked_at"])
            crl_entry(revoked_certificate(record))
    return record


def _check_date(text: str) -> None:
    """Raise ValueError unless a date in ISO 8601 has a time zone."""
    if datetime.datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(text)


def revoked_certificate(record: IssuedRecord) -> RevokedCertificate:
    """Return the entry of a record for the revocation list. Raises ValueError when it is not revoked."""
    if record["revoked_at"] is None or record["reason"] is None:
        raise ValueError(record["serial_number"])
    revoked_at = datetime.datetime.fromisoformat(record["revoked_at"])
    return RevokedCertificate(int(record["serial_number"], 16), revoked_at, record["reason"])


def record_json(record: IssuedRecord) -> bytes:
    return json.dumps(record, indent=2).encode() + b"\n"


def was_used(directory: str, names: t.Iterable[str]) -> bool:
    """Say whether a private CA has issued certificates, or files of it are links.

    Then a folder without root.pem is not that of a run that was killed. names: of the files of the CA.
    """
    is_linked = any(os.path.islink(os.path.join(directory, name)) for name in names)
    return is_linked or bool(_names(os.path.join(directory, "issued")))


class SelectedRecords(t.NamedTuple):
    """What the records of a private CA say for its next revocation list."""

    revoked: list[RevokedCertificate]  # those that have not expired
    outdated: list[str]  # paths of records that are not needed any more
    unreadable: list[str]  # paths


def select_records(
    folder: str, crl_path: str, issuing: x509.Certificate, now: datetime.datetime, kept_since: datetime.datetime
) -> SelectedRecords:
    """Return what the next revocation list is made of. What the present one says stays where a record is lost or cannot be read.

    kept_since: records of certificates that expired before are outdated.
    """
    selected, known = SelectedRecords([], [], []), set()
    for path in [os.path.join(folder, name) for name in sorted(_names(folder))]:
        record = None
        with contextlib.suppress(TlsError, OSError):
            record = load_record(path)
        if record is None:
            selected.unreadable.append(path)
            continue
        known.add(int(record["serial_number"], 16))
        end = datetime.datetime.fromisoformat(record["not_after"])
        if record["revoked_at"] and end > now:
            selected.revoked.append(revoked_certificate(record))
        elif end < kept_since:
            selected.outdated.append(path)
    listed = _listed(crl_path, issuing) or ()
    selected.revoked.extend(_listed_certificate(one) for one in listed if one.serial_number not in known)
    return selected


# not a parser: it reads what the collection has made or checked
def _listed_certificate(entry: x509.RevokedCertificate) -> RevokedCertificate:
    """Return an entry of a revocation list of this CA as the next one has it."""
    reason = "unspecified"
    with contextlib.suppress(x509.ExtensionNotFound, ValueError):
        flag = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        reason = next((key for key, one in REVOCATION_REASONS.items() if one.name == flag.value), reason)
    return RevokedCertificate(entry.serial_number, entry.revocation_date_utc, reason)


class Revocations(t.NamedTuple):
    """What a private CA has revoked: the reasons by serial number, of all, and of each host and request."""

    reasons: dict[str, str]
    by_request: dict[tuple[str, str], dict[str, str]]
    compromised_keys: set[str]  # digests


class LocalCaRecords:
    """The records of a private CA, as they are asked for. crl_path: its revocation list, which says what has to be read."""

    def __init__(self, folder: str, crl_path: str) -> None:
        self.folder, self.crl_path = folder, crl_path

    def issued(self, host: str, request: str) -> list[IssuedCertificate]:
        """Return what was issued for a request of a host, the oldest first."""
        owners = _owners(self.folder)
        own = [name for name, owner in owners.items() if owner == (host, request)]
        certificates = (
            IssuedCertificate(one["serial_number"], one["not_after"], one["issued_at"], one["reason"])
            for one in _records(self.folder, own)
        )
        return sorted(certificates, key=lambda one: one.issued_at)

    def unreadable(self) -> list[str]:
        """Return a sentence about files that are no records of certificates; empty where there are none."""
        names = sorted(set(_names(self.folder)) - _owners(self.folder).keys())
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        path = os.path.join(self.folder, names[0]) if names else ""
        return [f"{path}{more} cannot be read; restore it from a backup"] if names else []

    def revoked(self, host: str, request: str) -> dict[str, str]:
        """Return the reasons for what is revoked of a request of a host, by serial number."""
        return self._revocations().by_request.get((host, request), {})

    def revocation(self, serial_number: str) -> str | None:
        """Return the reason for which a certificate is revoked, None where it is not."""
        return self._revocations().reasons.get(serial_number)

    def compromised_keys(self, host: str, request: str) -> set[str]:
        """Return the digests of all keys that were compromised, whose ever they were."""
        return self._revocations().compromised_keys

    def _revocations(self) -> Revocations:
        """Return what is revoked. It is read again when the revocation list was written."""
        try:
            changed = os.stat(self.crl_path).st_mtime_ns
        except OSError:  # the records have all of it
            return _read_revocations.__wrapped__(self.folder, self.crl_path, 0)
        return _read_revocations(self.folder, self.crl_path, changed)


# not a parser: it reads what the collection has made or checked
@functools.lru_cache(maxsize=8)
def _read_revocations(folder: str, crl_path: str, _changed: int) -> Revocations:
    found = Revocations({}, {}, set())
    listed = listed_serials(crl_path)
    names = _names(folder) if listed is None else [f"{serial}.json" for serial in listed]
    for record in _records(folder, names):
        if record["revoked_at"] and record["reason"]:
            found.reasons[record["serial_number"]] = record["reason"]
            if record["reason"] == KEY_COMPROMISE:
                with contextlib.suppress(TlsError):
                    found.compromised_keys.add(key_digest(parse_chain(record["certificate"].encode())[0].public_key()))
            found.by_request.setdefault((record["host"], record["request"]), {})[record["serial_number"]] = record[
                "reason"
            ]
    return found


# not a parser: it reads what the collection has made or checked
def listed_serials(crl_path: str) -> list[str] | None:
    """Return the serial numbers on a revocation list, None where it cannot be read."""
    listed = _listed(crl_path)
    return None if listed is None else [f"{one.serial_number:x}" for one in listed]


def _listed(crl_path: str, issuing: x509.Certificate | None = None) -> list[x509.RevokedCertificate] | None:
    """Return the entries of a revocation list, None where it cannot be read or is not of the issuing CA."""
    try:
        crl = x509.load_pem_x509_crl(read_file(crl_path) or b"")
        is_own = issuing is None or crl.is_signature_valid(t.cast("CaPublicKey", issuing.public_key()))
        return list(crl) if is_own else None
    except (ValueError, TypeError, UnsupportedAlgorithm, OSError, TlsError):
        return None


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith(".")]
    except OSError:
        return []


# For whom certificates were issued (host, request), by the names of their records and by folder. A record says the same for ever.
_OWNERS: dict[str, dict[str, tuple[str, str]]] = {}


# not a parser: it reads what the collection has made or checked
def _owners(folder: str) -> dict[str, tuple[str, str]]:
    """Return for whom the certificates of a folder were issued, by the names of their records. Each record is read once in a process."""
    names, known = _names(folder), _OWNERS.setdefault(folder, {})
    for name in [name for name in names if name not in known]:
        for record in _records(folder, [name]):
            known[name] = (record["host"], record["request"])
    return {name: known[name] for name in names if name in known}


# not a parser: it reads what the collection has made or checked
def _records(folder: str, names: t.Iterable[str]) -> t.Iterator[IssuedRecord]:
    """Yield the records that can be read; what is wrong with another is said where that one is needed."""
    for name in names:
        with contextlib.suppress(*MALFORMED_INPUT_ERRORS, OSError):
            record = json.loads(read_file(os.path.join(folder, name)) or b"")
            if isinstance(record, dict) and record.keys() >= IssuedRecord.__required_keys__:
                yield t.cast(IssuedRecord, record)
