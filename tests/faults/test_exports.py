# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports whose module is killed at each system call: files stay whole, and servers load them in the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest

from ansible_collections.evergreen.tls.tests.faults import pair_checks
from ansible_collections.evergreen.tls.tests.faults.programs import kill_at, refuse
from ansible_collections.evergreen.tls.tests.faults.scenarios import plain
from ansible_collections.evergreen.tls.tests.faults.syscalls import PROCESSES, STARTS, TRACED

# A server is named after the file that it reads: it has loaded what is in its copy.
SYSTEMCTL = """#!/bin/sh
for unit; do :; done
if [ "$1" = show ]; then
    printf 'LoadState=loaded\\nActiveState=active\\nCanReload=yes\\n'
else
    cp "$unit" "$unit.loaded.new" && mv "$unit.loaded.new" "$unit.loaded"
fi
"""
ERRORS = ("ENOSPC", "EIO", "EACCES", "EROFS")
SABOTAGE = {
    "it is written down too late that a restart is due": (
        """
def write(self, export, content):
    password = self.new_passwords.pop(export.spec["password_file"], None)
    if password:
        export.write_password(password)
    export.write(content)
    self.ledger.written.setdefault(export.path, None)
    self.ledger.pending[export.path] = []
certificate_export.Work._write = write
""",
        "has not loaded what is in use",
    ),
    "it is forgotten too early": (
        """
usual = ledger.Ledger.pending_notifications
def pending_notifications(self, all_exports, *more):
    pending = usual(self, all_exports, *more)
    self.pending = {}
    self.save()
    return pending
ledger.Ledger.pending_notifications = pending_notifications
ledger.Ledger.forget_done = lambda self, all_exports: None
""",
        "has not loaded what is in use",
    ),
    "a file is written in its place": (
        """
def write(self, content):
    with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content)
exports.Export.write = write
""",
        "site.pem holds neither the old nor the new certificate",
    ),
}
IMPORTS = (
    "from ansible_collections.evergreen.tls.plugins.modules import certificate_export\n"
    "from ansible_collections.evergreen.tls.plugins.module_utils._store import exports, ledger\n"
)


class ExportScenario:
    """A certificate of which exports are wanted."""

    module = "certificate_export"
    key_mode = 0o600
    arguments: dict = {}
    end = "in use"

    def __init__(self, title, prepare, state="present"):
        self.title, self.prepare, self.state = title, prepare, state

    def request(self, host):
        """Return the request, with a keystore whose password is to be made, and a bundle."""
        keystore, bundle = paths(host)
        usual = {"format": "pkcs12", "friendly_name": None, "encryption": "modern", "password": None, "owner": None}
        usual |= {"group": None, "mode": None, "restart": [], "reload": [], "password_file": None, "state": self.state}
        return plain(
            host,
            exports=[
                {**usual, "path": keystore, "password_file": f"{keystore}.password", "restart": [keystore]},
                {**usual, "path": bundle, "format": "pem", "reload": [bundle]},
            ],
        )

    def run(self, host, _chain, strace=None):
        """Run the module; adapt the paths in the record of exports to this host first."""
        ledger = os.path.join(host.store, "exports.json")
        if read(ledger):
            with open(ledger, "r+b") as stream:
                moved = re.sub(rb'"[^"]*(?=/host/exports/)', b'"' + host.folder.encode(), stream.read())
                stream.seek(0)
                stream.truncate()
                stream.write(moved)
        arguments = {"request": self.request(host), "directory": host.directory}
        internal = {"_ansible_diff": True, "_ansible_remote_tmp": host.folder}
        log = os.path.join(host.folder, "log") if strace is not None else ""
        output = os.path.join(host.folder, "output")
        return host.programs.run(self.module, {**arguments, **internal}, output, strace, log, (*TRACED, *PROCESSES))

    def ordinary(self, host):
        """Do what an ordinary run does."""
        return self.run(host, None).result()

    def links(self, _host):
        """Return no links."""
        return {}


def paths(host):
    """Return where the keystore and the bundle are."""
    folder = os.path.join(host.top, "exports")
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, "site.p12"), os.path.join(folder, "site.pem")


def installed(host):
    host.renew(plain(host))


def exported(host):
    installed(host)
    assert RENEWED.ordinary(host)["changed"]


def renewed(host):
    exported(host)
    host.renew(plain(host))


FIRST = ExportScenario("first exports", installed)
RENEWED = ExportScenario("exports of a renewal", renewed)
REMOVED = ExportScenario("a removal of exports", exported, state="absent")
SCENARIOS = (FIRST, RENEWED, REMOVED)


def read(path):
    """Return what a file holds, or nothing where there is none."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return b""


def in_keystore(path):
    """Return what openssl finds in a keystore."""
    argv = ["openssl", "pkcs12", "-in", path, "-passin", f"file:{path}.password", "-nodes", "-clcerts"]
    return subprocess.run(argv, capture_output=True, check=False).stdout


def find_violations(host):
    """Return the violations now."""
    violations = pair_checks.open_keys(host.top, 0o600)
    versions = [os.path.join(host.store, name) for name in os.listdir(host.store) if name.startswith("v")]
    keystore, bundle = paths(host)
    for path, content in ((keystore, in_keystore), (bundle, read)):
        exported_bytes = content(path) if os.path.exists(path) else None
        # A keystore of OpenSSL's telling has its key in the same words as the store.
        parts = ("cert.pem", "privkey.pem")
        if exported_bytes is not None and not any(
            all(read(os.path.join(version, part)) in exported_bytes for part in parts) for version in versions
        ):
            violations.append(f"{os.path.basename(path)} holds neither the old nor the new certificate")
    return violations


def violations_after_all(scenario, host):
    """Do an ordinary run and another, which must not change anything; return the violations."""
    result = scenario.ordinary(host)
    if result.get("failed"):
        return [f"the ordinary run fails: {result['msg']}"]
    violations = find_violations(host)
    for path in paths(host):
        if scenario.state == "absent":
            violations += [f"{path} is still there"] if os.path.exists(path) else []
        elif read(path) != read(f"{path}.loaded"):
            violations.append(f"{os.path.basename(path)}: its server has not loaded what is in use")
    folder = os.path.dirname(paths(host)[0])
    violations += [f"{name} is left over" for name in os.listdir(folder) if name.startswith(".")]
    before = pair_checks.snapshot(host.top)
    result = scenario.ordinary(host)
    if result.get("failed") or result["changed"] or pair_checks.snapshot(host.top) != before:
        violations.append(f"a further run changes something: {result.get('msg')}")
    return violations


def killed(scenario, host, call):
    """Kill the module at a system call; return the violations then and after an ordinary run."""
    run = scenario.run(host, None, kill_at(call))
    assert run.signal == signal.SIGKILL, f"{call.name} {call.number} was not reached"
    return find_violations(host) + violations_after_all(scenario, host)


def refused(scenario, host, call, error):
    """Refuse a system call; return the violations then, in the result, and after an ordinary run."""
    result = scenario.run(host, None, refuse(call, error)).result()
    violations = find_violations(host)
    if result.get("failed") and "; " not in result["msg"]:
        violations.append(f"it says {result['msg']!r}")
    return violations + violations_after_all(scenario, host)


@pytest.fixture
def sandbox(sandbox_with_scripts):
    """Return a function that prepares a scenario, with sabotaged modules if code is given."""
    return lambda scenario, sabotage="": sandbox_with_scripts(scenario, {"systemctl": SYSTEMCTL}, sabotage)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_kill_at_any_system_call_leaves_exports_whole_and_the_next_run_tells_who_reads_them(scenario, sandbox, tally):
    prepared = sandbox(scenario)
    points = prepared.points()
    assert points, "nothing was recorded"
    violations = prepared.play(lambda host, call: killed(scenario, host, call), points)
    tally.add("kills", scenario.module, scenario.title, len(points))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_whatever_the_system_refuses_exports_stay_whole_and_the_next_run_finishes_them(
    scenario, sandbox, tally, is_sample
):
    prepared = sandbox(scenario)
    points = [call for call in prepared.points() if call.name not in STARTS and prepared.touches_host(call)]
    variations = [(call, ERRORS[number % len(ERRORS)]) for number, call in enumerate(points)]
    variations = variations[:: 3 if is_sample else 1]
    violations = prepared.play(lambda host, call, error: refused(scenario, host, call, error), variations)
    tally.add("errors", scenario.module, scenario.title, len(variations))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_what_would_break_the_promise_is_found(sabotage, sandbox):
    code, sign = SABOTAGE[sabotage]
    prepared = sandbox(RENEWED, f"{IMPORTS}{code}")
    violations = prepared.play_until(sign, lambda host, call: killed(RENEWED, host, call), prepared.points())
    assert any(sign in violation for violation in violations), violations
