# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people write about sites, checked and completed.

Every value is checked before it becomes part of a configuration. Hosts get what has passed.
"""

from __future__ import annotations

import collections
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import check_request_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_config import address_site, by_port
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import normal_name

MOZILLA_MAX_AGE = 63072000
YEAR = 31536000
ANSWERS = ("root", "proxy_pass", "redirect", "return_code")

PATH = re.compile(r"/[\w.,:@%+=~/-]*")
UPSTREAM = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/@%+,=&?\[\]-]*")
TARGET = re.compile(r"https?://[A-Za-z0-9\[$][A-Za-z0-9._~:/@%+,=&?\[\]#!*()$-]*")
VARIABLE = re.compile(r"\$(\w*)")
THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url (RFC 7638)
DURATION = re.compile(r"[0-9]+[smhdwMy]?")
SESSION_CACHE = re.compile(r"off|none|shared:[A-Za-z0-9_]+:[0-9]+[kKmM]?")


def normal_sites(
    arguments: dict[str, t.Any], thumbprints: dict[str, str] | None = None, encrypted: t.Collection[str] = ()
) -> list[dict[str, t.Any]]:
    """Return the sites that the arguments of nginx_sites describe, once all of it may stand in a configuration.

    Those whose certificate has one of the *thumbprints* answer challenges with it; *encrypted* are the certificates whose keys are to be.
    """
    check_config_path(arguments["path"])
    if arguments["state"] == "absent":
        return []
    sites = [normal_site(site, arguments["profile"], arguments["domains"], thumbprints) for site in arguments["sites"]]
    sites = [{**site, "encrypted": bool(site.get("encrypted")) or site["certificate"] in encrypted} for site in sites]
    check_distinct_sites(sites)
    if sites:
        check_store_path(arguments["store"])
        check_session_settings(arguments["session_timeout"], arguments["session_cache"])
    return sites


def normal_site(
    site: dict, profile: str, domains: dict[str, list[str]], thumbprints: dict[str, str] | None = None
) -> dict[str, t.Any]:
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
            "acme_thumbprint": site.get("acme_thumbprint") or (thumbprints or {}).get(certificate),
        }
        _check_thumbprint(normal["acme_thumbprint"])
        _check_answer(normal)
        _check_ports(normal)
    except TlsError as error:
        raise TlsError(f"the site {name} cannot be configured: {error}", **error.details) from error
    return normal


def check_distinct_sites(sites: list[dict]) -> None:
    """Make sure that the sites can stand beside each other."""
    for name, times in collections.Counter(site["name"] for site in sites).items():
        if times > 1:
            raise TlsError(f"{times} sites are called {name}; give each its own name")
    answering: dict[tuple[str, int], str] = {}
    for site in sites:
        for endpoint in ((name, site[port]) for name in site["server_names"] for port in ("http_port", "https_port")):
            if answering.setdefault(endpoint, site["name"]) != site["name"]:
                raise TlsError(
                    f"the sites {answering[endpoint]} and {site['name']} both answer to {endpoint[0]} on port {endpoint[1]}; "
                    "take the name from one of them"
                )
    for port, here in by_port(sites).items():
        _check_one_address_site(here, port)
        plain = [site["name"] for site in sites if site["http_port"] == port]
        if plain:
            raise TlsError(
                f"the site {plain[0]} has port {port} as its http_port, and {here[0]['name']} as its https_port; "
                "choose another port for one of them"
            )


def check_session_settings(timeout: str, cache: str) -> None:
    """Make sure that the session settings may stand in a configuration."""
    if not DURATION.fullmatch(timeout):
        raise TlsError(f"the session_timeout {timeout!r} is no time for nginx; write one such as 1d or 10m")
    if not SESSION_CACHE.fullmatch(cache):
        raise TlsError(f"the session_cache {cache!r} is none for nginx; write one such as shared:evergreen:10m, or off")


def check_store_path(store: str) -> None:
    """Make sure that the folder of the certificates may stand in a configuration."""
    if not PATH.fullmatch(store):
        raise TlsError(
            f"the store {store!r} cannot stand in nginx's configuration; use an absolute path without blanks and quotes"
        )


def check_config_path(path: str) -> None:
    """Make sure that the file of the configuration may be named in one."""
    if not PATH.fullmatch(path) or os.path.normpath(path) != path:
        raise TlsError(
            f"the path {path!r} cannot name a configuration; use an absolute path without blanks, quotes and .."
        )


def hsts_header(value: t.Any) -> str | None:
    """Return the value of the header Strict-Transport-Security (RFC 6797), or None where it is not wanted.

    >>> hsts_header({"max_age": 31536000, "include_subdomains": True})
    'max-age=31536000; includeSubDomains'
    """
    wanted = value if isinstance(value, dict) else {"max_age": value}
    unknown = sorted(map(str, set(wanted) - {"max_age", "include_subdomains", "preload"}))
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


def _server_names(names: t.Any) -> list[str]:
    if not isinstance(names, list):
        raise TlsError(f"its names are {names!r}; write a list of names")
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


def _check_thumbprint(thumbprint: str | None) -> None:
    if thumbprint is not None and not THUMBPRINT.fullmatch(thumbprint):
        raise TlsError(
            f"acme_thumbprint is {thumbprint!r}, and the thumbprint of a key has 43 letters, digits, hyphens and underscores; write "
            "that of the account, or leave it out"
        )


def _check_ports(site: dict) -> None:
    for option in ("http_port", "https_port"):
        if not 1 <= site[option] <= 65535:
            raise TlsError(f"{option} is {site[option]}; choose one from 1 to 65535")


def _check_one_address_site(sites: list[dict], port: int) -> None:
    addressed = [site["name"] for site in sites if address_site([site])]
    if len(addressed) > 1:
        raise TlsError(
            f"the sites {' and '.join(addressed)} both have an IP address on port {port}, and clients that ask for an address "
            "send no name by which to tell them apart; put the addresses into one site, or on another https_port"
        )


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
