# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Render the nginx configuration of sites.

The descriptions of sites are checked on the controller (plugin_utils/_inventory/sites.py), so that no value can end a directive
or a block. The one exception is O(extra), which is configuration.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import ServerBlock
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.http3 import (
    QuicAddresses,
    alt_svc,
    check_http3,
    quic_listens,
    sites_with_http3,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.listening import PortAddresses, default_addresses
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import (
    Session,
    Site,
    find_address_site,
    sites_by_port,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.snippets import SiteFiles, SnippetCollection
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.tls_profiles import (
    profile_name,
    tls_directives,
    tls_versions,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import NginxBuild, version_text

HEADER = "# Written by evergreen.tls; changes are overwritten. Describe the sites in nginx_sites instead.\n"

BARE_URL = re.compile(r"https?://(?:[^/?#$]|\$host\b|\$server_name\b)+")

PROXY = (
    "proxy_http_version 1.1;",
    "proxy_set_header Host $host$evergreen_port;",
)
SCHEME = ("proxy_set_header X-Forwarded-Proto $scheme;",)
CLIENT = (
    "proxy_set_header X-Real-IP $remote_addr;",
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
)
CLIENT_BY_PROXY = (
    "proxy_set_header X-Real-IP $proxy_protocol_addr;",
    "proxy_set_header X-Forwarded-For $proxy_protocol_addr;",
)
WEBSOCKET = ("proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Connection $evergreen_connection;")
# An old worker closes an HTTP/2 connection so long after it has handed the last bytes to its kernel, and whoever has not read
# them by then loses them: with nginx's own 5 seconds those who read slowly do. Who has read all closes by himself.
LINGER = ("lingering_timeout 60s;", "lingering_time 120s;")
# The version of nginx is nobody's business. Other files may have the directive in the http block, where it may stand once.
NO_VERSION = "server_tokens off;"
KEEPALIVE = ('proxy_set_header Connection "";',)
# The port that the client asked for, if it named one. $http_host has it too, and any other name that a client writes there (it stays
# empty over HTTP/3 in many versions); $host is checked by nginx, and is the name by which nginx chose the site.
PORT_MAP = [
    "map $http_host $evergreen_port {",
    '    default "";',
    '    "~(?<evergreen_named_port>:[0-9]{1,5})$" $evergreen_named_port;',
    "}",
]
WEBSOCKET_MAP = ["map $http_upgrade $evergreen_connection {", "    default upgrade;", '    "" "";', "}"]
# Before ssl_reject_handshake: a certificate that is looked up for each handshake, and never there, ends the handshake.
NOTHING_MAP = ['map "" $evergreen_nothing {', '    default "";', "}"]
NOTHING = ["ssl_certificate data:$evergreen_nothing;", "ssl_certificate_key data:$evergreen_nothing;"]


class HostSettings(t.NamedTuple):
    """The settings that all sites of a host share."""

    nginx: NginxBuild
    path: str  # of the file of sites
    store: str
    session: Session
    has_ipv6: bool
    reject_unknown: bool
    taken_ports: t.Collection[int] = ()  # ports whose default server stands in a file that is not ours
    shared_ports: t.Collection[int] = ()  # ports on which server blocks of files that are not ours listen
    addresses: t.Mapping[int, PortAddresses] = {}  # of ports on which other files listen
    quic_addresses: t.Mapping[int, QuicAddresses] = {}  # of the HTTPS ports of sites with HTTP/3
    directives: t.Sequence[str] = ()  # for all server blocks of nginx
    untested_certificates: t.Collection[str] = ()  # names of sites that nginx tests without their certificates


def check_profiles(sites: list[Site], nginx: NginxBuild) -> None:
    """Raise TlsError if this nginx cannot give each site its TLS profile, or HTTP/3."""
    check_http3(sites, nginx)
    if nginx.keeps_protocols_by_site:
        return
    for port, here in sites_by_port(sites).items():
        profiles = {tuple(tls_versions([site])): f"{site['name']} wants {_tls_option(site)}" for site in here}
        if len(profiles) > 1:
            pairs = " and ".join(profiles[versions] for versions in sorted(profiles))
            raise TlsError(
                f"on port {port} {pairs}, but nginx {version_text(nginx.version)} has one list of protocols for a port (each site has its "
                "own from 1.29.2 on); give them the same profile, or one of them another https_port"
            )


def render_sites(sites: list[Site], pending: t.Collection[str], host: HostSettings) -> SiteFiles:
    """Return the configuration of all sites.

    pending: names of sites whose certificate is not installed; they get their HTTP server block only.
    """
    served = [site for site in sites if site["name"] not in pending]
    snippets = SnippetCollection(host.path)
    default_servers = [
        _reject_block(here, port, host, snippets)
        for port, here in sorted(sites_by_port(served).items())
        if _rejects_by_tcp(here, port, host) or _rejects_by_quic(here, port, host)
    ]
    plain_default_servers = [
        _reject_plain_block(port, host)
        for port in sorted({site["http_port"] for site in sites})
        if host.reject_unknown and port not in host.shared_ports and _addresses(port, host).wildcards
    ]
    first = [
        *([list(host.directives)] if host.directives else []),
        *([PORT_MAP] if any(site.get("proxy_pass") is not None for site in sites) else []),
        *([WEBSOCKET_MAP] if any(site["websocket"] for site in sites) else []),
        *(
            [NOTHING_MAP]
            if host.untested_certificates or (default_servers and not host.nginx.rejects_handshakes)
            else []
        ),
    ]
    blocks = [*first, *default_servers, *plain_default_servers]
    for site in sites:
        blocks.append([f"# site {site['name']}", *_http_block(site, host, snippets)])
        if site in served:
            blocks.append(_https_block(site, served, host, snippets))
    return SiteFiles("\n".join([HEADER, *("\n".join(block) + "\n" for block in blocks)]), snippets.contents)


# not a parser: it reads what the collection has made or checked
def site_at_line(text: str, line: int) -> str | None:
    """Return the name of the site that a line of the rendered configuration belongs to."""
    above = [one.removeprefix("# site ") for one in text.splitlines()[:line] if one.startswith("# site ")]
    return above[-1] if above else None


def name_conflicts(blocks: list[ServerBlock], path: str) -> list[str]:
    """Return a sentence for each name that server blocks in *path* and in other files share.

    Only names on the same port are in conflict.
    blocks: in the order in which nginx reads them.
    """
    ours = [block for block in blocks if block.path == path]
    sentences: dict[str, None] = {}
    for foreign in blocks:
        for block in ours if foreign.path != path else []:
            ports = {listen.port for listen in block.listens} & {listen.port for listen in foreign.listens}
            for name in sorted(set(block.names) & set(foreign.names) - {"_"}) if ports else ():
                first = min(block, foreign, key=blocks.index)
                sentences[
                    f"{name} on port {min(ports)} is also defined in {foreign.place}, and nginx answers with {first.place}, "
                    "which it reads first; remove the name from one of them"
                ] = None
    return list(sentences)


def _reject_block(sites: list[Site], port: int, host: HostSettings, snippets: SnippetCollection) -> list[str]:
    # Sessions belong to the port, and before 1.29.2 the protocols do too: nginx takes both from this server.
    by_tcp, by_quic = _rejects_by_tcp(sites, port, host), _rejects_by_quic(sites, port, host)
    wildcards = _addresses(port, host).wildcards if by_tcp else ()
    return [
        f"# Unknown names on port {port} get no certificate.",
        *_block(
            *_listen(wildcards, *_tls_parameters(sites, host), "default_server"),
            *(quic_listens(host.quic_addresses[port]._replace(others=()), True, True) if by_quic else []),
            "server_name _;",
            *(["ssl_reject_handshake on;"] if host.nginx.rejects_handshakes else NOTHING),
            _include_tls(sites, host, snippets),
            # A browser that uses the connection of a site for another name asks again over one of its own (RFC 9110, section 15.5.20).
            "return 421;",
        ),
    ]


def _rejects_by_tcp(sites: list[Site], port: int, host: HostSettings) -> bool:
    """Return whether a block of its own rejects unknown names on the HTTPS port of these sites."""
    is_free = port not in host.taken_ports and not find_address_site(sites)
    return host.reject_unknown and is_free and bool(_addresses(port, host).wildcards)


def _rejects_by_quic(sites: list[Site], port: int, host: HostSettings) -> bool:
    """Return the same for HTTP/3, where another server may be the default one."""
    addresses = host.quic_addresses.get(port)
    if not (host.reject_unknown and addresses and addresses.wildcards):
        return False
    with_http3 = sites_with_http3(sites)
    return bool(with_http3) and addresses.default_place is None and not find_address_site(with_http3)


def _reject_plain_block(port: int, host: HostSettings) -> list[str]:
    return [
        f"# Unknown names on port {port} get no response.",
        *_block(
            *_listen(_addresses(port, host).wildcards, "default_server"),
            "server_name _;",
            NO_VERSION,
            "return 444;",
        ),
    ]


def _http_block(site: Site, host: HostSettings, snippets: SnippetCollection) -> list[str]:
    port = "" if site["https_port"] == 443 else f":{site['https_port']}"
    redirect = _location(f"return 308 https://$host{port}$request_uri;")
    content = redirect if site["force_https"] else _content(site, snippets)
    addresses = _addresses(site["http_port"], host)
    return _block(
        *_listen((*addresses.wildcards, *addresses.others)),
        _names(site),
        NO_VERSION,
        *_logs(site),
        "",
        *_challenge_location(site),
        *content,
    )


def _https_block(site: Site, served: list[Site], host: HostSettings, snippets: SnippetCollection) -> list[str]:
    here = [other for other in served if other["https_port"] == site["https_port"]]
    is_default = find_address_site([site]) is not None  # a port has one such site at most
    extra = site.get("extra")
    has_http2 = site["http2"] and host.nginx.has_http2
    addresses = _addresses(site["https_port"], host)
    parameters = _tls_parameters(here, host)
    return _block(
        *_listen(addresses.wildcards, *parameters, *(["default_server"] if is_default else [])),
        *_listen(addresses.others, *parameters),
        *_quic_listens(site, here, host),
        *(["http2 on;"] if has_http2 and host.nginx.switches_http2_by_site else []),
        *(["http3 on;"] if site.get("http3") else []),
        _names(site),
        *_logs(site),
        "",
        *(NOTHING if site["name"] in host.untested_certificates else _certificate(site, host)),
        _include_tls([site], host, snippets),
        *([f'add_header Strict-Transport-Security "{site["hsts"]}" always;'] if site["hsts"] else []),
        *([alt_svc(site)] if site.get("http3") else []),
        "",
        *_challenge_location(site),
        *_content(site, snippets, CLIENT_BY_PROXY if site.get("proxy_protocol") else CLIENT),
        verbatim=extra.strip("\n") if extra else "",
    )


def _quic_listens(site: Site, here: list[Site], host: HostSettings) -> list[str]:
    """Return the listen directives for HTTP/3 of a site. here: the sites of its port that have a certificate."""
    port, with_http3 = site["https_port"], sites_with_http3(here)
    if site not in with_http3:
        return []
    is_first = site is with_http3[0] and not _rejects_by_quic(here, port, host)
    return quic_listens(host.quic_addresses[port], is_first, find_address_site(with_http3) is site)


def _include_tls(sites: list[Site], host: HostSettings, snippets: SnippetCollection) -> str:
    """Return the directive that includes the TLS settings of the sites, which are one site or all of a port."""
    versions = tls_versions(sites)
    has_http2 = host.nginx.has_http2 and any(site["http2"] for site in sites)
    return snippets.include(
        profile_name(versions),
        [
            *tls_directives(host.nginx, versions, host.session),
            *(LINGER if has_http2 else ()),
            *([] if any("server_tokens" in (site.get("extra") or "") for site in sites) else [NO_VERSION]),
        ],
    )


def _certificate(site: Site, host: HostSettings) -> list[str]:
    current = f"{host.store}/{site['certificate']}/current"
    return [
        f"ssl_certificate {current}/fullchain.pem;",
        f"ssl_certificate_key {current}/privkey.pem;",
        *([f"ssl_password_file {current}/passphrase;"] if site.get("encrypted") else []),
    ]


def _tls_option(site: Site) -> str:
    """Return the option that decides about the versions of TLS, with its value."""
    versions = site.get("tls_versions")
    return f"the versions {' and '.join(versions)}" if versions else f"the profile {site['profile']}"


def _tls_parameters(sites: list[Site], host: HostSettings) -> list[str]:
    """Return the parameters of listen for the HTTPS port of these sites."""
    is_behind_proxy = any(site.get("proxy_protocol") for site in sites)
    return ["ssl", *_http2_parameter(sites, host), *(["proxy_protocol"] if is_behind_proxy else [])]


def _http2_parameter(sites: list[Site], host: HostSettings) -> list[str]:
    """Return the parameter of listen for HTTP/2, as nginx before 1.25.1 takes it.

    It belongs to the port, so one site with HTTP/2 is enough.
    """
    has_http2 = any(site["http2"] for site in sites) and host.nginx.has_http2
    return ["http2"] if has_http2 and not host.nginx.switches_http2_by_site else []


def _challenge_location(site: Site) -> list[str]:
    """Return the location that answers http-01 (RFC 8555, section 8.3).

    The CA sends the token, and the thumbprint of the account's key stays the same. So any host behind a name can answer,
    and a renewal writes nothing.
    """
    if not site.get("acme_thumbprint"):
        return []
    return [
        r"location ~ ^/\.well-known/acme-challenge/([-_A-Za-z0-9]+)$ {",
        "    default_type text/plain;",
        f'    return 200 "$1.{site["acme_thumbprint"]}";',
        "}",
        "",
    ]


# not a parser: it reads what the collection has made or checked
def _content(site: Site, snippets: SnippetCollection, client: t.Sequence[str] = CLIENT) -> list[str]:
    if site.get("root") is not None:
        return [f"root {site['root']};"]
    if site.get("proxy_pass") is not None:
        headers = (*PROXY, *client, *SCHEME, *(WEBSOCKET if site["websocket"] else KEEPALIVE))
        name = "websocket" if site["websocket"] else "proxy"
        timeout = site.get("proxy_read_timeout")
        return _location(
            f"proxy_pass {site['proxy_pass']};",
            *([f"proxy_read_timeout {timeout};"] if timeout else []),
            snippets.include(name, headers),
        )
    redirect = site.get("redirect")
    if redirect is not None:
        path = "$request_uri" if BARE_URL.fullmatch(redirect) else ""
        return _location(f"return 308 {redirect}{path};")
    if site.get("return_code") is not None:
        return _location(f"return {site['return_code']};")
    return []


def _addresses(port: int, host: HostSettings) -> PortAddresses:
    return host.addresses.get(port) or default_addresses(port, host.has_ipv6)


def _listen(addresses: t.Iterable[str], *words: str) -> list[str]:
    return [f"{' '.join(('listen', address, *words))};" for address in addresses]


def _names(site: Site) -> str:
    return f"server_name {' '.join(f'[{name}]' if ':' in name else name for name in site['server_names'])};"


def _logs(site: Site) -> list[str]:
    return [f"{option} {value};" for option in ("access_log", "error_log") if (value := site.get(option))]


def _location(*lines: str) -> list[str]:
    return ["location / {", *(f"    {line}" for line in lines), "}"]


def _block(*lines: str, verbatim: str = "") -> list[str]:
    indented = [f"    {line}" if line else "" for line in lines]
    while indented[-1] == "":
        indented.pop()
    return ["server {", *indented, *(["", verbatim] if verbatim else []), "}"]
