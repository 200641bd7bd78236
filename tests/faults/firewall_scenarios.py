# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scenarios for firewall_port, and what must hold of a firewall at each moment."""

from __future__ import annotations

import dataclasses
import os
import re
import types
import typing as t

from ansible_collections.evergreen.tls.plugins.action.firewall_port import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Batch
from ansible_collections.evergreen.tls.tests.faults.crash_explorer import Machine
from ansible_collections.evergreen.tls.tests.faults.syscalls import RANDOM, Call

FOLDERS = ("/etc/nftables.conf", "/etc/sysconfig", "/etc/ufw", "/etc/default", "/etc/firewalld")
ENDPOINTS = {"tcp:22": False, "tcp:443": True}
RULESET = """#!/usr/sbin/nft -f
flush ruleset
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif "lo" accept
        tcp dport 22 accept
    }
}
"""
RULES = """*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""
LOADERS = {
    "nft -f": "/etc/nftables.conf",
    "iptables-restore": "/etc/sysconfig/iptables",
    "ip6tables-restore": "/etc/sysconfig/ip6tables",
}


def nftables(machine: Machine) -> None:
    """Set up nftables as Debian does."""
    machine.put("/etc/nftables.conf", RULESET.encode())
    machine.command("nft", "-f", "/etc/nftables.conf")


def nftables_open(machine: Machine) -> None:
    nftables(machine)
    FirewallScenario("", nftables, {}).ordinary(machine)


def iptables(machine: Machine) -> None:
    """Set up iptables with rules that iptables.service loads."""
    for program in ("iptables-restore", "ip6tables-restore"):
        machine.put(LOADERS[program], RULES.encode())
        machine.command(program, LOADERS[program])


def ufw(machine: Machine) -> None:
    """Set up ufw as Ubuntu does."""
    machine.command("sh", "-ec", "ufw allow 22/tcp; ufw --force enable")


def firewalld(machine: Machine) -> None:
    """Set up firewalld as Fedora does, without systemd."""
    machine.command(
        "sh", "-ec", "rm -rf /run/dbus; mkdir /run/dbus; dbus-daemon --system --fork; firewalld > /dev/null 2>&1"
    )
    machine.command("sh", "-c", "until firewall-cmd --state > /dev/null 2>&1; do sleep 0.05; done")


class FirewallPort(ActionModule):
    """firewall_port with a machine as its host. strace traces the module call that runs commands."""

    def __init__(self, machine: Machine, strace: list[str] | None, traced: tuple[str, ...]) -> None:
        self._task = types.SimpleNamespace(check_mode=False)
        self.machine, self.strace, self.traced, self.traced_run = machine, strace, traced, None

    async def run_module_or_raise(self, module, arguments, task_vars):
        strace = self.strace if arguments.get("commands") else None
        run = self.machine.run(module, strace, self.traced, **arguments)
        self.traced_run = run if strace is not None else self.traced_run
        if run.signal is not None:
            raise TlsError("it was killed; run this again")
        result = run.result()
        if result.get("failed"):
            raise TlsError(result["msg"])
        return result


@dataclasses.dataclass(frozen=True)
class ActionRun:
    """The result of firewall_port, and the system calls of its commands on the host."""

    action_result: dict
    signal: int | None = None
    calls: list[Call] = dataclasses.field(default_factory=list)

    def result(self) -> dict:
        """Return the result."""
        return self.action_result


@dataclasses.dataclass(frozen=True)
class FirewallScenario:
    """A machine with a firewall, and arguments of firewall_port."""

    title: str
    filters: t.Callable[[Machine], None]
    arguments: dict
    module: str = "firewall_port"
    traces: tuple[str, ...] = ("/etc",)
    disk: tuple[str, tuple[str, ...]] = (
        "/etc",
        ("/etc/nftables.conf", "/etc/sysconfig"),
    )  # what a power loss may damage

    def set_up(self, machine: Machine) -> None:
        """Bring a machine into the initial state of the scenario."""
        machine.reset()
        self.filters(machine)

    def run(self, machine: Machine, strace: list[str] | None, traced: tuple[str, ...]) -> ActionRun:
        """Run the action."""
        action = FirewallPort(machine, strace, traced)
        defaults = {"protocol": "tcp", "sources": [], "state": "open", "backend": "auto", "zone": None, "ports": [443]}
        try:
            (result,) = Batch().run([action.decide({**defaults, **self.arguments}, {})])
        except TlsError as error:
            result = {"failed": True, "msg": str(error)}
        run = action.traced_run
        return ActionRun(result, run.signal, run.calls) if run else ActionRun(result)

    def ordinary(self, machine: Machine) -> dict:
        """Return the result of a run without faults."""
        return self.run(machine, None, ()).result()

    def boot(self, machine: Machine, before: dict) -> None:
        """Load the rules from the files, as after a power loss."""
        loaders = (
            ("nft -f",)
            if not os.path.exists(machine.path("/etc/sysconfig"))
            else ("iptables-restore", "ip6tables-restore")
        )
        for program in loaders:
            machine.command(*program.split(), LOADERS[program])

    def again(self, machine: Machine, before: dict) -> list[str]:
        """Return no violations: no firewall refuses a configuration."""
        return []

    def watch(self, machine: Machine) -> None:
        """Start the observer."""
        machine.observer.watch(ENDPOINTS)

    def state(self, machine: Machine) -> dict:
        """Return the open ports, the rules in the kernel, and the files that are loaded at boot."""
        hidden = [name for name in os.listdir(machine.path("/etc")) if name.startswith(".") and "conf" in name]
        return {
            "lets in": set(machine.observer.try_once(ENDPOINTS)),
            "tables": self._tables(machine),
            "files": machine.snapshot(*FOLDERS),
            "left over": {RANDOM.sub("", name) for name in hidden},
        }

    def unexpected_observations(self, machine: Machine, states: list[dict]) -> list[str]:
        """Return the observations that neither the state before nor the one after explains."""
        allowed = set().union(*(state["lets in"] for state in states))
        observations = machine.observer.end().items()
        return [f"the observer saw: {what} ({times} times)" for what, times in observations if what not in allowed]

    def violations(self, machine: Machine, states: list[dict]) -> list[str]:
        """Return the violations now: each table and file must be as before or as after the run."""
        violations, state = [], self.state(machine)
        for part in ("tables", "files"):
            for name in {*state[part], *(name for one in states for name in one[part])}:
                is_hidden = os.path.basename(name).startswith(".")
                if not is_hidden and state[part].get(name) not in [one[part].get(name) for one in states]:
                    violations.append(
                        f"{name} is neither what it was before nor what it is after: {state[part].get(name)}"
                    )
        return violations

    def _tables(self, machine: Machine) -> dict[str, str]:
        """Return the tables in the kernel by their names, without what they count."""
        listed = re.sub(r"counter packets \d+ bytes \d+", "", machine.command("nft", "list", "ruleset").stdout)
        return {table.partition(" {")[0]: table for table in re.split(r"^(?=table )", listed, flags=re.MULTILINE)}


# More than a pipe takes at once, and of what it takes at once the last words would be a rule of their own.
MANY = {"ports": list(range(8000, 8150)), "sources": ["192.0.2.0/24"]}
FIREWALL_SCENARIOS = [
    FirewallScenario("nftables opens a port", nftables, {}),
    FirewallScenario("nftables opens many ports", nftables, MANY),
    FirewallScenario("nftables closes a port", nftables_open, {"state": "closed"}),
    FirewallScenario("iptables opens a port", iptables, {"sources": ["192.0.2.0/24"]}),
    FirewallScenario("ufw opens a port", ufw, {}),
    FirewallScenario("firewalld opens a port", firewalld, {}),
]
