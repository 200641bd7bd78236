# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules that iptables lists, or that a file for iptables-restore holds."""

from __future__ import annotations

import ipaddress
import re
import shlex
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    IPTABLES_VERDICTS,
    PROTOCOL_NUMBERS,
    Chain,
    Rule,
    Ruleset,
    port_ranges,
)

# Extensions that say nothing by themselves: their options do.
IPTABLES_EXTENSIONS = {"tcp", "udp", "multiport", "comment", "conntrack", "state", "addrtype"}


def parse_iptables(text: str) -> Ruleset:
    """Return the chains of the table filter, from the listing of `iptables -S` or a file for iptables-restore.

    The handle of a rule is the number of its line.
    """
    ruleset: Ruleset = {"INPUT": Chain(policy="accept")}
    table = "filter"
    for number, line in enumerate(text.splitlines()):
        line = re.sub(r"^\[\d+:\d+\]\s*", "", line.strip())
        if line.startswith("*"):
            table = line[1:]
        if table != "filter":
            continue
        if line.startswith(":"):
            name, policy = (*line[1:].split(), "", "")[:2]
            ruleset.setdefault(name, Chain()).policy = IPTABLES_VERDICTS.get(policy)
        elif line.startswith(("-P ", "-N ")):
            words = line.split()
            ruleset.setdefault(words[1], Chain()).policy = IPTABLES_VERDICTS.get(words[-1])
        elif line.startswith(("-A ", "-I ")):
            try:
                words = shlex.split(line)
            except ValueError:
                continue
            chain = ruleset.setdefault(words[1], Chain())
            if rule := _iptables_rule(line, words[1], words[2:], number):
                chain.rules.insert(0 if words[0] == "-I" else len(chain.rules), rule)
    return ruleset


def _iptables_rule(line: str, chain: str, words: list[str], number: int) -> Rule | None:
    """Return one rule, or None for one that new connections from other hosts never meet."""
    found: dict[str, t.Any] = {
        "verdict": "",
        "chain": chain,
        "handle": number,
        "words": line,
        "has_unknown_match": False,
    }
    rest, negated = list(words), False
    while rest:
        option = rest.pop(0)
        if option == "!":
            negated = True
            continue
        value = rest[0] if rest else ""
        if option in ("-s", "--source"):
            try:
                found["sources"] = tuple(ipaddress.ip_network(one, strict=False) for one in value.split(","))
            except ValueError:  # the name of a host, say, which a file may hold
                found["has_unknown_match"] = True
                negated = False
            if negated:
                found.update(is_partial=True, sources=None, excluded_sources=found["sources"])
        elif option in ("-p", "--protocol"):
            if value not in ("all", "0"):
                found["protocols"] = (PROTOCOL_NUMBERS.get(value, value),)
            found["has_unknown_match"] |= negated
        elif option in ("--dport", "--destination-port", "--dports", "--destination-ports"):
            try:
                found["ports"] = port_ranges(value, ":")
            except ValueError:
                found["has_unknown_match"] = True
            found["has_unknown_match"] |= negated
        elif option in ("-i", "--in-interface"):
            if (value == "lo") != negated:
                return None
            if value != "lo":
                found["is_partial"] = True
        elif option in ("--ctstate", "--state"):
            if ("NEW" in value.split(",")) == negated:
                return None
        elif option == "--dst-type":
            if (value == "LOCAL") == negated:
                return None
        elif option in ("-j", "--jump", "-g", "--goto"):
            found["verdict"] = IPTABLES_VERDICTS.get(value, "jump")
            found["target"] = "" if value in IPTABLES_VERDICTS else value
            found["is_goto"] = option in ("-g", "--goto")
        elif option in ("-m", "--match"):
            if value not in IPTABLES_EXTENSIONS and value != found.get("protocols", ("",))[0]:
                found["has_unknown_match"] = True
        elif option.startswith("-") and option not in ("--comment", "--reject-with"):
            found["has_unknown_match"] = True
        negated = False
        if option.startswith("-") and rest:
            rest.pop(0)
    return Rule(**found) if found["verdict"] else None
