# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CDN: domains whose changes reach its machines one after the other. Its methods are the actions. Needs the standard library only."""

from __future__ import annotations

import copy
import json
import time

from ansible_collections.evergreen.tls.tests.cloud.refused import Refused

ROUTES = {"Https.CertInfo.CertId", "Https.TlsVersion", "Https.Hsts", "ForceRedirect"}
DEFAULT_HTTPS = {
    "Switch": "off",
    "Http2": "on",
    "OcspStapling": "off",
    "VerifyClient": "off",
    "CertInfo": None,
    "ClientCertInfo": None,
    "Spdy": "off",
    "SslStatus": "closed",
    "Hsts": {"Switch": "off", "MaxAge": 0, "IncludeSubDomains": "off"},
    "TlsVersion": ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"],
}


class Cdn:
    """The API cdn.

    store: the service ssl. machines: how many there are. spread_s: seconds until the last of them has a change.
    stuck: domains whose changes never end. stubborn: domains whose machines follow no change, though the API says that they have.
    """

    service = "cdn"

    def __init__(self, store, *domains, machines=1, spread_s=0.0, clock=time.monotonic):
        self.store, self.machines, self.spread_s, self.clock = store, machines, spread_s, clock
        self.stuck, self.stubborn, self.failing = set(), set(), set()
        self.domains = {}
        for domain in domains:
            self.add(domain)
        store.bound = self.bound

    def add(self, domain):
        config = {
            "Domain": domain,
            "Cname": f"{domain}.cdn.dnsv1.test",
            "Status": "online",
            "Disable": "normal",
            "Readonly": "normal",
            "Area": "mainland",
            "Origin": {"OriginType": "domain", "Origins": ["origin.example.test"]},
            "Https": copy.deepcopy(DEFAULT_HTTPS),
            "ForceRedirect": {
                "Switch": "off",
                "RedirectType": "https",
                "RedirectStatusCode": 302,
                "CarryHeaders": None,
            },
            "HttpsBilling": {"Switch": "on"},
            "AccessPort": [80, 443, 8080],
        }
        self.domains[domain] = {"now": config, "served": [config] * self.machines, "until": [0.0] * self.machines}

    def bound(self, certificate):
        """Return what a certificate is bound to."""
        return [
            ("cdn", domain)
            for domain, one in self.domains.items()
            if (one["now"]["Https"]["CertInfo"] or {}).get("CertId") == certificate
        ]

    def served(self, machine, domain):
        """Return the configuration of a domain that a machine has by now; None for a domain that is not here."""
        if domain not in self.domains:
            return None
        one = self.domains[domain]
        if self.clock() >= one["until"][machine] and domain not in self.stubborn and domain not in self.stuck:
            one["served"][machine] = one["now"]
        return one["served"][machine]

    def DescribeDomainsConfig(self, Offset=0, Limit=20, Filters=()):
        wanted = None
        for one in Filters:
            if one["Name"] == "domain":
                if len(one["Value"]) > 5:
                    raise Refused("InvalidParameter.CdnParamError", "There are too many values.")
                wanted = one["Value"]
        shown = [self._shown(domain) for domain in self.domains if wanted is None or domain in wanted]
        return {"Domains": shown[Offset : Offset + Limit], "TotalNumber": len(shown)}

    def _shown(self, domain):
        shown = copy.deepcopy(self.domains[domain]["now"])
        if self._is_busy(domain):
            shown["Status"] = "processing"
        if domain in self.failing and shown["Https"]["Switch"] == "on":
            shown["Https"]["SslStatus"] = "failed"
            shown["Https"]["CertInfo"]["Message"] = "deployment failed"
        return shown

    def _is_busy(self, domain):
        return domain in self.stuck or self.clock() < max(self.domains[domain]["until"])

    def ModifyDomainConfig(self, Domain, Route, Value):
        if Route not in ROUTES:
            raise Refused("InvalidParameter.CdnParamError", "There is no such route.")
        update = json.loads(Value)["update"]
        config = self._changeable(Domain)
        if Route == "Https.CertInfo.CertId":
            if config["Https"]["Switch"] != "on":
                raise Refused("InvalidParameter.CdnCertInfoNotFound", "HTTPS is off.")
            self._set_certificate(config, update)
        else:
            *above, last = Route.split(".")
            target = config[above[0]] if above else config
            if isinstance(update, dict):
                target[last].update(update)
            else:
                target[last] = update
        self._spread(Domain, config)
        return {}

    def UpdateDomainConfig(self, Domain, Https=None):
        """Replace the whole of Https: what is left out goes back to its default, as in the real one."""
        config = self._changeable(Domain)
        if Https is not None:
            certificate = Https.pop("CertInfo")["CertId"]
            config["Https"] = {**copy.deepcopy(DEFAULT_HTTPS), **Https}
            self._set_certificate(config, certificate)
        self._spread(Domain, config)
        return {}

    def _changeable(self, domain):
        if domain not in self.domains:
            raise Refused("ResourceNotFound.CdnHostNotExists", "The domain does not exist.")
        if self._is_busy(domain):
            raise Refused("ResourceInUse.CdnOpInProgress", "Another change is under way.")
        for machine in range(self.machines):
            self.served(machine, domain)  # the machines have what was changed before
        config = copy.deepcopy(self.domains[domain]["now"])
        if config["Readonly"] != "normal":
            raise Refused("ResourceUnavailable.CdnHostIsLocked", "The domain is locked.")
        return config

    def _set_certificate(self, config, certificate):
        if certificate not in self.store.certificates:
            raise Refused("FailedOperation.SslCertNotFound", "The certificate does not exist.")
        config["Https"]["CertInfo"] = {"CertId": certificate, "From": "sslserver"}
        config["Https"]["SslStatus"] = "deployed"

    def _spread(self, domain, config):
        one, now = self.domains[domain], self.clock()
        one["now"] = config
        one["until"] = [now + self.spread_s * (number + 1) / self.machines for number in range(self.machines)]
