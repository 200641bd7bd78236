# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs modules in processes of their own under strace, which kills them or refuses a system call."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys

from ansible_collections.evergreen.tls.tests.faults.syscalls import TRACED, Call, read_calls

PACKAGE = "ansible_collections.evergreen.tls.plugins.modules"
MODULES = (
    "certificate_export",
    "certificate_install",
    "certificate_remove",
    "certificate_request",
    "firewall_commands",
    "nginx_reload",
    "nginx_sites",
)
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": "ignore"}

# Has imported all that a module needs, also what it would import only when it is needed, and forks for each module. With
# *gated*, the new process waits until it is let go, so that strace sees all that it does, and the same calls in the same
# order each time.
SERVER = f"""
import gc, importlib, json, locale, os, sys, traceback
from ansible.module_utils import basic
sys.dont_write_bytecode = True
locale.setlocale(locale.LC_ALL, "")
importlib.import_module("cryptography.hazmat.backends.openssl.backend")
for profile in ("_module_legacy_c2m", "_module_legacy_m2c"):  # ansible-core 2.19 and later
    try:
        importlib.import_module("ansible.module_utils._internal._json._profiles." + profile)
    except ImportError:
        pass
modules = {{name: importlib.import_module("{PACKAGE}." + name) for name in {MODULES}}}
exec(sys.argv[1])
gc.freeze()
for line in sys.stdin:
    name, arguments, output = json.loads(line)
    reader, writer = os.pipe()
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # here, as strace may already be there later
    process = os.fork()
    if not process:
        os.close(writer)
        os.dup2(target, 1)
        os.dup2(target, 2)
        basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = json.dumps(arguments).encode(), "legacy"
        sys.argv = [name]
        os.read(reader, 1)
        os.close(reader)
        status = 1
        try:
            modules[name].main()
        except SystemExit as ended:
            status = ended.code
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)  # to tidy up all that was imported takes longer than everything before
    os.close(reader)
    os.close(target)
    print(process, flush=True)
    sys.stdin.readline()
    os.write(writer, b"!")
    os.close(writer)
    print(os.waitpid(process, 0)[1], flush=True)
"""

NO_PROCESSES = (
    "from ansible_collections.evergreen.tls.plugins.module_utils._nginx import masters; masters.nginx_pids = list"
)


class Programs:
    """Runs modules one after the other, each in a process of its own."""

    def __init__(
        self,
        sabotage: str = "",
        python: tuple[str, ...] = (sys.executable,),
        inside: tuple[str, ...] = (),
        **environment: str,
    ) -> None:
        """Start the process from which modules are forked.

        sabotage: code that changes the modules before they run. environment: further variables of the modules.
        inside: the command that runs a program in a container.
        """
        self.inside = inside
        # The processes of the machine that runs the tests come and go, and are not those of a host in a folder.
        sabotage = sabotage if inside else f"{NO_PROCESSES}\n{sabotage}"
        self.server = subprocess.Popen(
            [*inside, *python, "-c", SERVER, sabotage],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**ENVIRONMENT, **environment},
            cwd="/",
        )

    def close(self) -> None:
        """End the process that they are forked from."""
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def run(
        self,
        module: str,
        arguments: dict,
        output: str,
        strace: list[str] | None = None,
        log: str = "",
        traced: tuple[str, ...] = TRACED,
    ) -> Run:
        """Run a module to its end; with *strace*, its options, under it."""
        self._say(json.dumps([module, {"ANSIBLE_MODULE_ARGS": arguments}, output]))
        process = self._hear()
        watch = (
            watched(process, [f"--trace={','.join(traced)}", *strace], log, self.inside) if strace is not None else None
        )
        with watch or contextlib.nullcontext():
            self._say("go")
            status = self._hear()
        with open(output, encoding="utf-8") as stream:
            printed = stream.read()
        if not log:
            return Run(status, printed, [])
        with open(log, encoding="ascii") as stream:
            return Run(status, printed, read_calls(stream.read()))

    def _say(self, line: str) -> None:
        self.server.stdin.write(line.encode() + b"\n")
        self.server.stdin.flush()

    def _hear(self) -> int:
        return int(self.server.stdout.readline())


class Run:
    """How a module ended, its output, and its system calls."""

    def __init__(self, status: int, printed: str, calls: list[Call]) -> None:
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        self.printed = printed
        self.calls = calls

    def result(self) -> dict:
        """Return the result of the module: one line of JSON, which never contains a key."""
        assert self.signal is None, f"signal {self.signal}"
        assert self.printed.lstrip().startswith("{") and "Traceback" not in self.printed, self.printed
        assert "PRIVATE KEY" not in self.printed
        result = json.loads(self.printed)
        result.pop("invocation", None)
        return result


@contextlib.contextmanager
def watched(process: int, options: list[str], log: str, inside: tuple[str, ...] = ()):
    """Record the system calls of a process with strace during this context, with further options of strace."""
    argv = [*inside, "strace", "-y", "-xx", "-s", "1000000", "-o", log, *options, "-p", str(process)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as strace:
        first = strace.stderr.readline()
        assert re.search("attached", first), first + strace.stderr.read()
        yield
        strace.stderr.read()
    assert strace.returncode in (0, 128 + 9, -9, 1), strace.returncode


def kill_at(call: Call) -> list[str]:
    """Return the options of strace that kill the process at a system call, before the call has an effect."""
    return [f"--inject={call.name}:signal=KILL:when={call.number}"]


def refuse(call: Call, error: str, from_then_on: bool = False) -> list[str]:
    """Return the options of strace that make a system call fail, once or with all later ones of its name."""
    return [f"--inject={call.name}:error={error}:when={call.number}{'+' if from_then_on else ''}"]
