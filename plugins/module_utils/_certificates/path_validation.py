# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Path validation: what OpenSSL with default settings refuses in a path from a leaf to a root (RFC 5280, section 6).

The rules are those of crypto/x509/x509_vfy.c and v3_purp.c for the purpose sslserver, at the security level 2 of Debian, for every
type of key and every form of name. What stricter clients refuse besides is in strict_clients.py.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after, not_before
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    is_self_issued,
    issuer_name,
    subject_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.extensions import (
    KNOWN_EXTENSIONS,
    PROXY_CERTIFICATE,
    basic_constraints,
    extended_key_usages,
    extension_name,
    extensions_of,
    find_extension,
    is_issuer_identified,
    key_usages,
    netscape_types,
    read_extensions,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.fields import is_version_1
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.name_constraints import (
    check_name_constraints,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import (
    is_signed_by,
    signature_digest,
)
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

MIN_RSA_BITS = 2048  # at security level 2 of OpenSSL, also of DSA
LEAST_RSA_BITS = 1962  # which OpenSSL 3 rounds up to that level
MIN_CURVE_BITS = 224  # at the same level
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
# What X509_check_purpose() of OpenSSL takes for serverAuth: also Server Gated Crypto of Microsoft and Netscape.
SERVER_USAGES = {SERVER_AUTH, "1.3.6.1.4.1.311.10.3.3", "2.16.840.1.113730.4.1"}
USAGE_NAMES = {
    SERVER_AUTH: "serverAuth",
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.3": "codeSigning",
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.8": "timeStamping",
    "1.3.6.1.5.5.7.3.9": "OCSPSigning",
    "2.5.29.37.0": "anyExtendedKeyUsage",
}
SERVER_KEY_USAGES = {"digitalSignature", "keyEncipherment", "keyAgreement"}  # one of them is enough for TLS

THE_LEAF = "the certificate"  # how errors call the leaf

SignedBy = t.Callable[["x509.Certificate", "x509.Certificate"], bool]  # with the arguments of is_signed_by()


def check_path(path: list[x509.Certificate], now: datetime.datetime) -> None:
    """Raise TlsError with the first fault of a path, leaf first, whose signatures were checked.

    The last certificate may be a root. A root is checked like the other CAs, except for its own signature.
    """
    intermediates = 0  # between the leaf and the certificate; those that are self-issued do not count
    for index, certificate in enumerate(path):
        about = describe_role(certificate, is_leaf=index == 0)
        if index + 1 < len(path) or not is_self_issued(certificate):
            _check_digest(certificate, about)
        check_dates(certificate, about, now)
        read_extensions(certificate)
        _check_critical_extensions(certificate, about)
        _check_key(certificate, about)
        if index == 0:
            _check_server(certificate)
        else:
            _check_ca(certificate, about, intermediates, is_last=index + 1 == len(path))
            intermediates += not is_self_issued(certificate)
        if index + 1 < len(path) and not is_issuer_identified(certificate, path[index + 1]):
            raise TlsError(
                f"the authorityKeyIdentifier of {about.partition(',')[0]} means another certificate than that of the CA "
                f"{subject_name(path[index + 1])} that signed it, so clients do not find it; have it issued again"
            )
    for index, certificate in reversed(list(enumerate(path))):
        if index and is_self_issued(certificate) and index + 1 < len(path):
            continue
        for ca in path[index + 1 :]:
            check_name_constraints(certificate, ca, is_leaf=index == 0)


def find_trusted_path(
    chain: list[x509.Certificate],
    roots: list[x509.Certificate],
    now: datetime.datetime,
    is_signed_by: SignedBy = is_signed_by,
) -> list[x509.Certificate] | None:
    """Return the shortest path of a chain to a root that clients accept, with the root; None where none leads to a root.

    A chain may go on above a root, for clients that know an older one only.
    Raises TlsError with the first fault of the shortest path when all of them have one.
    """
    fault: TlsError | None = None
    for index, certificate in enumerate(chain):
        paths = [chain[: index + 1]] if certificate in roots else []
        paths += [
            [*chain[: index + 1], root] for root in roots if certificate != root and is_signed_by(certificate, root)
        ]
        for path in paths:
            try:
                _check_root(path[-1])
                check_path(path, now)
                return path
            except TlsError as error:
                fault = fault or error
    if fault is not None:
        raise fault
    return None


def is_root(certificate: x509.Certificate) -> bool:
    """Say whether clients take a certificate for a root: it is issued by itself, and its authority key identifier does not mean another."""
    return is_self_issued(certificate) and is_issuer_identified(certificate, certificate)


def check_dates(certificate: x509.Certificate, about: str, now: datetime.datetime) -> None:
    """Raise TlsError, with *about* as the subject of its sentence, unless the certificate is valid now."""
    if now < not_before(certificate):
        raise TlsError(
            f"{about} is valid only from {format_date(not_before(certificate))}, and the clock here says "
            f"{now:%Y-%m-%d %H:%M:%S}; set the clock of this host, or wait"
        )
    if not_after(certificate) <= now:
        raise TlsError(f"{about} expired on {format_date(not_after(certificate))}; have it issued again")


def describe_role(certificate: x509.Certificate, is_leaf: bool) -> str:
    """Return how errors call a certificate: the certificate, the CA or the root."""
    if is_leaf:
        return THE_LEAF
    return f"the {'root' if is_self_issued(certificate) else 'CA'} {subject_name(certificate)}"


def is_ca(certificate: x509.Certificate) -> bool:
    """Say whether a certificate may sign others (RFC 5280, section 4.2.1.9; X509_check_ca of OpenSSL).

    Without basic constraints, that is a root of version 1, and one whose key usage or nsCertType says so.
    """
    usages = key_usages(certificate)
    if usages is not None and "keyCertSign" not in usages:
        return False
    constraints = basic_constraints(certificate)
    if constraints is not None:
        return constraints.is_ca
    if is_version_1(certificate):
        return is_self_issued(certificate)
    return usages is not None or "sslCA" in (netscape_types(certificate) or ())


def _check_root(root: x509.Certificate) -> None:
    """Raise TlsError if clients with default settings do not stop at a certificate that they trust."""
    if not is_root(root):
        raise TlsError(
            f"{subject_name(root)} among the roots is issued by {issuer_name(root)} and is no root itself, so clients look for a root above it; "
            f"name {issuer_name(root)} in roots"
            if not is_self_issued(root)
            else f"the authorityKeyIdentifier of the root {subject_name(root)} means another certificate, so clients do not take it for a root; "
            "see that roots names the right one"
        )


def _check_server(leaf: x509.Certificate) -> None:
    """Raise TlsError if the extensions of a certificate do not let a server use it."""
    usages = extended_key_usages(leaf)
    if usages is not None and not SERVER_USAGES & set(usages):
        raise TlsError("the certificate is not for servers (no serverAuth); have it issued for a server")
    bits = key_usages(leaf)
    if bits is not None and not SERVER_KEY_USAGES & bits:
        raise TlsError(
            f"the keyUsage of the certificate is {_listed(bits)}, and TLS needs digitalSignature; have it issued for a server"
        )
    types = netscape_types(leaf)
    if types is not None and "server" not in types:
        raise TlsError(
            f"the nsCertType of the certificate is {_listed(types)}, not server; have it issued for a server"
        )
    if find_extension(leaf, PROXY_CERTIFICATE):
        raise TlsError("the certificate is a proxy certificate, which clients refuse; have it issued for a server")


def _check_ca(ca: x509.Certificate, about: str, intermediates: int, is_last: bool) -> None:
    """Raise TlsError if a certificate may not sign those below it.

    intermediates: between it and the leaf. is_last: of the path. Another one needs basic constraints.
    """
    usages = key_usages(ca)
    if usages is not None and "keyCertSign" not in usages:
        raise TlsError(
            f"the keyUsage of {about} is {_listed(usages)} without keyCertSign, so clients do not accept what it signs; "
            "have the certificate issued by another CA"
        )
    constraints = basic_constraints(ca)
    if not is_ca(ca) or (constraints is None and not is_last):
        raise TlsError(
            f"{about} is no CA by its basicConstraints, so clients do not accept what it signs; have the certificate issued by a CA"
        )
    purposes = extended_key_usages(ca)
    if purposes is not None and not SERVER_USAGES & set(purposes):
        raise TlsError(
            f"{about} may issue for {', '.join(USAGE_NAMES.get(one, one) for one in purposes[:5])} alone (extendedKeyUsage), not for servers; "
            "have the certificate issued by another CA"
        )
    types = netscape_types(ca)
    if constraints is None and usages is None and types is not None and "sslCA" not in types:
        raise TlsError(f"{about} is no CA for servers by its nsCertType; have the certificate issued by another CA")
    if constraints and constraints.path_length is not None and intermediates > constraints.path_length:
        raise TlsError(
            f"{about} allows {constraints.path_length} CAs below it (pathlen), and the chain has {intermediates}; "
            "have the certificate issued by a CA that is nearer to the root"
        )


def _check_key(certificate: x509.Certificate, about: str) -> None:
    """Raise TlsError if the key of a certificate is too short for clients."""
    key = certificate.public_key()
    kind, least, expected = "RSA", LEAST_RSA_BITS, MIN_RSA_BITS
    if isinstance(key, dsa.DSAPublicKey):
        kind = "DSA"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        kind, least, expected = "ECC", MIN_CURVE_BITS, MIN_CURVE_BITS
    elif not isinstance(key, rsa.RSAPublicKey):
        return
    if key.key_size < least:
        remedy = "have it issued for a longer key" if about == THE_LEAF else "have the certificate issued by another CA"
        raise TlsError(f"{about} has an {kind} key of {key.key_size} bits, and clients want {expected}; {remedy}")


def _check_critical_extensions(certificate: x509.Certificate, about: str) -> None:
    unknown = [one for one in extensions_of(certificate) if one.is_critical and one.oid not in KNOWN_EXTENSIONS]
    if unknown:
        raise TlsError(
            f"{about} has the critical extension {extension_name(unknown[0].oid)}, which clients do not know as critical and therefore "
            "refuse; have it issued without, or not critical"
        )


def _check_digest(certificate: x509.Certificate, about: str) -> None:
    digest = signature_digest(certificate)
    if isinstance(digest, (hashes.MD5, hashes.SHA1)):
        raise TlsError(f"{about} is signed with {digest.name}, which clients refuse; have it issued again")


def _listed(names: t.Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "empty"
