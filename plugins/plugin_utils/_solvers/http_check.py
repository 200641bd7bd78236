# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask hosts over HTTP what a CA will ask: each address of a domain, and redirects (RFC 8555, 8.3)."""

from __future__ import annotations

import errno
import functools
import http.client
import secrets
import time
import typing as t
import urllib.parse

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding, Severity
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import internal_domain
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import http_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import (
    RESOLVERS,
    DnsClient,
    NoAddressError,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_findings import (
    SOURCE,
    UNCHECKED,
    UNREACHABLE,
    UNROUTED,
    AddressResult,
    describe_results,
    host_title,
    internal_sentence,
    unrouted_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import (
    CA_USER_AGENT,
    PLAIN_USER_AGENT,
    HttpResponse,
    bracketed,
    speaks_tls,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.internal_addresses import internal_kind
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads, raise_errors
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.shared_results import shared_result
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

MAX_REDIRECTS = 10
MAX_PATH_CHARACTERS = 2000  # Boulder (va/http.go)
DOMAIN_TIMEOUT_S = 60.0  # for all addresses of a domain, and their redirects
FOLLOWED_STATUSES = (301, 302, 307, 308)
SEE_OTHER = 303  # a redirect for browsers, which CAs do not follow
BAD_REQUEST = 400  # the answer of nginx to plain HTTP on a port of TLS
UNREACHABLE_ERRNOS = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # the controller has no IPv6, say
CHECK_FALSE = "set check: false in the solver where the controller does not see what the CA sees"

display = Display()


class HttpCheck(t.NamedTuple):
    """What to ask the hosts behind a domain, and which response is expected."""

    domain: str
    token: str
    is_expected: t.Callable[[HttpResponse], bool]
    refusal: t.Callable[[str, HttpResponse], tuple[str, str]]  # (host, response) -> (code, sentence)
    may_change_path: bool = False  # whether a redirect to another path of the same name is followed, as CAs do
    expected: str = ""  # the thumbprint of the account that the response has to name; empty where any response is right

    @property
    def path(self) -> str:
        """Return the path of the URL that the CA requests."""
        return f"/.well-known/acme-challenge/{self.token}"


def any_response(domain: str) -> HttpCheck:
    """Return the check that something speaks HTTP on port 80 of each host behind a domain."""

    def refusal(where: str, response: HttpResponse) -> tuple[str, str]:
        return "answer", f"{where} answers {response}; see what it does there"

    return HttpCheck(domain, secrets.token_urlsafe(32), lambda _response: True, refusal)


class CheckResult(t.NamedTuple):
    """What the check of one domain gave. Hosts are named as in C(www.example.org at 192.0.2.1)."""

    error: str | None = None
    unrouted: tuple[str, ...] = ()  # hosts to which the controller has no route, beside others that respond
    internal: tuple[str, ...] = ()  # hosts that respond at addresses without a way from the internet


class HttpCheckError(TlsError):
    """A CA would not accept what happens at a host. code: what that is."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class WrongResponseError(HttpCheckError):
    """The host responds, and not as it has to. status: of its response; 0 where that does not matter."""

    def __init__(self, sentence: str, code: str, status: int = 0) -> None:
        super().__init__(sentence, code)
        self.status = status


class HttpChecker:
    """The checks of one solver. With the setting C(check) false there are none."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **RESOLVERS,
        "check": {"type": "bool", "default": True},
        "timeout": {"type": "str", "default": "10s"},
    }

    def __init__(self, resolvers: list[str], check: bool, timeout: str, is_public_ca: bool = False) -> None:
        self.dns = DnsClient(resolvers)
        self.is_enabled = check
        self.timeout = parse_duration(timeout).total_seconds()
        self.is_public_ca = is_public_ca

    def run(self, checks: list[HttpCheck]) -> None:
        """Run all checks; warn about what only the CA can see. Raises TlsError with a sentence for each that fails."""
        if not self.is_enabled:
            return
        results = map_in_threads(self._check_result, checks)
        raise_errors(result.error for result in results)
        unrouted = [host for result in results for host in result.unrouted]
        if unrouted:
            _warn(unrouted_sentence(unrouted))
        internal = [host for result in results for host in result.internal]
        if internal and self.is_public_ca:
            _warn(internal_sentence(internal))

    def find_obstacles(self, checks: list[HttpCheck], deadline: float) -> list[Finding]:
        """Return what a CA meets at each address of each domain, all of which are asked until a *deadline* by time.monotonic()."""
        if not self.is_enabled:
            return [UNCHECKED]
        found = map_in_threads(lambda check: self._addresses_until(check.domain, deadline), checks)
        asked = [
            (check, address)
            for check, addresses in zip(checks, found)
            if not isinstance(addresses, TlsError)
            for address in addresses
        ]
        results = dict(zip(asked, map_in_threads(lambda pair: self._shared_result(*pair, deadline), asked)))
        findings = []
        for check, addresses in zip(checks, found):
            if isinstance(addresses, TlsError):
                severity: Severity = "blocks" if isinstance(addresses, NoAddressError) else "unknown"
                findings.append(Finding(severity, "http.address", str(addresses), (), SOURCE))
            else:
                findings += describe_results(
                    check.domain, [results[check, one] for one in addresses], self.is_public_ca
                )
        return findings

    def _addresses(self, domain: str) -> list[str] | TlsError:
        """Return the addresses of a domain, or why they are not known."""
        try:
            return [domain] if is_ip_address(domain) else self.dns.addresses(domain)
        except TlsError as error:
            return error

    def _addresses_until(self, domain: str, deadline: float) -> list[str] | TlsError:
        """Return the addresses of a domain, or why they are not known, at a deadline by time.monotonic() at the latest."""
        try:
            return run_with_timeout(max(0.1, deadline - time.monotonic()), lambda: self._addresses(domain))
        except TimeoutError:
            return TlsError(f"the resolvers do not say the addresses of {domain} in time; see that they run")

    def _check_result(self, check: HttpCheck) -> CheckResult:
        """Return what would keep a CA from validating a domain."""
        domain = check.domain
        addresses = self._addresses(domain)
        if isinstance(addresses, TlsError):
            return CheckResult(str(addresses))
        unrouted: dict[str, str] = {}
        deadline = time.monotonic() + max(DOMAIN_TIMEOUT_S, self.timeout)
        for address in addresses:
            result = self._result(check, address, deadline)
            if result.is_unrouted:
                unrouted[host_title(domain, address)] = result.sentence
            elif result.sentence:
                return CheckResult(result.sentence)
        if len(unrouted) == len(addresses):
            return CheckResult(next(iter(unrouted.values())))
        kinds = [(address, internal_kind(address)) for address in addresses]
        internal = tuple(f"{host_title(domain, address)}, {kind}" for address, kind in kinds if kind)
        return CheckResult(None, tuple(unrouted), internal)

    def _shared_result(self, check: HttpCheck, address: str, deadline: float) -> AddressResult:
        asked = (check.domain, address, check.expected, check.may_change_path)
        key = (*asked, self.timeout, self.is_public_ca, *self.dns.resolvers.texts)
        return shared_result(key, lambda: self._result(check, address, deadline))

    def _result(self, check: HttpCheck, address: str, deadline: float) -> AddressResult:
        """Return what one address of a domain gives."""
        hops: list[str] = []
        try:
            self._check_host(check, address, deadline, hops)
        except OSError as error:
            code = UNROUTED if error.errno in UNREACHABLE_ERRNOS else UNREACHABLE
            is_late = isinstance(error, TimeoutError) and time.monotonic() >= deadline
            return AddressResult(address, _unreachable(check.domain, address, error), code, tuple(hops), is_late)
        except TlsError as error:
            kind = internal_kind(address) if self.is_public_ca else None
            sentence = f"{error}; {address} is {kind}, which the CA cannot reach" if kind else str(error)
            code = error.code if isinstance(error, HttpCheckError) else "answer"
            return AddressResult(address, sentence, code, tuple(hops))
        return AddressResult(address, hops=tuple(hops))

    def _check_host(self, check: HttpCheck, address: str, deadline: float, hops: list[str]) -> None:
        """Check a host. Raises TlsError for a wrong response, and OSError if the host cannot be reached.

        deadline: by time.monotonic(), after which TimeoutError is raised. hops: gets each request with its response.
        """
        try:
            return self._follow(check, address, deadline, CA_USER_AGENT, hops)
        except TimeoutError:
            raise
        except (ConnectionResetError, http.client.HTTPException, WrongResponseError) as error:
            where = host_title(check.domain, address)
            # nginx answers plain HTTP on a port of TLS with status 400; other servers break off
            may_be_tls = not isinstance(error, WrongResponseError) or error.status == BAD_REQUEST
            code, cause = "tls", self._tls_error(check, address, deadline) if may_be_tls else None
            if cause is None:
                code, cause = "user_agent", self._user_agent_error(check, address, deadline)
            if cause:
                raise HttpCheckError(f"{where} {cause}", code) from error
            if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
                port = http_request.PORTS["http"]
                raise HttpCheckError(
                    f"port {port} of {where} does not speak HTTP; let nginx answer there, or correct the DNS record",
                    "protocol",
                ) from error
            raise

    def _tls_error(self, check: HttpCheck, address: str, deadline: float) -> str | None:
        """Return the end of a sentence about a host that speaks TLS on port 80; None where it does not."""
        if not speaks_tls(address, check.domain, self._timeout(deadline)):
            return None
        port = http_request.PORTS["http"]
        return (
            f"speaks TLS on port {port}, and CAs ask there in plain HTTP; remove ssl from the line listen {port} of nginx, or correct the "
            "DNS record"
        )

    def _user_agent_error(self, check: HttpCheck, address: str, deadline: float) -> str | None:
        """Return the end of a sentence about a host that refuses the User-Agent of CAs alone; None where it refuses others, too."""
        try:
            self._follow(check, address, deadline, PLAIN_USER_AGENT, [])
        except (OSError, http.client.HTTPException, TlsError):
            return None
        return (
            f"answers challenges, and refuses requests whose User-Agent is like that of a CA ({CA_USER_AGENT}); let the firewall or nginx "
            "pass /.well-known/acme-challenge/ for any User-Agent"
        )

    def _follow(self, check: HttpCheck, address: str, deadline: float, user_agent: str, hops: list[str]) -> None:
        """Ask a host, and follow its redirects. Raises TlsError if the last response is not the expected one."""
        domain = check.domain
        get = functools.partial(self._get, deadline=deadline, user_agent=user_agent)
        response = get("http", address, domain, check.path)
        here, url = (address, domain), f"http://{bracketed(domain)}{check.path}"
        visited = [url]
        hops.append(_hop(url, response))
        while response.status in FOLLOWED_STATUSES and not check.is_expected(response):
            url, scheme, name, target_path = _redirect_target(domain, url, response.headers.get("Location", ""))
            if url in visited or len(visited) > MAX_REDIRECTS:
                raise HttpCheckError(
                    f"{host_title(domain, address)} redirects in a circle; correct what answers there on port 80",
                    "circle",
                )
            if target_path != check.path and not (check.may_change_path and name == domain):
                # no host would respond there; and no host shall choose what the controller requests elsewhere
                raise WrongResponseError(_bad_redirect(domain, address, url), "redirect")
            why = self._unreachable_for_ca(name)
            if why:
                raise WrongResponseError(_bad_redirect(domain, address, url, why), "redirect")
            visited.append(url)
            try:
                if name != here[1]:
                    here = (name if is_ip_address(name) else self.dns.addresses(name)[0], name)
                response = get(scheme, *here, target_path)
                hops.append(_hop(url, response))
            except (OSError, http.client.HTTPException, TlsError) as error:
                why = _why(error) if isinstance(error, OSError) else ""
                raise HttpCheckError(_bad_redirect(domain, address, url, why), "redirect") from error
        if check.is_expected(response):
            return
        if response.status == SEE_OTHER:
            raise WrongResponseError(
                f"{host_title(domain, address)} redirects with the status 303, and CAs follow 301, 302, 307 and 308 only; correct the redirect, or "
                "let it leave out /.well-known/acme-challenge/",
                "status_303",
            )
        if here[1] != domain:
            raise WrongResponseError(_bad_redirect(domain, address, url, str(response)), "redirect")
        response = response._replace(hops=tuple(_origin(one) for one in visited[1:]))
        code, sentence = check.refusal(host_title(domain, address), response)
        raise WrongResponseError(sentence, code, response.status)

    def _unreachable_for_ca(self, name: str) -> str | None:
        """Return why a public CA does not reach the target of a redirect; None where it may, and for CAs in networks of one's own."""
        if not self.is_public_ca:
            return None
        if is_ip_address(name):
            kind = internal_kind(name)
            return f"it is {kind}, which the CA cannot reach" if kind else None
        domain = internal_domain(name.rstrip("."))
        return f"no name in {domain} is in the DNS of the internet, so the CA cannot find it" if domain else None

    def _get(
        self, scheme: str, address: str, name: str, path: str, *, deadline: float, user_agent: str
    ) -> HttpResponse:
        return http_request.get(scheme, address, name, path, self._timeout(deadline), user_agent)

    def _timeout(self, deadline: float) -> float:
        return max(0.001, min(self.timeout, deadline - time.monotonic()))


def _redirect_target(domain: str, url: str, location: str) -> tuple[str, str, str, str]:
    """Return the URL of a redirect with its scheme, name and path.

    Raises TlsError if CAs do not follow it.
    """
    ports = http_request.PORTS
    try:
        target = urllib.parse.urljoin(url, location)
        parts = urllib.parse.urlsplit(target)
        is_followed = parts.scheme in ports and parts.hostname and parts.port in (None, ports[parts.scheme])
    except ValueError:
        is_followed = False
    if not is_followed:
        raise WrongResponseError(
            f"{domain} redirects to {shorten(repr(location))}, and CAs follow to ports 80 and 443 only; correct the redirect, or let it leave out "
            "/.well-known/acme-challenge/",
            "redirect_port",
        )
    if str(parts.hostname).endswith(".well-known"):
        raise WrongResponseError(
            f"{domain} redirects to {shorten(repr(location))}, where a slash lacks between the name and .well-known; correct the redirect, for "
            "nginx: return 301 https://$host$request_uri",
            "redirect_slash",
        )
    path = urllib.parse.quote(f"{parts.path or '/'}?{parts.query}".removesuffix("?"), safe="/?%=&:@!$'()*+,;~[]")
    if len(path) > MAX_PATH_CHARACTERS:
        raise WrongResponseError(
            f"{domain} redirects to {shorten(repr(location))}, whose path is longer than the {MAX_PATH_CHARACTERS} characters that CAs follow; "
            "correct the redirect",
            "redirect_path",
        )
    return target, parts.scheme, str(parts.hostname), path


def _unreachable(domain: str, address: str, error: OSError) -> str:
    """Return the sentence about a host that cannot be reached."""
    failure = f"port {http_request.PORTS['http']} of {host_title(domain, address)} cannot be reached ({_why(error)})"
    remedy = f"open it to the world and see that nginx runs there, or {CHECK_FALSE}"
    kind = internal_kind(address)
    if kind:
        remedy = f"this is {kind}, which no CA on the internet can reach: correct the DNS record; for a CA in your own network, {remedy}"
    return f"{failure}; {remedy}"


# not a parser: it accepts any text, or raises TlsError
def _bad_redirect(domain: str, address: str, url: str, why: str = "") -> str:
    return (
        f"{host_title(domain, address)} redirects to {shorten(_origin(url))}, and no host of ours answers there"
        f"{f' ({why})' if why else ''}; let the redirect leave out /.well-known/acme-challenge/"
    )


# not a parser: it accepts any text
def _origin(url: str) -> str:
    return url.partition("/.well-known")[0]


def _hop(url: str, response: HttpResponse) -> str:
    return shorten(f"{_origin(url)}: {response}")


def _warn(sentence: str) -> None:
    display.warning(escape_control_characters(sentence))


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error) or type(error).__name__
