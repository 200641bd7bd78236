# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are killed at each system call of an installation or of a notification: programs read what is in use in the end."""

from __future__ import annotations

import os
import re
import shutil
import signal

import pytest

from ansible_collections.evergreen.tls.tests.faults import pair_checks
from ansible_collections.evergreen.tls.tests.faults.programs import kill_at
from ansible_collections.evergreen.tls.tests.faults.scenarios import plain
from ansible_collections.evergreen.tls.tests.faults.syscalls import PROCESSES, TRACED

# A server that reads the certificate in use when it is reloaded. The unit has the folder of the certificate in its name.
SYSTEMCTL = """#!/bin/sh
for unit; do :; done
store=$(printf %s "$unit" | sed 's,:,/,g')
if [ "$1" = show ]; then
    printf 'LoadState=loaded\\nActiveState=active\\nCanReload=yes\\n'
else
    cp "$store/current/fullchain.pem" "$store/../loaded.new" && mv "$store/../loaded.new" "$store/../loaded"
fi
"""
# A command that publishes the certificate in use.
PUBLISH = """#!/bin/sh
cp "$1/cert.pem" "$1/../../published.new" && mv "$1/../../published.new" "$1/../../published"
"""
SABOTAGE = {
    "it is recorded too early that a program has read the certificate": (
        """
def mark_begun(self, notification):
    self.notified[notification.key] = self.state
original = ledger.Ledger.pending_notifications
def pending_notifications(self, exports, of_request=(), state=""):
    self.state = state
    return original(self, exports, of_request, state)
ledger.Ledger.pending_notifications = pending_notifications
ledger.Ledger.mark_begun = mark_begun
""",
        "has not read what is in use",
    ),
    "a program that may have read another version counts as one that has not": (
        """
ledger.Ledger.mark_begun = lambda self, notification: None
""",
        "has not read what is in use",
    ),
}
PROGRAM_FOLDERS: list[str] = []  # the last one is that of the running test
IMPORTS = "from ansible_collections.evergreen.tls.plugins.module_utils._store import ledger\n"


class NotificationScenario:
    """A certificate with programs that read it. module: the one that is killed."""

    key_mode = 0o600
    arguments: dict = {}
    end = "in use"

    def __init__(self, title, module, prepare, goes_back=False):
        self.title, self.module, self.prepare, self.goes_back = title, module, prepare, goes_back

    def request(self, host):
        """Return the request, with a unit and a command."""
        return plain(host, reload=[unit_of(host)], run_after=[[publisher(), "{folder}"]])

    def run(self, host, chain, strace=None):
        """Run the module."""
        more = {"chain": chain} if self.module == "certificate_install" else {}
        return run(host, self.module, self.request(host), strace, **more)

    def ordinary(self, host):
        """Do what an ordinary run does: install what is due or ready, and notify. With goes_back, a proof fails before that."""
        result = (
            host.install(self.request(host), state="previous") if self.goes_back else host.converge(self.request(host))
        )
        return result if result.get("failed") else run(host, "certificate_export", self.request(host)).result()

    def links(self, _host):
        """Return no links."""
        return {}


def unit_of(host):
    """Return the unit of a host."""
    return host.store.replace("/", ":")


def publisher():
    """Return the path of the command, which all hosts share."""
    return shutil.which("publish", path=PROGRAM_FOLDERS[-1])


def run(host, module, request, strace=None, **more):
    """Run a module, under strace if its options are given; have the unit of this host in the record of who was notified first."""
    path = os.path.join(host.store, "exports.json")
    if read(path):
        with open(path, "r+b") as stream:
            moved = re.sub(rb'"reload [^"]*(?=")', b'"reload ' + unit_of(host).encode(), stream.read())
            stream.seek(0)
            stream.truncate()
            stream.write(moved)
    internal = {"_ansible_diff": True, "_ansible_remote_tmp": host.folder}
    log = os.path.join(host.folder, "log") if strace is not None else ""
    arguments = {"request": request, "directory": host.directory, **more, **internal}
    return host.programs.run(module, arguments, os.path.join(host.folder, "output"), strace, log, (*TRACED, *PROCESSES))


def notified(host):
    """Install a first version of which all programs have been notified."""
    host.renew(plain(host))
    result = run(host, "certificate_export", NOTIFIED.request(host)).result()
    assert not result.get("failed"), result


def about_to_install(host):
    """Return the chain of a second version that is about to be installed."""
    notified(host)
    requested = host.ask(plain(host), force=True)
    return host.sign(requested["csr"], plain(host))


def renewed(host):
    """Install a second version of which nobody has been notified."""
    notified(host)
    host.renew(plain(host))


NOTIFIED = NotificationScenario("programs of a renewal", "certificate_export", renewed)
INSTALLED = NotificationScenario("a renewal with programs", "certificate_install", about_to_install)
WENT_BACK = NotificationScenario("programs of a version that makes way", "certificate_export", renewed, goes_back=True)
SCENARIOS = (NOTIFIED, INSTALLED, WENT_BACK)


def read(*parts):
    """Return what a file holds, or nothing where there is none."""
    try:
        with open(os.path.join(*parts), "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return b""


def killed(scenario, sandbox, host, call):
    """Kill the module at a system call; return the violations after an ordinary run and another, which must not change anything."""
    ended = scenario.run(host, sandbox.chain, kill_at(call))
    assert ended.signal == signal.SIGKILL, f"{call.name} {call.number} was not reached"
    result = scenario.ordinary(host)
    if result.get("failed"):
        return [f"the ordinary run fails: {result['msg']}"]
    violations = []
    for program, file in (("loaded", "fullchain.pem"), ("published", "cert.pem")):
        if read(host.directory, program) != read(host.store, "current", file):
            violations.append(f"{program}: its program has not read what is in use")
    before = pair_checks.snapshot(host.top)
    again = run(host, "certificate_export", scenario.request(host)).result()
    if again.get("failed") or again["changed"] or pair_checks.snapshot(host.top) != before:
        violations.append(f"a further run changes something: {again.get('msg')}")
    return violations


@pytest.fixture
def sandbox(sandbox_with_scripts, tmp_path):
    """Return a function that prepares a scenario, with sabotaged modules if code is given."""
    PROGRAM_FOLDERS.append(str(tmp_path / "programs"))
    scripts = {"systemctl": SYSTEMCTL, "publish": PUBLISH}
    return lambda scenario, sabotage="": sandbox_with_scripts(scenario, scripts, sabotage)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_kill_at_any_system_call_leaves_no_program_with_another_certificate_than_the_one_in_use(
    scenario, sandbox, tally
):
    prepared = sandbox(scenario)
    points = prepared.points()
    assert points, "nothing was recorded"
    violations = prepared.play(lambda host, call: killed(scenario, prepared, host, call), points)
    tally.add("kills", scenario.module, scenario.title, len(points))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_what_would_break_the_promise_is_found(sabotage, sandbox):
    code, sign = SABOTAGE[sabotage]
    scenario = WENT_BACK if "another version" in sabotage else NOTIFIED
    prepared = sandbox(scenario, f"{IMPORTS}{code}")
    play = prepared.play_until(sign, lambda host, call: killed(scenario, prepared, host, call), prepared.points())
    assert any(sign in violation for violation in play), play
