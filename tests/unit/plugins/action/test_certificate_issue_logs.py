# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a CA has not found an answer over HTTP, the access logs of the host are asked once, and their answer ends the error."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import certificate_issue
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import retries
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.issuer import Acme
from ansible_collections.evergreen.tls.tests.unit.acme_server import ERROR, running_acme_server
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

NAMES = ["www.example.org", "example.org"]
CSR = make_csr(some_key(), NAMES, {}).decode()
TIMEOUT = "192.0.2.7: Fetching http://www.example.org/: Timeout during connect (likely firewall problem)"


class Run:
    """A run of certificate_issue against a CA that refuses names, on a host whose module returns what a test says."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.calls, self.warnings, self.is_check, self.preflight = [], [], False, "off"
        self.codes = dict.fromkeys(NAMES, ("connection", TIMEOUT))
        self.counts = {"requests": 0, "addresses": 0, "statuses": []}
        self.more, self.failures = {"usual_addresses": 0, "obstacles": []}, []
        honest = server.authorization
        server.authorization = lambda number, one: self._authorization(honest(number, one))

    def _authorization(self, authorization):
        name = authorization["identifier"]["value"]
        (challenge,) = authorization["challenges"]
        challenge["token"] = f"token-of-{name.replace('.', '-')}-1234567890"
        if authorization["status"] == "pending" or name not in self.codes:
            return authorization
        code, detail = self.codes[name]
        challenge["error"] = {"type": ERROR + code, "detail": detail}
        return {**authorization, "status": "invalid"}

    def issue(self, **request):
        task = Task()
        issuer = {
            "type": "acme",
            "directory": self.server.url,
            "ca_file": self.server.ca_file,
            "folder": str(self.folder),
        }
        issuers = {"ca": {**issuer, "solver": {"type": "http", "check": False}, "preflight": self.preflight}}
        arguments = {
            "request": {"name": "www", "domains": NAMES, "issuer": "ca", **request},
            "csr": CSR,
            "issuers": issuers,
        }
        task.action, task.args, task.check_mode = "evergreen.tls.certificate_issue", arguments, self.is_check
        action = certificate_issue.ActionModule(task, None, None, None, None, None)
        action._execute_module = self._execute
        return action.run(task_vars={"inventory_hostname": "web1"})

    def _execute(self, name, module_args, task_vars):
        self.calls.append((name, module_args))
        if self.failures:
            raise self.failures[0]
        tokens = [{"token": token, **self.counts} for token in module_args["tokens"]]
        return {"changed": False, "tokens": tokens, **self.more}


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    monkeypatch.setattr(retries, "RETRY_DELAYS_S", (0.0, 0.0))
    with running_acme_server(tmp_path) as server:
        server.status = "invalid"
        yield Run(server, tmp_path / "acme")


def test_no_host_is_asked_where_the_ca_validates_the_names(run):
    run.codes, run.server.status = {}, "valid"
    assert not run.issue().get("failed")
    assert run.calls == []


def test_a_host_that_was_never_asked_points_to_dns_and_the_way(run):
    message = run.issue()["msg"]
    assert "Timeout during connect" in message, "the sentence of the CA stays"
    assert message.endswith(
        "; www.example.org, example.org: nginx of web1 was never asked for it, so the CA came to another machine or to none: see where DNS "
        "leads from the internet, and which firewalls, proxies and NAT are on the way"
    )
    assert run.calls == [
        (
            "evergreen.tls.challenge_requests",
            {"domains": NAMES, "tokens": [f"token-of-{name.replace('.', '-')}-1234567890" for name in NAMES]},
        )
    ], "one call for all names"


def test_an_answer_of_nginx_itself_is_told_with_its_status(run):
    run.codes = dict.fromkeys(NAMES, ("unauthorized", "Invalid response: 404"))
    run.counts = {"requests": 4, "addresses": 3, "statuses": ["404"]}
    assert (
        "nginx of web1 was asked 4 times from 3 addresses, and answered 404: the way is right, and nginx has no answer"
        in run.issue()["msg"]
    )


def test_fewer_addresses_than_usual_point_to_blocking_by_country(run):
    run.counts, run.more["usual_addresses"] = {"requests": 2, "addresses": 2, "statuses": ["200"]}, 5
    assert (
        "from 2 addresses, fewer than the 5 from which CAs usually ask: something blocks the others"
        in run.issue()["msg"]
    )


def test_a_log_that_says_nothing_is_told_as_such(run):
    run.more["obstacles"] = ["the server block at /etc/nginx/x\x1b[1m.conf:1 logs no requests"]
    message = run.issue()["msg"]
    assert "whether nginx of web1 was asked is not known: the server block at /etc/nginx/x" in message
    assert "\x1b" not in message


@pytest.mark.parametrize("code", ["dns", "caa", "rateLimited", "malformed"])
def test_other_errors_take_no_trip_to_the_host(run, code):
    run.codes = dict.fromkeys(NAMES, (code, "no"))
    assert run.issue()["failed"]
    assert run.calls == []


def test_a_name_that_was_validated_is_not_asked_about(run):
    del run.codes["example.org"]
    run.server.status = "valid"
    assert run.issue()["failed"]
    assert [arguments["domains"] for _name, arguments in run.calls] == [["www.example.org"]]


@pytest.mark.parametrize("served_by", ["other"])
def test_a_host_without_nginx_is_not_asked(run, served_by):
    assert run.issue(served_by=served_by)["failed"]
    assert run.calls == []


@pytest.mark.parametrize("failure", [AnsibleConnectionFailure("gone"), None])
def test_a_host_that_cannot_tell_leaves_the_sentence_of_the_ca(run, failure):
    run.failures = [failure] if failure else []
    if failure is None:
        run.more = {"failed": True, "msg": "nginx is not installed on this host"}
    message = run.issue()["msg"]
    assert "Timeout during connect" in message
    assert "nginx" not in message


def test_check_mode_warns_of_what_would_be_refused_and_orders_nothing(run, monkeypatch):
    run.is_check, run.preflight = True, "refuse"
    monkeypatch.setattr(Acme, "expected_refusals", lambda _self, request, host, is_deployed: [f"no {is_deployed}"])
    result = run.issue()
    assert (result["warnings"], result["changed"]) == (["www: no False"], True)
    assert run.server.orders == [] and run.calls == []
