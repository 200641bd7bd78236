# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host shows of its certificates, described."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    check_chain,
    describe_chain,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.chain_tree import draw_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

try:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass


def describe_installed(told: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the result of certificate_info, given what the host told."""
    with reject_malformed_input(
        "the host does not tell of its certificates as certificate_info does; look at what it is doing"
    ):
        now = parse_date(told["now"])
        if now is None:
            raise ValueError(told["now"])
        return {"changed": False, "certificates": [_described(one, now) for one in told["certificates"]]}


def _described(told: dict[str, t.Any], now: datetime.datetime) -> dict[str, t.Any]:
    kept = {name: told.get(name) for name in ("name", "path", "version", "versions")}
    description: dict[str, t.Any] = {
        **kept,
        "issuer": told.get("issuer"),
        "waiting_since": told.get("waiting_since"),
        "days_left": None,
        "encrypted": None,
        "problem": None,
        "certificate": None,
        "drawing": [],
    }
    if told.get("version") is None:
        return description
    description["encrypted"] = told.get("encrypted")
    try:
        chain = parse_chain(_bytes(told.get("chain")))
        description["certificate"] = describe_chain(chain)
        description["drawing"] = draw_chain(chain, now)
        description["days_left"] = round((not_after(chain[0]) - now).total_seconds() / 86400, 3)
        if told.get("problem"):
            raise TlsError(told["problem"])
        check_chain(chain, _public_key(told.get("public_key")), description["certificate"]["names"], now)
    except TlsError as error:
        description["problem"] = str(error)
    return description


def _public_key(pem: str | None) -> t.Any:
    try:
        return serialization.load_pem_public_key(_bytes(pem))
    except (ValueError, UnsupportedAlgorithm, InternalError) as error:
        raise TlsError("the host shows no public key that can be read; look at what it is doing") from error


def _bytes(text: str | None) -> bytes:
    """Return text of a host as bytes; it may hold halves of characters."""
    return (text or "").encode(errors="replace")
