# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run Chromium with a fresh home and profile, and speak its protocol over two pipes.

The protocol is described at https://chromedevtools.github.io/devtools-protocol/. Pipes are for this process alone, where a port of the
loopback address would be open to all users of the machine; and Chromium ends when they close, also if this process is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import kill_process_group

DEFAULT_BROWSER = "/usr/bin/chromium"
PACKAGES = "apt install chromium libnss3-tools"
MAX_MESSAGE_BYTES = 32_000_000  # a picture of a page has some
MAX_MESSAGES = 20_000  # of one page
CERTUTIL_TIMEOUT_S = 10.0
KILL_TIMEOUT_S, KILL_INTERVAL_S = 3.0, 0.02  # until no process of the browser is left
FIRST_DESCRIPTOR = 10  # above the two that Chromium wants
ONE_AT_A_TIME = threading.Lock()  # a browser takes up to 830 MB

# Chromium reads commands from the descriptor 3, and writes to 4.
EXECUTE = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-breakpad",
    "--no-proxy-server",
    "--window-size=1280,900",
)


class Message(t.TypedDict, total=False):
    """A message of the protocol: the result of a command, or an event."""

    id: int
    sessionId: str
    result: dict[str, t.Any]
    error: dict[str, t.Any]
    method: str
    params: dict[str, t.Any]


class PageTimeoutError(TlsError):
    """The browser is not ready in time."""


class Browser:
    """A running Chromium, and one page of it."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, messages: int, deadline: float) -> None:
        self._process, self._commands, self._messages, self.deadline = process, commands, messages, deadline
        self._number, self._buffer, self._count = 0, bytearray(), 0
        self.session = ""
        self.on_event: t.Callable[[str, dict[str, t.Any]], None] = lambda _method, _parameters: None

    def open_page(self) -> None:
        """Open an empty page, to which commands then go."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **parameters: t.Any) -> dict[str, t.Any]:
        """Return the result of a command. Events that come before it go to on_event. Raises TlsError where the browser refuses it."""
        number = self.send(method, **parameters)
        while True:
            message = self._receive(self.deadline)
            if message.get("id") == number:
                if "error" in message:
                    raise TlsError(
                        f"the browser refuses {method}: {_printable(message['error'].get('message'))}; update it"
                    )
                return message.get("result") or {}
            self._pass_on(message)

    # not a parser: it writes a command
    def send(self, method: str, **parameters: t.Any) -> int:
        """Send a command, and do not wait for its result; return its number."""
        self._number += 1
        command: dict[str, t.Any] = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        content = memoryview(json.dumps(command).encode() + b"\0")
        while content:
            if not select.select([], [self._commands], [], self._left(self.deadline))[1]:
                raise PageTimeoutError("the browser takes no command in time; see the load of this machine")
            content = content[os.write(self._commands, content) :]
        return self._number

    def listen(self, until: float) -> None:
        """Pass events on until a time by time.monotonic()."""
        with contextlib.suppress(PageTimeoutError):
            while True:
                self._pass_on(self._receive(min(until, self.deadline)))

    def listen_for(self, is_done: t.Callable[[], bool]) -> None:
        """Pass events on until something is done. Raises PageTimeoutError at the deadline."""
        while not is_done():
            self._pass_on(self._receive(self.deadline))

    def _pass_on(self, message: Message) -> None:
        if "method" in message:
            self.on_event(message["method"], message.get("params") or {})

    def _left(self, deadline: float) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise PageTimeoutError("the browser is not ready in time; see whether the page ends to load")
        return left

    # not a parser: Chromium writes its messages, and json reads them
    def _receive(self, deadline: float) -> Message:
        """Return the next message."""
        while b"\0" not in self._buffer:
            if not select.select([self._messages], [], [], self._left(deadline))[0]:
                continue
            part = os.read(self._messages, 1 << 16)
            if not part:
                raise TlsError(f"the browser has ended by itself ({self.last_words()}); start it by hand to see why")
            self._buffer += part
            if len(self._buffer) > MAX_MESSAGE_BYTES:
                raise TlsError(
                    f"the page makes the browser send more than {MAX_MESSAGE_BYTES} bytes at a time; look at it by hand"
                )
        self._count += 1
        if self._count > MAX_MESSAGES:
            raise TlsError(f"the page causes more than {MAX_MESSAGES} events; look at it by hand")
        content, _zero, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(content)
        return t.cast(Message, message if isinstance(message, dict) else {})

    # not a parser: it accepts any bytes
    def last_words(self) -> str:
        """Return the end of what the browser has printed."""
        stream = t.cast(t.IO[bytes], self._process.stderr)
        os.set_blocking(stream.fileno(), False)
        with contextlib.suppress(OSError):
            lines = (stream.read(1 << 16) or b"").decode("utf-8", "replace").strip().splitlines()
            return _printable(lines[-1] if lines else "it printed nothing")
        return "it printed nothing"


@contextlib.contextmanager
def running_browser(
    path: str, addresses: t.Mapping[str, str], roots: str | None, deadline: float
) -> t.Iterator[Browser]:
    """Yield a browser with an empty page; kill it with its children, and remove what it wrote, in every case.

    addresses: by name, for the names that are not looked up. roots: PEM to trust beside those of Chromium.
    Raises TlsError where it cannot be started.
    """
    if not os.access(path, os.X_OK):
        raise TlsError(
            f"diagnose_browser needs Chromium, and there is no program {path}; run {PACKAGES}, or set diagnose_browser_path"
        )
    if not ONE_AT_A_TIME.acquire(timeout=max(0.0, deadline - time.monotonic())):
        raise PageTimeoutError("another page is open still; look at fewer names at a time")
    try:
        with tempfile.TemporaryDirectory(prefix="evergreen-browser-", ignore_cleanup_errors=True) as home:
            if roots:
                _trust_roots(home, roots)
            with _started(path, home, addresses, deadline) as browser:
                browser.open_page()
                yield browser
    finally:
        ONE_AT_A_TIME.release()


@contextlib.contextmanager
def _started(path: str, home: str, addresses: t.Mapping[str, str], deadline: float) -> t.Iterator[Browser]:
    rules = ",".join(f"MAP {name} {_bracketed(address)}" for name, address in addresses.items())
    options = [*OPTIONS, f"--user-data-dir={home}/profile", f"--host-resolver-rules={rules}"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # Chromium has none for root
    with contextlib.ExitStack() as stack:
        commands, messages = _pipe(stack), _pipe(stack)
        words = [sys.executable, "-I", "-c", EXECUTE, str(commands[0]), str(messages[1]), path, *options, "about:blank"]
        environment = {"HOME": home, "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", "TMPDIR": home}
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=home,
            pass_fds=(commands[0], messages[1]),
            start_new_session=True,
        )
        stack.callback(t.cast(t.IO[bytes], process.stderr).close)
        stack.callback(_kill, process, home)
        os.close(commands[0])
        os.close(messages[1])
        os.set_blocking(commands[1], False)
        yield Browser(process, commands[1], messages[0], deadline)


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """Return a pipe whose descriptors are not those that Chromium wants; both are closed in the end."""
    ends = os.pipe()
    raised = tuple(fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR) for one in ends)
    for one in ends:
        os.close(one)
    for one in raised:
        stack.callback(_close, one)
    return raised[0], raised[1]


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.close(descriptor)


def _kill(process: subprocess.Popen[bytes], home: str) -> None:
    """Kill the browser and all of its processes, also those that left its group: they name its profile."""
    kill_process_group(process)
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while _kill_processes_of(home) and time.monotonic() < deadline:
        time.sleep(KILL_INTERVAL_S)


# not a parser: it only looks for a path
def _kill_processes_of(home: str) -> int:
    """Kill the processes whose arguments name a folder; return how many there were."""
    count = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                is_own = home.encode() in stream.read()
            if is_own and int(pid) != os.getpid():
                count += 1
                os.kill(int(pid), signal.SIGKILL)
    return count


# not a parser: certutil reads the roots, which the inventory has
def _trust_roots(home: str, roots: str) -> None:
    """Have Chromium trust roots, as it does those of the user's database."""
    certutil = shutil.which("certutil")
    if not certutil:
        raise TlsError(
            f"diagnose_browser needs the program certutil for the roots of private CAs, and there is none; run {PACKAGES}"
        )
    folder = os.path.join(home, ".pki", "nssdb")
    os.makedirs(folder, mode=0o700)
    with open(os.path.join(home, "roots.pem"), "w", encoding="ascii") as stream:
        stream.write(roots)
    database = ["-d", f"sql:{folder}"]
    begin = "-----BEGIN CERTIFICATE-----"
    calls = [["-N", "--empty-password"]]
    for number, block in enumerate(roots.split(begin)[1:]):
        path = os.path.join(home, f"root{number}.pem")
        with open(path, "w", encoding="ascii") as stream:
            stream.write(begin + block)
        calls.append(["-A", "-t", "C,,", "-n", f"root{number}", "-i", path])
    for words in calls:
        try:
            subprocess.run(
                [certutil, words[0], *database, *words[1:]],
                check=True,
                capture_output=True,
                timeout=CERTUTIL_TIMEOUT_S,
                env={"HOME": home, "PATH": "/usr/bin:/bin"},
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise TlsError(
                f"certutil cannot add the roots of the private CA ({_printable(error)}); see that libnss3-tools is whole"
            ) from error


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _printable(value: t.Any) -> str:
    return shorten(escape_as_one_line(str(value)), 200)
