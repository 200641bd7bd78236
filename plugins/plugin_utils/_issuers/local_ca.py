# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A private CA in a folder of the controller: a root, and an issuing CA below it.

pki/
├── root.pem  root.key           the root; clients trust root.pem
├── issuing.pem  issuing.key     what signs for servers
├── issued/SERIAL.json           a record of every certificate, with its revocation
├── answers/                     what was signed of late, for who asks again (answers.py)
├── crl.pem                      what was revoked
└── lock
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import (
    general_names,
    load_csr,
    subject_name,
)
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
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import NO_CROSS_SIGNING
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.revocation_reasons import REVOCATION_REASONS
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import IssueRequest
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

try:
    from cryptography import x509
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

ROOT_LIFETIME = datetime.timedelta(days=20 * 365)
ISSUING_LIFETIME = datetime.timedelta(days=10 * 365)
CRL_LIFETIME = datetime.timedelta(days=30)
BACKDATED = datetime.timedelta(hours=1)  # for hosts whose clock is behind; at most a tenth of the lifetime
LONGEST_NAME = 42  # common names have 64 bytes, and "Issuing CA" and a date follow

# In the order in which they are made: a folder with root.pem is complete, and without it nothing was ever signed.
FILES = ("root.key", "issuing.key", "issuing.pem", "root.pem")

SERIAL = re.compile(r"[0-9a-f]{1,64}")


class LocalCa:
    """The issuer C(type: local_ca)."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        "directory": {"type": "path", "default": "~/.evergreen/ca"},
        "name": {"type": "str", "default": "Evergreen"},
        "lifetime": {"type": "str", "default": "90d"},
        "passphrase": {"type": "str", "no_log": True},
        "crl_url": {"type": "str"},
    }
    DEFAULTS: t.ClassVar[dict[str, t.Any]] = {}

    def __init__(self, directory: str, name: str, lifetime: str, passphrase: str | None, crl_url: str | None) -> None:
        self.directory = os.path.abspath(directory)
        self.name = _checked_name(name)
        self.lifetime = parse_duration(lifetime)
        self.passphrase = passphrase.encode() if passphrase else None
        self.crl_url = crl_url
        self.cache_directory = self._path("answers")
        self.cross_signing = NO_CROSS_SIGNING
        self.remarks: list[str] = []

    @staticmethod
    def settings_of_name(name: str) -> dict[str, t.Any]:
        """Return no settings."""
        return {}

    def roots(self) -> bytes | None:
        """Return the root in PEM, or None while the CA is not made."""
        return to_pem([self._load_certificate("root.pem")]) if os.path.exists(self._path("root.pem")) else None

    def terms(self, request: Request) -> dict[str, t.Any]:
        """Return what decides on a certificate beside the signing request."""
        return {
            "names": request["domains"],
            "subject": subject_name(request["domains"], request).rfc4514_string(),
            "lifetime": self._lifetime(request).total_seconds(),
            "crl_url": self.crl_url,
        }

    def issue(self, request: IssueRequest, csr: bytes, host: str) -> bytes:
        """Sign for the names of the request, with nothing out of the CSR but its public key."""
        lifetime = self._lifetime(request)
        now = utc_now()
        with self._opened() as (key, issuing):
            if now + lifetime > not_after(issuing):
                raise TlsError(
                    f"the CA in {self.directory} expires on {not_after(issuing):%Y-%m-%d}, before a certificate of {lifetime.days} "
                    "days would; ask for a shorter lifetime, or move the folder away to have a new CA made"
                )
            certificate = self._leaf(request, load_csr(csr).public_key(), now, lifetime, issuing).sign(
                key, hashes.SHA256()
            )
            self._refresh_crl(key, issuing)
        return to_pem([certificate, issuing])

    def record(self, request: Request, chain: list, host: str) -> None:
        """Write down which certificate a host gets, unless that was done before."""
        serial_number = f"{chain[0].serial_number:x}"
        path = self._path("issued", f"{serial_number}.json")
        if os.path.exists(path):
            return
        record = {
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
        replace_file(path, _json(record))

    def revoke(self, serial_number: str, reason: str, pretend: bool = False) -> bool:
        """Put a certificate on the revocation list; say whether that is new. With *pretend*, say it and do nothing."""
        if not os.path.exists(self._path("root.pem")):
            raise TlsError(f"there is no CA in {self.directory}; correct the directory of the issuer")
        with self._opened() as (key, issuing):
            path = self._path("issued", f"{serial_number}.json")
            record = _load_record(path)
            if record is None:
                raise TlsError(
                    f"{self.directory} has issued no certificate with the serial number {serial_number}; see {self._path('issued')}"
                )
            if record["revoked_at"]:
                return False
            if pretend:
                return True
            record.update(revoked_at=utc_now().isoformat(), reason=reason)
            replace_file(path, _json(record))
            self._write_crl(key, issuing)
        return True

    @contextlib.contextmanager
    def _opened(self) -> t.Iterator[tuple[t.Any, t.Any]]:
        """Hold the lock of the CA, make it where there is none, and give its issuing key and certificate."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        with locked(self._path("lock")):
            found = {name for name in FILES if os.path.exists(self._path(name))}
            if "root.pem" not in found:
                self._make(found)
            elif missing := [name for name in FILES if name not in found]:
                raise TlsError(
                    f"the CA in {self.directory} lacks {', '.join(missing)}; restore it from a backup, or move the folder away to have a new CA made"
                )
            self._load_certificate("root.pem")
            key, issuing = self._load_key("issuing.key"), self._load_certificate("issuing.pem")
            if public_bytes(key.public_key()) != public_bytes(issuing.public_key()):
                raise TlsError(
                    f"{self._path('issuing.key')} does not belong to {self._path('issuing.pem')}; restore both from a backup"
                )
            yield key, issuing

    def _make(self, leftovers: set[str]) -> None:
        """Make root and issuing CA. A folder without root.pem has never signed anything: what a killed run left is replaced."""
        for name in leftovers:
            os.unlink(self._path(name))
        os.makedirs(self._path("issued"), mode=0o700, exist_ok=True)
        now = utc_now()
        root_key, issuing_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root_name = _name(f"{self.name} Root CA {now:%Y-%m-%d}", self.name)
        issuing_name = _name(f"{self.name} Issuing CA {now:%Y-%m-%d}", self.name)
        root = _authority(root_name, root_name, root_key.public_key(), root_key, now, ROOT_LIFETIME, path_length=1)
        issuing = _authority(
            issuing_name, root_name, issuing_key.public_key(), root_key, now, ISSUING_LIFETIME, path_length=0
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

    def _leaf(
        self, request: Request, public_key: t.Any, now: datetime.datetime, lifetime: datetime.timedelta, issuing: t.Any
    ) -> t.Any:
        subject = subject_name(request["domains"], request)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuing.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - min(BACKDATED, lifetime / 10))
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                _usage("digital_signature", *["key_encipherment"] * isinstance(public_key, rsa.RSAPublicKey)),
                critical=True,
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(general_names(request["domains"])), critical=not list(subject))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(_authority_key(issuing.public_key()), critical=False)
        )
        if self.crl_url:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(self.crl_url)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        return builder

    def _lifetime(self, request: Request) -> datetime.timedelta:
        lifetime = request.get("lifetime")
        return parse_duration(lifetime) if lifetime else self.lifetime

    def _refresh_crl(self, key: t.Any, issuing: t.Any) -> None:
        """Write a new revocation list once half of the life of the present one is over."""
        try:
            present = x509.load_pem_x509_crl(read_file(self._path("crl.pem")) or b"")
            next_update = present.next_update_utc
            is_fresh = next_update is not None and next_update - utc_now() >= CRL_LIFETIME / 2
        except (ValueError, TypeError, UnsupportedAlgorithm):  # lost or damaged; the records have all of it
            is_fresh = False
        if not is_fresh:
            self._write_crl(key, issuing)

    def _write_crl(self, key: t.Any, issuing: t.Any) -> None:
        now = utc_now()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuing.subject)
            .last_update(now)
            .next_update(now + CRL_LIFETIME)
        )
        for name in sorted(os.listdir(self._path("issued"))):
            record = (_load_record(self._path("issued", name)) if name.endswith(".json") else None) or {}
            if record.get("revoked_at") and datetime.datetime.fromisoformat(record["not_after"]) > now:
                builder = builder.add_revoked_certificate(_revoked(record))
        crl = (
            builder.add_extension(_authority_key(issuing.public_key()), critical=False)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
            .sign(key, hashes.SHA256())
        )
        replace_file(self._path("crl.pem"), crl.public_bytes(serialization.Encoding.PEM))

    def _key_pem(self, key: t.Any) -> bytes:
        protection = (
            serialization.BestAvailableEncryption(self.passphrase) if self.passphrase else serialization.NoEncryption()
        )
        return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)

    def _load_certificate(self, name: str) -> t.Any:
        try:
            return parse_chain(read_file(self._path(name)) or b"")[0]
        except TlsError as error:
            raise TlsError(
                f"{self._path(name)} holds no certificate that can be read; restore it from a backup"
            ) from error

    def _load_key(self, name: str) -> t.Any:
        path = self._path(name)
        if os.stat(path).st_mode & 0o077:
            raise TlsError(
                f"{path} can be read by others; whoever did can sign for any name. Run chmod 0600 on it, or make a new CA"
            )
        pem = read_file(path) or b""
        try:
            return open_key(pem, self.passphrase)
        except TypeError as error:
            advice = "leave out passphrase" if self.passphrase else "set passphrase"
            raise TlsError(
                f"{path} is {'not ' if self.passphrase else ''}protected by a passphrase; {advice} in certificate_issuers"
            ) from error
        except (ValueError, UnsupportedAlgorithm, InternalError) as error:
            if b"ENCRYPTED" in pem:
                raise TlsError(f"the passphrase does not open {path}; correct it in certificate_issuers") from error
            raise TlsError(f"{path} holds no private key that can be read; restore it from a backup") from error

    def _path(self, *parts: str) -> str:
        return os.path.join(self.directory, *parts)


def _checked_name(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise TlsError(
            f"the name of the CA is {name!r}, and it has to be printable text; correct it in certificate_issuers"
        )
    if len(name.encode()) > LONGEST_NAME:
        raise TlsError(
            f"the name of the CA has {len(name.encode())} bytes, and {LONGEST_NAME} are allowed; shorten it in certificate_issuers"
        )
    return name


def _load_record(path: str) -> dict | None:
    """Return the record of a certificate, or None where there is none."""
    content = read_file(path)
    if content is None:
        return None
    with reject_malformed_input(f"{path} is no record of a certificate; restore it from a backup"):
        record = json.loads(content)
        parse_chain(record["certificate"].encode())
        for moment in ("issued_at", "not_after", *(["revoked_at"] if record["revoked_at"] is not None else [])):
            if datetime.datetime.fromisoformat(record[moment]).tzinfo is None:
                raise ValueError(moment)
        if not SERIAL.fullmatch(record["serial_number"]) or not (
            isinstance(record["request"], str) and record["names"]
        ):
            raise ValueError(record["serial_number"])
        if record["revoked_at"] is not None:
            _revoked(record)
        return record


def _json(record: dict) -> bytes:
    return json.dumps(record, indent=2).encode() + b"\n"


def _name(common: str, organization: str) -> t.Any:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _authority(
    subject: t.Any,
    issuer: t.Any,
    public_key: t.Any,
    signer: t.Any,
    now: datetime.datetime,
    lifetime: datetime.timedelta,
    path_length: int,
) -> t.Any:
    """Return a CA certificate that strict verifiers accept (RFC 5280, sections 4.2.1.1 to 4.2.1.9)."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _authority_key(public_key: t.Any) -> t.Any:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)


def _usage(*allowed: str) -> t.Any:
    usages = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{usage: usage in allowed for usage in usages})


def _revoked(record: dict) -> t.Any:
    reason = x509.ReasonFlags(REVOCATION_REASONS[record["reason"]].name)
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(int(record["serial_number"], 16))
        .revocation_date(datetime.datetime.fromisoformat(record["revoked_at"]))
    )
    if reason is not x509.ReasonFlags.unspecified:  # RFC 5280, section 5.3.1: left out rather than said
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()
