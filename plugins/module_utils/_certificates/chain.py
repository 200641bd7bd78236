# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains of certificates as servers send them: leaf first, each signed by the next, without the root.

check_chain() is the one definition of a good chain. It decides whether a chain may be installed and, by why_renew(), whether an installed one
has to be renewed.
"""

from __future__ import annotations

import datetime
import ssl
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    fingerprint,
    not_after,
    not_before,
    parse_certificate,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    EMAIL_ADDRESS,
    issuer_name,
    subject_name,
    subject_of,
    text_of,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.extensions import (
    EMAIL,
    basic_constraints,
    general_names_of,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import describe_key, public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import (
    check_path,
    find_trusted_path,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
NO_TRUSTED_ROOT = "no trusted root"


class ChainDescription(t.TypedDict):
    """A chain in results, diffs and reports."""

    common_name: str
    names: list[str]
    issuer: str  # common name
    chain: list[str]  # common names, the leaf first
    key: str
    serial_number: str  # hexadecimal digits
    fingerprint: str
    not_before: str  # in UTC and ISO 8601
    not_after: str


def parse_chain(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates in PEM, in their order.

    Raises TlsError if there is none, or one cannot be read.
    """
    blocks = [BEGIN + block for block in pem.split(BEGIN)[1:]]
    if not any(END in block for block in blocks):
        raise TlsError("it holds no PEM certificate; have it issued again")
    try:
        return [parse_certificate(ssl.PEM_cert_to_DER_cert(_until_end(block).decode())) for block in blocks]
    except (ValueError, TlsError) as error:
        raise TlsError("it holds a PEM certificate that cannot be read; have it issued again") from error


def names_of(certificate: x509.Certificate) -> set[str]:
    """Return the DNS names and IP addresses of a certificate, in their normal form. Raises TlsError if they are malformed.

    Names of other types are returned with their type, except an email address of the subject (RFC 5280, section 4.1.2.6): it names no server.
    """
    names = general_names_of(certificate)
    emails = [name for name in names if name.tag == EMAIL]
    attributes = subject_of(certificate).attributes if emails else ()
    addresses = {text_of(attribute) for attribute in attributes if attribute.oid == EMAIL_ADDRESS}
    left_out = [name for name in emails if name.value.decode("latin-1") in addresses]
    return {name.text for name in names if name not in left_out}


def check_chain(
    chain: list[x509.Certificate],
    public_key: PublicKeyTypes,
    names: list[str],
    now: datetime.datetime,
    roots: list[x509.Certificate] | None = None,
    allowed: t.Sequence[str] = (),
) -> None:
    """Make sure that a server can use a chain for its key and names, and that clients accept it.

    names, allowed: in their normal form. The certificate has to cover all *names*, and may cover those *allowed* besides.
    roots: None leaves trust to a handshake later.
    Raises TlsError with the first fault; its detail C(failure) is NO_TRUSTED_ROOT where the chain does not lead to a root.
    """
    leaf = chain[0]
    if public_bytes(leaf.public_key()) != public_bytes(public_key):
        raise TlsError("the certificate belongs to another private key; have the request of this host issued again")
    expected = set(names)
    covered = names_of(leaf) - (set(allowed) - expected)
    if covered != expected:
        raise TlsError(_describe_name_difference(covered, expected))
    constraints = basic_constraints(leaf)
    if constraints is not None and constraints.is_ca:
        if is_signed_by(leaf, leaf):
            raise TlsError(
                "the certificate is self-signed, as openssl req -x509 makes it, and clients do not trust it; have it issued by a CA"
            )
        raise TlsError("the certificate is one of a CA, not of a server; have it issued for a server")
    for certificate, ca in zip(chain, chain[1:]):
        if not is_signed_by(certificate, ca):
            raise TlsError(
                f"{subject_name(ca)} did not sign the certificate before it; order the chain leaf first, without strangers"
            )
    if roots is None:
        check_path(chain, now)
        return
    if find_trusted_path(chain, roots, now) is None:
        check_path(chain, now)
        known = ", ".join(sorted(map(subject_name, roots))) or "none"
        raise TlsError(
            f"the chain ends at {issuer_name(chain[-1])}, which is not a root of the issuer ({known}); have it issued again",
            failure=NO_TRUSTED_ROOT,
        )


def describe_chain(chain: list[x509.Certificate]) -> ChainDescription:
    """Return what results, diffs and reports contain of a chain."""
    leaf = chain[0]
    return {
        "common_name": subject_name(leaf),
        "names": [shorten(name) for name in sorted(names_of(leaf))],
        "issuer": issuer_name(leaf),
        "chain": [subject_name(certificate) for certificate in chain],
        "key": describe_key(leaf.public_key()),
        "serial_number": f"{leaf.serial_number:x}",
        "fingerprint": fingerprint(leaf),
        "not_before": not_before(leaf).isoformat(),
        "not_after": not_after(leaf).isoformat(),
    }


def _until_end(block: bytes) -> bytes:
    """Return a block of PEM without what stands behind it. Raises ValueError if it has no end."""
    return block[: block.index(END) + len(END)]


def _describe_name_difference(covered: set[str], expected: set[str]) -> str:
    parts = []
    if expected - covered:
        parts.append(f"does not cover {', '.join(sorted(expected - covered))}")
    if covered - expected:
        parts.append(f"covers {shorten(', '.join(sorted(covered - expected)))}, which nobody asked for")
    return f"the certificate {' and '.join(parts)}; have it issued for {', '.join(sorted(expected))}"
