# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host never take the place of the inventory."""

from __future__ import annotations

import pathlib
import re

import jinja2.meta
import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.evergreen.tls.plugins.action.renewal_report import ActionModule as RenewalReport
from ansible_collections.evergreen.tls.plugins.action.survey import ActionModule as Survey
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.fact_check import (
    VARIABLE_PREFIXES,
    check_facts,
    options_from_inventory,
    overriding_facts,
    overriding_facts_error,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import VARIABLES
from ansible_collections.evergreen.tls.tests.conftest import ROOT

FILES = [path for folder in ("playbooks", "roles") for path in sorted((ROOT / folder).rglob("*.yml"))]
OF_ANSIBLE = "ansible_"
# What templates name that is no variable a fact could take the place of: variables of a task, which win over facts, and of magic.
TASK_VARIABLES = {"item", "hostvars", "groups", "inventory_hostname", "omit", "lookup", "dict"}
TAMPERED = {"certificate_issuers": {}, "certificate_requests": []}


def loaded(path):
    return yaml.safe_load(path.read_text()) or []


def names_set(node):
    """Return the names that registers, set_fact and vars of tasks, and options of argument specifications, give to variables."""
    if isinstance(node, list):
        return {name for item in node for name in names_set(item)}
    if not isinstance(node, dict):
        return set()
    own = {node["register"]} if isinstance(node.get("register"), str) else set()
    own |= {name for name in node.get("ansible.builtin.set_fact", {}) if name != "cacheable"}
    return own | {name for value in node.values() for name in names_set(value)}


def variables_of_roles():
    """Return the names of all variables of roles and playbooks that a fact could take the place of."""
    names = {name for path in FILES for name in names_set(loaded(path))}
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        for entry in loaded(path)["argument_specs"].values():
            names |= set(entry.get("options", {}))
    for part in ("defaults", "vars"):
        for path in (ROOT / "roles").glob(f"*/{part}/main.yml"):
            names |= set(loaded(path))
    return names


@pytest.mark.parametrize("name", sorted(variables_of_roles()))
def test_each_variable_of_roles_and_playbooks_is_refused_as_a_fact(name):
    assert overriding_facts({name: 1}) == [name]


def task_variables(node):
    """Return the names under C(vars) of plays, blocks and tasks: these win over facts."""
    if isinstance(node, list):
        return {name for item in node for name in task_variables(item)}
    if not isinstance(node, dict):
        return set()
    own = set(node["vars"]) if isinstance(node.get("vars"), dict) else set()
    return own | {name for value in node.values() for name in task_variables(value)}


def templates(node, is_condition=False):
    """Return the templates and conditions in a file of Ansible."""
    if isinstance(node, str):
        return [f"{{{{ {node} }}}}"] if is_condition and "{{" not in node else [node]
    if isinstance(node, list):
        return [text for item in node for text in templates(item, is_condition)]
    if isinstance(node, dict):
        return [
            text for key, value in node.items() for text in templates(value, key in ("when", "that", "failed_when"))
        ]
    return []


class AnyName(dict):
    """The filters and tests of Ansible, which the names of variables do not depend on."""

    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return lambda *_: None

    get = __getitem__


@pytest.mark.filterwarnings("error::DeprecationWarning")  # as for escapes in a template that Python may refuse one day
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_variable_that_a_template_reads_is_refused_as_a_fact_or_wins_over_facts(path):
    environment = NativeEnvironment()
    environment.filters, environment.tests = AnyName(), AnyName()
    read = {
        name
        for template in templates(loaded(path))
        for name in jinja2.meta.find_undeclared_variables(environment.parse(template))
    }
    folder = path.parents[1] if path.parent.name == "tasks" else path.parent
    above = {name for other in FILES if folder in other.parents for name in task_variables(loaded(other))}
    unknown = {name for name in read if not name.startswith((*VARIABLE_PREFIXES, OF_ANSIBLE))}
    assert unknown <= TASK_VARIABLES | above


def test_each_variable_that_a_plugin_reads_is_refused_as_a_fact():
    text = "\n".join(path.read_text() for path in (ROOT / "plugins").rglob("*.py"))
    read = {
        *VARIABLES,
        *re.findall(r"task_vars(?:\.get\(|\[)\"(\w+)\"", text),
        *re.findall(r"variables\.get\(\"(certificate_\w+)\"", text),
    }
    names = {name for name in read if not name.startswith(OF_ANSIBLE)} - {"inventory_hostname", "hostvars", "groups"}
    assert overriding_facts(dict.fromkeys(names)) == sorted(names)
    assert {"certificate_endpoint", "certificate_force", "certificate_verify_from"} <= names


def test_the_waves_of_all_hosts_come_from_the_first_without_such_facts():
    hostvars = {
        "one": {"ansible_facts": {"renew_waves": [9]}, "renew_waves": [9]},
        "two": {"ansible_facts": {"hostname": "two"}, "renew_waves": [1]},
        "three": {"renew_waves": [3]},
    }
    options = {"waves": [9]}
    tampered = (options, Survey.VARIABLES, hostvars["one"])
    assert options_from_inventory(*tampered, ["two", "three"], hostvars.__getitem__) == {"waves": [1]}
    assert (
        options_from_inventory(options, Survey.VARIABLES, hostvars["two"], ["three"], hostvars.__getitem__) == options
    )
    with pytest.raises(TlsError, match="the facts of "):
        options_from_inventory(*tampered, [], hostvars.__getitem__)


def test_the_role_and_playbook_names_are_prefixes_of_variables():
    names = {path.name for path in (ROOT / "roles").iterdir()} | {
        path.stem for path in (ROOT / "playbooks").glob("*.yml")
    }
    # Accounts with clouds belong to no role or playbook alone.
    assert {*(f"{name}_" for name in names), "cloud_accounts"} == set(VARIABLE_PREFIXES)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        None,
        {
            "hostname": "web1",
            "distribution": "Debian",
            "getent_passwd": {},
            "discovered_interpreter_python": "/usr/bin/python3",
        },
        {"local": {"nginx_sites": [], "certificate_requests": []}},
        {"certificates": [], "nginx": {}},
        {1: "a"},
    ],
)
def test_other_facts_are_let_through(facts):
    check_facts({"ansible_facts": facts}, "web1")
    assert overriding_facts_error(facts, "web1") == ""


def test_the_error_names_host_and_facts_and_what_to_do():
    with pytest.raises(TlsError) as raised:
        check_facts({"ansible_facts": TAMPERED}, "web1")
    assert str(raised.value) == (
        "the facts of web1 hold certificate_issuers and certificate_requests, and would take the place of what the inventory says; find out "
        "whether the host or a playbook set them, rename them there, and clear a fact cache with --flush-cache"
    )


def test_names_of_facts_are_escaped_and_cut():
    facts = {f"nginx_{number}\x1b[2J{'a' * 1000}": 1 for number in range(1000)}
    error = overriding_facts_error(facts, "web1")
    assert "\x1b" not in error
    assert "and 996 more, and would take" in error
    assert len(error) < 500


OPTIONS = {"path": "/evil", "most": 5}
NAMES = {"path": "survey_path", "most": "survey_most"}


def hostvars(**hosts):
    return hosts.__getitem__


def test_an_option_that_a_fact_says_is_taken_from_the_next_host():
    tampered = {"inventory_hostname": "a", "ansible_facts": {"survey_path": "/evil"}}
    variables_of = hostvars(b={"ansible_facts": {"renew_waves": 1}}, c={"survey_path": "/good", "survey_most": 7})
    assert options_from_inventory(OPTIONS, NAMES, tampered, ["b", "c"], variables_of) == {"path": "/good", "most": 5}


def test_an_option_that_no_other_host_has_is_left_to_its_default():
    tampered = {"inventory_hostname": "a", "ansible_facts": {"survey_path": "/evil"}}
    assert options_from_inventory(OPTIONS, NAMES, tampered, ["b"], hostvars(b={})) == {"most": 5}


def test_an_option_that_a_fact_says_is_refused_without_another_host():
    tampered = {"inventory_hostname": "a", "ansible_facts": {"survey_path": "/evil"}}
    with pytest.raises(TlsError, match="the facts of a hold survey_path"):
        options_from_inventory(OPTIONS, NAMES, tampered, [], hostvars())


def test_options_stay_where_facts_say_something_else():
    tampered = {"inventory_hostname": "a", "ansible_facts": {"nginx_path": "/evil"}}
    assert options_from_inventory(OPTIONS, NAMES, tampered, [], hostvars()) == OPTIONS


@pytest.mark.parametrize("action", [Survey, RenewalReport])
def test_each_option_that_playbooks_read_from_a_variable_is_known_by_its_action(action):
    name = f"evergreen.tls.{pathlib.Path(action.decide.__code__.co_filename).stem}"
    found = {}

    def search(node):
        for value in node if isinstance(node, list) else node.values() if isinstance(node, dict) else []:
            search(value)
        if isinstance(node, dict) and isinstance(node.get(name), dict):
            for option, template in node[name].items():
                variable = re.match(r"\{\{ (\w+)", str(template))
                if variable:
                    found[option] = variable[1]

    for path in FILES:
        search(loaded(path))
    assert found == dict(action.VARIABLES)
