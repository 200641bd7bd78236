# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where clients reach the certificate of a request: addresses, ports and the domains that are asked for."""

from __future__ import annotations

import socket
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address, probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import host_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

RESOLVE_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 3.0  # to one of several addresses
MAX_ADDRESSES = 64  # of one name
ROUTE_PORT = 443  # any

Target = tuple[str, int, str]  # the address or name, the port, and the domain that is asked for


def request_targets(variables: t.Mapping[str, t.Any], host: str, request: Request) -> list[Target]:
    """Return where clients reach a request, for each of its domains.

    A cloud is reached at the domains themselves, unless the inventory has C(certificate_endpoint). The address of such a host in the
    inventory is that of the controller.
    """
    domains = served_domains(request)
    if request["served_by"] == "cloud" and not variables.get("certificate_endpoint"):
        return [(probe_name(domain), request["port"], domain) for domain in domains]
    places = host_addresses(variables, host, request["port"])
    return [(address, port, domain) for address, port in places for domain in domains]


def served_domains(request: Request) -> list[str]:
    """Return the domains that have to be served: those among the resources of a cloud, where there are some, as it may serve some alone."""
    cloud = request["cloud"] or {}
    resources = [name.lower() for name in cloud.get("resources") or ()]
    return [name for name in resources if is_covered(name, request["domains"])] or request["domains"]


# not a parser: it compares names in their normal form
def is_covered(name: str, domains: list[str]) -> bool:
    """Return whether a name is one of the domains, or one that a wildcard of them covers."""
    return name in domains or ("." in name and f"*.{name.partition('.')[2]}" in domains)


def at_every_address(targets: list[Target], canonical_names: t.Mapping[str, t.Any]) -> list[Target]:
    """Return targets for each IP address of each target's name, and of its canonical name.

    canonical_names: by domain, the name that the DNS has to lead to (a CNAME), where it is known.
    A name without an address stays as it is where its canonical name has none either, so that the handshake says what is wrong.
    """
    resolved: dict[Target, None] = {}
    for name, port, domain in targets:
        canonical = canonical_names.get(domain)
        more = ip_addresses(str(canonical), port) if canonical and name == probe_name(domain) else []
        addresses = [*ip_addresses(name, port), *more] or [name]
        resolved.update({(address, port, domain): None for address in addresses})
    return list(resolved)


def at_answering_addresses(targets: list[Target]) -> tuple[list[Target], list[str]]:
    """Return targets for each IP address of each target's name that accepts connections, and a warning for each other one.

    Clients try the next address where one does not answer, so those are no failure while another one answers.
    """
    resolved: dict[Target, None] = {}
    warnings = []
    accepting: dict[tuple[str, int], list[str]] = {}
    for name, port in dict.fromkeys((name, port) for name, port, _domain in targets):
        addresses = ip_addresses(name, port)
        accepting[name, port] = [one for one in addresses if len(addresses) == 1 or _accepts(one, port)] or [name]
        silent = [one for one in addresses if one not in accepting[name, port]]
        if silent and accepting[name, port] != [name]:
            warnings.append(
                f"{name} leads to {', '.join(silent)} as well, where port {port} does not answer, so that is not proved; let the server listen "
                "there, or correct the DNS record"
            )
    for name, port, domain in targets:
        resolved.update({(address, port, domain): None for address in accepting[name, port]})
    return list(resolved), warnings


def _accepts(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False


def ip_addresses(name: str, port: int) -> list[str]:
    """Return the IP addresses of a name in the order of the resolver, none where it has none.

    Those to which this machine has no route, as to IPv6 on many, are left out where others remain.
    """
    if is_ip_address(name):
        return [name]
    try:
        results = run_with_timeout(RESOLVE_TIMEOUT_S, lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
    except (OSError, ValueError, TimeoutError):
        return []
    addresses = list(dict.fromkeys(str(address[0]) for *_family, address in results))[:MAX_ADDRESSES]
    return list(filter(_has_route, addresses)) or addresses


def _has_route(address: str) -> bool:
    """Return whether this machine has a route to an IP address. No packet is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, ROUTE_PORT))
    except OSError:
        return False
    return True


# What handshakes advise about nginx on a host, and what is to be done about a cloud or an appliance instead.
REMOTE_ADVICE = {
    "start nginx with a site on that port": "see in the settings of the service that HTTPS is on",
    "see that nginx_sites has a site for it, and run evergreen.tls.deploy": (
        "see in the settings of the service that it has this domain and a certificate for it"
    ),
    "correct ansible_host": "have the DNS lead to the service, or write certificate_endpoint",
    "see which server block answers to": "see in the settings of the service what answers to",
    "see which program or server block listens there": "see that the DNS leads to the service",
    "see which server block listens there": "see that the DNS leads to the service",
}


def with_remote_advice(sentence: str) -> str:
    """Return what a handshake says, with advice for a certificate that no program of the host presents."""
    for advice, other in REMOTE_ADVICE.items():
        sentence = sentence.replace(advice, other)
    return sentence
