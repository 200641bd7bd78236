# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification: whether clients get the certificate that is installed, and can trust it."""

from __future__ import annotations

import datetime
import ssl
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
    not_after,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import find_trusted_path
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.strict_clients import strict_warnings
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, unexpected_error
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake

if t.TYPE_CHECKING:
    from cryptography import x509

RETRY_INTERVAL_S = 0.2
TLS_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
# The option validity of handshake_verify: dates in ISO 8601.
VALIDITY_SPEC = {"not_before": {"type": "str", "required": True}, "not_after": {"type": "str", "required": True}}


class Handshake(t.TypedDict):
    """A handshake that succeeded."""

    name: str
    address: str
    port: int
    protocol: str | None  # as TLSv1.3
    chain: str  # PEM, the leaf first


class Expected(t.NamedTuple):
    """The certificate that has to be presented, by what is known of it. Nothing stands for any that clients trust."""

    fingerprint: str | None = None  # SHA-256
    validity: tuple[datetime.datetime, datetime.datetime] | None = None  # its first and its last second

    def difference(self, leaf: x509.Certificate) -> str:
        """Return in words what another certificate is not, and an empty text for the expected one."""
        if self.fingerprint and fingerprint(leaf) != self.fingerprint:
            return "the installed one"
        if self.validity and (not_before(leaf), not_after(leaf)) != self.validity:
            begin, end = map(format_date, self.validity)
            return f"the one that was issued, which is valid from {begin} to {end}"
        return ""


class Verification(t.TypedDict, total=False):
    """The result of handshake_verify."""

    changed: bool
    handshakes: list[Handshake]
    problems: list[str]
    answered: bool  # whether any server answered where there was a problem
    untrusted: bool  # whether the expected certificate is presented everywhere, and all that is wrong is that it is not trusted
    verified_from: str
    msg: str
    warnings: list[str]  # about what stricter clients refuse, and versions of TLS


# not a parser: it only passes on foreign input
def verify_endpoint(
    address: str,
    port: int,
    domain: str,
    roots: str | None,
    expected: Expected,
    timeout: float,
    times: int = 1,
    proxy_protocol: bool = False,
) -> Handshake:
    """Return the handshake of a client that trusts *roots*, the last of as many as have to succeed in a row.

    timeout: seconds for which it tries again, since workers of nginx that are going away may still answer.
    Raises TlsError with the last reason; its detail C(failure) is one of handshake(), or C(another) for another certificate.
    """
    deadline, in_a_row = time.monotonic() + timeout, 0
    while True:
        try:
            chain, protocol = handshake(address, port, domain, roots, verify=True, proxy_protocol=proxy_protocol)
            difference = expected.difference(chain[0])
            if difference:
                raise TlsError(
                    f"{probe_name(domain)} at {address} port {port}: the certificate presented is not {difference}: "
                    f"{describe_certificate(chain[0])}; see which server answers there",
                    failure="another",
                )
            in_a_row += 1
            if in_a_row >= times:
                return {
                    "name": probe_name(domain),
                    "address": address,
                    "port": port,
                    "protocol": protocol,
                    "chain": to_pem(chain).decode(),
                }
        except TlsError:
            in_a_row = 0
            if time.monotonic() >= deadline:
                raise
        time.sleep(RETRY_INTERVAL_S)


def verify_request(
    request: Request,
    endpoints: list[tuple[str, int]],
    arguments: t.Mapping[str, t.Any],
    observer: str,
    check_mode: bool,
) -> Verification:
    """Return the result of handshake_verify for all domains of a request at all endpoints.

    endpoints: addresses and ports. arguments: of the module. observer: C(controller) or C(host).
    Raises TlsError with the result as its details if a handshake fails, except in check mode.
    """
    targets = [(address, port, domain) for address, port in endpoints for domain in request["domains"]]
    return verify_targets(targets, arguments, observer, check_mode)


def verify_targets(
    targets: list[tuple[str, int, str]], arguments: t.Mapping[str, t.Any], observer: str, check_mode: bool
) -> Verification:
    """Return the result of handshake_verify for each address, port and domain, as verify_request() does."""
    expected = expected_certificate(arguments)
    handshakes: list[Handshake] = []
    problems: list[str] = []
    is_answered, is_trust_alone = False, True
    for address, port, domain in targets:
        timeout = 0 if check_mode or problems else arguments["timeout"]
        times, roots = arguments.get("times") or 1, arguments["roots"]
        has_header = bool(arguments.get("proxy_protocol"))
        try:
            handshakes.append(verify_endpoint(address, port, domain, roots, expected, timeout, times, has_header))
        except TlsError as error:
            problems.append(str(error))
            is_answered = is_answered or error.details.get("failure") != "nothing"
            is_trust_alone = is_trust_alone and _is_trust_alone(error, address, port, domain, expected, has_header)
        except Exception as error:
            problems.append(f"{probe_name(domain)} at {address} port {port}: {unexpected_error(error)}")
            is_answered, is_trust_alone = True, False
    result: Verification = {
        "changed": False,
        "handshakes": handshakes,
        "problems": problems,
        "answered": is_answered,
        "untrusted": bool(problems) and is_trust_alone,
        "verified_from": observer,
    }
    if problems and not check_mode:
        raise TlsError(f"seen from the {observer}: {'. '.join(problems)}", **result)
    warnings = _strict_warnings([one["chain"] for one in handshakes], arguments["roots"])
    if not problems:
        warnings += [text for target in targets for text in _version_warnings(*target, arguments)]
    if warnings:
        result["warnings"] = warnings
    proved = f"{', '.join(dict.fromkeys(one['name'] for one in handshakes))} proved from the {observer}"
    return {**result, "msg": f"not served yet: {'. '.join(problems)}" if problems else proved}


# not a parser: it only passes on foreign input
def _version_warnings(address: str, port: int, domain: str, arguments: t.Mapping[str, t.Any]) -> list[str]:
    """Return a warning for each version of TLS that a server accepts, and that is not among the argument tls_versions."""
    versions = arguments.get("tls_versions") or list(TLS_VERSIONS)
    warnings = []
    for name in [name for name in TLS_VERSIONS if name not in versions]:
        try:
            handshake(
                address,
                port,
                domain,
                proxy_protocol=bool(arguments.get("proxy_protocol")),
                version=TLS_VERSIONS[name],
            )
        except TlsError:
            continue
        warnings.append(
            f"{probe_name(domain)} at {address} port {port} accepts {name}, though it is for {' and '.join(versions)} alone; see the "
            "ssl_protocols of the default server of that port, or what stands before nginx"
        )
    return warnings


# not a parser: it reads dates of a result that this collection has made
def expected_certificate(arguments: t.Mapping[str, t.Any]) -> Expected:
    """Return what the arguments of handshake_verify say of the certificate. Raises TlsError for a date that is none."""
    validity = arguments.get("validity")
    if not validity:
        return Expected(arguments["fingerprint"])
    begin, end = (parse_date(validity[name]) for name in VALIDITY_SPEC)
    if begin is None or end is None:
        raise TlsError(
            "not_before and not_after of validity have to be dates; write them in ISO 8601, as in 2026-11-30T12:00:00Z"
        )
    return Expected(arguments["fingerprint"], (begin, end))


# not a parser: it only passes on foreign input
def _is_trust_alone(
    error: TlsError, address: str, port: int, domain: str, expected: Expected, has_header: bool
) -> bool:
    """Return whether a handshake failed since clients do not trust the certificate, and it is the one with the expected fingerprint."""
    if error.details.get("failure") != "untrusted" or not expected.fingerprint:
        return False
    try:
        chain, _protocol = handshake(address, port, domain, proxy_protocol=has_header)
    except TlsError:
        return False
    return not expected.difference(chain[0])


# not a parser: it reads chains that were verified, and roots of the inventory
def _strict_warnings(chains: list[str], roots: str | None) -> list[str]:
    """Return what clients refuse that are stricter than OpenSSL, about chains in PEM that were verified."""
    warnings: list[str] = []
    trusted = parse_chain(roots.encode()) if roots else []
    for pem in dict.fromkeys(chains):
        chain = parse_chain(pem.encode())
        warnings += strict_warnings(find_trusted_path(chain, trusted, utc_now()) or chain)
    return list(dict.fromkeys(warnings))
