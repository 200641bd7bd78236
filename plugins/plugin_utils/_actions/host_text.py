# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of a host in the results of modules, in the form in which people read it.

Ansible prints messages, warnings and headers of diffs as they are. A line break in one of them would begin a line of the output, such as
the failure of another host or the recap of the play.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import MAX_TEXT_CHARACTERS, shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import (
    escape_control_characters,
    shorten_lines,
)

# In these a module of the collection says a sentence of its own, which may name a certificate, paths and what to do.
SENTENCES = ("msg", "reason")
MAX_SENTENCE_CHARACTERS = 2 * MAX_TEXT_CHARACTERS
MAX_WARNINGS = 20
MAX_DIFF_LINES = 10_000  # of the content before, and after
MAX_TRACEBACK_LINES = 100
MAX_RESULT_VALUES = 200_000  # texts, numbers, lists and dictionaries of one result

# Values that others than people read: other tasks go on with them, or whole results are in them.
CARRIED = ("chain", "chain_before", "csr", "host_state", "public_key", "results")
DIFF_CONTENTS = ("before", "after")
DIFF_HEADERS = ("before_header", "after_header")

# Ansible itself adds these to the result of a module, and shows them.
# AnsibleModule.add_path_info adds what it knows of the file to a result with a path.
ADDED_BY_ANSIBLE: dict[str, type] = {
    "_ansible_parsed": bool,
    "exception": str,
    "gid": int,
    "group": str,
    "invocation": dict,
    "mode": str,
    "module_stderr": str,
    "owner": str,
    "rc": int,
    "secontext": str,
    "size": int,
    "state": str,
    "uid": int,
}


def sentence(text: str, maximum: int = MAX_SENTENCE_CHARACTERS) -> str:
    r"""Return a sentence of a host on one line, without control characters.

    >>> sentence("one\nfatal: [web2]\x1b")
    'one fatal: [web2]?'
    """
    escaped = escape_control_characters(text, keep_line_breaks=True, keep_tabs=True)
    return shorten(" ".join(escaped.split()), maximum)


def readable_values(value: t.Any, maximum: int = MAX_TEXT_CHARACTERS) -> t.Any:
    """Return a value with each text in it on one line, and as short as people read those of others. What is CARRIED stays."""
    if isinstance(value, dict):
        return {
            sentence(str(key), MAX_TEXT_CHARACTERS): one
            if key in CARRIED
            else readable_values(one, MAX_SENTENCE_CHARACTERS if key in SENTENCES else MAX_TEXT_CHARACTERS)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [readable_values(one, maximum) for one in value]
    return sentence(value, maximum) if isinstance(value, str) else value


def readable_warnings(warnings: list[str]) -> list[str]:
    """Return the warnings of a host, MAX_WARNINGS of them at most, and the number of the others."""
    readable = [sentence(text, MAX_TEXT_CHARACTERS) for text in warnings[:MAX_WARNINGS]]
    more = len(warnings) - MAX_WARNINGS
    return [*readable, f"the host has {more} more warnings; look at what it is doing"] if more > 0 else readable


def readable_diff(diff: dict[str, t.Any]) -> dict[str, str]:
    """Return a diff of a host with the keys that modules of the collection give it. Only content keeps line breaks and tabs."""
    headers = {key: sentence(diff[key], MAX_TEXT_CHARACTERS) for key in DIFF_HEADERS if isinstance(diff.get(key), str)}
    contents = {key: _content(diff[key]) for key in DIFF_CONTENTS if isinstance(diff.get(key), str)}
    return {**contents, **headers}


def _content(text: str) -> str:
    lines = text.split("\n", MAX_DIFF_LINES)
    if len(lines) > MAX_DIFF_LINES:
        more = lines.pop().count("\n") + 1
        lines += [f"… {more} more lines", ""]
    return escape_control_characters(shorten_lines("\n".join(lines)), keep_line_breaks=True, keep_tabs=True)


def added_by_ansible(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the values of a result that Ansible adds, in the form in which people read them. Those of another type are left out."""
    added: dict[str, t.Any] = {}
    for key, kind in ADDED_BY_ANSIBLE.items():
        value = result.get(key)
        if key == "exception" and isinstance(value, str):
            added[key] = "\n".join(shorten_lines(value).split("\n")[-MAX_TRACEBACK_LINES:])
        elif isinstance(value, kind):
            added[key] = readable_values(value)
    return added


def check_size(module: str, result: dict[str, t.Any]) -> None:
    """Raise TlsError if a result has more values than any host has a use for."""
    count, nested = 0, [t.cast(t.Any, result)]
    while nested:
        value = nested.pop()
        if isinstance(value, (dict, list)):
            count += len(value)
            nested.extend(value.values() if isinstance(value, dict) else value)
        if count > MAX_RESULT_VALUES:
            raise TlsError(
                f"the host answers {module} with more than {MAX_RESULT_VALUES} values; look at what it is doing"
            )
