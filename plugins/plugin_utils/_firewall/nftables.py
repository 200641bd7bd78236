# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend nftables: nft(8)."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import Command, Firewall, InputFilter
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState, Query
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.insertion import Insertion, plan_insertions
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.interfaces import mark_elsewhere
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nft_boot import BootRules
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nft_rules import (
    COMMENT,
    RULE_FILES,
    allow_rule,
    describe_access,
    is_of_other_backend,
    merge_insertions,
    try_query,
    useless_rules,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_nft import BaseChain, parse_nftables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import PortAccess, merge_ip_versions


class Nftables(Firewall):
    """nftables without a frontend: its base chains, and the files that are loaded at boot."""

    name = "nftables"
    program = "nft"
    queries = (("run", "nft", "-j", "list", "ruleset"), *(("read", path) for path in RULE_FILES), try_query())

    def __init__(self, base_chains: list[BaseChain], boot: BootRules) -> None:
        super().__init__(
            [
                InputFilter(f"nftables now, {one.name}", True, one.ip_versions, one.ruleset, one.chain)
                for one in base_chains
            ]
            + boot.filters
        )
        self.base_chains = base_chains
        self.boot = boot

    @classmethod
    def from_host_state(cls, host: HostState, accesses: list[PortAccess], zone: str | None = None) -> Nftables:
        """Read the base chains, except those of other backends, and what the files set up at boot."""
        status, listing = host.command_result(["nft", "-j", "list", "ruleset"])
        if status:
            raise TlsError(f"`nft -j list ruleset` failed ({listing}); put that right and run this again")
        base_chains = [one for one in parse_nftables(listing) if not is_of_other_backend(one)]
        mark_elsewhere([one.ruleset for one in base_chains], host)
        return cls(base_chains, BootRules.from_host_state(host, base_chains, accesses))

    def preconditions(self, commands: list[Command]) -> list[Query]:
        return self.boot.files.queries if any(one.path for one in commands) else []

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        script: list[str] = []
        loaded_rules: list[str] = []
        for base_chain, input_filter in zip(self.base_chains, self.filters):
            insertions, _expected = plan_insertions(input_filter, accesses, describe_access)
            lines, texts = loaded_lines(base_chain, insertions)
            script += [one for one in lines if one not in script]
            loaded_rules += input_filter.with_location(*texts)
            self._warn_of_a_missing_chain(base_chain, input_filter, accesses)
        commands, warnings = self.boot.plan_open(accesses)
        self.warnings += warnings
        if script:
            commands.append(run_script(script)._replace(added_rules=tuple(loaded_rules)))
        return commands

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        script: list[str] = []
        loaded_rules: list[str] = []
        for input_filter, rule in self.removable_rules(accesses):
            if input_filter.is_loaded:
                base_chain = next(one for one in self.base_chains if one.ruleset is input_filter.ruleset)
                script.append(f"delete rule {base_chain.family} {base_chain.table} {rule.chain} handle {rule.handle}")
                loaded_rules += input_filter.with_location(rule.text)
        commands = self.boot.plan_close(accesses)
        if script:
            commands.append(run_script(script)._replace(removed_rules=tuple(loaded_rules)))
        return commands

    def _warn_of_a_missing_chain(
        self, base_chain: BaseChain, input_filter: InputFilter, accesses: list[PortAccess]
    ) -> None:
        """Add a warning if a chain that denies an access is not set up by the file."""
        is_denied = "deny" in input_filter.verdicts_without_allow_rules(accesses)
        if is_denied and base_chain.name not in self.boot.chain_names:
            path = self.boot.files.path
            where = f"{path} does not set up" if path else "no /etc/nftables.conf sets up"
            self.warnings.append(
                f"It is not kept for a restart, because {where} the chain {base_chain.name}; "
                f"add `{allow_rule(*merge_ip_versions(accesses)[0]).removesuffix(COMMENT)}` where that chain comes from."
            )


def loaded_lines(base_chain: BaseChain, insertions: list[Insertion]) -> tuple[list[str], list[str]]:
    """Return the lines for nft that add rules, and the texts of these rules.

    Rules of this collection that another rule has made useless are removed.
    """
    lines, texts = [], []
    table = f"{base_chain.family} {base_chain.table}"
    for rule in useless_rules(base_chain, insertions):
        lines.append(f"delete rule {table} {rule.chain} handle {rule.handle}")
    for chain, before, text in merge_insertions(base_chain, insertions):
        if before:
            lines.append(f"insert rule {table} {chain} handle {before.handle} {text}")
        else:
            lines.append(f"add rule {table} {chain} {text}")
        texts.append(text)
    return lines, texts


def run_script(script: list[str]) -> Command:
    """Return the command that runs lines of nft as one transaction."""
    return Command(["nft", "-f", "-"], "\n".join(script) + "\n")
