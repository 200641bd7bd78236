# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificate service of Tencent Cloud (ssl), in which certificates lie that its other services present.

Two of its actions return private keys, and are in no file of this collection: those for the details of a certificate, and for its
download. A certificate is found by its public part.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import describe_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Upload
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.https_call import CallFailed
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import TencentError, matches

try:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

CURVES = ("secp256r1", "secp384r1")
MIN_RSA_BITS = 2048
NOT_ALLOWED_CODES = ("*UnauthorizedOperation*", "*CAMRoleUnauthorized*")
PAGE_SIZE = 1000  # certificates in an answer, the most that the API allows
MAX_PAGES = 20
LOOK_IS_FRESH = 0  # IsCache: bindings are looked up now, and not taken from half an hour ago
TASK_DONE, TASK_RUNNING = 1, 0
TASK_INTERVAL_S = 1.0
TASK_TIMEOUT_S = 60.0


class Client(t.Protocol):
    """What is needed of TencentClient."""

    name: str

    def call(
        self, service: str, action: str, parameters: dict[str, t.Any] | None = None, region: str | None = None
    ) -> dict[str, t.Any]:
        """Return the response of an action."""


class CertificateStore:
    """The certificates of one account."""

    def __init__(self, client: Client, sleep: t.Callable[[float], None] = time.sleep) -> None:
        self.client, self.sleep = client, sleep

    # not a parser: it reads what the collection has made or checked
    def check(self, chain: list[x509.Certificate]) -> None:
        """Raise TlsError for a type of key that the services of Tencent Cloud do not take."""
        key = chain[0].public_key()
        is_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS
        is_ecc = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES
        if not (is_rsa or is_ecc):
            raise TlsError(
                f"the certificate has a key of type {describe_key(key)}, and Tencent Cloud takes RSA of 2048 bits or more, secp256r1 and "
                "secp384r1; write type: RSA, or type: ECC and one of these curves, into the certificate request"
            )

    # not a parser: it only passes on foreign input
    def find(self, chain: list[x509.Certificate], label: str) -> str | None:
        """Return the identifier of an upload of exactly this certificate; by its label, where looking by content is not allowed."""
        try:
            found = self.client.call("ssl", "CheckCertificateExist", {"CertificatePublicKey": to_pem(chain).decode()})
        except TencentError as error:
            if not matches(error.code, NOT_ALLOWED_CODES):
                raise
            return next((one.certificate for one in self.labelled(label) if one.label == label), None)
        identifier = found.get("RepeatCertId")
        return identifier if isinstance(identifier, str) and identifier else None

    # not a parser: it only passes on foreign input
    def upload(self, chain: list[x509.Certificate], key: PrivateKeyTypes, label: str) -> str:
        """Upload a certificate with its key, and return its identifier. Where the answer was lost, it is looked for, and not sent again."""
        parameters = {
            "CertificatePublicKey": to_pem(chain).decode(),
            "CertificatePrivateKey": _key_pem(key),
            "Alias": label,
            "CertificateType": "SVR",
            "Repeatable": False,
        }
        try:
            answer = self.client.call("ssl", "UploadCertificate", parameters)
        except (CallFailed, TlsError) as error:
            found = None if isinstance(error, TencentError) else self.find(chain, label)
            if found is None:
                raise
            return found
        for field in ("CertificateId", "RepeatCertId"):
            identifier = answer.get(field)
            if isinstance(identifier, str) and identifier:
                return identifier
        raise TlsError(
            f"account {self.client.name}, ssl:UploadCertificate: the answer names no certificate; run this again, and report it if it stays"
        )

    def labelled(self, prefix: str) -> list[Upload]:
        """Return the uploads whose label begins with the prefix, the newest first. Whether they are bound is not known."""
        certificates: list[dict[str, t.Any]] = []
        for page in range(MAX_PAGES):
            parameters = {"SearchKey": prefix, "FilterSource": "upload", "Offset": page * PAGE_SIZE, "Limit": PAGE_SIZE}
            listed = self.client.call("ssl", "DescribeCertificates", parameters).get("Certificates")
            listed = listed if isinstance(listed, list) else []
            certificates += [one for one in listed if isinstance(one, dict)]
            if len(listed) < PAGE_SIZE:
                break
        ours = [one for one in certificates if _text(one, "Alias").startswith(prefix) and _text(one, "CertificateId")]
        ours.sort(key=lambda one: (_text(one, "InsertTime"), _text(one, "CertBeginTime")), reverse=True)
        return [Upload(_text(one, "CertificateId"), _text(one, "Alias")) for one in ours]

    def with_bindings(self, uploads: list[Upload]) -> list[Upload]:
        """Return uploads with whether something is bound to them by a look now; None where that cannot be known."""
        if not uploads:
            return []
        names = [upload.certificate for upload in uploads]
        try:
            bound = self._bound(names)
        except TencentError as error:
            if not matches(error.code, NOT_ALLOWED_CODES):
                raise
            bound = {}
        return [upload._replace(is_bound=bound.get(upload.certificate)) for upload in uploads]

    def _bound(self, names: list[str]) -> dict[str, bool | None]:
        answer = self.client.call(
            "ssl", "CreateCertificateBindResourceSyncTask", {"CertificateIds": names[:100], "IsCache": LOOK_IS_FRESH}
        )
        listed = answer.get("CertTaskIds")
        tasks = {
            _text(one, "TaskId"): _text(one, "CertId")
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict) and _text(one, "TaskId")
        }
        bound: dict[str, bool | None] = {}
        waited = 0.0
        while tasks.keys() - {task for task, name in tasks.items() if name in bound} and waited < TASK_TIMEOUT_S:
            pending = [task for task, name in tasks.items() if name not in bound]
            result = self.client.call("ssl", "DescribeCertificateBindResourceTaskResult", {"TaskIds": pending})
            for task, is_bound in read_bindings(result).items():
                if task in tasks:
                    bound[tasks[task]] = is_bound
            if all(name in bound for name in tasks.values()):
                break
            self.sleep(TASK_INTERVAL_S)
            waited += TASK_INTERVAL_S
        return bound

    def remove(self, certificate: str) -> None:
        """Delete a certificate."""
        answer = self.client.call("ssl", "DeleteCertificate", {"CertificateId": certificate})
        if answer.get("DeleteResult") is not True:
            raise TlsError(
                f"account {self.client.name}, ssl:DeleteCertificate: {certificate} is not deleted; look at it in the console"
            )


def read_bindings(answer: dict[str, t.Any]) -> dict[str, bool | None]:
    """Return whether something is bound to a certificate, by the task that looked. A task that runs is left out; None where it failed.

    answer: of DescribeCertificateBindResourceTaskResult.
    """
    results = answer.get("SyncTaskBindResourceResult")
    bound: dict[str, bool | None] = {}
    for result in results if isinstance(results, list) else []:
        if not isinstance(result, dict) or result.get("Status") == TASK_RUNNING or not _text(result, "TaskId"):
            continue
        counts = [
            region.get("TotalCount") if isinstance(region, dict) and not region.get("Error") else None
            for kind in _list(result, "BindResourceResult")
            for region in (_list(kind, "BindResourceRegionResult") if isinstance(kind, dict) else [None])
        ]
        is_known = result.get("Status") == TASK_DONE and all(isinstance(count, int) for count in counts)
        bound[_text(result, "TaskId")] = any(counts) if is_known else (True if any(counts) else None)
    return bound


def _list(value: dict[str, t.Any], field: str) -> list[t.Any]:
    items = value.get(field)
    return items if isinstance(items, list) else []


def _text(value: dict[str, t.Any], field: str) -> str:
    text = value.get(field)
    return text if isinstance(text, str) else ""


# not a parser: it writes a key
def _key_pem(key: PrivateKeyTypes) -> str:
    """Return a key in the form that Tencent Cloud's documentation shows: PKCS #1 or SEC 1, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
