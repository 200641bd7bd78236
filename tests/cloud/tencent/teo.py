# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EdgeOne (API teo): a zone with domains. Its methods are the actions. Needs the standard library only."""

from __future__ import annotations

from ansible_collections.evergreen.tls.tests.cloud.refused import Refused

ZONE = "zone-1"


class Teo:
    """The API teo. A domain is busy for as many looks as *spread* says, after each change.

    stubborn: domains whose machines follow no change, though the API says that they have.
    """

    service = "teo"

    def __init__(self, ssl, *domains, spread=1):
        self.ssl, self.spread = ssl, spread
        self.domains = {name: {"status": "online", "mode": "disable", "list": [], "busy": 0} for name in domains}
        self.presented, self.stubborn = {}, set()
        ssl.bound = lambda certificate: [("teo", n) for n, one in self.domains.items() if certificate in one["list"]]

    def served(self, domain):
        """Return the certificate that the machines present for a domain by now; None where there is none."""
        one = self.domains.get(domain)
        if one and one["list"] and not one["busy"] and domain not in self.stubborn:
            self.presented[domain] = one["list"][0]
        return self.presented.get(domain)

    def DescribeAccelerationDomains(self, ZoneId, Filters, Limit=20):
        if ZoneId != ZONE:
            raise Refused("ResourceNotFound.ZoneNotFound", "The zone does not exist.")
        (names,) = (one["Values"] for one in Filters if one["Name"] == "domain-name")
        if len(names) > 20:
            raise Refused("InvalidParameter", "There are too many values.")
        listed = [self._domain(name, self.domains[name]) for name in names if name in self.domains]
        return {"TotalCount": len(listed), "AccelerationDomains": listed[:Limit]}

    def _domain(self, name, one):
        status = one.get("entry") or ("processing" if one["busy"] else "deployed")
        entries = [
            {"CertId": certificate, "Alias": self.ssl.certificates[certificate]["alias"], "Status": status}
            for certificate in one["list"]
        ]
        answer = {
            "DomainName": name,
            "DomainStatus": "process" if one["busy"] else one["status"],
            "Cname": f"{name}.eo.dnse1.test",
            "Certificate": {"Mode": one["mode"], "List": entries or None},
        }
        one["busy"] = max(0, one["busy"] - 1)
        return answer

    def ModifyHostsCertificate(self, ZoneId, Hosts, Mode="disable", ServerCertInfo=()):
        if ZoneId != ZONE or not Hosts:
            raise Refused("InvalidParameterValue", "There is no host.")
        for host in Hosts:
            self.served(host)  # the machines have what was changed before
            if self.domains[host]["busy"]:
                raise Refused("ResourceInUse.Processing", "The domain is being deployed.")
            certificates = [one["CertId"] for one in ServerCertInfo]
            if not set(certificates) <= set(self.ssl.certificates):
                raise Refused("InvalidParameter.CertNotFound", "The certificate does not exist.")
            self.domains[host].update(mode=Mode, list=certificates, busy=self.spread)
        return {}
