# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import describe_chain, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import (
    REMOTE_SERVERS,
    REQUEST_SPEC,
    Request,
)
from ansible_collections.evergreen.tls.plugins.module_utils._tls.verify import (
    VALIDITY_SPEC,
    Verification,
    verify_targets,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._http3_proof import (
    NOT_FROM_HOST,
    Http3Proof,
    prove_http3,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_task
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import (
    Target,
    at_answering_addresses,
    at_every_address,
    request_targets,
    served_domains,
    with_remote_advice,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer


class ActionModule(TlsAction):
    """Verify what is served with handshakes from the controller, or from the host itself."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "request": REQUEST_SPEC,
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "address": {"type": "str"},
        "fingerprint": {"type": "str"},
        "validity": {"type": "dict", "options": VALIDITY_SPEC},
        "roots": {"type": "str"},
        "timeout": {"type": "float", "default": 10},
        "times": {"type": "int", "default": 1},
        "proxy_protocol": {"type": "bool", "default": False},
        "http3_names": {"type": "list", "elements": "str", "default": []},
        "tls_versions": {"type": "list", "elements": "str", "choices": ["TLSv1.2", "TLSv1.3"]},
        "canonical_names": {"type": "dict", "default": {}},
        "verify_from": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
    }

    # not a parser: it only passes on foreign input
    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        request = complete_request(arguments["request"])
        roots = open_issuer(request["issuer"], arguments.pop("issuers")).roots()
        arguments["request"] = request
        arguments["roots"] = arguments["roots"] or (roots.decode() if roots else None)
        canonical_names = arguments.pop("canonical_names")
        http3_names = [probe_name(name) for name in arguments.pop("http3_names")]
        if arguments["verify_from"] == "host":
            seen = _described(await self.run_module("handshake_verify", arguments, task_vars))
            return _with_warnings(seen, [NOT_FROM_HOST]) if http3_names and not seen.get("failed") else seen
        if not arguments["address"] and variables_of_task(task_vars).get("certificate_endpoint"):
            # A load balancer is there, which sends the header itself, and may have its own versions of TLS.
            arguments.update(proxy_protocol=False, tls_versions=None)
        targets, warnings = self._targets(request, arguments["address"], canonical_names, task_vars)
        advise = with_remote_advice if request["served_by"] in REMOTE_SERVERS else str
        try:
            result = verify_targets(targets, arguments, "controller", self._task.check_mode)
            if http3_names and not result["problems"]:
                timeout = 0 if self._task.check_mode else arguments["timeout"]
                proof = prove_http3(result["handshakes"], http3_names, timeout)
                result = _with_http3(result, proof, self._task.check_mode)
        except TlsError as error:
            details = _described(error.details)
            raise TlsError(advise(str(error)), **details) from error
        return {**_described(_with_warnings(result, warnings)), "msg": advise(result["msg"])}

    def _targets(
        self, request: Request, address: str | None, canonical_names: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> tuple[list[Target], list[str]]:
        """Return where to look, and warnings: at the one address that is named, at those of the host, or at every address of a service.

        Where C(certificate_endpoint) is a name, each of its addresses that answers counts: clients use any of them.
        """
        if address:
            return [(address, request["port"], domain) for domain in served_domains(request)], []
        variables = variables_of_task(task_vars)
        targets = request_targets(variables, task_vars["inventory_hostname"], request)
        if request["served_by"] in REMOTE_SERVERS:
            return at_every_address(targets, canonical_names), []
        return at_answering_addresses(targets) if variables.get("certificate_endpoint") else (targets, [])


# not a parser: it only passes on foreign input
def _with_http3(result: Verification, proof: Http3Proof, check_mode: bool) -> Verification:
    """Return a result with what handshakes over QUIC have shown. Raises TlsError if they failed, except in check mode."""
    shown = [*result["handshakes"], *proof.proved]
    result = t.cast(Verification, _with_warnings({**result, "handshakes": shown}, proof.warnings))
    if proof.problems:
        sentence = ". ".join(proof.problems)
        details = {**result, "problems": proof.problems, "answered": True, "untrusted": False}
        del details["msg"]
        if not check_mode:
            raise TlsError(f"seen from the controller: {sentence}", **details)
        return t.cast(Verification, {**details, "msg": f"not served yet: {sentence}"})
    return {**result, "msg": f"{result['msg']}, by HTTP/3 too"} if proof.names else result


def _with_warnings(result: t.Mapping[str, t.Any], warnings: list[str]) -> dict[str, t.Any]:
    more = [*result.get("warnings", []), *warnings]
    return {**result, "warnings": more} if more else dict(result)


def _described(result: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return a result whose handshakes have a described certificate in the place of the chain."""
    if "handshakes" not in result:
        return dict(result)
    return {**result, "handshakes": [_described_handshake(**handshake) for handshake in result["handshakes"]]}


def _described_handshake(chain: str, **handshake: t.Any) -> dict[str, t.Any]:
    return {**handshake, "certificate": describe_chain(parse_chain(chain.encode(errors="replace")))}
