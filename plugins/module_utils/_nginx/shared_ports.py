# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs to a port of nginx as a whole, so that sites and server blocks of other files have to agree on it.

nginx takes the parameters ssl and proxy_protocol of one listen directive for all server blocks at the same address and port
(https://nginx.org/en/docs/http/ngx_http_core_module.html#listen).
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import Listen, ServerBlock
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import Site, sites_by_port


def check_proxy_protocol(sites: t.Sequence[Site], foreign: t.Sequence[ServerBlock]) -> None:
    """Raise TlsError where a site and a server block of another file do not agree on the PROXY protocol."""
    for port, here in sites_by_port(sites).items():
        site = here[0]
        for block, listen in _listens_at(foreign, port):
            has_header = "proxy_protocol" in listen.parameters
            if has_header is bool(site.get("proxy_protocol")):
                continue
            raise TlsError(
                f"port {port} speaks the PROXY protocol, by the server block at {block.place}, and so would the site "
                f"{site['name']}; write proxy_protocol: true for the sites of this port, or take it away there"
                if has_header
                else f"the site {site['name']} has proxy_protocol: true, and the server block at {block.place} listens on port {port} "
                "without it, where both have to agree; add proxy_protocol there, or choose another https_port"
            )
    for site in sites:
        for block, listen in _listens_at(foreign, site["http_port"]):
            if "proxy_protocol" in listen.parameters and not site.get("proxy_protocol"):
                raise TlsError(
                    f"port {listen.port} speaks the PROXY protocol, by the server block at {block.place}, and so would the site "
                    f"{site['name']}; write proxy_protocol: true for the site, choose another http_port, or take it away there"
                )


def check_tls(sites: t.Sequence[Site], foreign: t.Sequence[ServerBlock]) -> None:
    """Raise TlsError where server blocks of other files have no TLS on an HTTPS port of the sites, or TLS on an HTTP port.

    All of them at an address count: nginx warns where they do not agree, and has TLS if one of them has.
    """
    for port in sites_by_port(sites):
        block = _block_without(foreign, port, has_tls=True)
        if block:
            raise TlsError(
                f"port {port} is without TLS in the server block at {block.place}, and would have TLS by the sites, for its clients too; add ssl "
                "and a certificate there, choose another https_port, or take the port away there"
            )
    for port in dict.fromkeys(site["http_port"] for site in sites):
        block = _block_without(foreign, port, has_tls=False)
        if block:
            raise TlsError(
                f"port {port} has TLS by the server block at {block.place}, and the sites answer HTTP there; choose another http_port, or take "
                "ssl away there"
            )


def _block_without(foreign: t.Sequence[ServerBlock], port: int, has_tls: bool) -> ServerBlock | None:
    """Return the first server block at an address of a port that has TLS where it should not, or the other way round."""
    by_address: dict[tuple[str, bool], list[tuple[ServerBlock, bool]]] = {}
    for block, listen in _listens_at(foreign, port):
        is_tls = "ssl" in listen.parameters or block.has_tls
        by_address.setdefault((listen.address, listen.is_ipv6), []).append((block, is_tls))
    for blocks in by_address.values():
        if any(is_tls for _block, is_tls in blocks) is not has_tls:
            return next(block for block, is_tls in blocks if is_tls is not has_tls)
    return None


def _listens_at(foreign: t.Sequence[ServerBlock], port: int) -> t.Iterator[tuple[ServerBlock, Listen]]:
    """Yield the listen directives at a port, each with its server block."""
    for block in foreign:
        for listen in block.listens:
            if listen.port == port:
                yield block, listen
