# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags that a playbook does not have are named where it is run by itself."""

from __future__ import annotations

import pytest
from ansible import context

from ansible_collections.evergreen.tls.plugins.filter.unknown_tags import PLAYBOOKS, FilterModule

KNOWN = ["firewall", "nginx"]
unknown_tags = FilterModule().filters()["unknown_tags"]


@pytest.fixture
def command_line(monkeypatch):
    """Pretend that ansible-playbook was called for a playbook."""
    return lambda *playbooks: monkeypatch.setattr(context, "CLIARGS", {"args": playbooks})


@pytest.mark.parametrize("playbook", ["evergreen.tls.deploy", str(PLAYBOOKS / "deploy.yml")])
@pytest.mark.parametrize(
    ("run_tags", "unknown"),
    [
        (["all"], []),
        (["tagged"], []),
        (["firewall"], []),
        (["firewall", "frewall"], []),
        (["frewall"], ["frewall"]),
        (["frewall", "ngx"], ["frewall", "ngx"]),
    ],
)
def test_tags_of_which_the_playbook_has_none_are_named(command_line, playbook, run_tags, unknown):
    command_line(playbook)
    assert unknown_tags(run_tags, KNOWN) == unknown


@pytest.mark.parametrize("playbooks", [["site.yml"], ["/srv/playbooks/deploy.yml"], []])
def test_a_playbook_of_somebody_elses_may_have_other_tags(command_line, playbooks):
    command_line(*playbooks)
    assert unknown_tags(["mail"], KNOWN) == []


def test_the_playbooks_are_where_they_are_looked_for():
    assert (PLAYBOOKS / "deploy.yml").exists()
