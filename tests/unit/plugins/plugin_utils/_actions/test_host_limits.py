# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A call to a host ends after its time, or when the host answers too much; what it has started here is ended, too."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions import host_limits
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.host_limits import (
    HostLimitError,
    host_timeout_s,
    limited_host_call,
)


@pytest.fixture(autouse=True)
def check_that_no_alarm_is_left():
    yield
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, None)


def is_running(process):
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_host_that_stays_busy_is_given_up_with_what_was_started_for_it():
    before = subprocess.Popen(["sleep", "60"])
    ssh = None
    with pytest.raises(HostLimitError) as caught, limited_host_call(0.5, "nginx_reload"):
        ssh = subprocess.Popen(["sh", "-c", "sleep 61 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
        grandchild = int(ssh.stdout.readline())
        ssh.wait()
    assert str(caught.value) == (
        "nginx_reload has not ended within 0.5 seconds on the host; see what keeps it there, or allow more with "
        "certificate_host_timeout, and run this again"
    )
    assert ssh.wait(timeout=5) == -signal.SIGTERM
    deadline = time.monotonic() + 5
    while is_running(grandchild) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(grandchild) and is_running(before.pid)
    before.kill()
    before.wait()


def test_a_host_that_answers_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(host_limits, "MAX_ANSWER_MEMORY_BYTES", 50 * 2**20)
    kept = []
    with pytest.raises(HostLimitError) as caught, limited_host_call(60, "nginx_reload"):
        while True:
            kept.append(os.urandom(2**20))
    assert str(caught.value) == "the host answers nginx_reload without end; look at what it is doing"
    assert len(kept) < 20_000


def test_a_call_that_ends_in_time_is_left_alone():
    with limited_host_call(5, "nginx_reload"):
        subprocess.run(["sleep", "0.7"], check=True)


def test_a_time_limit_of_the_task_goes_on_to_count():
    class TaskTimeout(Exception):
        pass

    def handler(_number, _frame):
        raise TaskTimeout

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        with limited_host_call(60, "nginx_reload"):
            time.sleep(0.6)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 0.5
        assert signal.getsignal(signal.SIGALRM) is handler
        with pytest.raises(TaskTimeout), limited_host_call(60, "nginx_reload"):
            time.sleep(10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_nothing_is_limited_in_another_thread():
    ended = []

    def call():
        with limited_host_call(0.01, "nginx_reload"):
            time.sleep(0.1)
        ended.append(True)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert ended == [True]


def test_the_limit_is_a_variable_of_the_host():
    assert host_timeout_s({}, None) == 600
    assert host_timeout_s({"certificate_host_timeout": 30}, None) == 30
    assert host_timeout_s({"certificate_host_timeout": "{{ 2 * 3 }}"}, {"{{ 2 * 3 }}": "6"}.get) == 6


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "soon", None, [], {}])
def test_a_limit_that_is_no_number_of_seconds_is_refused(value):
    with pytest.raises(TlsError) as caught:
        host_timeout_s({"certificate_host_timeout": value}, lambda text: text)
    assert str(caught.value) == (
        f"certificate_host_timeout is {value!r}, which is no number of seconds; correct it in the inventory"
    )
