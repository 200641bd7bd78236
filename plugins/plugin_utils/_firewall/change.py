# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it takes to have ports open or closed on a host, and how that is told."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import Firewall, Step
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.detect import find_firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import Transcript
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import Door, make_doors


class Change(t.NamedTuple):
    """The firewall of a host as it is, and the steps to what is *wanted*, which are the arguments of firewall_port."""

    wanted: dict[str, t.Any]
    doors: list[Door]
    firewall: Firewall
    steps: list[Step]
    opened: list[int]
    closed: list[int]

    def expected(self) -> list[str]:
        """Return the rules that there will be, for people."""
        before = self.firewall.lines(self.doors)
        after = [line for line in before if not any(line in step.removes for step in self.steps)]
        return after + [line for step in self.steps for line in step.adds if line not in after]

    def result(self, after: list[str], warnings: list[str], pretended: bool) -> dict[str, t.Any]:
        """Return the result of firewall_port, given the rules that there are *after* the change."""
        firewall, doors = self.firewall, self.doors
        sentences = [
            say(self.wanted, firewall, self.steps, pretended),
            *still_open(self.wanted, firewall, doors, after),
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
                "before": as_text(firewall.lines(doors)),
                "after": as_text(after),
                "before_header": firewall.name,
                "after_header": firewall.name,
            },
        }


def find_change(host: Transcript, wanted: dict[str, t.Any]) -> Change | None:
    """Return what has to be done on a host, or None where no firewall is active."""
    doors = make_doors(wanted["ports"], wanted["protocol"], wanted["sources"])
    firewall = find_firewall(host, wanted["backend"], doors, wanted["zone"])
    if firewall is None:
        return None
    if wanted["state"] == "open":
        opened = sorted({shut.door.port for shut in firewall.shut(doors)})
        return Change(wanted, doors, firewall, firewall.opening(doors), opened, [])
    return Change(wanted, doors, firewall, firewall.closing(doors), [], firewall.closable(doors))


def no_change(wanted: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the result of firewall_port where there is no firewall."""
    return {
        "changed": False,
        "backend": "none",
        "opened": [],
        "closed": [],
        "persistent": True,
        "msg": say_none(wanted),
    }


def prove(firewall, doors, state):
    """Make sure that what was done can be read back."""
    if state == "open" and (shut := firewall.shut(doors)):
        raise TlsError(
            f"{firewall.name} took the new rules, but {shut[0].sentence}; remove what is in the way and run this again"
        )
    if state == "closed" and (left := firewall.removable(doors)):
        layer, rule = left[0]
        raise TlsError(
            f"{firewall.name} still has the rule `{rule.words}` ({layer.where}); remove it by hand and run this again"
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


def say_none(wanted):
    """Say that there is nothing to open or to close."""
    ports, sources = what(wanted)
    if wanted["backend"] == "none":
        return f"No firewall was asked for, so nothing was done about {ports}."
    if wanted["state"] == "open":
        return f"No firewall is active on this host, so nothing keeps {sources} from {ports}; nothing was changed."
    return (
        f"No firewall is active on this host, so nothing can keep {sources} from {ports}; start a firewall to close it."
    )


def still_open(wanted, firewall, doors, lines):
    """Say which rules open more than what is to be closed and let it in with that, or that nothing refuses it."""
    if wanted["state"] == "open":
        return []
    ways = [f"`{line}`" for line in lines]
    ways += [f"the policy for what no rule is for ({layer.where})" for layer in firewall.unguarded(doors)]
    return [f"Some of it still comes in by {', '.join(ways)}."] if ways else []


def as_text(lines):
    """Return lines as a diff wants them."""
    return "".join(f"{line}\n" for line in lines)
