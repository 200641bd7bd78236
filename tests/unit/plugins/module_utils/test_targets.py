# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module finds on its machine."""

from __future__ import annotations

import errno
import os
import pty
import sys

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils.targets import answer, read_file, run


def test_a_file_is_read_where_there_is_one(tmp_path):
    (tmp_path / "file").write_bytes(b"\x00content")
    assert read_file(str(tmp_path / "file")) == b"\x00content"
    assert read_file(str(tmp_path / "file"), 3) == b"ntent"
    assert read_file(str(tmp_path / "missing")) is None
    assert read_file(str(tmp_path / "file/below")) is None
    with pytest.raises(IsADirectoryError):
        read_file(str(tmp_path))


def test_a_program_speaks_english_and_on_both_channels():
    assert run(["sh", "-c", "echo $LC_ALL; cat; echo more >&2; exit 3"], "stdin\n") == (3, "C\nstdin\nmore")


def test_a_program_that_is_not_there_is_told_of():
    assert run(["/no/such/program"]) == (127, "/no/such/program: No such file or directory")


def test_a_program_has_no_terminal_at_which_to_wait_for_a_passphrase():
    process, terminal = pty.fork()
    if not process:
        os._exit(run(["sh", "-c", ": < /dev/tty"])[0])
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(terminal)
    assert status not in (0, 127)


def test_what_a_program_reads_is_all_there_before_it_starts():
    script = (
        "import os, stat, sys; print(stat.S_ISREG(os.fstat(0).st_mode), os.fstat(0).st_size, len(sys.stdin.read()))"
    )
    assert run([sys.executable, "-c", script], "x" * 100_000) == (0, "True 100000 100000")


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
def test_a_machine_that_cannot_start_a_program_is_told_of_and_not_the_program(number, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("subprocess.run", refuse)
    with pytest.raises(OSError) as raised:
        run(["nft", "-c", "-f", "-"], "")
    assert str(system_error(raised.value)).startswith(f"nft: {os.strerror(number)}; ")


class Exit(Exception):
    """A module has ended."""


class Module:
    """An AnsibleModule, as far as answer() knows it."""

    def __init__(self, **params):
        self.argument_spec = {
            "name": {"type": "str", "required": True},
            "keep": {"type": "int", "default": 3},
            "others": {"type": "list", "elements": "dict", "default": []},
        }
        self.params = {"keep": 3, **params}
        self.check_mode = True

    def exit_json(self, **result):
        raise Exit({"failed": False, **result})

    def fail_json(self, **result):
        raise Exit({"failed": True, **result})

    def answer(self):
        def decide(module):
            if module.params["name"] == "bad":
                raise TlsError("it is bad; correct it", seen="nothing")
            if module.params["name"] == "full":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/etc/evergreen")
            return {"changed": False, "msg": f"{module.params['name']} {module.params['keep']} {module.check_mode}"}

        with pytest.raises(Exit) as ended:
            answer(self, decide)
        return ended.value.args[0]


def test_a_module_answers_for_others_in_their_order_each_with_its_own_parameters_and_defaults():
    said = Module(name="www", keep=1, others=[{"name": "mail", "keep": "7"}, {"name": "shop"}]).answer()
    assert said["msg"] == "www 1 True"
    assert [other["msg"] for other in said["others"]] == ["mail 7 True", "shop 3 True"]


def test_one_that_fails_keeps_none_of_the_others_back():
    said = Module(name="bad", others=[{"name": "full"}, {"name": "shop"}]).answer()
    assert (said["failed"], said["msg"], said["seen"]) == (True, "it is bad; correct it", "nothing")
    assert said["others"][0]["failed"] and "/etc/evergreen" in said["others"][0]["msg"]
    assert said["others"][1] == {"changed": False, "msg": "shop 3 True"}
    said = Module(name="www", others=[{"name": "bad"}]).answer()
    assert not said["failed"] and said["others"] == [
        {"failed": True, "msg": "it is bad; correct it", "seen": "nothing"}
    ]


def test_others_that_make_no_sense_are_told_of():
    said = Module(name="www", others=[{"keep": "many"}]).answer()
    assert said["failed"] and said["msg"].startswith("others: ") and said["msg"].endswith("; correct it")


def test_a_module_that_nobody_else_asks_says_nothing_of_others():
    assert Module(name="www", others=[]).answer() == {"failed": False, "changed": False, "msg": "www 3 True"}
