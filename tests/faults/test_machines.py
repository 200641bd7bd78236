# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Killed, and refused by the system, while nginx answers and the firewall filters: clients see the old or the new, never nothing."""

from __future__ import annotations

import functools
import os
import queue
import shutil
import subprocess

import pytest

from ansible_collections.evergreen.tls.tests.faults import pair_checks
from ansible_collections.evergreen.tls.tests.faults.crash_explorer import REPOSITORY, Machine
from ansible_collections.evergreen.tls.tests.faults.crash_tours import Tour
from ansible_collections.evergreen.tls.tests.faults.firewall_scenarios import FIREWALL_SCENARIOS
from ansible_collections.evergreen.tls.tests.faults.nginx_scenarios import NGINX_SCENARIOS
from ansible_collections.evergreen.tls.tests.faults.test_errors import ERRORS

SCENARIOS = [*NGINX_SCENARIOS, *FIREWALL_SCENARIOS]
SAMPLE = 4  # how many faults of these are enough for a sample
SAMPLED = {
    "a site that changes, and another",
    "a certificate that is put in use",
    "another certificate is in use",
    "nftables opens a port",
    "a site is written in place",
    "what was left beside a file stays",
}


@pytest.fixture(scope="session")
def machines(tmp_path_factory):
    """Machines, two for each processor, since they often wait."""
    if os.geteuid() != 0 or not shutil.which("podman"):
        pytest.skip("containers whose networks are looked into need root, and podman")
    subprocess.run([f"{REPOSITORY}/dev/fleet", "image", "bookworm"], check=True, capture_output=True)
    folder = str(tmp_path_factory.mktemp("machines"))
    with_all = queue.Queue(maxsize=2 * os.cpu_count())
    everything = [Machine(folder) for _processor in range(with_all.maxsize)]
    for machine in everything:
        with_all.put(machine)
    yield with_all
    for machine in everything:
        machine.close()


@pytest.fixture(autouse=True)
def in_sample(request, is_sample):
    """Leave out what is not in the sample, where a sample is enough."""
    params = (getattr(request.node, "callspec", None) and request.node.callspec.params) or {}
    title = getattr(params.get("scenario"), "title", params.get("sabotage"))
    if is_sample and title not in SAMPLED:
        pytest.skip("not in the sample")


@pytest.fixture(scope="session")
def tour_of(machines):
    """Return the tour of a scenario, which every test of it shares."""
    return functools.cache(
        lambda title: Tour(next(scenario for scenario in SCENARIOS if scenario.title == title), machines)
    )


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_kill_at_any_system_call_leaves_old_or_new_in_use_and_the_next_run_finishes(
    scenario, tour_of, tally, is_sample
):
    tour = tour_of(scenario.title)
    points = tour.kill_points()
    if is_sample:
        points = points[:: len(points) // SAMPLE + 1]
    assert points, "nothing was recorded"
    violations = tour.play(tour.killed, [(call,) for call in points])
    tally.add("kills", scenario.module, scenario.title, len(points))
    assert not violations, "\n".join(violations)


# What the sentence has to end in, beside what is said of files.
OF_PROCESSES = {
    "EAGAIN": "end some processes, or raise their limit, and run this again",
    "EPERM": "run this as a user who may, or with become",
}


# firewalld takes half a second for each answer, and the module does the same there as with ufw.
@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in SCENARIOS if scenario.title != "firewalld opens a port"],
    ids=lambda scenario: scenario.title,
)
def test_an_error_at_any_system_call_is_told_in_a_sentence_and_the_next_run_finishes(
    scenario, tour_of, tally, is_sample
):
    tour = tour_of(scenario.title)
    variations = tour.refusals(list(ERRORS))
    if is_sample:
        variations = variations[:: len(variations) // SAMPLE + 1]
    known_states = set()
    violations = tour.play(
        lambda *variation: tour.refused(*variation, {**ERRORS, **OF_PROCESSES}, known_states), variations
    )
    tally.add("errors", scenario.module, scenario.title, len(variations))
    assert not violations, "\n".join(violations)


# Scenarios in which the module writes nothing by itself, or those in which what nginx cannot load is on the disk while that is found out.
WRITELESS = {
    "a certificate that is put in use",
    "ufw opens a port",
    "firewalld opens a port",
}
UNLOADABLE = {"a configuration that nginx cannot load", "a first configuration that nginx cannot load"}
POWERED = [
    scenario
    for scenario in SCENARIOS
    if scenario.module != "nginx_reload" and scenario.title not in WRITELESS | UNLOADABLE
]


@pytest.mark.parametrize("scenario", POWERED, ids=lambda scenario: scenario.title)
def test_power_lost_at_any_moment_leaves_old_or_new_and_the_next_run_finishes(
    scenario, tour_of, tally, is_sample, tmp_path
):
    tour = tour_of(scenario.title)
    history = tour.history(str(tmp_path / "base"))
    states = list(history.states())
    assert len(states) > 1, "nothing was recorded"
    disks = {}
    for survivors, variants, _is_end in states:
        folder = str(tmp_path / str(len(disks)))
        history.build(survivors, variants, folder, history.recorded)
        if (
            disks.setdefault(
                pair_checks.comparable_state(folder, folder), (history.describe(survivors, variants), folder)
            )[1]
            != folder
        ):
            shutil.rmtree(folder)
    variations = list(disks.values())
    if is_sample:
        variations = variations[:: len(variations) // SAMPLE + 1]
    violations = tour.play(tour.lost_power, variations)
    tally.add("states", scenario.module, scenario.title, len(states))
    assert not violations, "\n".join(violations)


def test_a_sync_that_is_left_out_is_found(tour_of, tally, is_sample, tmp_path):
    """The model has to find what it is there for: without its lock, nobody knows that there is something to sweep."""
    if is_sample:
        pytest.skip("this is a sample")
    tour = tour_of("a first site, and then it is not wanted")
    history = tour.history(str(tmp_path / "base"))
    first = next(number for number, step in enumerate(history.steps) if step.description == "fsync nginx/conf.d")
    for number, (survivors, variants, _is_end) in enumerate(history.states(without=first)):
        folder = str(tmp_path / str(number))
        history.build(survivors, variants, folder, history.recorded)
        violations = tour.play(tour.lost_power, [(history.describe(survivors, variants), folder)])
        if violations:
            break
    tally.add("syncs", tour.scenario.module, tour.scenario.title, 1)
    assert any("evergreen-test" in violation for violation in violations), violations


# What was done to the modules, the scenario in which it has to be found, the calls to kill at, and how it shows.
MODULES = (
    "from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import firewall_commands; "
    "from ansible_collections.evergreen.tls.plugins.module_utils._nginx import config_file, process"
)
SABOTAGE = {
    "a site is written in place": (
        """
def write(path, content, *_attributes):
    with open(path, "wb") as stream:
        stream.write(content)
config_file.replace_file = write
""",
        "a site that changes, and another",
        "write etc/nginx/conf.d/evergreen.conf",
        "is neither what it was before nor what it is after",
    ),
    "what nginx had loaded is not kept": (
        """
config_file.ConfigFile.keep_loaded = lambda self: None
""",
        "a first configuration that nginx cannot load",
        "clock_nanosleep",
        "what nginx cannot have stays there",
    ),
    "nginx is stopped and started": (
        """
import os, signal, time
def restart(self):
    pid = self.master_pid()
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.01)  # where it is killed; nginx may have gone before anybody looks
    while self.master_pid():
        time.sleep(0.01)
    self.start()
process.NginxProcess.reload = restart
""",
        "a certificate that is put in use",
        "clock_nanosleep",
        "the observer saw: https:443:www.example.org Connection refused",
    ),
    "a configuration is not tested": (
        """
config_file.ConfigFile.test_error = lambda self, text: None
""",
        "a configuration that nginx refuses",
        "clock_nanosleep",
        "is neither what it was before nor what it is after",
    ),
    "a firewall is flushed and set up again": (
        """
usual = firewall_commands.run_firewall_command
def run_firewall_command(host, command):
    if not command["path"]:
        table = host.run("nft", "list", "ruleset")[1]
        host.run("nft", "flush", "ruleset")
        host.run("nft", "-f", "-", stdin=table)
    usual(host, command)
firewall_commands.run_firewall_command = run_firewall_command
""",
        "nftables opens a port",
        "vfork",
        "table inet filter is neither what it was before nor what it is after: None",
    ),
    "what a program reads comes through a pipe": (
        """
import subprocess
def run(argv, stdin=None):
    ended = subprocess.run(argv, input=stdin or "", capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr
firewall_commands.run_command = run
""",
        "nftables opens many ports",
        "write a pipe",
        "table inet filter is neither what it was before nor what it is after",
    ),
    "what was left beside a file stays": (
        """
firewall_commands.remove_temporary_files = lambda path: None
""",
        "nftables opens a port",
        "rename",
        "it ends otherwise than usual, left over",
    ),
}


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_what_would_break_the_promise_is_found(sabotage, tour_of, tmp_path):
    code, title, place, sign = SABOTAGE[sabotage]
    sound = tour_of(title)
    machine = Machine(str(tmp_path), f"{MODULES}\n{code}")
    try:
        violations = Tour(sound.scenario, one(machine), sound.states).until(sign, place)
    finally:
        machine.close()
    assert any(sign in violation for violation in violations), "\n".join(violations)


def one(machine):
    """Return a queue with just one machine."""
    queued = queue.Queue(maxsize=1)
    queued.put(machine)
    return queued
