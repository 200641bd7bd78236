# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the diagnosis of a fleet answers, prints and writes, and that it changes nothing."""

from __future__ import annotations

import json
import socket
import time

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.evergreen.tls.plugins.action import diagnose
from ansible_collections.evergreen.tls.plugins.action.diagnose import ActionModule
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis import diagnose as checks
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis import local_view
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.diagnose import merge_findings
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.names import Name
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

ROOT = Authority("Diagnosis Root CA")
NAME = "www.example.test"


@pytest.fixture
def silent_resolver():
    """Return the address and port of a resolver that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def fleet(start, tmp_path):
    """Return a function that makes the variables of a play on hosts with a private CA, of which one serves another certificate."""
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/root.pem").write_bytes(ROOT.pem)
    ports = {
        "right": start().present(ROOT.chain([NAME], some_key())).port,
        "wrong": start().present(Authority("Other CA").chain(["other.example.test"], some_key())).port,
    }

    def made(hosts=("right", "wrong"), **more):
        request = {"name": "www", "domains": [NAME], "port": "{{ listening }}"}
        variables = {
            "ansible_host": "127.0.0.1",
            "certificate_issuers": {"local": {"type": "local_ca", "directory": str(tmp_path / "pki")}},
            "certificate_requests": [request],
            **more,
        }
        hosts = {host: {"listening": ports[host]} for host in hosts}
        (tmp_path / "inventory.json").write_text(json.dumps({"web": {"vars": variables, "hosts": hosts}}))
        return play_on(str(tmp_path / "inventory.json"))

    return made


def play_on(*sources, further_hosts=()):
    loader = DataLoader()
    inventory = InventoryManager(loader, list(sources))
    hosts = [*(host.name for host in inventory.get_hosts()), *further_hosts]
    for host in further_hosts:
        inventory.get_hosts(host)  # which makes localhost
    return {
        "ansible_play_hosts_all": hosts,
        "groups": inventory.get_groups_dict(),
        "hostvars": HostVars(inventory, VariableManager(loader, inventory), loader),
    }


def run(task_vars, check_mode=False, **arguments):
    """Return what the action answers."""
    task = Task()
    task.args = arguments
    task.check_mode = check_mode
    connection = connection_loader.get("local", PlayContext())
    return ActionModule(task, connection, None, None, None, None).run(task_vars=task_vars)


def codes(row):
    return [(finding["severity"], finding["code"]) for finding in row["findings"]]


def test_each_name_is_diagnosed_and_printed_the_worst_first(fleet, capsys):
    result = run(fleet())
    assert [(row["host"], row["verdict"]) for row in result["diagnoses"]] == [
        ("wrong", "not_in_effect"),
        ("right", result["diagnoses"][1]["verdict"]),
    ]
    assert ("blocks", "served.untrusted") in codes(result["diagnoses"][0])
    assert ("fine", "names") in codes(result["diagnoses"][1])
    assert not any(severity == "blocks" for severity, _code in codes(result["diagnoses"][1]))
    assert result["counts"]["not_in_effect"] == 1 and not result["changed"] and "failed" not in result
    printed = capsys.readouterr().out
    assert printed.startswith(f"wrong {NAME}  local: nothing stands in the way of an order\n")
    assert f"wrong {NAME}: not in effect everywhere" in printed
    assert printed.splitlines()[-1] == result["msg"]
    assert result["msg"].startswith("2 names of 2 hosts: 1 is not in effect everywhere, ")


def test_requests_and_domains_choose_what_is_looked_at(fleet):
    assert len(run(fleet(), requests=["www"], domains=[NAME])["diagnoses"]) == 2
    missing = run(fleet(), requests=["ww"])
    assert missing["failed"]
    assert missing["msg"] == (
        "no host of this run has a request ww (there are: www); correct diagnose_requests or --limit"
    )


def test_a_name_that_no_host_has_is_diagnosed_beside_a_fleet(fleet):
    [row] = run(fleet(), domains=["new.example.test"])["diagnoses"]
    assert (row["host"], row["request"], row["domain"], row["issuer"]) == ("", "", "new.example.test", "local")
    assert row["verdict"] == "fine"


def test_a_name_is_diagnosed_without_any_host_and_issuer(silent_resolver, monkeypatch):
    monkeypatch.setattr(checks, "TIMEOUT_OF_NAME_S", 1.0)
    monkeypatch.setattr(Name, "resolvers", [silent_resolver])
    [row] = run(play_on(further_hosts=["localhost"]), domains=["new.example.test"], timeout=2.0)["diagnoses"]
    assert (row["host"], row["issuer"], row["domain"]) == ("", "", "new.example.test")
    assert row["findings"]


def test_this_controller_has_no_requests_where_the_inventory_does_not_name_it(fleet, tmp_path):
    fleet()
    result = run(play_on(str(tmp_path / "inventory.json"), further_hosts=["localhost"]))
    assert {row["host"] for row in result["diagnoses"]} == {"right", "wrong"}


def test_a_fleet_without_names_has_nothing_to_look_at():
    assert run(play_on())["msg"] == "0 names: nothing to look at"


def test_a_request_that_breaks_the_rules_of_its_issuer_would_be_refused(fleet, tmp_path):
    request = {
        "name": "cn",
        "domains": [NAME],
        "common_name": "b.example.org",
        "issuer": "shop",
        "port": "{{ listening }}",
    }
    issuers = {"shop": {"type": "manual", "directory": str(tmp_path / "shop"), "rules": "public"}}
    name = "www.example.org"
    task_vars = fleet(["right"], certificate_requests=[{**request, "domains": [name]}], certificate_issuers=issuers)
    [row] = run(task_vars)["diagnoses"]
    [rules] = [one for one in row["findings"] if one["code"] == "rules"]
    assert row["verdict"] == "refused" and "common name b.example.org is not among the domains" in rules["sentence"]


def test_a_query_chooses_what_is_returned_and_written(fleet, tmp_path):
    path = tmp_path / "diagnosis.json"
    query = "[?verdict == 'not_in_effect'].{host: host, codes: findings[].code}"
    result = run(fleet(), query=query, path=str(path))
    [chosen] = result["diagnoses"]
    assert chosen["host"] == "wrong" and "served.untrusted" in chosen["codes"]
    assert json.loads(path.read_text()) == [chosen]
    assert run({}, query="[?verdict ==")["msg"].startswith("diagnose_query '[?verdict ==' is no JMESPath expression: ")


def test_nothing_is_written_in_check_mode(fleet, tmp_path):
    run(fleet(), check_mode=True, path=str(tmp_path / "diagnosis.json"))
    assert not (tmp_path / "diagnosis.json").exists()


def test_a_path_that_cannot_be_written_is_a_warning(fleet, tmp_path, capsys):
    assert len(run(fleet(), path=str(tmp_path / "missing/diagnosis.json"))["diagnoses"]) == 2
    warning = " ".join(capsys.readouterr().err.split())
    assert "the diagnosis is not written to" in warning and "correct diagnose_path" in warning


@pytest.mark.parametrize(
    ("fail_when", "hosts", "fails"),
    [
        ("never", ["wrong"], False),
        ("refused", ["wrong"], True),
        ("risk", ["wrong"], True),
        ("refused", ["right"], False),
    ],
)
def test_a_diagnosis_fails_from_a_verdict_on(fleet, fail_when, hosts, fails):
    result = run(fleet(hosts), fail_when=fail_when)
    assert result.get("failed", False) is fails
    assert result["msg"].endswith("docs/diagnosis.md of this collection") is fails
    assert [row["host"] for row in result["diagnoses"]] == hosts


@pytest.mark.parametrize("callback", ["json", "ansible.posix.jsonl", "community.general.null"])
def test_nothing_is_printed_where_a_program_reads_the_output(fleet, capsys, monkeypatch, callback):
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", callback)
    result = run(fleet(["right"]))
    assert capsys.readouterr().out == ""
    assert result["screen"].splitlines()[-1] == result["msg"]


def test_a_host_whose_variables_cannot_be_read_is_one_unknown(fleet):
    result = run(fleet(["right"], certificate_endpoint="{{ nothing_of_that_name }}"))
    [row] = result["diagnoses"]
    assert (row["host"], row["verdict"]) == ("right", "unknown")
    assert codes(row) == [("unknown", "inventory")]


def test_nothing_is_registered_or_written_for_an_acme_issuer(fleet, tmp_path, silent_resolver, monkeypatch):
    monkeypatch.setattr(checks, "TIMEOUT_OF_NAME_S", 1.0)
    folder = tmp_path / "acme"
    settings = {"type": "acme", "directory": "https://127.0.0.1:1/directory", "folder": str(folder)}
    settings["solver"] = {"type": "http", "resolvers": [silent_resolver]}
    request = {"name": "www", "domains": [NAME], "issuer": "ca", "port": "{{ listening }}"}
    before = sorted(tmp_path.rglob("*"))
    task_vars = fleet(["right"], certificate_issuers={"ca": settings}, certificate_requests=[request])
    [row] = run(task_vars, timeout=3.0)["diagnoses"]
    assert (row["issuer"], row["challenge"]) == ("ca", "http-01")
    assert ("unknown", "account.directory") in codes(row)
    assert sorted(tmp_path.rglob("*")) == sorted({*before, tmp_path / "inventory.json"})


def test_whatever_name_servers_do_all_names_end_at_one_deadline(silent_resolver, monkeypatch):
    monkeypatch.setattr(checks, "TIMEOUT_OF_NAME_S", 0.5)
    monkeypatch.setattr(Name, "resolvers", [silent_resolver])
    names = [f"www{number}.example.test" for number in range(200)]
    began = time.monotonic()
    result = run(play_on(further_hosts=["localhost"]), domains=names, timeout=1.0)
    assert time.monotonic() - began < 5
    assert len(result["diagnoses"]) == 200
    assert {row["verdict"] for row in result["diagnoses"]} <= {"risk", "unknown", "refused"}
    assert any(codes(row) == [("unknown", "late")] for row in result["diagnoses"])


def test_findings_about_an_order_as_a_whole_are_told_with_each_of_its_names():
    def finding(severity, code):
        return Finding(severity, code, f"{severity} {code}")

    one, other = finding("fine", "caa"), finding("blocks", "caa.ca")
    count, limits_of_one, limits = (
        finding("blocks", "names.count"),
        finding("fine", "limits"),
        finding("blocks", "limits.set"),
    )
    whole = [one, other, count, limits]
    assert merge_findings([one, limits_of_one], [one, limits_of_one, other, limits_of_one], whole) == [
        one,
        count,
        limits,
    ]
    assert merge_findings([other], [one, other], whole) == [other, count, limits]


def test_the_playbook_passes_each_option_on():
    text = (diagnose.__file__).replace("plugins/action/diagnose.py", "playbooks/diagnose.yml")
    with open(text, encoding="utf-8") as file:
        playbook = file.read()
    assert ActionModule.VARIABLES
    for option, variable in ActionModule.VARIABLES.items():
        assert f'{option}: "{{{{ {variable} | default(omit) }}}}"' in playbook


def test_the_chain_is_verified_with_the_roots_of_old_clients(fleet, tmp_path):
    (tmp_path / "old.pem").write_bytes(Authority("Old Root").pem)
    result = run(fleet(hosts=("right",)), trust_stores={"windows7": str(tmp_path / "old.pem")})
    (finding,) = [one for one in result["diagnoses"][0]["findings"] if one["code"] == "served.trust"]
    assert finding["severity"] == "risk" and "clients with the roots of windows7 do not trust" in finding["sentence"]


def test_a_trust_store_that_cannot_be_read_is_refused_at_once(fleet):
    result = run(fleet(), trust_stores={"windows7": "/nowhere.pem"})
    assert (
        result["failed"]
        and "diagnose_trust_stores windows7: there is no file /nowhere.pem on this controller; correct the path"
        in result["msg"]
    )


def test_without_a_browser_its_packages_are_named(fleet):
    result = run(fleet(hosts=("right",)), browser=True, browser_path="/nowhere/chromium")
    (finding,) = [one for one in result["diagnoses"][0]["findings"] if one["code"] == "served.page"]
    assert finding["severity"] == "unknown"
    assert "there is no program /nowhere/chromium; run apt install chromium libnss3-tools" in finding["sentence"]


def seen(**more):
    """Return what a host sees of NAME."""
    return {"name": NAME, "addresses": ["192.0.2.9"], "txt": [], "caa": [], "errors": {}, **more}


@pytest.fixture
def from_here(monkeypatch):
    """Let this controller see NAME at an address, without asking anybody."""
    asked = []

    def look(names, *_arguments):
        asked.extend(names)
        return [seen(name=name, addresses=["192.0.2.1"]) for name in names]

    monkeypatch.setattr(local_view, "look_at_names", look)
    return asked


def test_what_other_hosts_see_otherwise_is_a_risk_seen_from_there(fleet, from_here):
    views = [{"host": "wrong", "names": [seen()], "failure": ""}]
    result = run(fleet(), requests=["www"], views=views, **{"from": "wrong, right"})
    row = next(one for one in result["diagnoses"] if one["host"] == "right")
    found = {one["code"]: one for one in row["findings"] if one["code"].startswith("view")}
    assert set(found) == {"view.addresses", "view.failed"}
    assert (found["view.addresses"]["severity"], found["view.addresses"]["seen_from"]) == ("risk", "wrong")
    assert found["view.failed"]["seen_from"] == "right" and "it was not asked" in found["view.failed"]["sentence"]
    assert "(seen from wrong)" in result["screen"]
    assert from_here == [NAME]


def test_without_other_hosts_nothing_is_compared(fleet, from_here):
    result = run(fleet())
    assert not any(one["code"].startswith("view") for row in result["diagnoses"] for one in row["findings"])
    assert from_here == []


def test_a_host_that_the_inventory_does_not_have_is_refused(fleet):
    result = run(fleet(), **{"from": ["right", "rihgt"]})
    assert result["failed"]
    assert result["msg"] == "diagnose_from names rihgt, and the inventory has no such host; correct diagnose_from"
