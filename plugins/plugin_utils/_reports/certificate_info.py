# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Descriptions of the certificates that are installed on a host."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    ChainDescription,
    check_chain,
    describe_chain,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, errors_as
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.private_authority import authority_key_identifier
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.chain_tree import chain_tree
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass


class InstalledCertificate(t.TypedDict):
    """The description of an installed certificate, an item of the result of certificate_info.

    Without a version in use, days_left and all that follows it is empty.
    """

    name: t.Any
    path: t.Any
    version: t.Any  # the folder of the version in use; None while there is none
    versions: t.Any
    issuer: t.Any
    waiting_since: t.Any
    days_left: float | None
    encrypted: t.Any  # whether the private key is
    problem: str | None  # why clients would refuse it, or why the host cannot read it
    certificate: ChainDescription | None
    drawing: list[str]  # as chain_tree() returns it
    same_ca: bool | None  # whether the chain of the version before leads to the same CA; None without one


class InfoResult(t.TypedDict):
    """The result of certificate_info."""

    changed: bool
    certificates: list[InstalledCertificate]


def describe_installed(result: dict[str, t.Any]) -> InfoResult:
    """Return the result of the action certificate_info, given that of the module on the host.

    Raises TlsError where the module's result is malformed.
    """
    with reject_malformed_input(
        "the host does not tell of its certificates as certificate_info does; look at what it is doing"
    ):
        now = parse_date(result["now"])
        if now is None:
            raise ValueError(result["now"])
        return {"changed": False, "certificates": [_described(item, now) for item in result["certificates"]]}


def _described(item: dict[str, t.Any], now: datetime.datetime) -> InstalledCertificate:
    description: InstalledCertificate = {
        "name": item.get("name"),
        "path": item.get("path"),
        "version": item.get("version"),
        "versions": item.get("versions"),
        "issuer": item.get("issuer"),
        "waiting_since": item.get("waiting_since"),
        "days_left": None,
        "encrypted": None,
        "problem": item.get("problem"),
        "certificate": None,
        "drawing": [],
        "same_ca": None,
    }
    if item.get("version") is None:
        return description
    description["encrypted"] = item.get("encrypted")
    try:
        chain = parse_chain(_to_bytes(item.get("chain")))
        certificate = describe_chain(chain)
        description["certificate"] = certificate
        description["drawing"] = chain_tree(chain, now)
        description["same_ca"] = _leads_to_same_ca(chain, item.get("chain_before"))
        description["days_left"] = round((not_after(chain[0]) - now) / datetime.timedelta(days=1), 3)
        if item.get("problem"):
            raise TlsError(item["problem"])
        check_chain(chain, _public_key(item.get("public_key")), certificate["names"], now)
    except TlsError as error:
        description["problem"] = str(error)
    return description


def _public_key(pem: str | None) -> PublicKeyTypes:
    with errors_as(lambda _text: "the host shows no public key that can be read; look at what it is doing"):
        return serialization.load_pem_public_key(_to_bytes(pem))


def _to_bytes(text: str | None) -> bytes:
    """Return text of a host as bytes. Surrogates in it are replaced."""
    return (text or "").encode(errors="replace")


def _leads_to_same_ca(chain: list[x509.Certificate], before: str | None) -> bool | None:
    """Return whether the last certificates of two chains are signed by the same key; None without a chain before."""
    if not before:
        return None
    try:
        keys = [authority_key_identifier(one[-1]) for one in (chain, parse_chain(_to_bytes(before)))]
    except TlsError:
        return False
    return keys[0] is not None and keys[0] == keys[1]
