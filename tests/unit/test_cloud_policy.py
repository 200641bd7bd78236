# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy in docs/cloud.md allows the calls that services for certificates make, and denies those that return keys."""

from __future__ import annotations

import json
import pathlib
import re

from ansible_collections.evergreen.tls.tests.unit.tencent_api import API

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROVIDER = ROOT / "plugins/plugin_utils/_providers/tencent"
FILES = ("certificates.py", "cdn.py", "edgeone.py", "clb.py")


def policy():
    text = (ROOT / "docs/cloud.md").read_text(encoding="utf-8")
    statements = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])["statement"]
    actions = {"allow": set(), "deny": set()}
    for statement in statements:
        actions[statement["effect"]].update(statement["action"])
    return actions


def called():
    """Return the actions that stand in the source of the services."""
    known = {action: service for service, one in API.items() for action in one["actions"]}
    sources = [(PROVIDER / name).read_text(encoding="utf-8") for name in FILES]
    words = {word for source in sources for word in re.findall(r'"([A-Z][A-Za-z]+)"', source)}
    return {f"{known[word]}:{word}" for word in words if word in known}


def test_what_is_called_is_allowed_and_nothing_else():
    assert len(called()) > 10
    assert policy()["allow"] == called()


def test_what_returns_keys_is_denied():
    assert policy()["deny"] == {"ssl:DescribeCertificateDetail", "ssl:DownloadCertificate"}
