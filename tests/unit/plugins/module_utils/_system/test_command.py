# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs run in the C locale, without a terminal, and with all of their input."""

from __future__ import annotations

import errno
import os
import pty
import sys

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import system_error
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command


def test_a_program_speaks_english_and_on_both_channels():
    assert run_command(["sh", "-c", "echo $LC_ALL; cat; echo more >&2; exit 3"], "stdin\n") == (3, "C\nstdin\nmore")


def test_a_program_that_is_not_there_is_told_of():
    assert run_command(["/no/such/program"]) == (127, "/no/such/program: No such file or directory")


def test_a_program_has_no_terminal_at_which_to_wait_for_a_passphrase():
    process, terminal = pty.fork()
    if not process:
        os._exit(run_command(["sh", "-c", ": < /dev/tty"])[0])
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(terminal)
    assert status not in (0, 127)


def test_what_a_program_reads_is_all_there_before_it_starts():
    script = (
        "import os, stat, sys; print(stat.S_ISREG(os.fstat(0).st_mode), os.fstat(0).st_size, len(sys.stdin.read()))"
    )
    assert run_command([sys.executable, "-c", script], "x" * 100_000) == (0, "True 100000 100000")


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
def test_a_machine_that_cannot_start_a_program_is_told_of_and_not_the_program(number, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("subprocess.run", refuse)
    with pytest.raises(OSError) as raised:
        run_command(["nft", "-c", "-f", "-"], "")
    assert str(system_error(raised.value)).startswith(f"nft: {os.strerror(number)}; ")
