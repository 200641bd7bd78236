# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._packages import CRYPTOGRAPHY_PACKAGES
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REMOTE_SERVERS, REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions import clock_skew
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.remote_server import (
    NO_CRYPTOGRAPHY,
    check_local_connection,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import PendingIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issued import revoked_certificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.private_authority import MAKE_CA, absence_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import (
    advice,
    check_request_for_issuer,
    open_issuer,
)


class ActionModule(TlsAction):
    """Check and complete the request, add what the issuer knows, and run the module on the host."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "request": REQUEST_SPEC,
        "directory": {"type": "path", "default": "/etc/evergreen"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "roots": {"type": "str"},
        "force": {"type": "bool", "default": False},
        "host": {"type": "str"},
        "renewals": {"type": "dict"},
        "revoked": {"type": "dict"},
        "withdraw": {"type": "bool", "default": False},
        "make_ca": {"type": "str", "choices": list(MAKE_CA), "default": "first"},
    }

    # not a parser: it only passes on foreign input
    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        request = complete_request(arguments["request"])
        check_local_connection(request, self._connection)
        issuers, host = arguments.pop("issuers"), arguments["host"] or task_vars.get("inventory_hostname", "")
        check_request_for_issuer(request, issuers)
        issuer = open_issuer(request["issuer"], issuers)
        make_ca, remarks = arguments.pop("make_ca"), []
        if isinstance(issuer, LocalCa) and not arguments["withdraw"]:
            prepare_ca(issuer, make_ca, self._task.check_mode)
            remarks = issuer.remarks
        is_absent = isinstance(issuer, LocalCa) and issuer.absence() is not None
        if is_absent and make_ca == "always":  # in check mode
            arguments["force"] = True
        roots = None if is_absent and arguments["withdraw"] else issuer.roots()
        patience = issuer.patience if isinstance(issuer, PendingIssuer) else None
        renewals, revoked = arguments["renewals"], arguments["revoked"]
        if revoked is None:
            revoked = revoked_certificates(host, request["name"], request["issuer"], issuers)
        arguments = {
            **arguments,
            "patience": int(patience.total_seconds()) if patience else None,
            "request": request,
            "passphrase": request["key_passphrase"] if request["encrypt_key"] else None,
            "roots": arguments["roots"] or (roots.decode() if roots else None),
            "host": host,
            "renewals": advice(issuer, host, request) if renewals is None else renewals,
            "revoked": revoked,
        }
        result = await self._run_on_host(arguments, task_vars)
        if result.get("missing") and request["served_by"] in REMOTE_SERVERS:
            raise TlsError(NO_CRYPTOGRAPHY)
        if result.get("missing") in CRYPTOGRAPHY_PACKAGES:
            result = await self._install(result["missing"], task_vars) or await self._run_on_host(arguments, task_vars)
        # Another run may have made the CA meanwhile, and the certificate that is in use.
        absence = issuer.absence() if isinstance(issuer, LocalCa) and is_absent else None
        if isinstance(issuer, LocalCa) and absence and _is_in_use(result):
            # Nobody can tell whether clients trust it. A host that serves nothing at the moment has one all the same.
            raise TlsError(absence_sentence(issuer.issuer, absence, bool(issuer.root), serving=1))
        if remarks:
            result["warnings"] = [*result.get("warnings", []), *remarks]
        is_pending = result.get("failed") or result.get("due") or "since" in result
        if isinstance(issuer, PendingIssuer) and not is_pending:
            is_withdrawn = not self._task.check_mode and issuer.withdraw(host, request["name"])
            result["changed"] = result.get("changed", False) or is_withdrawn
        return result

    async def _run_on_host(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result of the module. Raises TlsError if the clock of the host is so wrong that a certificate would be useless there."""
        before = utc_now()
        result = await self.run_module("certificate_request", arguments, task_vars)
        if "exposed" in result:
            warning = (
                f"{result['exposed']}, and so it is renewed with a new one; from now on only those can read it whom owner, group and "
                "mode of the request name, so write into it whom else a program needs there"
            )
            result = {**result, "warnings": [*result.get("warnings", []), warning]}
        host_time = result.pop("now", None)
        skew = datetime.timedelta() if host_time is None else clock_skew.measured_skew(before, host_time, utc_now())
        if not clock_skew.is_excessive(skew):
            return result
        message = f"{clock_skew.skew_message(skew)}, and run this again"
        if result.get("due") and "ready" not in result:
            raise TlsError(f"nothing is issued by the wrong time: {message}", reason=result.get("reason"))
        return {**result, "warnings": [*result.get("warnings", []), message]}

    async def _install(self, package: str, task_vars: dict[str, t.Any]) -> dict[str, t.Any] | None:
        """Install a package on the host. Return the result of the task if it ends here, None if it goes on."""
        error = await self.package_error(package, task_vars)
        if error:
            return {
                "failed": True,
                "msg": f"Python's cryptography library is not on this host, and its package {package} cannot be installed: "
                f"{error}; install it for the Python interpreter of this host",
            }
        if self._task.check_mode:
            return {"changed": True, "due": True, "reason": f"the package {package} would be installed first"}
        return None


def prepare_ca(issuer: LocalCa, make_ca: str, check_mode: bool) -> None:
    """Make a private CA where the user wants a new one. Raises TlsError where there is none, and none may be made."""
    absence = issuer.absence()
    if absence and (issuer.root or make_ca == "never"):
        raise TlsError(absence_sentence(issuer.issuer, absence, bool(issuer.root)))
    if absence and make_ca == "always" and not check_mode:
        issuer.make()


def _is_in_use(result: dict[str, t.Any]) -> bool:
    """Return whether a host says that a certificate of the issuer is in use, and not due."""
    return result.get("due") is False and bool(result.get("fingerprint")) and not result.get("failed")
