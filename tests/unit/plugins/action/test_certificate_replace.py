# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order a certificate is replaced, proved and revoked, and what is left undone where a step fails.

The steps have tests of their own; here they are played by their results.
"""

from __future__ import annotations

import datetime

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import certificate_replace
from ansible_collections.evergreen.tls.plugins.action.certificate_replace import ActionModule
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issued import RecordedCertificate

REQUESTS = [
    {"name": "www", "domains": ["www.example.org"], "issuer": "corporate", "reuse_key": True},
    {"name": "mail", "domains": ["mail.example.org"]},
]
SOON = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30)).isoformat()


def recorded(number, issuer="corporate"):
    """Return what the records of an issuer have of a certificate."""
    return RecordedCertificate(issuer, f"{number:x}", SOON, None)


class Host:
    """A host with a certificate, which each certificate_obtain replaces by one with a greater serial number."""

    def __init__(self, records):
        self.records, self.serial_number, self.steps, self.fails, self.problems = records, 0xA1, [], {}, []
        self.not_after, self.waits, self.serves_late = SOON, False, False
        self.recorded = [recorded(0xA1)]  # what the controller has issued to it

    def replace(self, check_mode=False, **arguments):
        """Return the result of the action."""
        task = Task()
        task.args = {"requests": REQUESTS, "names": ["www"], "records": str(self.records), **arguments}
        task.check_mode = check_mode
        action = ActionModule(task, None, None, None, None, None)
        action.run_action = self.run_action
        return action.run(task_vars={"inventory_hostname": "web1"})

    async def run_action(self, name, arguments, _task_vars):
        name = name.rpartition(".")[2]
        self.steps.append((name, arguments))
        if name in self.fails:
            return {"failed": True, "msg": self.fails[name]}
        if name == "certificate_info":
            certificate = {"serial_number": f"{self.serial_number:x}", "not_after": self.not_after}
            present = {"certificate": certificate, "issuer": "corporate"} if self.serial_number else {}
            return {"certificates": [{"name": arguments["name"], **present}]}
        if name == "certificate_serve" and self.serves_late:
            waiting = {"for": "the CDN has not brought it into effect", "since": SOON}
            return {
                "msg": f"www: {waiting['for']}",
                "certificates": [{"name": "www", "failed": False, "waiting": waiting}],
            }
        if name == "certificate_obtain":
            if self.waits:
                waiting = {"for": "hand /outbox/www.csr in to bought", "since": SOON, "until": None}
                return {"changed": True, "certificates": [{"name": "www", "fingerprint": "f0", "waiting": waiting}]}
            self.serial_number += 1
            self.recorded.append(recorded(self.serial_number))
            return {"changed": True, "certificates": [{"name": "www", "fingerprint": "f1"}]}
        if name == "certificate_serve":
            return {"changed": True, "msg": "it is presented"}
        if name == "certificate_install":
            return {"changed": True, "msg": "the key of v0001 is removed"}
        serial_number = arguments["serial_number"]
        self.recorded = [
            one._replace(revoked=one.revoked or "superseded" * (one.serial_number == serial_number))
            for one in self.recorded
        ]
        return {"changed": True, "msg": f"{serial_number} is revoked"}

    def names(self):
        """Return the names of the steps since the last time."""
        names, self.steps = [name.removeprefix("certificate_") for name, _arguments in self.steps], []
        return names


@pytest.fixture
def host(tmp_path, monkeypatch):
    host = Host(tmp_path / "records")
    monkeypatch.setattr(
        certificate_replace, "recorded_certificates", lambda *_of_what: (list(host.recorded), host.problems)
    )
    return host


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


def test_the_new_one_is_proved_before_the_old_one_is_revoked(host):
    result = host.replace(reason="key_compromise")
    assert result["changed"] and not result["failed"]
    assert result["msg"] == "www: a1 is revoked (of web1, by corporate), the key of v0001 is removed"
    (_info, _place), (_obtain, obtained), (_serve, served), (_revoke, revoked), (_install, own) = host.steps
    assert host.names() == ["info", "obtain", "serve", "revoke", "install"]
    assert own["request"]["name"] == "www" and "chain" not in own
    assert obtained["force"] and obtained["requests"][0]["reuse_key"] is False
    assert served["obtained"]["certificates"] == [{"name": "www", "fingerprint": "f1"}]
    assert revoked == {"issuer": "corporate", "serial_number": "a1", "reason": "key_compromise", "issuers": {}}
    assert not list(host.records.glob("*.json"))


@pytest.mark.parametrize(("step", "steps"), [("obtain", ["info", "obtain"]), ("serve", ["info", "obtain", "serve"])])
def test_what_clients_may_get_still_is_not_revoked(host, step, steps):
    host.fails = {f"certificate_{step}": "the CA is away"}
    result = host.replace()
    assert result["failed"]
    assert result["msg"] == (
        "www: a1 is not revoked, since clients may get it still: the CA is away. Put that right and run this again; "
        "or have it revoked all the same with even_if_served (revoke_served of the playbook)"
    )
    assert host.names() == steps


def test_nothing_is_revoked_while_the_new_certificate_waits_for_people(host):
    host.waits = True
    for _run in range(2):
        result = host.replace()
        assert result["failed"] and result["msg"] == (
            "www: a1 is not revoked, since clients may get it still: the new certificate is pending (hand /outbox/www.csr in to bought). "
            "Put that right and run this again; or have it revoked all the same with even_if_served (revoke_served of the playbook)"
        )
        assert host.names() == ["info", "obtain"]
    host.waits = False
    assert host.replace()["msg"] == "www: a1 is revoked (of web1, by corporate)"


def test_nothing_is_revoked_where_no_other_certificate_was_issued(host, monkeypatch):
    monkeypatch.setattr(
        host,
        "run_action",
        with_answer(host, "certificate_obtain", {"certificates": [{"name": "www", "fingerprint": "f0"}]}),
    )
    result = host.replace()
    assert result["failed"] and result["msg"].startswith(
        "www: a1 is not revoked, since clients may get it still: the records have no other certificate of web1 for www that is valid. "
    )
    assert "revoke" not in host.names()


def with_answer(host, step, answer):
    """Return run_action() of a host, with another answer of one step."""
    run_action = host.run_action

    async def answered(name, arguments, task_vars):
        result = await run_action(name, arguments, task_vars)
        if name.endswith(step):
            del host.recorded[1:]
            return answer
        return result

    return answered


def test_it_is_revoked_all_the_same_where_that_is_wanted(host):
    host.fails = {"certificate_serve": "nginx is broken"}
    result = host.replace(even_if_served=True)
    assert not result["failed"]
    assert result["msg"] == "www: not replaced (nginx is broken), a1 is revoked (of web1, by corporate)"
    assert host.names() == ["info", "obtain", "serve", "revoke"]


@pytest.mark.parametrize("step", ["serve", "revoke"])
def test_a_later_run_finishes_what_an_earlier_one_began_and_revokes_nothing_else(host, step):
    host.fails = {f"certificate_{step}": "not now"}
    assert host.replace()["failed"]
    host.names()
    host.fails = {}
    assert host.replace()["msg"] == "www: a1 is revoked (of web1, by corporate)"
    assert host.names() == ["info", "serve", "revoke"]
    assert host.replace()["msg"] == "www: a2 is revoked (of web1, by corporate)"


def test_what_has_expired_meanwhile_need_not_be_revoked(host):
    host.fails = {"certificate_revoke": "not now"}
    assert host.replace()["failed"]
    host.recorded, host.fails = host.recorded[1:], {}  # expired certificates are not among them
    assert host.replace()["msg"] == "www: a2 is revoked (of web1, by corporate)"


def test_what_was_issued_is_revoked_whatever_the_host_shows(host):
    for shown in (0xBB, 0):
        host.recorded, host.serial_number = [recorded(0xA1)], shown
        result = host.replace(reason="superseded")
        assert not result["failed"] and result["msg"] == "www: a1 is revoked (of web1, by corporate)"
        assert result["warnings"] == [
            f"web1 shows {'bb' if shown else 'no certificate'} for www, and what was issued to it is a1: that is revoked; look at what the host is doing"
        ]
        assert [arguments["serial_number"] for name, arguments in host.steps if name == "certificate_revoke"] == ["a1"]
        host.names()


def test_all_that_was_issued_is_revoked_by_whoever_issued_it(host):
    host.recorded.insert(0, recorded(0x99, issuer="before"))
    [result] = host.replace()["certificates"]
    assert result["msg"] == "99 is revoked (of web1, by before), a1 is revoked (of web1, by corporate)"
    assert result["revoked"] == [
        {"issuer": "before", "serial_number": "99", "host": "web1"},
        {"issuer": "corporate", "serial_number": "a1", "host": "web1"},
    ]


def test_a_key_that_could_not_be_removed_is_a_failure(host):
    host.fails = {"certificate_install": "the disk is full"}
    result = host.replace(reason="key_compromise")
    assert result["failed"] and result["msg"] == "www: a1 is revoked (of web1, by corporate), the disk is full"


def test_a_key_that_is_in_use_still_is_not_removed(host):
    host.fails = {"certificate_serve": "nginx is broken"}
    assert not host.replace(reason="key_compromise", even_if_served=True)["failed"]
    assert host.names() == ["info", "obtain", "serve", "revoke"]


def test_a_certificate_without_a_record_is_reported(host):
    host.recorded = []
    result = host.replace()
    assert result["failed"] and result["msg"] == (
        "www: nothing is revoked: this controller has no record of a certificate that was issued to web1 for www. The host shows one with the "
        "serial number a1; if it is its own, have its CA revoke it (certificate_revoke, from the controller that ordered it), and have a "
        "new one made with -e certificate_force=true"
    )
    assert host.names() == ["info"]


def test_records_that_cannot_be_read_are_no_empty_ones(host):
    host.recorded, host.problems = [], ["issuer corporate: broken"]
    result = host.replace()
    assert (
        result["failed"]
        and result["msg"] == "www: nothing is revoked, since records cannot be read: issuer corporate: broken"
    )


def test_a_host_that_fails_to_answer_does_not_keep_its_certificate_from_being_revoked(host):
    host.fails = {"certificate_info": "the library is missing"}
    result = host.replace(even_if_served=True)
    assert not result["failed"]
    assert result["msg"] == "www: not replaced (the library is missing), a1 is revoked (of web1, by corporate)"
    assert host.names() == ["info", "revoke"]


def test_what_an_earlier_run_has_revoked_already_is_not_replaced_again(host):
    host.fails = {"certificate_serve": "not now"}
    assert host.replace()["failed"]
    host.names()
    host.recorded[0] = host.recorded[0]._replace(revoked="superseded")  # and then it was killed
    host.fails = {}
    assert host.replace()["msg"] == "www: a1 was revoked by an earlier run"
    assert host.names() == ["info"] and not list(host.records.glob("*.json"))


def test_check_mode_says_what_would_be_done(host):
    result = host.replace(check_mode=True)
    assert result["changed"]
    assert result["msg"] == "www: would replace a1, prove that, and have corporate revoke it"
    assert host.names() == ["info"] and not host.records.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "5", "[]", '{"serial_numbers": 5}', '{"serial_numbers": [[], 5]}', "FOLDER"]
)
def test_a_record_of_an_earlier_run_that_makes_no_sense_is_none(host, content):
    host.fails = {"certificate_serve": "not now"}
    assert host.replace()["failed"]
    host.fails = {}
    (path,) = host.records.glob("*.json")
    path.write_text(content)
    if content == "FOLDER":
        path.unlink()
        path.mkdir()
        result = host.replace()
        assert result["failed"] and str(path) in result["msg"]
    else:
        assert not host.replace()["failed"]


def test_all_of_them_may_be_meant(host):
    assert [one["name"] for one in host.replace(names=["all"])["certificates"]] == ["www", "mail"]


def test_a_host_without_such_a_request_is_passed_over(host):
    assert host.replace(names=["ftp"]) == {"changed": False, "msg": "this host has no request ftp", "certificates": []}


def test_a_host_without_a_certificate_is_passed_over(host):
    host.serial_number, host.recorded = 0, []
    result = host.replace()
    assert (result["changed"], result["msg"]) == (False, "www: there is no certificate on this host to be revoked")


def test_a_host_that_cannot_tell_is_told(host):
    host.fails = {"certificate_info": "the library is missing"}
    result = host.replace()
    assert result["failed"] and result["msg"] == "www: the library is missing"


def test_what_a_service_still_presents_is_not_revoked(host):
    host.serves_late = True
    result = host.replace()
    assert (
        result["failed"]
        and "is not revoked, since clients may get it still: www: the CDN has not brought" in result["msg"]
    )
    assert "certificate_revoke" not in [name for name, _arguments in host.steps]
