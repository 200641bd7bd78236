# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate between hosts and CAs. Of what either says, nothing is believed that the inventory does not say too."""

from __future__ import annotations

import datetime
import ipaddress
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import check_chain, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    load_request,
    requested_names,
    wanted_kind,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_address, probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.chain_order import order_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import STRAIGHT, Crossing
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import printable

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509 import verification
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MOST = 100  # certificates in an answer; each is held against each
LARGEST = 1024 * 1024  # bytes of a signing request or of an answer; honest ones have a few thousand
TOLD = 20  # names that a host asks for


def check_request(csr: bytes, wanted: dict) -> t.Any:
    """Return the public key of a signing request, once its names and type of key are those of the inventory.

    The host that sent it may be compromised: nothing else in it is looked at.
    """
    if len(csr) > LARGEST:
        raise TlsError(f"the signing request for {wanted['name']} has {len(csr)} bytes; look at what the host is doing")
    request = load_request(csr)
    found, names = requested_names(request), set(wanted["domains"])
    if found != names:
        raise TlsError(
            f"the host asks for a certificate for {_listed(found) or 'no name'}, and the inventory says {_listed(names)}; "
            "if the inventory is right, look at what the host is doing"
        )
    kind = describe_key(request.public_key())
    if kind != wanted_kind(wanted):
        raise TlsError(
            f"the host offers a key of type {kind}, and the inventory says {wanted_kind(wanted)}; look at what the host is doing"
        )
    return request.public_key()


def check_answer(
    answer: bytes,
    public_key: t.Any,
    wanted: dict,
    roots: bytes | None,
    now: datetime.datetime,
    crossing: Crossing = STRAIGHT,
) -> list:
    """Return the chain in what a CA answered, in order, once clients that trust *roots* would accept it for each name.

    It takes the way, and ends in what the issuer adds, that the *crossing* says.
    """
    if len(answer) > LARGEST:
        raise TlsError(
            f"the answer has {len(answer)} bytes, and chains have a few thousand; see what answers in place of the CA"
        )
    if b"PRIVATE KEY-----" in answer:
        raise TlsError(
            "the answer holds a private key, and keys are made on hosts alone; destroy it and have the CA sign the request"
        )
    trusted, pile = parse_chain(roots) if roots else [], parse_chain(answer)
    if len(pile) > MOST:
        raise TlsError(
            f"the answer has {len(pile)} certificates, and chains have a few; see what answers in place of the CA"
        )
    chain = order_chain(pile, public_key, trusted, crossing)
    check_chain(chain, public_key, wanted["domains"], now, trusted or None, wanted.get("allowed_domains") or ())
    if trusted and not isinstance(
        public_key, ed25519.Ed25519PublicKey
    ):  # which the verifier's web profile does not know
        for name in wanted["domains"]:
            _verify(chain, name, trusted, now)
    return chain


def _listed(names: set[str]) -> str:
    """Return names as people read them; a host may ask for any number of any length."""
    shown = [printable(name[:255]) for name in sorted(names)[:TOLD]]
    return ", ".join([*shown, *([f"{len(names) - TOLD} more"] if len(names) > TOLD else [])])


def _verify(chain: list, name: str, roots: list, now: datetime.datetime) -> None:
    host = probe_name(name)
    subject = x509.IPAddress(ipaddress.ip_address(host)) if is_address(host) else x509.DNSName(host)
    builder = verification.PolicyBuilder().store(verification.Store(roots)).time(now)
    try:
        verifier = builder.build_server_verifier(subject)
    except ValueError:  # a name with an underscore, which clients accept and the verifier's web profile does not know
        return
    try:
        verifier.verify(chain[0], chain[1:])
    except verification.VerificationError as error:
        raise TlsError(f"clients would not accept the chain for {name}: {error}; have the CA correct it") from error
