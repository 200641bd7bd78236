# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read rules from `iptables -S` or a file for iptables-restore.

Source: iptables(8), iptables-extensions(8).
"""

from __future__ import annotations

import collections
import ipaddress
import re
import shlex
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    OWN_COMMENT,
    PROTOCOL_NUMBERS,
    VERDICTS,
    Chain,
    Rule,
    Ruleset,
    port_ranges,
)

TARGETS = {word.upper(): verdict for word, verdict in VERDICTS.items()}
# Extensions that match by their options only, which are read here or do not match anything.
READ_EXTENSIONS = {"tcp", "udp", "multiport", "comment", "conntrack", "state", "addrtype"}


def parse_iptables(text: str) -> Ruleset:
    """Return the chains of the table filter. The handle of a rule is the number of its line, from 0."""
    ruleset: Ruleset = {"INPUT": Chain(policy="accept")}
    table = "filter"
    for number, line in enumerate(text.splitlines()):
        line = re.sub(r"^\[\d+:\d+\]\s*", "", line.strip())  # counters
        if line.startswith("*"):
            table = line[1:]
        if table != "filter":
            continue
        if line.startswith(":"):
            name, policy = (*line[1:].split(), "", "")[:2]
            ruleset.setdefault(name, Chain()).policy = TARGETS.get(policy)
        elif line.startswith(("-P ", "-N ")):
            words = line.split()
            ruleset.setdefault(words[1], Chain()).policy = TARGETS.get(words[-1])
        elif line.startswith(("-A ", "-I ")):
            try:
                words = shlex.split(line)
            except ValueError:
                continue
            rules = ruleset.setdefault(words[1], Chain()).rules
            place = len(rules) if words[0] == "-A" else 0
            if words[0] == "-I" and re.fullmatch("[1-9][0-9]{0,5}", "".join(words[2:3])):
                place = int(words.pop(2)) - 1
            if rule := _parse_rule(line, words[1], words[2:], number):
                rules.insert(place, rule)
    return ruleset


def _parse_rule(line: str, chain: str, words: list[str], number: int) -> Rule | None:
    """Return a rule, or None if new connections from other hosts never match it, or if it has no verdict."""
    fields: dict[str, t.Any] = {"verdict": "", "chain": chain, "handle": number, "text": line}
    fields["has_unknown_match"] = False
    rest, is_negated = collections.deque(words), False
    while rest:
        option = rest.popleft()
        if option == "!":
            is_negated = True
            continue
        value = rest[0] if rest else ""
        if option in ("-s", "--source"):
            try:
                fields["sources"] = tuple(ipaddress.ip_network(one, strict=False) for one in value.split(","))
            except ValueError:  # a file may hold the name of a host
                fields["has_unknown_match"] = True
                is_negated = False
            if is_negated:
                fields.update(is_partial=True, sources=None, excluded_sources=fields["sources"])
        elif option in ("-p", "--protocol"):
            if value not in ("all", "0"):
                fields["protocols"] = (PROTOCOL_NUMBERS.get(value, value),)
            fields["has_unknown_match"] |= is_negated
        elif option in ("--dport", "--destination-port", "--dports", "--destination-ports"):
            try:
                fields["ports"] = port_ranges(value, ":")
            except ValueError:
                fields["has_unknown_match"] = True
            fields["has_unknown_match"] |= is_negated
        elif option in ("-i", "--in-interface"):
            if value == "lo" and not is_negated:
                return None
            if value != "lo":
                names = (f"{value[:-1]}*" if value.endswith("+") else value,)
                fields.update({"is_partial": True, "excluded_interfaces" if is_negated else "interfaces": names})
        elif option in ("--ctstate", "--state"):
            if ("NEW" in value.split(",")) == is_negated:
                return None
        elif option == "--dst-type":
            if (value == "LOCAL") == is_negated:
                return None
        elif option in ("-j", "--jump", "-g", "--goto"):
            fields["verdict"] = TARGETS.get(value, "jump")
            fields["target"] = "" if value in TARGETS else value
            fields["is_goto"] = option in ("-g", "--goto")
        elif option in ("-m", "--match"):
            if value not in READ_EXTENSIONS and value != fields.get("protocols", ("",))[0]:
                fields["has_unknown_match"] = True
        elif option == "--comment":
            fields["is_own"] = value == OWN_COMMENT
        elif option.startswith("-") and option != "--reject-with":
            fields["has_unknown_match"] = True
        is_negated = False
        if option.startswith("-") and rest:
            rest.popleft()
    return Rule(**fields) if fields["verdict"] else None
