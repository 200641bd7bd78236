# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS Certificate Manager: certificates that are imported there, found by their content and known by a tag.

Source: API reference of ACM, actions ImportCertificate, ListCertificates, GetCertificate, DescribeCertificate, DeleteCertificate.
"""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    fingerprint,
    not_after,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import describe_key, write_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding, Upload
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.installed import has_prefix
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.client import AwsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.errors import RefusedCall

try:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

# ListCertificates leaves out what has another key than RSA with 1024 or 2048 bits, unless all are named.
KEY_TYPES = ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]
RSA_SIZES = (1024, 2048, 3072, 4096)
CURVES = ("secp256r1", "secp384r1", "secp521r1")
LABEL_TAG = "evergreen"  # its value is the label of an upload
IMPORTED = "IMPORTED"


class AcmCertificates:
    """The imported certificates of one account and region."""

    def __init__(self, client: AwsClient, tagging_client: AwsClient) -> None:
        """Take clients of C(acm) and C(resourcegroupstaggingapi) in the same region."""
        self.client, self.tagging_client = client, tagging_client

    # not a parser: it reads what the collection has made or checked
    def check(self, chain: list[x509.Certificate], curves: t.Sequence[str] = CURVES, where: str = "ACM") -> None:
        """Raise TlsError if ACM, or the service *where* that takes these curves alone, refuses the type of the key."""
        public_key = chain[0].public_key()
        if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size in RSA_SIZES:
            return
        if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.curve.name in curves:
            return
        raise TlsError(
            f"the certificate has a key of the type {describe_key(public_key)}, and {where} takes RSA with {', '.join(map(str, RSA_SIZES))} "
            f"bits and the curves {', '.join(curves)}; set type, size or curve in the certificate request, and renew it"
        )

    def find(self, chain: list[x509.Certificate]) -> str | None:
        """Return the ARN of an import of exactly this chain; one that is in use first, then the newest."""
        candidates = [one for one in self._imported() if _may_be(one, chain[0])]
        candidates.sort(key=lambda one: (bool(one.get("InUse")), _seconds(one.get("ImportedAt")) or 0), reverse=True)
        fingerprints = [fingerprint(certificate) for certificate in chain]
        for one in candidates:
            if [fingerprint(certificate) for certificate in self.chain_of(one["CertificateArn"])] == fingerprints:
                return str(one["CertificateArn"])
        return None

    def upload(
        self, chain: list[x509.Certificate], key: PrivateKeyTypes, label: str, replaces: str | None = None
    ) -> str:
        """Import a chain with its key under a label, and return its ARN.

        replaces: the ARN whose certificate it takes the place of, wherever that is bound. ACM takes no tags for such an import.
        """
        parameters: dict[str, t.Any] = {"Certificate": to_pem(chain[:1]), "PrivateKey": write_key(key)}
        if chain[1:]:
            parameters["CertificateChain"] = to_pem(chain[1:])
        tags = [{"Key": LABEL_TAG, "Value": tag_value(label)}]
        if replaces is None:
            return str(self.client.call_once("ImportCertificate", "CertificateArn", **parameters, Tags=tags))
        arn = self.client.call_once("ImportCertificate", "CertificateArn", **parameters, CertificateArn=replaces)
        self.client.call("AddTagsToCertificate", CertificateArn=arn, Tags=tags)
        return str(arn)

    # not a parser: it takes apart a label of ours
    def replaceable(self, bindings: list[Binding], chain: list[x509.Certificate], label: str) -> str | None:
        """Return the ARN that all resources present, if it is an import of this request with a key of the same type.

        ACM does not replace a certificate by one with another type or size of key ("Reimport a certificate", user guide).
        """
        bound = {binding.certificate for binding in bindings}
        arn = next(iter(bound)) if len(bound) == 1 else None
        if arn is None or arn not in self.labels_of_request(f"{label.rpartition('/')[0]}/"):
            return None
        description = self.client.call("DescribeCertificate", "Certificate", CertificateArn=arn)
        return arn if description.get("KeyAlgorithm") == key_algorithm(chain[0].public_key()) else None

    # not a parser: parse_chain() reads it, which is one
    def chain_of(self, arn: str) -> list[x509.Certificate]:
        """Return the chain of a certificate, leaf first. GetCertificate returns no key."""
        result = self.client.call("GetCertificate", CertificateArn=arn)
        texts = [result.get(name) or "" for name in ("Certificate", "CertificateChain")]
        try:
            return [certificate for text in texts if text for certificate in parse_chain(text.encode())]
        except TlsError as error:
            raise TlsError(f"{arn}: {error}") from error

    def names_of(self, arn: str) -> set[str]:
        """Return the DNS names that a certificate in ACM covers."""
        certificate = self.client.call("DescribeCertificate", "Certificate", CertificateArn=arn)
        return {
            str(name).lower()
            for name in [certificate.get("DomainName"), *(certificate.get("SubjectAlternativeNames") or [])]
            if name
        }

    def uploads(self, prefix: str) -> list[Upload]:
        """Return the imports whose label begins with the prefix, newest first. Whether one is bound is looked up now."""
        labels = self.labels_of_request(prefix)
        if not labels:
            return []
        imported = {str(one["CertificateArn"]): one for one in self._imported()}
        uploads = []
        for arn in sorted(labels, key=lambda arn: _seconds(imported.get(arn, {}).get("ImportedAt")) or 0, reverse=True):
            if arn in imported:  # the index of tags knows a deleted certificate for a while
                description = self.client.call("DescribeCertificate", "Certificate", CertificateArn=arn)
                uploads.append(Upload(arn, labels[arn], None, bool(description.get("InUseBy"))))
        return uploads

    def labels(self, prefix: str) -> dict[str, str]:
        """Return the labels that begin with the prefix, by ARN."""
        resources = self.tagging_client.items(
            "GetResources",
            "ResourceTagMappingList",
            ResourceTypeFilters=["acm:certificate"],
            TagFilters=[{"Key": LABEL_TAG}],
        )
        labels = {
            str(one.get("ResourceARN")): str(tag.get("Value"))
            for one in resources
            for tag in one.get("Tags") or []
            if tag.get("Key") == LABEL_TAG
        }
        return {arn: label for arn, label in labels.items() if label.startswith(tag_value(prefix))}

    def labels_of_request(self, prefix: str) -> dict[str, str]:
        """Return the labels of the one request that has this prefix, by ARN."""
        return {arn: label for arn, label in self.labels(prefix).items() if has_prefix(label, tag_value(prefix))}

    def remove(self, arn: str) -> None:
        """Delete a certificate. Raises TlsError if it is in use; one that is gone already is no error."""
        try:
            self.client.call("DeleteCertificate", CertificateArn=arn)
        except RefusedCall as error:
            if error.code == "ResourceNotFoundException":
                return
            if error.code == "ResourceInUseException":
                description = self.client.call("DescribeCertificate", "Certificate", CertificateArn=arn)
                users = ", ".join(map(str, description.get("InUseBy") or [])) or "a resource that ACM does not name"
                raise TlsError(f"{arn} is in use by {shorten(users)}; bind another certificate there first") from error
            raise

    def _imported(self) -> list[dict[str, t.Any]]:
        summaries = self.client.items("ListCertificates", "CertificateSummaryList", Includes={"keyTypes": KEY_TYPES})
        return [one for one in summaries if one.get("Type", IMPORTED) == IMPORTED and one.get("CertificateArn")]


def tag_value(label: str) -> str:
    """Return a label with the characters that values of tags may have (API reference of ACM, data type Tag).

    >>> tag_value("evergreen/*.example.org/0123456789abcdef")
    'evergreen/_.example.org/0123456789abcdef'
    """
    return re.sub(r"[^\w .:/=+@-]", "_", label)[:256]


def key_algorithm(public_key: PublicKeyTypes) -> str | None:
    """Return the type of a key as ACM names it, None for one that it does not take."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return f"RSA_{public_key.key_size}"
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return f"EC_{public_key.curve.name.replace('secp256r1', 'prime256v1')}"
    return None


# not a parser: botocore has parsed it, and what is missing has a default
def _may_be(summary: dict[str, t.Any], leaf: x509.Certificate) -> bool:
    """Say whether a summary can be that of a certificate, by its dates. One without dates can."""
    dates = [(summary.get("NotBefore"), not_before(leaf)), (summary.get("NotAfter"), not_after(leaf))]
    return all(_seconds(value) in (None, int(expected.timestamp())) for value, expected in dates)


# not a parser: botocore has parsed it
def _seconds(value: t.Any) -> int | None:
    """Return a date of botocore in seconds since the epoch, or None if it is none."""
    return int(value.timestamp()) if isinstance(value, datetime.datetime) else None
