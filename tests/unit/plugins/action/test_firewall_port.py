# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What firewall_port does on a host, in how many visits, and what it returns."""

from __future__ import annotations

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action.firewall_port import ActionModule
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import QuerySet
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import INTERNAL, firewalld
from ansible_collections.evergreen.tls.tests.unit.transcripts import RecordedHost

LISTED = "-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n"
OPEN = (
    '-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 443 -m comment --comment "evergreen.tls.firewall_port" -j ACCEPT\n'
)
OPEN_COMMAND = OPEN.strip().replace('"', "")
OTHER_RULE = "-A INPUT -s 198.51.100.7/32 -j DROP\n"
DENY_RULE = "-A INPUT -j REJECT --reject-with icmp-port-unreachable\n"
FILE = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"
PATH = "/etc/iptables/rules.v4"


class Host(RecordedHost):
    """A host with iptables that does what firewall_commands does; *listings* are its rules at each visit in turn."""

    def __init__(self, *listings):
        super().__init__(["netfilter-persistent"], {"iptables -w -S": listings[0]}, {PATH: FILE})
        self.listings, self.changes, self.attempts = list(listings), [], 0

    def execute(self, name, module_args, task_vars):
        assert name == "evergreen.tls.firewall_commands"
        commands = module_args.get("commands", [])
        self.attempts += bool(commands)
        preconditions = module_args.get("preconditions", [])
        self.prints["iptables -w -S"] = self.listings.pop(0)
        if any(self.result_of(query) != result for query, result in preconditions):
            commands = []
        for command in commands:
            self.changes.append(" ".join(command["argv"]))
            if command["path"]:
                self.files[command["path"]] = command["stdin"]
            else:
                self.prints["iptables -w -S"] = self.listings.pop(0)
        query_sets = [QuerySet(one["conditions"], one["queries"]) for one in module_args["query_sets"]]
        return {"changed": bool(commands), "host_state": self.run_queries(query_sets)}


def run(execute, check_mode=False, task_vars=None, **arguments):
    """Return the result of a task."""
    task = Task()
    task.action, task.check_mode = "evergreen.tls.firewall_port", check_mode
    task.args = {"ports": [443], "sources": ["192.0.2.0/24"], **arguments}
    action = ActionModule(task, None, None, None, None, None)
    action._execute_module = execute
    return action.run(task_vars=task_vars or {})


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


def test_an_open_port_takes_one_visit():
    host = Host(LISTED + OPEN)
    host.files[PATH] = FILE.replace("COMMIT", f"{OPEN}COMMIT")
    result = run(host.execute)
    assert (host.visits, host.changes, result["changed"], result["opened"]) == (1, [], False, [])
    assert result["msg"] == "tcp 443 is open to 192.0.2.0/24 already in iptables."


def test_a_blocked_port_is_opened_and_verified_in_two_visits():
    host = Host(LISTED, LISTED, LISTED + OPEN)
    result = run(host.execute)
    assert (host.visits, result["changed"], result["opened"], result["persistent"]) == (2, True, [443], True)
    assert host.changes == ["iptables-restore --test", f"iptables -w {OPEN_COMMAND}"]
    assert host.files[PATH] == FILE.replace("COMMIT", f"{OPEN}COMMIT")
    assert result["msg"] == "Opened tcp 443 to 192.0.2.0/24 in iptables."
    assert result["diff"]["after"] == f"iptables now: {OPEN}{PATH}: {OPEN}"


def test_bytes_that_are_not_utf_8_are_kept():
    host = Host(LISTED, LISTED, LISTED + OPEN)
    host.files[PATH] = f"# M\xfcnchen\n{FILE}"  # as to_wire() returns it
    assert run(host.execute)["changed"]
    assert host.files[PATH] == f"# M\xfcnchen\n{FILE}".replace("COMMIT", f"{OPEN}COMMIT")


def test_check_mode_changes_nothing():
    host = Host(LISTED)
    result = run(host.execute, check_mode=True)
    assert (host.visits, host.changes, host.files[PATH]) == (1, [], FILE)
    assert (result["changed"], result["msg"]) == (True, "Would open tcp 443 to 192.0.2.0/24 in iptables.")
    assert result["diff"]["after"] == f"{PATH}: {OPEN}iptables now: {OPEN}"


def test_a_change_is_planned_again_if_the_host_has_changed():
    host = Host(
        LISTED, OTHER_RULE + LISTED + DENY_RULE, OTHER_RULE + LISTED + DENY_RULE, OTHER_RULE + LISTED + OPEN + DENY_RULE
    )
    result = run(host.execute)
    assert (host.visits, host.attempts, result["changed"]) == (3, 2, True)
    assert host.changes[-1] == f"iptables -w -I INPUT 4 {OPEN_COMMAND.removeprefix('-A INPUT ')}"


def test_a_host_that_keeps_changing_is_an_error():
    host = Host(*(LISTED + number * OTHER_RULE for number in range(4)))
    result = run(host.execute)
    assert (result["failed"], host.attempts, host.changes) == (True, 3, [])
    assert result["msg"] == "iptables changes while it is looked at; see what else changes it, and run this again then"


def test_a_change_without_effect_is_an_error():
    result = run(Host(LISTED, LISTED, LISTED + DENY_RULE).execute)
    assert result["failed"]
    assert "iptables took the new rules, but iptables now: the rule" in result["msg"]
    assert result["msg"].endswith("remove what is in the way and run this again")


def test_warnings_are_returned():
    host = Host(LISTED, LISTED, LISTED + OPEN)
    host.files = {}
    result = run(host.execute)
    sentence = f"Nothing on this host brings the rules of iptables back after a restart; run `netfilter-persistent save` to make {PATH} and run this again."
    assert (result["persistent"], result["warnings"]) == (False, [sentence])
    assert result["msg"] == f"Opened tcp 443 to 192.0.2.0/24 in iptables. {sentence}"


def test_rules_by_source_that_keep_cas_away_are_warned_of_once():
    open_web = "-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT\n"
    listed = f"-P INPUT DROP\n-A INPUT -s 203.0.113.0/24 -j DROP\n{open_web}"
    host = Host(listed)
    host.files[PATH] = FILE.replace("COMMIT", f"{open_web}COMMIT")
    result = run(host.execute, check_mode=True, ports=[80, 443], sources=[], backend="iptables")
    sentences = [one for one in result["warnings"] if "CAs look" in one]
    assert [one.partition(";")[0] for one in sentences] == [
        "The firewall iptables refuses tcp 80, 443 from 203.0.113.0/24"
    ]
    assert "CAs look" not in result["msg"]


def test_sources_of_the_task_that_keep_cas_from_port_80_are_warned_of():
    result = run(Host(LISTED).execute, check_mode=True, ports=[80])
    assert "Tcp 80 of this host is opened to 192.0.2.0/24 alone; CAs look" in result["warnings"][-1]
    result = run(Host(LISTED).execute, check_mode=True, ports=[80], sources=["10.0.0.0/8"])
    assert not any("CAs look" in one for one in result.get("warnings", []))


def test_a_port_that_is_about_to_be_opened_to_everybody_is_not_called_closed():
    listed = f"{LISTED}-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 80 -j ACCEPT\n"
    result = run(Host(listed).execute, check_mode=True, ports=[80], sources=[])
    assert not any("CAs look" in one for one in result.get("warnings", []))


def test_the_zone_of_firewalld_is_that_of_the_interface_with_the_address_of_the_inventory():
    host = firewalld(zones=INTERNAL)

    def execute(name, module_args, task_vars):
        query_sets = [QuerySet(one["conditions"], one["queries"]) for one in module_args["query_sets"]]
        return {"changed": False, "host_state": host.run_queries(query_sets)}

    for address, zone in (("192.0.2.11", "internal"), ("203.0.113.1", "public")):
        variables = {"inventory_hostname": "web1", "ansible_host": address}
        result = run(execute, check_mode=True, ports=[81], task_vars=variables)
        assert (result["zone"], result["changed"]) == (zone, True)


def test_nothing_is_done_without_a_firewall():
    host = Host("-P INPUT ACCEPT\n")
    assert run(host.execute)["backend"] == "none"
    assert host.visits == 1
    unqueried = Host(LISTED)
    assert (
        run(unqueried.execute, backend="none")["msg"] == "No firewall was asked for, so nothing was done about tcp 443."
    )
    assert unqueried.visits == 0


def test_facts_that_ansible_discovers_are_returned():
    host = Host("-P INPUT ACCEPT\n")
    facts = {"discovered_interpreter_python": "/usr/bin/python3"}
    result = run(lambda *arguments, **more: {**host.execute(*arguments, **more), "ansible_facts": facts})
    assert (result["backend"], result["ansible_facts"]) == ("none", facts)


def test_invalid_arguments_are_an_error_before_the_host_is_queried():
    host = Host(LISTED)
    assert run(host.execute, ports=[70000])["msg"].startswith("70000 is no port; give a number between 1 and 65535")
    assert "value of state must be one of: open, closed" in run(host.execute, state="ajar")["msg"]
    assert host.visits == 0


def test_an_error_of_the_host_is_returned():
    sentence = "only root can read and change a firewall; run this with become"
    result = run(lambda *_arguments, **_more: {"failed": True, "msg": sentence, "exception": "traceback"})
    assert result == {"failed": True, "msg": sentence, "exception": "traceback"}


def test_a_host_that_returns_no_results_is_an_error():
    result = run(lambda *_arguments, **_more: {"changed": False, "host_state": []})
    assert (result["failed"], result["msg"]) == (
        True,
        "the host does not say what it was asked; look at what it is doing",
    )
