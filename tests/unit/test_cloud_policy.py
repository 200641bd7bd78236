# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy in docs/cloud.md allows what is called, and denies what returns private keys."""

from __future__ import annotations

import json
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
RETURNS_KEYS = {"ssl:DescribeCertificateDetail", "ssl:DownloadCertificate"}
NEEDS_NO_RIGHT = {"sts:AssumeRole"}  # the role says who may assume it


def statements():
    (policy,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs/cloud.md").read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(policy)["statement"]


def called_actions():
    """Return the actions that the plugins call: quoted names of actions in files that use the client."""
    described = json.loads((ROOT / "tests/unit/tencent_api.json").read_text(encoding="utf-8"))
    known = {action: service for service, one in described.items() for action in one["actions"]}
    called = set()
    for path in (ROOT / "plugins").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "tencent" in text:
            called |= {
                f"{known[action]}:{action}" for action in re.findall(r'"([A-Z][A-Za-z]+)"', text) if action in known
            }
    return called


def test_the_policy_allows_exactly_what_is_called():
    allowed = {action for one in statements() if one["effect"] == "allow" for action in one["action"]}
    called = called_actions()
    assert len(called) > 25
    assert allowed == called - NEEDS_NO_RIGHT


def test_the_policy_denies_what_returns_private_keys():
    (denied,) = (set(one["action"]) for one in statements() if one["effect"] == "deny")
    assert denied == RETURNS_KEYS


def test_nothing_that_returns_private_keys_is_in_a_plugin():
    for path in (ROOT / "plugins").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not any(action.partition(":")[2] in text for action in RETURNS_KEYS), path
