# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Power lost at any moment: what a disk may hold then is whole, what was answered is there, and the next run finishes."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ansible_collections.evergreen.tls.tests.faults.disk import DiskHistory
from ansible_collections.evergreen.tls.tests.faults.scenarios import SCENARIOS

SAMPLE = 100  # states of each scenario and kind


def why_answer_is_lost(scenario, sandbox, host):
    """Return which part of a result the disk has lost, or None.

    A request that was handed out waits with its key; a certificate that was said to be in use is, with its links.
    """
    result = sandbox.run.result()
    if "csr" in result:
        return why_request_is_lost(result["csr"], os.path.join(host.store, "next"))
    if scenario.may_remove and not result.get("failed"):
        return None
    if sandbox.invariant.in_use(host) != sandbox.invariant.new:
        return "what was said to be in use is not"
    lost = [path for path, target in scenario.links(host).items() if not is_link(path, target)]
    return None if result.get("failed") or not lost else f"{lost[0]} is no link any more"


def why_request_is_lost(csr, folder):
    """Return which part of a returned signing request the disk has lost, or None."""
    public_key = openssl("req", "-noout", "-pubkey", stdin=csr.encode())
    passphrase = os.path.join(folder, "passphrase")
    how = ["-passin", f"file:{passphrase}"] if os.path.exists(passphrase) else []
    if openssl("pkey", "-pubout", "-in", os.path.join(folder, "privkey.pem"), *how) != public_key:
        return "the key of the request that was handed out is lost"
    if openssl("req", "-noout", "-pubkey", "-in", os.path.join(folder, "request.csr")) != public_key:
        return "the request that was handed out is lost"
    with open(os.path.join(folder, "issuer"), "rb") as stream:
        return None if stream.read() == b"local" else "the issuer of the request that was handed out is lost"


def openssl(*arguments, stdin=b""):
    """Return what openssl prints."""
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False).stdout


def is_link(path, target):
    """Return whether a path is a symbolic link to a target."""
    return os.path.islink(path) and os.readlink(path) == target


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_power_lost_at_any_moment_leaves_old_or_new_and_the_next_run_finishes(
    scenario, prepare_sandbox, tally, is_sample
):
    sandbox = prepare_sandbox(scenario)
    history = DiskHistory(sandbox.base.top, sandbox.recorded.top, sandbox.calls)
    states = sample_of(history.states()) if is_sample else list(history.states())
    known_states = set()

    def lose_power(host, survivors, variants, is_end):
        violations = violations_in_state(history, scenario, sandbox, host, (survivors, variants, is_end))
        comparable_state = sandbox.comparable_state(host)
        if comparable_state in known_states or (is_sample and len(known_states) % 10):
            known_states.add(comparable_state)
            return violations
        known_states.add(comparable_state)
        return violations + sandbox.invariant.violations_after_all(host)

    violations = sandbox.play(
        lose_power, states, lambda survivors, variants, _end: history.describe(survivors, variants), is_bare=True
    )
    tally.add("states", scenario.module, scenario.title, len(states))
    assert not violations, "\n".join(violations)


def sample_of(states):
    """Return some states of each kind, evenly spaced: those after the answer of the module, and those before."""
    states = list(states)
    kinds = ([state for state in states if state[2] == is_end] for is_end in (False, True))
    return [state for kind in kinds for state in kind[:: len(kind) // SAMPLE + 1]]


def violations_in_state(history, scenario, sandbox, host, state):
    """Rebuild a state; return its violations."""
    survivors, variants, is_end = state
    history.build(survivors, variants, host.top)
    host.name_in_records(sandbox.base)
    host.name_in_records(sandbox.recorded)
    lost = why_answer_is_lost(scenario, sandbox, host) if is_end else None
    return sandbox.invariant.violations(host) + ([lost] if lost else [])


# The model has to find what it is there for: each sync is needed, but for those that another one follows.
FOLLOWED = {
    "a first request": [
        "fsync etc/evergreen/web"
    ],  # that of a link which is made to see that the folder can have links
    "a request for a renewal": [],
    "a first installation with links": [
        "fsync etc/evergreen/web",  # that of the trial follows
        "fsync etc/evergreen/web/.trial",  # needed when it is refused, as the next scenario is
        "fsync etc/evergreen/web",
        "fsync etc/nginx",  # one for each link, and both are there
    ],
    "a pair made by hand": ["fsync etc/nginx"],  # one for each link, too
    "a first version that is refused": ["fsync etc/evergreen/web", *["fsync etc/nginx"] * 3],
    "a removal that is refused": ["fsync etc/evergreen"],  # needed when it is not refused
}


@pytest.mark.parametrize(
    "scenario", [scenario for scenario in SCENARIOS if scenario.title in FOLLOWED], ids=lambda scenario: scenario.title
)
def test_a_sync_that_is_left_out_is_found(scenario, prepare_sandbox, tally):
    sandbox = prepare_sandbox(scenario)
    history = DiskHistory(sandbox.base.top, sandbox.recorded.top, sandbox.calls)
    known = {state_key(state) for state in history.states()}

    def leave_out(host, number):
        states = sorted(history.states(without=number), key=lambda state: not state[2])
        for state in (state for state in states if state_key(state) not in known):
            if violations_in_state(history, scenario, sandbox, host, state):
                return []
            shutil.rmtree(host.top)
        return [history.steps[number].description]

    syncs = [number for number, step in enumerate(history.steps) if step.kind == "sync"]
    violations = sandbox.play(leave_out, syncs, lambda number: f"without step {number}", is_bare=True)
    tally.add("syncs", scenario.module, scenario.title, len(syncs))
    assert [one.split(": ")[1] for one in violations] == FOLLOWED[scenario.title]


def state_key(state):
    """Return a hashable key of a state."""
    return state[0], tuple(sorted(state[1].items())), state[2]
