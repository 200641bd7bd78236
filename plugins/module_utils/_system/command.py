# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that a module runs."""

from __future__ import annotations

import errno
import os
import subprocess

EXHAUSTED = (
    errno.EAGAIN,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
)  # nothing is wrong with the program that was to run


# not a parser: it reads what the collection has made or checked
def run_command(argv: list[str], stdin: str | None = None) -> tuple[int, str]:
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
