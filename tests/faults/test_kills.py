# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Killed at each system call that changes something: what is served stays whole, and the next run finishes the work."""

from __future__ import annotations

import signal

import pytest

from ansible_collections.evergreen.tls.tests.faults.programs import kill_at
from ansible_collections.evergreen.tls.tests.faults.scenarios import SCENARIOS

# What was done to the modules, the scenario in which it has to be found, and how it shows.
MODULE_UTILS = "from ansible_collections.evergreen.tls.plugins.module_utils._store import store"
SABOTAGE = {
    "a link is switched in two steps": (
        """
def replace_link(target, path):
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(target, path)
store.replace_link = replace_link
""",
        "a renewal that prunes",
        "there is no current any more",
    ),
    "a link takes the place of a file in two steps": (
        """
def replace_link(target, path, dir_fd):
    os.unlink(os.path.basename(path), dir_fd=dir_fd)
    os.symlink(target, os.path.basename(path), dir_fd=dir_fd)
from ansible_collections.evergreen.tls.plugins.module_utils._store import adopt
adopt.replace_link = replace_link
""",
        "a pair made by hand",
        "where it was made by hand: ",
    ),
    "a file has its mode only once it is written": (
        """
def create_file(path, content, mode=0o644, owner=-1, group=-1):
    with open(path, "wb") as stream:
        stream.write(content)
    os.chmod(path, mode)
store.create_file = create_file
""",
        "a first request",
        "privkey.pem has mode 0644",
    ),
    "a version is in use before its chain is there": (
        """
store.Store.complete_next = lambda self, chain, request: self.promote_next(request)
""",
        "a first installation",
        "current: cert.pem is missing",
    ),
    "nothing is swept": (
        """
store.Store.left_over = lambda self, request: []
""",
        "a renewal that prunes",
        "is left over",
    ),
    "what waits is not used": (
        """
store.Store.find_ready = lambda self, wanted, now, roots: None
""",
        "a first installation",
        "a certificate was asked for although a complete one was there",
    ),
}


def killed(sandbox, scenario, host, call):
    """Kill a module at a system call; return the violations then and after an ordinary run."""
    run = scenario.run(host, sandbox.chain, kill_at(call))
    assert run.signal == signal.SIGKILL, f"{call.name} {call.number} was not reached"
    hit = run.calls[-1]
    assert (hit.number, hit.describe(host.folder)) == (call.number, call.describe(sandbox.recorded.folder)), (
        "another was hit"
    )
    return sandbox.invariant.violations(host) + sandbox.invariant.violations_after_all(host)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_kill_at_any_system_call_leaves_old_or_new_and_the_next_run_finishes(scenario, prepare_sandbox, tally):
    sandbox = prepare_sandbox(scenario)
    points = [call for call in sandbox.calls if sandbox.changes(call)]
    assert points, "nothing was recorded"
    violations = sandbox.play(lambda host, call: killed(sandbox, scenario, host, call), points)
    tally.add("kills", scenario.module, scenario.title, len(points))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_what_would_break_the_promise_is_found(sabotage, prepare_sabotaged):
    code, title, sign = SABOTAGE[sabotage]
    scenario = next(scenario for scenario in SCENARIOS if scenario.title == title)
    sandbox = prepare_sabotaged(scenario, f"{MODULE_UTILS}\n{code}")
    points = [call for call in sandbox.calls if sandbox.changes(call)]
    violations = sandbox.play_until(sign, lambda host, call: killed(sandbox, scenario, host, call), points)
    assert any(sign in violation for violation in violations), violations
