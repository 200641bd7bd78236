# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REMOTE_SERVERS, REQUEST_SPEC, Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import (
    TlsAction,
    cloud_accounts,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Background
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.remote_server import check_local_connection
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.registry import open_appliance
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import (
    Binding,
    CertificateService,
    Settings,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.installed import installed_pair, upload_prefix
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.redirect import check_redirect
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.settle import (
    describe_settings,
    remove_old_uploads,
    settings_diff,
    settings_of,
    settle,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import (
    Deployment,
    Pair,
    deploy_certificate,
    deployment_diff,
    describe_deployment,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.cloud import is_hosted
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_task
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import at_every_address, request_targets
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.hosting import (
    HostedService,
    hosted_pair,
    open_hosted,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.registry import open_service


class ActionModule(TlsAction):
    """Bring the certificate in use to the service that presents it, from the store on the controller."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "request": REQUEST_SPEC,
        "directory": {"type": "path", "default": "/etc/evergreen"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "accounts": {"type": "dict", "no_log": True},
        "proved": {"type": "bool", "default": False},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        request, host = complete_request(arguments["request"]), task_vars.get("inventory_hostname", "")
        self._check_remote(request)
        prefix = upload_prefix(request, host)
        pair = hosted_pair(prefix) if is_hosted(request) else installed_pair(arguments["directory"], request, host)
        if pair is None:
            if self._task.check_mode:
                return {
                    "changed": True,
                    "msg": f"would deploy the certificate of {request['name']} once it is installed",
                }
            raise TlsError(
                f"{request['name']} has no certificate in {arguments['directory']} on the controller; have it issued first, with evergreen.tls.deploy"
            )
        if arguments["proved"] and request["served_by"] == "appliance":  # which has no settings, and keeps no uploads
            return {"changed": False, "msg": ""}
        service = self._open(request, arguments, task_vars, prefix)
        if arguments["proved"]:
            targets = at_every_address(request_targets(variables_of_task(task_vars), host, request), {})
            places = {domain: address for address, _port, domain in reversed(targets)}
            finish = functools.partial(self._finish, service, pair, request, prefix, places)
            return await Background(finish)
        return await Background(functools.partial(self._deploy, service, pair, request))

    def _check_remote(self, request: Request) -> None:
        """Raise TlsError unless the certificate is for a service, and this process is where its key is."""
        if request["served_by"] not in REMOTE_SERVERS:
            raise TlsError(
                f"certificate request {request['name']}: served_by is {request['served_by']}, and only {' and '.join(REMOTE_SERVERS)} "
                "are deployed from the controller; correct it, or use certificate_serve"
            )
        check_local_connection(request, self._connection)

    def _open(
        self, request: Request, arguments: dict[str, t.Any], task_vars: dict[str, t.Any], prefix: str
    ) -> CertificateService:
        if request["served_by"] == "appliance":
            targets = request_targets(variables_of_task(task_vars), task_vars["inventory_hostname"], request)
            return open_appliance(request, list(dict.fromkeys((address, port) for address, port, _domain in targets)))
        accounts = cloud_accounts(task_vars) if arguments["accounts"] is None else arguments["accounts"]
        return open_hosted(request, accounts, prefix) if is_hosted(request) else open_service(request, accounts, prefix)

    def _deploy(self, service: CertificateService, pair: Pair, request: Request) -> dict[str, t.Any]:
        """Return the result of uploading and binding."""
        check_mode = self._task.check_mode
        if check_mode and not pair.chain and service.find(pair.chain, pair.label) is None:
            return {
                "changed": True,
                "msg": f"would deploy the certificate of {request['name']} once the cloud has issued it",
            }
        done = deploy_certificate(service, pair, _patience_s(request), check_mode, settings=_settings(request))
        result: dict[str, t.Any] = {
            "changed": done.is_changed,
            "certificate": done.certificate,
            "fingerprint": fingerprint(pair.chain[0]) if pair.chain else None,
            "uploaded": done.is_uploaded,
            "resources": [_described(binding) for binding in done.bindings],
            "canonical_names": {one.resource: one.address for one in done.bindings if one.address},
            "msg": describe_deployment(service, pair, done, check_mode),
        }
        if isinstance(service, HostedService) and service.validity:
            result["validity"] = service.validity
        if done.is_changed:
            result["diff"] = deployment_diff(service, pair, done)
        if done.pending:
            result["waiting"] = _waiting(service, done, request)
            result["msg"] = result["waiting"]["for"]
        return result

    def _finish(
        self,
        service: CertificateService,
        pair: Pair,
        request: Request,
        prefix: str,
        places: dict[str, str],
    ) -> dict[str, t.Any]:
        """Return the result of what follows once the certificate is proved: settings, and the removal of old uploads.

        places: an address of each domain that is served, for the proof of a redirect.
        """
        check_mode = self._task.check_mode

        def prove_redirect(binding: Binding) -> None:
            domain = binding.resource if binding.resource in places else next(iter(places))
            check_redirect(probe_name(domain), places[domain])

        settled = settle(service, _settings(request), prove_redirect, _patience_s(request), check_mode)
        certificate = service.find(pair.chain, pair.label)
        removed: list[str] = []
        warnings = [
            f"{resource}: the settings are still being brought into effect; the next run looks again"
            for resource in settled.pending
        ]
        if certificate is not None:
            keep = (request["cloud"] or {}).get("keep") or request["keep"]
            removed, more = remove_old_uploads(service, prefix, certificate, keep, check_mode)
            warnings += more
        sentences = [describe_settings(settled.changes, check_mode)]
        if removed:
            sentences.append(f"{'would remove' if check_mode else 'removed'} {len(removed)} old from {service.title}")
        result: dict[str, t.Any] = {
            "changed": bool(settled.changes or removed),
            "removed": removed,
            "msg": ", ".join(filter(None, sentences)),
            "warnings": warnings,
        }
        if settled.changes:
            result["diff"] = settings_diff(service, settled.changes)
        return result


def _settings(request: Request) -> Settings:
    cloud = request["cloud"]
    return settings_of(cloud) if cloud else Settings()


def _patience_s(request: Request) -> float:
    cloud = request["cloud"]
    return parse_duration(cloud["patience"]).total_seconds() if cloud else 60.0


def _described(binding: Binding) -> dict[str, t.Any]:
    return {
        "resource": binding.resource,
        "certificate": binding.certificate,
        "state": binding.state,
        "address": binding.address,
    }


def _waiting(service: CertificateService, done: Deployment, request: Request) -> dict[str, t.Any]:
    """Return what is waited for, and since when, as an issuer does for a certificate that is not issued yet."""
    resources = ", ".join(binding.resource for binding in done.pending)
    reasons = ". ".join(dict.fromkeys(binding.reason for binding in done.pending if binding.reason))
    cloud = request["cloud"]
    patience = f" after {cloud['patience']}" if cloud else ""
    sentence = (
        f"{service.title} has not brought it into effect for {resources}{patience}{f' ({reasons})' if reasons else ''}; the certificate "
        "before goes on being served, and the next run looks again"
    )
    return {"for": sentence, "since": utc_now().isoformat(timespec="seconds")}
