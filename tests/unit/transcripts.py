# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that are only recorded: what their programs print and what is in their files."""

from __future__ import annotations

import fnmatch
import subprocess


class RecordedHost:
    """A host of which it is known what its programs print and what its files hold."""

    def __init__(self, programs=(), prints=(), files=()):
        self.programs = {*programs, *(words.split()[0] for words in dict(prints))}
        self.prints = dict(prints)
        self.files = dict(files)
        self.asked = []
        self.visits = 0

    def visit(self, looks):
        """Answer as firewall_commands does."""
        self.visits += 1
        answers = []
        for look in looks:
            if all(self.note(question, answers) for question in look.needs):
                for question in look.asks:
                    self.note(question, answers)
                break
        return answers

    def note(self, question, answers):
        told = self.tell(question)
        answers.append([list(question), told])
        return told[0] == 0 if question[0] == "run" else bool(told)

    def tell(self, question):
        kind, *words = question
        return {"has": self.has, "run": self.run, "read": self.read}[kind](*words)

    def has(self, program):
        return program in self.programs

    def run(self, *argv):
        if argv[0] == "grep":  # the one program that every machine has
            if argv[-1] not in self.files:
                return [2, f"grep: {argv[-1]}: No such file or directory"]
            return [
                subprocess.run([*argv[:-1], "-"], input=self.files[argv[-1]], text=True, check=False).returncode,
                "",
            ]
        self.asked.append(" ".join(argv))
        printed = self.prints.get(" ".join(argv), (1, "unknown option"))
        return [0, printed] if isinstance(printed, str) else list(printed)

    def read(self, pattern):
        return {path: text for path, text in self.files.items() if fnmatch.fnmatchcase(path, pattern)}
