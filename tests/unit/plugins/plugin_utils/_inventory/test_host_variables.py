# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of a host: templates may name hostvars and groups, and facts decide nothing."""

from __future__ import annotations

import pathlib

import pytest
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.evergreen.tls.plugins.action import firewall_port
from ansible_collections.evergreen.tls.plugins.filter.request_names import request_names
from ansible_collections.evergreen.tls.plugins.filter.requesting_hosts import requesting_hosts
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import cloud_accounts
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import host_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.fact_check import check_facts, facts_of
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import (
    may_have_template,
    variables_of_host,
    variables_of_task,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import endpoints_of_host

INVENTORY = """
all:
  vars:
    domain: "{{ hostvars['gateway'].fleet_domain }}"
    renew_waves: "{{ hostvars['gateway'].waves }}"
  hosts:
    gateway: {ansible_host: 192.0.2.7, fleet_domain: example.org, waves: [1, "100%"], vault: {type: tencent}}
  children:
    web:
      vars:
        certificate_requests: [{name: "www.{{ domain }}", domains: ["www.{{ domain }}"]}]
        cloud_accounts: {main: "{{ hostvars['gateway'].vault }}"}
      hosts:
        web1: {ansible_host: "{{ hostvars['gateway'].ansible_host }}"}
        web2: {certificate_endpoint: "{{ groups['web'] | first }}"}
        web3: {ansible_host: "{{ hostvars['gateway'].typo }}"}
"""


@pytest.fixture
def manager(tmp_path: pathlib.Path) -> VariableManager:
    """Return the variables of an inventory, as Ansible manages them."""
    (tmp_path / "inventory.yml").write_text(INVENTORY)
    loader = DataLoader()
    return VariableManager(loader, InventoryManager(loader, [str(tmp_path / "inventory.yml")]))


@pytest.fixture
def hostvars(manager: VariableManager) -> HostVars:
    """Return the hostvars of a play."""
    return HostVars(manager._inventory, manager, manager._loader)


@pytest.mark.parametrize(("host", "address"), [("gateway", "192.0.2.7"), ("web1", "192.0.2.7"), ("web2", "web1")])
def test_a_host_is_reached_where_templates_with_hostvars_and_groups_say(hostvars, host, address):
    task_vars = {"inventory_hostname": host, "hostvars": hostvars, "ansible_host": "{{ not resolved }}"}
    assert host_addresses(variables_of_task(task_vars), host, 443) == [(address, 443)]


def test_the_survey_looks_where_a_template_with_hostvars_says(hostvars):
    [endpoint], _findings = endpoints_of_host("web1", variables_of_host(hostvars, "web1"), {})
    assert (endpoint.address, endpoint.domain) == ("192.0.2.7", "www.example.org")


def test_a_firewall_is_asked_about_the_address_that_a_template_with_hostvars_says(hostvars):
    action = firewall_port.ActionModule(None, None, None, None, None, None)
    action._task_vars = {"inventory_hostname": "web1", "hostvars": hostvars}
    assert action._host_state({}).find_addresses() == ["192.0.2.7"]


def test_accounts_are_read_from_a_template_with_hostvars(hostvars):
    assert cloud_accounts({"inventory_hostname": "web1", "hostvars": hostvars}) == {"main": {"type": "tencent"}}


def test_the_filters_of_playbooks_resolve_hostvars(hostvars):
    assert request_names(hostvars, ["web1", "gateway"]) == ["www.example.org"]
    assert requesting_hosts(hostvars, ["gateway", "web1"]) == ["web1"]


def test_an_undefined_variable_is_an_error_and_no_address(hostvars):
    with pytest.raises(AnsibleError, match="typo"):
        host_addresses(variables_of_host(hostvars, "web3"), "web3", 443)


def test_a_host_that_is_not_in_the_inventory_has_no_variables(hostvars):
    with pytest.raises(KeyError, match="web9"):
        variables_of_host(hostvars, "web9")
    task_vars = {"inventory_hostname": "web9", "hostvars": hostvars}
    assert variables_of_task(task_vars) is task_vars


def test_facts_are_seen_and_refused(manager, hostvars):
    manager.set_host_facts("web1", {"nginx_sites": "{{ [] }}", "ansible_host": "198.51.100.9"})
    variables = variables_of_host(hostvars, "web1")
    assert "nginx_sites" in facts_of(variables)
    with pytest.raises(TlsError, match="the facts of web1 hold nginx_sites"):
        check_facts(variables, "web1")
    assert host_addresses(variables, "web1", 443) == [("192.0.2.7", 443)]


def test_the_text_of_a_host_is_no_template(manager, hostvars):
    manager.set_nonpersistent_facts("web1", {"ansible_host": "{{ hostvars['gateway'].ansible_host }}"})
    assert variables_of_host(hostvars, "web1")["ansible_host"] == "{{ hostvars['gateway'].ansible_host }}"


def test_a_host_is_reached_where_its_resolved_variables_say():
    resolved = {"web1": {"ansible_host": "192.0.2.1", "certificate_endpoint": ["www.example.org:8443", "192.0.2.2"]}}
    task_vars = {"inventory_hostname": "web1", "hostvars": resolved, "ansible_host": "{{ address_of_web1 }}"}
    assert host_addresses(variables_of_task(task_vars), "web1", 443) == [("www.example.org", 8443), ("192.0.2.2", 443)]


def test_a_host_without_addresses_is_reached_by_its_name():
    variables = variables_of_task({"inventory_hostname": "web1.example.org"})
    assert host_addresses(variables, "web1.example.org", 8443) == [("web1.example.org", 8443)]


@pytest.mark.parametrize(
    "value",
    [
        "{{ domain }}",
        "{% if true %}a{% endif %}",
        "{# a remark #}",
        "#jinja2: trim_blocks:False\nword",
        ["a", {"b": ("{{ c }}",)}],
        {"{{ name }}": "a"},
        object(),
        {"password": b"bytes"},
    ],
)
def test_what_may_need_an_evaluation_gets_one(value):
    assert may_have_template(value)


@pytest.mark.parametrize("value", [None, True, 7, 0.5, "a { b } %}", ["a", {"b": [1]}], {}, ()])
def test_plain_data_needs_no_evaluation(value):
    assert not may_have_template(value)


def test_plain_data_of_an_inventory_is_read_as_ansible_reads_it(hostvars):
    variables = variables_of_host(hostvars, "gateway")
    for name in ("waves", "vault", "fleet_domain", "ansible_host"):
        assert variables[name] == hostvars["gateway"][name]
    assert len(variables["waves"]) == 2
