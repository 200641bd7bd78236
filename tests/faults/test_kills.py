# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Killed at each system call that changes something: what is served stays whole, and the next run finishes the work."""

from __future__ import annotations

import signal

import pytest

from ansible_collections.evergreen.tls.tests.faults.programs import kill_at
from ansible_collections.evergreen.tls.tests.faults.scenes import SCENES


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_a_kill_at_any_system_call_leaves_old_or_new_and_the_next_run_finishes(scene, stage, tally):
    theatre = stage(scene)
    points = [call for call in theatre.calls if theatre.changes(call)]
    assert points, "nothing was recorded"

    def kill(host, call):
        run = scene.run(host, theatre.chain, kill_at(call))
        assert run.signal == signal.SIGKILL, f"{call.name} {call.number} was not reached"
        hit = run.calls[-1]
        assert (hit.number, hit.told(host.folder)) == (call.number, call.told(theatre.recorded.folder)), (
            "another call was hit"
        )
        return theatre.invariant.violations(host) + theatre.invariant.violations_after_all(host)

    found = theatre.play(kill, points)
    tally.add("kills", scene.module, scene.title, len(points))
    assert not found, "\n".join(found)
