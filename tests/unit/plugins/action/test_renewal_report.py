# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the report answers, prints and records, of a real survey and of variables that Ansible itself keeps."""

from __future__ import annotations

import datetime
import json
import os
import pwd

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.release import __version__ as ansible_version
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.evergreen.tls.plugins.action import renewal_report, survey
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import describe_chain
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import closed_port

ROOT = Authority("Report Root CA")
NAME = "www.example.org"
UNPROVED = f"{NAME} at 127.0.0.1 port 443: another certificate is presented; see which server block answers"


class Run:
    """A renewal run over an inventory, as Ansible sees it."""

    def __init__(self, inventory):
        loader = DataLoader()
        self.inventory = InventoryManager(loader, [str(inventory)])
        self.manager = VariableManager(loader, self.inventory)
        self.hosts = [host.name for host in self.inventory.get_hosts()]
        self.hostvars = HostVars(self.inventory, self.manager, loader)

    def leave(self, host, **variables):
        """Leave results on a host, as Ansible does when it registers them."""
        self.manager.set_nonpersistent_facts(host, variables)

    def survey(self, host):
        """Survey the fleet, and register what is found for one host."""
        result = self.act(survey, query="[?state != 'fine']")
        self.leave(host, renew_found=result)
        return result

    def act(self, action, check_mode=False, variables=None, **arguments):
        """Return what an action answers."""
        task = Task()
        task.args = arguments
        task.check_mode = check_mode
        connection = connection_loader.get("local", PlayContext())
        task_vars = {"ansible_play_hosts_all": self.hosts, "hostvars": self.hostvars, **(variables or {})}
        return action.ActionModule(task, connection, None, None, None, None).run(task_vars=task_vars)

    def report(self, directory="", **options):
        return self.act(renewal_report, directory=str(directory), **options)


def inventory(path, hosts):
    """Write an inventory of hosts with one request each, at the port that is given."""
    lines = "\n".join(f"    {host}: {{listening: {port}}}" for host, port in hosts.items())
    (path / "root.pem").write_bytes(ROOT.pem)
    (path / "inventory.yml").write_text(f"""
web:
  vars:
    ansible_host: 127.0.0.1
    certificate_issuers: {{local: {{type: local_ca, directory: {path}}}}}
    certificate_requests: [{{name: www, domains: [{NAME}], port: "{{{{ listening }}}}"}}]
  hosts:
{lines}
""")
    return Run(path / "inventory.yml")


@pytest.fixture
def folder(tmp_path):
    """Return where records go, which is not there yet."""
    return tmp_path / "evergreen" / "runs"


@pytest.fixture
def quiet(start, tmp_path):
    """Return a run in which nothing is due."""
    run = inventory(tmp_path, {"web1": start().present(ROOT.chain([NAME], some_key())).port})
    run.survey("web1")
    return run


@pytest.fixture
def stopped(start, tmp_path):
    """Return a run that renewed web1, could not prove web2, and so did not come to web3, beside web4 that was fine."""
    old, new = ROOT.chain([NAME], some_key(), days=(-90, 9)), ROOT.chain([NAME], some_key())
    ports = {host: start().present(old).port for host in ("web1", "web2")}
    run = inventory(tmp_path, {**ports, "web3": closed_port(), "web4": start().present(new).port})
    survey_result = run.survey("web4")
    (reason,) = {row["reason"] for row in survey_result["endpoints"] if row["host"] == "web1"}
    issued = {"name": "www", "changed": True, "due": True, "reason": reason, "certificate": describe_chain(new)}
    served = {"name": "www", "changed": True, "failed": False, "msg": "proved"}
    unproved = {**served, "failed": True, "msg": UNPROVED, "put_back": "v0001"}
    for host, item in {"web1": served, "web2": unproved}.items():
        run.leave(host, certificate_obtained={"certificates": [issued]}, certificate_served={"certificates": [item]})
    run.old, run.new, run.reason = not_after(old[0]).isoformat(), not_after(new[0]).isoformat(), reason
    return run


def test_what_became_of_a_run_is_returned_and_printed(stopped, capsys):
    capsys.readouterr()
    result = stopped.report()
    sentence = f"{UNPROVED}. v0001 is served again"
    assert [(row["host"], row["state"], row["reason"], row["until"]) for row in result["outcomes"]] == [
        ("web2", "failed", sentence, stopped.old),
        ("web3", "untouched", "web2 could not be proved, which stopped the run", None),
        ("web1", "renewed", stopped.reason, stopped.new),
    ]
    assert result["counts"] == {"renewed": 1, "repaired": 0, "waiting": 0, "failed": 1, "untouched": 1, "fine": 1}
    assert result["stopped_by"] == ["web2"]
    assert result["failed_hosts"] == {"web2": sentence}
    assert result["msg"] == (
        "1 renewed, 1 failed, 1 untouched, 1 fine; "
        "web2 could not be proved, which stopped the run: correct it and run evergreen.tls.renew again"
    )
    assert result["changed"] is False and "failed" not in result and "record" not in result
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["state", "failed", "untouched", "renewed", "1"]
    assert printed[-1] == result["msg"]


def test_only_so_many_outcomes_are_printed(stopped, capsys):
    capsys.readouterr()
    assert len(stopped.report(most=0)["outcomes"]) == 3
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["state", "…", "…", "…", "1"]


def test_a_run_in_which_nothing_was_due_is_one_sentence(quiet, capsys):
    capsys.readouterr()
    result = quiet.report()
    assert (result["outcomes"], result["msg"]) == ([], "nothing was due: 1 fine")
    assert capsys.readouterr().out == "nothing was due: 1 fine\n"


def test_every_run_leaves_a_record(stopped, folder):
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    result = stopped.report(folder, variables={"ansible_play_name": "Say it", "ansible_limit": "web"})
    record = json.loads((folder / os.path.basename(result["record"])).read_text())
    began, ended = (datetime.datetime.fromisoformat(record.pop(name)) for name in ("started", "finished"))
    assert began <= ended and before <= ended <= datetime.datetime.now(datetime.timezone.utc)
    assert record == {
        "format": 1,
        "check_mode": False,
        "controller": os.uname().nodename,
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "ansible": ansible_version,
        "playbooks": [],
        "play": "Say it",
        "limit": "web",
        "survey": {"expired": 0, "unknown": 1, "due": 2, "fine": 1},
        **{name: result[name] for name in ("counts", "stopped_by", "outcomes", "msg")},
    }


def test_a_run_in_which_nothing_was_due_leaves_a_record(quiet, folder):
    path = quiet.report(folder)["record"]
    assert [str(record) for record in folder.iterdir()] == [path]
    assert json.loads((folder / path).read_text())["msg"] == "nothing was due: 1 fine"


def test_old_records_go_when_a_new_one_comes(quiet, folder):
    names = [f"{year}-01-01T00-00-00Z-0123456789abcdef.json" for year in (2020, 2999)]
    folder.mkdir(parents=True)
    for name in [*names, "notes.txt"]:
        (folder / name).touch()
    path = quiet.report(folder, keep="4w")["record"]
    assert sorted(os.listdir(folder)) == sorted([names[1], "notes.txt", os.path.basename(path)])


@pytest.mark.parametrize("directory", ["", None])
def test_without_a_folder_there_is_no_record(quiet, folder, directory):
    assert "record" not in quiet.act(renewal_report, directory=directory)
    assert not folder.exists()


@pytest.mark.parametrize("keep", ["", None])
def test_without_a_time_records_are_kept_for_ever(quiet, folder, keep):
    folder.mkdir(parents=True)
    (folder / "2020-01-01T00-00-00Z-0123456789abcdef.json").touch()
    assert os.path.exists(quiet.act(renewal_report, directory=str(folder), keep=keep)["record"])
    assert len(os.listdir(folder)) == 2


def test_check_mode_leaves_the_records_alone(stopped, folder, capsys):
    folder.mkdir(parents=True)
    (folder / "2020-01-01T00-00-00Z-0123456789abcdef.json").touch()
    capsys.readouterr()
    result = stopped.report(folder, check_mode=True)
    assert "record" not in result and len(os.listdir(folder)) == 1
    assert result["msg"].startswith("1 would be renewed, 1 failed, 1 untouched, 1 fine; ")
    assert "would be renewed  web1  www " in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_a_warning(quiet, folder, capsys):
    folder.parent.write_text("something else", encoding="utf-8")
    result = quiet.report(folder)
    assert result["msg"] == "nothing was due: 1 fine" and "record" not in result
    warning = " ".join(capsys.readouterr().err.split())
    assert "no record of this run is written to /" in warning
    assert warning.endswith("; correct that folder, or renew_records")


@pytest.mark.parametrize("keep", ["for ever", "400", "0d", "9999999w"])
def test_a_time_that_makes_no_sense_is_a_warning_and_nothing_is_removed(quiet, folder, capsys, keep):
    folder.mkdir(parents=True)
    (folder / "2020-01-01T00-00-00Z-0123456789abcdef.json").touch()
    assert os.path.exists(quiet.report(folder, keep=keep)["record"])
    assert len(os.listdir(folder)) == 2
    warning = " ".join(capsys.readouterr().err.split())
    assert f"no old records of runs are removed, since renew_records_kept makes no sense: '{keep}' is" in warning
    assert warning.endswith((", such as 90d", "such as 90d, 12h or 30m"))


def test_a_survey_of_any_shape_makes_a_record(stopped, folder):
    odd = {"endpoints": "text", "started": 7, "counts": {"due": "many", "fine": 3}, "fine_requests": None}
    for host in stopped.hosts:
        stopped.leave(host, renew_found=odd)
    record = json.loads((folder / stopped.report(folder)["record"]).read_text())
    assert (record["started"], record["survey"], record["outcomes"]) == (None, {"fine": 3}, [])


def test_without_a_survey_the_report_says_what_to_do(tmp_path):
    result = inventory(tmp_path, {"web1": 443}).report()
    assert result == {
        "failed": True,
        "msg": "there is no survey to report on; run evergreen.tls.survey in a play before this one, and register renew_found",
    }


def test_what_templates_raise_in_variables_hides_no_other_host(start, tmp_path):
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/web1.yml").write_text("certificate_obtained: '{{ nowhere }}'\nrenew_failed: '{{ 1 / 0 }}'\n")
    run = inventory(tmp_path, {"web1": closed_port(), "web2": closed_port()})
    run.survey("web1")
    run.leave("web2", renew_failed="no CA; start it")
    failed = run.report()["failed_hosts"]
    assert failed == {"web2": "no CA; start it"}


def test_a_folder_of_a_home_that_is_not_known_is_a_warning(quiet, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(tmp_path))
    result = quiet.report("~nobody-here/runs")
    assert "record" not in result and sorted(os.listdir(tmp_path)) == before
    warning = " ".join(capsys.readouterr().err.split())
    assert "no record of this run is written: renew_records is '~nobody-here/runs', and there is no user" in warning
