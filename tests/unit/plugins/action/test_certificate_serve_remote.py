# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate that a cloud presents is deployed, proved, and only then followed by its settings, or put back."""

from __future__ import annotations

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action.certificate_serve import ActionModule

REQUEST = {"name": "static", "domains": ["static.example.org"], "served_by": "cloud", "cloud": {}}
INSTALLED = {"certificates": [{"name": "static", "failed": False, "fingerprint": "v0002"}]}
CANONICAL = {"static.example.org": "static.cdn.example"}


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


class Cloud:
    """A host with two versions, of which the cloud presents one. *result*: what certificate_deploy adds to its result."""

    def __init__(self, served="v0001", good=("v0001", "v0002"), follows=True):
        self.current, self.served, self.good, self.follows = "v0002", served, good, follows
        self.steps, self.results, self.settled = [], [], {"changed": False, "msg": ""}

    async def run_action(self, name, arguments, _task_vars):
        name = name.rpartition(".")[2]
        self.steps.append((name, arguments))
        return getattr(self, name)(arguments)

    def certificate_deploy(self, arguments):
        if arguments["proved"]:
            return self.settled
        if self.results:
            return self.results.pop(0)
        changed = self.served != self.current
        if self.follows:
            self.served = self.current
        return {"changed": changed, "fingerprint": self.current, "canonical_names": CANONICAL, "msg": "bound it"}

    def handshake_verify(self, arguments):
        if self.served == arguments["fingerprint"] and self.served in self.good:
            return {"problems": [], "msg": "static.example.org proved from the controller"}
        return {"failed": True, "msg": "seen from the controller: another", "problems": ["another"], "answered": True}

    def certificate_info(self, _arguments):
        return {"certificates": []}

    def certificate_install(self, arguments):
        self.current = "v0001" if arguments.get("state") == "previous" else "v0002"
        back = {"put_back": "v0001"} if arguments.get("state") else {}
        names = {"certificate": {"names": REQUEST["domains"]}}
        return {"changed": True, **back, **names, "msg": f"{self.current} of static is in use again"}

    def names(self):
        return [name for name, _arguments in self.steps]


def serve(cloud, **arguments):
    task = Task()
    task.action, task.args = "evergreen.tls.certificate_serve", {"requests": [REQUEST], **arguments}
    action = ActionModule(task, None, None, None, None, None)
    action.run_action = cloud.run_action
    (certificate,) = action.run(task_vars={})["certificates"]
    return certificate


def test_what_clients_see_already_needs_no_call_of_the_cloud():
    cloud = Cloud(served="v0002")
    assert serve(cloud, obtained=INSTALLED)["failed"] is False
    assert cloud.names() == ["handshake_verify"]


def test_a_deployment_looks_at_the_cloud_all_the_same():
    cloud = Cloud(served="v0002")
    assert serve(cloud, obtained=INSTALLED, started=True)["failed"] is False
    assert cloud.names() == ["certificate_deploy", "handshake_verify", "certificate_deploy"]


def test_a_new_certificate_is_proved_at_each_address_several_times_before_the_settings_follow():
    cloud = Cloud()
    cloud.settled = {"changed": True, "msg": "set redirect to on for static.example.org"}
    result = serve(cloud)
    assert cloud.names() == ["certificate_deploy", "handshake_verify", "certificate_deploy"]
    assert result["msg"] == "static.example.org proved from the controller, set redirect to on for static.example.org"
    proof = cloud.steps[1][1]
    assert (proof["times"], proof["timeout"], proof["canonical_names"]) == (3, 60.0, CANONICAL)


def test_what_a_cloud_makes_is_proved_by_its_dates():
    cloud = Cloud()
    validity = {"not_before": "2026-11-30T00:00:00+00:00", "not_after": "2027-02-28T23:59:59+00:00"}
    cloud.results = [{"changed": True, "fingerprint": None, "validity": validity, "msg": "bound it"}]
    cloud.handshake_verify = lambda _arguments: {"problems": [], "msg": "proved"}
    assert serve(cloud)["msg"] == "proved"
    assert cloud.steps[1][1]["validity"] == validity


def test_check_mode_says_what_would_be_bound_in_place_of_what_clients_do_not_get_yet():
    cloud = Cloud()
    cloud.results = [{"changed": True, "fingerprint": "v0002", "msg": "would bind it to static.example.org"}]
    cloud.settled = {"changed": True, "msg": "would set redirect to on for static.example.org"}
    cloud.handshake_verify = lambda _arguments: {"problems": ["another"], "msg": "not served yet: another"}
    result = serve(cloud)
    assert result["msg"] == "would bind it to static.example.org, would set redirect to on for static.example.org"
    assert (result["failed"], result["changed"]) == (False, True)


def test_check_mode_says_once_that_there_is_no_certificate_yet():
    cloud = Cloud()
    sentence = "would deploy the certificate of static once it is installed"
    cloud.results, cloud.settled = [{"changed": True, "msg": sentence}], {"changed": True, "msg": sentence}
    cloud.handshake_verify = lambda _arguments: {"problems": ["another"], "msg": "not served yet: another"}
    assert serve(cloud)["msg"] == sentence


def test_check_mode_says_what_clients_do_not_get_where_nothing_would_be_changed():
    cloud = Cloud()
    cloud.results = [{"changed": False, "fingerprint": "v0002", "msg": "bound to it already"}]
    cloud.handshake_verify = lambda _arguments: {"problems": ["another"], "msg": "not served yet: another"}
    assert serve(cloud)["msg"] == "not served yet: another"


def test_the_machines_of_a_cloud_have_six_times_as_long_as_nginx():
    cloud = Cloud()
    serve(cloud, timeout=2)
    assert cloud.steps[1][1]["timeout"] == 12.0


def test_a_proof_is_made_from_the_controller_whatever_holds_for_hosts():
    cloud = Cloud()
    serve(cloud, verify_from="host")
    assert cloud.steps[1][1]["verify_from"] == "controller"


def test_what_is_waiting_is_neither_a_failure_nor_put_back():
    cloud = Cloud()
    waiting = {"for": "the CDN has not brought it into effect", "since": "2026-11-30T12:00:00+00:00"}
    cloud.results = [{"changed": True, "waiting": waiting, "msg": waiting["for"]}]
    result = serve(cloud)
    assert (result["failed"], result["changed"], result["waiting"]) == (False, True, waiting)
    assert cloud.names() == ["certificate_deploy"]


def test_a_deployment_that_fails_leaves_what_is_served():
    cloud = Cloud()
    cloud.results = [{"failed": True, "msg": "the CDN of account main: the domain is locked"}]
    result = serve(cloud)
    assert (result["failed"], result["msg"]) == (True, "the CDN of account main: the domain is locked")
    assert cloud.names() == ["certificate_deploy"]


def test_the_version_before_is_bound_again_where_clients_get_another():
    cloud = Cloud(follows=False)
    result = serve(cloud)
    assert (result["failed"], result["put_back"]) == (True, "v0001")
    assert "proved from the controller" in result["msg"]
    assert cloud.names() == [
        "certificate_deploy",
        "handshake_verify",
        "certificate_install",
        "certificate_deploy",
        "handshake_verify",
    ]


def test_what_is_put_back_and_not_proved_either_is_said_of_the_cloud():
    cloud = Cloud(good=())
    result = serve(cloud)
    assert "and the cloud presents it, but it is not proved" in result["msg"]


def test_settings_that_fail_are_a_failure_and_put_nothing_back():
    cloud = Cloud()
    cloud.settled = {"failed": True, "msg": "http://static.example.org/ is no redirect; it is taken back"}
    result = serve(cloud)
    assert result["failed"] and result["msg"].endswith("it is taken back")
    assert "certificate_install" not in cloud.names()
