# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controllers that die, lose a host, or meet: what is served stays whole, nothing is issued twice, the next run finishes."""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import os
import re
import signal
import typing as t

import pytest

from ansible_collections.evergreen.tls.tests.faults.fleet import until

PLAYBOOKS = ("deploy", "renew")

# Between a task and the next one, the controller alone is at work: to be killed at its end or at the beginning of the other is the same.
BETWEEN = ("task ", "the end")

# Points within a task, which a worker reaches that may outlive the process that somebody kills.
WITHIN = ("before ", "after ", "signed", "kept", "recorded")
SAMPLE = [("after evergreen.tls.certificate_install", True), ("before evergreen.tls.certificate_issue", False)]
SAMPLE_OF_CUTS = [("certificate_install", "sshd is killed")]


class Gate(t.NamedTuple):
    """Scripts that stop a module during its work, check that it has stopped, and let it continue."""

    close: str
    is_reached: str
    open: str


WAIT = "touch /run/gate.reached; while [ -e /run/gate ]; do sleep 0.1; done"
CLOSED = "rm -f /run/gate.reached; touch /run/gate; "
GATES = {
    "certificate_request": Gate(
        "systemd-run --quiet --collect --unit=gate flock /etc/evergreen/site/lock sleep infinity; "
        "until ! flock --nonblock /etc/evergreen/site/lock true; do sleep 0.1; done",
        "find /proc/[0-9]*/fd -lname /etc/evergreen/site/lock 2> /dev/null | cut -d / -f 3 | sort -u"
        " | xargs -I @ cat /proc/@/comm | grep python",
        "systemctl stop gate",
    ),
    "certificate_install": Gate(
        f"{CLOSED} printf '#!/bin/sh\\n{WAIT}\\n' > /run/validate; chmod 755 /run/validate",
        "ls /run/gate.reached",
        "rm /run/gate",
    ),
    "nginx_reload": Gate(
        f"{CLOSED} mkdir -p /run/real; cp /usr/sbin/nginx /run/real/; "
        f'printf \'#!/bin/sh\\n[ "$1" != -t ] || {{ {WAIT}; }}\\nexec /run/real/nginx "$@"\\n\' > /run/nginx; '
        "chmod 755 /run/nginx; mount --bind /run/nginx /usr/sbin/nginx",
        "ls /run/gate.reached",
        "rm /run/gate; umount --lazy /usr/sbin/nginx",
    ),
}
PACKETS = (
    "add table inet cut; add chain inet cut in { type filter hook input priority -300; }; "
    "add rule inet cut in tcp dport 22 drop; add chain inet cut out { type filter hook output priority -300; }; "
    "add rule inet cut out tcp sport 22 drop"
)
CONNECTION_LOST = re.compile(
    "site: the host (cannot be reached|was lost): [^;]*; see that it runs, [^;.]*, and run this again"
)
WAYS = ("ssh is killed", "sshd is killed", "packets are dropped")


def killed(playbook, site, number, point, whole, **environment):
    """Kill a run at a point; return the violations then and after the next run."""
    site.put_back(playbook)
    before = site.issued()
    reached = site.controller.kill_at(number, whole, playbook, *site.only(), **environment)
    violations = [] if reached[number - 1] == point else [f"another point was reached, {reached[number - 1]}"]
    if whole:
        violations += site.violations(before)
    following = site.run(playbook)  # while what was spared may still be at work
    until(site.controller.has_no_processes, "the end of all that the run that was killed had started")
    if following.status:
        violations.append(f"the next run fails: {following.printed}")
    violations += site.violations_when_done(before)
    return [
        f"{playbook}, {'all' if whole else 'one'} killed at {number}, {point}: {violation}" for violation in violations
    ]


def cut_off(site, module, way):
    """Cut the connection to a host while a module runs there; return the violations then and after the next run."""
    gate = GATES[module]
    site.put_back("renew")
    before = site.issued()
    site.fleet.do(site.host, gate.close)
    validate = ["--extra-vars", "validate=/run/validate"] if module == "certificate_install" else []
    try:
        run = site.controller.start("renew", *site.only(), *validate)
        until(lambda: site.fleet.do(site.host, gate.is_reached, check=False).startswith("0 "), f"the midst of {module}")
        cut(site, way)
        run.wait()
    finally:
        site.fleet.do(site.host, "nft delete table inet cut 2> /dev/null", check=False)
        site.fleet.do(site.host, gate.open)
    until(lambda: site.fleet.do(site.host, "pgrep -x python3", check=False).startswith("1 "), f"the end of {module}")
    violations = site.violations(before)
    if run.status not in (2, 4):
        violations.append(f"the run ends with {run.status}")
    if not CONNECTION_LOST.search(run.sentences) or "Traceback" in run.printed:
        violations.append(f"the run does not say that the host was lost, and what to do: {run.printed}")
    following = site.run("renew", *validate)
    if following.status:
        violations.append(f"the next run fails: {following.printed}")
    return violations + site.violations_when_done(before)


def cut(site, way):
    """Cut the connection between a controller and a host."""
    if way == "ssh is killed":
        for process in site.controller.processes("ssh"):
            os.kill(process, signal.SIGKILL)
    elif way == "sshd is killed":
        site.fleet.do(site.host, "pkill -KILL --full '^sshd: ops'")
    else:
        site.fleet.do(site.host, f"nft '{PACKETS}'")


def met(playbook, site, number):
    """Run a playbook from two controllers at once; return the violations."""
    site.put_back(playbook)
    before = site.issued()
    controllers = [site.controller, site.new_controller(site.controller.home.parent / "another")]
    runs = [controller.start(playbook, *site.only()) for controller in controllers]
    for run in runs:
        run.wait()
    violations = [f"a run fails: {run.printed}" for run in runs if run.status]
    return [
        f"{playbook}, meeting {number}: {violation}" for violation in violations + site.violations_when_done(before)
    ]


def survived(site, point):
    """Halt one of two controllers at a point, and kill it while the other may wait for it; return the violations."""
    dying, other = site.controller, site.new_controller(site.controller.home.parent / "another")
    site.put_back("renew")
    number = dying.points("renew", *site.only()).index(point) + 1
    site.put_back("renew")
    before = site.issued()
    logs = [controller.home / "halted" for controller in (dying, other)]
    for log in logs:
        log.write_text("", encoding="utf-8")
    halted = {**dying.watching(logs[0]), "POINTS_KILL_AT": str(number), "POINTS_HALT": "yes"}
    dying.start("renew", *site.only(), **halted)
    until(lambda: len(logs[0].read_text(encoding="utf-8").splitlines()) == number, point)
    run = other.start("renew", *site.only(), **other.watching(logs[1]))
    until(lambda: "before evergreen.tls.certificate_issue" in logs[1].read_text(encoding="utf-8"), "the other")
    for process in dying.processes("ansible-playboo"):
        os.kill(process, signal.SIGKILL)
    run.wait()
    violations = [f"the run fails: {run.printed}"] if run.status else []
    return violations + site.violations_when_done(before)


def on_all(sites, tries, attempt):
    """Make all attempts, each on a free site; return the violations."""
    waiting = collections.deque(tries)

    def work(site):
        violations = []
        while True:
            try:
                one = waiting.popleft()
            except IndexError:
                return violations
            violations += attempt(site, *one)

    with concurrent.futures.ThreadPoolExecutor(len(sites)) as pool:
        return [violation for violations in pool.map(work, sites) for violation in violations]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_run_that_is_killed_anywhere_leaves_old_or_new_and_the_next_one_finishes(playbook, sites, tally, is_sample):
    if is_sample and playbook == "deploy":
        pytest.skip("this is a sample")
    sites[0].put_back(playbook)
    points = list(enumerate(sites[0].controller.points(playbook, *sites[0].only()), 1))
    tries = [(number, point, True) for number, point in points if point.startswith((*BETWEEN, *WITHIN))]
    tries += [(number, point, False) for number, point in points if point.startswith(WITHIN)]
    if is_sample:
        tries = [one for one in tries if one[1:] in SAMPLE]
        assert len(tries) == len(SAMPLE)
    violations = on_all(sites, tries, functools.partial(killed, playbook))
    tally.add_run(playbook, "it is killed, with all that it started", sum(whole for _number, _point, whole in tries))
    tally.add_run(playbook, "it is killed, and its worker goes on", sum(not whole for _number, _point, whole in tries))
    assert not violations, "\n".join(violations)


def test_a_controller_that_keeps_no_answer_is_found(sites, is_sample):
    if is_sample:
        pytest.skip("this is a sample")
    site = sites[0]
    site.put_back("renew")
    number = site.controller.points("renew", *site.only()).index("recorded") + 1
    violations = killed("renew", site, number, "recorded", True, POINTS_FORGET="yes")
    assert any("2 certificates were issued" in violation for violation in violations), violations


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("module", GATES)
def test_a_host_that_is_lost_within_a_module_is_told_of_and_the_next_run_finishes(module, way, sites, tally, is_sample):
    if is_sample and (module, way) not in SAMPLE_OF_CUTS:
        pytest.skip("this is a sample")
    site = sites[0]
    violations = cut_off(site, module, way)
    tally.add_run(module, f"{way} in its midst", 1)
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_of_two_controllers_at_once_each_finishes_and_one_certificate_is_issued(playbook, sites, tally, is_sample):
    if is_sample:
        pytest.skip("this is a sample")
    tries = [(number,) for number in range(10)]
    violations = on_all(sites, tries, functools.partial(met, playbook))
    tally.add_run(playbook, "another controller does the same", len(tries))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("point", ["before evergreen.tls.certificate_issue", "signed", "kept", "recorded"])
def test_a_controller_goes_on_where_another_dies_that_it_has_waited_for(point, sites, tally, is_sample):
    if is_sample:
        pytest.skip("this is a sample")
    violations = survived(sites[0], point)
    tally.add_run("renew", "another controller does the same, and is killed", 1)
    assert not violations, "\n".join(violations)
