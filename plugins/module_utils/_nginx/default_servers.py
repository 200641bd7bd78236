# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The default servers of somebody else on the ports of the sites."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import ServerBlock
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import (
    Site,
    find_address_site,
    https_ports,
    sites_by_port,
)


def foreign_default_servers(sites: list[Site], foreign: list[ServerBlock]) -> dict[int, str]:
    """Return the ports of the sites whose default server is a *foreign* server block.

    The values are path and line of the block.
    Raises TlsError if a site with an IP address has to be the default server of such a port.
    """
    places: dict[int, str] = {}
    for block in foreign:
        for listen in block.listens:
            if listen.default and listen.address == "*" and listen.port in https_ports(sites):
                places.setdefault(listen.port, block.place)
    for port, here in sites_by_port(sites).items():
        site = find_address_site(here)
        if site and port in places:
            raise TlsError(
                f"the site {site['name']} has an IP address and so must be the default server of port {port}, but {places[port]} "
                "is that already; take default_server away there, or choose another https_port"
            )
    return places
