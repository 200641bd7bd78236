# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which zone of firewalld is for a connection: firewalld.zone(5)."""

from __future__ import annotations

import ipaddress

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.interfaces import INTERFACE_QUERIES
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_firewalld import parse_entries
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import Network, is_within

ZONE_QUERIES = (("run", "firewall-cmd", "--get-default-zone"), *INTERFACE_QUERIES)


def source_zone(zones: dict[str, str], network: Network) -> tuple[str, str] | None:
    """Return the zone that is bound to a source with all of a network, and that source. Such a zone comes before interfaces.

    zones: listings by name.
    """
    for name, listing in zones.items():
        for word in parse_entries(listing).get("sources", "").split():
            try:
                source = ipaddress.ip_network(word, strict=False)
            except ValueError:  # a MAC address, or the name of an ipset
                continue
            if is_within(network, source):
                return name, word
    return None


def bound_zone(zones: dict[str, str], interface: str | None) -> str | None:
    """Return the zone that an interface is bound to."""
    names = [name for name, listing in zones.items() if interface in parse_entries(listing)["interfaces"].split()]
    return names[0] if names else None


def default_zone(host: HostState) -> str:
    """Return the zone for interfaces that are bound to none."""
    return host.command_result(["firewall-cmd", "--get-default-zone"])[1]
