# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check what hosts and CAs send, a CSR and a chain, against the inventory. Neither is trusted."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    check_chain,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import (
    csr_difference,
    load_csr,
    requested_names,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    describe_requested_key,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address, probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import (
    check_dates,
    describe_role,
    find_trusted_path,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.strict_clients import strict_warnings
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, errors_as
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.certificate_files import read_certificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.chain_order import order_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import (
    NO_CROSS_SIGNING,
    CrossSigning,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.leaf import check_leaf
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.roots import system_roots
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import (
    escape_as_one_line,
    escape_control_characters,
)

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey
    from cryptography.x509 import verification
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_CERTIFICATES = 100  # that a CA may send; each is compared with each
MAX_BYTES = 1024 * 1024  # of a CSR, or of what a CA sends; honest ones have a few thousand
MAX_NAMES_IN_ERROR = 20  # of those that a host asks for
MAX_NAME_LENGTH_IN_ERROR = 255
MAX_DIFFERENCE_LENGTH = 300  # characters of what a host wrote into a CSR


def check_csr(csr: bytes, request: Request) -> x509.CertificateSigningRequest:
    """Return a parsed CSR whose subject, names, attributes and type of key are those that the inventory makes.

    The host that sent it may be compromised. Whoever passes the CSR on writes it anew from what is returned (csr_to_pem()).
    Raises TlsError when the CSR is too large or malformed, or differs from the request.
    """
    if len(csr) > MAX_BYTES:
        raise TlsError(
            f"the signing request for {request['name']} has {len(csr)} bytes; look at what the host is doing"
        )
    parsed = load_csr(csr)
    csr_names, names = requested_names(parsed), set(request["domains"])
    if csr_names != names:
        raise TlsError(
            f"the host asks for a certificate for {_listed(csr_names) or 'no name'}, and the inventory says {_listed(names)}; "
            "if the inventory is right, look at what the host is doing"
        )
    kind, expected_kind = describe_key(parsed.public_key()), describe_requested_key(request)
    if kind != expected_kind:
        raise TlsError(
            f"the host offers a key of type {kind}, and the inventory says {expected_kind}; look at what the host is doing"
        )
    difference = csr_difference(parsed, request)
    if difference is not None:
        raise TlsError(
            f"the signing request for {request['name']} is not the one that the inventory makes: "
            f"{escape_as_one_line(difference)[:MAX_DIFFERENCE_LENGTH]}; have it made again by certificate_request on the host "
            "(an older version may have made it), and if it comes again, look at what the host is doing"
        )
    return parsed


def check_issued_chain(
    issued: bytes,
    public_key: PublicKey,
    request: Request,
    roots: bytes | None,
    now: datetime.datetime,
    cross_signing: CrossSigning = NO_CROSS_SIGNING,
) -> list[x509.Certificate]:
    """Return the chain of *public_key* out of what a CA sent, leaf first, if clients accept it.

    It has to be valid for each name of the request. Without roots, the system's are used where the chain leads to one of them.
    issued: in any form. roots: PEM. cross_signing: which root the chain should lead to, and the certificates that may be added to it.
    Raises TlsError with the first thing that is wrong. A private key in *issued* is refused.
    """
    if len(issued) > MAX_BYTES:
        raise TlsError(
            f"the answer has {len(issued)} bytes, and chains have a few thousand; see what answers in place of the CA"
        )
    answer = read_certificates(issued)
    if answer.has_private_key:
        raise TlsError(
            "the answer holds a private key, and keys are made on hosts alone; destroy it and have the CA sign the request"
        )
    if not answer.certificates:
        raise TlsError(f"no certificate can be read in the answer: {'. '.join(answer.messages)}")
    if len(answer.certificates) > MAX_CERTIFICATES:
        raise TlsError(
            f"the answer has {len(answer.certificates)} certificates, and chains have a few; see what answers in place of the CA"
        )
    trusted = parse_chain(roots) if roots else []
    try:
        return _checked_chain(answer.certificates, public_key, request, trusted, now, cross_signing)
    except TlsError as error:
        if not answer.messages:
            raise
        raise TlsError(f"{error}. Of the answer, this was passed over: {'. '.join(answer.messages)}") from error


def _checked_chain(
    certificates: list[x509.Certificate],
    public_key: PublicKey,
    request: Request,
    trusted: list[x509.Certificate],
    now: datetime.datetime,
    cross_signing: CrossSigning,
) -> list[x509.Certificate]:
    """Return the chain of *public_key*, leaf first, if clients that trust these roots accept it. Raises TlsError."""

    def check(chain: list[x509.Certificate]) -> None:
        check_chain(chain, public_key, request["domains"], now, trusted or None, request.get("allowed_domains") or ())
        path = find_trusted_path(chain, trusted or system_roots(), now)
        check_leaf(chain[0], request)
        if path and request.get("strict_profile"):
            for name in request["domains"]:
                _verify(chain, name, path[-1:], now)
        for certificate in chain:
            if certificate in cross_signing.extra:
                check_dates(certificate, describe_role(certificate, is_leaf=False), now)

    try:
        return order_chain(certificates, public_key, trusted, cross_signing, check)
    except TlsError:
        if trusted:
            raise
        # What continues the chain for older clients may have expired; clients that know the root below do not look at it.
        with contextlib.suppress(TlsError):
            chain = order_chain(certificates, public_key, system_roots(), cross_signing, check)
            if find_trusted_path(chain, system_roots(), now):
                return chain
        raise


def chain_warnings(chain: list[x509.Certificate], roots: bytes | None, now: datetime.datetime) -> list[str]:
    """Return what stricter clients refuse in a chain that was checked. roots: PEM; by default the system's."""
    trusted = parse_chain(roots) if roots else system_roots()
    return strict_warnings(find_trusted_path(chain, trusted, now) or chain)


def _listed(names: set[str]) -> str:
    """Return names for an error. A host may ask for any number of names of any length."""
    shown = [escape_control_characters(name[:MAX_NAME_LENGTH_IN_ERROR]) for name in sorted(names)[:MAX_NAMES_IN_ERROR]]
    more = len(names) - MAX_NAMES_IN_ERROR
    return ", ".join([*shown, *([f"{more} more"] if more > 0 else [])])


def _verify(chain: list[x509.Certificate], name: str, roots: list[x509.Certificate], now: datetime.datetime) -> None:
    """Raise TlsError unless a chain fits the profile of the web for a name (CA/Browser Forum, by the verifier of the library)."""
    probe = probe_name(name)
    subject = x509.IPAddress(ipaddress.ip_address(probe)) if is_ip_address(probe) else x509.DNSName(probe)
    builder = verification.PolicyBuilder().store(verification.Store(roots)).time(now)
    try:
        verifier = builder.build_server_verifier(subject)
    except ValueError:  # a name with an underscore, which clients accept and the profile of the web does not know
        return
    with errors_as(lambda text: f"clients would not accept the chain for {name}: {text}; have the CA correct it"):
        try:
            verifier.verify(chain[0], chain[1:])
        except verification.VerificationError as error:
            raise TlsError(f"clients would not accept the chain for {name}: {error}; have the CA correct it") from error
