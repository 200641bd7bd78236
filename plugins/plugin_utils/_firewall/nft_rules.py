# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules that are added to nftables, and the query that says what a file for nft sets up."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import Query
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.insertion import Insertion
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_nft import BaseChain, format_nft_rule
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Network,
    PortAccess,
    merge_ip_versions,
    with_unfiltered_versions,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import OWN_COMMENT, Rule

RULE_FILES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")  # the first that exists is loaded at boot
# Loads the file in a network namespace of its own, which has interfaces with the names of those of the host, and lists
# what it sets up there. Nothing outside of the namespaces changes. Where nothing filters now, it does nothing.
# The arguments of TRY_SCRIPT: INNER_SCRIPT, RULE_FILES,
# and for each file whose text is to be another one its path and that text.
TRY_SCRIPT = 'nft list chains | grep -q "hook input" || exit 1; exec unshare --net --mount sh -c "$1" "$(ls /sys/class/net)" "$@"'
INNER_SCRIPT = """
for name in $0; do
    [ "$name" = lo ] || for type in dummy bridge ifb; do ip link add "$name" type "$type" && break; done
done 2>/dev/null
file=$2
[ -f "$file" ] || file=$3
shift 3
if [ $# -gt 0 ]; then mount -t tmpfs none /tmp || exit 1; fi
while [ $# -gt 1 ]; do
    printf %s "$2" > "/tmp/$#" && mount --bind "/tmp/$#" "$1" || exit 1
    shift 2
done
nft -f "$file" && exec nft -j list ruleset
"""
MAX_TEXT_CHARACTERS = 60_000  # of a file that is tried out before it is written: Linux takes 128 KiB for an argument


def try_query(texts: t.Mapping[str, str] | None = None) -> Query:
    """Return the query that lists what the file sets up. With *texts*, as if these were the texts of files."""
    words = [word for path, text in (texts or {}).items() for word in (path, text)]
    return ("run", "sh", "-c", TRY_SCRIPT, "sh", INNER_SCRIPT, *RULE_FILES, *words)


def allow_rule(protocol: str, port: int, network: Network | None) -> str:
    """Return the rule of nft that accepts a port from a network. None stands for all networks."""
    return (
        f"{format_nft_rule(Rule('accept', '', (protocol,), ((port, port),), (network,) if network else None))}{COMMENT}"
    )


COMMENT = f' comment "{OWN_COMMENT}"'


def describe_access(access: PortAccess) -> str:
    """Return the rule that allows an access, for people."""
    return allow_rule(*merge_ip_versions([access])[0])


def merge_insertions(base_chain: BaseChain, insertions: list[Insertion]) -> list[tuple[str, Rule | None, str]]:
    """Return for each rule its chain, the rule before which it belongs, and its text.

    One rule serves both versions of IP. In a table for one version, nft refuses a rule that names the version.
    """
    is_for_one = len(base_chain.ip_versions) == 1
    places: dict[tuple[str, Rule | None], list[PortAccess]] = {}
    for one in insertions:
        key = next(
            (key for key in places if key[0] == one.chain and _handle(key[1]) == _handle(one.before)),
            (one.chain, one.before),
        )
        places.setdefault(key, []).append(one.access)
    return [
        (chain, before, allow_rule(protocol, port, None if is_for_one and network in ANY.values() else network))
        for (chain, before), accesses in places.items()
        for protocol, port, network in merge_ip_versions(accesses)
    ]


def _handle(rule: Rule | None) -> int | None:
    return rule.handle if rule else None


def useless_rules(base_chain: BaseChain, insertions: list[Insertion]) -> list[Rule]:
    """Return the rules of this collection that allow what has to be allowed again: a rule before them denies it."""
    accesses = with_unfiltered_versions([one.access for one in insertions], base_chain.ip_versions)
    own_rules = [rule for chain in base_chain.ruleset.values() for rule in chain.rules if rule.is_own]
    return [rule for rule in own_rules if insertions and rule.allows_only(accesses)]


def is_of_other_backend(base_chain: BaseChain) -> bool:
    """Say whether a chain belongs to firewalld or iptables, which keep their rules in nftables."""
    return base_chain.table == "firewalld" or (
        base_chain.family in ("ip", "ip6") and (base_chain.table, base_chain.chain) == ("filter", "INPUT")
    )
