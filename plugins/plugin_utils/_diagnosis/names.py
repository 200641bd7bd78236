# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that are diagnosed: those of the requests of hosts, and those that no host has yet."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.result import Diagnosis, make_diagnosis
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import normal_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.misspellings import closest_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import listed
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import AcmeIssuer, Issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.endpoints import Endpoint
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.open_issuers import OpenIssuers, refusal_by_rules
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import endpoints_of_host
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import solver_type
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import DNS_01, DNS_PERSIST_01, HTTP_01
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.cloud_account import with_solver_accounts

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

LOCAL = "local"  # the issuer that every inventory has

CHALLENGE_OF_SOLVER = {"http": HTTP_01, "webroot": HTTP_01, "persist": DNS_PERSIST_01}  # dns-01 for all others
MAX_NAMES_IN_ERROR = 5


class Name(t.NamedTuple):
    """A name that is diagnosed."""

    host: str  # empty for a name that no host has yet
    domain: str
    request: Request | None = None  # None: there is no issuer, and checks that need none are made
    issuer: Issuer | None = None
    endpoints: tuple[tuple[str, int], ...] = ()  # addresses and ports at which the host serves it
    roots: list[x509.Certificate] | None = None  # None: clients trust the roots of the system
    has_proxy_protocol: bool = False
    has_http2: bool = False
    refusal: str = ""  # why deploy refuses the request, by the rules of its issuer

    @property
    def request_name(self) -> str:
        """Return the name of the request, empty where no host has one."""
        return self.request["name"] if self.request and self.host else ""

    @property
    def issuer_name(self) -> str:
        """Return the name of the issuer in certificate_issuers, empty where there is none."""
        return self.request["issuer"] if self.request else ""

    @property
    def challenge(self) -> str:
        """Return the type of the ACME challenge, empty for issuers without ACME."""
        return challenge_of(self.issuer.settings["solver"]) if isinstance(self.issuer, AcmeIssuer) else ""

    @property
    def resolvers(self) -> list[str]:
        """Return the resolvers that the solver of the issuer names, none where those of the controller are asked."""
        solver = self.issuer.settings["solver"] if isinstance(self.issuer, AcmeIssuer) else None
        listed = solver.get("resolvers") if isinstance(solver, dict) else None
        return [str(one) for one in listed] if isinstance(listed, (list, tuple)) else []


def challenge_of(solver: t.Any) -> str:
    """Return the type of challenge of the setting C(solver) of an issuer, which nobody has checked.

    >>> challenge_of("http"), challenge_of({"type": "rfc2136"}), challenge_of({"type": "command", "challenge": "http-01"})
    ('http-01', 'dns-01', 'http-01')
    """
    if isinstance(solver, dict) and isinstance(solver.get("challenge"), str):
        return str(solver["challenge"])
    return CHALLENGE_OF_SOLVER.get(str(solver_type(solver)), DNS_01)


def names_of_host(
    host: str, variables: t.Mapping[str, t.Any], open_issuers: OpenIssuers
) -> tuple[list[Name], list[Diagnosis]]:
    """Return the names of the requests of a host, and a diagnosis of each request that makes no sense.

    variables: those of the inventory. open_issuers: those of the hosts before; the issuers of this host are added.
    Raises TlsError where no request makes sense.
    """
    issuers = _issuers_of(variables)
    # What a controller may not see of a host concerns the survey, and not the checks of an order.
    adapted = collections.ChainMap(
        {"certificate_verify_from": None, "certificate_issuers": issuers}, t.cast(t.Any, variables)
    )
    endpoints, faults = endpoints_of_host(host, adapted, open_issuers)
    is_seen_from_host = variables.get("certificate_verify_from") == "host"
    places: dict[tuple[str, str], list[Endpoint]] = {}
    for endpoint in endpoints:
        places.setdefault((endpoint.request["name"], endpoint.domain), []).append(endpoint)
    http2_ports = _http2_certificates(variables)
    names = [
        Name(
            host,
            domain,
            of_name[0].request,
            of_name[0].issuer,
            () if is_seen_from_host else tuple((one.address, one.port) for one in of_name),
            of_name[0].roots,
            of_name[0].proxy_protocol,
            request in http2_ports,
            refusal_by_rules(of_name[0].request, issuers or {}),
        )
        for (request, domain), of_name in places.items()
    ]
    return names, [unreadable(host, fault.request, fault.reason) for fault in faults]


def names_alone(
    domains: t.Iterable[str], issuer: str | None, issuers: dict[str, t.Any], open_issuers: OpenIssuers
) -> tuple[list[Name], list[Diagnosis]]:
    """Return names that no host has yet, as each would be requested from an issuer, and a diagnosis of each that is no name.

    issuer: its name in *issuers*, which is like certificate_issuers; None: the only one, if there is one.
    Raises TlsError where it is not known which issuer is meant.
    """
    chosen = _choose_issuer(issuer, issuers)
    names: list[Name] = []
    faults: list[Diagnosis] = []
    for text in domains:
        try:
            domain = normal_name(text)
        except TlsError as error:
            faults.append(make_diagnosis("", "", str(text), chosen or "", "", [Finding("blocks", "names", str(error))]))
            continue
        if chosen is None:
            names.append(Name("", domain))
            continue
        request = {"name": _request_name(domain), "domains": [domain], "issuer": chosen}
        variables = {"certificate_requests": [request], "certificate_issuers": issuers, "ansible_host": "127.0.0.1"}
        found, faults_here = names_of_host("", variables, open_issuers)
        names += [one._replace(endpoints=()) for one in found]
        faults += [one._replace(request="", domain=domain, issuer=chosen) for one in faults_here]
    return names, faults


def _choose_issuer(issuer: str | None, issuers: t.Mapping[str, t.Any]) -> str | None:
    """Return the issuer of names that no host has yet. Raises TlsError for one that is unknown, and where several may be meant."""
    if issuer:
        known = {LOCAL, *issuers}
        if issuer not in known:
            meant = closest_name(issuer, known)
            hint = f" (did you mean {meant}?)" if meant else f", only {listed(sorted(known))}"
            raise TlsError(
                f"there is no issuer named {issuer}{hint}; correct diagnose_issuer, or add it to certificate_issuers"
            )
        return issuer
    if len(issuers) > 1:
        raise TlsError(
            f"the inventory has the issuers {', '.join(sorted(issuers))}; choose one for names that no host has yet, with "
            "-e diagnose_issuer=NAME"
        )
    return next(iter(issuers), None)


def select_names(
    names: list[Name], faults: list[Diagnosis], requests: t.Collection[str], domains: t.Collection[str]
) -> tuple[list[Name], list[Diagnosis], list[str]]:
    """Return the chosen ones of the names and faults, and the domains that none of the names has.

    requests, domains: those that are chosen; all if there are none. Raises TlsError for a request that no host has.
    """
    known = {one.request_name for one in names} | {one.request for one in faults}
    missing = sorted(set(requests) - known)
    if missing:
        listed = ", ".join(sorted(filter(None, known))[:MAX_NAMES_IN_ERROR]) or "none"
        raise TlsError(
            f"no host of this run has a request {', '.join(missing[:MAX_NAMES_IN_ERROR])} (there are: {listed}); correct diagnose_requests "
            "or --limit"
        )
    normal = {_normal_or_same(domain) for domain in domains}
    chosen = [
        one for one in names if (not requests or one.request_name in requests) and (not normal or one.domain in normal)
    ]
    chosen_faults = [one for one in faults if one.request in requests or not (requests or normal)]
    covered = {one.domain for one in chosen}
    return chosen, chosen_faults, [domain for domain in domains if _normal_or_same(domain) not in covered]


def unreadable(host: str, request: str, reason: str) -> Diagnosis:
    """Return the diagnosis of a host, or of one request of it, that the inventory does not describe as it should."""
    return make_diagnosis(host, request, "", "", "", [Finding("unknown", "inventory", reason)])


def _normal_or_same(domain: str) -> str:
    try:
        return normal_name(domain)
    except TlsError:
        return domain


def _request_name(domain: str) -> str:
    """Return the name of a request for a domain alone."""
    return domain.replace(":", "-").strip("-") if is_ip_address(domain) else domain.removeprefix("*.")


def _issuers_of(variables: t.Mapping[str, t.Any]) -> t.Any:
    """Return certificate_issuers of a host, unchecked, with the accounts of the clouds of their solvers."""
    issuers = variables.get("certificate_issuers")
    if not isinstance(issuers, dict):
        return issuers
    return with_solver_accounts(issuers, lambda: variables.get("cloud_accounts", {}))


# not a parser: sites that make no sense are the matter of nginx_sites
def _http2_certificates(variables: t.Mapping[str, t.Any]) -> set[str]:
    """Return the names of the requests whose certificates sites with HTTP/2 use."""
    sites = variables.get("nginx_sites")
    listed = sites if isinstance(sites, (list, tuple)) else []
    return {
        str(site.get("certificate") or site.get("name"))
        for site in listed
        if isinstance(site, dict) and site.get("http2", True) is True
    }
