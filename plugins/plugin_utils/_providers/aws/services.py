# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services of AWS that present certificates, out of an account and a certificate request."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.acm import AcmCertificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.cloudfront import (
    CERTIFICATE_REGION,
    CloudFront,
    security_policy,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.load_balancer import LoadBalancer
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession

if t.TYPE_CHECKING:
    from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request

DEFAULT_LISTENER = "443"


def open_cloudfront(account: Account, request: Request, _prefix: str) -> CloudFront:
    """Return the distributions of a request. C(cloud.resources) has their IDs. Sends nothing."""
    cloud = request["cloud"] or {}
    security_policy(cloud.get("tls_versions"))
    session = AwsSession(account.name, account.settings)
    # A service without regions is asked where the account is: accounts of China have endpoints of their own.
    region = account.settings.get("region") or CERTIFICATE_REGION
    return CloudFront(
        session.client("cloudfront", region),
        _certificates(session, CERTIFICATE_REGION),
        cloud.get("resources") or [],
        request["domains"],
        bool(cloud.get("reimport")),
    )


def open_load_balancer(account: Account, request: Request, prefix: str) -> LoadBalancer:
    """Return the listener of a request. Sends nothing. prefix: what the labels of its uploads begin with."""
    cloud = request["cloud"] or {}
    if not cloud.get("load_balancer") and not str(cloud.get("listener") or "").startswith("arn:"):
        raise TlsError(
            f"the request {request['name']} is served by a load balancer of AWS that it does not name; write load_balancer in cloud"
        )
    session = AwsSession(account.name, account.settings)
    region = cloud.get("region")
    return LoadBalancer(
        session.client("elbv2", region),
        _certificates(session, region),
        cloud.get("load_balancer"),
        cloud.get("listener") or DEFAULT_LISTENER,
        request["domains"],
        prefix,
        bool(cloud.get("reimport")),
    )


def _certificates(session: AwsSession, region: str | None) -> AcmCertificates:
    return AcmCertificates(session.client("acm", region), session.client("resourcegroupstaggingapi", region))
