# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies in AWS Certificate Manager: each certificate, until when it is valid, and what presents it. Reads only.

Source: API reference of ACM, actions ListCertificates and DescribeCertificate (C(InUseBy)).
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.account_certificates import (
    BoundTo,
    CertificateEntry,
    by_end,
    counted_resources,
    days_until,
    shown_time,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.installed import LABEL_PREFIX
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.acm import KEY_TYPES, AcmCertificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.client import AwsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.cloudfront import CERTIFICATE_REGION
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.errors import DENIED, RefusedCall
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession

STATUSES = {  # CertificateSummary.Status
    "PENDING_VALIDATION": "pending",
    "ISSUED": "issued",
    "INACTIVE": "cancelled",
    "EXPIRED": "expired",
    "VALIDATION_TIMED_OUT": "failed",
    "REVOKED": "revoked",
    "FAILED": "failed",
}
ORIGINS = {"IMPORTED": "upload", "AMAZON_ISSUED": "free", "PRIVATE": "private"}  # CertificateSummary.Type
SERVICES = {"elasticloadbalancing": "elb"}  # services of ARNs that this collection names otherwise


def list_certificates(session: AwsSession, now: datetime.datetime, has_bindings: bool) -> list[CertificateEntry]:
    """Return the certificates in the region of an account, and in the one of CloudFront, the one that ends first first.

    has_bindings: whether to look up what presents them, with a call for each.
    """
    regions = dict.fromkeys([session.region or CERTIFICATE_REGION, CERTIFICATE_REGION])
    clients = [session.client("acm", region) for region in regions]
    entries: list[CertificateEntry] = []
    for client in clients:
        if client.partition == clients[0].partition:
            tagging_client = session.client("resourcegroupstaggingapi", client.region)
            entries += _in_region(client, tagging_client, now, has_bindings)
    return by_end(entries)


def _in_region(
    client: AwsClient, tagging_client: AwsClient, now: datetime.datetime, has_bindings: bool
) -> list[CertificateEntry]:
    summaries = client.items("ListCertificates", "CertificateSummaryList", Includes={"keyTypes": KEY_TYPES})
    labels = AcmCertificates(client, tagging_client).labels(f"{LABEL_PREFIX}/") if summaries else {}
    described: dict[str, dict[str, t.Any]] | None = {}
    if has_bindings:
        described = _descriptions(
            client, [str(one["CertificateArn"]) for one in summaries if one.get("CertificateArn")]
        )
    return [
        read_entry(
            {**one, **(described or {}).get(str(one["CertificateArn"]), {})},
            labels,
            now,
            has_bindings and described is not None,
        )
        for one in summaries
        if one.get("CertificateArn")
    ]


def _descriptions(client: AwsClient, names: list[str]) -> dict[str, dict[str, t.Any]] | None:
    """Return the description of each certificate that still exists; None where the account may not look."""
    described = {}
    for name in names:
        try:
            described[name] = client.call("DescribeCertificate", "Certificate", CertificateArn=name)
        except RefusedCall as error:
            if error.code in DENIED:
                return None
            if error.code != "ResourceNotFoundException":
                raise
    return described


# not a parser: botocore has parsed it, and what is missing has a default
def read_entry(
    one: dict[str, t.Any], labels: dict[str, str], now: datetime.datetime, has_bindings: bool
) -> CertificateEntry:
    """Return a certificate, by its summary and, with its bindings, its description. labels: of this collection, by ARN."""
    arn = str(one["CertificateArn"])
    begin, end = _time(one.get("NotBefore")), _time(one.get("NotAfter"))
    names = one.get("SubjectAlternativeNames") or one.get("SubjectAlternativeNameSummaries") or []
    return {
        "certificate": arn,
        "alias": labels.get(arn, ""),
        "domains": list(dict.fromkeys(str(name) for name in [one.get("DomainName"), *names] if name)),
        "origin": ORIGINS.get(str(one.get("Type")), "bought"),
        "status": STATUSES.get(str(one.get("Status")), "unknown"),
        "not_before": shown_time(begin),
        "not_after": shown_time(end),
        "days_left": days_until(end, now),
        "ours": arn in labels,
        "bound_to": _bound_to(one.get("InUseBy") or []) if has_bindings else None,
    }


# not a parser: it splits an ARN, and any text will do
def _bound_to(users: list[str]) -> list[BoundTo]:
    """Return what presents a certificate, by the ARNs of its users: C(arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE)."""
    resources = []
    for user in map(str, users):
        parts = [*user.split(":", 5), "", "", "", "", ""]
        resources.append((SERVICES.get(parts[2], parts[2]), parts[3], parts[5] or user))
    return counted_resources(resources)


# not a parser: botocore has parsed it
def _time(value: t.Any) -> datetime.datetime | None:
    return value if isinstance(value, datetime.datetime) else None
