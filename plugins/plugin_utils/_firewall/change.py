# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it takes to have ports open or closed on a host, and how that is told."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import Command, Firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.detect import detect_firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import Transcript
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import PortAccess, parse_port_accesses


class Change(t.NamedTuple):
    """The firewall of a host as it is, and the steps to what is *wanted*, which are the arguments of firewall_port."""

    wanted: dict[str, t.Any]
    accesses: list[PortAccess]
    firewall: Firewall
    steps: list[Command]
    opened: list[int]
    closed: list[int]

    def expected(self) -> list[str]:
        """Return the rules that there will be, for people."""
        before = self.firewall.lines(self.accesses)
        after = [line for line in before if not any(line in step.removed_rules for step in self.steps)]
        return after + [line for step in self.steps for line in step.added_rules if line not in after]

    def result(self, after: list[str], warnings: list[str], pretended: bool) -> dict[str, t.Any]:
        """Return the result of firewall_port, given the rules that there are *after* the change."""
        firewall, accesses = self.firewall, self.accesses
        sentences = [
            say(self.wanted, firewall, self.steps, pretended),
            *remaining_access(self.wanted, firewall, accesses, after),
        ]
        told = warnings + firewall.notes
        return {
            "changed": bool(self.steps),
            "backend": firewall.name,
            **({"zone": firewall.zone} if firewall.name == "firewalld" else {}),
            "opened": self.opened,
            "closed": self.closed,
            "persistent": not warnings,
            "msg": " ".join([*sentences, *told]),
            **({"warnings": told} if told else {}),
            "diff": {
                "before": diff_text(firewall.lines(accesses)),
                "after": diff_text(after),
                "before_header": firewall.name,
                "after_header": firewall.name,
            },
        }


def plan_change(host: Transcript, wanted: dict[str, t.Any]) -> Change | None:
    """Return what has to be done on a host, or None where no firewall is active."""
    accesses = parse_port_accesses(wanted["ports"], wanted["protocol"], wanted["sources"])
    firewall = detect_firewall(host, wanted["backend"], accesses, wanted["zone"])
    if firewall is None:
        return None
    if wanted["state"] == "open":
        opened = sorted({entry.access.port for entry in firewall.blocked(accesses)})
        return Change(wanted, accesses, firewall, firewall.plan_open(accesses), opened, [])
    return Change(wanted, accesses, firewall, firewall.plan_close(accesses), [], firewall.removable_ports(accesses))


def no_firewall_result(wanted: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the result of firewall_port where there is no firewall."""
    return {
        "changed": False,
        "backend": "none",
        "opened": [],
        "closed": [],
        "persistent": True,
        "msg": no_firewall_message(wanted),
    }


def verify_change(firewall, accesses, state):
    """Make sure that what was done can be read back."""
    if state == "open" and (blocked := firewall.blocked(accesses)):
        raise TlsError(
            f"{firewall.name} took the new rules, but {blocked[0].message}; remove what is in the way and run this again"
        )
    if state == "closed" and (left := firewall.removable_rules(accesses)):
        input_filter, rule = left[0]
        raise TlsError(
            f"{firewall.name} still has the rule `{rule.words}` ({input_filter.where}); remove it by hand and run this again"
        )


def what(wanted):
    """Return the ports and the sources in words."""
    ports = ", ".join(str(port) for port in wanted["ports"])
    return f"{wanted['protocol']} {ports}", ", ".join(wanted["sources"]) or "everybody"


def say(wanted, firewall, steps, check_mode):
    """Say what was done, or would be."""
    ports, sources = what(wanted)
    where = f"{firewall.name}, zone {firewall.zone}" if firewall.name == "firewalld" else firewall.name
    if wanted["state"] == "open":
        if not steps:
            return f"{ports} {'is' if len(wanted['ports']) == 1 else 'are'} open to {sources} already in {where}."
        return f"{'Would open' if check_mode else 'Opened'} {ports} to {sources} in {where}."
    if not steps:
        return f"No rule opens just {ports} to {sources} in {where}."
    return f"{'Would remove' if check_mode else 'Removed'} what opens just {ports} to {sources} in {where}."


def no_firewall_message(wanted):
    """Say that there is nothing to open or to close."""
    ports, sources = what(wanted)
    if wanted["backend"] == "none":
        return f"No firewall was asked for, so nothing was done about {ports}."
    if wanted["state"] == "open":
        return f"No firewall is active on this host, so nothing keeps {sources} from {ports}; nothing was changed."
    return (
        f"No firewall is active on this host, so nothing can keep {sources} from {ports}; start a firewall to close it."
    )


def remaining_access(wanted, firewall, accesses, lines):
    """Say which rules open more than what is to be closed and let it in with that, or that nothing refuses it."""
    if wanted["state"] == "open":
        return []
    ways = [f"`{line}`" for line in lines]
    ways += [
        f"the policy for what no rule is for ({input_filter.where})" for input_filter in firewall.unfiltered(accesses)
    ]
    return [f"Some of it still comes in by {', '.join(ways)}."] if ways else []


def diff_text(lines):
    """Return lines as a diff wants them."""
    return "".join(f"{line}\n" for line in lines)
