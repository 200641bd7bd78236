# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the way of a certificate that a cloud makes, as far as it is seen from here."""

from __future__ import annotations

import datetime

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.validation import check_validation
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient

CAA_IDENTITIES = ("sectigo.com",)  # of the CA behind TrustAsia's free certificates, by Tencent Cloud's documentation


def find_hosted_obstacles(
    request: Request, client: DnsClient, deadline: float, since: datetime.datetime | None = None
) -> list[Finding]:
    """Return what the CA of the cloud will see: CAA records, and C(validation) of the request.

    client: asks the resolvers of the solver. deadline: by time.monotonic(). since: when the certificate was ordered.
    """
    return check_validation(request, client, CAA_IDENTITIES, since, utc_now(), deadline)
