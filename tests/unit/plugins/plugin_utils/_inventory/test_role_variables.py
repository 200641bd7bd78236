# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of roles: which there are, which is probably meant, and whether values fit."""

from __future__ import annotations

import types

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.role_variables import (
    ROLES,
    check_role_variables,
    inventory_names,
    known_variables,
    meant_variable,
    misspelling_sentence,
    public_variables,
    role_options,
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("nginx_site", "nginx_sites"),
        ("certificate_request", "certificate_requests"),
        ("certificate_isuers", "certificate_issuers"),
        ("firewall_port", "firewall_ports"),
        ("schedule_time", "schedule_times"),
        ("renew_wave", "renew_waves"),
        ("survey_querry", "survey_query"),
        ("diagnose_form", "diagnose_from"),
        ("revoke_reasons", "revoke_reason"),
        ("cloud_account", "cloud_accounts"),
    ],
)
def test_a_close_misspelling_has_the_variable_that_was_meant(name, meant):
    assert meant_variable(name) == meant and meant in public_variables()
    assert misspelling_sentence([name, "ansible_host", 5]).startswith(
        f"there is no variable {name} (did you mean {meant}?); "
    )


@pytest.mark.parametrize(
    "name",
    [
        *("nginx_sites_extra", "nginx_version", "nginx_user", "nginx_vhosts", "nginx_service_state", "nginx_ipv4"),
        *(
            "certificate_requests_web",
            "certificate_verify",
            "firewall_rules",
            "schedule_keys",
            "cloud_region",
            "web_nginx_site",
        ),
    ],
)
def test_names_of_users_are_no_misspellings(name):
    assert meant_variable(name) is None and misspelling_sentence([name]) == ""


def test_no_variable_of_the_collection_is_a_misspelling():
    assert len(known_variables()) > 150
    assert [name for name in known_variables() if meant_variable(name)] == []
    assert all(name in public_variables() for role in ROLES for name in role_options(role))
    assert {"cloud_accounts", "renew_waves", "revoke_reason", "survey_query"} <= public_variables()


def test_what_a_task_registered_is_not_of_the_inventory():
    manager = types.SimpleNamespace(_nonpersistent_fact_cache={"web1": {"nginx_reloaded": {}}})
    hostvars = types.SimpleNamespace(_variable_manager=manager)
    assert inventory_names(["nginx_reloaded", "nginx_site"], hostvars, "web1") == ["nginx_site"]
    assert inventory_names(["nginx_reloaded"], {}, "web1") == ["nginx_reloaded"]


def test_values_that_fit_are_silent():
    request = {"name": "www", "domains": ["www.example.org"]}
    check_role_variables("certificate", {"certificate_requests": [request], "certificate_force": "yes"})
    check_role_variables("nginx", {})


def test_the_request_that_does_not_fit_is_named():
    requests = [{"name": "www", "domains": ["www.example.org"]}, {"name": "mail", "domains": ["a"], "isuer": "b"}]
    with pytest.raises(TlsError) as raised:
        check_role_variables("certificate", {"certificate_requests": requests})
    assert str(raised.value) == (
        "mail of certificate_requests: there is no isuer (did you mean issuer?); correct the inventory"
    )
