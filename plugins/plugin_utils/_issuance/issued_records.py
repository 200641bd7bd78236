# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was issued for each request, for issuers that keep no records of their own: a folder of the controller.

Only what an issuer has returned is written here, never what a host shows.
"""

from __future__ import annotations

import datetime
import hashlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import KEY_COMPROMISE
from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass


def key_digest(key: PublicKey) -> str:
    """Return the SHA-256 digest of a public key (SubjectPublicKeyInfo), in hexadecimal digits."""
    return hashlib.sha256(public_bytes(key)).hexdigest()


class IssuedCertificate(t.NamedTuple):
    """A certificate in the records of an issuer. Dates are in ISO 8601."""

    serial_number: str  # lower-case hexadecimal digits
    not_after: str
    issued_at: str
    revoked: str | None  # the reason for its revocation, a key of REVOCATION_REASONS


class ReadableRecords(t.Protocol):
    """The records of an issuer."""

    def issued(self, host: str, request: str) -> list[IssuedCertificate]:
        """Return what was issued for a request of a host, the oldest first; nothing that a host has shown.

        Raises TlsError for records that cannot be read.
        """

    def unreadable(self) -> list[str]:
        """Return a sentence about records that cannot be read, and of which nobody can say for whom they are; empty where there are none."""

    def revoked(self, host: str, request: str) -> dict[str, str]:
        """Return the reasons for what is revoked of a request of a host, by serial number."""

    def revocation(self, serial_number: str) -> str | None:
        """Return the reason for which any certificate of the issuer is revoked, None where it is not."""

    def compromised_keys(self, host: str, request: str) -> t.Collection[str]:
        """Return the digests of keys (key_digest()) that were compromised; those of a request of a host at least."""


class RecordedIssuer:
    """What issuers tell of their records; see ReadableRecords."""

    issued_records: ReadableRecords

    def issued(self, host: str, request: str) -> list[IssuedCertificate]:
        """Return what was issued for a request of a host, the oldest first."""
        return self.issued_records.issued(host, request)

    def unreadable_records(self) -> list[str]:
        """Return a sentence about records that cannot be read, and of which nobody can say for whom they are; empty where there are none."""
        return self.issued_records.unreadable()

    def revoked(self, host: str, request: str) -> dict[str, str]:
        """Return the reasons for what is revoked of a request of a host, by serial number."""
        return self.issued_records.revoked(host, request)

    def revocation(self, serial_number: str) -> str | None:
        """Return the reason for which a certificate is revoked, None where it is not."""
        return self.issued_records.revocation(serial_number)

    def compromised_keys(self, host: str, request: str) -> t.Collection[str]:
        """Return the digests of keys that were compromised; those of a request of a host at least."""
        return self.issued_records.compromised_keys(host, request)


class Record(t.TypedDict):
    """An issued certificate. Dates are in ISO 8601."""

    not_after: str
    issued_at: str
    revoked: str | None  # the reason, once somebody has wanted it to be revoked
    key: str  # the digest of its public key


class IssuedRecords:
    """The records in a folder, one for each host and request; by serial number in hexadecimal digits. Expired certificates are left out."""

    def __init__(self, path: str) -> None:
        self.folder = JsonRecords(path)

    # not a parser: it reads what the collection has made or checked
    def add(self, host: str, request: str, leaf: x509.Certificate) -> None:
        """Record a certificate, unless it is recorded."""
        serial_number, now = f"{leaf.serial_number:x}", utc_now()
        if serial_number in self.read(host, request):
            return
        name = file_name(host, request)
        with self.folder.locked(name):
            kept = {serial: one for serial, one in self.read(host, request).items() if _is_valid(one, now)}
            kept[serial_number] = {
                "not_after": not_after(leaf).isoformat(),
                "issued_at": now.isoformat(),
                "revoked": None,
                "key": key_digest(leaf.public_key()),
            }
            self.folder.write(name, {"host": host, "request": request, "certificates": kept})

    def read(self, host: str, request: str) -> dict[str, Record]:
        """Return the records of a request of a host, by serial number."""
        return self._certificates(file_name(host, request))

    def mark_revoked(self, serial_number: str, reason: str) -> bool:
        """Record that a certificate is not to be used any more; return whether it was recorded and not marked before."""
        is_new = False
        for name in self.folder.names():
            if serial_number in self._certificates(name):
                with self.folder.locked(name):
                    content = self.folder.read(name)
                    one = (content.get("certificates") or {}).get(serial_number)
                    if one and not one.get("revoked"):
                        one["revoked"], is_new = reason, True
                        self.folder.write(name, content)
        return is_new

    def unrecorded_sentence(self, serial_number: str) -> str:
        """Return what follows the advice to have a certificate revoked where there is no record of it; nothing where there is one."""
        if any(serial_number in self._certificates(name) for name in self.folder.names()):
            return ""
        return (
            f". {self.folder.path} has no record of it, since it was issued before records were kept or from another controller, so nothing here "
            "keeps its host from using it again: have a new one made with -e certificate_force=true first"
        )

    def issued(self, host: str, request: str) -> list[IssuedCertificate]:
        """Return what was issued for a request of a host, the oldest first."""
        recorded = self.folder.read_certificates(file_name(host, request), ("not_after", "issued_at"))
        certificates = (
            IssuedCertificate(serial_number, one["not_after"], one["issued_at"], one.get("revoked"))
            for serial_number, one in recorded.items()
        )
        return sorted(certificates, key=lambda one: one.issued_at)

    def unreadable(self) -> list[str]:
        """Return nothing: each record is for one host and request, and issued() raises TlsError for it."""
        return []

    def revoked(self, host: str, request: str) -> dict[str, str]:
        """Return the reasons for what is marked of a request of a host, by serial number."""
        return {serial: one["revoked"] for serial, one in self.read(host, request).items() if one["revoked"]}

    def revocation(self, serial_number: str) -> str | None:
        """Return the reason for which a certificate is marked, None where it is not."""
        found = (self._certificates(name).get(serial_number) for name in self.folder.names())
        return next((one["revoked"] for one in found if one and one["revoked"]), None)

    def compromised_keys(self, host: str, request: str) -> set[str]:
        """Return the digests of the keys of a request of a host that were compromised."""
        return {one["key"] for one in self.read(host, request).values() if one["revoked"] == KEY_COMPROMISE}

    # not a parser: it reads what the collection has made or checked
    def _certificates(self, name: str) -> dict[str, Record]:
        certificates = self.folder.read(name).get("certificates")
        return {
            serial_number: t.cast(Record, one)
            for serial_number, one in (certificates.items() if isinstance(certificates, dict) else ())
            if isinstance(one, dict) and one.keys() >= Record.__required_keys__
        }


def _is_valid(record: Record, now: datetime.datetime) -> bool:
    end = parse_date(record.get("not_after"))
    return end is not None and end > now
