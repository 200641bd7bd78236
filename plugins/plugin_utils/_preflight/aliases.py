# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find out why a name has no address: where its CNAME records lead."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import DnsAnswers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.sentences import Fact
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.zone_cuts import aliases_in
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

MAX_ALIASES = 11  # after which unbound, the resolver of Let's Encrypt, gives up (MAX_RESTART_COUNT)
MAX_SHOWN_ALIASES = 5
SOURCE = "RFC 1034, section 3.6.2"
REMEDY = "; see that they run and know the names, or name others by the solver's resolvers"
CREATE = "create an A or AAAA record that leads to the host"


def describe_missing_address(answers: DnsAnswers, domain: str, errors: t.Mapping[str, str], deadline: float) -> Fact:
    """Return why a name has no address. errors: of the resolvers, by the type of record."""
    chain, why = _follow(answers, domain, deadline)
    evidence = (_shown(chain),) if len(chain) > 1 else ()
    last = shorten(escape_as_one_line(chain[-1]), 80)
    if why == "circle":
        after = f"; correct them, so that they end in a name with an address ({_shown(chain)})"
        return Fact("blocks", "addresses.circle", "CNAME records lead in a circle for", after, SOURCE, evidence)
    if why == "length":
        after = f"; let them lead to {last} or the name behind it at once, since resolvers give up after about {MAX_ALIASES}"
        return Fact(
            "blocks", "addresses.aliases", "too many CNAME records follow each other for", after, SOURCE, evidence
        )
    if errors:
        before = f"{answers.resolvers} cannot find out about the addresses of"
        return Fact("unknown", "addresses.error", before, REMEDY, SOURCE, (*evidence, *errors.values()))
    if len(chain) > 1:
        after = (
            f", whose CNAME records lead to {last}, which has no address; {CREATE} there, or correct the CNAME record"
        )
        return Fact("blocks", "addresses.alias", "there is no address in DNS for", after, SOURCE, evidence)
    return Fact("blocks", "addresses.none", "there is no address in DNS for", f"; {CREATE}", SOURCE, evidence)


def _follow(
    answers: DnsAnswers, domain: str, deadline: float
) -> tuple[list[str], t.Literal["circle", "length", "end"]]:
    """Return a name and the targets of its CNAME records, each asked for alone, and why there are no more."""
    chain = [domain]
    while True:
        try:
            target = aliases_in(answers.resolve(chain[-1], "CNAME", deadline)).get(chain[-1])
        except TlsError:
            target = None
        if target is None:
            return chain, "end"
        if target in chain:
            return [*chain, target], "circle"
        chain.append(target)
        if len(chain) > MAX_ALIASES + 1:
            return chain, "length"


def _shown(chain: list[str]) -> str:
    """Return the names on one line, the last ones included."""
    names = chain if len(chain) <= MAX_SHOWN_ALIASES else [*chain[: MAX_SHOWN_ALIASES - 1], "…", chain[-1]]
    return shorten(escape_as_one_line(" → ".join(names)))
