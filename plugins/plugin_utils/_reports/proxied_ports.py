# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ports of a host at which connections begin with a header of the PROXY protocol."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import HTTPS_PORT


def proxied_ports(variables: t.Mapping[str, t.Any]) -> set[int]:
    """Return the HTTPS ports of the sites with C(proxy_protocol), by the variables of a host.

    There are none where C(certificate_endpoint) names the load balancer, which sends the header itself. Sites that make no sense are
    the matter of nginx_sites.
    """
    try:
        sites = variables.get("nginx_sites")
        if not isinstance(sites, (list, tuple)) or variables.get("certificate_endpoint"):
            return set()
        return {
            int(site.get("https_port") or HTTPS_PORT)
            for site in sites
            if isinstance(site, dict) and boolean(site.get("proxy_protocol"), strict=False)
        }
    except (AnsibleError, TypeError, ValueError):
        return set()
