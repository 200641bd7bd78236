# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Queries and commands of firewall_port on a host, with programs that every machine has."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import firewall_commands


class Module:
    """What the backend needs of AnsibleModule."""

    check_mode = False

    def __init__(self, **params):
        self.params = {"query_sets": [], "commands": [], "preconditions": [], **params}

    def get_bin_path(self, program):
        return shutil.which(program)


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path_factory):
    if os.geteuid() != 0:  # the folders of tests belong to whoever runs them
        monkeypatch.setattr(firewall_commands, "resolved_file", lambda path, _use: os.path.realpath(path))
    monkeypatch.setattr(firewall_commands, "LOCK_FILE", str(tmp_path_factory.mktemp("run") / "lock"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def decide(**params):
    return firewall_commands.decide(Module(**params))


def query_set(*queries, conditions=()):
    return {"conditions": list(conditions), "queries": list(queries)}


def command(*argv, stdin=None, path=None):
    return {"argv": list(argv), "stdin": stdin, "path": path and str(path)}


def test_queries_have_results(tmp_path):
    for name in ("b.nft", "a.nft"):
        (tmp_path / name).write_bytes(name.encode() + b"\xff")
    (tmp_path / "c.nft").mkdir()
    queries = [
        ["has", "sh"],
        ["has", "no-such-program"],
        ["run", "sh", "-c", "echo out; echo more >&2; exit 3"],
        ["run", "no-such-program", "--version"],
        ["read", f"{tmp_path}/*.nft"],
        ["read", f"{tmp_path}/d.nft"],
    ]
    assert decide(query_sets=[query_set(*queries)]) == {
        "changed": False,
        "host_state": [
            [queries[0], True],
            [queries[1], False],
            [queries[2], [3, "out\nmore"]],
            [queries[3], [127, "no-such-program: No such file or directory"]],
            [queries[4], {f"{tmp_path}/a.nft": "a.nft\xff", f"{tmp_path}/b.nft": "b.nft\xff"}],
            [queries[5], {}],
        ],
    }


def test_a_query_set_whose_conditions_hold_is_the_last():
    no, yes, rest = ["run", "false"], ["run", "true"], ["has", "sh"]
    query_sets = [
        query_set(["run", "echo", "1"], conditions=[yes, no, yes]),
        query_set(rest, conditions=[yes]),
        query_set(["run", "echo", "2"]),
    ]
    queries = [query for query, _result in decide(query_sets=query_sets)["host_state"]]
    assert queries == [yes, no, yes, rest]


@pytest.mark.parametrize("need", [["has", "no-such-program"], ["read", "/no/such/file"], ["run", "false"]])
def test_a_condition_that_does_not_hold_ends_a_query_set(need):
    assert [
        query for query, _result in decide(query_sets=[query_set(["has", "sh"], conditions=[need])])["host_state"]
    ] == [need]


def test_commands_run_before_queries(tmp_path):
    file = tmp_path / "rules"
    file.write_text("old\n")
    file.chmod(0o640)
    commands = [command("grep", "-q", "new", stdin="new \xff\n", path=file), command("mkdir", str(tmp_path / "made"))]
    state = decide(commands=commands, query_sets=[query_set(["read", str(file)], ["run", "ls", str(tmp_path)])])
    assert state["changed"]
    assert [result for _query, result in state["host_state"]] == [{str(file): "new \xff\n"}, [0, "made\nrules"]]
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new \xff\n", 0o640)


def test_what_a_killed_run_left_beside_a_file_is_gone_with_the_next(tmp_path):
    file = tmp_path / "rules"
    file.write_text("old\n")
    (tmp_path / ".rules.0123abcd").write_text("half")
    decide(commands=[command("cat", stdin="new\n", path=file)])
    assert os.listdir(tmp_path) == ["rules"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_file_in_a_folder_of_somebody_else_is_left_as_it_is(tmp_path):
    rules = tmp_path / "home/rules.nft"
    rules.parent.mkdir()
    rules.write_text("old")
    os.chown(rules.parent, 65534, 65534)
    with pytest.raises(
        TlsError, match=f"^firewall: the folder {rules.parent} belongs to nobody, who could lead to other"
    ):
        decide(commands=[command("true", stdin="new", path=rules)])
    assert rules.read_text() == "old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_file_is_not_replaced_behind_a_link_of_somebody_else(tmp_path):
    home, target = tmp_path / "home", tmp_path / "job"
    home.mkdir()
    target.write_text("old")
    (home / "link").symlink_to(target)
    (tmp_path / "rules").symlink_to(home / "link")
    os.chown(home, 65534, 65534)
    with pytest.raises(TlsError, match=f"^firewall: the folder {home} belongs to nobody, who could lead to other"):
        decide(commands=[command("true", stdin="new", path=tmp_path / "rules")])
    assert target.read_text() == "old"


def test_a_lock_of_the_folder_which_anybody_can_hold_keeps_nobody_waiting(tmp_path):
    file = tmp_path / "rules"
    file.write_text("old\n")
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        decide(commands=[command("cat", stdin="new\n", path=file)])
    finally:
        os.close(holder)
    assert file.read_text() == "new\n"
    assert stat.S_IMODE(os.stat(firewall_commands.LOCK_FILE).st_mode) == 0o600


def test_a_file_is_replaced_behind_its_link(tmp_path):
    file, link = tmp_path / "rules", tmp_path / "link"
    file.write_text("old\n")
    link.symlink_to(file)
    decide(commands=[command("cat", stdin="new\n", path=link)])
    assert link.is_symlink()
    assert file.read_text() == "new\n"


def test_what_the_program_refuses_stays_as_it_was(tmp_path):
    file = tmp_path / "rules"
    file.write_text("old\n")
    with pytest.raises(
        TlsError, match=rf"`grep nothing` refused the new content of {file}, .*; put that right and run this again"
    ):
        decide(commands=[command("grep", "nothing", stdin="new\n", path=file), command("rm", str(file))])
    assert file.read_text() == "old\n"
    with pytest.raises(TlsError, match="`false` refused this: "):
        decide(commands=[command("false")])


def test_commands_do_not_run_if_a_precondition_does_not_hold(tmp_path):
    file = tmp_path / "rules"
    file.write_text("old\n")
    query = ["read", str(file)]
    wanted = {"commands": [command("cat", stdin="new\n", path=file)], "query_sets": [query_set(query)]}
    stale = decide(**wanted, preconditions=[[query, {str(file): "older\n"}]])
    assert stale == {"changed": False, "host_state": [[query, {str(file): "old\n"}]]}
    assert decide(**wanted, preconditions=[[query, {str(file): "old\n"}]])["changed"]
    assert file.read_text() == "new\n"


def test_check_mode_runs_no_commands(tmp_path, monkeypatch):
    monkeypatch.setattr(Module, "check_mode", True)
    assert not decide(commands=[command("mkdir", str(tmp_path / "made"))])["changed"]
    assert not (tmp_path / "made").exists()


def test_only_root_can_query(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(TlsError, match="only root can read and change a firewall; run this with become"):
        decide()
