# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services of clouds that present certificates. A further service is one file, and one line in SERVICES."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import find_account
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import CertificateService
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.cdn import AlibabaCdn
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.services import (
    open_cloudfront,
    open_load_balancer,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.cdn import Cdn
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.clb import LoadBalancer
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.edgeone import EdgeOne

if t.TYPE_CHECKING:
    from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account

    Opener = t.Callable[[Account, Request, str], CertificateService]

# By type of account: the services by the value of C(cloud.service). The first is the default. Each is a class, or a function, that takes
# the account, the complete request, and what the labels of the request's uploads begin with.
SERVICES: dict[str, dict[str, Opener]] = {
    "tencent": {
        "cdn": Cdn,
        "teo": EdgeOne,
        "clb": LoadBalancer,
    },
    "aws": {"cloudfront": open_cloudfront, "elb": open_load_balancer},
    "alibaba": {"cdn": AlibabaCdn},
}
REIMPORTING_TYPES = ("aws",)  # of accounts, where a certificate may be replaced under its identifier


def open_service(request: Request, accounts: t.Any, prefix: str) -> CertificateService:
    """Return the service that C(cloud) of a complete request names.

    accounts: the value of C(cloud_accounts), unchecked. prefix: what upload_prefix() returns for the request.
    """
    cloud = request.get("cloud") or {}
    account = find_account(cloud.get("account"), accounts, SERVICES)
    services = SERVICES[account.type]
    name = cloud.get("service") or next(iter(services))
    if name not in services:
        raise TlsError(
            f"accounts of type {account.type} have no service {name}, only {', '.join(services)}; correct cloud.service, or name another account"
        )
    if cloud.get("reimport") and account.type not in REIMPORTING_TYPES:
        raise TlsError(
            f"reimport is for accounts of type {', '.join(REIMPORTING_TYPES)}, and account {account.name} is of type {account.type}; take it out of cloud"
        )
    return services[name](account, request, prefix)
