# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One task that does several things does what the tags of the run select, as if it were several tasks."""

from __future__ import annotations

import pytest
from ansible.playbook.block import Block
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.tags import selected_tags

PARTS = ("firewall", "nginx", "certificates")


@pytest.mark.parametrize(
    ("run_tags", "skip_tags", "selected"),
    [
        (["all"], [], {*PARTS}),
        ([], [], {*PARTS}),
        (["firewall"], [], {"firewall"}),
        (["firewall", "nginx"], [], {"firewall", "nginx"}),
        (["verify"], [], set()),
        (["tagged"], [], {*PARTS}),
        (["untagged"], [], set()),
        (["all"], ["firewall"], {"nginx", "certificates"}),
        (["nginx"], ["nginx"], set()),
        (["all"], ["all"], set()),
        (["all"], ["verify"], {*PARTS}),
    ],
)
@pytest.mark.parametrize("own", [["always"], ["certificates"], []])
def test_each_part_is_selected_as_a_task_with_its_tag_would_be(run_tags, skip_tags, selected, own):
    task = Task(block=Block())
    task.tags = own
    assert selected_tags(task, PARTS, {"ansible_run_tags": run_tags, "ansible_skip_tags": skip_tags}) == selected


def test_whoever_selects_the_tag_of_a_play_selects_all_parts():
    task = Task(block=Block())
    task.tags = ["always", "web"]
    assert selected_tags(task, PARTS, {"ansible_run_tags": ["web"]}) == {*PARTS}
    assert selected_tags(task, PARTS, {"ansible_run_tags": ["web"], "ansible_skip_tags": ["nginx"]}) == {
        "firewall",
        "certificates",
    }
    assert selected_tags(task, PARTS, {"ansible_run_tags": ["mail"]}) == set()
    assert selected_tags(task, PARTS, {"ansible_run_tags": ["all"], "ansible_skip_tags": ["web"]}) == set()
