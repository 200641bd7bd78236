# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the survey answers, prints and writes."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import re

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.evergreen.tls.plugins.action.plan import ActionModule as Plan
from ansible_collections.evergreen.tls.plugins.action.survey import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import describe_chain
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports import query as query_module
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.deployed_names import (
    FOLDER,
    DeployedNames,
    UnusedName,
    left_sentence,
    unused_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.query import compile_query
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import text_width
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.text_table import INDENT
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import closed_port

ROOT = Authority("Survey Root CA")
NAME = "www.example.org"
NO_FLEET = {"ansible_play_hosts_all": [], "hostvars": {}}


@pytest.fixture
def fleet(start, tmp_path):
    """Return the variables of a play on hosts of which one is fine, one due, one expired, and one is not there."""

    def serve(days):
        return start().present(ROOT.chain([NAME], some_key(), days=days)).port

    ports = {"fine": serve((-1, 90)), "due": serve((-90, 9)), "expired": serve((-90, -1)), "unknown": closed_port()}
    hosts = "\n".join(f"    {host}: {{listening: {port}}}" for host, port in ports.items())
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    (tmp_path / "inventory.yml").write_text(f"""
web:
  vars:
    ansible_host: 127.0.0.1
    certificate_issuers: {{local: {{type: local_ca, directory: {tmp_path}}}}}
    certificate_requests: [{{name: www, domains: [{NAME}], port: "{{{{ listening }}}}"}}]
  hosts:
{hosts}
""")
    loader = DataLoader()
    inventory = InventoryManager(loader, [str(tmp_path / "inventory.yml")])
    hosts = [host.name for host in inventory.get_hosts()]
    return {
        "ansible_play_hosts_all": hosts,
        "hostvars": HostVars(inventory, VariableManager(loader, inventory), loader),
    }


def run(task_vars, check_mode=False, action=ActionModule, **arguments):
    """Return what the action answers."""
    task = Task()
    task.args = arguments
    task.check_mode = check_mode
    connection = connection_loader.get("local", PlayContext())
    return action(task, connection, None, None, None, None).run(task_vars=task_vars)


def test_the_endpoints_are_returned_and_printed(fleet, capsys):
    result = run(fleet)
    assert [row["host"] for row in result["endpoints"]] == ["expired", "unknown", "due", "fine"]
    assert [row["state"] for row in result["endpoints"]] == ["expired", "unknown", "due", "fine"]
    assert result["endpoints"][3]["certificate"]["names"] == [NAME]
    assert result["counts"] == {"expired": 1, "unknown": 1, "due": 1, "fine": 1}
    assert result["fine_requests"] == 1
    assert result["msg"] == "4 endpoints of 4 hosts: 1 expired, 1 unknown, 1 due, 1 fine"
    assert not result["changed"] and "failed" not in result
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["host", "expired", "unknown", "due", "fine", "4"]


def test_a_survey_says_when_it_began(fleet):
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    started = datetime.datetime.fromisoformat(run(fleet)["started"])
    assert before <= started <= datetime.datetime.now(datetime.timezone.utc)


def test_only_the_worst_are_printed(fleet, capsys):
    assert len(run(fleet, most=1)["endpoints"]) == 4
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["host", "expired", "…", "4"]


def test_a_query_chooses_what_is_returned_and_written(fleet, tmp_path):
    path = tmp_path / "survey.json"
    result = run(fleet, query="[?state != 'fine' && starts_with(host, 'd')].{host: host, port: port}", path=str(path))
    (chosen,) = result["endpoints"]
    assert chosen["host"] == "due" and set(chosen) == {"host", "port"}
    assert json.loads(path.read_text()) == [chosen]
    assert sum(result["counts"].values()) == 4


def test_nothing_is_written_in_check_mode(fleet, tmp_path):
    run(fleet, check_mode=True, path=str(tmp_path / "survey.json"))
    assert not (tmp_path / "survey.json").exists()


def test_a_path_that_cannot_be_written_is_a_warning(fleet, tmp_path, capsys):
    path = tmp_path / "missing" / "survey.json"
    assert len(run(fleet, path=str(path))["endpoints"]) == 4
    warning = " ".join(capsys.readouterr().err.split())
    assert "No such file or directory; correct the path" in warning


@pytest.mark.parametrize(
    ("fail_when", "left_out", "fails"),
    [
        ("never", [], False),
        ("due", [], True),
        ("due", ["expired"], True),
        ("due", ["due"], True),
        ("due", ["due", "expired"], False),
        ("expired", [], True),
        ("expired", ["due"], True),
        ("expired", ["expired"], False),
    ],
)
def test_a_survey_fails_from_a_state_on(fleet, fail_when, left_out, fails):
    fleet["ansible_play_hosts_all"] = [host for host in fleet["ansible_play_hosts_all"] if host not in left_out]
    result = run(fleet, fail_when=fail_when)
    assert result.get("failed", False) is fails
    assert result["msg"].endswith("; run evergreen.tls.renew") is fails
    assert len(result["endpoints"]) == sum(result["counts"].values()) == 4 - len(left_out)


def test_hosts_that_are_inspected_are_due(fleet):
    due = [row for row in run(fleet, inspect=True)["endpoints"] if row["reason"] == "its disk is inspected"]
    assert sorted(row["host"] for row in due) == ["due", "expired", "fine", "unknown"]


def test_a_fleet_without_hosts_has_nothing_to_see():
    assert run(NO_FLEET)["msg"] == "0 endpoints of 0 hosts: nothing to see"


def test_a_query_that_makes_no_sense_is_refused_before_the_survey():
    result = run({}, query="[?state ==")
    assert result["failed"]
    assert result["msg"].startswith("survey_query '[?state ==' is no JMESPath expression: ")
    assert result["msg"].endswith("; see https://jmespath.org/")


@pytest.mark.parametrize("query", ["worst(@)", "[].host | sum(@)", "[?starts_with(port, '4')]", "max(@)"])
def test_a_query_that_cannot_be_answered_says_why(query):
    with pytest.raises(TlsError) as caught:
        compile_query(query, "survey_query")([{"host": "web1", "port": 443}])
    assert str(caught.value).startswith(f"survey_query {query!r} cannot be answered: ")
    assert str(caught.value).endswith("; see https://jmespath.org/")


def test_a_query_may_answer_anything():
    rows = [{"host": "web1", "days_left": 3.5}, {"host": "web2", "days_left": None}]
    assert compile_query(None, "survey_query")(rows) == compile_query("", "survey_query")(rows) == rows
    assert compile_query("[?days_left < `5`].host", "survey_query")(rows) == ["web1"]
    assert compile_query("length(@)", "survey_query")(rows) == 2
    assert compile_query("nothing", "survey_query")(rows) is None


def test_a_query_needs_its_library(monkeypatch):
    monkeypatch.setattr(query_module, "jmespath", None)
    assert compile_query(None, "survey_query")([]) == []
    with pytest.raises(TlsError) as caught:
        compile_query("[]", "survey_query")
    assert str(caught.value) == (
        "a survey_query needs the Python library jmespath on the controller; run pip install 'jmespath >= 1.0' with the Python of "
        "ansible-playbook"
    )


def test_states_choose_what_is_returned_without_the_library_of_queries(fleet, monkeypatch):
    monkeypatch.setattr(query_module, "jmespath", None)
    result = run(fleet, states=["expired", "unknown", "due"])
    assert [row["state"] for row in result["endpoints"]] == ["expired", "unknown", "due"]
    assert result["counts"]["fine"] == 1


@pytest.mark.parametrize("callback", ["json", "ansible.posix.jsonl", "community.general.null"])
def test_nothing_is_printed_where_a_program_reads_the_output_and_the_result_has_the_table(
    fleet, capsys, monkeypatch, callback
):
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", callback)
    table = run(fleet)["table"]
    assert capsys.readouterr().out == ""
    assert [line.split()[0] for line in table.splitlines()] == ["host", "expired", "unknown", "due", "fine", "4"]


ANSWERS = {
    "[?state != 'fine'].{host: host, name: name, reason: reason}": [
        {"host": "a", "name": NAME, "reason": "it has expired"},
        {"host": "b", "name": NAME, "reason": "nothing listens there"},
        {"host": "c", "name": NAME, "reason": "it expires soon"},
    ],
    "[?state == 'unknown'].host": ["b"],
    "[?days_left < `14`].host": ["a", "c"],
    "min_by([?days_left], &days_left).{host: host, days_left: days_left}": {"host": "a", "days_left": -2.5},
    "[?certificate && certificate.key != 'ECC secp256r1'].{host: host, key: certificate.key}": [
        {"host": "c", "key": "RSA 2048"}
    ],
    "[?certificate].{host: host, issuer: certificate.issuer}": [
        {"host": "a", "issuer": "Old CA"},
        {"host": "c", "issuer": "CA"},
        {"host": "d", "issuer": "CA"},
    ],
    "length([?protocol == 'TLSv1.2'])": 1,
}


def test_the_queries_that_people_are_told_of_answer_what_they_ask():
    text = (pathlib.Path(__file__).parents[4] / "docs/survey.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| .+\? \| ``(.+)`` \|$", text, re.MULTILINE) == list(ANSWERS)
    findings = [
        finding("a", "expired", "it has expired", -2.5, "TLSv1.2", {"key": "ECC secp256r1", "issuer": "Old CA"}),
        finding("b", "unknown", "nothing listens there"),
        finding("c", "due", "it expires soon", 9.0, "TLSv1.3", {"key": "RSA 2048", "issuer": "CA"}),
        finding("d", "fine", "", 60.0, "TLSv1.3", {"key": "ECC secp256r1", "issuer": "CA"}),
    ]
    for query, answer in ANSWERS.items():
        assert compile_query(query, "survey_query")([one._asdict() for one in findings]) == answer


def finding(host, state, reason, days_left=None, protocol="", certificate=None):
    return Finding(host, state, reason, "www", NAME, "192.0.2.1", 443, protocol, certificate, days_left)


def test_the_example_of_the_json_has_the_fields_that_are_written():
    text = (pathlib.Path(__file__).parents[4] / "docs/survey.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```json\n(.+?)^```$", text, re.MULTILINE | re.DOTALL)
    described = json.loads(example)
    assert set(described) == set(Finding._fields)
    assert set(described["certificate"]) == set(describe_chain(ROOT.chain([NAME], some_key())))


@pytest.mark.parametrize("columns", [40, 72])
def test_the_line_about_unused_certificates_is_no_wider_than_the_terminal(
    fleet, capsys, monkeypatch, tmp_path, columns
):
    names = [f"former-name-{number}" for number in range(5)]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", str(columns))
    DeployedNames(os.path.expanduser(FOLDER)).record("fine", ["www", *names], {"gone": "2026-12-24T00:00:00+00:00"})
    assert [one["name"] for one in run(fleet)["unused"]] == [*names, "gone"]
    lines = capsys.readouterr().out.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("no request names"))
    printed = lines[begin:]
    assert len(printed) > 2 and max(text_width(line) for line in printed) <= columns
    assert all(line.startswith(INDENT) for line in printed[1:])
    sentence = unused_sentence([UnusedName(**one) for one in run(fleet)["unused"]])
    assert " ".join(line.strip() for line in printed) == sentence


@pytest.mark.parametrize("authorities_only", [False, True])
def test_hosts_that_have_certificates_and_nothing_in_the_inventory_are_named(
    tmp_path, monkeypatch, capsys, authorities_only
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    inventory = {
        "undefined": {},
        "never": {},
        "empty": {"certificate_requests": []},
        "site": {"nginx_sites": []},
    }
    for host in ("undefined", "empty", "site"):
        DeployedNames(os.path.expanduser(FOLDER)).record(host, {"www"}, {})
    result = run({"ansible_play_hosts_all": [*inventory], "hostvars": inventory}, authorities_only=authorities_only)
    assert result["left"] == ["undefined"]
    printed = " ".join(capsys.readouterr().out.split())
    assert left_sentence(["undefined"]) in printed
    assert "set both to [] for these hosts, and evergreen.tls.deploy removes what it put there" in printed


def test_many_hosts_that_have_nothing_in_the_inventory_are_counted():
    assert "web19, 10 more. Nothing is renewed" in left_sentence([f"web{number}" for number in range(30)])
    assert left_sentence([]) == ""


@pytest.mark.parametrize(
    ("action", "option", "value", "sentence"),
    [
        (
            ActionModule,
            "fail_when",
            "expird",
            "value of survey_fail_when must be one of: due, expired, never, got: expird (did you mean expired?)",
        ),
        (ActionModule, "most", "many", "argument 'survey_most' is of type str and we were unable to convert to int"),
        (ActionModule, "inspect", "perhaps", "argument 'renew_inspect' is of type str"),
        (
            Plan,
            "fail_when",
            "lat",
            "value of plan_fail_when must be one of: late, never, got: lat (did you mean late?)",
        ),
        (Plan, "schedule_delay", "long", "argument 'schedule_delay' is of type str"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named_as_people_write_it(action, option, value, sentence):
    result = run({**NO_FLEET, action.VARIABLES[option]: value}, action=action, **{option: value})
    assert result["failed"] and result["msg"].startswith(sentence)
    assert result["msg"].endswith("; correct it in the inventory or behind -e") and len(result["msg"]) <= 300


def test_an_option_that_comes_from_no_variable_keeps_its_name():
    assert "value of fail_when must be one of: due, expired, never" in run(NO_FLEET, fail_when="expird")["msg"]
