# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the action plugins have in common."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.plugin_utils.actions import places


def test_a_host_is_reached_where_its_resolved_variables_say():
    task_vars = {
        "inventory_hostname": "web1",
        "ansible_host": "{{ address_of_web1 }}",
        "hostvars": {"web1": {"ansible_host": "192.0.2.1"}},
    }
    assert places(task_vars, 443) == [("192.0.2.1", 443)]


def test_an_endpoint_says_otherwise():
    variables = {"ansible_host": "192.0.2.1", "certificate_endpoint": ["www.example.org:8443", "192.0.2.2"]}
    task_vars = {"inventory_hostname": "web1", "hostvars": {"web1": variables}}
    assert places(task_vars, 443) == [("www.example.org", 8443), ("192.0.2.2", 443)]


def test_a_host_without_addresses_is_reached_by_its_name():
    assert places({"inventory_hostname": "web1.example.org"}, 8443) == [("web1.example.org", 8443)]
