# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The default servers of somebody else on the ports of the sites."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import Listen, ServerBlock
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import (
    Site,
    find_address_site,
    https_ports,
    sites_by_port,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.tls_profiles import tls_versions
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import NginxBuild, version_text

CATCH_ALL_NAMES = {"", "_", "localhost"}  # that no client asks for


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


def protocol_warnings(
    sites: list[Site], blocks: list[ServerBlock], path: str, nginx: NginxBuild, reject_unknown: bool
) -> list[str]:
    """Return a warning for each site whose versions of TLS are decided by the default server of somebody else.

    Before nginx 1.29.2 the protocols of the default server hold for its whole address and port.
    blocks: in the order in which nginx reads them, with one in the file of the sites *path*.
    Raises TlsError for a site of TLS 1.3 alone that would accept older versions.
    """
    if nginx.keeps_protocols_by_site:
        return []
    sentences: dict[str, None] = {}
    for port, here in sites_by_port(sites).items():
        has_own_default = reject_unknown or find_address_site(here) is not None
        for block in _foreign_defaults(port, blocks, path, has_own_default):
            for site in here:
                sentence = _protocol_warning(site, port, block, nginx)
                if sentence:
                    sentences[sentence] = None
    return list(sentences)


def displacement_warnings(ports: t.Collection[int], blocks: list[ServerBlock], path: str) -> list[str]:
    """Return a warning for each server block that answers to all names of a port, and that no longer does so beside the sites.

    Where no block is marked C(default_server), nginx takes the first one that it reads. nginx.conf of RHEL and openSUSE has such a block
    behind its C(include) of conf.d. Blocks with names of their own are left out: they hardly mean to answer to others.
    ports: of the sites. blocks: in the order in which nginx reads them, with one in the file of the sites *path*.
    """
    sentences: dict[str, None] = {}
    here: dict[tuple[int, bool], list[tuple[Listen, ServerBlock]]] = {}
    for block in blocks:
        for listen in block.listens if block.path != path else ():
            if listen.port in ports and listen.address == "*":
                here.setdefault((listen.port, listen.is_ipv6), []).append((listen, block))
    ours = next((number for number, block in enumerate(blocks) if block.path == path), len(blocks))
    for (port, _is_ipv6), members in here.items():
        first = members[0][1]
        is_marked = any(listen.default for listen, _block in members)
        if not is_marked and ours < blocks.index(first) and not set(first.names) - CATCH_ALL_NAMES:
            sentences[
                f"the server block at {first.place} is not the default server of port {port} beside the sites, since nginx reads {path} first; "
                "add default_server to its listen to have it answer to unknown names"
            ] = None
    return list(sentences)


def _foreign_defaults(
    port: int, blocks: list[ServerBlock], path: str, has_own_default: bool
) -> t.Iterator[ServerBlock]:
    """Yield the server blocks of other files that are the default server at an address of the port."""
    listens: dict[tuple[str, bool], list[tuple[Listen, ServerBlock]]] = {}
    for block in blocks:
        for listen in block.listens if block.path != path else ():
            if listen.port == port:
                listens.setdefault((listen.address, listen.is_ipv6), []).append((listen, block))
    ours = next((number for number, block in enumerate(blocks) if block.path == path), len(blocks))
    for (address, _is_ipv6), here in listens.items():
        named = [block for listen, block in here if listen.default]
        if named:
            yield named[0]
        elif not (address == "*" and has_own_default) and blocks.index(here[0][1]) < ours:
            yield here[0][1]  # the first one that nginx reads is the default server


def _protocol_warning(site: Site, port: int, block: ServerBlock, nginx: NginxBuild) -> str | None:
    """Return how the protocols of a default server differ from those of a site, or None. Raises TlsError as protocol_warnings() does."""
    versions = tls_versions([site])
    protocols = block.protocols or nginx.default_protocols
    added = [one for one in protocols if one not in versions]
    missing = [one for one in versions if one not in protocols]
    if not added and not missing:
        return None
    source = f"by ssl_protocols at {block.protocols_place}" if block.protocols else "since it has no ssl_protocols"
    remedy = f"write 'ssl_protocols {' '.join(versions)};' in that server block, take default_server away there, or give the site another https_port"
    if added and "TLSv1.2" not in versions:
        raise TlsError(
            f"the site {site['name']} is for {' and '.join(versions)} alone, and would accept {' and '.join(added)} too: the default server of "
            f"port {port}, {block.place}, does so, {source}, and nginx {version_text(nginx.version)} has one list of protocols for a port "
            f"(each site has its own from 1.29.2 on); {remedy}"
        )
    changes = [f"accepts {' and '.join(added)} too"] if added else []
    changes += [f"does not accept {' and '.join(missing)}"] if missing else []
    return f"the site {site['name']} {', and '.join(changes)}, as the default server of port {port}, {block.place}, decides it, {source}; {remedy}"
