# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes and sockets of this machine: those that the tests start."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time

from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import (
    child_pids,
    command_line,
    executable_path,
    foreign_holder,
    is_stopped,
    listening_sockets,
    parent_pid,
    program_name,
    program_pids,
    socket_holders,
    start_time,
)


def test_a_child_is_found_with_its_start_its_program_and_its_title():
    before = time.time()
    child = subprocess.Popen(["sleep", "30"])
    try:
        while not command_line(child.pid):  # the kernel sets it some time after the program has begun
            time.sleep(0.001)
        assert child.pid in child_pids(os.getpid())
        assert program_name(child.pid) == "sleep"
        assert command_line(child.pid) == "sleep 30"
        assert child.pid in program_pids("sleep") and child.pid not in program_pids("nginx")
        assert parent_pid(child.pid) == os.getpid()
        assert executable_path(child.pid) == os.path.realpath(shutil.which("sleep"))
        assert before - 0.05 <= start_time(child.pid) <= time.time() + 0.05
    finally:
        child.kill()
        child.wait()


def test_a_process_that_is_gone_is_nothing():
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert program_name(child.pid) == ""
    child.wait()
    assert start_time(child.pid) is None
    assert program_name(child.pid) == ""
    assert child_pids(child.pid) == []
    assert parent_pid(child.pid) is None
    assert executable_path(child.pid) == ""
    assert not is_stopped(child.pid)


def test_a_process_that_a_signal_has_stopped_is_told_from_one_that_runs():
    child = subprocess.Popen(["sleep", "30"])
    try:
        assert not is_stopped(child.pid)
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        assert is_stopped(child.pid)
    finally:
        child.kill()
        child.wait()


def test_a_program_that_was_replaced_while_it_ran_is_told_by_its_old_path(tmp_path):
    copy = tmp_path / "sleeper"
    shutil.copy(shutil.which("sleep"), copy)
    child = subprocess.Popen([str(copy), "30"])
    try:
        copy.unlink()
        assert executable_path(child.pid) == str(copy)
    finally:
        child.kill()
        child.wait()


def test_a_listening_socket_is_found_with_its_owner():
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        if family == socket.AF_INET6 and not os.path.exists("/proc/net/if_inet6"):
            continue
        with socket.socket(family) as listening:
            listening.bind((address, 0))
            listening.listen()
            port = listening.getsockname()[1]
            (listening,) = [one for one in listening_sockets() if one.port == port]
            assert listening.address == address
            assert socket_holders(listening.inode) == [os.getpid()]
            assert foreign_holder(listening, program_name(os.getpid())) is None
            assert foreign_holder(listening, "nginx") == f"{program_name(os.getpid())} (pid {os.getpid()})"
            assert foreign_holder(listening._replace(inode="0"), "nginx") == "a program that cannot be seen from here"
