# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions about a host, and steps that are taken there, as long as nobody else changes what they rest on."""

from __future__ import annotations

import glob
import os

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    locked,
    read_file,
    remove_temporary_files,
    replace_file,
)
from ansible_collections.evergreen.tls.plugins.module_utils._wire import WIRE_ENCODING, from_wire, to_wire

# The one definition of the options of firewall_commands. Described for people in plugins/modules/firewall_commands.yml.
OPTIONS = {
    "query_sets": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "conditions": {"type": "list", "elements": "list", "default": []},
            "queries": {"type": "list", "elements": "list", "default": []},
        },
    },
    "commands": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "argv": {"type": "list", "elements": "str", "required": True},
            "stdin": {"type": "str"},
            "path": {"type": "path"},
        },
    },
    "preconditions": {"type": "list", "elements": "list", "default": []},
}


def decide(module):
    """Take the steps, if any, and return the answers that there are then."""
    if os.geteuid() != 0:
        raise TlsError("only root can read and change a firewall; run this with become")
    host, answers = ThisHost(module), []
    steps = module.params["commands"]
    if module.check_mode or any(host.tell(question) != told for question, told in module.params["preconditions"]):
        steps = []
    for step in steps:
        take(host, **step)
    for look in module.params["query_sets"]:
        if all(note(host, question, answers) for question in look["conditions"]):
            for question in look["queries"]:
                note(host, question, answers)
            break
    return {"changed": bool(steps), "host_state": answers}


class ThisHost:
    """The machine that this runs on."""

    def __init__(self, module):
        self.module = module

    def tell(self, question):
        """Return the answer to a question."""
        kind, *words = map(from_wire, question)
        return {"has": self.has, "run": self.run, "read": self.read}[kind](*words)

    def has(self, program):
        """Say whether a program is installed."""
        return self.module.get_bin_path(program) is not None

    def run(self, *argv, stdin=None):
        """Return the exit status of a program and what it printed."""
        status, output = run_command([self.module.get_bin_path(argv[0]) or argv[0], *argv[1:]], stdin)
        return [status, to_wire(output)]

    # not a parser: it accepts any text, or raises TlsError
    def read(self, pattern):
        """Return the texts of the files that fit a pattern, by their paths."""
        contents = {path: read_file(path) for path in sorted(glob.glob(pattern)) if os.path.isfile(path)}
        return {to_wire(path): (content or b"").decode(WIRE_ENCODING) for path, content in contents.items()}


def note(host, question, answers):
    """Add the answer to a question, and say whether it is a good one: the program is there, or ended well, or files were found."""
    told = host.tell(question)
    answers.append([question, told])
    return told[0] == 0 if question[0] == "run" else bool(told)


# not a parser: it reads what the collection has made or checked
def take(host, argv, stdin, path):
    """Do one step; a file is replaced only when the firewall's own program accepts its new content."""
    status, output = host.run(*map(from_wire, argv), stdin=None if stdin is None else from_wire(stdin))
    if status:
        subject = f"the new content of {path}, and the old one is still in place" if path else "this"
        raise TlsError(f"`{' '.join(argv)}` refused {subject}: {from_wire(output)}; put that right and run this again")
    if path:
        path = os.path.realpath(from_wire(path))
        with locked(os.path.dirname(path), is_folder=True):
            remove_temporary_files(path)
            old = os.stat(path)
            replace_file(path, stdin.encode(WIRE_ENCODING), old.st_mode & 0o7777, old.st_uid, old.st_gid)
