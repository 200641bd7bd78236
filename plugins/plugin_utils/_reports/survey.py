# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The survey: what every endpoint of a fleet serves, against what it should, by handshakes from the controller alone."""

from __future__ import annotations

import concurrent.futures
import datetime
import hashlib
import resource
import typing as t

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    describe_chain,
    names_of,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import why_due_regardless, why_replace
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import host_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.request import (
    check_distinct_requests,
    complete_request,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import validate_arguments
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import advice, open_issuer, with_defaults

AT_ONCE = 500  # handshakes, so that hundreds of dead hosts cost one timeout
# What is found of an endpoint, the worst first.
STATES = ("expired", "unknown", "due", "fine")

# The variables of the inventory that say what a host has to serve.
SPEC = {
    "certificate_requests": {**REQUEST_SPEC, "type": "list", "elements": "dict", "required": False, "default": []},
    "certificate_issuers": {"type": "dict", "default": {}},
}
VALIDATOR = ArgumentSpecValidator(SPEC)
READ = (*SPEC, "certificate_verify_from", "certificate_endpoint", "ansible_host")


class Endpoint(t.NamedTuple):
    """A name that a host has to answer to, at an address and port."""

    host: str
    request: dict
    domain: str
    address: str
    port: int
    roots: list | None
    issuer: t.Any = None


class Finding(t.NamedTuple):
    """What was found of an endpoint, or of a host whose endpoints cannot be told."""

    host: str
    state: str
    reason: str
    request: str = ""
    name: str = ""
    address: str = ""
    port: int = 0
    protocol: str = ""
    certificate: dict | None = None
    days_left: float | None = None

    @property
    def is_wish(self) -> bool:
        """Say whether this is nothing that was seen, and the host is due since somebody wants it to be."""
        return self.state == "due" and not self.address


# not a parser: it only passes on foreign input
def survey_hosts(
    hosts: list[str],
    variables_of: t.Callable[[str], t.Mapping[str, t.Any]],
    progress: t.Callable[[str, int, int], None],
    inspect: bool = False,
    at_once: int = AT_ONCE,
) -> list[Finding]:
    """Return what is found of all endpoints of *hosts*, the worst first.

    *variables_of* returns the inventory variables of a host; *progress* is told what is done, how often of how often.
    With *inspect*, every host with requests has something due: a look at its disk.
    """
    issuers: dict[tuple[str, str], tuple[t.Any, list | None]] = {}
    findings, waiting = [], []
    for number, host in enumerate(hosts, 1):
        try:
            variables = variables_of(host)
            found = endpoints_of_host(host, variables, issuers)
            reason = why_due_regardless(_is_true(variables.get("certificate_force")), inspect) if found else None
            if reason:
                findings.append(Finding(host, "due", reason))
            waiting += found
        except TlsError as error:
            findings.append(Finding(host, "unknown", str(error)))
        except OSError as error:
            findings.append(Finding(host, "unknown", str(system_error(error))))
        except AnsibleError as error:
            why = f"its variables cannot be read: {' '.join(str(error).split())}; correct the inventory"
            findings.append(Finding(host, "unknown", why))
        progress("hosts whose variables are read", number, len(hosts))
    with concurrent.futures.ThreadPoolExecutor(_threads(at_once, len(waiting))) as pool:
        futures = [pool.submit(check_endpoint, endpoint) for endpoint in waiting]
        for number, future in enumerate(concurrent.futures.as_completed(futures), 1):
            findings.append(future.result())
            progress("endpoints looked at", number, len(futures))
    return sorted(
        findings, key=lambda finding: (STATES.index(finding.state), finding.days_left or 0, finding[:1] + finding[3:7])
    )


def endpoints_of_host(host: str, variables: t.Mapping[str, t.Any], known: dict) -> list[Endpoint]:
    """Return the endpoints at which a host has to serve its certificates. Raises TlsError when they cannot be told."""
    said = {}
    for name in READ:  # each once, since Ansible works out their templates each time, which takes longer than the rest
        value = variables.get(name)
        if value is not None:
            said[name] = _plain(value)
        elif name == "certificate_requests":
            return []
    if isinstance(said["certificate_requests"], list):
        issuers = said.get("certificate_issuers")
        said["certificate_requests"] = [with_defaults(request, issuers) for request in said["certificate_requests"]]
    checked = _validated({name: said[name] for name in SPEC if name in said})
    requests = [complete_request(request) for request in checked["certificate_requests"]]
    if requests and said.get("certificate_verify_from") == "host":
        raise TlsError(
            "it cannot be seen from here, as certificate_verify_from says; renew looks at it on the host itself"
        )
    check_distinct_requests(requests)
    found = []
    for request in requests:
        wanted = {**request, "host": host}
        issuer, roots = _issuer(wanted["issuer"], checked["certificate_issuers"], known)
        for address, port in host_addresses(said, host, wanted["port"]):
            found += [Endpoint(host, wanted, domain, address, port, roots, issuer) for domain in wanted["domains"]]
    return found


# not a parser: it only passes on foreign input
def check_endpoint(endpoint: Endpoint) -> Finding:
    """Return what is found of one endpoint."""
    host, wanted, domain, address, port, roots, issuer = endpoint
    place = {"host": host, "request": wanted["name"], "name": domain, "address": address, "port": port}
    try:
        chain, protocol, distrust = _seen(address, port, domain, trust=roots is None)
        if names_of(chain[0]) == set(wanted["domains"]):
            wanted = {**wanted, "renewals": advice(issuer, host, wanted["name"], chain[0])}
        now = utc_now()
        reason = why_replace(chain, chain[0].public_key(), None, wanted, now, roots) or distrust
        left = (not_after(chain[0]) - now).total_seconds() / 86400
        return Finding(
            **place,
            state="expired" if left <= 0 else "due" if reason else "fine",
            reason=reason or "",
            protocol=protocol or "",
            certificate=describe_chain(chain),
            days_left=round(left, 3),
        )
    except TlsError as error:
        return Finding(**place, state="unknown", reason=str(error))


# not a parser: it reads what the collection has made or checked
def renewal_order(findings: list[Finding], lot: str) -> list[str]:
    """Return the hosts of which something is not fine, in the order in which they are to be renewed.

    Those that answered come first, since the first of all has to show that renewals work. Among them the *lot* decides: the
    same one gives the same order, and another one keeps a broken host from standing before the others for ever.
    """
    silent = {finding.host for finding in findings if finding.state == "unknown"}
    hosts = {finding.host for finding in findings if finding.state != "fine"}
    return sorted(hosts, key=lambda host: (host in silent, hashlib.sha256(f"{lot}/{host}".encode()).digest()))


def shuffle_seed(now: datetime.datetime) -> str:
    """Return the lot of a moment; it is another one every four hours, as often as the schedule runs.

    >>> shuffle_seed(datetime.datetime(2026, 11, 21, 14, 30))
    '2026-11-21/3'
    """
    return f"{now:%Y-%m-%d}/{now.hour // 4}"


def _seen(address: str, port: int, domain: str, trust: bool) -> tuple[list, str | None, str | None]:
    """Return the chain, the version of TLS and, where *trust* is asked for and denied, why."""
    try:
        return (*handshake(address, port, domain, verify=trust), None)
    except TlsError as error:
        if error.details["failure"] != "untrusted":
            raise
        return (*handshake(address, port, domain), str(error))


def _threads(at_once: int, endpoints_of_host: int) -> int:
    """Return how many handshakes are made at a time: no more than half of the files that may be open."""
    files, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = endpoints_of_host if files == resource.RLIM_INFINITY else files // 2
    return max(1, min(at_once, endpoints_of_host, allowed))


def _is_true(value: t.Any) -> bool:
    """Return what a variable of the inventory says, in whatever words."""
    return boolean(value, strict=False)


def _validated(variables: dict) -> dict:
    checked = validate_arguments(VALIDATOR, variables)
    if checked.error_messages:
        raise TlsError(f"{'; '.join(checked.error_messages)}; correct the inventory")
    return checked.validated_parameters


def _plain(value: t.Any) -> t.Any:
    """Return a variable without the tags and templates of Ansible, with which each further copy would take ten times as long."""
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, str) else value


def _issuer(name: str, issuers: dict, known: dict) -> tuple[t.Any, list | None]:
    """Return an issuer, opened once, and the roots that its clients trust."""
    key = (name, repr(issuers.get(name)))
    if key not in known:
        issuer = open_issuer(name, issuers)
        pem = issuer.roots()
        known[key] = issuer, parse_chain(pem) if pem else None
    return known[key]
