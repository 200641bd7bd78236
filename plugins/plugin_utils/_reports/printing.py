# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where tables are printed: on a terminal, and not into the output of a program."""

from __future__ import annotations

import typing as t

from ansible import constants

# The last parts of the names of callbacks whose output programs read: ansible.posix.json, ansible.posix.jsonl, community.general.null.
MACHINE_CALLBACKS = ("json", "jsonl", "null")


# not a parser: the name is a setting of the controller
def is_for_people(callback: str) -> bool:
    """Return whether the callback of standard output, by its name, prints for people.

    >>> is_for_people("ansible.builtin.default"), is_for_people("ansible.posix.jsonl")
    (True, False)
    """
    return callback.rpartition(".")[2] not in MACHINE_CALLBACKS


def printer(display: t.Callable[[str], t.Any]) -> t.Callable[[str], t.Any]:
    """Return a function that displays a text, or does nothing where programs read the standard output of this run."""
    callback = constants.config.get_config_value("DEFAULT_STDOUT_CALLBACK")
    return display if is_for_people(str(callback)) else _ignore


def _ignore(text: str) -> None:
    """Display nothing."""
