# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The survey: TLS handshakes from the controller with every endpoint of a fleet, and what is due there.

An endpoint is a domain of a request at an address and port of its host.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import hashlib
import typing as t

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    ChainDescription,
    describe_chain,
    names_of,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import (
    renewal_time_of,
    why_due_regardless,
    why_replace,
)
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REMOTE_SERVERS, REQUEST_SPEC, Request
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import (
    check_distinct_requests,
    complete_request,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.fact_check import check_facts
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.request_validation import validated_requests
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors, validate_arguments
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import (
    request_targets,
    with_remote_advice,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import (
    advice,
    revocation,
    with_defaults,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._pending_notifications import why_pending
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.endpoints import (
    DNS,
    INVENTORY,
    Endpoint,
    add_dns_addresses,
    dns_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.incomplete_chain import missing_ca_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.open_issuers import (
    OpenIssuers,
    open_once,
    open_private_authorities,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.private_authorities import (
    Observed,
    refusals,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.proxied_ports import proxied_ports
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.thread_count import thread_count

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_HANDSHAKES = 500  # at a time, so that hundreds of dead hosts cost one timeout
STATES = ("expired", "unknown", "due", "fine")  # of a finding, the worst first
HOURS_OF_SEED = 4  # in which the order stays the same

# The variables of the inventory that say what a host has to serve.
VARIABLES_SPEC = {
    "certificate_requests": {**REQUEST_SPEC, "type": "list", "elements": "dict", "required": False, "default": []},
    "certificate_issuers": {"type": "dict", "default": {}},
}
VALIDATOR = ArgumentSpecValidator(VARIABLES_SPEC)
VARIABLES = (
    *VARIABLES_SPEC,
    "certificate_verify_from",
    "certificate_endpoint",
    "certificate_new_authority",
    "ansible_host",
)


class Finding(t.NamedTuple):
    """The state of an endpoint, or of a host as a whole, as the survey returns it in JSON."""

    host: str
    state: str  # one of STATES
    reason: str  # nothing where the state is fine
    request: str = ""  # its name; this and what follows is left out for a host as a whole
    name: str = ""
    address: str = ""
    port: int = 0
    protocol: str = ""
    certificate: ChainDescription | None = None
    days_left: float | None = None
    # Whether nothing is done about it, since this controller has not the CA, or the variables of the host cannot be read.
    refused: bool = False
    renew_at: str | None = None  # from when on the certificate is due, in UTC and ISO 8601

    @property
    def is_forced(self) -> bool:
        """Whether the host is due because the user says so, and not for anything that was observed."""
        return self.state == "due" and not self.address and not self.request


# not a parser: it only passes on foreign input
def survey_hosts(
    hosts: list[str],
    variables_of: t.Callable[[str], t.Mapping[str, t.Any]],
    progress: t.Callable[[str, int, int], None],
    inspect: bool = False,
    at_once: int = MAX_HANDSHAKES,
    timeout: float | None = None,
    open_issuers: OpenIssuers | None = None,
    authorities_only: bool = False,
    addresses: str = INVENTORY,
) -> list[Finding]:
    """Return the findings about all endpoints of the hosts, the worst first.

    variables_of: returns the inventory variables of a host.
    progress: is called with what is done, how often it is done, and how often it will be.
    inspect: adds a finding that is due for each host with requests, since its disk is to be inspected.
    at_once: the maximum of handshakes at a time.
    timeout: seconds for each of them; None for the one of handshake().
    open_issuers: gets the issuers of all hosts.
    authorities_only: whether only the endpoints of private CAs are looked at.
    addresses: DNS to look at every address of each name as well.
    """
    open_issuers = {} if open_issuers is None else open_issuers
    findings: list[Finding] = []
    endpoints: list[Endpoint] = []
    for number, host in enumerate(hosts, 1):
        try:
            variables = variables_of(host)
            check_facts(variables, host)
            endpoints_here, faults = endpoints_of_host(host, variables, open_issuers)
            if authorities_only:
                endpoints += [endpoint for endpoint in endpoints_here if endpoint.authority]
                continue
            findings += [*faults, *_unnotified(host, endpoints_here)]
            is_forced = boolean(variables.get("certificate_force"), strict=False)
            reason = why_due_regardless(is_forced, inspect) if endpoints_here else None
            if reason:
                findings.append(Finding(host, "due", reason))
            endpoints += endpoints_here
        except AnsibleError as error:
            why = f"its variables cannot be read: {' '.join(str(error).split()).rstrip('.')}; correct the inventory"
            findings.append(Finding(host, "unknown", why, refused=True))
        except BaseException as error:
            findings.append(Finding(host, "unknown", failure_sentence(error)))
        progress("hosts whose variables are read", number, len(hosts))
    endpoints = add_dns_addresses(endpoints, at_once) if addresses == DNS and not authorities_only else endpoints
    with concurrent.futures.ThreadPoolExecutor(thread_count(at_once, len(endpoints))) as pool:
        futures = [pool.submit(_look_at, endpoint, timeout) for endpoint in endpoints]
        for number, _future in enumerate(concurrent.futures.as_completed(futures), 1):
            progress("endpoints looked at", number, len(futures))
    looks = [future.result() for future in futures]
    return sorted([*findings, *_with_refusals(endpoints, looks)], key=_severity)


def _with_refusals(endpoints: list[Endpoint], looks: list[tuple[Finding, x509.Certificate | None]]) -> list[Finding]:
    """Return the findings about endpoints, with the reason of those about which this controller can do nothing."""
    observations = [
        Observed(endpoint.host, endpoint.authority, leaf, finding.state == "fine")
        for endpoint, (finding, leaf) in zip(endpoints, looks)
    ]
    return [
        finding
        if why is None
        else finding._replace(state="expired" if finding.state == "expired" else "unknown", reason=why, refused=True)
        for (finding, _leaf), why in zip(looks, refusals(observations))
    ]


# not a parser: it only passes on foreign input
def why_not_make(ca: LocalCa, hosts: list[str], variables_of: t.Callable[[str], t.Mapping[str, t.Any]]) -> str | None:
    """Return why a private CA that is missing is not made: a host of the inventory serves a certificate of one with its name."""
    open_issuers: OpenIssuers = {}
    findings = survey_hosts(
        hosts, variables_of, lambda *_progress: None, True, open_issuers=open_issuers, authorities_only=True
    )
    reasons = refused_requests(findings)
    about = f"the issuer {ca.issuer} has no CA in {ca.directory} "
    return next((why for of_host in reasons.values() for why in of_host.values() if why.startswith(about)), None)


def refused_requests(findings: list[Finding]) -> dict[str, dict[str, str]]:
    """Return why nothing is done about requests, by host and name of the request."""
    refused: dict[str, dict[str, str]] = {}
    for finding in findings:
        if finding.refused and finding.request:
            refused.setdefault(finding.host, {})[finding.request] = finding.reason
    return refused


def endpoints_of_host(
    host: str, variables: t.Mapping[str, t.Any], open_issuers: OpenIssuers
) -> tuple[list[Endpoint], list[Finding]]:
    """Return the endpoints at which a host has to present its certificates, and a finding about each request that makes no sense.

    open_issuers: those of the hosts before; the issuers of this host are added. Raises TlsError where no request makes sense.
    """
    values = _read_variables(variables)
    if "certificate_requests" not in values:
        return [], []
    listed, faults = values.pop("certificate_requests"), []
    issuers = _validated({name: values[name] for name in VARIABLES_SPEC if name in values})["certificate_issuers"]
    requests: list[Request] = []
    items = listed if isinstance(listed, list) else [listed]
    for item, checked in zip(items, _validated_together(listed, issuers) or [{}] * len(items)):
        try:
            alone = [with_defaults(item, issuers)] if isinstance(listed, list) and not checked else item
            validated = [checked] if checked else _validated({"certificate_requests": alone})["certificate_requests"]
            requests += [complete_request(request) for request in validated]
        except BaseException as error:
            faults.append(_fault(host, item, error))
    if requests and values.get("certificate_verify_from") == "host":
        raise TlsError(
            "it cannot be seen from here, as certificate_verify_from says; renew looks at it on the host itself"
        )
    check_distinct_requests(requests)
    endpoints = []
    proxied = proxied_ports(variables)
    is_new_wanted = boolean(values.get("certificate_new_authority"), strict=False)
    for completed in requests:
        request: Request = {**completed, "host": host}
        try:
            issuer, roots, authority = open_once(request["issuer"], issuers, open_issuers)
        except BaseException as error:
            faults.append(_fault(host, request, error))
            continue
        authority = None if is_new_wanted else authority
        is_here = request["served_by"] not in REMOTE_SERVERS
        endpoints += [
            Endpoint(host, request, domain, address, port, issuer, roots, authority, is_here and port in proxied)
            for address, port, domain in request_targets(values, host, request)
        ]
    open_private_authorities(issuers, open_issuers)
    return endpoints, faults


def _unnotified(host: str, endpoints: list[Endpoint]) -> list[Finding]:
    """Return a finding that is due for each request of a host whose programs may not have read the certificate in use."""
    requests = {endpoint.request["name"]: endpoint.request for endpoint in endpoints}
    reasons = {name: why_pending(host, request) for name, request in requests.items()}
    return [Finding(host, "due", why, name) for name, why in reasons.items() if why]


def _fault(host: str, request: t.Any, error: BaseException) -> Finding:
    """Return the finding about a request of which an error is all that is known. It is being handled."""
    name = request.get("name") if isinstance(request, dict) else None
    return Finding(host, "unknown", failure_sentence(error), name if isinstance(name, str) else "")


# not a parser: it only passes on foreign input
def _look_at(endpoint: Endpoint, timeout: float | None = None) -> tuple[Finding, x509.Certificate | None]:
    """Return the finding about an endpoint, after one TLS handshake with it, or two, and the certificate that it presented."""
    host, request, domain, address, port, issuer, roots, _authority, proxy_protocol, is_from_dns = endpoint
    leaf = None
    finding = Finding(host, "unknown", "", request["name"], domain, address, port)
    try:
        chain, protocol, distrust = _presented_chain(address, port, domain, roots is None, timeout, proxy_protocol)
        leaf = chain[0]
        if names_of(chain[0]) == set(request["domains"]):
            request = {**request, "renewals": {**advice(issuer, host, request, chain[0])}}
        serial_number, now = f"{chain[0].serial_number:x}", utc_now()
        revoked = revocation(issuer, host, request["name"], serial_number)
        request = {**request, "revoked": {serial_number: revoked} if revoked else {}}
        without_ca = missing_ca_sentence(chain, issuer)
        reason = why_replace(chain, leaf.public_key(), None, request, now, roots, without_ca)
        reason = reason or (distrust and (without_ca or distrust))
        days_left = (not_after(chain[0]) - now) / datetime.timedelta(days=1)
        finding = finding._replace(
            state="expired" if days_left <= 0 else "due" if reason else "fine",
            reason=reason or "",
            protocol=protocol or "",
            certificate=describe_chain(chain),
            days_left=round(days_left, 3),
            renew_at=renewal_time_of(leaf, request).isoformat(timespec="seconds"),
        )
    except BaseException as error:
        sentence = failure_sentence(error)
        is_remote = request["served_by"] in REMOTE_SERVERS
        finding = finding._replace(reason=with_remote_advice(sentence) if is_remote else sentence)
    if is_from_dns and finding.reason:
        finding = finding._replace(reason=dns_sentence(endpoint, finding.reason))
    return finding, leaf


# not a parser: it reads what the collection has made or checked
def renewal_order(findings: list[Finding], seed: str) -> list[str]:
    """Return the hosts with a finding that is not fine, in the order in which they are to be renewed.

    Those of which nothing can be renewed, since all their findings are refused, are left out.

    Those that answered come first, since the first of all has to show that renewals work. Among them the *seed* decides. Another seed
    gives another order, so that a broken host does not stand before the others for ever.
    """
    silent = {finding.host for finding in findings if finding.state == "unknown" and not finding.refused}
    blocked = {finding.host for finding in findings if finding.refused}
    blocked -= {finding.host for finding in findings if finding.request and not finding.refused}
    hosts = {
        finding.host
        for finding in findings
        if finding.state != "fine" and not finding.refused and not (finding.is_forced and finding.host in blocked)
    }
    return sorted(hosts, key=lambda host: (host in silent, hashlib.sha256(f"{seed}/{host}".encode()).digest()))


def shuffle_seed(now: datetime.datetime) -> str:
    """Return the seed of renewal_order() at this time. It changes every four hours.

    >>> shuffle_seed(datetime.datetime(2026, 11, 21, 14, 30))
    '2026-11-21/3'
    """
    return f"{now:%Y-%m-%d}/{now.hour // HOURS_OF_SEED}"


def _severity(finding: Finding) -> tuple[t.Any, ...]:
    """Return the key by which findings are sorted, the worst first."""
    endpoint = (finding.host, finding.request, finding.name, finding.address, finding.port)
    return (STATES.index(finding.state), finding.days_left or 0, endpoint)


def _presented_chain(
    address: str, port: int, domain: str, trust: bool, timeout: float | None, proxy_protocol: bool
) -> tuple[list[x509.Certificate], str | None, str | None]:
    """Return the chain that is presented, the version of TLS, and why the system does not trust the chain.

    trust: whether the system has to trust it. Otherwise the last value is None.
    """
    try:
        return (
            *handshake(address, port, domain, verify=trust, timeout=timeout, proxy_protocol=proxy_protocol),
            None,
        )
    except TlsError as error:
        if error.details.get("failure") != "untrusted":
            raise
        return (*handshake(address, port, domain, timeout=timeout, proxy_protocol=proxy_protocol), str(error))


def _read_variables(variables: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the values of VARIABLES that are set; none of them where there are no requests.

    Each is read once: Ansible evaluates its templates each time, which takes longer than all the rest.
    """
    values = {}
    for name in VARIABLES:
        value = variables.get(name)
        if value is not None:
            values[name] = _without_tags(value)
        elif name == "certificate_requests":
            return {}
    return values


def _validated(variables: dict[str, t.Any]) -> dict[str, t.Any]:
    result = validate_arguments(VALIDATOR, variables)
    if result.error_messages:
        raise TlsError(f"{spec_errors(result)}; correct the inventory")
    return result.validated_parameters


def _validated_together(listed: t.Any, issuers: t.Any) -> list[dict[str, t.Any]] | None:
    """Return the validated requests of a host; None where each is to be validated alone, for one has a fault."""
    try:
        return (
            validated_requests([with_defaults(item, issuers) for item in listed]) if isinstance(listed, list) else None
        )
    except Exception:
        return None


def _without_tags(value: t.Any) -> t.Any:
    """Return a variable without the tags and templates of Ansible, which make each copy ten times slower."""
    if isinstance(value, dict):
        return {_without_tags(key): _without_tags(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_tags(item) for item in value]
    return str(value) if isinstance(value, str) else value
