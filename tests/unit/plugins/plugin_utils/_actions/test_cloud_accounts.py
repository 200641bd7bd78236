# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where actions read the accounts from that solvers name."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import with_cloud_accounts

ISSUERS = {"le": {"type": "acme", "solver": {"type": "dnspod", "account": "main"}}}
ACCOUNT = {"type": "tencent", "secret_id": "i", "secret_key": "k"}


def test_templates_are_resolved_by_hostvars():
    raw = {"main": "{{ vault_account }}"}
    resolved = {"web1": {"cloud_accounts": {"main": ACCOUNT}}}
    task_vars = {"inventory_hostname": "web1", "hostvars": resolved, "cloud_accounts": raw}
    issuers = with_cloud_accounts({"issuers": ISSUERS}, task_vars)["issuers"]
    account = issuers["le"]["solver"]["account"]
    assert (account["name"], account["type"], account["settings"]["secret_id"]) == ("main", "tencent", "i")
    assert ISSUERS["le"]["solver"]["account"] == "main"


def test_what_an_action_passes_on_is_not_resolved_again():
    once = with_cloud_accounts({"issuers": ISSUERS}, {"cloud_accounts": {"main": ACCOUNT}})
    assert with_cloud_accounts(once, {}) == once


def test_without_issuers_nothing_is_read():
    assert with_cloud_accounts({"request": {}}, {}) == {"request": {}}
