# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why Ansible or a module could not work on a host, as a sentence with the remedy."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

PLAYBOOK_PYTHON = 'set ansible_python_interpreter: "{{ ansible_playbook_python }}" for this host'
PROGRAM_NOT_FOUND = 127  # the exit status of a shell that does not find a program


# not a parser: it accepts any text, or raises TlsError
def why_lost(message: str) -> str:
    """Return why Ansible could not work on a host, with the remedy, from the message of AnsibleConnectionFailure."""
    last = (_last_line(message) or "no reason given").strip().rstrip(".")
    if "No space left" in message:
        return "the host has no space left for what Ansible puts there; free some, and run this again"
    if "temporary directory" in message:
        return f"Ansible cannot make its folder on the host: {last}; see who may write to remote_tmp there"
    last = last.removeprefix("Failed to connect to the host via ssh: ")
    if "could not be sent" in last:
        last = last.partition("over ssh:")[2].strip() or "the connection broke off"
    return f"the host cannot be reached: {last}; see that it runs, and that ansible_host is right, and run this again"


def why_silent(module: str, result: dict[str, t.Any], is_local: bool = False) -> str:
    """Return why a module gave no result, with the remedy.

    result: what ActionBase returns for output that is not JSON, with the keys module_stdout, module_stderr and rc.
    is_local: whether the host is the controller, where ansible-playbook has a Python that works.
    """
    printed, error = (_last_line(result.get(stream)) for stream in ("module_stdout", "module_stderr"))
    if result.get("rc") == PROGRAM_NOT_FOUND:
        why = _line_with("not found", result.get("module_stderr")) or error or printed
        remedy = PLAYBOOK_PYTHON if is_local else "install it there, or correct ansible_python_interpreter"
        return f"Ansible finds no Python on the {'controller' if is_local else 'host'}: {why}; {remedy}, and run this again"
    if printed:
        return f"{module} gives no answer on the host, and the last that it prints is {error or printed}; see what its Python does, with -vvv"
    return (
        f"the host was lost: {module} ended without an answer ({error or 'exit status ' + str(result.get('rc'))}); "
        "see that it runs, and what ends programs there or ssh here, and run this again"
    )


# not a parser: it accepts any text, or raises TlsError
def _last_line(printed: t.Any) -> str:
    """Return the last line of what was printed on a host, without control characters."""
    lines = str(printed or "").strip().splitlines()
    return escape_control_characters(shorten(lines[-1].strip())) if lines else ""


# not a parser: it accepts any text
def _line_with(words: str, printed: t.Any) -> str:
    """Return the first line with these words of what was printed on a host, as _last_line() does; an empty text without one."""
    return _last_line(next((line for line in str(printed or "").splitlines() if words in line), ""))
