# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose CA has people in it waits: nothing is installed, nothing fails, and what nobody wants any longer is taken back.

Requesting and issuing are the real actions; the host is played by the results of its modules.
"""

from __future__ import annotations

import datetime

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import certificate_issue, certificate_obtain, certificate_request
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

ACTIONS = {"certificate_issue": certificate_issue, "certificate_request": certificate_request}
TASK_VARS = {"inventory_hostname": "web1"}
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
NAMES = ["www.example.org"]
ROOT = Authority("Waiting Root CA")
SINCE = (NOW - 3 * DAY).isoformat()


def in_use(left):
    """Return what a host says of a certificate of 200 days of which so many are left."""
    end = NOW + left * DAY
    valid = {"names": NAMES, "not_before": (end - 200 * DAY).isoformat(), "not_after": end.isoformat()}
    return {"in_use": "ab" * 32, "valid": valid}


class Run:
    """Runs of certificate_obtain for a host whose certificate_request returns what a test says."""

    def __init__(self, monkeypatch, folder):
        monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
        (folder / "root.pem").write_bytes(ROOT.pem)
        self.desk = folder / "desk"
        manual = {"type": "manual", "directory": str(self.desk), "roots": str(folder / "root.pem")}
        self.issuers = {"bought": {**manual, "defaults": {"type": "ECC"}}}
        self.requests = [{"name": "www", "domains": NAMES, "issuer": "bought"}]
        self.host = {
            "changed": False,
            "due": True,
            "reason": "it expires",
            "since": SINCE,
            "csr": make_csr(some_key(), NAMES, {}).decode(),
            **in_use(100),
        }
        self.sent = []

    def obtain(self, check_mode=False):
        self.sent.clear()
        arguments = {"requests": self.requests, "issuers": self.issuers}
        result = self._action(certificate_obtain, "certificate_obtain", arguments, check_mode).run(task_vars=TASK_VARS)
        return result, {certificate["name"]: certificate for certificate in result["certificates"]}

    def _action(self, module, name, arguments, check_mode):
        task = Task()
        task.action, task.args, task.check_mode = f"evergreen.tls.{name}", arguments, check_mode
        action = module.ActionModule(task, None, None, None, None, None)

        async def run_action(called, arguments, task_vars):
            return await self._run_step(called.rpartition(".")[2], arguments, check_mode)

        action.run_action = run_action
        action._execute_module = lambda _name, module_args, task_vars: self._result_of_module(module_args)
        return action

    async def _run_step(self, name, arguments, check_mode):
        if name in ACTIONS:
            return await self._action(ACTIONS[name], name, arguments, check_mode).work(TASK_VARS)
        self.sent.append(name)
        return {"changed": True, "msg": "v0002 is in use", "certificate": {"fingerprint": "cd" * 32}}

    def _result_of_module(self, arguments):
        if "calls" in arguments:  # of host_batch
            return {
                "changed": False,
                "results": [self._result_of_module(call["arguments"]) for call in arguments["calls"]],
            }
        self.sent.append(arguments)
        if arguments.get("withdraw"):
            return {"changed": True, "due": False, "msg": "the request is withdrawn"}
        return dict(self.host)

    def files(self):
        return sorted(path.name for path in (self.desk / "outbox").glob("*.csr"))


@pytest.fixture
def run(monkeypatch, tmp_path):
    return Run(monkeypatch, tmp_path)


def test_who_waits_has_not_failed_and_what_is_in_use_is_known(run):
    result, certificates = run.obtain()
    assert (result["changed"], result["failed"]) == (True, False)
    waiting = certificates["www"]["waiting"]
    assert (
        waiting["for"]
        == f"hand {run.desk}/outbox/www_web1.csr in to bought, and put what comes back into {run.desk}/inbox"
    )
    assert (waiting["urgency"], waiting["names"]) == ("plain", NAMES)
    assert waiting["until"] == (NOW + 100 * DAY).isoformat()
    assert certificates["www"]["fingerprint"] == "ab" * 32
    assert "certificate_install" not in run.sent
    assert result["warnings"] == [certificates["www"]["msg"]]  # where nobody sums up, it is to be seen once
    for _time in range(3):
        result, certificates = run.obtain()
        assert (result["changed"], result["failed"]) == (False, False)
        assert certificates["www"]["waiting"] == waiting
        assert "warnings" not in result


def test_check_mode_says_that_it_waits(run):
    result, certificates = run.obtain(check_mode=True)
    assert result["changed"] and certificates["www"]["msg"].startswith("would have the certificate of www issued")
    assert not run.desk.exists()
    _result, before = run.obtain()
    result, certificates = run.obtain(check_mode=True)
    assert not result["changed"] and certificates["www"]["waiting"] == before["www"]["waiting"]


def test_the_host_learns_how_patient_its_issuer_is(run):
    run.obtain()
    assert run.sent[0]["patience"] == 90 * 86400


@pytest.mark.parametrize(("left", "begin"), [(30, "ask where it stays: hand "), (10, "urgent: hand ")])
def test_reminders_grow_louder(run, left, begin):
    run.host.update(in_use(left))
    result, certificates = run.obtain()
    assert not result["failed"]
    assert certificates["www"]["waiting"]["for"].startswith(begin)
    assert run.obtain()[0]["warnings"] == [certificates["www"]["msg"]]


@pytest.mark.parametrize("left", [4, -1])
def test_whoever_waits_to_the_end_fails_and_is_handed_in_all_the_same(run, left):
    run.host.update(in_use(left))
    result, certificates = run.obtain()
    assert result["failed"] and certificates["www"]["changed"]
    assert certificates["www"]["msg"].startswith("overdue: hand ")
    assert run.files() == ["www_web1.csr"]


def test_a_first_certificate_may_wait_for_ever(run):
    run.host.update(in_use=None)
    del run.host["valid"]
    result, certificates = run.obtain()
    assert not result["failed"] and certificates["www"]["waiting"]["until"] is None
    assert "fingerprint" not in certificates["www"]
    assert certificates["www"]["msg"].endswith("; no certificate is in use until then)")


@pytest.mark.parametrize("moment", ["yesterday", "9999-99-99", "", "2026-11-21T10:00:00"])
def test_a_host_that_makes_up_moments_is_told_on_or_understood(run, moment):
    run.host["valid"]["not_after"] = moment
    result, certificates = run.obtain()
    assert result["failed"] and "Traceback" not in result["msg"]
    assert "look at what the host is doing" in result["msg"] or "overdue: " in certificates["www"]["msg"]


def test_a_host_does_not_say_itself_that_it_waits(run):
    run.host = {"changed": False, "due": False, "fingerprint": "ab" * 32, "waiting": "for ever"}
    assert "waiting" not in run.obtain()[1]["www"]


def test_an_answer_is_installed_and_strays_are_warned_of(run):
    run.obtain()
    (run.desk / "inbox/answer.pem").write_bytes(to_pem(ROOT.chain(NAMES, some_key())))
    (run.desk / "inbox/letter.txt").write_bytes(b"Dear customer")
    result, certificates = run.obtain()
    assert "certificate_install" in run.sent and "waiting" not in certificates["www"]
    assert result["warnings"] == [
        f"{run.desk}/inbox/letter.txt: it holds no certificate in any form that is known here; see what it is"
    ]
    assert run.files() == []


def test_a_private_key_in_the_inbox_is_a_warning_of_each_run_and_fails_nobody_who_waits(run):
    run.obtain()
    (run.desk / "inbox/server.key").write_bytes(b"-----BEGIN RSA PRIVATE KEY-----\n")
    for _run in range(2):
        result, _certificates = run.obtain()
        (warning,) = result["warnings"]
        assert (
            not result["failed"]
            and "inbox/server.key: it holds a private key" in warning
            and "Destroy it here" in warning
        )


def test_a_request_that_is_no_longer_due_is_taken_out_of_the_outbox(run):
    run.obtain()
    run.host = {"changed": True, "due": False, "fingerprint": "ab" * 32, "msg": "the request is withdrawn"}
    result, _certificates = run.obtain()
    assert result["changed"] and run.files() == []


def test_a_renewal_by_force_goes_on_waiting_when_nothing_is_due(run):
    run.obtain()
    run.host = {"changed": False, "due": False, "fingerprint": "ab" * 32, "since": SINCE}
    result, _certificates = run.obtain()
    assert not result["changed"] and run.files() == ["www_web1.csr"]


def test_a_request_that_the_inventory_has_no_longer_is_withdrawn_here_and_there(run):
    run.obtain()
    run.requests = [{"name": "mail", "domains": ["mail.example.org"], "issuer": "local"}]
    run.issuers["local"] = {"type": "local_ca", "directory": str(run.desk.parent / "ca")}
    run.host = {"changed": False, "due": False, "fingerprint": "ab" * 32}
    run.obtain(check_mode=True)
    assert run.files() == ["www_web1.csr"]
    result, certificates = run.obtain()
    assert result["changed"] and certificates["www"]["msg"] == "the request is withdrawn"
    assert run.sent[-1]["withdraw"] and run.sent[-1]["request"]["name"] == "www"
    assert run.files() == []
    assert list(run.obtain()[1]) == ["mail"]


def test_what_the_issuer_cannot_answer_never_reaches_the_host(run):
    run.requests[0]["domains"] = ["192.0.2.1"]
    run.issuers["bought"]["rules"] = "public"
    result, _certificates = run.obtain()
    assert result["failed"] and run.sent == []
    assert "certificate request www: it asks for the IP address 192.0.2.1, and bought issues for none" in result["msg"]


def test_an_adopted_pair_and_a_key_that_others_may_know_are_reported(run):
    message = "/etc/nginx/server.key and /etc/nginx/server.pem adopted as v0001 of www"
    exposed = "its key could be read by others in /etc/nginx/server.key (mode 0644)"
    run.host = {"changed": True, "due": False, "msg": message, "fingerprint": "ab" * 32}
    result, certificates = run.obtain()
    assert (result["changed"], certificates["www"]["msg"]) == (True, message)
    assert "warnings" not in result
    run.host["exposed"] = exposed
    (warning,) = run.obtain()[0]["warnings"]
    assert warning == (
        f"{exposed}, and so it is renewed with a new one; from now on only those can read it whom owner, group and mode of the request "
        "name, so write into it whom else a program needs there"
    )
