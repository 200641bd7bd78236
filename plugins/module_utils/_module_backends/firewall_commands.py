# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work of the module firewall_commands: run commands on a host, and answer queries."""

from __future__ import annotations

import glob
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import Module, ModuleResult
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    locked,
    read_file,
    remove_temporary_files,
    replace_file,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import PathUse, resolved_file
from ansible_collections.evergreen.tls.plugins.module_utils._wire import WIRE_ENCODING, from_wire, to_wire

LOCK_FILE = (
    "/run/evergreen-firewall.lock"  # which root alone can open; a folder such as /etc could be locked by anybody
)

# The one definition of the options of firewall_commands. Described for people in plugins/modules/firewall_commands.yml.
OPTIONS: dict[str, dict[str, t.Any]] = {
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


Query = list[str]  # has PROGRAM, run PROGRAM ARGUMENT..., or read PATTERN; as it travels (_wire.py)
QueryResult = t.Any  # has: bool; run: exit status and output; read: text by path


class QuerySet(t.TypedDict):
    """Queries that run if all conditions hold."""

    conditions: list[Query]
    queries: list[Query]


class Command(t.TypedDict):
    """A program to run, and the file that gets the content of its standard input if the program succeeds."""

    argv: list[str]
    stdin: str | None
    path: str | None


class Options(t.TypedDict):
    """The options of the module; see OPTIONS."""

    query_sets: list[QuerySet]
    commands: list[Command]
    preconditions: list[list[t.Any]]  # queries with their expected results  # queries with their expected results


class Result(ModuleResult, total=False):
    """What the module returns."""

    host_state: list[list[t.Any]]  # queries with their results


def decide(module: Module) -> Result:
    """Run the commands if the preconditions hold, and return the results of the queries after that."""
    if os.geteuid() != 0:
        raise TlsError("only root can read and change a firewall; run this with become")
    options = t.cast(Options, module.params)
    host = LocalHost(module)
    commands = options["commands"]
    if module.check_mode or any(host.run_query(query) != expected for query, expected in options["preconditions"]):
        commands = []
    for command in commands:
        run_firewall_command(host, command)
    host_state: list[list[t.Any]] = []
    for query_set in options["query_sets"]:
        if all(add_result(host, query, host_state) for query in query_set["conditions"]):
            for query in query_set["queries"]:
                add_result(host, query, host_state)
            break
    return {"changed": bool(commands), "host_state": host_state}


class LocalHost:
    """The host that the module runs on."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def run_query(self, query: Query) -> QueryResult:
        """Return the result of a query."""
        kind, *words = map(from_wire, query)
        queries: dict[str, t.Callable[..., QueryResult]] = {"has": self.has, "run": self.run, "read": self.read}
        return queries[kind](*words)

    def has(self, program: str) -> bool:
        """Return whether a program is installed."""
        return self.module.get_bin_path(program) is not None

    def run(self, *argv: str, stdin: str | None = None) -> list[t.Any]:
        """Run a program and return its exit status and output."""
        status, output = run_command([self.module.get_bin_path(argv[0]) or argv[0], *argv[1:]], stdin)
        return [status, to_wire(output)]

    # not a parser: it accepts any text, or raises TlsError
    def read(self, pattern: str) -> dict[str, str]:
        """Return the text of each file that matches a pattern, by its path."""
        contents = {path: read_file(path) for path in sorted(glob.glob(pattern)) if os.path.isfile(path)}
        return {to_wire(path): (content or b"").decode(WIRE_ENCODING) for path, content in contents.items()}


def add_result(host: LocalHost, query: Query, host_state: list[list[t.Any]]) -> bool:
    """Add a query with its result; return whether it holds.

    It does if the program exists or succeeds, or a file matches.
    """
    result = host.run_query(query)
    host_state.append([query, result])
    return result[0] == 0 if query[0] == "run" else bool(result)


# not a parser: it reads what the collection has made or checked
def run_firewall_command(host: LocalHost, command: Command) -> None:
    """Run a command, and replace its file if the program succeeds. Raises TlsError if the program fails."""
    argv, stdin, path = command["argv"], command["stdin"], command["path"]
    status, output = host.run(*map(from_wire, argv), stdin=None if stdin is None else from_wire(stdin))
    if status:
        subject = f"the new content of {path}, and the old one is still in place" if path else "this"
        raise TlsError(f"`{' '.join(argv)}` refused {subject}: {from_wire(output)}; put that right and run this again")
    if path:
        path = resolved_file(from_wire(path), PathUse("firewall"))  # so nobody but root can exchange anything there
        with locked(LOCK_FILE):
            remove_temporary_files(path)
            old = os.stat(path)
            content = (stdin or "").encode(WIRE_ENCODING)
            replace_file(path, content, old.st_mode & 0o7777, old.st_uid, old.st_gid)
