# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a signing request of a host comes to its certificate: once, whatever is killed, and whoever else asks."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import why_replace
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cache import Answer, Answers
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import check_answer, check_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import STRAIGHT, Crossing
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import Waiting
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import Issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

PATIENCE = (
    900.0  # seconds for any CA, however long it looks at DNS; those that should be quick have patience of their own
)

Result = t.TypeVar("Result")


class Issued(t.NamedTuple):
    """A chain that may be installed."""

    chain: list
    roots: bytes | None
    is_new: bool
    warnings: list[str]


def issue_once(
    issuer: Issuer,
    wanted: dict,
    csr: bytes,
    host: str,
    in_use: str | None = None,
    told: dict[str, t.Any] | None = None,
) -> Issued | Waiting:
    """Have a signing request signed, or return the chain that an earlier run had for it and did not come to install.

    Neither the host nor the CA is believed. *in_use* is the fingerprint of what the host has: no answer to anything, though
    the signing request may equal that for it when the key is kept. The issuer is *told* more about it, for people. Where one of
    them has to act, it is Waiting.
    """
    public_key, crossing = check_request(csr, wanted), getattr(issuer, "crossing", STRAIGHT)
    with Answers(issuer.answers).to(csr, {**issuer.terms(wanted), **crossing.terms()}) as answer:
        roots, warnings = issuer.roots(), []
        chain = kept(answer, public_key, {**wanted, "host": host}, roots, in_use, crossing)
        is_new = not chain
        if not chain:
            said = answer_of(issuer, {**wanted, **(told or {}), "in_use": in_use}, csr, host)
            if isinstance(said, Waiting):
                return said
            roots = issuer.roots()  # which may have been made meanwhile
            try:
                chain = check_answer(said, public_key, wanted, roots, utc_now(), crossing)
            except TlsError as error:
                raise TlsError(
                    f"the answer of {wanted['issuer']} for the certificate of {wanted['name']} is refused, and nothing is changed: {error}"
                ) from error
            try:
                answer.keep(chain, utc_now())
            except OSError as error:  # what was bought is used all the same
                warnings = [
                    f"{wanted['issuer']} issues this certificate again if this run dies now: {system_error(error)}"
                ]
        issuer.record(wanted, chain, host)
    astray = crossing.complaint(chain, parse_chain(roots) if roots else [])
    warnings += [astray] if astray else []
    return Issued(chain, roots, is_new, warnings + getattr(issuer, "remarks", []))


def begin_once(issuer: t.Any, wanted: dict, csr: bytes, host: str, in_use: str | None = None) -> list[dict[str, t.Any]]:
    """Have the certificate for a signing request ordered as far as the files that hosts have to show, and return where these have to be.

    None where an earlier run had a chain for it. The issuer is one that can begin().
    """
    public_key, crossing = check_request(csr, wanted), getattr(issuer, "crossing", STRAIGHT)
    with Answers(issuer.answers).to(csr, {**issuer.terms(wanted), **crossing.terms()}) as answer:
        if kept(answer, public_key, {**wanted, "host": host}, issuer.roots(), in_use, crossing):
            return []
        return _in_time(wanted, lambda: issuer.begin(wanted, csr, host))


def answer_of(issuer: Issuer, wanted: dict, csr: bytes, host: str) -> t.Any:
    """Return what a CA answers, if it ever does."""
    return _in_time(wanted, lambda: issuer.issue(wanted, csr, host))


def _in_time(wanted: dict, ask: t.Callable[[], Result]) -> Result:
    try:
        return run_with_timeout(PATIENCE, ask)
    except TimeoutError as error:
        raise TlsError(
            f"{wanted['issuer']} has not answered for {PATIENCE:.0f} seconds, and nothing is changed; "
            "see that it can be reached from the controller, then run this again"
        ) from error


def kept(
    answer: Answer,
    public_key: t.Any,
    wanted: dict,
    roots: bytes | None,
    in_use: str | None,
    crossing: Crossing = STRAIGHT,
) -> list | None:
    """Return the chain that was issued before, if it is what a CA may answer now, is not due on its host, and not what is in use."""
    chain = answer.chain()
    return chain if chain and still_does(chain, public_key, wanted, roots, in_use, crossing) else None


def still_does(
    chain: list, public_key: t.Any, wanted: dict, roots: bytes | None, in_use: str | None, crossing: Crossing = STRAIGHT
) -> bool:
    """Say whether a chain that was issued before is what a CA may answer now, is not due on its host, and not what is in use."""
    now = utc_now()
    try:
        check_answer(to_pem(chain), public_key, wanted, roots, now, crossing)
    except TlsError:
        return False
    trusted = parse_chain(roots) if roots else None
    return why_replace(chain, public_key, None, wanted, now, trusted) is None and fingerprint(chain[0]) != in_use
