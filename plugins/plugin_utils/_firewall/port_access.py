# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A port and a network that may or may not reach it."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

ANY_IPV4: Network = ipaddress.ip_network("0.0.0.0/0")
ANY_IPV6: Network = ipaddress.ip_network("::/0")
ANY = {4: ANY_IPV4, 6: ANY_IPV6}  # by the version of IP


class PortAccess(t.NamedTuple):
    """A port of the host, and a network whose connections to it are to be accepted or not."""

    protocol: str  # tcp or udp
    port: int
    network: Network


def parse_port_accesses(ports: list[int], protocol: str, sources: list[str]) -> list[PortAccess]:
    """Return one access for each port and network.

    sources: networks. If there are none, all of IPv4 and all of IPv6 are meant.
    Raises TlsError if a port or a source is not valid, or if there is no port.
    """
    networks: list[Network] = []
    for source in sources:
        try:
            networks.append(ipaddress.ip_network(source))
        except ValueError as error:
            hint = "write it like 192.0.2.0/24, 192.0.2.7 or 2001:db8::/32"
            raise TlsError(f"{source!r} in sources is no network ({error}); {hint}") from error
    for port in ports:
        if not 1 <= port <= 65535:
            raise TlsError(f"{port} is no port; give a number between 1 and 65535")
    if not ports:
        raise TlsError("ports is empty; name at least one port")
    networks = networks or [ANY_IPV4, ANY_IPV6]
    return [PortAccess(protocol, port, network) for port in dict.fromkeys(ports) for network in dict.fromkeys(networks)]


def merge_ip_versions(accesses: t.Iterable[PortAccess]) -> list[tuple[str, int, Network | None]]:
    """Return protocol, port and network of accesses. None stands for all of IPv4 and all of IPv6."""
    accesses = list(dict.fromkeys(accesses))
    merged = []
    for protocol, port, network in accesses:
        has_both = all(PortAccess(protocol, port, one) in accesses for one in ANY.values())
        merged.append((protocol, port, None if has_both and network in ANY.values() else network))
    return list(dict.fromkeys(merged))


def with_unfiltered_versions(accesses: t.Iterable[PortAccess], ip_versions: t.Container[int]) -> list[PortAccess]:
    """Return the accesses, and all of each version of IP that a filter does not see: its rules need not exclude that.

    ip_versions: those that the filter sees.
    """
    accesses = list(accesses)
    others = [network for version, network in ANY.items() if version not in ip_versions]
    return [*accesses, *(one._replace(network=network) for one in accesses for network in others)]


def is_within(inner: Network, outer: Network) -> bool:
    """Say whether all addresses of one network are in the other."""
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def is_overlapping(one: Network, other: Network) -> bool:
    """Say whether two networks have an address in common."""
    return is_within(one, other) or is_within(other, one)
