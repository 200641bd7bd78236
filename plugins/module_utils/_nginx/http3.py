# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP/3 of sites: which nginx has it, where sites listen by UDP beside others, and the directives.

Sources: https://nginx.org/en/docs/http/ngx_http_v3_module.html and https://nginx.org/en/docs/quic.html.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import Listen, ServerBlock
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.listening import ADDRESS, DUAL_STACK
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import Site
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import NginxBuild, version_text

ALT_SVC_SECONDS = 86_400  # for which a client remembers that a site has HTTP/3 (RFC 7838, section 3.1)


class QuicAddresses(t.NamedTuple):
    """The addresses at which sites listen on a port for QUIC, as nginx writes them."""

    wildcards: tuple[str, ...]
    others: tuple[str, ...] = ()  # at which server blocks of other files listen for QUIC
    reuseport: tuple[str, ...] = ()  # of the wildcards, those for which no other file sets options of the socket
    default_place: str | None = None  # the server block of another file that is the default server


def sites_with_http3(sites: t.Iterable[Site]) -> list[Site]:
    """Return the sites that clients reach by HTTP/3 as well."""
    return [site for site in sites if site.get("http3")]


def check_http3(sites: t.Iterable[Site], nginx: NginxBuild) -> None:
    """Raise TlsError if a site has HTTP/3, and this nginx was built without it."""
    for site in sites_with_http3(sites):
        if not nginx.has_http3:
            raise TlsError(
                f"the site {site['name']} has http3: true, and nginx {version_text(nginx.version)} of this host was built without HTTP/3 "
                "(--with-http_v3_module, as of nginx 1.25); install a build that has it, such as that of Debian 13 or nginx.org, or take "
                "http3 away"
            )


def quic_addresses(port: int, foreign: t.Iterable[ServerBlock], has_ipv6: bool) -> QuicAddresses:
    """Return the addresses of a port for QUIC. foreign: the server blocks of other files.

    nginx takes the options of a socket, reuseport among them, from one server block alone.
    """
    listens = [(one, block.place) for block in foreign for one in block.quic_listens if one.port == port]
    everywhere = [(listen, place) for listen, place in listens if listen.address == "*"]
    is_dual = any(DUAL_STACK in listen.parameters for listen, _place in everywhere)
    versions = [is_ipv6 for is_ipv6 in (False, True) if (has_ipv6 or is_dual if is_ipv6 else not is_dual)]
    set_elsewhere = {listen.is_ipv6 for listen, _place in everywhere if _sets_options(listen)}
    single = [listen for listen, _place in listens if listen.address != "*" and ADDRESS.fullmatch(listen.address)]
    return QuicAddresses(
        wildcards=tuple(_wildcard(port, is_ipv6) for is_ipv6 in versions),
        others=tuple(dict.fromkeys(f"{listen.address}:{port}" for listen in single)),
        reuseport=tuple(_wildcard(port, is_ipv6) for is_ipv6 in versions if is_ipv6 not in set_elsewhere),
        default_place=next((place for listen, place in everywhere if listen.default), None),
    )


def quic_listens(addresses: QuicAddresses, is_first: bool, is_default: bool) -> list[str]:
    """Return the listen directives of a server block.

    is_first: whether this is the block of ours that sets the options of the sockets. With reuseport, each worker has a socket of its own,
    and the kernel brings all datagrams of a client to the same one.
    """
    lines = []
    for address in (*addresses.wildcards, *addresses.others):
        words = ["listen", address, "quic"]
        words += ["reuseport"] if is_first and address in addresses.reuseport else []
        words += ["default_server"] if is_default and address in addresses.wildcards else []
        lines.append(f"{' '.join(words)};")
    return lines


def alt_svc(site: Site) -> str:
    """Return the directive by which clients learn of HTTP/3 (RFC 9114, section 3.1.1)."""
    return f"add_header Alt-Svc 'h3=\":{site['https_port']}\"; ma={ALT_SVC_SECONDS}' always;"


def _sets_options(listen: Listen) -> bool:
    return listen.is_bound_alone or any(word.startswith("ipv6only=") for word in listen.parameters)


def _wildcard(port: int, is_ipv6: bool) -> str:
    return f"[::]:{port}" if is_ipv6 else str(port)
