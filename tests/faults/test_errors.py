# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refused by the system at each system call: a sentence says what to do, what is served stays whole, the next run finishes."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.tests.faults.programs import refuse
from ansible_collections.evergreen.tls.tests.faults.scenarios import SCENARIOS

# What the sentence has to end in.
ERRORS = {
    "ENOSPC": "free some space there and run this again",
    "EIO": "look after that disk, then run this again",
    "EROFS": "mount that file system writable and run this again",
    "EDQUOT": "free some space there, or raise the quota, and run this again",
    "EACCES": "run this as a user who may, or with become",
    "EMFILE": "raise the limit of open files and run this again",
    "ENOMEM": "free some memory and run this again",
}
LASTING = ("ENOSPC", "EIO")  # also for all calls of that name that come later, but for the one that writes the answer


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_an_error_at_any_system_call_is_told_in_a_sentence_and_the_next_run_finishes(
    scenario, prepare_sandbox, tally, is_sample
):
    sandbox = prepare_sandbox(scenario)
    calls = [call for call in sandbox.calls if call.error is None and sandbox.touches_host(call)]
    kinds = [(error, False) for error in ERRORS] + [(error, True) for error in LASTING]
    variations = [(call, *kind) for call in calls for kind in kinds]
    if is_sample:  # each call once, each error as often as the others
        variations = [(call, *kinds[number % len(kinds)]) for number, call in enumerate(calls)]
    variations = [(call, *kind) for call, *kind in variations if not (kind[1] and call.name == "write")]
    usual = sandbox.run.result()
    known_states = set()

    def fail(host, call, error, lasting):
        run = scenario.run(host, sandbox.chain, refuse(call, error, lasting))
        hit = [one for one in run.calls if one.error == error]
        assert hit and hit[0].describe(host.folder) == call.describe(sandbox.recorded.folder), "another call was hit"
        violations = sandbox.invariant.violations(host)
        result = run.result()
        if not result.get("failed"):
            violations += sandbox.unfinished(host)
        elif not (usual.get("failed") and is_alike(result, usual)):
            sentence = result["msg"]
            violations += [] if sentence.endswith(f"; {ERRORS[error]}") else [f"it says {sentence!r}"]
            violations += [] if sentence.startswith(host.top) else [f"it does not say where: {sentence!r}"]
        state = sandbox.comparable_state(host)
        if state in known_states:  # an ordinary run has finished from here before
            return violations
        known_states.add(state)
        return violations + sandbox.invariant.violations_after_all(host)

    violations = sandbox.play(fail, variations)
    tally.add("errors", scenario.module, scenario.title, len(variations))
    assert not violations, "\n".join(violations)


def is_alike(result, usual):
    """Return whether a result is the usual refusal of the scenario, by the command of its request."""
    refusal = "'false'"
    return refusal in usual["msg"] and refusal in result["msg"]
