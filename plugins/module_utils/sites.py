# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sites of a host: what people write about them, checked, and the nginx configuration that serves them.

Every value is checked before it becomes part of the configuration, so that none can end a directive or a block. The one
exception is O(extra), which is configuration.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils.configurations import Server
from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.names import check_request_name, is_address, normal_name
from ansible_collections.evergreen.tls.plugins.module_utils.nginx import Nginx, dotted, tls_directives

HEADER = "# Written by evergreen.tls; changes are overwritten. Describe the sites in nginx_sites instead.\n"
MOZILLA_MAX_AGE = 63072000
YEAR = 31536000
ANSWERS = ("root", "proxy_pass", "redirect", "return_code")

PATH = re.compile(r"/[\w.,:@%+=~/-]*")
UPSTREAM = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/@%+,=&?\[\]-]*")
TARGET = re.compile(r"https?://[A-Za-z0-9\[$][A-Za-z0-9._~:/@%+,=&?\[\]#!*()$-]*")
VARIABLE = re.compile(r"\$(\w*)")
BARE_URL = re.compile(r"https?://(?:[^/?#$]|\$host\b|\$server_name\b)+")
DURATION = re.compile(r"\d+[smhdwMy]?")
SESSION_CACHE = re.compile(r"off|none|shared:\w+:\d+[kKmM]?")

PROXY = (
    "proxy_http_version 1.1;",
    "proxy_set_header Host $host;",
    "proxy_set_header X-Real-IP $remote_addr;",
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "proxy_set_header X-Forwarded-Proto $scheme;",
)
WEBSOCKET = ("proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Connection $evergreen_connection;")
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


def normal_site(site: dict, profile: str, domains: dict[str, list[str]]) -> dict[str, t.Any]:
    """Return a site with its defaults filled in, once every word of it may stand in a configuration."""
    name = check_request_name(site["name"])
    try:
        certificate = check_request_name(site.get("certificate") or name)
        normal = {
            **site,
            "certificate": certificate,
            "server_names": _server_names(site.get("server_names") or domains.get(certificate) or [name]),
            "profile": site.get("profile") or profile,
            "hsts": hsts_header(site.get("hsts")),
        }
        _check_answer(normal)
        _check_ports(normal)
    except TlsError as error:
        raise TlsError(f"the site {name} cannot be configured: {error}", **error.details) from error
    return normal


def check_sites(sites: list[dict], nginx: Nginx) -> None:
    """Make sure that the sites can stand beside each other."""
    names = [site["name"] for site in sites]
    for name in names:
        if names.count(name) > 1:
            raise TlsError(f"{names.count(name)} sites are called {name}; give each its own name")
    answering: dict[tuple[str, int], str] = {}
    for site in sites:
        for endpoint in ((name, site[port]) for name in site["server_names"] for port in ("http_port", "https_port")):
            if answering.setdefault(endpoint, site["name"]) != site["name"]:
                raise TlsError(
                    f"the sites {answering[endpoint]} and {site['name']} both answer to {endpoint[0]} on port {endpoint[1]}; "
                    "take the name from one of them"
                )
    for port, here in _by_port(sites).items():
        _check_one_address_site(here, port)
        _check_profiles(here, port, nginx)
        plain = [site["name"] for site in sites if site["http_port"] == port]
        if plain:
            raise TlsError(
                f"the site {plain[0]} has port {port} as its http_port, and {here[0]['name']} as its https_port; "
                "choose another port for one of them"
            )


def check_session(session: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the session settings, once they may stand in a configuration."""
    if not DURATION.fullmatch(session["timeout"]):
        raise TlsError(f"the session_timeout {session['timeout']!r} is no time for nginx; write one such as 1d or 10m")
    if not SESSION_CACHE.fullmatch(session["cache"]):
        raise TlsError(
            f"the session_cache {session['cache']!r} is none for nginx; write one such as shared:evergreen:10m, or off"
        )
    return session


def check_store(store: str) -> str:
    """Return the folder of the certificates, once it may stand in a configuration."""
    if not PATH.fullmatch(store):
        raise TlsError(
            f"the store {store!r} cannot stand in nginx's configuration; use an absolute path without blanks and quotes"
        )
    return store


def hsts_header(value: t.Any) -> str | None:
    """Return the value of the header Strict-Transport-Security (RFC 6797), or None where it is not wanted.

    >>> hsts_header({"max_age": 31536000, "include_subdomains": True})
    'max-age=31536000; includeSubDomains'
    """
    wanted = value if isinstance(value, dict) else {"max_age": value}
    unknown = sorted(set(wanted) - {"max_age", "include_subdomains", "preload"})
    if unknown:
        raise TlsError(f"hsts has no {unknown[0]!r}; it takes max_age, include_subdomains and preload")
    max_age = _seconds(wanted.get("max_age", MOZILLA_MAX_AGE))
    if max_age is None:
        return None
    subdomains, preload = _truth(wanted, "include_subdomains"), _truth(wanted, "preload")
    if preload and (max_age < YEAR or not subdomains):
        raise TlsError(
            f"hsts with preload needs include_subdomains and a max_age of at least {YEAR}, or the preload lists refuse it; "
            "add these or leave out preload"
        )
    return f"max-age={max_age}" + ("; includeSubDomains" if subdomains else "") + ("; preload" if preload else "")


def render(sites: list[dict], waiting: t.Collection[str], host: Host) -> str:
    """Return the configuration of all sites; those that wait for their certificate get their HTTP side only."""
    served = [site for site in sites if site["name"] not in waiting]
    default_servers = [
        _reject_block(here, port, host)
        for port, here in sorted(_by_port(served).items())
        if host.reject_unknown and port not in host.taken_ports and not _address_site(here)
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
    for port, here in _by_port(sites).items():
        site = _address_site(here)
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


def _server_names(names: list[str]) -> list[str]:
    return list(dict.fromkeys(normal_name(name) for name in names))


def _check_answer(site: dict) -> None:
    answers = [answer for answer in ANSWERS if site.get(answer) is not None]
    if len(answers) > 1:
        raise TlsError(f"it has both {' and '.join(answers)}; keep one of them")
    if not answers and not site.get("extra"):
        raise TlsError(f"it does not say what to answer; give it one of {', '.join(ANSWERS)}, or extra")
    if site["websocket"] and "proxy_pass" not in answers:
        raise TlsError("websocket is for sites with proxy_pass; add that or leave out websocket")
    if site.get("root") is not None:
        _check_words(site["root"], PATH, {"host", "server_name"}, "root", "an absolute path without blanks and quotes")
    if site.get("proxy_pass") is not None:
        _check_words(site["proxy_pass"], UPSTREAM, set(), "proxy_pass", "a URL such as http://127.0.0.1:8080")
    if site.get("redirect") is not None:
        variables = {"host", "server_name", "request_uri", "args"}
        _check_words(site["redirect"], TARGET, variables, "redirect", "a URL such as https://www.example.org")
    code = site.get("return_code")
    if code is not None and (not 200 <= code <= 599 or 300 <= code <= 399):
        raise TlsError(f"return_code is {code}; choose one such as 404 or 444, and redirect for another address")


def _check_words(value: str, pattern: re.Pattern, variables: set[str], option: str, wanted: str) -> None:
    words = VARIABLE.sub(lambda found: "V" if found.group(1) in variables else found.group(), value)
    if "$" in words:
        known = f"; it takes {', '.join('$' + name for name in sorted(variables))}" if variables else ""
        raise TlsError(f"{option} {value!r} has a variable that does not belong there{known}; use extra for more")
    if not pattern.fullmatch(words):
        raise TlsError(f"{option} is {value!r}; write {wanted}, or use extra for more")


def _check_ports(site: dict) -> None:
    for option in ("http_port", "https_port"):
        if not 1 <= site[option] <= 65535:
            raise TlsError(f"{option} is {site[option]}; choose one from 1 to 65535")


def _check_one_address_site(sites: list[dict], port: int) -> None:
    addressed = [site["name"] for site in sites if _address_site([site])]
    if len(addressed) > 1:
        raise TlsError(
            f"the sites {' and '.join(addressed)} both have an IP address on port {port}, and clients that ask for an address "
            "send no name by which to tell them apart; put the addresses into one site, or on another https_port"
        )


def _check_profiles(sites: list[dict], port: int, nginx: Nginx) -> None:
    profiles = {site["profile"]: site["name"] for site in sites}
    if len(profiles) > 1 and not nginx.keeps_protocols_by_site:
        pairs = " and ".join(f"{name} wants the profile {profile}" for profile, name in sorted(profiles.items()))
        raise TlsError(
            f"on port {port} {pairs}, but nginx {dotted(nginx.version)} has one list of protocols for a port (each site has its "
            "own from 1.29.2 on); give them the same profile, or one of them another https_port"
        )


def _address_site(sites: list[dict]) -> dict | None:
    """Return the site that answers clients who ask for an IP address: these send no name (RFC 6066, section 3)."""
    return next((site for site in sites if any(is_address(name) for name in site["server_names"])), None)


def _by_port(sites: list[dict]) -> dict[int, list[dict]]:
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
    return _block(*_listen(site["http_port"], host), _names(site), "", *answer)


def _https_block(site: dict, served: list[dict], host: Host) -> list[str]:
    here = [other for other in served if other["https_port"] == site["https_port"]]
    is_default = _address_site(here) is site
    current = f"{host.store}/{site['certificate']}/current"
    extra = site.get("extra")
    http2_on = site["http2"] and host.nginx.has_http2 and host.nginx.switches_http2_by_site
    return _block(
        *_listen(
            site["https_port"], host, "ssl", *_http2_word(here, host), *(["default_server"] if is_default else [])
        ),
        *(["http2 on;"] if http2_on else []),
        _names(site),
        "",
        f"ssl_certificate {current}/fullchain.pem;",
        f"ssl_certificate_key {current}/privkey.pem;",
        *tls_directives(host.nginx, site["profile"], host.session),
        *([f'add_header Strict-Transport-Security "{site["hsts"]}" always;'] if site["hsts"] else []),
        "",
        *_answer(site),
        verbatim=extra.strip("\n") if extra else "",
    )


def _http2_word(sites: list[dict], host: Host) -> list[str]:
    """Return the word for listen: before 1.25.1 HTTP/2 belongs to the port, and one site that wants it is enough."""
    wanted = any(site["http2"] for site in sites) and host.nginx.has_http2
    return ["http2"] if wanted and not host.nginx.switches_http2_by_site else []


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


def _seconds(value: t.Any) -> int | None:
    """Return a number of seconds; true is what Mozilla recommends, and false is none."""
    text = str(value).strip().lower()
    if value is None or text in ("false", "no", "off", ""):
        return None
    if text in ("true", "yes", "on"):
        return MOZILLA_MAX_AGE
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise TlsError(f"hsts is {value!r}; write false, a number of seconds, or a dictionary with max_age")
    return int(text)


def _truth(wanted: dict, option: str) -> bool:
    text = str(wanted.get(option, False)).strip().lower()
    if text not in ("true", "yes", "on", "1", "false", "no", "off", "0", "none"):
        raise TlsError(f"{option} of hsts is {wanted[option]!r}; write true or false")
    return text in ("true", "yes", "on", "1")
