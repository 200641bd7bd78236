# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host shows of its certificates, described."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils.chains import check_chain, describe_chain, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.portraits import not_after
from ansible_collections.evergreen.tls.plugins.plugin_utils.shapes import shaped

try:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass


def describe_exhibits(told: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the result of certificate_info, given what the host told."""
    with shaped("the host does not tell of its certificates as certificate_info does; look at what it is doing"):
        now = datetime.datetime.fromisoformat(told["now"])
        return {"changed": False, "certificates": [_described(one, now) for one in told["certificates"]]}


def _described(told: dict[str, t.Any], now: datetime.datetime) -> dict[str, t.Any]:
    kept = {name: told[name] for name in ("name", "path", "version", "versions")}
    description: dict[str, t.Any] = {
        **kept,
        "issuer": told.get("issuer"),
        "waiting_since": told["waiting_since"],
        "days_left": None,
        "problem": None,
        "certificate": None,
    }
    if told["version"] is None:
        return description
    try:
        chain = parse_chain((told["chain"] or "").encode())
        description["certificate"] = describe_chain(chain)
        description["days_left"] = round((not_after(chain[0]) - now).total_seconds() / 86400, 3)
        if "problem" in told:
            raise TlsError(told["problem"])
        try:
            public_key = serialization.load_pem_public_key(told["public_key"].encode())
        except (UnsupportedAlgorithm, InternalError) as error:
            raise TlsError(
                "its key is of a kind that is not understood here; look at what the host is doing"
            ) from error
        check_chain(chain, public_key, description["certificate"]["names"], now)
    except TlsError as error:
        description["problem"] = str(error)
    return description
