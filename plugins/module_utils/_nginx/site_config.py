# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sites of a host, and the nginx configuration that serves them.

Their descriptions are checked on the controller (plugin_utils/_inventory/sites.py), so that no value can end a directive or a
block. The one exception is O(extra), which is configuration.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import Server
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.tls_profiles import tls_directives
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import Nginx, dotted

# The one definition of the options of nginx_sites. Described for people in plugins/modules/nginx_sites.yml.
SITE = {
    "name": {"type": "str", "required": True},
    "certificate": {"type": "str"},
    "server_names": {"type": "list", "elements": "str"},
    "root": {"type": "str"},
    "proxy_pass": {"type": "str", "no_log": False},
    "redirect": {"type": "str"},
    "return_code": {"type": "int"},
    "websocket": {"type": "bool", "default": False},
    "force_https": {"type": "bool", "default": True},
    "hsts": {"type": "raw", "default": False},
    "profile": {"type": "str", "choices": ["modern", "intermediate"]},
    "http2": {"type": "bool", "default": True},
    "http_port": {"type": "int", "default": 80},
    "https_port": {"type": "int", "default": 443},
    "extra": {"type": "str"},
    "acme_thumbprint": {"type": "str"},
    "encrypted": {"type": "bool", "default": False},
}
OPTIONS = {
    "sites": {"type": "list", "elements": "dict", "default": [], "options": SITE},
    "domains": {"type": "dict", "default": {}},
    "requests": {"type": "list", "elements": "dict", "default": []},  # these two stay on the controller
    "issuers": {"type": "dict", "default": {}, "no_log": True},
    "profile": {"type": "str", "choices": ["modern", "intermediate"], "default": "intermediate"},
    "reject_unknown": {"type": "bool", "default": True},
    "session_timeout": {"type": "str", "default": "1d"},
    "session_cache": {"type": "str", "default": "shared:evergreen:10m"},
    "session_tickets": {"type": "bool"},
    "ipv6": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
    "store": {"type": "path", "default": "/etc/evergreen"},
    "path": {"type": "path", "default": "/etc/nginx/conf.d/evergreen.conf"},
    "reload": {"type": "bool", "default": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

HEADER = "# Written by evergreen.tls; changes are overwritten. Describe the sites in nginx_sites instead.\n"

BARE_URL = re.compile(r"https?://(?:[^/?#$]|\$host\b|\$server_name\b)+")

PROXY = (
    "proxy_http_version 1.1;",
    "proxy_set_header Host $host;",
    "proxy_set_header X-Real-IP $remote_addr;",
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "proxy_set_header X-Forwarded-Proto $scheme;",
)
WEBSOCKET = ("proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Connection $evergreen_connection;")
# An old worker closes an HTTP/2 connection so long after it has handed the last bytes to its kernel, and whoever has not read
# them by then loses them: with nginx's own 5 seconds those who read slowly do. Who has read all closes by himself.
LINGER = ("lingering_timeout 60s;", "lingering_time 120s;")
KEEPALIVE = ('proxy_set_header Connection "";',)
WEBSOCKET_MAP = ["map $http_upgrade $evergreen_connection {", "    default upgrade;", '    "" "";', "}"]
# Before ssl_reject_handshake: a certificate that is looked up for each handshake, and never there, ends the handshake.
NOTHING_MAP = ['map "" $evergreen_nothing {', '    default "";', "}"]
NOTHING = ["ssl_certificate data:$evergreen_nothing;", "ssl_certificate_key data:$evergreen_nothing;"]


class Host(t.NamedTuple):
    """What the configuration of all sites has in common."""

    nginx: Nginx
    store: str
    session: dict[str, t.Any]
    has_ipv6: bool
    reject_unknown: bool
    taken_ports: t.Collection[int] = ()  # their default server is somebody else's


def check_profiles(sites: list[dict], nginx: Nginx) -> None:
    """Make sure that this nginx can give each site its profile."""
    if nginx.keeps_protocols_by_site:
        return
    for port, here in by_port(sites).items():
        profiles = {site["profile"]: site["name"] for site in here}
        if len(profiles) > 1:
            pairs = " and ".join(f"{name} wants the profile {profile}" for profile, name in sorted(profiles.items()))
            raise TlsError(
                f"on port {port} {pairs}, but nginx {dotted(nginx.version)} has one list of protocols for a port (each site has its "
                "own from 1.29.2 on); give them the same profile, or one of them another https_port"
            )


def render(sites: list[dict], waiting: t.Collection[str], host: Host) -> str:
    """Return the configuration of all sites; those that wait for their certificate get their HTTP side only."""
    served = [site for site in sites if site["name"] not in waiting]
    default_servers = [
        _reject_block(here, port, host)
        for port, here in sorted(by_port(served).items())
        if host.reject_unknown and port not in host.taken_ports and not address_site(here)
    ]
    maps = [
        *([WEBSOCKET_MAP] if any(site["websocket"] for site in sites) else []),
        *([NOTHING_MAP] if default_servers and not host.nginx.rejects_handshakes else []),
    ]
    blocks = [*maps, *default_servers]
    for site in sites:
        blocks.append([f"# site {site['name']}", *_http_block(site, host)])
        if site in served:
            blocks.append(_https_block(site, served, host))
    return "\n".join([HEADER, *("\n".join(block) + "\n" for block in blocks)])


# not a parser: it reads what the collection has made or checked
def site_at(text: str, line: int) -> str | None:
    """Return the name of the site that a line of the rendered configuration belongs to."""
    above = [found.removeprefix("# site ") for found in text.splitlines()[:line] if found.startswith("# site ")]
    return above[-1] if above else None


def https_ports(sites: list[dict]) -> list[int]:
    """Return the ports on which the sites speak TLS."""
    return sorted({site["https_port"] for site in sites})


def foreign_defaults(sites: list[dict], strangers: list[Server]) -> dict[int, str]:
    """Return the ports of the sites that have a default server of somebody else, and where that stands."""
    found = {}
    for server in strangers:
        for listen in server.listens:
            if listen.default and listen.address == "*" and listen.port in https_ports(sites):
                found.setdefault(listen.port, server.place)
    for port, here in by_port(sites).items():
        site = address_site(here)
        if site and port in found:
            raise TlsError(
                f"the site {site['name']} has an IP address and so must be the default server of port {port}, but {found[port]} "
                "is that already; take default_server away there, or choose another https_port"
            )
    return found


def conflicts(servers: list[Server], path: str) -> list[str]:
    """Say which names of ours, those in *path*, somebody else's server answers to as well; *servers* as nginx reads them."""
    ours = [server for server in servers if server.path == path]
    found = {}
    for server in servers:
        for mine in ours if server.path != path else []:
            ports = {listen.port for listen in mine.listens} & {listen.port for listen in server.listens}
            for name in sorted(set(mine.names) & set(server.names) - {"_"}) if ports else ():
                first = min(mine, server, key=servers.index)
                found[
                    f"{name} on port {min(ports)} is also defined in {server.place}, and nginx answers with {first.place}, "
                    "which it reads first; remove the name from one of them"
                ] = None
    return list(found)


def address_site(sites: list[dict]) -> dict | None:
    """Return the site that answers clients who ask for an IP address: these send no name (RFC 6066, section 3)."""
    return next((site for site in sites if any(is_ip_address(name) for name in site["server_names"])), None)


def by_port(sites: list[dict]) -> dict[int, list[dict]]:
    return {port: [site for site in sites if site["https_port"] == port] for port in https_ports(sites)}


def _reject_block(sites: list[dict], port: int, host: Host) -> list[str]:
    # Sessions belong to the port, and before 1.29.2 the protocols do too: nginx takes both from this server.
    profile = "intermediate" if any(site["profile"] == "intermediate" for site in sites) else "modern"
    return [
        f"# Unknown names on port {port} get no certificate.",
        *_block(
            *_listen(port, host, "ssl", *_http2_word(sites, host), "default_server"),
            "server_name _;",
            *(["ssl_reject_handshake on;"] if host.nginx.rejects_handshakes else NOTHING),
            *tls_directives(host.nginx, profile, host.session),
            "return 444;",
        ),
    ]


def _http_block(site: dict, host: Host) -> list[str]:
    port = "" if site["https_port"] == 443 else f":{site['https_port']}"
    answer = _location(f"return 308 https://$host{port}$request_uri;") if site["force_https"] else _answer(site)
    return _block(*_listen(site["http_port"], host), _names(site), "", *_challenges(site), *answer)


def _https_block(site: dict, served: list[dict], host: Host) -> list[str]:
    here = [other for other in served if other["https_port"] == site["https_port"]]
    is_default = address_site(here) is site
    current = f"{host.store}/{site['certificate']}/current"
    extra = site.get("extra")
    has_http2 = site["http2"] and host.nginx.has_http2
    return _block(
        *_listen(
            site["https_port"], host, "ssl", *_http2_word(here, host), *(["default_server"] if is_default else [])
        ),
        *(["http2 on;"] if has_http2 and host.nginx.switches_http2_by_site else []),
        _names(site),
        "",
        f"ssl_certificate {current}/fullchain.pem;",
        f"ssl_certificate_key {current}/privkey.pem;",
        *([f"ssl_password_file {current}/passphrase;"] if site.get("encrypted") else []),
        *tls_directives(host.nginx, site["profile"], host.session),
        *(LINGER if has_http2 else ()),
        *([f'add_header Strict-Transport-Security "{site["hsts"]}" always;'] if site["hsts"] else []),
        "",
        *_challenges(site),
        *_answer(site),
        verbatim=extra.strip("\n") if extra else "",
    )


def _http2_word(sites: list[dict], host: Host) -> list[str]:
    """Return the word for listen: before 1.25.1 HTTP/2 belongs to the port, and one site that wants it is enough."""
    wanted = any(site["http2"] for site in sites) and host.nginx.has_http2
    return ["http2"] if wanted and not host.nginx.switches_http2_by_site else []


def _challenges(site: dict) -> list[str]:
    """Return the location that answers http-01 (RFC 8555, section 8.3).

    The CA says its token, and the thumbprint of the account's key is always the same. So any host behind a name can be
    asked, and nothing has to be written during a renewal.
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
def _answer(site: dict) -> list[str]:
    if site.get("root") is not None:
        return [f"root {site['root']};"]
    if site.get("proxy_pass") is not None:
        return _location(f"proxy_pass {site['proxy_pass']};", *PROXY, *(WEBSOCKET if site["websocket"] else KEEPALIVE))
    if site.get("redirect") is not None:
        path = "$request_uri" if BARE_URL.fullmatch(site["redirect"]) else ""
        return _location(f"return 308 {site['redirect']}{path};")
    if site.get("return_code") is not None:
        return _location(f"return {site['return_code']};")
    return []


def _listen(port: int, host: Host, *words: str) -> list[str]:
    addresses = [str(port), *([f"[::]:{port}"] if host.has_ipv6 else [])]
    return [f"{' '.join(('listen', address, *words))};" for address in addresses]


def _names(site: dict) -> str:
    return f"server_name {' '.join(f'[{name}]' if ':' in name else name for name in site['server_names'])};"


def _location(*lines: str) -> list[str]:
    return ["location / {", *(f"    {line}" for line in lines), "}"]


def _block(*lines: str, verbatim: str = "") -> list[str]:
    indented = [f"    {line}" if line else "" for line in lines]
    while indented[-1] == "":
        indented.pop()
    return ["server {", *indented, *(["", verbatim] if verbatim else []), "}"]
