# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session with an appliance by SSH: the host key is checked, then a user logs in, and commands are run."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import threading
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, error_text, is_failure
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Appliance
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.host_keys import ExpectedKeys, same_type
from ansible_collections.evergreen.tls.plugins.plugin_utils._libraries import install_command
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

try:
    import paramiko
except ImportError:  # reported by require_paramiko() before anything here is called
    pass

SILENCE_TIMEOUT_S = 30.0  # for which the appliance may say nothing while a file is transferred
SESSION_TIMEOUT_S = 90.0  # of a whole session, beside the time limits of its commands
POLL_INTERVAL_S = 0.02
MAX_OUTPUT_BYTES = 1 << 20  # of a command
MAX_MESSAGE_CHARACTERS = 300  # of what a command writes, the last ones
READ_BYTES = 1 << 15
LATE_OUTPUT_S = 1.0
MAX_RETRIES = 2  # of a command that the server does not start
MAX_KEY_FILE_CHARACTERS = 1 << 16

# Algorithms that OpenSSH no longer offers, by the kind that paramiko calls them. Its version 5 has no others of that kind either.
LEGACY_ALGORITHMS = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc", "blowfish-cbc"],
    "macs": ["hmac-sha1", "hmac-md5", "hmac-sha1-96", "hmac-md5-96"],
    "keys": ["ssh-rsa", "ssh-dss"],
    "pubkeys": ["ssh-rsa", "ssh-dss"],
    "kex": [
        "diffie-hellman-group1-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group-exchange-sha1",
    ],
}


class CommandResult(t.NamedTuple):
    """What a command on the appliance did."""

    status: int
    output: bytes
    errors: str  # the end of what it wrote to its standard error, or else to its standard output, on one line


def require_paramiko() -> None:
    """Raise TlsError unless paramiko can be imported on the controller."""
    try:
        import paramiko  # noqa: F401
    except ImportError as error:
        raise TlsError(
            f"appliances are reached with the Python library paramiko, which the controller does not have ({error_text(error)}); "
            f"{install_command('paramiko')}"
        ) from error
    logger = logging.getLogger("paramiko")
    if not logger.handlers:  # else Python prints its tracebacks where nobody has configured logging
        logger.addHandler(logging.NullHandler())


class Session:
    """A session by SSH with an appliance, in which a user is logged in. It ends with the context.

    Raises TlsError for whatever fails in it.
    """

    def __init__(self, options: Appliance, command_time_s: float = 0.0) -> None:
        self.where = f"{options['host']} port {options['port']}"
        self._options = options
        self._transport: paramiko.Transport | None = None
        self._is_overdue = False
        self._timeout = SESSION_TIMEOUT_S + command_time_s
        self._timer = threading.Timer(self._timeout, self._end_overdue)
        self._timer.daemon = True

    def __enter__(self) -> Session:
        self._timer.start()
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    @contextlib.contextmanager
    def errors(self, action: str) -> t.Iterator[None]:
        """Raise TlsError, with the action in it, for whatever paramiko raises within."""
        try:
            yield
        except TlsError:
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            if self._is_overdue:
                raise self._overdue_error(action) from error
            raise TlsError(f"{self.where}: {action} failed ({_reason(error)}); {_remedy(error)}") from error

    def open_channel(self) -> paramiko.Channel:
        """Return a new channel, which says nothing for SILENCE_TIMEOUT_S at most."""
        if self._transport is None:
            raise AssertionError("the session is not open")
        channel = self._transport.open_session(timeout=SILENCE_TIMEOUT_S)
        channel.settimeout(SILENCE_TIMEOUT_S)
        return channel

    def run(self, command: str, timeout: float, stdin: bytes = b"", action: str | None = None) -> CommandResult:
        """Run a command, with this on its standard input.

        timeout: seconds. action: what it does, for errors; by default the command. Raises TlsError when it takes longer, or writes more
        than MAX_OUTPUT_BYTES.
        """
        with self.errors(action or repr(command)), contextlib.closing(self._start(command)) as channel:
            try:
                channel.sendall(stdin)
                channel.shutdown_write()
            except OSError:
                if not channel.closed:  # a command that has ended says itself why
                    raise
            return self._finished(channel, action or repr(command), timeout)

    def _start(self, command: str) -> paramiko.Channel:
        """Return the channel of a command that the server has started. Where it ends the channel or the connection instead, log in again.

        dropbear 2022.83 does so now and then, when a program of an earlier channel ends in the same moment.
        """
        for _retry in range(MAX_RETRIES):
            try:
                channel = self.open_channel()
                channel.exec_command(command)
                return channel
            except (paramiko.SSHException, EOFError):
                if self._is_overdue:
                    raise
                if self._transport is not None:
                    self._transport.close()
                self._open()
        channel = self.open_channel()
        channel.exec_command(command)
        return channel

    def _open(self) -> None:
        with self.errors("the session"):
            self._transport = self._connect()
            self._log_in(self._transport)

    # not a parser: it collects what a command writes, within limits
    def _finished(self, channel: paramiko.Channel, action: str, timeout: float) -> CommandResult:
        deadline = time.monotonic() + timeout
        output, errors = b"", b""
        last_output = float("inf")  # until when output may come after the exit code
        while True:
            if channel.exit_status_ready():
                last_output = min(last_output, time.monotonic() + LATE_OUTPUT_S)
            is_ended = channel.closed or (channel.eof_received and channel.exit_status_ready())
            is_ended = (
                is_ended or time.monotonic() > last_output
            )  # a program that goes on in the background keeps the output open
            while channel.recv_ready() and len(output) <= MAX_OUTPUT_BYTES:
                output += channel.recv(READ_BYTES)
            while channel.recv_stderr_ready() and len(errors) <= MAX_OUTPUT_BYTES:
                errors += channel.recv_stderr(READ_BYTES)
            if max(len(output), len(errors)) > MAX_OUTPUT_BYTES:
                raise TlsError(
                    f"{self.where}: {action} was ended, since it writes more than {MAX_OUTPUT_BYTES} bytes; have it write less"
                )
            if is_ended:
                break
            if time.monotonic() > deadline:
                message = _last_message(errors, output)
                raise TlsError(
                    f"{self.where}: {action} has not ended within {timeout:.0f} s{f' ({message})' if message else ''}; "
                    "see what it waits for, or raise its timeout"
                )
            time.sleep(POLL_INTERVAL_S)
        if self._is_overdue:
            raise self._overdue_error(action)
        status = channel.recv_exit_status() if channel.exit_status_ready() else -1
        return CommandResult(status, output, _last_message(errors, output))

    def _connect(self) -> paramiko.Transport:
        """Return the transport, once the appliance has shown a key that is expected.

        A server may have several keys. A fingerprint does not say of which type its key is, so each type that the server has is looked at.
        """
        options = self._options
        expected = ExpectedKeys(options["host"], options["port"], options["host_key"], options["known_hosts"])
        shown: list[paramiko.PKey] = []
        excluded: set[str] = set()
        while True:
            transport = self._started(expected, excluded, is_first=not shown)
            if transport is None:
                raise expected.error(shown)
            key = transport.get_remote_server_key()
            if expected.accepts(key):
                return transport
            transport.close()
            shown.append(key)
            excluded |= same_type(key.get_name())

    def _started(
        self, expected: ExpectedKeys, excluded: t.AbstractSet[str], is_first: bool
    ) -> paramiko.Transport | None:
        """Return a transport after the key exchange; None where the server has no key of the types that are left."""
        options = self._options
        disabled = (
            {} if options["legacy_algorithms"] else {name: list(names) for name, names in LEGACY_ALGORITHMS.items()}
        )
        disabled["keys"] = [*disabled.get("keys", []), *excluded]
        connection = socket.create_connection((options["host"], options["port"]), options["timeout"])
        connection.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # else each small packet waits for the answer to the last
        transport = paramiko.Transport(connection, disabled_algorithms=disabled)
        try:
            transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = options["timeout"]
            security = transport.get_security_options()
            preferred = [name for name in expected.key_types if name in security.key_types and name not in excluded]
            if preferred:
                security.key_types = (*preferred, *(name for name in security.key_types if name not in preferred))
            transport.start_client(timeout=options["timeout"])
            if not transport.initial_kex_done:
                raise paramiko.SSHException(f"no key exchange within {options['timeout']} s")
        except (paramiko.SSHException, EOFError) as error:  # servers end the connection where no algorithm is shared
            transport.close()
            if not is_first:
                return None
            raise TlsError(
                f"{self.where}: the SSH server ends the connection before the login ({error_text(error)}); see its log. If it knows none but "
                "old algorithms, update it, or write legacy_algorithms: true. paramiko 5 has no SHA-1 at all: that needs 'paramiko < 5'"
            ) from error
        except BaseException:
            transport.close()
            raise
        self._transport = transport  # so that a session that takes too long ends it
        return transport

    def _log_in(self, transport: paramiko.Transport) -> None:
        options = self._options
        user, refusals = options["user"], []
        for way, attempt in _ways(transport, options):
            try:
                remaining = attempt()
            except paramiko.AuthenticationException as error:
                refusals.append(f"{way}: {escape_as_one_line(str(error))[:MAX_MESSAGE_CHARACTERS]}")
                continue
            if not remaining:
                return
            refusals.append(f"{way}: it asks for {' and '.join(map(str, remaining))} as well")
        raise TlsError(
            f"{self.where}: {user} cannot log in ({'; '.join(refusals) or 'the agent has no key'}); correct user, password, key_file or "
            "agent of the appliance"
        )

    def _overdue_error(self, action: str) -> TlsError:
        return TlsError(
            f"{self.where}: {action} was ended, since the session has taken {self._timeout:.1f} s; see what the appliance is busy with"
        )

    def _end_overdue(self) -> None:
        self._is_overdue = True
        if self._transport is not None:
            self._transport.close()

    def _close(self) -> None:
        self._timer.cancel()
        self._timer.join()
        if self._transport is not None:
            self._transport.close()


def _ways(transport: paramiko.Transport, options: Appliance) -> t.Iterator[tuple[str, t.Callable[[], list[str]]]]:
    """Yield each way to log in that the options name, and the function that tries it; it returns what else the server asks for."""
    user = options["user"]

    def with_key(key: paramiko.PKey) -> t.Callable[[], list[str]]:
        return lambda: list(transport.auth_publickey(user, key) or [])

    path = options["key_file"]
    if path is not None:
        yield f"key_file {path}", with_key(_key_of_file(os.path.expanduser(path), options["key_passphrase"]))
    if options["agent"]:
        for key in paramiko.Agent().get_keys():
            yield "agent", with_key(key)
    password = options["password"]
    if password is not None:
        yield "password", lambda: list(transport.auth_password(user, password) or [])


# not a parser: paramiko reads the file, which the user of the controller owns
def _key_of_file(path: str, passphrase: str | None) -> paramiko.PKey:
    """Return the private key of a file. Raises TlsError, without a word of what is in it.

    PKey.from_path() takes no passphrase that fits both libraries below it, and its error may hold the file.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(MAX_KEY_FILE_CHARACTERS)
    except FileNotFoundError as error:
        raise TlsError(f"key_file {path} is not there; correct it, or make a key with ssh-keygen") from error
    except (OSError, UnicodeError) as error:
        raise TlsError(
            f"key_file {path} cannot be read ({error_text(error)}); correct its owner, or the path"
        ) from None
    is_encrypted = False
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text), passphrase)
        except BaseException as error:
            if not is_failure(error):
                raise
            is_encrypted = is_encrypted or _is_encrypted(error)
    why = (
        "it is encrypted, and key_passphrase is missing or wrong" if is_encrypted else "it is no private key of OpenSSH"
    )
    raise TlsError(f"key_file {path}: {why}; correct key_file or key_passphrase of the appliance")


def _is_encrypted(error: BaseException) -> bool:
    return isinstance(error, paramiko.PasswordRequiredException) or any(
        word in str(error).lower() for word in ("password", "passphrase", "decrypt", "checkint")
    )


def _last_message(errors: bytes, output: bytes) -> str:
    text = escape_as_one_line((errors.strip() or output.strip()).decode("utf-8", "replace"))
    return text[-MAX_MESSAGE_CHARACTERS:]


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return error_text(error)


def _remedy(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "correct host of the appliance"
    if isinstance(error, ConnectionRefusedError):
        return "start its SSH server, or correct host and port of the appliance"
    if isinstance(error, (TimeoutError, OSError)):
        return "see whether it is up, and whether a firewall on the way has the port of SSH open"
    return "see what the SSH server of the appliance logs"
