# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend firewalld: firewall-cmd(1), firewalld.zone(5), firewalld.richlanguage(5)."""

from __future__ import annotations

import dataclasses

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    BlockedAccess,
    Command,
    Firewall,
    InputFilter,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.firewalld_zones import (
    ZONE_QUERIES,
    bound_zone,
    default_zone,
    source_zone,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.interfaces import public_interface
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_firewalld import (
    LATE,
    OWN_PRIORITY,
    is_for_incoming_packets,
    parse_entries,
    parse_zone,
    service_names,
    split_zones,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Network,
    PortAccess,
    merge_ip_versions,
)

POLICY_FILES = "/etc/firewalld/policies/*.xml"  # there are none unless the administrator made some
DENYING_TARGETS = ("DROP", "%%REJECT%%", "REJECT")


@dataclasses.dataclass
class Zone:
    """A zone, at runtime or permanently, and the networks whose connections it is for."""

    name: str
    is_loaded: bool
    listing: str
    policies: list[str]  # listings
    networks: list[Network]
    is_main: bool

    def input_filter(self, services: dict[str, str]) -> InputFilter:
        """Return the zone as a filter. services: the listings of services, by name."""
        location = (
            f"firewalld {'now' if self.is_loaded else 'permanently'}{'' if self.is_main else f', zone {self.name}'}"
        )
        ruleset = parse_zone(self.listing, services, self.policies)
        return InputFilter(location, self.is_loaded, (4, 6), ruleset, "zone", tuple(self.networks))


class Firewalld(Firewall):
    """firewalld: a zone of ports, services and rich rules, at runtime and in the permanent configuration."""

    name = "firewalld"
    program = "firewall-cmd"
    start_command = "systemctl enable --now firewalld"
    is_frontend = True
    quick_conditions = (("run", "systemctl", "is-active", "firewalld"),)
    conditions = (("run", "firewall-cmd", "--state"),)
    queries = (
        *ZONE_QUERIES,
        ("run", "firewall-cmd", "--list-all-zones"),
        ("run", "firewall-cmd", "--permanent", "--list-all-zones"),
        ("read", POLICY_FILES),
    )

    def __init__(self, zones: list[Zone], services: dict[str, str]) -> None:
        super().__init__(
            [one.input_filter(services) for one in zones], ", ".join(dict.fromkeys(one.name for one in zones))
        )
        self.zones = zones  # one for each filter

    @classmethod
    def may_be_active(cls, host: HostState) -> bool:
        """Ask systemd, if the host has it, since firewall-cmd is a slow program."""
        return host.command_result(["systemctl", "is-active", "firewalld"])[1] != "inactive"

    @classmethod
    def is_active(cls, host: HostState) -> bool:
        return host.command_result(["firewall-cmd", "--state"])[0] == 0

    @classmethod
    def from_host_state(cls, host: HostState, accesses: list[PortAccess], zone: str | None = None) -> Firewalld:
        """Read the given zone, else those of the sources, else that of the interface, else the default one."""
        zones = read_zones(host, accesses, zone)
        firewall = cls(zones, {})
        if firewall.blocked(accesses):  # a service may open the port; each of them takes another run of firewall-cmd
            listings = [listing for one in zones for listing in (one.listing, *one.policies)]
            names = sorted({name for listing in listings for name in service_names(listing)})
            results = host.command_results([["firewall-cmd", f"--info-service={name}"] for name in names])
            firewall = cls(zones, {name: listing for name, (_status, listing) in zip(names, results)})
        return firewall

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        blocked = self.blocked(accesses)
        for one in blocked:
            reject_misplaced(one)
        commands = []
        for input_filter, zone in reversed(
            list(zip(self.filters, self.zones))
        ):  # first what is permanent: that may fail
            of_filter = [one for one in blocked if one.input_filter is input_filter]
            rules = [rich_rule(*merged) for merged in merge_ip_versions(one.access for one in of_filter)]
            commands += zone_commands("add", input_filter, zone, rules)
        return commands

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        removable = self.removable_rules(accesses)
        commands = []
        for input_filter, zone in reversed(list(zip(self.filters, self.zones))):
            rules = [rule.text for one, rule in removable if one is input_filter]
            commands += zone_commands("remove", input_filter, zone, rules)
        return commands


def read_zones(host: HostState, accesses: list[PortAccess], zone: str | None) -> list[Zone]:
    """Return the zones for some accesses, at runtime and permanently.

    zone: for all of them, if it is given. Raises TlsError if firewalld does not list the zone, or if an administrator has bound
    a source to a zone that denies everything.
    """
    zones: list[Zone] = []
    interface = None if zone else public_interface(host)
    main = zone
    for is_loaded in (True, False):
        options = [] if is_loaded else ["--permanent"]
        status, text = host.command_result(["firewall-cmd", *options, "--list-all-zones"])
        listings = split_zones(text)
        main = zone or bound_zone(listings, interface) or main or default_zone(host)
        networks: dict[str, list[Network]] = {}
        for network in dict.fromkeys(access.network for access in accesses):
            source = None if zone else source_zone(listings, network)
            if source and parse_entries(listings[source[0]])["target"] in DENYING_TARGETS:
                raise TlsError(
                    f"firewalld puts {network} into its zone {source[0]}, whose source {source[1]} it refuses; "
                    f"take that source out of the zone, or {network} out of the inventory, and run this again"
                )
            networks.setdefault(source[0] if source else main, []).append(network)
        for name in networks or [main]:
            if status or name not in listings:
                why = text if status else f"but for {', '.join(listings)}"
                raise TlsError(
                    f"firewalld does not answer for its zone {name} ({why}); "
                    "choose one that `firewall-cmd --permanent --get-zones` names, and run `firewall-cmd --reload` if it is new"
                )
            policies = read_policies(host, options, name)
            zones.append(Zone(name, is_loaded, listings[name], policies, networks.get(name, []), name == main))
    return zones


def read_policies(host: HostState, options: list[str], zone: str) -> list[str]:
    """Return the listings of the policies for packets from a zone to the host. firewalld before 0.9 has none."""
    if not host.files_matching([POLICY_FILES])[0]:
        return []
    status, text = host.command_result(["firewall-cmd", *options, "--list-all-policies"])
    return [] if status else [one for one in split_zones(text).values() if is_for_incoming_packets(one, zone)]


def reject_misplaced(blocked: BlockedAccess) -> None:
    """Raise TlsError if an allow rule of this collection would be without effect, or would bypass a deny rule.

    firewalld orders rules by their priority, and evaluates deny rules before allow rules.
    """
    input_filter, access, decision = blocked
    if blocked.is_denied and decision.rule and decision.rule.chain != LATE:
        raise TlsError(f"{blocked.message}, whatever is opened; remove that rule and run this again")
    for rule in input_filter.ruleset["zone"].rules:
        is_exception = rule.has_unknown_match or rule.is_partial or not rule.covers(access)
        if rule.chain == LATE and rule.verdict == "deny" and is_exception and rule.overlaps(access):
            raise TlsError(
                f"{input_filter.location}: the rule `{rule.text}` would be evaluated after the one that opens "
                f"{access.protocol} {access.port}; give it a priority below {OWN_PRIORITY}, or its policy one below 0, and run this again"
            )


def zone_commands(verb: str, input_filter: InputFilter, zone: Zone, rules: list[str]) -> list[Command]:
    """Return the command that adds rich rules to a zone, or removes them."""
    if not rules:
        return []
    argv = ["firewall-cmd", *([] if zone.is_loaded else ["--permanent"]), f"--zone={zone.name}"]
    argv += [f"--{verb}-rich-rule={rule}" for rule in rules]
    lines = input_filter.with_location(*rules)
    return [Command(argv, added_rules=lines) if verb == "add" else Command(argv, removed_rules=lines)]


def rich_rule(protocol: str, port: int, network: Network | None) -> str:
    """Return the rich rule that accepts a port from a network, as firewalld lists it. None stands for all networks."""
    family = f' family="ipv{network.version}"' if network else ""
    source = "" if network is None or network in ANY.values() else f' source address="{network}"'
    return f'rule priority="{OWN_PRIORITY}"{family}{source} port port="{port}" protocol="{protocol}" accept'
