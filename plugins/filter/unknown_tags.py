# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

from ansible import context

OF_ANSIBLE = {"all", "always", "tagged", "untagged"}
PLAYBOOKS = pathlib.Path(__file__).resolve().parents[2] / "playbooks"


def unknown_tags(run_tags: list[str], known: t.Sequence[str]) -> list[str]:
    """Return the tags of C(--tags), if a playbook of this collection is run by itself and has none of them; else nothing."""
    is_known = bool({*run_tags} & {*OF_ANSIBLE, *known})
    return [] if is_known or not any(_is_own(playbook) for playbook in context.CLIARGS.get("args") or ()) else run_tags


def _is_own(playbook: str) -> bool:
    return playbook.startswith("evergreen.tls.") or pathlib.Path(playbook).resolve().parent == PLAYBOOKS


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"unknown_tags": unknown_tags}
