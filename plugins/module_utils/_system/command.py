# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that modules run."""

from __future__ import annotations

import errno
import os
import subprocess
import typing as t

# The errors of a machine that cannot start any program.
EXHAUSTION_ERRNOS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


# not a parser: it reads what the collection has made or checked
def run_command(argv: list[str], stdin: str | None = None) -> tuple[int, str]:
    """Run a program in the C locale. Return its exit status, and its standard output and error.

    The status of a program that is not there is 127.

    The program has no terminal: nginx would ask there for a passphrase that it does not have.
    AnsibleModule.run_command() sometimes waits for a second after the program has ended.
    """
    options: dict[str, t.Any] = {
        "capture_output": True,
        "env": {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"},
        "text": True,
        "errors": "surrogateescape",
        "start_new_session": True,
    }
    try:
        if stdin is None:
            ended = subprocess.run(argv, stdin=subprocess.DEVNULL, check=False, **options)
        else:
            # A file in memory is complete before the program starts. If this process were killed, it would read half of a pipe.
            with open(os.memfd_create("stdin"), "w+b") as stream:
                stream.write(stdin.encode("utf-8", "surrogateescape"))
                stream.seek(0)
                ended = subprocess.run(argv, stdin=stream, check=False, **options)
    except OSError as error:
        if error.errno in EXHAUSTION_ERRNOS:
            error.filename = argv[0]
            raise
        return 127, f"{argv[0]}: {error.strerror}"
    return ended.returncode, "\n".join(part for part in (ended.stdout.strip(), ended.stderr.strip()) if part)
