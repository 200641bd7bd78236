# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for all unit tests."""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import sys
import threading
import time

import pytest

LEAK_TIMEOUT_S = 8.0  # what ends by itself may take so long


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a server on the loopback address; stop all servers after the test."""
    from ansible_collections.evergreen.tls.tests.unit.servers import servers

    with servers(tmp_path) as started:
        yield started


@pytest.fixture(autouse=True, scope="module")
def leave_nothing_behind():
    """Fail where the tests of a file leave threads, processes or open files behind, which the tests of other files suffer from."""
    before = what_is_open()
    yield
    close_connections_with_cas()
    deadline = time.monotonic() + LEAK_TIMEOUT_S
    while (left := what_is_open() - before) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    assert not left, f"the tests of this file leave behind: {', '.join(sorted(left))}"


def close_connections_with_cas():
    """Close what a process keeps open for its later orders by ACME."""
    client = sys.modules.get("ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.client")
    connections = {} if client is None else client.CONNECTIONS
    while connections:
        session = connections.popitem()[1].session
        if session is not None:
            session.close()


def what_is_open():
    """Return the threads, the processes and the files of this process, each as a sentence that no other shares."""
    threads = {f"thread {thread.name} ({thread.ident})" for thread in threading.enumerate()}
    tasks, children = list(pathlib.Path("/proc/self/task").iterdir()), set()
    for task in tasks:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            children |= {f"process {number}" for number in (task / "children").read_text().split()}
    files = set()
    for number in set(os.listdir("/proc/self/fd")) - {"0", "1", "2"}:  # pytest changes them
        with contextlib.suppress(OSError):
            files.add(f"file {number} ({os.readlink(f'/proc/self/fd/{number}')})")
    return threads | children | files


@pytest.fixture
def site(tmp_path):
    """Let a name be served at several addresses."""
    from ansible_collections.evergreen.tls.tests.unit.served_sites import served_site

    with served_site(tmp_path) as one:
        yield one
