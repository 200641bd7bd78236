# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean

HTTPS_PORT = 443


# not a parser: the sites are the inventory's
def with_http3_ports(ports: t.Any, sites: t.Any) -> t.Any:
    """Return ports as firewall_port takes them, and the UDP ports of the sites with HTTP/3."""
    if not isinstance(sites, (list, tuple)):  # nginx_sites says what is wrong with them
        return ports
    words = [
        f"{site.get('https_port', HTTPS_PORT)}/udp"
        for site in sites
        if isinstance(site, dict) and boolean(site.get("http3", False), strict=False)
    ]
    if not words:
        return ports
    given = ports.split(",") if isinstance(ports, str) else list(ports)
    return [*given, *(word for word in dict.fromkeys(words) if word not in given)]


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"with_http3_ports": with_http3_ports}
