# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A port and a network that may or may not reach it."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

ANY_IPV4: Network = ipaddress.ip_network("0.0.0.0/0")
ANY_IPV6: Network = ipaddress.ip_network("::/0")
ANY = {4: ANY_IPV4, 6: ANY_IPV6}  # by the version of IP

PortWord = t.Union[int, str]  # as people write a port: 443, or 443/udp
PORT_WORD = re.compile(r"([0-9]{1,5})(?:/(tcp|udp))?")


class PortAccess(t.NamedTuple):
    """A port of the host, and a network whose connections to it are to be accepted or not."""

    protocol: str  # tcp or udp
    port: int
    network: Network


def parse_port_accesses(ports: t.Sequence[PortWord], protocol: str, sources: list[str]) -> list[PortAccess]:
    """Return one access for each port and network.

    ports: numbers, or words such as C(443/udp). protocol: of the ports that name none.
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
    pairs = parse_ports(ports, protocol)
    networks = networks or [ANY_IPV4, ANY_IPV6]
    return [PortAccess(*pair, network) for pair in pairs for network in dict.fromkeys(networks)]


def parse_ports(ports: t.Sequence[PortWord], protocol: str) -> list[tuple[str, int]]:
    """Return protocol and number of each port, without repetitions. Raises TlsError if one is not valid, or if there is none.

    ports: numbers, or words such as C(443/udp). protocol: of the ports that name none.
    """
    if not ports:
        raise TlsError("ports is empty; name at least one port")
    pairs: dict[tuple[str, int], None] = {}
    for port in ports:
        match = PORT_WORD.fullmatch(str(port))
        if match is None or not 1 <= int(match[1]) <= 65535:
            raise TlsError(f"{port} is no port; give a number between 1 and 65535, or with a protocol, such as 443/udp")
        pairs[match[2] or protocol, int(match[1])] = None
    return list(pairs)


def port_words(ports: t.Iterable[tuple[str, int]], protocol: str) -> list[PortWord]:
    """Return ports as people write them, in ascending order: a number for *protocol*, else a word such as C(443/udp)."""
    ordered = sorted(set(ports), key=lambda pair: (pair[0] != protocol, pair))
    return [port if one == protocol else f"{port}/{one}" for one, port in ordered]


def describe_ports(ports: t.Sequence[PortWord], protocol: str) -> str:
    """Return protocols and ports for people, such as C(tcp 80, 443 and udp 443)."""
    by_protocol: dict[str, list[str]] = {}
    for one, port in parse_ports(ports, protocol):
        by_protocol.setdefault(one, []).append(str(port))
    return " and ".join(f"{one} {', '.join(numbers)}" for one, numbers in by_protocol.items())


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
