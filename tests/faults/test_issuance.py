# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A controller that is killed at each system call while a private CA signs: one certificate is issued, and no key is open."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import stat
import subprocess

import pytest

from ansible_collections.evergreen.tls.tests.faults.programs import Programs, kill_at
from ansible_collections.evergreen.tls.tests.faults.sites import held

# What a controller does with a signing request, for programs.py to run.
ISSUE = """
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance import cache
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import issue, local_ca
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
class Issue:
    @staticmethod
    def main():
        arguments = json.loads(basic._ANSIBLE_ARGS)["ANSIBLE_MODULE_ARGS"]
        ca = local_ca.LocalCa(arguments["directory"], "Test", "90d", None, None)
        issued = issue.issue_once(ca, arguments["request"], arguments["csr"].encode(), "web1")
        print(json.dumps({"chain": to_pem(issued.chain).decode(), "is_new": issued.is_new, "warnings": issued.warnings}))
modules["issue"] = Issue
"""
REQUEST = {"name": "web", "domains": ["www.example.org"], "issuer": "local", "lifetime": None, "renew_before": None}
REQUEST = {**REQUEST, "type": "ECC", "curve": "secp256r1", "size": 2048}
SERIAL_NUMBER = re.compile("[0-9a-f]{20,}")

SCENARIOS = {"a first certificate": False, "a further certificate": True}


class ControllerSandbox:
    """A folder for each attempt, and programs that issue in it."""

    def __init__(self, folder, is_further, sabotage=""):
        self.folder = folder
        self.programs = queue.Queue()
        self.processors = os.cpu_count()
        for _processor in range(self.processors):
            self.programs.put(Programs(ISSUE + sabotage))
        self.base = folder / "base"
        self.base.mkdir()
        if is_further:
            with Borrowed(self) as programs:
                assert issue(programs, self.base, request(folder, "other")).result()["is_new"]
        self.csr = request(folder, "web")

    def close(self):
        """End the programs."""
        while not self.programs.empty():
            self.programs.get().close()

    def points(self):
        """Return the system calls that change something, or bring it to the disk, or take a lock, when nothing is disturbed."""
        with Borrowed(self) as programs:
            folder = self.new_folder("recorded")
            run = issue(programs, folder, self.csr, [])
        assert run.result()["is_new"]
        top = str(folder / "pki")
        return [
            call
            for call in run.calls
            if call.error is None and call.touches(top) and (call.name != "openat" or call.makes_file)
        ]

    def killed(self, number, call):
        """Kill the process at a system call; return the violations then and after the next run."""
        folder = self.new_folder(str(number))
        recorded = self.folder / "recorded"
        with Borrowed(self) as programs:
            run = issue(programs, folder, self.csr, kill_at(call))
            assert run.signal == signal.SIGKILL, f"{call.name} {call.number} was not reached"
            assert alike(run.calls[-1], folder) == alike(call, recorded), "another was hit"
            violations = find_violations(folder)
            results = [issue(programs, folder, self.csr).result() for _time in range(2)]
        violations += [result["msg"] for result in results if "msg" in result]
        if not violations:
            violations += find_violations(folder) + self.violations_when_done(folder, results)
        return [f"{alike(call, recorded)}: {violation}" for violation in violations]

    def violations_when_done(self, folder, results):
        """Return the violations after a certificate was issued: both requests get it, and it is the one on record."""
        new = {path.stem for path in folder.glob("pki/issued/*.json")} - {
            path.stem for path in self.base.glob("pki/issued/*.json")
        }
        (folder / "chain.pem").write_text(results[0]["chain"], encoding="utf-8")
        serial = openssl(folder, "x509", "-in", "chain.pem", "-noout", "-serial").partition("=")[2].strip().lower()
        violations = [] if new == {serial.lstrip("0")} else [f"{serial} was issued, and {', '.join(new)} are on record"]
        if results[0]["chain"] != results[1]["chain"] or results[1]["is_new"]:
            violations.append("who asks again gets another")
        trust = ("-CAfile", "pki/root.pem", "-untrusted", "chain.pem")
        if openssl(folder, "verify", *trust, "chain.pem") != "chain.pem: OK\n":
            violations.append("openssl does not trust it")
        return violations

    def play(self, points):
        """Kill the process at each of these system calls; return all violations."""
        with concurrent.futures.ThreadPoolExecutor(self.processors) as pool:
            return [
                violation
                for violations in pool.map(self.killed, range(len(points)), points)
                for violation in violations
            ]

    def new_folder(self, name):
        """Return a folder that is as the base is."""
        shutil.copytree(self.base, self.folder / name)
        return self.folder / name


class Borrowed:
    """Programs that nobody else uses meanwhile."""

    def __init__(self, sandbox):
        self.sandbox = sandbox

    def __enter__(self):
        self.programs = self.sandbox.programs.get()
        return self.programs

    def __exit__(self, *_error):
        self.sandbox.programs.put(self.programs)


def issue(programs, folder, csr, strace=None):
    """Issue a certificate. strace: options with which the process runs under strace."""
    arguments = {"directory": str(folder / "pki"), "request": REQUEST, "csr": csr}
    log = str(folder / "strace") if strace is not None else ""
    return programs.run("issue", arguments, str(folder / "output"), strace, log)


def request(folder, name):
    """Return a signing request that openssl made."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")
    options = ("-subj", "/CN=www.example.org", "-addext", "subjectAltName=DNS:www.example.org")
    return openssl(folder, "req", "-new", *key, *options)


def find_violations(folder):
    """Return the violations in the folder of a CA now."""
    pki = folder / "pki"
    violations = [
        f"{path.name} is open to others" for path in pki.rglob("*.key*") if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if pki.exists() and stat.S_IMODE(pki.stat().st_mode) & 0o077:
        violations.append("the folder is open to others")
    for path in pki.glob("issued/*.json"):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            violations.append(f"the record {path.name} is not whole")
    if (pki / "root.pem").exists():
        if openssl(pki, "verify", "-CAfile", "root.pem", "issuing.pem") != "issuing.pem: OK\n":
            violations.append("root and issuing CA do not belong together")
        if openssl(pki, "pkey", "-in", "issuing.key", "-pubout") != openssl(
            pki, "x509", "-in", "issuing.pem", "-noout", "-pubkey"
        ):
            violations.append("issuing.key is not that of issuing.pem")
    return violations + held(pki)


def alike(call, folder):
    """Return a system call as text, without random parts."""
    return call.number, SERIAL_NUMBER.sub("SERIAL", call.describe(str(folder)))


def openssl(folder, *arguments):
    """Run openssl in a folder; return what it printed."""
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.fixture
def prepare_sandbox(tmp_path):
    """Return a function that prepares the sandbox of a scenario."""
    sandboxes = []

    def prepare(scenario, sabotage=""):
        sandboxes.append(ControllerSandbox(pathlib.Path(tmp_path), SCENARIOS[scenario], sabotage))
        return sandboxes[-1]

    yield prepare
    for one in sandboxes:
        one.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_kill_at_any_system_call_has_one_certificate_issued(scenario, prepare_sandbox, tally, is_sample):
    prepared = prepare_sandbox(scenario)
    points = prepared.points()
    assert len(points) > 10, "nothing was recorded"
    points = points[::7] if is_sample else points
    violations = prepared.play(points)
    tally.add("kills", "certificate_issue", scenario, len(points))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize(
    ("sabotage", "sign"),
    [
        ("cache.CachedChain.write = lambda *_arguments: None", "who asks again gets another"),
        (
            """
def record_first(self, chain, now, keep=cache.CachedChain.write):
    ca = local_ca.LocalCa(os.path.dirname(self.cache.directory), "Test", "90d", None, None)
    ca.record({"name": "web", "domains": []}, chain, "web1")
    keep(self, chain, now)
cache.CachedChain.write = record_first
""",
            "are on record",
        ),
    ],
    ids=["no answer is kept", "the record is written before the answer"],
)
def test_what_would_issue_twice_is_found(sabotage, sign, prepare_sandbox, is_sample):
    if is_sample:
        pytest.skip("this is a sample")
    prepared = prepare_sandbox("a further certificate", sabotage)
    violations = prepared.play(prepared.points())
    assert any(sign in violation for violation in violations), violations
