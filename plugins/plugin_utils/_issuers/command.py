# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The issuer C(type: command): a program on the controller that turns a CSR into a certificate.

It serves Vault, step-ca, AD CS, EJBCA and the CAs of clouds: everything that has a command line.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import selectors
import signal
import subprocess
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import BEGIN
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import absolute_folder, check_home
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import MAX_BYTES
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import NO_CROSS_SIGNING
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import (
    IssuedRecords,
    RecordedIssuer,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import (
    Pending,
    expect_date,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.roots import read_roots
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import IssueRequest, RefusedAnswer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.obstacles import NameChecks
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import kill_process_group

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

EX_TEMPFAIL = 75  # exit status (sysexits.h): a person has to act, ask again later
MAX_MESSAGE_LENGTH = 500  # characters of what a program writes to its standard error, the last ones
READ_BYTES = 65536
POLL_INTERVAL_S = 0.1  # between two looks at the deadline
DRAIN_TIMEOUT_S = 1.0  # after the end of the program
EXIT_POLL_INTERVAL_S = 0.05
NO_MESSAGE = "it said nothing"
# The keys of a request that the program gets, in EVERGREEN_REQUEST: nothing about what happens on the host.
PASSED_KEYS = ("name", "domains", "host", "reason", "type", "size", "curve", "lifetime")


class Command(NameChecks, RecordedIssuer):
    """The issuer C(type: command)."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        "argv": {"type": "list", "elements": "str", "required": True},
        "timeout": {"type": "str", "default": "1m"},
        "environment": {"type": "dict", "default": {}, "no_log": True},
        "roots": {"type": "path"},
        "directory": {"type": "path", "default": "~/.evergreen/command"},
    }
    DEFAULTS: t.ClassVar[dict[str, t.Any]] = {}
    issued_records: IssuedRecords

    def __init__(
        self, argv: list[str], timeout: str, environment: dict[str, t.Any], roots: str | None, directory: str
    ) -> None:
        if not argv or not argv[0]:
            raise TlsError("argv is empty; write the program and its arguments, as a list")
        check_home("argv", argv[0])
        self.argv = [argv[0] if os.sep not in argv[0] else os.path.expanduser(argv[0]), *argv[1:]]
        self.timeout = parse_duration(timeout).total_seconds()
        self.environment = {str(name): str(value) for name, value in environment.items()}
        self.roots_path = roots
        folder = absolute_folder("directory", directory)
        self.cache_directory = os.path.join(folder, "answers")
        self.issued_records = IssuedRecords(os.path.join(folder, "issued"))
        self.cross_signing = NO_CROSS_SIGNING
        self.certificate_files: dict[str, str] = {}
        self.is_public = self.may_add_subject = False
        self.remarks: list[str] = []

    @staticmethod
    def settings_of_name(name: str) -> dict[str, t.Any]:
        """Return no settings."""
        return {}

    def roots(self) -> bytes | None:
        """Return the roots that clients trust, in PEM; None for those of the system."""
        return read_roots(self.roots_path)

    # not a parser: it reads what the collection has made or checked
    def terms(self, request: Request) -> dict[str, t.Any]:
        """Return what decides on a certificate beside the CSR.

        The environment is hashed, since it may hold secrets.
        """
        environment = hashlib.sha256(json.dumps(self.environment, sort_keys=True).encode()).hexdigest()
        return {"argv": self.argv, "environment": environment, "lifetime": request.get("lifetime")}

    def issue(self, request: IssueRequest, csr: bytes, host: str) -> bytes | Pending:
        """Return the PEM that the program prints; Pending when it exits with EX_TEMPFAIL.

        The program gets the CSR on its standard input. Raises TlsError when it fails, prints no certificate, or is too slow.
        """
        passed = {key: request.get(key) for key in PASSED_KEYS} | {"host": host}
        variables = {
            "EVERGREEN_NAMES": json.dumps(request["domains"], ensure_ascii=False),
            "EVERGREEN_REQUEST": json.dumps(passed, ensure_ascii=False),
        }
        status, output, errors = self._run(csr, {**os.environ, **self.environment, **variables})
        program, message = os.path.basename(self.argv[0]), _last_message(errors)
        if status == EX_TEMPFAIL:
            pending_since = request.get("since")
            since = expect_date(pending_since) if pending_since else utc_now().replace(microsecond=0)
            waits = f"{program} waits for somebody (exit status {EX_TEMPFAIL})"
            return Pending(f"{program} says: {message}" if message else waits, since)
        if status:
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with {status}"
            remedy = f"{message or NO_MESSAGE}; correct it and run this again"
            if BEGIN in output:
                raise RefusedAnswer(f"{program} {how}, and the certificate that it printed is refused: {remedy}")
            raise TlsError(f"{program} {how}: {remedy}")
        if BEGIN not in output:
            raise TlsError(
                f"{program} printed no certificate in PEM ({len(output)} bytes): {message or NO_MESSAGE}; have it print one on its "
                f"standard output, or exit with {EX_TEMPFAIL} while somebody has to act"
            )
        return output

    def record(self, request: Request, chain: list[x509.Certificate], host: str) -> None:
        """Write down for whom the certificate was issued."""
        self.issued_records.add(host, request["name"], chain[0])

    def revoke(self, serial_number: str, reason: str, pretend: bool = False) -> bool:
        """Raise TlsError: the CA behind the program revokes. What is named here is not used again."""
        if not pretend:
            self.issued_records.mark_revoked(serial_number, reason)
        raise TlsError(
            f"a certificate of {os.path.basename(self.argv[0])} is revoked with the tools of that CA; its serial number is {serial_number}"
            + self.issued_records.unrecorded_sentence(serial_number)
        )

    def _run(self, csr: bytes, environment: dict[str, str]) -> tuple[int, bytes, bytes]:
        """Run the program; return its exit status, standard output and standard error.

        Its process group is killed afterwards. Raises TlsError.
        """
        try:
            process = subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # a process group of its own
            )
        except (OSError, ValueError) as error:
            raise TlsError(
                f"{self.argv[0]} cannot be run on the controller: {getattr(error, 'strerror', None) or error}; correct argv of the issuer"
            ) from error
        try:
            return self._communicate(process, csr)
        finally:
            kill_process_group(process)
            for stream in _streams(process):
                with contextlib.suppress(OSError):  # a part of the CSR that the program did not read
                    stream.close()

    def _communicate(self, process: subprocess.Popen[bytes], csr: bytes) -> tuple[int, bytes, bytes]:
        """Write the CSR and read the output until the program exits.

        Popen.communicate() would wait for children of the program that keep its output open.
        Raises TlsError after the timeout of the issuer, or when the output is larger than MAX_BYTES.
        """
        deadline = time.monotonic() + self.timeout
        stdin, stdout, stderr = _streams(process)
        output: dict[t.Any, bytes] = {stdout: b"", stderr: b""}
        program, drained = os.path.basename(self.argv[0]), 0.0
        with selectors.DefaultSelector() as selector:
            for stream in output:
                selector.register(stream, selectors.EVENT_READ)
            os.set_blocking(stdin.fileno(), False)
            selector.register(stdin, selectors.EVENT_WRITE)
            while selector.get_map():
                if process.poll() is not None:  # what it has written is read, and not what children write that stay
                    drained = drained or time.monotonic() + DRAIN_TIMEOUT_S
                    if time.monotonic() > drained or not selector.select(0):
                        break
                if time.monotonic() > deadline:
                    raise TlsError(
                        f"{program} was ended after {self.timeout:.0f} s without an answer: "
                        f"{_last_message(output[stderr]) or NO_MESSAGE}; "
                        "see what it waits for, or raise timeout of the issuer"
                    )
                for key, _events in selector.select(POLL_INTERVAL_S):
                    if key.fileobj is stdin:
                        csr = _write_some(stdin, csr)
                        if not csr:
                            selector.unregister(stdin)
                            with contextlib.suppress(OSError):
                                stdin.close()
                        continue
                    part = os.read(key.fd, READ_BYTES)
                    output[key.fileobj] += part
                    if not part:
                        selector.unregister(key.fileobj)
                    if len(output[stdout]) > MAX_BYTES:
                        raise TlsError(
                            f"{program} prints more than {MAX_BYTES} bytes, and chains have a few thousand; see what it prints"
                        )
                    output[stderr] = output[stderr][-MAX_BYTES:]
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise TlsError(
                        f"{program} was ended after {self.timeout:.0f} s: it has answered and does not end; correct that"
                    )
                time.sleep(EXIT_POLL_INTERVAL_S)
        return process.returncode, output[stdout], output[stderr]


def _streams(process: subprocess.Popen[bytes]) -> tuple[t.IO[bytes], t.IO[bytes], t.IO[bytes]]:
    """Return the standard input, output and error of a process, which are pipes."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("the process has no pipes")
    return process.stdin, process.stdout, process.stderr


def _write_some(stream: t.IO[bytes], content: bytes) -> bytes:
    """Write what a pipe takes now; return the rest, nothing when the program has closed its input."""
    try:
        return content[os.write(stream.fileno(), content) :]
    except BlockingIOError:
        return content
    except OSError:  # it closed its standard input
        return b""


# not a parser: it accepts any text, or raises TlsError
def _last_message(errors: bytes) -> str:
    """Return the end of what a program wrote to its standard error, on one line."""
    return escape_as_one_line(errors.decode("utf-8", "replace"))[-MAX_MESSAGE_LENGTH:]
