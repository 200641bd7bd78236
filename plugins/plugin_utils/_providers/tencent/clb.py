# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load balancers (API clb, version 2018-03-17): listeners, and domains of listeners with SNI, that present an uploaded certificate.

No field of this version of the API sets TLS versions. What belongs to mutual TLS is sent as it was read, since it would be switched off.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding, Settings, State
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.stored_service import (
    LABEL_BEGIN,
    StoredService,
    object_at,
    objects_at,
    raising_busy,
    text_at,
)

TLS_PROTOCOLS = ("HTTPS", "TCP_SSL", "QUIC")
MUTUAL = "MUTUAL"  # the SSLMode in which clients present certificates as well
TASK_STATES: dict[int, State] = {0: "ready", 1: "failed", 2: "busy"}


class LoadBalancer(StoredService):
    """A listener of a load balancer; with SNI, the domains of the request that it has rules for."""

    def __init__(self, account: Account, request: Request, prefix: str) -> None:
        super().__init__(account, request, prefix)
        self.balancer, self.listener = self.cloud.get("load_balancer"), self.cloud.get("listener")
        self.region = self.cloud.get("region")
        self.title = f"the load balancer {self.balancer} of account {account.name}"
        if not self.balancer or not self.listener:
            raise TlsError(
                f"the load balancers of account {account.name}: cloud.load_balancer and cloud.listener say which one; write lb-… and lbl-…"
            )
        self._tasks: dict[str, str] = {}  # the calls of this run that are not known to be done, by resource

    def bindings(self) -> list[Binding]:
        """Return what the listener presents: one binding, or with SNI one for each domain."""
        parameters = {"LoadBalancerId": self.balancer, "ListenerIds": [self.listener]}
        listeners = objects_at(self._call("DescribeListeners", parameters), "Listeners")
        listener = next((one for one in listeners if text_at(one, "ListenerId") == self.listener), None)
        name = f"{self.balancer}/{self.listener}"
        if listener is None:
            return [Binding(name, None, "unfit", "there is no such listener; correct cloud.listener")]
        protocol = text_at(listener, "Protocol")
        if protocol not in TLS_PROTOCOLS:
            reason = f"its protocol is {shorten(protocol, 50)}; name a listener for {', '.join(TLS_PROTOCOLS)}"
            return [Binding(name, None, "unfit", reason)]
        if listener.get("SniSwitch") != 1:
            return [self._binding(name, None, object_at(listener, "Certificate"))]
        rules = {text_at(rule, "Domain"): rule for rule in objects_at(listener, "Rules")}
        return [self._domain_binding(name, domain, rules.get(domain)) for domain in self.domains]

    def _domain_binding(self, name: str, domain: str, rule: dict[str, t.Any] | None) -> Binding:
        if rule is None:
            reason = "the listener has no rule for this domain; add one in the console, or correct cloud.resources"
            return Binding(f"{name}/{domain}", None, "unfit", reason)
        return self._binding(f"{name}/{domain}", domain, object_at(rule, "Certificate"))

    def _binding(self, resource: str, domain: str | None, presented: dict[str, t.Any]) -> Binding:
        first = text_at(presented, "CertId")
        listed = presented.get("ExtCertIds")
        further = [one for one in listed if isinstance(one, str) and one] if isinstance(listed, list) else []
        certificate, state, reason = first or None, self._state(resource), ""
        if further:  # certificates with several types of keys
            ours = {one.certificate for one in self.store.labelled(LABEL_BEGIN)}
            replaceable = [one for one in [first, *further] if one in ours]
            certificate = replaceable[0] if len(replaceable) == 1 else None
            if certificate is None:
                state = "unfit"
                reason = "it presents several certificates, and which of them to replace is open; leave one of them in the console"
        if state == "failed":
            reason = "the load balancer says that the change failed; look at it in the console"
        elif state == "busy":
            reason = "a change is under way"
        details = {"domain": domain, "presented": presented, "all": [one for one in [first, *further] if one]}
        return Binding(resource, certificate, state, reason, {}, None, details)

    def bind(self, binding: Binding, certificate: str) -> None:
        """Have the listener or the domain present a certificate in place of the one before."""
        parameters: dict[str, t.Any] = {
            "LoadBalancerId": self.balancer,
            "ListenerId": self.listener,
            **certificate_fields(binding, certificate),
        }
        domain = binding.details["domain"]
        with raising_busy():
            if domain is None:
                answer = self._call("ModifyListener", parameters)
            else:
                answer = self._call("ModifyDomainAttributes", {**parameters, "Domain": domain})
        self._tasks[binding.resource] = text_at(answer, "RequestId")

    def configure(self, binding: Binding, settings: Settings) -> None:
        """Do nothing: bindings() names no setting, so that none is asked for."""

    def _state(self, resource: str) -> State:
        """Return the state of the last change that this run made to a resource."""
        task = self._tasks.get(resource)
        if not task:
            return "ready"
        status = self._call("DescribeTaskStatus", {"TaskId": task}).get("Status")
        state = TASK_STATES.get(status, "busy") if isinstance(status, int) else "busy"
        if state == "ready":
            del self._tasks[resource]
        return state

    def _call(self, action: str, parameters: dict[str, t.Any]) -> dict[str, t.Any]:
        return self.client.call("clb", action, parameters, self.region)


def certificate_fields(binding: Binding, certificate: str) -> dict[str, t.Any]:
    """Return the fields of a change that replace one certificate and keep the rest: the others, and mutual TLS."""
    presented = binding.details["presented"]
    mode = text_at(presented, "SSLMode") or "UNIDIRECTIONAL"
    authority = text_at(presented, "CertCaId") if mode == MUTUAL else ""
    verify = {"SSLVerifyClient": presented["SSLVerifyClient"]} if authority and presented.get("SSLVerifyClient") else {}
    others = [one for one in binding.details["all"] if one not in (binding.certificate, certificate)]
    if not others:
        ca = {"CertCaId": authority} if authority else {}
        return {"Certificate": {"SSLMode": mode, "CertId": certificate, **ca, **verify}}
    listed = [certificate, *others, *([authority] if authority else [])]
    return {"MultiCertInfo": {"SSLMode": mode, "CertList": [{"CertId": one} for one in listed], **verify}}
