# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which parts of a task the tags of a run select. Ansible itself can only run a task or leave it out."""

from __future__ import annotations

import typing as t

from ansible.playbook.block import Block
from ansible.playbook.task import Task


def selected_tags(task: Task, tags: t.Sequence[str], task_vars: dict[str, t.Any]) -> set[str]:
    """Return those of *tags* whose tasks Ansible would run, if *task* were one task for each of them.

    Other tags of *task*, which may come from a play, a block or a role, are tags of each of these tasks; C(always) is not.
    """
    others = [tag for tag in task.tags if tag not in ("always", *tags)]
    run_tags, skip_tags = task_vars.get("ansible_run_tags") or ["all"], task_vars.get("ansible_skip_tags") or []

    def is_selected(tag: str) -> bool:
        single = Task(block=Block())
        single.tags = [*others, tag]
        return single.evaluate_tags(run_tags, skip_tags, {})

    return {tag for tag in tags if is_selected(tag)}
