# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificate service ssl: what was uploaded, and what is bound to it. Its methods are the actions. Needs cryptography."""

from __future__ import annotations

import itertools
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ansible_collections.evergreen.tls.tests.cloud.refused import Refused


class Ssl:
    """The API ssl.

    bound: returns the services and resources that a certificate is bound to. Two actions return keys in the real one, and are refused here.
    quota: how many certificates the account may have.
    """

    service = "ssl"

    def __init__(self, quota=1000):
        self.certificates, self.numbers, self.tasks = {}, itertools.count(1), {}
        self.bound = lambda _certificate: []
        self.quota = quota
        self.deleted_while_bound = []

    def pair(self, certificate):
        """Return chain and key in PEM, for the machines that present them."""
        one = self.certificates[certificate]
        return one["chain"], one["key"]

    def CheckCertificateExist(self, CertificatePublicKey):
        return {"RepeatCertId": self._same(CertificatePublicKey) or ""}

    def UploadCertificate(
        self, CertificatePublicKey, CertificatePrivateKey="", CertificateType="SVR", Alias="", Repeatable=True
    ):
        if CertificatePublicKey != CertificatePublicKey.strip() + "\n":
            raise Refused("FailedOperation.CertificateParseError", "There are blanks around the certificate.")
        chain = _parsed(CertificatePublicKey)
        if not CertificatePrivateKey.startswith(("-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----")):
            raise Refused("FailedOperation.CertificateParseError", "The private key cannot be parsed.")
        key = serialization.load_pem_private_key(CertificatePrivateKey.encode(), None)
        if key.public_key() != chain[0].public_key():
            raise Refused("FailedOperation.CertificateMatchError", "The certificate does not match the key.")
        for below, above in itertools.pairwise(chain):
            if below.issuer != above.subject:
                raise Refused("FailedOperation.CertificateChainError", "The chain is incomplete.")
        same = self._same(CertificatePublicKey)
        if same and not Repeatable:
            return {"CertificateId": same, "RepeatCertId": same}
        if len(self.certificates) >= self.quota:
            raise Refused(
                "InvalidParameter.CertificatesNumberExceeded", "The number of certificates exceeds the limit."
            )
        name = f"cert{next(self.numbers):04d}"
        self.certificates[name] = {
            "chain": CertificatePublicKey,
            "key": CertificatePrivateKey,
            "alias": Alias,
            "type": CertificateType,
            "at": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + 8 * 3600)),
            "names": _names(chain[0]),
        }
        return {"CertificateId": name, "RepeatCertId": ""}

    def DescribeCertificates(self, Offset=0, Limit=20, SearchKey="", FilterSource="", **_more):
        listed = [
            {
                "CertificateId": name,
                "Alias": one["alias"],
                "From": "upload",
                "Status": 1,
                "Domain": one["names"][0],
                "SubjectAltName": one["names"],
                "InsertTime": one["at"],
            }
            for name, one in self.certificates.items()
            if SearchKey in (one["alias"], name) or SearchKey in one["alias"] or SearchKey in one["names"]
        ]
        return {"TotalCount": len(listed), "Certificates": listed[Offset : Offset + Limit]}

    def DeleteCertificate(self, CertificateId, IsCheckResource=False):
        if CertificateId not in self.certificates:
            raise Refused("FailedOperation.CertificateNotFound", "The certificate does not exist.")
        if self.bound(CertificateId):
            if IsCheckResource:
                raise Refused("FailedOperation.DeleteResourceFailed", "The certificate is bound to a resource.")
            self.deleted_while_bound.append(CertificateId)
        del self.certificates[CertificateId]
        return {"DeleteResult": True}

    def RevokeCertificate(self, CertificateId, Reason=""):
        if self.bound(CertificateId):
            raise Refused("FailedOperation.RevokeResourceFailed", "The certificate is bound to a resource.")
        return {"RevokeDomainValidateAuths": []}

    def CreateCertificateBindResourceSyncTask(self, CertificateIds, IsCache):
        if IsCache:
            raise Refused("InvalidParameter", "The tests want a fresh look.")
        tasks = {f"task{next(self.numbers)}": name for name in CertificateIds}
        self.tasks.update({task: [name, 0] for task, name in tasks.items()})
        return {"CertTaskIds": [{"CertId": name, "TaskId": task} for task, name in tasks.items()]}

    def DescribeCertificateBindResourceTaskResult(self, TaskIds):
        return {"SyncTaskBindResourceResult": [self._task(task) for task in TaskIds]}

    def _task(self, task):
        """Return a task that is running when it is asked for the first time."""
        name, asked = self.tasks[task]
        self.tasks[task][1] = asked + 1
        if not asked:
            return {"TaskId": task, "Status": 0}
        kinds = {}
        for service, _resource in self.bound(name):
            kinds[service] = kinds.get(service, 0) + 1
        found = [
            {"ResourceType": kind, "BindResourceRegionResult": [{"Region": "", "TotalCount": kinds.get(kind, 0)}]}
            for kind in {"cdn", "clb", *kinds}
        ]
        return {"TaskId": task, "Status": 1, "BindResourceResult": found}

    def _same(self, chain):
        return next((name for name, one in self.certificates.items() if one["chain"] == chain), None)


def _parsed(pem):
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise Refused("FailedOperation.CertificateParseError", "The certificate cannot be parsed.") from error


def _names(leaf):
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
