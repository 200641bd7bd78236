# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A private CA is made where nobody has one, and nowhere else; renewals never make one."""

from __future__ import annotations

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import (
    certificate_issue,
    certificate_obtain,
    certificate_request,
    certificate_serve,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import YEAR_ZERO, Authority, pem_valid_until, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import closed_port

NAME = "www.example.org"
KEY = some_key()
CSR = make_csr(KEY, [NAME], {}).decode()


class Controller:
    """A controller whose actions are run; the module on the host answers what a test says, and its calls are counted."""

    def __init__(self, folder, port):
        self.directory = folder / "pki"
        self.issuers = {"corporate": {"type": "local_ca", "directory": str(self.directory)}}
        self.request = {"name": "www", "domains": [NAME], "issuer": "corporate", "port": port}
        self.host = {"changed": False, "due": True, "reason": "there is no certificate yet", "csr": CSR}
        self.sent = []
        self.meanwhile = lambda: None  # what happens on the controller while the host is asked

    def run(self, module, check_mode=False, **arguments):
        task = Task()
        name = module.__name__.rpartition(".")[2]
        task.action, task.check_mode = f"evergreen.tls.{name}", check_mode
        task.args = {"request": self.request, "issuers": self.issuers, **arguments}
        action = module.ActionModule(task, None, None, None, None, None)

        def execute(name, module_args, task_vars):
            self.sent.append(module_args)
            self.meanwhile()
            return dict(self.host)

        action._execute_module = execute
        variables = {
            "ansible_host": "127.0.0.1",
            "certificate_requests": [self.request],
            "certificate_issuers": self.issuers,
        }
        return action.run(task_vars={"inventory_hostname": "web1", "hostvars": {"web1": variables}})

    def ca(self):
        return open_issuer("corporate", self.issuers)


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


@pytest.fixture
def server(start):
    return start()


@pytest.fixture
def new(tmp_path, server):
    """Return a controller with an empty home, of a host that serves nothing of its CA."""
    return Controller(tmp_path / "new", server.port)


@pytest.fixture
def elsewhere(tmp_path, server):
    """Return a controller with an empty home, of a host that serves what the CA in another home signed."""
    first = Controller(tmp_path / "first", server.port)
    request = {"name": "www", "domains": [NAME], "lifetime": None}
    server.present(parse_chain(first.ca().issue(request, CSR.encode(), "web1")))
    return Controller(tmp_path / "elsewhere", server.port)


def refusal(controller, serving=", and 1 host serves a certificate of one"):
    return (
        f"the issuer corporate has no CA in {controller.directory} on this controller{serving}; run this where the CA is, or set root; "
        "evergreen.tls.deploy makes another one with -e certificate_new_authority=true"
    )


def test_the_first_ca_is_made_and_the_line_that_pins_it_is_told(new):
    result = new.run(certificate_issue, csr=CSR)
    assert not result.get("failed") and new.ca().absence() is None
    (warning,) = result["warnings"]
    new.issuers["corporate"]["root"] = warning.rpartition("root: ")[2]
    again = new.run(certificate_issue, csr=CSR)
    assert not again.get("failed") and not again["warnings"]


def test_no_second_ca_is_made_where_a_host_serves_a_certificate_of_the_first(elsewhere):
    result = elsewhere.run(certificate_issue, csr=CSR)
    assert result["failed"] and result["msg"] == refusal(elsewhere)
    assert [path.name for path in elsewhere.directory.glob("*.pem")] == []


def test_a_refusal_comes_before_anything_is_written(elsewhere):
    assert elsewhere.run(certificate_issue, csr=CSR)["failed"]
    assert not elsewhere.directory.exists()


@pytest.fixture
def second(elsewhere):
    """Return a controller with a CA of its own, of a host that serves what the CA in another home signed."""
    elsewhere.ca().make()
    return elsewhere


@pytest.mark.parametrize("make_ca", ["first", "never"])
@pytest.mark.parametrize("check_mode", [False, True])
def test_nothing_is_issued_by_another_ca_than_the_one_of_which_the_host_serves_a_certificate(
    second, make_ca, check_mode
):
    result = second.run(certificate_issue, check_mode, csr=CSR, in_use="ab" * 32, make_ca=make_ca)
    root = second.ca().root_name()
    assert result["failed"] and result["msg"] == (
        f"the issuer corporate has another CA in {second.directory} on this controller ({root}) than the one of which 1 host serves a "
        "certificate; run this where that CA is, or correct directory; evergreen.tls.deploy replaces them with -e certificate_new_authority=true"
    )
    assert not list((second.directory / "issued").iterdir())


def test_another_ca_issues_where_the_user_says_so(second):
    assert not second.run(certificate_issue, csr=CSR, in_use="ab" * 32, make_ca="always").get("failed")


def test_a_certificate_of_another_private_ca_of_the_inventory_is_replaced(second):
    second.issuers["former"] = {"type": "local_ca", "directory": str(second.directory.parents[1] / "first/pki")}
    assert not second.run(certificate_issue, csr=CSR, in_use="ab" * 32).get("failed")


def test_the_endpoint_is_not_looked_at_before_the_first_certificate(second):
    assert not second.run(certificate_issue, csr=CSR).get("failed")


def test_an_endpoint_with_a_certificate_that_cannot_be_read_keeps_nothing_from_being_issued(new, server):
    new.ca().make()
    server.present_pem(pem_valid_until(Authority("Root"), YEAR_ZERO, [NAME], KEY), KEY)
    assert not new.run(certificate_issue, csr=CSR, in_use="ab" * 32).get("failed")


def test_an_endpoint_that_is_silent_keeps_nothing_from_being_issued(new):
    new.ca().make()
    new.request["port"] = closed_port()
    assert not new.run(certificate_issue, csr=CSR, in_use="ab" * 32).get("failed")


@pytest.mark.parametrize("module", [certificate_request, certificate_issue])
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_renewal_makes_no_ca_and_asks_no_host(new, module, check_mode):
    more = {"csr": CSR} if module is certificate_issue else {}
    if check_mode and module is certificate_issue:
        return
    result = new.run(module, check_mode, make_ca="never", **more)
    assert result["failed"] and result["msg"] == refusal(new, "")
    assert new.sent == [] and not new.directory.exists()


def test_a_new_ca_is_made_before_the_host_is_asked_so_that_what_it_has_is_due(elsewhere):
    result = elsewhere.run(certificate_request, make_ca="always")
    assert not result.get("failed") and "a private CA is made" in result["warnings"][-1]
    assert elsewhere.sent[0]["roots"] == elsewhere.ca().roots().decode()
    assert not elsewhere.run(certificate_issue, csr=CSR, make_ca="always").get("failed")


def test_check_mode_says_what_a_new_ca_would_bring_and_makes_none(elsewhere):
    elsewhere.run(certificate_request, check_mode=True, make_ca="always")
    assert elsewhere.sent[0]["force"] is True and not elsewhere.directory.exists()


def test_a_certificate_of_a_ca_that_is_not_here_is_not_said_to_be_fine(new):
    new.host = {"changed": False, "due": False, "fingerprint": "ab" * 32}  # and nothing is served at the moment
    result = new.run(certificate_request)
    assert result["failed"] and result["msg"] == refusal(new)


def test_a_ca_that_another_run_makes_while_the_host_is_asked_is_not_said_to_be_missing(new):
    new.host, new.meanwhile = {"due": False, "fingerprint": "ab" * 32}, lambda: new.ca().make()
    result = new.run(certificate_request)
    assert not result.get("failed"), result


@pytest.mark.parametrize("make_ca", ["never", "first", "always"])
def test_no_host_is_asked_where_the_inventory_pins_another_ca(new, make_ca):
    new.issuers["corporate"]["root"] = f"sha256:{'ab' * 32}"
    for _time in range(2):
        result = new.run(certificate_request, make_ca=make_ca)
        assert result["failed"] and result["msg"].endswith("; none is made where root is set")
        assert new.sent == [] and not new.directory.exists()


def test_refused_requests_fail_without_a_login_and_are_not_served(new):
    refused = {"www": "this controller has not the CA; run this elsewhere"}
    for module in (certificate_obtain, certificate_serve):
        task = Task()
        task.action, task.check_mode = f"evergreen.tls.{module.__name__.rpartition('.')[2]}", False
        task.args = {"requests": [new.request], "issuers": new.issuers, "refused": refused}
        action = module.ActionModule(task, None, None, None, None, None)
        result = action.run(task_vars={"inventory_hostname": "web1", "ansible_play_hosts_all": ["web1"]})
        if module is certificate_obtain:
            assert result["failed"] and result["msg"] == f"www: {refused['www']}"
        else:
            assert result["certificates"] == [] and not result["failed"]
