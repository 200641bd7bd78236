# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Power lost at any moment: what a disk may hold then is whole, what was answered is there, and the next run finishes."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.evergreen.tls.tests.faults.disk import Film
from ansible_collections.evergreen.tls.tests.faults.scenes import SCENES


def why_answer_is_lost(scene, theatre, host):
    """Say what of an answer a disk does not hold, or return None: the key of a request, or the certificate in use."""
    answer = theatre.run.answer()
    if "csr" in answer:
        key = subprocess.run(
            ["openssl", "pkey", "-pubout", "-in", os.path.join(host.store, "next/privkey.pem")],
            capture_output=True,
            check=False,
        )
        asked = subprocess.run(
            ["openssl", "req", "-noout", "-pubkey"], input=answer["csr"].encode(), capture_output=True, check=True
        )
        return None if key.stdout == asked.stdout else "the key of the request that was handed out is lost"
    if scene.end == "absent" or scene.arguments.get("state") == "absent" or answer.get("failed"):
        return None
    in_use = theatre.invariant.in_use(host)
    return None if in_use == theatre.invariant.new else "what was said to be in use is not"


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_power_lost_at_any_moment_leaves_old_or_new_and_the_next_run_finishes(scene, stage, tally, is_sample):
    theatre = stage(scene)
    film = Film(theatre.base.top, theatre.recorded.top, theatre.calls)
    states = list(film.states())
    seen = set()

    def lose_power(host, survivors, variants, is_end):
        found = judge_state(film, scene, theatre, host, (survivors, variants, is_end))
        likeness = theatre.likeness(host)
        if likeness in seen or (is_sample and len(seen) % 20):
            seen.add(likeness)
            return found
        seen.add(likeness)
        return found + theatre.invariant.violations_after_all(host)

    found = theatre.play(
        lose_power, states, lambda survivors, variants, _end: film.told(survivors, variants), is_bare=True
    )
    tally.add("states", scene.module, scene.title, len(states))
    assert not found, "\n".join(found)


def judge_state(film, scene, theatre, host, state):
    """Rebuild a state and return what does not hold in it."""
    survivors, variants, is_end = state
    film.build(survivors, variants, host.top)
    lost = why_answer_is_lost(scene, theatre, host) if is_end else None
    return theatre.invariant.violations(host) + ([lost] if lost else [])
