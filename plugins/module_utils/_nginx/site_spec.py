# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The specification of nginx sites: the options of nginx_sites, and functions over their descriptions."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address

# The one definition of the options of nginx_sites. Described for people in plugins/modules/nginx_sites.yml.
SITE: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "certificate": {"type": "str"},
    "server_names": {"type": "list", "elements": "str"},
    "root": {"type": "str"},
    "proxy_pass": {"type": "str", "no_log": False},
    "redirect": {"type": "str"},
    "return_code": {"type": "int"},
    "websocket": {"type": "bool", "default": False},
    "proxy_read_timeout": {"type": "str"},
    "force_https": {"type": "bool", "default": True},
    "hsts": {"type": "raw", "default": False},
    "profile": {"type": "str", "choices": ["modern", "intermediate"]},
    "tls_versions": {"type": "list", "elements": "str", "choices": ["TLSv1.2", "TLSv1.3"]},
    "http2": {"type": "bool", "default": True},
    "http3": {"type": "bool", "default": False},
    "proxy_protocol": {"type": "bool", "default": False},
    "http_port": {"type": "int", "default": 80},
    "https_port": {"type": "int", "default": 443},
    "access_log": {"type": "str"},
    "error_log": {"type": "str"},
    "extra": {"type": "str"},
    "acme_thumbprint": {"type": "str"},
    "encrypted": {"type": "bool", "default": False},
}
OPTIONS: dict[str, dict[str, t.Any]] = {
    "sites": {"type": "list", "elements": "dict", "default": [], "options": SITE},
    "domains": {"type": "dict", "default": {}},
    "ports": {"type": "dict", "default": {}},
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
    "install": {"type": "bool", "default": False},
    "reload": {"type": "bool", "default": True},
    "rehearse": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


class Site(t.TypedDict, total=False):
    """The description of a site, with the options of SITE. All of them are there once it is complete."""

    name: str
    certificate: str  # the name of its request
    server_names: list[str]
    root: str | None
    proxy_pass: str | None
    redirect: str | None
    return_code: int | None
    websocket: bool
    proxy_read_timeout: str | None
    force_https: bool
    hsts: t.Any  # as it is written; the header's value, or an empty text, once it is complete
    profile: str
    tls_versions: list[str] | None  # instead of those of the profile
    http2: bool
    http3: bool
    proxy_protocol: bool  # whether connections to https_port begin with a header of the PROXY protocol
    http_port: int
    https_port: int
    access_log: str | None  # the arguments of the directive, like those of error_log
    error_log: str | None
    extra: str | None
    acme_thumbprint: str | None
    encrypted: bool  # whether the private key is


class Session(t.TypedDict):
    """The TLS session settings of all sites."""

    timeout: str
    cache: str
    tickets: bool | None  # None: as Mozilla's guideline says


def https_ports(sites: t.Iterable[Site]) -> list[int]:
    """Return the HTTPS ports of the sites, in ascending order."""
    return sorted({site["https_port"] for site in sites})


def sites_by_port(sites: t.Sequence[Site]) -> dict[int, list[Site]]:
    """Return the sites of each HTTPS port."""
    return {port: [site for site in sites if site["https_port"] == port] for port in https_ports(sites)}


def find_address_site(sites: t.Iterable[Site]) -> Site | None:
    """Return the site that has an IP address among its names, or None.

    It has to be the default server of its port, since clients send no server name for an address (RFC 6066, section 3).
    """
    return next((site for site in sites if any(map(is_ip_address, site["server_names"]))), None)
