# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module finds on its machine."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import result_of, run_module, with_arguments
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError


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
    if module.params["name"] == "odd":
        raise KeyError("odd")
    if module.params["name"] == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/etc/evergreen")
    return {"changed": False, "msg": f"{module.params['name']} {module.params['keep']} {module.check_mode}"}


def test_a_module_exits_with_what_was_decided_or_fails_with_the_sentence_for_why_not():
    assert Module(name="www").run_module() == {"failed": False, "changed": False, "msg": "www 3 True"}
    assert Module(name="bad").run_module() == {"failed": True, "msg": "it is bad; correct it", "seen": "nothing"}
    said = Module(name="full").run_module()
    assert said["failed"] and "/etc/evergreen" in said["msg"] and "; " in said["msg"]


def test_an_error_that_is_not_foreseen_is_a_sentence_and_shows_where_at_vvv():
    sentence = "it ended in an error that is not foreseen (KeyError: 'odd'); run this again with -vvv, and report what that shows"
    module = Module(name="odd")
    assert module.run_module() == {"failed": True, "msg": sentence}
    module._verbosity = 3
    result = module.run_module()
    assert result["msg"] == sentence and "in decide" in result["exception"]


def test_a_module_with_other_arguments_has_their_types_and_defaults_and_is_the_same_otherwise():
    module = Module(name="www", keep=1)
    assert result_of(with_arguments(module, OPTIONS, {"name": "mail", "keep": "7"}), decide)["msg"] == "mail 7 True"
    assert result_of(with_arguments(module, OPTIONS, {"name": "shop"}), decide)["msg"] == "shop 3 True"
    assert module.params == {"name": "www", "keep": 1}


def test_arguments_that_make_no_sense_are_told_of():
    with pytest.raises(TlsError) as raised:
        with_arguments(Module(), OPTIONS, {"keep": "many"})
    assert "missing required arguments: name" in str(raised.value) and str(raised.value).endswith("; correct it")
