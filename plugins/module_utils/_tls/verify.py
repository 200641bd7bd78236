# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification: whether clients get the certificate that is installed, and can trust it."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import find_trusted_path
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.strict_clients import strict_warnings
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, unexpected_error
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake

RETRY_INTERVAL_S = 0.2


class Handshake(t.TypedDict):
    """A handshake that succeeded."""

    name: str
    address: str
    port: int
    protocol: str | None  # as TLSv1.3
    chain: str  # PEM, the leaf first


class Verification(t.TypedDict, total=False):
    """The result of handshake_verify."""

    changed: bool
    handshakes: list[Handshake]
    problems: list[str]
    answered: bool  # whether any server answered where there was a problem
    untrusted: bool  # whether the expected certificate is presented everywhere, and all that is wrong is that it is not trusted
    verified_from: str
    msg: str
    warnings: list[str]  # about what stricter clients refuse


# not a parser: it only passes on foreign input
def verify_endpoint(
    address: str,
    port: int,
    domain: str,
    roots: str | None,
    expected: str | None,
    timeout: float,
    times: int = 1,
    proxy_protocol: bool = False,
) -> Handshake:
    """Return the handshake of a client that trusts *roots*, the last of as many as have to succeed in a row.

    expected: the fingerprint that the certificate has to have.
    timeout: seconds for which it tries again, since workers of nginx that are going away may still answer.
    Raises TlsError with the last reason; its detail C(failure) is one of handshake(), or C(another) for another certificate.
    """
    deadline, in_a_row = time.monotonic() + timeout, 0
    while True:
        try:
            chain, protocol = handshake(address, port, domain, roots, verify=True, proxy_protocol=proxy_protocol)
            if expected and fingerprint(chain[0]) != expected:
                raise TlsError(
                    f"{probe_name(domain)} at {address} port {port}: the certificate presented is not the installed one: "
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
    handshakes: list[Handshake] = []
    problems: list[str] = []
    is_answered, is_trust_alone = False, True
    for address, port, domain in targets:
        timeout = 0 if check_mode or problems else arguments["timeout"]
        expected, times, roots = arguments["fingerprint"], arguments.get("times") or 1, arguments["roots"]
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
    if warnings:
        result["warnings"] = warnings
    proved = f"{', '.join(dict.fromkeys(one['name'] for one in handshakes))} proved from the {observer}"
    return {**result, "msg": f"not served yet: {'. '.join(problems)}" if problems else proved}


# not a parser: it only passes on foreign input
def _is_trust_alone(
    error: TlsError, address: str, port: int, domain: str, expected: str | None, has_header: bool
) -> bool:
    """Return whether a handshake failed since clients do not trust the certificate, and it is the one with the expected fingerprint."""
    if error.details.get("failure") != "untrusted" or not expected:
        return False
    try:
        chain, _protocol = handshake(address, port, domain, proxy_protocol=has_header)
    except TlsError:
        return False
    return fingerprint(chain[0]) == expected


# not a parser: it reads chains that were verified, and roots of the inventory
def _strict_warnings(chains: list[str], roots: str | None) -> list[str]:
    """Return what clients refuse that are stricter than OpenSSL, about chains in PEM that were verified."""
    warnings: list[str] = []
    trusted = parse_chain(roots.encode()) if roots else []
    for pem in dict.fromkeys(chains):
        chain = parse_chain(pem.encode())
        warnings += strict_warnings(find_trusted_path(chain, trusted, utc_now()) or chain)
    return list(dict.fromkeys(warnings))
