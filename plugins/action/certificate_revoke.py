# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cache import IssuedCache
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.revocation_reasons import REVOCATION_REASONS
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer


class ActionModule(TlsAction):
    """Have a certificate revoked by the issuer that issued it."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "issuer": {"type": "str", "default": "local"},
        "serial_number": {"type": "str", "required": True},
        "reason": {"type": "str", "choices": sorted(REVOCATION_REASONS), "default": "unspecified"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
    }

    # not a parser: it only passes on foreign input
    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        serial_number = arguments["serial_number"].replace(":", "").lower().lstrip("0")
        if not serial_number or set(serial_number) - set("0123456789abcdef"):
            raise TlsError(
                f"{arguments['serial_number']!r} is no serial number; write its hexadecimal digits, as certificate_info shows them"
            )
        issuer = open_issuer(arguments["issuer"], arguments["issuers"])
        if not self._task.check_mode:
            IssuedCache(issuer.cache_directory).forget(int(serial_number, 16))
        changed = issuer.revoke(serial_number, arguments["reason"], pretend=self._task.check_mode)
        verb = "would be" if self._task.check_mode else "is"
        return {
            "changed": changed,
            "msg": f"{serial_number} {verb} revoked" if changed else f"{serial_number} was revoked before",
        }
