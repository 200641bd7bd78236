# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnose names: all checks of an order, and of what is served, side by side and until one deadline."""

from __future__ import annotations

import functools
import tempfile
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._deadline import run_until
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.names import Name
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.result import Diagnosis, make_diagnosis
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.cloud import is_hosted
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.hosted_obstacles import find_hosted_obstacles
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.checks import run_checks
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import share_answers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.thread_count import thread_count
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.checks import check_pages, check_served
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.page import BrowserOptions
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.subject import ServedSubject
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.shared_results import share_results

if t.TYPE_CHECKING:
    from cryptography import x509

TIMEOUT_S = 45.0  # for all checks of all names
TIMEOUT_OF_NAME_S = 15.0  # for the checks of one name
TIMEOUT_OF_PAGES_S = 60.0  # for the pages of one name at all addresses
PAGES_TIMEOUT_S = 1200.0  # for all pages
MAX_THREADS = 100
# Checks of a whole order. Of one of its names they would say something else.
CHECKS_OF_ORDER = ("limits", "account")
ANY_CA = "a CA"  # in sentences about a name without an issuer
LATE = Finding(
    "unknown",
    "late",
    "not all is checked: the time for all names is over; see that the name servers answer, and diagnose fewer names at a time, with "
    "diagnose_requests, diagnose_domains or --limit",
)

Key = tuple[str, str, str, str]  # what is checked, host, request, domain; no domain for the order of all of them
Check = t.Callable[[float], list[Finding]]  # of one name, until a deadline by time.monotonic()


class Clients(t.NamedTuple):
    """The clients as which served names are looked at, beside those of the system."""

    browser: BrowserOptions | None = None
    trust_stores: t.Mapping[str, tuple[x509.Certificate, ...]] = {}  # roots by the name that the user gave


CURRENT_CLIENTS = Clients()  # those with the roots of the system, and no browser


# not a parser: it only passes on foreign input
def diagnose(
    names: t.Sequence[Name],
    progress: t.Callable[[int, int], None],
    timeout: float = TIMEOUT_S,
    clients: Clients = CURRENT_CLIENTS,
) -> list[Diagnosis]:
    """Return the diagnosis of each name. Nothing is ordered, registered or written, but pictures of pages.

    progress: is called with how many checks have ended, and how many there are.
    timeout: seconds for all of them. What has not ended then is unknown. Pages are loaded afterwards.
    """
    deadline = time.monotonic() + timeout
    with share_answers(), share_results(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        checks = _checks(names, clients, folder)
        tasks = [functools.partial(_limited, check, deadline) for check in checks.values()]
        ended = run_until(deadline, tasks, thread_count(MAX_THREADS, len(tasks)), progress)
    results = {key: [LATE] if found is None else found for key, found in zip(checks, ended)}
    if clients.browser:
        _load_pages(names, clients.browser, results)
    return [_diagnosis(name, results) for name in names]


def _checks(names: t.Sequence[Name], clients: Clients, folder: str) -> dict[Key, Check]:
    """Return all checks. Those of one name stand together, so that whole names are late, and not one kind of check."""
    subdomains = _subdomains(names)
    resolvers: dict[tuple[str, ...], DnsClient] = {}
    checks: dict[Key, Check] = {}
    for name in names:
        client = resolvers.setdefault(tuple(name.resolvers), DnsClient(name.resolvers))
        checks[_key("order", name)] = functools.partial(_check_order, name, (name.domain,), client)
        if name.request and len(name.request["domains"]) > 1:
            whole = functools.partial(_check_order, name, tuple(name.request["domains"]), client)
            checks.setdefault(_key("order", name, ""), whole)
        if name.endpoints:
            below = subdomains[name.domain]
            checks[_key("served", name)] = functools.partial(_check_served, name, client, below, clients, folder)
    return checks


def _key(what: str, name: Name, domain: str | None = None) -> Key:
    return what, name.host, name.request_name, name.domain if domain is None else domain


def _limited(check: Check, deadline: float) -> list[Finding]:
    """Return the findings of a check, which has TIMEOUT_OF_NAME_S. One that fails has found something unknown."""
    try:
        return check(min(deadline, time.monotonic() + TIMEOUT_OF_NAME_S))
    except BaseException as error:
        return [Finding("unknown", "failed", failure_sentence(error))]


def _check_order(name: Name, domains: tuple[str, ...], client: DnsClient, deadline: float) -> list[Finding]:
    """Return what stands in the way of an order of some domains of a request."""
    if name.request is None or name.issuer is None:
        return run_checks(Subject(list(domains), ANY_CA, client, None, deadline, is_public_ca=True))
    request = t.cast(Request, {**name.request, "domains": list(domains)})
    if is_hosted(request):
        return find_hosted_obstacles(request, client, deadline)
    return name.issuer.find_obstacles(request, name.host, deadline)


# not a parser: it only passes on foreign input
def _check_served(
    name: Name, client: DnsClient, subdomains: tuple[str, ...], clients: Clients, folder: str, deadline: float
) -> list[Finding]:
    subject = _served_subject(name, client, deadline)
    return check_served(subject._replace(subdomains=subdomains, trust_stores=clients.trust_stores, crl_folder=folder))


# not a parser: it reads what the collection has made or checked
def _served_subject(name: Name, client: DnsClient, deadline: float) -> ServedSubject:
    request = t.cast(Request, name.request)
    return ServedSubject(
        name.domain,
        client,
        deadline,
        request["port"],
        endpoints=name.endpoints,
        roots=None if name.roots is None else to_pem(name.roots).decode(),
        domains=tuple(request["domains"]),
        has_http2=name.has_http2,
        has_proxy_protocol=name.has_proxy_protocol,
    )


def _load_pages(names: t.Sequence[Name], browser: BrowserOptions, results: dict[Key, list[Finding]]) -> None:
    """Add what a browser finds to the results of names that are served, one page after the other."""
    deadline = time.monotonic() + PAGES_TIMEOUT_S
    for name in names:
        if name.endpoints and not name.has_proxy_protocol:
            until = min(deadline, time.monotonic() + TIMEOUT_OF_PAGES_S)
            subject = _served_subject(name, DnsClient(name.resolvers), until)
            results[_key("served", name)] = [*results[_key("served", name)], *check_pages(subject, browser)]


def _diagnosis(name: Name, results: t.Mapping[Key, list[Finding]]) -> Diagnosis:
    order, whole = results[_key("order", name)], results.get(_key("order", name, ""))
    if whole is not None:
        of_all = [results.get(_key("order", name, domain), []) for domain in t.cast(Request, name.request)["domains"]]
        order = merge_findings(order, [one for findings in of_all for one in findings], whole)
    if name.refusal and not any(one.severity == "blocks" for one in order):
        order = [*order, Finding("blocks", "rules", name.refusal)]
    served = results.get(_key("served", name))
    return make_diagnosis(name.host, name.request_name, name.domain, name.issuer_name, name.challenge, order, served)


def merge_findings(of_name: list[Finding], of_names: list[Finding], of_order: list[Finding]) -> list[Finding]:
    """Return the findings about one name of an order, with those that are about the order as a whole.

    of_names: the findings about each name of the order alone. of_order: those about the order of all names.

    >>> one, all_names = Finding("fine", "names", "a is right"), Finding("blocks", "names.count", "it has 101 names")
    >>> [finding.code for finding in merge_findings([one], [one], [one, all_names])]
    ['names', 'names.count']
    """
    kinds = {(finding.severity, finding.code) for finding in of_names}
    about_name = [finding for finding in of_name if not _is_about_order(finding)]
    return about_name + [one for one in of_order if _is_about_order(one) or _is_further(one, kinds)]


# not a parser: it reads what the collection has made or checked
def _is_about_order(finding: Finding) -> bool:
    return finding.code.partition(".")[0] in CHECKS_OF_ORDER


def _is_further(finding: Finding, kinds: set[tuple[t.Any, str]]) -> bool:
    """Say whether a finding about a whole order is of a kind that no name alone has."""
    return finding.severity not in ("fine", "unknown") and (finding.severity, finding.code) not in kinds


# not a parser: names of the inventory are in their normal form
def _subdomains(names: t.Iterable[Name]) -> dict[str, tuple[str, ...]]:
    """Return for each domain the others below it."""
    below: dict[str, list[str]] = {name.domain: [] for name in names}
    for domain in below:
        parent = domain.partition(".")[2]
        while parent:
            if parent in below:
                below[parent].append(domain)
            parent = parent.partition(".")[2]
    return {domain: tuple(found) for domain, found in below.items()}
