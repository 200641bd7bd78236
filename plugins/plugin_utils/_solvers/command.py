# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver command: a program of the user presents responses, for any DNS provider or web server.

It runs once for each response. Its environment, and JSON on its standard input, tell it what to do.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import shutil
import subprocess
import threading
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount, ChallengeFiles
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import (
    DNS_01,
    HTTP_01,
    ChallengeResponse,
    check_challenge,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns01 import DNS_SETTINGS, DnsSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import RecordLocation
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import error_of, raise_errors
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import kill_process_group

MAX_OUTPUT_CHARACTERS = 400  # of a program's output in an error, the last ones
READ_BYTES = 65536
END_TIMEOUT_S = 1.0  # for the last words of a program that has ended


class CommandSolver:
    """Let a program present and remove responses, by DNS or over HTTP."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **DNS_SETTINGS,
        "present": {"type": "raw", "required": True},
        "clean_up": {"type": "raw"},
        "environment": {"type": "dict", "default": {}, "no_log": True},
        "challenge": {"type": "str", "choices": [DNS_01, HTTP_01], "default": DNS_01},
        "limit": {"type": "str", "default": "2m"},
    }

    def __init__(
        self,
        account: AcmeAccount,
        present: t.Any,
        clean_up: t.Any,
        environment: dict[str, t.Any],
        challenge: str,
        limit: str,
        **dns_settings: t.Any,
    ) -> None:
        self.challenge_type = challenge
        self.programs = Programs(present, clean_up, environment, limit)
        self.records = ProgramRecords(self.programs, **dns_settings)
        self.dns = self.records.dns
        self.has_view_of_ca = True

    def check(self, domains: list[str]) -> None:
        """Check that the programs can be run, and that the domains have zones if they present by DNS."""
        check_challenge(self.challenge_type, domains)
        self.programs.check()
        if self.challenge_type == DNS_01:
            self.records.check(domains)

    def find_obstacles(self, domains: list[str], deadline: float) -> list[Finding]:
        """Return what keeps the programs from being run, and what DNS says. Over HTTP, only the programs know the way."""
        error = error_of(self.programs.check)
        if error:
            return [Finding("blocks", "solver.command", error)]
        return self.records.find_obstacles(domains, deadline) if self.challenge_type == DNS_01 else []

    def present(self, responses: list[ChallengeResponse]) -> None:
        """Run the program present for each response. By DNS, wait until all name servers have the records."""
        if self.challenge_type == DNS_01:
            self.records.present(responses)
        else:
            for response in responses:
                self.programs.present(response)

    def clean_up(self, responses: list[ChallengeResponse]) -> None:
        """Run the program clean_up, if there is one, for each response."""
        if self.challenge_type == DNS_01:
            self.records.clean_up(responses)
        else:
            raise_errors([error_of(functools.partial(self.programs.clean_up, response)) for response in responses])

    def challenge_files(self, responses: list[ChallengeResponse], host: str) -> list[ChallengeFiles]:
        """Return nothing: the program does all."""
        return []


class ProgramRecords(DnsSolver):
    """TXT records that programs add and remove."""

    def __init__(self, programs: Programs, **settings: t.Any) -> None:
        super().__init__(**settings)
        self.programs = programs

    def add(self, location: RecordLocation, response: ChallengeResponse) -> None:
        self.programs.present(response, location)

    def remove(self, location: RecordLocation, response: ChallengeResponse) -> None:
        self.programs.clean_up(response, location)


class Programs:
    """The programs of the settings C(present) and C(clean_up)."""

    def __init__(self, present: t.Any, clean_up: t.Any, environment: dict[str, t.Any], limit: str) -> None:
        self.present_argv = argv_of(present, "present")
        self.clean_up_argv = argv_of(clean_up, "clean_up") if clean_up else None
        self.environment = {str(name): str(value) for name, value in environment.items()}
        self.timeout = parse_duration(limit).total_seconds()

    def check(self) -> None:
        """Raise TlsError if a program is missing, or may not be run."""
        for argv in (self.present_argv, self.clean_up_argv):
            if argv and not shutil.which(argv[0]):
                raise TlsError(
                    f"the program {argv[0]} of the solver is not on the controller, or may not be run there; install it, or write "
                    "its absolute path"
                )

    def present(self, response: ChallengeResponse, location: RecordLocation | None = None) -> None:
        """Present a response, at the location of its record if it is presented by DNS."""
        self._run("present", self.present_argv, response, location)

    def clean_up(self, response: ChallengeResponse, location: RecordLocation | None = None) -> None:
        """Remove a response, if there is a program for it."""
        if self.clean_up_argv:
            self._run("clean_up", self.clean_up_argv, response, location)

    # not a parser: it only passes on foreign input
    def _run(self, action: str, argv: list[str], response: ChallengeResponse, location: RecordLocation | None) -> None:
        parameters = program_parameters(action, response, location)
        environment = {f"EVERGREEN_{name.upper()}": value for name, value in parameters.items()}
        subject = (
            f"the program {argv[0]} of the solver, told to {action.replace('_', ' ')} the answer for {response.domain},"
        )
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment, **environment},
                start_new_session=True,  # so that all processes that it starts can be killed with it
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise TlsError(f"{subject} cannot be run: {why}; correct that") from error
        output, is_late = _OutputEnd(process), False
        try:
            _write_input(process, json.dumps(parameters).encode())
            process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            is_late = True
        finally:
            kill_process_group(process)
        if is_late:
            raise TlsError(
                f"{subject} did not end within {self.timeout:.0f} s{output.quoted()}; see what it waits for, or give it more time by the "
                "solver's limit"
            )
        if process.returncode:
            raise TlsError(
                f"{subject} failed with the status {process.returncode}{output.quoted()}; correct what it complains of"
            )


def program_parameters(action: str, response: ChallengeResponse, location: RecordLocation | None) -> dict[str, str]:
    """Return what a program receives as JSON, and in its environment as EVERGREEN_NAME."""
    common = {
        "action": action,
        "challenge": response.challenge_type,
        "domain": response.domain,
        "token": response.token,
    }
    if location is None:
        return {**common, "key_authorization": response.key_authorization}
    return {**common, "record": location.name, "zone": location.zone, "value": response.dns_value}


def argv_of(command: t.Any, option: str) -> list[str]:
    """Return the arguments of a command, which is a list or one line. No shell is involved.

    Raises TlsError if it is malformed.
    """
    try:
        argv = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    except (TypeError, ValueError) as error:
        raise TlsError(f"{option} of the solver is no command: {error}; write a list of words") from error
    if not argv or not argv[0]:
        raise TlsError(f"{option} of the solver is empty; write the program and its arguments")
    return argv


def _write_input(process: subprocess.Popen[bytes], content: bytes) -> None:
    """Write the standard input of a program, which a pipe takes whole, and close it."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # it reads none of it
            process.stdin.write(content)
        with contextlib.suppress(OSError):
            process.stdin.close()


class _OutputEnd:
    """The end of what a program and its children write, which is read in a thread however much it is."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._content = b""
        self._thread = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._thread.start()

    def _read(self, stream: t.IO[bytes]) -> None:
        with stream:
            while part := os.read(stream.fileno(), READ_BYTES):
                self._content = (self._content + part)[-4 * MAX_OUTPUT_CHARACTERS :]

    # not a parser: it accepts any text, or raises TlsError
    def quoted(self) -> str:
        """Return it on one line, after a colon, if there is anything. A child that stays is not waited for."""
        self._thread.join(END_TIMEOUT_S)
        text = escape_as_one_line(self._content.decode("utf-8", "replace"))
        return f": {text[-MAX_OUTPUT_CHARACTERS:]}" if text else ""
