# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sites of a host have to get along with: configuration in other files, open sockets, other programs."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import (
    inside_blocks,
    other_listens,
    server_blocks,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.default_servers import (
    displacement_warnings,
    foreign_default_servers,
    protocol_warnings,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.http3 import (
    QuicAddresses,
    quic_addresses,
    sites_with_http3,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.listening import (
    PortAddresses,
    check_other_servers,
    port_addresses,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import PROGRAM_NAMES
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.name_hash import name_hash_directives
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.shared_ports import check_proxy_protocol, check_tls
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import Site
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import NginxBuild
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import (
    ListeningSocket,
    foreign_holder,
    listening_sockets,
    udp_sockets,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import PathUse, check_folder


class Surroundings:
    """The configuration of nginx without the file of the sites, and the sockets of the host.

    files: text by path, without the file of the sites. main: the main file.
    """

    def __init__(self, sites: list[Site], files: dict[str, str], main: str, is_running: bool, ipv6: str) -> None:
        self.sites = sites
        self.files = files
        self.main = main
        self.is_running = is_running
        self.has_ipv6 = _has_ipv6(ipv6)
        self.blocks = server_blocks(files, main)
        self.ports = site_ports(sites)
        self.quic_ports = sorted({site["https_port"] for site in sites_with_http3(sites)})
        self.taken_ports = foreign_default_servers(sites, self.blocks)

    def default_server_warnings(self, path: str, nginx: NginxBuild, reject_unknown: bool) -> list[str]:
        """Return warnings about default servers that decide about the protocols of the sites in the file *path*, or make way for them."""
        blocks = server_blocks({**self.files, path: "server {}"}, self.main)
        displaced = displacement_warnings(self.ports, blocks, path)
        return displaced + protocol_warnings(self.sites, blocks, path, nginx, reject_unknown)

    def shared_ports(self) -> set[int]:
        """Return the ports of the sites on which server blocks of other files listen."""
        return {listen.port for block in self.blocks for listen in block.listens if listen.port in self.ports}

    # not a parser: it reads what the collection has made or checked
    def check_proved_ports(self, ports: t.Mapping[str, t.Any]) -> None:
        """Raise TlsError for a certificate that is proved at a port at which no site has it, and nothing else listens.

        ports: by the name of the certificate.
        """
        others = {listen.port for block in self.blocks for listen in block.listens}
        others |= {listen.port for _server, listen in other_listens(self.files, self.main)}
        for name, port in ports.items():
            here = [site for site in self.sites if site["certificate"] == name]
            own = {site["https_port"] for site in here}
            listens_itself = any(re.search(rf"\blisten\s[^;]*\b{port}\b", site.get("extra") or "") for site in here)
            if not here or port in own or port in others or listens_itself:
                continue
            site = here[0]
            raise TlsError(
                f"the site {site['name']} has https_port {site['https_port']}, and its certificate {name} is proved at port {port}, where nothing "
                f"in nginx's configuration listens; write port: {site['https_port']} for the certificate request {name}, or https_port: {port} "
                "for the site"
            )

    # not a parser: it reads what the collection has made or checked
    def check_logs(self) -> None:
        """Raise TlsError if nginx, as root, would write a log of a site into a folder that another user could exchange."""
        for site in self.sites:
            for option, value in (("access_log", site.get("access_log")), ("error_log", site.get("error_log"))):
                if value and value != "off":
                    folder = os.path.dirname(value.split(" ")[0])
                    check_folder(folder, PathUse(f"the {option} of the site {site['name']}"))
                    if not os.path.isdir(folder):
                        raise TlsError(
                            f"the {option} of the site {site['name']} is in the folder {folder}, which does not exist on this host; create "
                            f"it, with mkdir -p {folder}, or correct {option}"
                        )

    def addresses(self) -> dict[int, PortAddresses]:
        """Return the addresses at which the sites listen on each port. Raises TlsError for a port that they cannot have."""
        check_proxy_protocol(self.sites, self.blocks)
        check_tls(self.sites, self.blocks)
        check_other_servers(self.ports, other_listens(self.files, self.main))
        return {port: port_addresses(port, self.blocks, self._open_sockets(port), self.has_ipv6) for port in self.ports}

    def quic_addresses(self) -> dict[int, QuicAddresses]:
        """Return the addresses at which the sites listen for HTTP/3. Raises TlsError for a port that they cannot have."""
        check_other_servers(
            dict.fromkeys(self.quic_ports, "https_port"), other_listens(self.files, self.main, is_udp=True)
        )
        return {port: quic_addresses(port, self.blocks, self.has_ipv6) for port in self.quic_ports}

    def header_warnings(self) -> list[str]:
        """Return a warning where another file adds headers to all sites, and some sites have headers of their own.

        nginx inherits add_header only where a block has none (https://nginx.org/en/docs/http/ngx_http_headers_module.html).
        """
        names = [site["name"] for site in self.sites if site.get("http3") or site["hsts"]]
        directives = list(inside_blocks(self.files, self.main, "http"))
        is_merged = any(one.words[:2] == ["add_header_inherit", "merge"] for _path, one in directives)
        places = [f"{path}:{one.line}" for path, one in directives if one.words[0] == "add_header"]
        if not (names and places) or is_merged:
            return []
        return [
            (
                f"{places[0]} adds a header to all sites, and nginx leaves it out for {', '.join(names)}, which have a header of their own by "
                "http3 or hsts; add it to extra of these sites as well"
            )
        ]

    def directives(self) -> list[str]:
        """Return the directives that all server blocks together need. Raises TlsError where somebody else's are too small."""
        names = {name for site in self.sites for name in site["server_names"]}
        for block in self.blocks:
            if any(listen.port in self.ports for listen in (*block.listens, *block.quic_listens)):
                names.update(block.names)
        return name_hash_directives(names, self.files, self.main)

    def warnings(self, reject_unknown: bool) -> list[str]:
        """Return warnings about what the sites do not get beside other files, or on this host."""
        by_tcp = self.taken_ports.items() if reject_unknown else ()
        by_quic = self.quic_addresses().items() if reject_unknown else ()
        taken = [(f"port {port} are not rejected", place) for port, place in by_tcp]
        taken += [
            (f"port {port} are not rejected over HTTP/3", one.default_place)
            for port, one in by_quic
            if one.default_place
        ]
        default_servers = [
            f"unknown names on {what}, since {place} is the default server there; take default_server away there to have them rejected"
            for what, place in taken
        ]
        return [*default_servers, *self.root_warnings(), *self.header_warnings()]

    def root_warnings(self) -> list[str]:
        """Return a warning for each site whose root is no folder of this host. nginx takes it, and answers 404."""
        roots = {site["name"]: site.get("root") or "" for site in self.sites}
        return [
            f"the root of the site {name}, {root}, is no folder on this host, and clients get 404; create it, with mkdir -p {root}, or "
            "correct root"
            for name, root in roots.items()
            if root and "$" not in root and not os.path.isdir(root)
        ]

    def check_ports(self) -> None:
        """Raise TlsError if another program has a port of the sites.

        nginx -t does not check that, and a reload would fail.
        """
        for listener in listening_sockets():
            is_meant = self.has_ipv6 or ":" not in listener.address or listener.address == "::"
            holder = foreign_holder(listener, *PROGRAM_NAMES) if is_meant and listener.port in self.ports else None
            if holder:
                raise TlsError(
                    f"port {listener.port} is already taken by {holder}; stop it, or choose another {self.ports[listener.port]}"
                )
        for receiver in udp_sockets() if self.quic_ports else []:
            holder = foreign_holder(receiver, *PROGRAM_NAMES) if receiver.port in self.quic_ports else None
            if holder:
                raise TlsError(
                    f"UDP port {receiver.port}, which http3 needs, is already taken by {holder}; stop it, take http3 away, or choose another "
                    "https_port"
                )

    def _open_sockets(self, port: int) -> list[ListeningSocket]:
        """Return the sockets that a running nginx has open on a port."""
        sockets = [listener for listener in listening_sockets() if listener.port == port] if self.is_running else []
        return [listener for listener in sockets if foreign_holder(listener, *PROGRAM_NAMES) is None]


def site_ports(sites: t.Iterable[Site]) -> dict[int, str]:
    """Return the ports of the sites, with the option that names each."""
    http = {site["http_port"]: "http_port" for site in sites}
    return {**http, **{site["https_port"]: "https_port" for site in sites}}


def _has_ipv6(option: str) -> bool:
    """Return whether nginx is to listen on IPv6, by the option ipv6."""
    return os.path.exists("/proc/net/if_inet6") if option == "auto" else option == "true"
