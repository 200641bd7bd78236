# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of nginx_sites, checked and completed, before any value of them becomes a part of a configuration."""

from __future__ import annotations

import collections
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import check_request_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import (
    SITE,
    Site,
    find_address_site,
    sites_by_port,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import normal_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.hsts import hsts_header
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.site_content import (
    CONFIG_PATH,
    WEBSOCKET_READ_TIMEOUT,
    check_content,
)

# The ports of a site that names none.
HTTP_PORT: int = SITE["http_port"]["default"]
HTTPS_PORT: int = SITE["https_port"]["default"]
THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url (RFC 7638)
SESSION_TIMEOUT = re.compile(r"[0-9]+[smhdwMy]?")
SESSION_CACHE = re.compile(r"off|none|shared:[A-Za-z0-9_]+:[0-9]+[kKmM]?")


def normal_sites(
    arguments: dict[str, t.Any],
    thumbprints: t.Mapping[str, str] | None = None,
    encrypted_certificates: t.Collection[str] = (),
) -> list[Site]:
    """Return the sites of the arguments of nginx_sites, checked and with all options. Raises TlsError.

    thumbprints: of an ACME account, by the name of the certificate for which the site answers challenges with it.
    encrypted_certificates: the names of those whose private keys are encrypted.
    """
    check_config_path(arguments["path"])
    if arguments["state"] == "absent":
        return []
    sites = [normal_site(site, arguments["profile"], arguments["domains"], thumbprints) for site in arguments["sites"]]
    for site in sites:
        site["encrypted"] = bool(site.get("encrypted")) or site["certificate"] in encrypted_certificates
    check_distinct_sites(sites)
    if sites:
        check_store_path(arguments["store"])
        check_session_settings(arguments["session_timeout"], arguments["session_cache"])
    return sites


def normal_site(
    site: dict[str, t.Any],
    profile: str,
    domains: t.Mapping[str, list[str]],
    thumbprints: t.Mapping[str, str] | None = None,
) -> Site:
    """Return a site with its defaults filled in.

    Raises TlsError, with the name of the site, for what may not stand in a configuration.
    profile: the TLS profile of a site that names none.
    domains: of each certificate, by its name: the server names of a site that has none.
    """
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
        if normal.get("tls_versions") is None:
            normal.pop("tls_versions", None)  # Ansible refuses nothing as a list with choices
        _check_thumbprint(normal["acme_thumbprint"])
        if site.get("tls_versions") == []:
            raise TlsError("its tls_versions are empty; name TLSv1.2, TLSv1.3 or both, or leave them out")
        _check_http3(normal)
        check_content(normal)
        if normal["websocket"]:
            normal["proxy_read_timeout"] = normal.get("proxy_read_timeout") or WEBSOCKET_READ_TIMEOUT
        _check_ports(normal)
    except TlsError as error:
        raise TlsError(f"the site {name} cannot be configured: {error}", **error.details) from error
    return t.cast(Site, normal)


def check_distinct_sites(sites: t.Sequence[Site]) -> None:
    """Raise TlsError where two sites share a name, or answer to the same name on the same port."""
    for name, times in collections.Counter(site["name"] for site in sites).items():
        if times > 1:
            raise TlsError(f"{times} sites are called {name}; give each its own name")
    _check_server_names(sites)
    for port, sites_of_port in sites_by_port(sites).items():
        _check_one_address_site(sites_of_port, port)
        _check_same_proxy_protocol(sites_of_port, port)
        http_sites = [site["name"] for site in sites if site["http_port"] == port]
        if http_sites:
            raise TlsError(
                f"the site {http_sites[0]} has port {port} as its http_port, and {sites_of_port[0]['name']} as its https_port; "
                "choose another port for one of them"
            )


def check_session_settings(timeout: str, cache: str) -> None:
    """Raise TlsError unless nginx takes these values for ssl_session_timeout and ssl_session_cache."""
    if not SESSION_TIMEOUT.fullmatch(timeout):
        raise TlsError(f"the session_timeout {timeout!r} is no time for nginx; write one such as 1d or 10m")
    if not SESSION_CACHE.fullmatch(cache):
        raise TlsError(f"the session_cache {cache!r} is none for nginx; write one such as shared:evergreen:10m, or off")


def check_store_path(store: str) -> None:
    """Raise TlsError unless the folder of the certificates may stand in a configuration."""
    if not CONFIG_PATH.fullmatch(store):
        raise TlsError(
            f"the store {store!r} cannot stand in nginx's configuration; use an absolute path without blanks and quotes"
        )


def check_config_path(path: str) -> None:
    """Raise TlsError unless the configuration file has a name that nginx can include."""
    if not CONFIG_PATH.fullmatch(path) or os.path.normpath(path) != path:
        raise TlsError(
            f"the path {path!r} cannot name a configuration; use an absolute path without blanks, quotes and .."
        )


def _server_names(names: t.Any) -> list[str]:
    if not isinstance(names, list):
        raise TlsError(f"its names are {names!r}; write a list of names")
    return list(dict.fromkeys(normal_name(name) for name in names))


def _check_thumbprint(thumbprint: str | None) -> None:
    if thumbprint is not None and not THUMBPRINT.fullmatch(thumbprint):
        raise TlsError(
            f"acme_thumbprint is {thumbprint!r}, and the thumbprint of a key has 43 letters, digits, hyphens and underscores; write "
            "that of the account, or leave it out"
        )


def _check_http3(site: dict[str, t.Any]) -> None:
    """Raise TlsError where a site cannot have HTTP/3: it needs TLS 1.3 (RFC 9001, section 4.2), and has no PROXY protocol."""
    if not site.get("http3"):
        return
    versions = site.get("tls_versions")
    if versions and "TLSv1.3" not in versions:
        raise TlsError(
            f"http3 needs TLS 1.3, and its tls_versions are {', '.join(versions)}; add TLSv1.3 to them, or take http3 away"
        )
    if site.get("proxy_protocol"):
        raise TlsError(
            "http3 comes by UDP, for which nginx knows no PROXY protocol; take http3 away, or proxy_protocol where clients connect directly"
        )


def _check_ports(site: dict[str, t.Any]) -> None:
    for option in ("http_port", "https_port"):
        if not 1 <= site[option] <= 65535:
            raise TlsError(f"{option} is {site[option]}; choose one from 1 to 65535")


def _check_one_address_site(sites: t.Sequence[Site], port: int) -> None:
    addressed = [site["name"] for site in sites if find_address_site([site])]
    if len(addressed) > 1:
        raise TlsError(
            f"the sites {' and '.join(addressed)} both have an IP address on port {port}, and clients that ask for an address "
            "send no name by which to tell them apart; put the addresses into one site, or on another https_port"
        )


def _check_same_proxy_protocol(sites: t.Sequence[Site], port: int) -> None:
    behind = [site["name"] for site in sites if site.get("proxy_protocol")]
    direct = [site["name"] for site in sites if not site.get("proxy_protocol")]
    if behind and direct:
        raise TlsError(
            f"the site {behind[0]} has proxy_protocol: true and {direct[0]} has not, and nginx has one setting for port {port}; "
            "write it for both, or give one of them another https_port"
        )


def _check_server_names(sites: t.Iterable[t.Mapping[str, t.Any]]) -> None:
    site_names: dict[tuple[str, int], str] = {}  # by server name and port
    for site in sites:
        for name, port in ((name, site[port]) for name in site["server_names"] for port in ("http_port", "https_port")):
            first = site_names.setdefault((name, port), site["name"])
            if first != site["name"]:
                raise TlsError(
                    f"the sites {first} and {site['name']} both answer to {name} on port {port}; "
                    "take the name from one of them"
                )
