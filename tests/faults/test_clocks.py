# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clocks that lie: of a host that is ahead or behind, that jumps while modules run, and of the controller."""

from __future__ import annotations

import datetime
import fcntl
import glob
import itertools
import os
import pathlib
import queue
import re
import threading
import time

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import certificate_install, certificate_issue, certificate_request
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_before
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import issue, local_ca, local_ca_certificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.faults import pair_checks
from ansible_collections.evergreen.tls.tests.faults.conftest import Sandbox
from ansible_collections.evergreen.tls.tests.faults.programs import Programs
from ansible_collections.evergreen.tls.tests.faults.scenarios import NAMES, ROOT, Scenario, due, fresh, plain
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

FAKETIME = sorted(glob.glob("/usr/lib/*/faketime/libfaketime.so.1"))
needs_faketime = pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed here")
DUE, FRESH = (Scenario("clocks", "certificate_request", prepare, plain) for prepare in (due, fresh))
WRONG = "the clock of this host is {} that of the controller; set the one that is wrong"


@pytest.fixture
def clock(tmp_path):
    """A file that says by how much the clock of the host is wrong."""
    path = tmp_path / "clock"
    path.write_text("+0")
    return path


@pytest.fixture
def sandbox_with_clock(tmp_path, clock):
    """Prepare a scenario on a host that has the clock; files have their true times."""
    options = {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    programs = Programs(LD_PRELOAD=FAKETIME[0], FAKETIME_TIMESTAMP_FILE=str(clock), **options)
    shelf = queue.Queue(maxsize=1)
    shelf.put(programs)
    (tmp_path / "hosts").mkdir()
    yield lambda scenario: Sandbox(scenario, str(tmp_path / "hosts"), shelf)
    programs.close()


@pytest.fixture
def perform(monkeypatch, tmp_path):
    """Run an action of the collection for a host, with a private CA on the controller."""
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    issuers = {"local": {"type": "local_ca", "directory": str(tmp_path / "ca")}}

    def performed(owner, host, **arguments):
        task = Task()
        task.action = f"evergreen.tls.{owner.__name__.rpartition('.')[2]}"
        place = {} if owner is certificate_issue else {"directory": host.directory}
        known = {} if owner is certificate_install else {"issuers": issuers}
        task.args = {"request": plain(host), **place, **known, **arguments}
        action = owner.ActionModule(task, None, None, None, None, None)
        action._execute_module = lambda name, module_args, task_vars: host.run(
            name.rpartition(".")[2], **module_args
        ).result()
        return action.run(task_vars={"inventory_hostname": "web1"})

    return performed


def play(sandbox, attempt, tally, lies=1):
    violations = sandbox.play(lambda host, _title: attempt(host), ["a clock"])
    tally.add_lies("a clock", lies)
    assert not violations, "\n".join(violations)


@needs_faketime
@pytest.mark.parametrize(
    ("offset", "deviation"),
    [
        ("-3d", "3 days behind"),
        ("-2h", "2 hours behind"),
        ("+400d", "400 days ahead of"),
        ("+26h", "1 day and 2 hours ahead of"),
    ],
)
def test_nothing_is_issued_for_a_host_whose_clock_is_far_off(
    offset, deviation, sandbox_with_clock, clock, perform, tmp_path, tally
):
    def ask(host):
        before = pair_checks.fingerprint_in_use(host.store)
        clock.write_text(offset)
        result = perform(certificate_request, host, force=True)
        wrong = WRONG.format(re.sub(r"(\d+) (days|hours)", lambda match: f"{match[1]} {match[2]}", deviation))
        sentence = f"nothing is issued by the wrong time: {wrong}, and run this again"
        violations = [] if result.get("failed") and within_a_second(result["msg"], sentence) else [f"it says {result}"]
        violations += [] if not (tmp_path / "ca").exists() else ["the CA was asked"]
        return violations + (
            [] if pair_checks.fingerprint_in_use(host.store) == before else ["another certificate is in use"]
        )

    play(sandbox_with_clock(DUE), ask, tally)


def within_a_second(message, sentence):
    """Return whether a message equals a sentence, except for durations."""
    loose = re.sub(r"\d+ (day|hour|minute|second)s?( and \d+ \w+)?", "TIME", message)
    return loose == re.sub(r"\d+ (day|hour|minute|second)s?( and \d+ \w+)?", "TIME", sentence)


@needs_faketime
def test_a_certificate_that_is_not_valid_yet_on_its_host_is_not_installed_and_the_clocks_are_told_of(
    sandbox_with_clock, clock, perform, tally, monkeypatch
):
    monkeypatch.setattr(
        local_ca_certificates, "BACKDATING", datetime.timedelta()
    )  # as a CA that does not care for those behind

    def renew(host):
        before = pair_checks.fingerprint_in_use(host.store)
        clock.write_text("-50m")
        requested = perform(certificate_request, host, force=True)
        issued = perform(certificate_issue, host, csr=requested["csr"])
        chain = {"chain": issued["chain"], "roots": issued["roots"]}
        message = perform(certificate_install, host, **chain).get("msg", "")
        words = (
            r"the chain for web is refused: the certificate is valid only from \S+ \S+ UTC, and the clock here says \S+ \S+; "
            r"set the clock of this host, or wait\. Note: the clock of this host is (49|50) minutes( and \d+ seconds?)? behind "
            r"that of the controller; set the one that is wrong"
        )
        violations = [] if re.fullmatch(words, message) else [f"it says {message!r}"]
        violations += [] if pair_checks.fingerprint_in_use(host.store) == before else ["it is in use"]
        clock.write_text("+0")
        requested_again = perform(certificate_request, host)
        violations += [] if requested_again["csr"] == requested["csr"] else ["another key was made"]
        violations += [] if perform(certificate_install, host, **chain).get("changed") else ["it is not installed"]
        return violations

    play(sandbox_with_clock(DUE), renew, tally)


@needs_faketime
@pytest.mark.parametrize("offset", ["+2h", "-50m", "+23h"])
def test_a_clock_that_is_somewhat_wrong_keeps_nothing_from_being_renewed(
    offset, sandbox_with_clock, clock, perform, tally
):
    def renew(host):
        before = pair_checks.fingerprint_in_use(host.store)
        clock.write_text(offset)
        issued = perform(certificate_issue, host, csr=perform(certificate_request, host, force=True)["csr"])
        result = perform(certificate_install, host, chain=issued["chain"], roots=issued["roots"])
        violations = [f"it says {result}"] if result.get("failed") else []
        violations += ["the old one is in use"] if pair_checks.fingerprint_in_use(host.store) == before else []
        return violations + (["it is due again"] if perform(certificate_request, host)["due"] else [])

    play(sandbox_with_clock(DUE), renew, tally)


@needs_faketime
def test_a_host_on_which_nothing_is_due_is_warned_of_its_clock(sandbox_with_clock, clock, perform, tally, monkeypatch):
    monkeypatch.setattr(certificate_request, "open_issuer", lambda *_arguments: Roots())

    def look(host):
        clock.write_text("-5h")
        result = perform(certificate_request, host)
        (warning,) = result.get("warnings") or [""]
        is_warned = within_a_second(warning, f"{WRONG.format('5 hours behind')}, and run this again")
        return [] if is_warned and result["due"] is False else [f"it says {result}"]

    play(sandbox_with_clock(FRESH), look, tally)


class Roots:
    """An issuer of which only the roots are asked for."""

    def roots(self):
        return ROOT.pem


@needs_faketime
def test_a_clock_that_jumps_while_modules_run_leaves_a_good_pair_in_use_and_the_next_run_finishes(
    sandbox_with_clock, clock, tally
):
    jumps, runs = itertools.cycle(["+40d", "-40d", "+2000d", "-2000d", "+0", "+100m"]), 8

    def renew(host):
        done, violations = threading.Event(), []

        def jump():
            while not done.is_set():
                beside = clock.with_suffix(".new")
                beside.write_text(next(jumps))
                beside.rename(clock)

        jumper = threading.Thread(target=jump)
        jumper.start()
        try:
            for _run in range(runs):
                result = host.converge(plain(host))
                violations += [] if not result.get("failed") or ";" in result["msg"] else [f"it says {result}"]
                broken = pair_checks.why_broken(os.path.join(host.store, "current"), ROOT.pem)
                violations += [f"current: {broken}"] if broken and "does not lead" not in broken else []
        finally:
            done.set()
            jumper.join()
        clock.write_text("+0")
        result = host.converge(plain(host))
        violations += [f"the run by the right time fails: {result}"] if result.get("failed") else []
        broken = pair_checks.why_broken(os.path.join(host.store, "current"), ROOT.pem)
        violations += [f"current: {broken}"] if broken else []
        return violations + (
            [] if host.converge(plain(host))["changed"] is False else ["a further run changes something"]
        )

    play(sandbox_with_clock(DUE), renew, tally, runs)


JUMPING = """
import itertools, time
by_wall, jumps = time.time, itertools.cycle([0, 864000, -864000])
time.time = lambda: by_wall() + next(jumps)
"""


def test_whoever_waits_for_the_lock_does_so_by_a_clock_that_nobody_sets(prepare_sabotaged, tally):
    def wait(host):
        with open(f"{host.store}/lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            results = queue.SimpleQueue()
            requesting = threading.Thread(target=lambda: results.put(host.ask(plain(host))))
            requesting.start()
            time.sleep(0.5)  # in which it looks for the lock several times, if it is quick
        requesting.join()
        result = results.get()
        return [] if "csr" in result else [f"it says {result}"]

    play(prepare_sabotaged(DUE, JUMPING), wait, tally)


def test_a_controller_whose_clock_was_ahead_gives_nothing_that_is_not_valid_yet(tmp_path, monkeypatch, tally):
    issuer = open_issuer("local", {"local": {"type": "local_ca", "directory": str(tmp_path)}})
    defaults = {name: option.get("default") for name, option in REQUEST_SPEC["options"].items()}
    request = {**defaults, **plain(None)}
    csr = make_csr(some_key(), NAMES, {})
    issue.issue_once(issuer, request, make_csr(some_key(), NAMES, {}), "web1")
    now, ahead = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=10)
    with monkeypatch.context() as wrong:
        for module in (issue, local_ca):
            wrong.setattr(module, "utc_now", lambda: now + ahead)
        early = issue.issue_once(issuer, request, csr, "web1", in_use="any")
    late = issue.issue_once(issuer, request, csr, "web1", in_use="any")
    assert not_before(early.chain[0]) > now
    assert not_before(late.chain[0]) <= datetime.datetime.now(datetime.timezone.utc)
    tally.add_lies("a clock", 1)


def test_nobody_waits_by_a_clock_that_somebody_may_set():
    plugins = pathlib.Path(__file__).parents[2] / "plugins"
    by_wall = {path.name for path in plugins.rglob("*.py") if "time.time()" in path.read_text(encoding="utf-8")}
    # These compare when something has started with the times of files, and with the end of a record or of a grace time; they wait for nothing. Clouds want
    # the time in signatures, and say when credentials end. A log that was rotated long ago is not searched, and an old revocation list is fetched anew.
    # Signatures of zones end at a date.
    assert by_wall == {
        "crl_fetch.py",
        "dnssec.py",
        "dnssec_chain.py",
        "procfs.py",
        "process.py",
        "persist.py",
        "acme_challenge_files.py",
        "certificate_remove.py",
        "challenge_requests.py",
        "client.py",
        "credentials.py",
    }
