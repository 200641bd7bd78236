# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import HTTP_PORT, HTTPS_PORT

DEFAULT_PORTS = ["80", "443"]  # of the role firewall


# not a parser: the sites are the inventory's
def with_site_ports(ports: t.Any, sites: t.Any) -> t.Any:
    """Return ports as firewall_port takes them, and the ports of the sites: the UDP ports of those with HTTP/3, and TCP ports.

    The TCP ports are added to the default of the role firewall alone, since other lists are a decision. That of a site with
    proxy_protocol is not: clients that reach it could claim any address.
    """
    if not isinstance(sites, (list, tuple)):  # nginx_sites says what is wrong with them
        return ports
    given = ports.split(",") if isinstance(ports, str) else list(ports)
    words: list[t.Any] = []
    for site in filter(lambda site: isinstance(site, dict), sites):
        if sorted(map(str, given)) == sorted(DEFAULT_PORTS):
            words.append(site.get("http_port", HTTP_PORT))
            if not boolean(site.get("proxy_protocol", False), strict=False):
                words.append(site.get("https_port", HTTPS_PORT))
        if boolean(site.get("http3", False), strict=False):
            words.append(f"{site.get('https_port', HTTPS_PORT)}/udp")
    known = {str(port) for port in given}
    more = {str(word): word for word in reversed(words) if str(word) not in known}
    return [*given, *reversed(more.values())] if more else ports


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"with_site_ports": with_site_ports}
