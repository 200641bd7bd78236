# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check before an order that the account of an issuer can place it (RFC 8555, section 7.3)."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem, words_of_ca

SOURCE = "RFC 8555, section 7.3"


def check_account(account: Account, profile: str | None, names: t.Sequence[str]) -> list[Finding]:
    """Return what keeps the account from ordering. No account is created. Raises TlsError if the CA does not answer."""
    client, settings = account.client, account.registration
    findings = []
    url = account.known_url()
    if url is None and client.meta("externalAccountRequired") and not settings.eab_kid:
        sentence = f"{client.url} makes accounts for customers only; set eab_kid and eab_hmac of the issuer to what the CA gives you"
        findings.append(Finding("blocks", "account.eab", sentence, (), SOURCE))
    if url is None and client.meta("termsOfService") and not settings.is_terms_agreed:
        sentence = f"{client.url} makes accounts only for those who agree to its terms; read them, and set terms_of_service_agreed of the issuer"
        findings.append(
            Finding("blocks", "account.terms", sentence, (words_of_ca(client.meta("termsOfService")),), SOURCE)
        )
    refusal = profile_refusal(client.url, profile, client.meta("profiles"))
    if refusal:
        findings.append(Finding("blocks", "account.profile", refusal))
    try:
        client.limits.wait(names, max_wait=0)
    except Problem as limit:
        findings.append(Finding("blocks", "account.wait", str(limit)))
    if findings:
        return findings
    state = f"the account is {url}" if url else "the account is created with the first order"
    return [Finding("fine", "account", f"{client.url} answers; {state}", (), SOURCE)]


# not a parser: what the CA offers is escaped
def profile_refusal(directory_url: str, profile: str | None, offered: t.Any) -> str | None:
    """Return why a CA does not issue by a profile; None where it does.

    offered: C(meta.profiles) of the directory, by name.
    """
    names = sorted(offered) if isinstance(offered, dict) else []
    if profile is None or profile in names:
        return None
    choice = f"only {words_of_ca(', '.join(names))}" if names else "no profiles at all"
    return f"{directory_url} does not offer the profile {profile}, {choice}; correct the profile of the issuer, or leave it out"
