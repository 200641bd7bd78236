# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of an appliance by SFTP, version 3 (draft-ietf-secsh-filexfer-02) with the extensions of OpenSSH (its file PROTOCOL)."""

from __future__ import annotations

import contextlib
import errno
import stat
import struct
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.remote_files import MAX_FILE_BYTES, FileKind
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import POLL_INTERVAL_S, Session
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

try:
    import paramiko
    from paramiko.message import Message
    from paramiko.sftp import (
        CMD_EXTENDED,
        CMD_EXTENDED_REPLY,
        CMD_HANDLE,
        CMD_INIT,
        CMD_OPEN,
        CMD_VERSION,
        SFTP_FLAG_CREATE,
        SFTP_FLAG_EXCL,
        SFTP_FLAG_WRITE,
    )

    HAS_PARAMIKO = True
except ImportError:  # reported by require_paramiko() before anything here is called
    HAS_PARAMIKO = False

if t.TYPE_CHECKING or HAS_PARAMIKO:
    from paramiko import SFTPClient
else:
    SFTPClient = object

SFTP_VERSION = 3
POSIX_RENAME = "posix-rename@openssh.com"
HARDLINK = "hardlink@openssh.com"
FSYNC = "fsync@openssh.com"
STATVFS = "statvfs@openssh.com"
STATVFS_FORMAT = ">11Q"  # f_bsize, f_frsize, f_blocks, f_bfree, f_bavail, …
PRIVATE_MODE = 0o600
MAX_EXTENSIONS = 64
CLOSE_TIMEOUT_S = 5.0


class ExtendedClient(SFTPClient):
    """The client of paramiko, which also knows the extensions of the server, and the mode with which a file is created."""

    extensions: frozenset[str] = frozenset()

    # of the base class, whose types leave these out
    _send_packet: t.Callable[[int, Message], None]
    _read_packet: t.Callable[[], tuple[int, bytes]]
    _request: t.Callable[..., tuple[int, Message]]

    def _send_version(self) -> int:
        hello = Message()
        hello.add_int(SFTP_VERSION)
        self._send_packet(CMD_INIT, hello)
        kind, data = self._read_packet()
        if kind != CMD_VERSION or len(data) < 4:
            raise paramiko.SSHException("it does not speak SFTP")
        self.extensions = parse_extensions(data[4:])
        return int(struct.unpack(">I", data[:4])[0])

    # not a parser: it writes what the collection has made or checked
    def create(self, path: str) -> paramiko.SFTPFile:
        """Return a new file that is open for writing, and from the first moment readable by its owner alone."""
        attributes = paramiko.SFTPAttributes()
        attributes.st_mode = PRIVATE_MODE
        flags = SFTP_FLAG_WRITE | SFTP_FLAG_CREATE | SFTP_FLAG_EXCL
        kind, answer = self._request(CMD_OPEN, path.encode(), flags, attributes)
        if kind != CMD_HANDLE:
            raise paramiko.SFTPError("it returns no handle")
        return paramiko.SFTPFile(self, answer.get_binary(), "wb", -1)

    def extend(self, extension: str, *arguments: t.Any) -> tuple[int, Message]:
        """Send a request of an extension, and return the type and the content of the answer."""
        return self._request(CMD_EXTENDED, extension, *arguments)


def parse_extensions(data: bytes) -> frozenset[str]:
    """Return the names of the extensions in what follows the version in SSH_FXP_VERSION: pairs of a name and a version."""
    message, names = Message(data), set[str]()
    while message.get_remainder() and len(names) < MAX_EXTENSIONS:
        names.add(message.get_binary().decode("ascii", "replace"))
        message.get_binary()
    return frozenset(names)


class SftpFiles:
    """The files of an appliance by SFTP. See RemoteFiles."""

    def __init__(self, session: Session, client: ExtendedClient) -> None:
        self._session, self._client = session, client
        self.has_atomic_replace = {POSIX_RENAME, HARDLINK} <= client.extensions

    def kind(self, path: str) -> FileKind | None:
        """Return what is at a path."""
        with self._errors(f"looking at {path}"):
            try:
                mode = self._client.lstat(path).st_mode
            except FileNotFoundError:
                return None
        if mode is None or stat.S_ISREG(mode):
            return "file"
        return "folder" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "other"

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        with self._errors(f"reading {path}"), self._client.open(path, "rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise TlsError(
                f"{self._session.where}: {path} has more than {MAX_FILE_BYTES} bytes, and is no certificate; correct path in files"
            )
        return content

    def write_new(self, path: str, content: bytes, mode: int, like: str) -> None:
        """Write a file under a name that it has for itself alone."""
        self.remove(path)
        try:
            with self._errors(f"writing {path}"), contextlib.closing(self._client.create(path)) as stream:
                stream.write(content)
                stream.flush()
                self._give_owner_of(like, stream)
                stream.chmod(mode)
                if FSYNC in self._client.extensions:
                    self._client.extend(FSYNC, stream.handle)
            self._check_size(path, len(content))
        except TlsError as error:
            with contextlib.suppress(TlsError):
                self.remove(path)
            raise self._with_free_space(error, path, len(content)) from error

    def write_private(self, path: str, content: bytes) -> None:
        """Write a file for the user alone, on a server without modes of POSIX."""
        self.remove(path)
        with self._errors(f"writing {path}"), contextlib.closing(self._client.create(path)) as stream:
            stream.write(content)

    def home(self) -> str:
        """Return the folder in which the session starts, which is the home of the user."""
        with self._errors("looking at the home of the user"):
            return str(self._client.normalize("."))

    # not a parser: it writes what the collection has made or checked
    def link(self, path: str, other: str) -> None:
        """Give a file a second name, by the extension hardlink."""
        with self._errors(f"giving {path} the second name {other}"):
            self._client.extend(HARDLINK, path.encode(), other.encode())

    # not a parser: it writes what the collection has made or checked
    def replace(self, path: str, other: str) -> None:
        """Rename a file over another: in one step by the extension posix-rename, else in two."""
        if POSIX_RENAME in self._client.extensions:
            with self._errors(f"renaming {path} to {other}"):
                self._client.extend(POSIX_RENAME, path.encode(), other.encode())
            return
        self.remove(other)
        self.rename(path, other)

    def rename(self, path: str, other: str) -> None:
        """Rename a file to a name that is free."""
        with self._errors(f"renaming {path} to {other}"):
            self._client.rename(path, other)

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        with self._errors(f"removing {path}"), contextlib.suppress(FileNotFoundError):
            self._client.remove(path)

    def _give_owner_of(self, path: str, stream: paramiko.SFTPFile) -> None:
        """Give a new file the owner and the group of another, where that is there and has others."""
        try:
            status = self._client.stat(path)
        except FileNotFoundError:
            return
        own = stream.stat()
        if status.st_uid is None or status.st_gid is None or (own.st_uid, own.st_gid) == (status.st_uid, status.st_gid):
            return
        stream.chown(status.st_uid, status.st_gid)

    def _check_size(self, path: str, size: int) -> None:
        with self._errors(f"looking at {path}"):
            written = self._client.stat(path).st_size
        if written is not None and written != size:
            raise TlsError(
                f"{self._session.where}: {path} has {written} bytes after {size} were written; see whether its disk is full"
            )

    # not a parser: it reads what the collection has made or checked
    def _with_free_space(self, error: TlsError, path: str, size: int) -> TlsError:
        """Return the error, with the space that is left where that is too little: SFTP calls each failure just that."""
        free = self._free_bytes(path.rpartition("/")[0] or "/")
        if free is None or free > size:
            return error
        return TlsError(
            f"{error}. {free} bytes are free on the file system of {path}; free some space there and run this again"
        )

    # not a parser: a field of fixed size, of which a wrong one is no worse than none
    def _free_bytes(self, folder: str) -> int | None:
        """Return the bytes that are free for users on the file system of a folder; None where the server does not say."""
        if STATVFS not in self._client.extensions:
            return None
        try:
            with self._errors(f"looking at {folder}"):
                kind, answer = self._client.extend(STATVFS, folder.encode())
                if kind != CMD_EXTENDED_REPLY:
                    return None
                fields = struct.unpack(STATVFS_FORMAT, answer.get_remainder()[: struct.calcsize(STATVFS_FORMAT)])
        except TlsError:
            return None
        return int(fields[1] * fields[4])

    @contextlib.contextmanager
    def _errors(self, action: str) -> t.Iterator[None]:
        """Raise TlsError for a refusal of the server, but let a missing file be seen within."""
        with self._session.errors(action):
            try:
                yield
            except PermissionError as error:
                raise TlsError(
                    f"{self._session.where}: {action} is not allowed to this user; correct user of the appliance, or the owner of the folder"
                ) from error
            except FileNotFoundError as error:
                raise TlsError(
                    f"{self._session.where}: {action} failed: it, or its folder, is not there; create the folder, or correct path in files"
                ) from error
            except OSError as error:
                if error.errno == errno.ECONNRESET or isinstance(error, TimeoutError):
                    raise
                reason = escape_as_one_line(str(error))[:100]
                raise TlsError(
                    f"{self._session.where}: {action} failed (the SFTP server says {reason!r}); see whether its disk is full or read-only"
                ) from error


def open_sftp(session: Session) -> SftpFiles | None:
    """Return the files by SFTP; None where the appliance has no SFTP server."""
    with session.errors("opening SFTP"):
        channel = session.open_channel()
        try:
            channel.invoke_subsystem("sftp")
            return SftpFiles(session, ExtendedClient(channel))
        except (paramiko.SSHException, EOFError):  # the subsystem is refused, or its program is not there
            _wait_for_close(channel)
            return None


def _wait_for_close(channel: paramiko.Channel) -> None:
    """Wait until the server has closed a channel whose program has ended; dropbear 2022.83 may close another that is opened before."""
    deadline = time.monotonic() + CLOSE_TIMEOUT_S
    while not channel.closed and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL_S)
    channel.close()
