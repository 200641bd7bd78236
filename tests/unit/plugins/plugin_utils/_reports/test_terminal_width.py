# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How wide the terminal is, under a real pseudo-terminal and without one."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import terminal_width, text_width

# A process without terminal, as that of an action plugin, whose parent may have one. It prints to the descriptor of its argument.
CHILD = """
import os, sys
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import terminal_width
if os.fork() == 0:
    os.setsid()
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    os.write(int(sys.argv[1]), repr(terminal_width({})).encode())
    os._exit(0)
os.wait()
"""


def width_in_child_of(stdout):
    """Return what a child without terminal says of the width, when its parent has this standard output."""
    reader, writer = os.pipe()
    try:
        subprocess.run(
            [sys.executable, "-c", CHILD, str(writer)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            pass_fds=[writer],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        return os.read(reader, 100).decode()
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_the_width_of_the_terminal_of_the_parent_process_is_found(columns):
    master, slave = pty.openpty()
    try:
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        assert width_in_child_of(slave) == str(columns)
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize("stdout", [subprocess.PIPE, subprocess.DEVNULL], ids=["a pipe", "no output"])
def test_without_a_terminal_there_is_no_width(stdout):
    assert width_in_child_of(stdout) == "None"


def test_columns_of_the_environment_decide():
    assert terminal_width({"COLUMNS": "132"}) == 132
    assert terminal_width({"COLUMNS": "3"}) == 20


def test_text_is_measured_in_columns():
    assert text_width("abc") == 3
    assert text_width("主机…") == 5
    assert text_width("e\u0301") == 1
    assert text_width("\u200d") == 0
