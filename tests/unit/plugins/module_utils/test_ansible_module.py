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

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import result_of, run_module, with_arguments
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file


def test_a_file_is_read_where_there_is_one(tmp_path):
    (tmp_path / "file").write_bytes(b"\x00content")
    assert read_file(str(tmp_path / "file")) == b"\x00content"
    assert read_file(str(tmp_path / "file"), 3) == b"ntent"
    assert read_file(str(tmp_path / "missing")) is None
    assert read_file(str(tmp_path / "file/below")) is None
    with pytest.raises(IsADirectoryError):
        read_file(str(tmp_path))


def test_a_program_speaks_english_and_on_both_channels():
    assert run_command(["sh", "-c", "echo $LC_ALL; cat; echo more >&2; exit 3"], "stdin\n") == (3, "C\nstdin\nmore")


def test_a_program_that_is_not_there_is_told_of():
    assert run_command(["/no/such/program"]) == (127, "/no/such/program: No such file or directory")


def test_a_program_has_no_terminal_at_which_to_wait_for_a_passphrase():
    process, terminal = pty.fork()
    if not process:
        os._exit(run_command(["sh", "-c", ": < /dev/tty"])[0])
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(terminal)
    assert status not in (0, 127)


def test_what_a_program_reads_is_all_there_before_it_starts():
    script = (
        "import os, stat, sys; print(stat.S_ISREG(os.fstat(0).st_mode), os.fstat(0).st_size, len(sys.stdin.read()))"
    )
    assert run_command([sys.executable, "-c", script], "x" * 100_000) == (0, "True 100000 100000")


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
def test_a_machine_that_cannot_start_a_program_is_told_of_and_not_the_program(number, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("subprocess.run", refuse)
    with pytest.raises(OSError) as raised:
        run_command(["nft", "-c", "-f", "-"], "")
    assert str(system_error(raised.value)).startswith(f"nft: {os.strerror(number)}; ")


class Exit(Exception):
    """A module has ended."""


class Module:
    """An AnsibleModule, as far as this file knows it."""

    def __init__(self, **params):
        self.params = {"keep": 3, **params}
        self.check_mode = True

    def exit_json(self, **result):
        raise Exit({"failed": False, **result})

    def fail_json(self, **result):
        raise Exit({"failed": True, **result})

    def run_module(self):
        with pytest.raises(Exit) as ended:
            run_module(self, decide)
        return ended.value.args[0]


OPTIONS = {"name": {"type": "str", "required": True}, "keep": {"type": "int", "default": 3}}


def decide(module):
    if module.params["name"] == "bad":
        raise TlsError("it is bad; correct it", seen="nothing")
    if module.params["name"] == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/etc/evergreen")
    return {"changed": False, "msg": f"{module.params['name']} {module.params['keep']} {module.check_mode}"}


def test_a_module_exits_with_what_was_decided_or_fails_with_the_sentence_for_why_not():
    assert Module(name="www").run_module() == {"failed": False, "changed": False, "msg": "www 3 True"}
    assert Module(name="bad").run_module() == {"failed": True, "msg": "it is bad; correct it", "seen": "nothing"}
    said = Module(name="full").run_module()
    assert said["failed"] and "/etc/evergreen" in said["msg"] and "; " in said["msg"]


def test_a_module_with_other_arguments_has_their_types_and_defaults_and_is_the_same_otherwise():
    module = Module(name="www", keep=1)
    assert result_of(with_arguments(module, OPTIONS, {"name": "mail", "keep": "7"}), decide)["msg"] == "mail 7 True"
    assert result_of(with_arguments(module, OPTIONS, {"name": "shop"}), decide)["msg"] == "shop 3 True"
    assert module.params == {"name": "www", "keep": 1}


def test_arguments_that_make_no_sense_are_told_of():
    with pytest.raises(TlsError) as raised:
        with_arguments(Module(), OPTIONS, {"keep": "many"})
    assert "missing required arguments: name" in str(raised.value) and str(raised.value).endswith("; correct it")
