# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the survey looks: at the endpoints of the inventory, and at the addresses to which the DNS leads."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address, probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import ip_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import Issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.private_authorities import Authority
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.thread_count import thread_count

if t.TYPE_CHECKING:
    from cryptography import x509

INVENTORY, DNS = "inventory", "dns"  # the values of survey_addresses
ADDRESSES = (INVENTORY, DNS)


class Endpoint(t.NamedTuple):
    """A domain for which a host has to present its certificate, at an address and port."""

    host: str
    request: Request
    domain: str
    address: str
    port: int
    issuer: Issuer
    roots: list[x509.Certificate] | None
    authority: Authority | None = None  # of a private CA, unless the inventory wants a new one
    proxy_protocol: bool = False  # whether connections begin with a header of the PROXY protocol
    is_from_dns: bool = False  # whether the inventory does not have the address


def add_dns_addresses(endpoints: list[Endpoint], at_once: int) -> list[Endpoint]:
    """Return endpoints with those at the other addresses of their domains in DNS.

    An address that the inventory has for any host with the domain is looked at once. The others belong to the first host that has the
    domain. at_once: how many names are resolved at a time. A name without addresses adds nothing.
    """
    names = [(probe_name(one.domain), one.request["port"]) for one in endpoints if not is_ip_address(one.domain)]
    places = list(dict.fromkeys([*names, *((one.address, one.port) for one in endpoints)]))
    with concurrent.futures.ThreadPoolExecutor(thread_count(at_once, len(places))) as pool:
        resolved = dict(zip(places, pool.map(lambda place: ip_addresses(*place), places)))
    expanded = [each for one in endpoints for each in _at_each_address(one, resolved)]
    seen = {
        (one.domain, address, one.port)
        for one in expanded
        for address in resolved.get((one.address, one.port)) or [one.address]
    }
    added = []
    for one in expanded:
        port = one.request["port"]
        for address in resolved.get((probe_name(one.domain), port), []):
            if (one.domain, address, port) not in seen:
                seen.add((one.domain, address, port))
                other = one._replace(address=address, port=port, authority=None, proxy_protocol=False, is_from_dns=True)
                added.append(other)
    return [*expanded, *added]


def _at_each_address(endpoint: Endpoint, resolved: dict[tuple[str, int], list[str]]) -> list[Endpoint]:
    """Return endpoints at all addresses where a service is reached at the domain itself, as a CDN is."""
    addresses = resolved[endpoint.address, endpoint.port]
    if endpoint.address != probe_name(endpoint.domain) or not addresses:
        return [endpoint]
    return [endpoint._replace(address=address) for address in addresses]


def dns_sentence(endpoint: Endpoint, reason: str) -> str:
    """Return the reason of a finding about an address that only the DNS has, with what to do about it."""
    return (
        f"{reason}. The DNS leads to {endpoint.address}, which is not in certificate_endpoint of {endpoint.host}; see which server has "
        "that address, and add it, or correct the DNS record"
    )
