# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine that a module runs on: the one door to AnsibleModule, and the one place that writes files.

Everything written here is a new inode with its final mode, on the disk before it has its name. nginx 1.27.4 and
later go on serving the old certificate when inode and mtime of its file are unchanged.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import subprocess
import time
import typing as t

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError, system_error

try:
    import cryptography  # noqa: F401, pylint: disable=unused-import
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True


def answer(module, decide: t.Callable[[t.Any], dict[str, t.Any]]) -> t.NoReturn:
    """Exit with what C(decide(module)) returns, or fail with the sentence that it raises."""
    try:
        result = decide(module)
    except TlsError as error:
        module.fail_json(msg=str(error), **error.details)
    except OSError as error:
        module.fail_json(msg=str(system_error(error)))
    module.exit_json(**result)


def require_cryptography() -> None:
    """Make sure that Python's cryptography library is here."""
    if not HAS_CRYPTOGRAPHY:
        sentence = missing_required_lib("cryptography", url="https://cryptography.io/")
        raise TlsError(
            f"{sentence}. Install the package python3-cryptography on this host", missing="python3-cryptography"
        )


def run(argv: list[str], stdin: str | None = None) -> tuple[int, str]:
    """Run a program in the C locale; return its exit status (127: it is not there) and what it printed on both channels.

    AnsibleModule.run_command() now and then waits for a second after the program has ended.
    """
    environment = {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}
    options = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    try:
        ended = subprocess.run(
            argv, **options, capture_output=True, env=environment, text=True, errors="surrogateescape", check=False
        )
    except OSError as error:
        return 127, f"{argv[0]}: {error.strerror}"
    return ended.returncode, "\n".join(part for part in (ended.stdout.strip(), ended.stderr.strip()) if part)


def read_file(path: str) -> bytes | None:
    """Return the content of a file, or None where there is none."""
    try:
        with named(path), open(path, "rb") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def create_file(path: str, content: bytes, mode: int = 0o644, owner: int = -1, group: int = -1) -> None:
    """Write a new file, with its mode and owner from its first byte on, and on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with named(path), open(descriptor, "wb") as stream:
        if (owner, group) != (-1, -1):
            os.fchown(descriptor, owner, group)
        os.fchmod(descriptor, mode)
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def replace_file(path: str, content: bytes, mode: int = 0o644, owner: int = -1, group: int = -1) -> None:
    """Put a new file in the place of *path* in one rename, so that nobody ever reads half of it."""
    folder, name = os.path.split(path)
    temporary = _unused_name(folder, name)
    try:
        create_file(temporary, content, mode, owner, group)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(folder)


def replace_link(target: str, path: str) -> None:
    """Make *path* a symbolic link to *target*, in the place of the link that was there, in one rename."""
    temporary = link_beside(path)
    if os.path.islink(temporary):
        os.unlink(temporary)  # a run that was killed left it
    with named(temporary):
        os.symlink(target, temporary)
    try:
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(os.path.dirname(path))


def link_beside(path: str) -> str:
    """Return where replace_link() makes a link before it renames it.

    Always the same, so that what a killed run leaves in a folder that is not ours can be found.
    """
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.new")


def make_folder(path: str) -> None:
    """Make a folder where it is missing, and those above it, all with their names on the disk when this returns."""
    is_missing = path and not os.path.isdir(path)
    if is_missing:
        make_folder(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o755)
    try:
        sync_folder(os.path.dirname(path))  # also for a run that was killed before it could
    except PermissionError:
        if is_missing:
            raise


def remove_folder(path: str) -> None:
    """Remove a folder with all that is in it."""
    with named(path):
        shutil.rmtree(path)


def sync_folder(path: str) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with named(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def named(path: str) -> t.Iterator[None]:
    """Have an error of the system say where it happened, which one about a descriptor or a link does not."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


@contextlib.contextmanager
def locked(path: str, patience: float = 60.0) -> t.Iterator[None]:
    """Hold the lock *path* (created where it is missing); the kernel releases it if this process dies.

    Raises TlsError when another process holds it for longer than *patience* seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                with named(path):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
                    raise
            if time.monotonic() > deadline:
                raise TlsError(
                    f"another process has held {path} for {patience:.0f} seconds; wait for it, then run this again"
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _unused_name(folder: str, name: str) -> str:
    return os.path.join(folder, f".{name}.{secrets.token_hex(4)}")
