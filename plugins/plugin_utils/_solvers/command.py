# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver command: a program of the user's shows the answers, whatever provider or server that takes.

It is called once for each answer, and learns what to do from its environment and, the same in JSON, from its standard input.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import DNS, HTTP, Answer, check_challenge
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns01 import WAITING, DnsAnswers
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import Place
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import kill_process_group

SHOWN = 400  # characters of what a program said, the last ones


class Command(DnsAnswers):
    """Have a program show answers and take them away."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **WAITING,
        "present": {"type": "raw", "required": True},
        "clean_up": {"type": "raw"},
        "environment": {"type": "dict", "default": {}, "no_log": True},
        "challenge": {"type": "str", "choices": [DNS, HTTP], "default": DNS},
        "limit": {"type": "str", "default": "2m"},
    }

    def __init__(
        self,
        present: t.Any,
        clean_up: t.Any,
        environment: dict[str, t.Any],
        challenge: str,
        limit: str,
        **waiting: t.Any,
    ) -> None:
        super().__init__(**waiting)
        self.CHALLENGE = challenge
        self.present_words = words_of(present, "present")
        self.clean_up_words = words_of(clean_up, "clean_up") if clean_up else None
        self.environment = {str(name): str(value) for name, value in environment.items()}
        self.limit = duration(limit).total_seconds()

    def check(self, domains: list[str]) -> None:
        """Make sure that the programs are there, and that each domain is one that CAs can ask about."""
        check_challenge(self.CHALLENGE, domains)
        for words in (self.present_words, self.clean_up_words):
            if words and not shutil.which(words[0]):
                raise TlsError(
                    f"the program {words[0]} of the solver is not on the controller, or may not be run there; install it, or write "
                    "its absolute path"
                )
        if self.CHALLENGE == DNS:
            super().check(domains)

    def present(self, answers: list[Answer]) -> None:
        if self.CHALLENGE == DNS:
            super().present(answers)
        else:
            for answer in answers:
                self._run("present", self.present_words, answer, None)

    def add(self, place: Place, answer: Answer) -> None:
        self._run("present", self.present_words, answer, place)

    def remove(self, place: Place | None, answer: Answer) -> None:
        if self.clean_up_words:
            self._run("clean_up", self.clean_up_words, answer, place)

    def _place(self, domain: str) -> Place | None:
        return super()._place(domain) if self.CHALLENGE == DNS else None

    # not a parser: it only passes on foreign input
    def _run(self, action: str, words: list[str], answer: Answer, place: Place | None) -> None:
        told = what_to_do(action, answer, place)
        environment = {f"EVERGREEN_{name.upper()}": value for name, value in told.items()}
        what = (
            f"the program {words[0]} of the solver, told to {action.replace('_', ' ')} the answer for {answer.domain},"
        )
        with tempfile.TemporaryFile() as output:
            try:
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self.environment, **environment},
                    start_new_session=True,  # so that it can be ended with all that it has started
                )
            except OSError as error:
                raise TlsError(f"{what} cannot be run: {error.strerror}; correct that") from error
            try:
                process.communicate(json.dumps(told).encode(), timeout=self.limit)
            except subprocess.TimeoutExpired as error:
                raise TlsError(
                    f"{what} did not end within {self.limit:.0f} s{_said(output)}; see what it waits for, or give it more time by the "
                    "solver's limit"
                ) from error
            finally:
                kill_process_group(process)
            if process.returncode:
                raise TlsError(
                    f"{what} failed with the status {process.returncode}{_said(output)}; correct what it complains of"
                )


def what_to_do(action: str, answer: Answer, place: Place | None) -> dict[str, str]:
    """Return what a program has to know; in its environment the words are in capitals and begin with EVERGREEN_."""
    told = {"action": action, "challenge": answer.challenge, "domain": answer.domain, "token": answer.token}
    if place is None:
        return {**told, "key_authorization": answer.key_authorization}
    return {**told, "record": place.name, "zone": place.zone, "value": answer.validation}


def words_of(command: t.Any, option: str) -> list[str]:
    """Return the words of a command that was written as a list or as one line, without a shell's powers."""
    try:
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    except (TypeError, ValueError) as error:
        raise TlsError(f"{option} of the solver is no command: {error}; write a list of words") from error
    if not words or not words[0]:
        raise TlsError(f"{option} of the solver is empty; write the program and its arguments")
    return words


# not a parser: it accepts any text, or raises TlsError
def _said(output: t.BinaryIO) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 4 * SHOWN))
    text = escape_as_one_line(output.read().decode("utf-8", "replace"))
    return f": {text[-SHOWN:]}" if text else ""
