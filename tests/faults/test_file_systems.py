# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File systems that are really full, or really read-only: a sentence says what to do, and the next run finishes."""

from __future__ import annotations

import contextlib
import os
import subprocess

import pytest

from ansible_collections.evergreen.tls.tests.faults.scenarios import SCENARIOS

PAGE = 4096
FREE_PAGES = range(10)  # no scenario needs more


@pytest.fixture(scope="session", autouse=True)
def may_mount(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("mount"))
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def mounted(sandbox, host):
    """Give the host's folder a file system of its own, with all that is there."""
    os.rename(host.top, f"{host.top}.before")
    os.mkdir(host.top)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", host.top], check=True)
    try:
        subprocess.run(["cp", "-a", f"{host.top}.before/.", host.top], check=True)
        yield
    finally:
        subprocess.run(["umount", host.top], check=True)


def fill(host, free):
    """Leave no more than some pages free; return the file that takes the rest."""
    path = os.path.join(host.folder, "host", "filler")
    with open(path, "wb", buffering=0) as stream:
        with contextlib.suppress(OSError):
            while True:
                stream.write(bytes(PAGE))
        stream.truncate(max(0, os.fstat(stream.fileno()).st_size - free * PAGE))
    return path


def outcome(sandbox, scenario, host, run, remedy):
    """Return what does not hold after a run that may have met its limit."""
    result, usual = run.result(), sandbox.run.result()
    violations = sandbox.invariant.violations(host)
    if not result.get("failed"):
        return violations + sandbox.unfinished(host)
    if usual.get("failed") and "'false'" in result["msg"]:
        return violations
    return violations + ([] if result["msg"].endswith(f"; {remedy}") else [f"it says {result['msg']!r}"])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_full_file_system_is_told_of_and_the_next_run_finishes(scenario, prepare_sandbox, tally):
    sandbox = prepare_sandbox(scenario)
    failed = []

    def run_out_of_space(host, free):
        with mounted(sandbox, host):
            filler = fill(host, free)
            run = scenario.run(host, sandbox.chain)
            failed.append(bool(run.result().get("failed")))
            os.unlink(filler)
            violations = outcome(sandbox, scenario, host, run, "free some space there and run this again")
            return violations + sandbox.invariant.violations_after_all(host)

    violations = sandbox.play(run_out_of_space, list(FREE_PAGES))
    tally.add("file systems", scenario.module, scenario.title, len(FREE_PAGES))
    assert not violations, "\n".join(violations)
    writes = any(call.name == "write" and sandbox.touches_host(call) for call in sandbox.calls)
    assert any(failed) or not writes, "it was never full"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_read_only_file_system_is_told_of_and_the_next_run_finishes(scenario, prepare_sandbox, tally):
    sandbox = prepare_sandbox(scenario)

    def run_read_only(host, _state):
        with mounted(sandbox, host):
            subprocess.run(["mount", "-o", "remount,ro", host.top], check=True)
            run = scenario.run(host, sandbox.chain)
            subprocess.run(["mount", "-o", "remount,rw", host.top], check=True)
            violations = outcome(sandbox, scenario, host, run, "mount that file system writable and run this again")
            assert run.result().get("failed"), "it was not read-only"
            return violations + sandbox.invariant.violations_after_all(host)

    violations = sandbox.play(run_read_only, ["read-only"])
    tally.add("file systems", scenario.module, scenario.title, 1)
    assert not violations, "\n".join(violations)
