# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts whose facts have the names of variables of this collection: they fail, the inventory decides, and the other hosts go on."""

from __future__ import annotations

import json
import re

import pytest

from ansible_collections.evergreen.tls.tests.faults.malicious_hosts import Fleet, domain_of

BANK = [{"name": "web", "domains": ["bank.example"], "port": 1}]
HONEST = "honest"


def facts_of_hosts(folder):
    """Return what hosts say of themselves; the first of them is the one whose variables count for all."""
    command = {"local": {"type": "command", "argv": ["sh", "-c", f"touch {folder}/evaluated"]}}
    return {
        "first": {
            "survey_path": f"{folder}/evil",
            "renew_records": f"{folder}/evil",
            "survey_query": "(",
        },
        "requests": {"certificate_requests": BANK},
        "none": {"certificate_requests": []},
        "issuers": {"certificate_issuers": command},
        "sites": {"nginx_sites": [{"name": "evil", "return_code": 204}], "firewall_ports": [22]},
        "defaults": {"certificate_verify_from": "host", "nginx_manage": False},
        "types": {"certificate_requests": 7, "nginx_sites": "a", "firewall_ports": {"a": 1}},
        HONEST: {"ansible_distribution": "Debian", "ansible_local": {"certificate_requests": BANK}},
    }


def gathered(facts):
    """Return a function that adds the facts that a host says to the results of its modules."""
    return lambda results: {**results, "setup": {"changed": False, "ansible_facts": facts}}


def cached_facts(folder, facts):
    """Return a fleet whose facts an earlier playbook left in a cache, and the settings with which they are found.

    facts: those that each host says.
    """
    fleet = Fleet(folder, {host: gathered(said) for host, said in facts.items()})
    settings = {
        "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(folder / "cache"),
    }
    gather = folder / "gather.json"
    gather.write_text(json.dumps([{"hosts": "all", "tasks": []}]))
    printed = fleet.play(str(gather), **settings)
    assert list(folder.glob("cache/*")), printed
    return fleet, settings


def fleet_with_facts(folder):
    return Fleet(folder, {host: gathered(facts) for host, facts in facts_of_hosts(folder).items()})


def failures(printed):
    """Return the last error of each host."""
    lines = re.findall(r"^fatal: \[(\w+)\].*?=> (.*)$", printed, re.MULTILINE)
    return dict(lines)


def check_refusals(fleet, printed, expected):
    errors = failures(printed)
    for host in expected:
        names = sorted(facts_of_hosts(fleet.folder)[host])
        assert f"the facts of {host} hold {names[0]}" in errors[host], printed
    assert "the facts of honest" not in printed
    assert not list(fleet.folder.rglob("evaluated")) and not list(fleet.folder.rglob("evil")), printed
    assert all(names == {domain_of(HONEST)} for names in fleet.issued().values()), fleet.issued()
    assert "Traceback" not in printed


TAMPERED = [host for host in facts_of_hosts("") if host != HONEST]


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """Return a fleet whose facts are in a cache, and the settings with which they are found."""
    folder = tmp_path_factory.mktemp("facts")
    return cached_facts(folder, facts_of_hosts(folder))


PLAYBOOKS = {
    "deploy": [],
    "renew": [],
    "revoke": ["-e", "revoke_requests=all"],
    "schedule": ["-e", "schedule_hosts=all:!honest"],
}


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_playbook_fails_for_hosts_with_such_facts_in_the_cache(cached, playbook):
    fleet, settings = cached
    check_refusals(fleet, fleet.play(f"evergreen.tls.{playbook}", *PLAYBOOKS[playbook], **settings), TAMPERED)
    if playbook == "renew":
        assert set(fleet.issued()) == {HONEST}
        assert list(fleet.folder.glob("runs/*.json"))


def test_the_survey_has_a_finding_about_each_such_host_and_looks_at_the_others(cached):
    fleet, settings = cached
    printed = fleet.play("evergreen.tls.survey", "-e", f"survey_path={fleet.folder}/found.json", **settings)
    findings = {finding["host"]: finding for finding in json.loads((fleet.folder / "found.json").read_text())}
    for host in TAMPERED:
        assert findings[host]["state"] == "unknown"
        assert f"the facts of {host} hold " in findings[host]["reason"], printed
    assert findings[HONEST]["name"] == domain_of(HONEST)
    assert "the facts of" not in findings[HONEST]["reason"]
    assert not list(fleet.folder.rglob("evil"))


def first_wave(printed):
    """Return how many hosts a run of renew began with."""
    _survey, _header, rest = printed.partition("PLAY [Renew the certificates that are due]")
    task = rest.split("\nTASK ")[1]
    return len(re.findall(r"^(?:ok|fatal): \[", task, re.MULTILINE))


def test_the_waves_of_the_command_line_count_whatever_the_first_host_says(tmp_path):
    facts = {"aaa": {"renew_waves": [1]}, **{host: {} for host in ("one", "two", "three")}}
    fleet, settings = cached_facts(tmp_path, facts)
    assert first_wave(fleet.play("evergreen.tls.renew", "-e", '{"renew_waves": [2, 2]}', **settings)) == 2
    assert first_wave(fleet.play("evergreen.tls.renew", **settings)) == 4  # 100 %, as the inventory says


ODD_REQUESTS = [7, "text", [1], {"a": 1}, [{}], [{"name": [1], "domains": 3}], [[BANK]], None, ["{{ undefined }}"]]


def test_facts_of_another_form_keep_no_other_host_from_revoking_or_renewing(tmp_path):
    facts = {f"host{number}": {"certificate_requests": odd} for number, odd in enumerate(ODD_REQUESTS)}
    fleet, settings = cached_facts(tmp_path, {**facts, HONEST: {}})
    runs = [("revoke", ["-e", "revoke_requests=web"], "web: no"), ("renew", [], "nothing listens there")]
    for playbook, arguments, expected in runs:
        printed = fleet.play(f"evergreen.tls.{playbook}", *arguments, **settings)
        errors = failures(printed)
        for host in facts:
            assert f"the facts of {host} hold certificate_requests" in errors[host], printed
        assert expected in errors[HONEST], printed


@pytest.mark.parametrize("role", ["certificate", "deploy", "firewall", "nginx", "renew", "schedule"])
def test_a_role_fails_for_hosts_whose_facts_are_gathered(tmp_path, role):
    fleet = fleet_with_facts(tmp_path)
    playbook = tmp_path / "site.json"
    playbook.write_text(json.dumps([{"hosts": "all:!honest", "roles": [f"evergreen.tls.{role}"]}]))
    check_refusals(fleet, fleet.play(str(playbook)), TAMPERED)


ACTIONS = {
    "certificate_obtain": {"requests": "{{ certificate_requests }}", "issuers": "{{ certificate_issuers }}"},
    "certificate_issue": {"request": {"name": "web", "domains": ["a.example"]}, "issuers": "{{ certificate_issuers }}"},
    "firewall_port": {"ports": "{{ firewall_ports | default([80]) }}"},
    "nginx_sites": {"sites": "{{ nginx_sites }}"},
}


def test_an_action_of_a_play_of_ones_own_fails_as_well(tmp_path):
    fleet = fleet_with_facts(tmp_path)
    playbook = tmp_path / "site.json"
    tasks = [{f"evergreen.tls.{action}": arguments, "ignore_errors": True} for action, arguments in ACTIONS.items()]
    playbook.write_text(json.dumps([{"hosts": "all:!honest", "tasks": tasks}]))
    printed = fleet.play(str(playbook))
    check_refusals(fleet, printed, TAMPERED)
    assert len(re.findall(r"^fatal: .*the facts of requests hold certificate_requests", printed, re.MULTILINE)) == len(
        ACTIONS
    ), printed


def test_variables_that_a_play_sets_itself_are_no_facts(tmp_path):
    fleet = fleet_with_facts(tmp_path)
    playbook = tmp_path / "site.json"
    own = [{"name": "web", "domains": ["own.example"], "port": 1}]
    tasks = [
        {"ansible.builtin.set_fact": {"certificate_requests": own}},
        {
            "evergreen.tls.certificate_obtain": {
                **ACTIONS["certificate_obtain"],
                "directory": "{{ certificate_directory }}",
            }
        },
    ]
    playbook.write_text(json.dumps([{"hosts": HONEST, "tasks": tasks}]))
    printed = fleet.play(str(playbook))
    assert "the facts of" not in printed
    assert "the host asks for a certificate for honest.example.org, and the inventory says own.example" in printed
