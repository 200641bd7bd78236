# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses at which sites listen beside the server blocks of other files.

nginx chooses a server block by address before it does by name (https://nginx.org/en/docs/http/request_processing.html). A block at
one address takes all clients of that address, so a site listens there as well. While nginx runs, it cannot exchange a socket at one
address for one at all addresses: the kernel refuses the second socket, and the reload fails.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import Listen, ServerBlock
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import ListeningSocket

ADDRESS = re.compile(r"[0-9A-Za-z.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
ALL_ADDRESSES = ("0.0.0.0", "::")
DUAL_STACK = "ipv6only=off"  # a socket for IPv6 that takes IPv4 as well


class PortAddresses(t.NamedTuple):
    """The addresses at which sites listen on a port, as nginx writes them, such as C(443) and C([::]:443)."""

    wildcards: tuple[str, ...]
    others: tuple[str, ...] = ()  # at which server blocks of other files listen
    warning: str | None = None


class _Foreign(t.NamedTuple):
    """A listen directive of somebody else, and the place of its server block."""

    listen: Listen
    place: str


def default_addresses(port: int, has_ipv6: bool) -> PortAddresses:
    """Return the addresses for a port on which nobody else listens."""
    return PortAddresses((str(port), *([f"[::]:{port}"] if has_ipv6 else [])))


def port_addresses(
    port: int, foreign: t.Iterable[ServerBlock], sockets: t.Iterable[ListeningSocket], has_ipv6: bool
) -> PortAddresses:
    """Return the addresses for a port.

    foreign: the server blocks of other files. sockets: those that nginx has open on this port now.
    Raises TlsError if nginx has to be restarted first.
    """
    directives = [_Foreign(listen, block.place) for block in foreign for listen in block.listens if listen.port == port]
    is_dual = any(one.listen.address == "*" and DUAL_STACK in one.listen.parameters for one in directives)
    wildcards: list[str] = []
    others: list[str] = []
    warnings: list[str] = []
    for is_ipv6 in (False, True):
        here = [one for one in directives if one.listen.is_ipv6 is is_ipv6]
        single = [one for one in here if one.listen.address != "*" and ADDRESS.fullmatch(one.listen.address)]
        others += [f"{one.listen.address}:{port}" for one in single]
        if (is_dual and not is_ipv6) or not (has_ipv6 or is_dual or not is_ipv6):
            continue
        if _can_listen_everywhere(is_ipv6, single, sockets):
            wildcards.append(f"[::]:{port}" if is_ipv6 else str(port))
        elif not single or len(single) < len(here):
            raise TlsError(_restart_sentence(port, is_ipv6, sockets))
        else:
            warnings.append(_warning(port, single))
    return PortAddresses(tuple(wildcards), tuple(dict.fromkeys(others)), ". ".join(warnings) or None)


def check_other_servers(ports: t.Mapping[int, str], listens: t.Iterable[tuple[str, Listen]]) -> None:
    """Raise TlsError if a server of a stream or mail block has a port of the sites: nginx could not start with both.

    ports: the option that names each port. listens: the result of other_listens().
    """
    for server, listen in listens:
        if listen.port in ports:
            raise TlsError(
                f"port {listen.port} belongs to the {server}, and nginx cannot start with a site there too; choose another "
                f"{ports[listen.port]} for the sites, to which that server may pass connections on, or take the port away there"
            )


def _can_listen_everywhere(is_ipv6: bool, single: t.Iterable[_Foreign], sockets: t.Iterable[ListeningSocket]) -> bool:
    """Return whether nginx can have a socket at all addresses of a family: from its start on, and after a reload."""
    if any(one.listen.is_bound_alone for one in single):
        return False
    addresses = {socket.address for socket in sockets if (":" in socket.address) is is_ipv6}
    return not addresses or not addresses.isdisjoint(ALL_ADDRESSES)


def _restart_sentence(port: int, is_ipv6: bool, sockets: t.Iterable[ListeningSocket]) -> str:
    addresses = sorted({socket.address for socket in sockets if (":" in socket.address) is is_ipv6})
    return (
        f"nginx listens on port {port} at {', '.join(addresses)} alone, and cannot exchange that for all addresses while it runs; restart "
        "it, with systemctl restart nginx, and run this again"
    )


def _warning(port: int, single: t.Sequence[_Foreign]) -> str:
    first = single[0]
    return (
        f"{first.place} listens on port {port} at {first.listen.address} alone, so the sites listen there too, and at no other address; "
        f"write 'listen {port}' there and restart nginx to have them at all addresses"
    )
