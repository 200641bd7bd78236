# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the firewalls have in common: layers of rules, and the questions and steps of a backend.

A firewall is looked at through a transcript of its host, answers questions from what it then knows, and says in steps
what would have to be done. Nothing is done here.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    Question,
    Transcript,
    to_wire,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    Door,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    Judgement,
    Rule,
    Ruleset,
    judge,
    openers,
)


class Step(t.NamedTuple):
    """Something to be done: a program to run, or a file to replace once that program has accepted its new content."""

    argv: list[str]
    stdin: str | None = None
    path: str | None = None
    adds: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()

    def on_wire(self) -> dict[str, t.Any]:
        """Return the step as an argument of firewall_transcript."""
        texts = {"stdin": self.stdin, "path": self.path}
        return {"argv": list(map(to_wire, self.argv)), **{name: text and to_wire(text) for name, text in texts.items()}}


class Layer(t.NamedTuple):
    """One way into the host as a firewall has it: now, or after a restart."""

    where: str
    now: bool
    versions: tuple[int, ...]
    ruleset: Ruleset
    chain: str

    def doors(self, doors: t.Iterable[Door]) -> list[Door]:
        """Return those of the doors that come by here."""
        return [door for door in doors if door.network.version in self.versions]

    def unaided(self, doors: t.Iterable[Door]) -> set[str | None]:
        """Return what becomes of doors when no rule lets them in."""
        return {judge(self.ruleset, self.chain, door, True).verdict for door in self.doors(doors)}

    def lines(self, *words: str) -> tuple[str, ...]:
        """Return rules as people are shown them."""
        return tuple(f"{self.where}: {one}" for one in words)


class Shut(t.NamedTuple):
    """A door that a layer does not let in, and why."""

    layer: Layer
    door: Door
    judgement: Judgement

    @property
    def is_walled(self) -> bool:
        """Say whether a rule refuses the door, and not just the lack of one."""
        return self.judgement.verdict == "refuse" and self.judgement.rule is not None

    @property
    def sentence(self) -> str:
        """Say what keeps the door shut."""
        rule = self.judgement.rule if self.is_walled else None
        cause = f"the rule `{rule.words}` refuses" if rule else "no rule lets in"
        return f"{self.layer.where}: {cause} {self.door.protocol} {self.door.port} from {self.door.network}"


class Firewall:
    """What all firewalls have in common: layers of rules that a door is judged by."""

    name = ""
    program = ""
    start = ""  # how somebody starts it
    signs: tuple[Question, ...] = ()  # that it may be active; they take no slow program
    needs: tuple[Question, ...] = ()  # what holds where it is active
    asks: tuple[Question, ...] = ()  # what look() wants to know

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers
        self.warnings: list[str] = []  # why something would not be the same after a restart
        self.notes: list[str] = []

    @classmethod
    def may_be_active(cls, host: Transcript) -> bool:
        """Say, without a slow program, whether it is worth asking is_active()."""
        return True

    @classmethod
    def is_active(cls, host: Transcript) -> bool:
        """Say whether it runs."""
        return True

    @property
    def has_rules(self) -> bool:
        """Say whether anything is filtered now."""
        chains = [layer.ruleset[layer.chain] for layer in self.layers if layer.now]
        return any(chain.rules or chain.policy == "refuse" for chain in chains)

    def shut(self, doors: t.Iterable[Door]) -> list[Shut]:
        """Return what is not open, now or after a restart."""
        return [
            Shut(layer, door, judgement)
            for layer in self.layers
            for door in layer.doors(doors)
            if (judgement := judge(layer.ruleset, layer.chain, door)).verdict != "accept"
        ]

    def removable(self, doors: list[Door]) -> list[tuple[Layer, Rule]]:
        """Return the rules that open these doors and nothing else."""
        return [(layer, rule) for layer, rule in self.openings(doors) if rule.opens_only(doors)]

    def openings(self, doors: list[Door]) -> list[tuple[Layer, Rule]]:
        """Return the rules that let in at least some of what these doors are for."""
        found: list[tuple[Layer, Rule]] = []
        for layer in self.layers:
            rules = [rule for door in layer.doors(doors) for rule in openers(layer.ruleset, layer.chain, door)]
            found += [(layer, rule) for rule in dict.fromkeys(rules)]
        return found

    def unguarded(self, doors: list[Door]) -> list[Layer]:
        """Return the layers that would let in some of these doors without any rule for them."""
        return [layer for layer in self.layers if "accept" in layer.unaided(doors)]

    def refuses(self, doors: list[Door]) -> bool:
        """Say whether any of these doors would be refused now, were there no rule for it."""
        return any("refuse" in layer.unaided(doors) for layer in self.layers if layer.now)

    def closable(self, doors: list[Door]) -> list[int]:
        """Return the ports of the rules that closing removes."""
        return _ports([rule for _layer, rule in self.removable(doors)])

    def lines(self, doors: list[Door]) -> list[str]:
        """Return the rules that concern these doors, for people."""
        return [line for layer, rule in self.openings(doors) for line in layer.lines(rule.words)]

    def basis(self, steps: list[Step]) -> list[Question]:
        """Return what must not have changed when these steps are taken."""
        return [("read", step.path) for step in steps if step.path]

    def opening(self, doors: list[Door]) -> list[Step]:
        """Return what has to be done until the doors are open."""
        raise NotImplementedError

    def closing(self, doors: list[Door]) -> list[Step]:
        """Return what has to be done until no rule opens just these doors."""
        raise NotImplementedError


def _ports(rules: t.Iterable[Rule]) -> list[int]:
    """Return all ports of some rules."""
    return sorted({port for rule in rules for low, high in rule.ports or () for port in range(low, high + 1)})


def refuse_walls(shuts: t.Iterable[Shut]) -> None:
    """Give up before anything is changed where a rule of ours would come behind one that refuses."""
    for shut in shuts:
        if shut.is_walled:
            raise TlsError(f"{shut.sentence}, whatever is opened; remove that rule and run this again")
