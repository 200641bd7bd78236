# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuse an order that the CA would refuse, or warn of it, before it is placed."""

from __future__ import annotations

import re
import time
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_check import check_account
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import CAA_IDENTITIES, WELL_KNOWN
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import PREFLIGHT_REFUSAL, Problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import CaaIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.checks import run_checks
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import Solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

PREFLIGHT_TIMEOUT_S = 10.0
SETTING = "set preflight of the issuer to warn if the CA sees other records than this controller"
# Let's Encrypt takes records of the time of ACMEv1, too (accountURIPrefixes of Boulder).
ACCOUNT_OF_LETSENCRYPT = re.compile(r"https://acme-v02\.api\.letsencrypt\.org/acme/acct/([0-9]{1,20})")

display = Display()


def check_before_order(account: Account, solver: Solver, domains: list[str], mode: str) -> None:
    """Check what the CA will check, with *mode* as the setting C(preflight).

    Raises Problem with PREFLIGHT_REFUSAL for what it will refuse. Warns of risks, and of what cannot be seen from here.
    """
    if mode == "off":
        return
    deadline = time.monotonic() + PREFLIGHT_TIMEOUT_S
    findings = run_checks(order_subject(account, solver, domains, deadline, is_thorough=False))
    refusals = [finding.sentence for finding in findings if finding.severity == "blocks"]
    warnings = [finding.sentence for finding in findings if finding.severity in ("risk", "unknown")]
    for sentence in [*warnings, *(refusals if mode == "warn" else [])]:
        display.warning(escape_control_characters(sentence))  # Ansible shows the same warning once
    if refusals and mode != "warn":
        raise Problem(f"{' · '.join(refusals)}; nothing is ordered; {SETTING}", PREFLIGHT_REFUSAL)


def find_obstacles(
    account: Account, solver: Solver, domains: list[str], profile: str | None, deadline: float
) -> list[Finding]:
    """Return what an order of an account meets. No account is created for that.

    A CA that does not answer is a finding. What does not depend on its answer is checked all the same.
    """
    try:
        announced = account.client.meta("caaIdentities")
    except TlsError as error:
        subject = _subject(account, solver, domains, deadline, is_thorough=True, announced=None)
        return [Finding("unknown", "account.directory", str(error)), *run_checks(subject)]
    subject = _subject(account, solver, domains, deadline, is_thorough=True, announced=announced)
    return [*run_checks(subject), *check_account(account, profile, domains)]


# not a parser: it only passes on what checks have found
def refusals_expected(findings: list[Finding], is_deployed: bool) -> list[str]:
    """Return what check mode says of the findings of an order.

    is_deployed: whether the hosts can answer challenges already. If not, their answers say nothing.
    """
    relevant = [one for one in findings if is_deployed or not one.code.startswith("http")]
    blocks = [f"an order would be refused: {one.sentence}" for one in relevant if one.severity == "blocks"]
    return blocks + [one.sentence for one in relevant if one.severity == "risk"]


def order_subject(account: Account, solver: Solver, domains: list[str], deadline: float, is_thorough: bool) -> Subject:
    """Return the subject of the checks before an order. Raises TlsError if the CA does not answer."""
    return _subject(account, solver, domains, deadline, is_thorough, account.client.meta("caaIdentities"))


def _subject(
    account: Account, solver: Solver, domains: list[str], deadline: float, is_thorough: bool, announced: t.Any
) -> Subject:
    """Return the subject of the checks. announced: C(meta.caaIdentities) of the directory; None where it has none, or is silent."""
    url = account.client.url
    identities = tuple(announced or CAA_IDENTITIES.get(url, ()))
    issuer = CaaIssuer(identities, account_urls(account.known_url()), solver.challenge_type) if identities else None
    return Subject(
        domains,
        url,
        solver.dns,
        issuer,
        deadline,
        is_public_ca=url in WELL_KNOWN.values(),
        challenge_type=solver.challenge_type,
        is_thorough=is_thorough,
        has_view_of_ca=solver.has_view_of_ca,
        solver=solver,
        has_word_filter=url == WELL_KNOWN["litessl"],
    )


# not a parser: it reads what the collection has made or checked
def account_urls(url: str | None) -> tuple[str, ...]:
    """Return the values of accounturi that name an account, none if it does not exist yet.

    >>> account_urls("https://acme-v02.api.letsencrypt.org/acme/acct/12")[1]
    'https://acme-v01.api.letsencrypt.org/acme/reg/12'
    """
    if url is None:
        return ()
    match = ACCOUNT_OF_LETSENCRYPT.fullmatch(url)
    return (url, f"https://acme-v01.api.letsencrypt.org/acme/reg/{match[1]}") if match else (url,)
