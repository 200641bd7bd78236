# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine that a module runs on, and the one door to AnsibleModule."""

from __future__ import annotations

import copy
import errno
import os
import stat
import subprocess
import typing as t

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError, system_error

try:
    import cryptography  # noqa: F401, pylint: disable=unused-import
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

EXHAUSTED = (
    errno.EAGAIN,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
)  # nothing is wrong with the program that was to run


def answer(module, decide: t.Callable[[t.Any], dict[str, t.Any]]) -> t.NoReturn:
    """Exit with what C(decide(module)) returns, or fail with the sentence that it raises."""
    result = answered(module, decide)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


def answered(module, decide: t.Callable[[t.Any], dict[str, t.Any]]) -> dict[str, t.Any]:
    """Return what C(decide(module)) returns, or the sentence that it raises as a failed result."""
    try:
        return decide(module)
    except TlsError as error:
        return {**error.details, "failed": True, "msg": str(error)}
    except OSError as error:
        return {"failed": True, "msg": str(system_error(error))}


def with_arguments(module, options: dict[str, t.Any], arguments: dict[str, t.Any]):
    """Return a module as it is, but with other options and arguments. Raises TlsError for arguments that are none of these options."""
    checked = ArgumentSpecValidator(options).validate(arguments)
    if checked.error_messages:
        raise TlsError(f"{'; '.join(checked.error_messages)}; correct it")
    other = copy.copy(module)
    other.params = checked.validated_parameters
    return other


def require_cryptography() -> None:
    """Make sure that Python's cryptography library is here."""
    if not HAS_CRYPTOGRAPHY:
        sentence = missing_required_lib("cryptography", url="https://cryptography.io/")
        raise TlsError(
            f"{sentence}. Install the package python3-cryptography on this host", missing="python3-cryptography"
        )


# not a parser: it reads what the collection has made or checked
def run(argv: list[str], stdin: str | None = None) -> tuple[int, str]:
    """Run a program in the C locale; return its exit status (127: it is not there) and what it printed on both channels.

    AnsibleModule.run_command() now and then waits for a second after the program has ended. No program finds a terminal to ask
    somebody at, as nginx does for a passphrase that it has not been told.
    """
    environment = {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}
    options = {"capture_output": True, "env": environment, "text": True, "errors": "surrogateescape"}
    options["start_new_session"] = True
    try:
        if stdin is None:
            ended = subprocess.run(argv, stdin=subprocess.DEVNULL, check=False, **options)
        else:
            # In memory, and all of it there before the program starts: of a pipe it would read half if this process were killed.
            with open(os.memfd_create("stdin"), "w+b") as stream:
                stream.write(stdin.encode("utf-8", "surrogateescape"))
                stream.seek(0)
                ended = subprocess.run(argv, stdin=stream, check=False, **options)
    except OSError as error:
        if error.errno in EXHAUSTED:
            error.filename = argv[0]
            raise
        return 127, f"{argv[0]}: {error.strerror}"
    return ended.returncode, "\n".join(part for part in (ended.stdout.strip(), ended.stderr.strip()) if part)


def read_file(path: str, since: int = 0) -> bytes | None:
    """Return the content of a file, or what comes after its first bytes, or None where there is none.

    Raises TlsError for what is no file, and might never end.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a folder says what it is
            raise TlsError(f"{path} is not a regular file; move it away and run this again")
        with open(path, "rb") as stream:
            stream.seek(since)
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:  # a path that none can be, with a zero byte say
        return None
