# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load balancers (API clb). Their methods are the actions. Needs the standard library only."""

from __future__ import annotations

import itertools

from ansible_collections.evergreen.tls.tests.cloud.refused import Refused


class Clb:
    """The API clb with one load balancer, lb-1.

    listeners: by identifier, as DescribeListeners gives them. A task runs for one look. fails: whether tasks fail.
    """

    service = "clb"

    def __init__(self, ssl, **listeners):
        self.ssl, self.tasks, self.numbers, self.fails = ssl, {}, itertools.count(1), False
        self.listeners = {
            name.replace("_", "-"): {"SniSwitch": 0, "Protocol": "HTTPS", **one} for name, one in listeners.items()
        }
        ssl.bound = lambda certificate: [
            ("clb", name) for name, one in self.listeners.items() if certificate in str(one)
        ]

    def served(self, domain):
        """Return the certificate that a rule for a domain presents; None where there is no such rule."""
        rules = [rule for one in self.listeners.values() for rule in one.get("Rules") or [] if rule["Domain"] == domain]
        return ((rules[0]["Certificate"] if rules else None) or {}).get("CertId")

    def DescribeListeners(self, LoadBalancerId, ListenerIds):
        self._check(LoadBalancerId)
        listed = [{"ListenerId": name, **self.listeners[name]} for name in ListenerIds if name in self.listeners]
        return {"Listeners": listed}

    def ModifyListener(self, LoadBalancerId, ListenerId, Certificate=None, MultiCertInfo=None):
        self._check(LoadBalancerId)
        listener = self.listeners[ListenerId]
        if listener["SniSwitch"]:
            raise Refused("InvalidParameter", "The listener has SNI.")
        return self._change(listener, Certificate, MultiCertInfo)

    def ModifyDomainAttributes(self, LoadBalancerId, ListenerId, Domain, Certificate=None, MultiCertInfo=None):
        self._check(LoadBalancerId)
        (rule,) = (one for one in self.listeners[ListenerId]["Rules"] if one["Domain"] == Domain)
        return self._change(rule, Certificate, MultiCertInfo)

    def _check(self, balancer):
        if balancer != "lb-1":
            raise Refused("InvalidParameter.LBIdNotFound", "The load balancer does not exist.")
        if any(not looks for looks, _change in self.tasks.values()):
            raise Refused("FailedOperation.ResourceInOperating", "Your task is working.")

    def _change(self, target, certificate, several):
        if (certificate is None) == (several is None):
            raise Refused("InvalidParameter", "One of Certificate and MultiCertInfo.")
        if several:
            authority = target["Certificate"].get("CertCaId")
            names = [one["CertId"] for one in several["CertList"] if one["CertId"] != authority]
            output = {"SSLMode": several["SSLMode"], "CertId": names[0], "ExtCertIds": names[1:]}
            output |= {"CertCaId": authority} if len(names) < len(several["CertList"]) else {}
            output |= {"SSLVerifyClient": several.get("SSLVerifyClient")}
        else:
            output = {"SSLMode": "UNIDIRECTIONAL", "ExtCertIds": [], **certificate}
            names = [certificate["CertId"]]
        if output["SSLMode"] == "MUTUAL" and not output.get("CertCaId"):
            raise Refused("InvalidParameter", "Mutual TLS needs the certificate of a CA.")
        if not set(names) <= set(self.ssl.certificates):
            raise Refused("InvalidParameterValue", "The certificate does not exist.")
        number = f"request-{next(self.numbers)}"
        self.tasks[number] = [1, None]
        if not self.fails:
            target["Certificate"] = output
        return {"RequestId": number}

    def DescribeTaskStatus(self, TaskId):
        looks, _change = self.tasks[TaskId]
        self.tasks[TaskId][0] = looks + 1
        return {"Status": 2 if looks == 1 else (1 if self.fails else 0)}
