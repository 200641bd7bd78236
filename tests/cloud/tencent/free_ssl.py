# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free certificates (API ssl): orders that are validated by DNS. Its methods are the actions. Needs cryptography."""

from __future__ import annotations

import time

from cryptography import x509

from ansible_collections.evergreen.tls.tests.cloud.refused import Refused
from ansible_collections.evergreen.tls.tests.cloud.tencent.certificate_service import Ssl

GMT8_S = 8 * 3600


class FreeSsl(Ssl):
    """The API ssl with free certificates. It holds no key of them that anybody gets to see.

    has_record: says whether the DNS has a record of a name, type and value. verify_type: of the validation, TXT or CNAME; verify_types: by
    domain, where it differs. quota_of_account: how many there may be. reviews: for how many looks an order stays in review once it is
    validated; slow: domains whose review never ends. fails: why orders fail; failing: the domains of which they do, None for all.
    issue: returns chain and key in PEM for a domain, where machines are to present the certificate.
    """

    def __init__(self, has_record, verify_type="TXT", quota_of_account=20, reviews=1, days=90):
        super().__init__()
        self.has_record, self.verify_type, self.quota_of_account = has_record, verify_type, quota_of_account
        self.reviews, self.days, self.orders, self.fails, self.now = reviews, days, {}, None, time.time
        self.lose_answer = False
        self.verify_types, self.slow, self.failing = {}, set(), None
        self.issue = lambda _domain: ("", "")

    def ApplyCertificate(
        self,
        DvAuthMethod,
        DomainName,
        PackageType,
        ValidityPeriod,
        CsrEncryptAlgo,
        CsrKeyParameter,
        Alias,
        OldCertificateId="",
    ):
        if (DvAuthMethod, PackageType, ValidityPeriod) != ("DNS", "83", "3"):
            raise Refused("InvalidParameter", "The tests know one way.")
        if (CsrEncryptAlgo, CsrKeyParameter) not in (("RSA", "2048"), ("ECC", "prime256v1")):
            raise Refused("FailedOperation.InvalidCsrKeyParameter", "The parameters of the key are invalid.")
        if len([one for one in self.orders.values() if one["status"] not in (2, 3, 7, 10)]) >= self.quota_of_account:
            raise Refused("FailedOperation.ExceedsFreeLimit", "The number of free certificates exceeds the limit.")
        name = f"free{next(self.numbers):04d}"
        self.orders[name] = {
            "alias": Alias,
            "domain": DomainName,
            "status": 0,
            "looks": 0,
            "old": OldCertificateId,
            "completed": 0,
        }
        if self.lose_answer:
            raise Refused("InternalError", "The answer is lost.")
        return {"CertificateId": name}

    def DescribeCertificates(self, Offset=0, Limit=20, SearchKey="", FilterSource="", **more):
        free = [self._listed(name) for name, one in self.orders.items() if SearchKey in one["alias"]]
        uploaded = [] if FilterSource == "buy" else super().DescribeCertificates(0, 1000, SearchKey)["Certificates"]
        listed = free + uploaded
        return {"TotalCount": len(listed), "Certificates": listed[Offset : Offset + Limit]}

    def _listed(self, name):
        one = self.orders[name]
        ends = [time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment + GMT8_S)) for moment in self.ends(name)]
        times = dict(zip(("CertBeginTime", "CertEndTime"), ends, strict=False))
        return {
            "CertificateId": name,
            "Alias": one["alias"],
            "Domain": one["domain"],
            "PackageType": "83",
            "From": "trustasia",
            "Status": one["status"],
            "StatusMsg": one.get("message", ""),
            **times,
        }

    def ends(self, name):
        """Return the first and the last second of an issued certificate: those of its chain, where there is one."""
        chain = self.certificates.get(name, {}).get("chain")
        if chain:
            leaf = x509.load_pem_x509_certificate(chain.encode())
            return leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
        begin = self.orders[name].get("at")
        return () if begin is None else (begin, begin + self.days * 86400)

    def _record(self, name):
        one = self.orders[name]
        bare = one["domain"].removeprefix("*.")
        if self._verify_type(name) == "CNAME":
            return {
                "DvAuthKey": f"_{name}.{bare}",
                "DvAuthValue": f"{name}.trust-provider.test",
                "DvAuthVerifyType": "CNAME",
            }
        return {"DvAuthKey": f"_dnsauth.{bare}", "DvAuthValue": f"value-of-{name}", "DvAuthVerifyType": "TXT"}

    def _verify_type(self, name):
        return self.verify_types.get(self.orders[name]["domain"], self.verify_type)

    def _is_validated(self, name):
        record = self._record(name)
        return self.has_record(record["DvAuthKey"], record["DvAuthVerifyType"], record["DvAuthValue"])

    def DescribeCertificate(self, CertificateId):
        one = self.orders[CertificateId]
        if one["status"] == 0 and self.fails and (self.failing is None or one["domain"] in self.failing):
            one.update(status=2, message=self.fails)
        elif one["status"] == 0 and one["completed"] and self._is_validated(CertificateId):
            one["looks"] += 1
            if one["looks"] > self.reviews and one["domain"] not in self.slow:
                one.update(status=1, at=self.now())
                chain, key = self.issue(one["domain"])
                self.certificates[CertificateId] = {
                    "alias": one["alias"],
                    "names": [one["domain"]],
                    "chain": chain,
                    "key": key,
                    "at": "",
                }
        listed = {key: value for key, value in self._listed(CertificateId).items() if key != "CertificateId"}
        return {**listed, "CertificateId": CertificateId, "DvAuthDetail": {"DvAuths": [self._record(CertificateId)]}}

    def CheckCertificateDomainVerification(self, CertificateId):
        is_there = self._is_validated(CertificateId)
        local = 1 if is_there else (-6 if self._verify_type(CertificateId) == "CNAME" else -1)
        one = {"Domain": self.orders[CertificateId]["domain"], "LocalCheck": local, "CaCheck": -1}
        return {"VerificationResults": [one]}

    def CompleteCertificate(self, CertificateId):
        self.orders[CertificateId]["completed"] += 1
        return {"CertificateId": CertificateId}

    def RevokeCertificate(self, CertificateId, Reason=""):
        if self.bound(CertificateId):
            raise Refused("FailedOperation.RevokeResourceFailed", "The certificate is bound to a resource.")
        self.orders[CertificateId]["status"] = 9
        record = self._record(CertificateId)
        return {
            "RevokeDomainValidateAuths": [
                {"DomainValidateAuthKey": record["DvAuthKey"], "DomainValidateAuthValue": "revoke-it"}
            ]
        }
