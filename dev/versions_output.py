# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of ansible-playbook printed: its warnings one by one, and its recap."""

from __future__ import annotations

import re
import typing as t

MESSAGE = re.compile(r"^\[[A-Z ]+\]: ", re.MULTILINE)  # [WARNING]: …, [DEPRECATION WARNING]: …, [ERROR]: …
PYTHON_WARNING = re.compile(r"^(\S+):\d+: \w+Warning: .*\n(?:  .*\n)?", re.MULTILINE)
OWN_CODE = "/ansible_collections/evergreen/tls/"
RECAP = re.compile(
    r"^(?P<host>\S+) +: ok=\d+ +changed=(?P<changed>\d+) +unreachable=(?P<unreachable>\d+) +failed=(?P<failed>\d+) ",
    re.MULTILINE,
)

# A warning within what goes to standard output, an object of Ansible instead of its text, and a traceback.
MISPLACED = re.compile(
    r".*(?:WARNING\]:|Traceback \(most recent call last\)|\b(?:Warning|Deprecation|Error)Summary\(|\bEvent\(msg=|"
    r"<ansible\.|<class '| object at 0x).*"
)


class HostRecap(t.NamedTuple):
    """The numbers of tasks of a host in the recap of a run."""

    changed: int
    unreachable: int
    failed: int


def read_recap(printed: str) -> dict[str, HostRecap]:
    """Return the recap at the end of standard output, by host."""
    return {
        match["host"]: HostRecap(int(match["changed"]), int(match["unreachable"]), int(match["failed"]))
        for match in RECAP.finditer(printed)
    }


def read_messages(complaints: str) -> list[str]:
    """Return the messages on standard error, each on one line.

    What stands before the first of them is a message as well. Warnings of Python about code that is not ours are left out.
    """
    python_warnings = [match[0] for match in PYTHON_WARNING.finditer(complaints) if OWN_CODE in match[1]]
    text = PYTHON_WARNING.sub("", complaints)
    starts = [0, *(match.start() for match in MESSAGE.finditer(text)), len(text)]
    messages = [text[start:end] for start, end in zip(starts, starts[1:])]
    return [line for line in (" ".join(message.split()) for message in [*messages, *python_warnings]) if line]


def problems(printed: str, complaints: str, expected: t.Iterable[str]) -> list[str]:
    """Return what a run should not have printed, and what it should have, a sentence each.

    expected: a regular expression for each message on standard error.
    """
    messages, faults = read_messages(complaints), []
    for pattern in expected:
        matching = [message for message in messages if re.search(pattern, message)]
        if matching:
            messages.remove(matching[0])
        else:
            faults.append(f"no message matches {pattern}")
    faults += [f"this message is not expected: {message}" for message in messages]
    return faults + [f"this should not be printed: {match[0].strip()}" for match in MISPLACED.finditer(printed)]
