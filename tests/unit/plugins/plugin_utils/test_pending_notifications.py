# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose programs were not notified is logged in to by the next run, and no other host is."""

from __future__ import annotations

import os

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import certificate_export, certificate_install
from ansible_collections.evergreen.tls.plugins.plugin_utils import _pending_notifications as pending_notifications
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import Finding, renewal_order, survey_hosts
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey_table import (
    count_by_state,
    count_fine_requests,
    findings_table,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

NAME = "www.example.org"
ROOT = Authority("Notifications Root CA")
REQUEST = {
    "name": "www",
    "domains": [NAME],
    "reload": ["postfix"],
    "run_after": [["/usr/local/sbin/tell-pbx", "{name}"]],
}
BARE = {"name": "www", "domains": [NAME]}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Let the records be in a home folder of the test."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    return tmp_path


def run(action, request, result, check_mode=False, **arguments):
    """Return the result of an action on web1, for which a module returns *result*. It is called with the record of then."""
    name = action.__name__.rpartition(".")[2]
    task = Task()
    task.action, task.args, task.check_mode = f"evergreen.tls.{name}", {"request": request, **arguments}, check_mode

    async def run_module(_module, _arguments, _task_vars):
        return result() if callable(result) else dict(result)

    made = action.ActionModule(task, None, None, None, None, None)
    made.run_module = run_module
    return made.run(task_vars={"inventory_hostname": "web1"})


def install(request=None, result=None, **more):
    return run(certificate_install, request or REQUEST, result or {"changed": True, "msg": "v0002 is in use"}, **more)


def export(request=None, result=None, **more):
    return run(
        certificate_export, request or REQUEST, result or {"changed": True, "msg": "postfix was reloaded"}, **more
    )


def is_pending(host="web1", name="www"):
    return pending_notifications.pending_token(host, name) is not None


def test_it_is_recorded_before_a_certificate_is_installed_that_programs_have_to_read_it():
    def installed():
        assert is_pending()
        return {"failed": True, "msg": "the connection was lost"}

    assert install(result=installed)["failed"] is True
    assert is_pending()
    assert not is_pending("web2") and not is_pending(name="other")


def test_the_record_is_gone_once_all_programs_are_notified():
    install()
    assert export()["changed"] is True
    assert not is_pending()


@pytest.mark.parametrize(
    ("result", "options"),
    [
        pytest.param({"failed": True, "unnotified": True, "msg": "postfix could not be reloaded"}, {}, id="a failure"),
        pytest.param({"changed": True, "msg": "written"}, {"part": "exports"}, id="exports alone"),
        pytest.param({"changed": True, "msg": "told"}, {"part": "programs"}, id="programs alone, after exports failed"),
        pytest.param({"changed": True, "msg": "would be reloaded"}, {"check_mode": True}, id="check mode"),
    ],
)
def test_the_record_stays_while_something_is_left_to_do(result, options):
    install()
    export(result=result, **options)
    assert is_pending()


def test_a_record_that_another_run_has_written_meanwhile_stays():
    install()

    def exported():
        install()  # by another run, of a later version
        return {"changed": True, "msg": "postfix was reloaded"}

    export(result=exported)
    assert is_pending()


@pytest.mark.parametrize(
    ("request_", "options"),
    [
        pytest.param(BARE, {}, id="nobody reads it"),
        pytest.param(REQUEST, {"check_mode": True}, id="check mode"),
        pytest.param(REQUEST, {"state": "absent"}, id="it is removed"),
    ],
)
def test_nothing_is_recorded_where_nobody_is_to_be_notified(request_, options):
    assert "warnings" not in install(request_, **options)
    assert not is_pending()


def test_a_controller_that_cannot_keep_the_record_says_so_and_goes_on(home):
    (home / ".evergreen").write_text("in the way")
    result = install()
    assert result["changed"] is True
    (warning,) = result["warnings"]
    assert warning.startswith(f"{home}/.evergreen")
    assert "only a later run that logs in to web1" in warning
    assert export()["changed"] is True


def survey(start, tmp_path, request=None):
    """Return what a survey finds of web1, which presents a certificate that is fine."""
    folder, request = tmp_path / "ca", request or REQUEST
    folder.mkdir(exist_ok=True)
    (folder / "root.pem").write_bytes(ROOT.pem)
    server = start().present(ROOT.chain([NAME], some_key()))
    variables = {
        "ansible_host": "127.0.0.1",
        "certificate_requests": [{**request, "domains": [*request["domains"]], "port": server.port}],
        "certificate_issuers": {"local": {"type": "local_ca", "directory": str(folder)}},
    }
    return survey_hosts(["web1"], lambda _host: variables, lambda *_progress: None)


def test_a_survey_finds_a_host_due_whose_programs_were_not_notified(start, tmp_path):
    assert [finding.state for finding in survey(start, tmp_path)] == ["fine"]
    install()
    findings = survey(start, tmp_path)
    reason = "postfix, /usr/local/sbin/tell-pbx may not have read the certificate in use yet, since a run could not finish that"
    assert findings[0] == Finding("web1", "due", reason, "www")
    assert renewal_order(findings, "") == ["web1"]
    assert (count_by_state(findings)["due"], count_fine_requests(findings)) == (1, 0)
    assert f"due: {reason}" in findings_table(findings, None, 10)
    export()
    assert renewal_order(survey(start, tmp_path), "") == []


def test_a_survey_does_not_mind_a_record_of_a_request_that_nobody_reads_any_more(start, tmp_path):
    install()
    assert [finding.state for finding in survey(start, tmp_path, BARE)] == ["fine"]


def test_records_are_closed_to_others(home):
    install()
    folder = home / ".evergreen/notifications"
    (path,) = folder.iterdir()
    assert (os.stat(folder).st_mode & 0o077, os.stat(path).st_mode & 0o077) == (0, 0)
