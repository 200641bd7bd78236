# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request that does not fit the spec is one finding; the other requests of its host are worked on."""

from __future__ import annotations

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import (
    acme_order,
    certificate_obtain,
    certificate_replace,
    certificate_serve,
)

GOOD = {"name": "good", "domains": ["good.example.org"]}
INVALID = {
    "organization": ({"organization": "nowhere"}, "nowhere"),
    "type": ({"type": "DSA"}, "value of type must be one of: "),
    "port": ({"port": "https"}, "'port' is of type"),
    "infinite": ({"port": float("inf")}, "a value is of a kind that does not belong there"),
    "option": ({"purpose": "a"}, "there is no requests.purpose"),
    "domains": ({"domains": None}, "domains"),
}


def run(action, monkeypatch, requests, **arguments):
    """Return the result of an action, and the names of the requests whose steps were run."""
    worked = []

    async def step(_self, name, step_arguments, _task_vars):
        worked.append(step_arguments.get("name") or step_arguments["request"]["name"])
        return {"changed": False, "msg": "it is done", "problems": [], "certificates": []}

    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    monkeypatch.setattr(action.ActionModule, "run_step", step)
    task = Task()
    task.action = f"evergreen.tls.{action.__name__.rpartition('.')[2]}"
    task.args = {"requests": requests, "issuers": {}, **arguments}
    result = action.ActionModule(task, None, None, None, None, None).run(task_vars={"inventory_hostname": "web1"})
    return result, worked


@pytest.mark.parametrize("title", INVALID)
@pytest.mark.parametrize(
    ("action", "arguments"),
    [(certificate_obtain, {}), (certificate_serve, {}), (certificate_replace, {"names": ["all"]})],
    ids=["obtain", "serve", "replace"],
)
def test_a_request_that_does_not_fit_is_one_finding(action, arguments, title, monkeypatch):
    options, sentence = INVALID[title]
    result, worked = run(action, monkeypatch, [{**GOOD, "name": "bad", **options}, GOOD], **arguments)
    bad, good = (next(one for one in result["certificates"] if one["name"] == name) for name in ("bad", "good"))
    assert bad["failed"] and sentence in bad["msg"] and bad["msg"].endswith("; correct the inventory")
    assert f"bad: {bad['msg']}" in result["msg"] and result["failed"]
    assert "good" in worked and "bad" not in worked
    assert sentence not in good.get("msg", "")


@pytest.mark.parametrize("title", INVALID)
def test_an_order_of_another_request_is_placed(title, monkeypatch):
    options, sentence = INVALID[title]
    result, worked = run(acme_order, monkeypatch, [{**GOOD, "name": "bad", **options}, GOOD])
    assert not result.get("failed") and sentence in result["msg"] and worked == []  # it is for no challenge files


def test_what_could_not_be_obtained_is_not_told_twice(monkeypatch):
    obtained = {"certificates": [{"name": "bad", "failed": True}, {"name": "good"}]}
    bad = {**GOOD, "name": "bad", "organization": "nowhere"}
    result, worked = run(certificate_serve, monkeypatch, [bad, GOOD], obtained=obtained)
    assert [one["name"] for one in result["certificates"]] == ["good"] and set(worked) == {"good"}


def test_a_request_that_is_not_to_be_replaced_is_no_finding(monkeypatch):
    bad = {**GOOD, "name": "bad", "organization": "nowhere"}
    result, _worked = run(certificate_replace, monkeypatch, [bad, GOOD], names=["good"])
    assert [one["name"] for one in result["certificates"]] == ["good"]


@pytest.mark.parametrize("requests", [[{**GOOD, "type": "DSA"}], [{"domains": ["a"]}, GOOD], [7, GOOD], "a"])
def test_where_no_request_is_left_or_one_has_no_name_nothing_is_done(requests, monkeypatch):
    result, worked = run(certificate_obtain, monkeypatch, requests)
    assert result["failed"] and "certificates" not in result and not worked


def test_a_pending_order_of_an_invalid_request_is_not_withdrawn(monkeypatch, tmp_path):
    issuers = {"bought": {"type": "manual", "directory": str(tmp_path)}}
    monkeypatch.setattr(
        "ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.issuer.Manual.pending_names",
        lambda _self, _host: ["bad", "gone"],
    )
    bad = {**GOOD, "name": "bad", "issuer": "bought", "type": "DSA"}
    _result, worked = run(certificate_obtain, monkeypatch, [bad, GOOD], issuers=issuers)
    assert sorted(set(worked)) == ["gone", "good"]
