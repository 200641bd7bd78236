# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The issuer C(type: local_ca): a private CA in a folder of the controller, with a root and an issuing CA below it.

pki/
├── root.pem  root.key           the root; clients trust root.pem
├── issuing.pem  issuing.key     the issuing CA, which signs for servers
├── issued/SERIAL.json           a record of every certificate, with its revocation
├── answers/                     the cache of issued chains (IssuedCache)
├── crl.pem                      the revocation list
└── lock
"""

from __future__ import annotations

import contextlib
import datetime
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    fingerprint,
    not_after,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import is_signed_by, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import subject_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import open_key, public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    create_file,
    locked,
    read_file,
    replace_file,
    sync_folder,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import absolute_folder
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import NO_CROSS_SIGNING
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import RecordedIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import IssueRequest
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca_certificates import (
    ca_name,
    certificate_subject,
    checked_ca_name,
    is_crl_fresh,
    lifetime_warnings,
    sign_ca_certificate,
    sign_crl,
    sign_server_certificate,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca_records import (
    IssuedRecord,
    LocalCaRecords,
    listed_serials,
    load_record,
    record_json,
    select_records,
    was_used,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.obstacles import NameChecks
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.private_authority import (
    absence_sentence,
    authority_key_identifier,
    check_root_setting,
    is_named_after,
    read_root_pin,
    subject_key_identifier,
)

try:
    from cryptography import x509
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as SigningKey
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

ROOT_LIFETIME = datetime.timedelta(days=20 * 365)
ISSUING_LIFETIME = datetime.timedelta(days=10 * 365)
RECORDS_KEPT = datetime.timedelta(days=30)  # of certificates that expired

# In the order in which they are made: a folder with root.pem is complete. A folder without it has never signed anything.
FILES = ("root.key", "issuing.key", "issuing.pem", "root.pem")


class LocalCa(NameChecks, RecordedIssuer):
    """The issuer C(type: local_ca)."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        "directory": {"type": "path", "default": "~/.evergreen/ca"},
        "name": {"type": "str", "default": "Evergreen"},
        "lifetime": {"type": "str", "default": "90d"},
        "passphrase": {"type": "str", "no_log": True},
        "crl_url": {"type": "str"},
        "root": {"type": "str"},
    }
    DEFAULTS: t.ClassVar[dict[str, t.Any]] = {}

    def __init__(
        self,
        directory: str,
        name: str,
        lifetime: str,
        passphrase: str | None,
        crl_url: str | None,
        root: str | None = None,
    ) -> None:
        self.directory = absolute_folder("directory", directory)
        self.name = checked_ca_name(name)
        self.lifetime = parse_duration(lifetime)
        self.passphrase = passphrase.encode() if passphrase else None
        self.crl_url = crl_url
        self.root = check_root_setting(root)
        self.issuer = "local"  # its name in certificate_issuers; set by open_issuer()
        self.why_not_make: t.Callable[[], str | None] = lambda: None  # asked under the lock before a CA is made
        self.cache_directory = self._path("answers")
        self.issued_records = LocalCaRecords(self._path("issued"), self._path("crl.pem"))
        self.cross_signing = NO_CROSS_SIGNING
        self.is_public, self.may_add_subject, self.certificate_files = False, False, dict[str, str]()
        self.remarks: list[str] = []

    @staticmethod
    def settings_of_name(name: str) -> dict[str, t.Any]:
        """Return no settings."""
        return {}

    def roots(self) -> bytes | None:
        """Return the root in PEM; None while the CA is not made. Raises TlsError where the inventory pins another one."""
        pin = read_root_pin(self.root)
        if pin and pin.pem:
            return pin.pem
        if not self._has("root.pem"):
            return None
        if pin:
            self._check_presence()
        return to_pem([self._load_certificate("root.pem")])

    def absence(self) -> str | None:
        """Return what is wrong with the CA on this controller, after the words C(the issuer NAME); None where it is there.

        It is missing, or another one than the inventory pins.
        """
        pin = read_root_pin(self.root)
        if not self._has("root.pem"):
            return f"has no CA in {self.directory} on this controller"
        if pin and pin.fingerprint is None:
            return f"has no root in {pin.path} on this controller"
        found = fingerprint(self._load_certificate("root.pem")) if pin else None
        if pin and found != pin.fingerprint:
            return f"has a CA in {self.directory} on this controller with the root sha256:{found}, and its root is set to sha256:{pin.fingerprint}"
        return None

    def key_identifiers(self) -> set[bytes]:
        """Return the identifiers of the keys with which the CA on this controller signs; none while it is not made."""
        names = [name for name in ("root.pem", "issuing.pem") if self._has(name)]
        return {subject_key_identifier(self._load_certificate(name)) for name in names}

    def is_of_another(self, certificate: x509.Certificate) -> bool:
        """Return whether a certificate is of a CA of this name, and not of the one on this controller."""
        return is_named_after(certificate, self.name) and (
            authority_key_identifier(certificate) not in self.key_identifiers()
        )

    def root_name(self) -> str:
        """Return what the root in the folder is called."""
        return subject_name(self._load_certificate("root.pem"))

    def make(self) -> None:
        """Make the CA where there is none. Raises TlsError where it may not be made."""
        with self._opened():
            pass

    def maintain(self) -> None:
        """Renew the revocation list of the CA, and drop old records, where half of the lifetime of the list is over."""
        if self._has("root.pem") and not self._is_crl_fresh(self._load_certificate("issuing.pem")):
            with self._opened() as (key, issuing):
                self._refresh_crl(key, issuing)

    def terms(self, request: Request) -> dict[str, t.Any]:
        """Return what decides on a certificate beside the CSR."""
        return {
            "names": request["domains"],
            "subject": certificate_subject(request).rfc4514_string(),
            "lifetime": self._lifetime(request).total_seconds(),
            "crl_url": self.crl_url,
        }

    def issue(self, request: IssueRequest, csr: bytes, host: str) -> bytes:
        """Return a certificate for the names of the request, with the issuing CA, in PEM.

        Only the public key of the CSR is used. Raises TlsError when the CA is damaged, or expires before the certificate would.
        """
        lifetime = self._lifetime(request)
        now = utc_now()
        with self._opened() as (key, issuing):
            if now + lifetime > not_after(issuing):
                raise TlsError(
                    f"the CA in {self.directory} expires on {not_after(issuing):%Y-%m-%d}, before a certificate of {lifetime.days} "
                    "days would; ask for a shorter lifetime, or move the folder away and run evergreen.tls.deploy with -e certificate_new_authority=true"
                )
            public_key = load_csr(csr).public_key()
            certificate = sign_server_certificate(request, public_key, issuing, key, now, lifetime, self.crl_url)
            self.remarks += lifetime_warnings(certificate, request["name"])
            self._refresh_crl(key, issuing)
        return to_pem([certificate, issuing])

    def record(self, request: Request, chain: list[x509.Certificate], host: str) -> None:
        """Write the record of an issued certificate, unless there is one."""
        serial_number = f"{chain[0].serial_number:x}"
        path = self._path("issued", f"{serial_number}.json")
        if os.path.exists(path):
            return
        record: IssuedRecord = {
            "serial_number": serial_number,
            "host": host,
            "request": request["name"],
            "names": request["domains"],
            "not_after": not_after(chain[0]).isoformat(),
            "issued_at": utc_now().isoformat(),
            "revoked_at": None,
            "reason": None,
            "certificate": to_pem(chain[:1]).decode(),
        }
        replace_file(path, record_json(record))

    def revoke(self, serial_number: str, reason: str, pretend: bool = False) -> bool:
        """Put a certificate on the revocation list; return whether it was not on it.

        With *pretend*, nothing is changed. Raises TlsError for a serial number without a record.
        """
        if not self._has("root.pem"):
            raise TlsError(f"there is no CA in {self.directory}; correct the directory of the issuer")
        with self._opened() as (key, issuing):
            path = self._path("issued", f"{serial_number}.json")
            record = load_record(path)
            if record is None:
                raise TlsError(
                    f"{self.directory} has issued no certificate with the serial number {serial_number}; see {self._path('issued')}"
                )
            if record["revoked_at"]:
                if not pretend and serial_number not in (listed_serials(self._path("crl.pem")) or ()):
                    self._write_crl(key, issuing)  # a run was killed before it had
                return False
            if pretend:
                return True
            revoked: IssuedRecord = {**record, "revoked_at": utc_now().isoformat(), "reason": reason}
            replace_file(path, record_json(revoked))
            self._write_crl(key, issuing)
        return True

    @contextlib.contextmanager
    def _opened(self) -> t.Iterator[tuple[SigningKey, x509.Certificate]]:
        """Hold the lock of the CA, make it where there is none, and yield its issuing key and certificate.

        Raises TlsError when files are missing, malformed, or do not belong together.
        """
        if self.root:
            self._check_presence()
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        with locked(self._path("lock")):
            present = {name for name in FILES if self._has(name)}
            if "root.pem" not in present and not was_used(self.directory, FILES):
                refusal = self.why_not_make()
                if refusal:
                    raise TlsError(refusal)
                self._make(present)
            elif missing := [name for name in FILES if name not in present]:
                raise TlsError(
                    f"the CA in {self.directory} lacks {', '.join(missing)}; restore it from a backup, or move the folder away "
                    "and run evergreen.tls.deploy with -e certificate_new_authority=true"
                )
            root = self._load_certificate("root.pem")
            key, issuing = self._load_key("issuing.key"), self._load_certificate("issuing.pem")
            if public_bytes(key.public_key()) != public_bytes(issuing.public_key()):
                raise TlsError(
                    f"{self._path('issuing.key')} does not belong to {self._path('issuing.pem')}; restore both from a backup"
                )
            if not is_signed_by(issuing, root):
                raise TlsError(
                    f"{self._path('root.pem')} has not signed {self._path('issuing.pem')}; restore both from a backup"
                )
            yield key, issuing

    def _check_presence(self) -> None:
        """Raise TlsError unless the CA is there, and is the one that the inventory pins."""
        absence = self.absence()
        if absence:
            raise TlsError(absence_sentence(self.issuer, absence, bool(self.root)))

    def _make(self, leftovers: set[str]) -> None:
        """Make root and issuing CA.

        leftovers: files of a run that was killed before it had signed anything.
        """
        for name in leftovers:
            os.unlink(self._path(name))
        os.makedirs(self._path("issued"), mode=0o700, exist_ok=True)
        now = utc_now()
        root_key, issuing_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root_name = ca_name(self.name, "Root CA", now, root_key.public_key())
        issuing_name = ca_name(self.name, "Issuing CA", now, issuing_key.public_key())
        root = sign_ca_certificate(
            root_name, root_key.public_key(), root_name, root_key, now, ROOT_LIFETIME, path_length=1
        )
        issuing = sign_ca_certificate(
            issuing_name, issuing_key.public_key(), root_name, root_key, now, ISSUING_LIFETIME, path_length=0
        )
        for name, content in (
            ("root.key", self._key_pem(root_key)),
            ("issuing.key", self._key_pem(issuing_key)),
            ("issuing.pem", to_pem([issuing])),
        ):
            create_file(self._path(name), content, mode=0o600 if name.endswith(".key") else 0o644)
        sync_folder(self.directory)
        self._write_crl(issuing_key, issuing)
        replace_file(self._path("root.pem"), to_pem([root]))
        self.remarks.append(
            f"a private CA is made in {self.directory} for the issuer {self.issuer}; back it up, and pin it in certificate_issuers, so that no "
            f"other controller makes another one: root: sha256:{fingerprint(root)}"
        )

    def _lifetime(self, request: Request) -> datetime.timedelta:
        lifetime = request.get("lifetime")
        return parse_duration(lifetime) if lifetime else self.lifetime

    def _refresh_crl(self, key: SigningKey, issuing: x509.Certificate) -> None:
        """Write a new revocation list when half of the lifetime of the present one is over.

        A list that is missing or malformed is written again as well.
        """
        if not self._is_crl_fresh(issuing):
            self._write_crl(key, issuing)

    def _is_crl_fresh(self, issuing: x509.Certificate) -> bool:
        return is_crl_fresh(read_file(self._path("crl.pem")) or b"", issuing, utc_now())

    def _write_crl(self, key: SigningKey, issuing: x509.Certificate) -> None:
        """Write the revocation list from the records. Expired certificates are left out, and their records are removed after a while."""
        now = utc_now()
        selected = select_records(self._path("issued"), self._path("crl.pem"), issuing, now, now - RECORDS_KEPT)
        self.remarks += [
            f"{path} is no record of a certificate; restore it from a backup" for path in selected.unreadable
        ]
        crl = sign_crl(selected.revoked, issuing, key, now)
        replace_file(self._path("crl.pem"), crl.public_bytes(serialization.Encoding.PEM))
        for path in selected.outdated:
            os.unlink(path)

    def _key_pem(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        protection = (
            serialization.BestAvailableEncryption(self.passphrase) if self.passphrase else serialization.NoEncryption()
        )
        return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)

    def _load_certificate(self, name: str) -> x509.Certificate:
        try:
            return parse_chain(read_file(self._path(name)) or b"")[0]
        except TlsError as error:
            raise TlsError(
                f"{self._path(name)} holds no certificate that can be read; restore it from a backup"
            ) from error

    def _load_key(self, name: str) -> SigningKey:
        """Return a private key of the CA.

        Raises TlsError when others may read it, or the passphrase does not open it.
        """
        path = self._path(name)
        if os.stat(path).st_mode & 0o077:
            raise TlsError(
                f"{path} can be read by others; whoever did can sign for any name. Run chmod 0600 on it, or make a new CA"
            )
        pem = read_file(path) or b""
        try:
            return t.cast(SigningKey, open_key(pem, self.passphrase))  # _opened() compares it with issuing.pem
        except TypeError as error:
            advice = "leave out passphrase" if self.passphrase else "set passphrase"
            raise TlsError(
                f"{path} is {'not ' if self.passphrase else ''}protected by a passphrase; {advice} in certificate_issuers"
            ) from error
        except (ValueError, UnsupportedAlgorithm, InternalError) as error:
            if b"ENCRYPTED" in pem:
                raise TlsError(f"the passphrase does not open {path}; correct it in certificate_issuers") from error
            raise TlsError(f"{path} holds no private key that can be read; restore it from a backup") from error

    def _has(self, name: str) -> bool:
        """Say whether there is a file of this name, or a link that leads nowhere: then the CA is elsewhere, and no other one is made."""
        return os.path.lexists(self._path(name))

    def _path(self, *parts: str) -> str:
        return os.path.join(self.directory, *parts)
