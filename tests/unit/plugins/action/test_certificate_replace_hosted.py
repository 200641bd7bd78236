# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the cloud makes a certificate: another one is ordered, bound and proved before the cloud revokes the one before."""

from __future__ import annotations

import datetime
import itertools

import pytest

from ansible_collections.evergreen.tls.plugins.action import certificate_deploy, certificate_host, certificate_replace
from ansible_collections.evergreen.tls.tests.unit.hosted_world import DOMAIN, hosted_world


class Fleet:
    """A world in which the steps of certificate_replace are real, but for certificate_serve: it binds, and its proof has a given result."""

    def __init__(self, world, records):
        self.world, self.records, self.steps, self.proof = world, records, [], {}

    def replace(self, check_mode=False, names=("static",)):
        arguments = {"requests": [self.world.request()], "names": list(names), "records": str(self.records)}
        action = self.world.action(certificate_replace, check_mode, **arguments)
        action.run_action = self.run_action
        return action.run(task_vars=self.world.variables())

    async def run_action(self, name, arguments, task_vars):
        name = name.rpartition(".")[2]
        self.steps.append(name)
        if name == "certificate_serve":
            deployed = self.world.run(certificate_deploy)
            return {"changed": deployed["changed"], "msg": deployed["msg"], "certificates": [], **self.proof}
        assert name == "certificate_host"
        return await self.world.action(certificate_host, **arguments).work(task_vars)

    def bound(self):
        return self.world.cdn.domains[DOMAIN]["now"]["Https"]["CertInfo"]["CertId"]

    def status(self, certificate):
        return self.world.ssl.orders[certificate]["status"]


@pytest.fixture
def fleet(monkeypatch, tmp_path):
    minutes = itertools.count()
    now = certificate_host.utc_now

    def later():  # the alias of an order has the second in which it is placed
        return now() + datetime.timedelta(minutes=next(minutes))

    monkeypatch.setattr(certificate_host, "utc_now", later)
    with hosted_world(monkeypatch, tmp_path) as world:
        yield Fleet(world, tmp_path / "records")


@pytest.fixture
def served(fleet):
    """Have a first certificate issued and bound."""
    fleet.world.run(certificate_host)
    fleet.world.run(certificate_deploy)
    assert fleet.bound() == "free0001"
    fleet.world.cloud.calls.clear()
    return fleet


ISSUED, BEING_REVOKED = 1, 9


def test_the_new_one_is_bound_and_proved_before_the_old_one_is_revoked(served):
    result = served.replace()
    assert (result["changed"], result["failed"]) == (True, False), result["msg"]
    assert result["msg"] == (
        "static: free0001 is revoked; these records validate that, and may go afterwards: _dnsauth.static.example.org"
    )
    assert result["certificates"][0]["revoked"] == [{"certificate": "free0001", "host": "cdn1"}]
    assert (served.bound(), served.status("free0001"), served.status("free0002")) == ("free0002", BEING_REVOKED, ISSUED)
    actions = served.world.cloud.actions()
    assert actions.index("ApplyCertificate") < actions.index("ModifyDomainConfig") < actions.index("RevokeCertificate")
    assert not list(served.records.glob("*.json"))


def test_what_no_resource_presents_is_revoked_without_another_order(fleet):
    fleet.world.run(certificate_host)
    assert fleet.replace()["msg"].startswith("static: free0001 is revoked")
    assert fleet.steps == ["certificate_host"]
    assert fleet.world.cloud.actions().count("ApplyCertificate") == 1


def test_what_clients_may_get_still_is_not_revoked_before_the_proof_succeeds(served):
    served.proof = {"failed": True, "msg": "static: seen from the controller: another"}
    result = served.replace()
    assert result["failed"] and result["changed"]
    assert result["msg"] == (
        "static: free0001 is not revoked, since clients may get it still: static: seen from the controller: another. "
        "Put that right and run this again"
    )
    assert served.status("free0001") == ISSUED
    again = served.replace()
    assert again["failed"] and "free0001 is not revoked, since clients may get it still" in again["msg"]
    served.proof = {}
    assert served.replace()["msg"].startswith("static: free0001 is revoked")
    assert served.world.cloud.actions().count("ApplyCertificate") == 1


def test_an_order_that_takes_longer_keeps_the_old_one_and_is_finished_by_a_later_run(served):
    served.world.ssl.reviews = 10_000
    for _run in range(2):
        result = served.replace()
        assert result["failed"] and "since clients may get it still: the new certificate is pending (" in result["msg"]
    assert (served.bound(), served.status("free0001")) == ("free0001", ISSUED)
    assert served.world.cloud.actions().count("ApplyCertificate") == 1
    served.world.ssl.reviews = 0
    result = served.replace()
    assert not result["failed"], result["msg"]
    assert (served.bound(), served.status("free0001"), served.status("free0002")) == ("free0002", BEING_REVOKED, ISSUED)
    assert served.world.cloud.actions().count("ApplyCertificate") == 1


def test_a_run_that_was_killed_before_the_revocation_is_finished_and_revokes_nothing_else(served):
    served.world.cloud.refusals["RevokeCertificate"] = "InternalError"
    assert served.replace()["failed"]
    assert (served.bound(), served.status("free0001")) == ("free0002", ISSUED)
    served.world.cloud.refusals.clear()
    served.world.cloud.calls.clear()
    assert served.replace()["msg"].startswith("static: free0001 is revoked")
    assert served.world.cloud.changes() == ["RevokeCertificate", "CreateTXTRecord"]
    assert (served.bound(), served.status("free0002")) == ("free0002", ISSUED)


def test_what_another_service_presents_is_not_revoked(served):
    served.world.cloud.refusals["RevokeCertificate"] = "FailedOperation.RevokeResourceFailed"
    served.world.ssl.bound = lambda certificate: [("clb", "lbl-1")] if certificate == "free0001" else []
    result = served.replace()
    assert result["failed"] and "FailedOperation.RevokeResourceFailed" in result["msg"]
    assert result["msg"].endswith("says what it is bound to. It is bound to clb (1)")
    assert served.status("free0001") == ISSUED


def test_check_mode_says_what_it_would_do_and_changes_nothing(served):
    result = served.replace(check_mode=True)
    assert (result["changed"], result["msg"]) == (
        True,
        "static: would have another certificate issued in place of free0001, prove that, and have it revoked",
    )
    assert served.world.cloud.changes() == [] and not list(served.records.glob("*.json"))


def test_a_request_without_a_certificate_has_nothing_to_revoke(fleet):
    result = fleet.replace()
    assert (result["changed"], result["failed"]) == (False, False)
    assert result["msg"] == "static: the cloud has no valid certificate of static"


def test_what_was_revoked_before_is_said(fleet):
    fleet.world.run(certificate_host)
    fleet.world.run(certificate_host, state="revoked")
    again = fleet.world.run(certificate_host, state="revoked", certificate="free0001")
    assert (again["changed"], again["msg"]) == (False, "free0001 was revoked before")
    other = fleet.world.run(certificate_host, state="revoked", certificate="free0009")
    assert (other["changed"], other["msg"]) == (False, "the cloud has no certificate free0009 of static")


def test_another_name_is_said(served):
    result = served.replace(names=["staticx"])
    assert (result["changed"], result["msg"]) == (False, "this host has no request staticx")
    assert served.steps == []
