# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that is only recorded: what its programs print, and what is in its files."""

from __future__ import annotations

import fnmatch
import subprocess


class RecordedHost:
    """A host that answers queries from what was recorded.

    prints: outputs by command, or pairs of exit status and output.
    files: texts by path.
    """

    def __init__(self, programs=(), prints=(), files=()):
        self.programs = {*programs, *(command.split()[0] for command in dict(prints))}
        self.prints = dict(prints)
        self.files = dict(files)
        self.commands = []  # that were run
        self.visits = 0

    def run_queries(self, query_sets):
        """Return the results of queries, as firewall_commands does."""
        self.visits += 1
        results = []
        for one in query_sets:
            if all(self._add_result(query, results) for query in one.conditions):
                for query in one.queries:
                    self._add_result(query, results)
                break
        return results

    def _add_result(self, query, results):
        """Add the result of a query, and say whether it succeeded."""
        result = self.result_of(query)
        results.append([list(query), result])
        return result[0] == 0 if query[0] == "run" else bool(result)

    def result_of(self, query):
        """Return the result of a query."""
        kind, *words = query
        return {"has": self._has, "run": self._run, "read": self._read}[kind](*words)

    def _has(self, program):
        return program in self.programs

    def _run(self, *argv):
        if argv[0] == "grep":  # which every host has
            path = argv[-1]
            if path not in self.files:
                return [2, f"grep: {path}: No such file or directory"]
            ended = subprocess.run([*argv[:-1], "-"], input=self.files[path], text=True, check=False)
            return [ended.returncode, ""]
        self.commands.append(" ".join(argv))
        printed = self.prints.get(" ".join(argv), (1, "unknown option"))
        return [0, printed] if isinstance(printed, str) else list(printed)

    def _read(self, pattern):
        return {path: text for path, text in self.files.items() if fnmatch.fnmatchcase(path, pattern)}
