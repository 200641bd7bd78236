# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Killed, and refused by the system, while nginx answers and the firewall filters: clients see the old or the new, never nothing."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess

import pytest

from ansible_collections.evergreen.tls.tests.faults.machines import REPOSITORY, Machine
from ansible_collections.evergreen.tls.tests.faults.nginx_scenes import NGINX_SCENES
from ansible_collections.evergreen.tls.tests.faults.tours import Tour

SCENES = NGINX_SCENES


@pytest.fixture(scope="session")
def machines(tmp_path_factory):
    """Machines, one for each processor."""
    if os.geteuid() != 0 or not shutil.which("podman"):
        pytest.skip("containers whose networks are looked into need root, and podman")
    subprocess.run([f"{REPOSITORY}/dev/fleet", "image", "bookworm"], check=True, capture_output=True)
    folder = str(tmp_path_factory.mktemp("machines"))
    with_all = queue.Queue(maxsize=os.cpu_count())
    everything = [Machine(folder) for _processor in range(with_all.maxsize)]
    for machine in everything:
        with_all.put(machine)
    yield with_all
    for machine in everything:
        machine.close()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_a_kill_at_any_system_call_leaves_old_or_new_in_use_and_the_next_run_finishes(scene, machines, tally):
    tour = Tour(scene, machines)
    points = tour.kill_points()
    assert points, "nothing was recorded"
    found = tour.play(tour.killed, [(call,) for call in points])
    tally.add("kills", scene.module, scene.title, len(points))
    assert not found, "\n".join(found)
