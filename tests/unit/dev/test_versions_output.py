# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of ansible-playbook printed is judged: no warning passes that nobody expects."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[3] / "dev"))

from versions_output import HostRecap, problems, read_messages, read_recap

WRAPPED = """\
[WARNING]: a private CA is made in /root/pki
for the issuer local
[DEPRECATION WARNING]: something ends
in 2.25.
"""


def test_messages_are_told_apart_however_they_are_wrapped():
    assert read_messages(WRAPPED) == [
        "[WARNING]: a private CA is made in /root/pki for the issuer local",
        "[DEPRECATION WARNING]: something ends in 2.25.",
    ]
    assert read_messages("") == []


def test_what_stands_before_the_first_message_is_one():
    assert read_messages(f"ERROR! it crashed\n  somewhere\n{WRAPPED}")[0] == "ERROR! it crashed somewhere"


def test_warnings_of_python_count_where_they_are_about_code_of_the_collection():
    of_ansible = "/opt/packages/ansible/fork.py:66: DeprecationWarning: use of fork()\n  self.pid = os.fork()\n"
    path = "/usr/share/ansible/collections/ansible_collections/evergreen/tls/plugins/action/survey.py"
    own = f"{path}:7: DeprecationWarning: utcnow() is deprecated\n  now = utcnow()\n"
    assert read_messages(of_ansible) == []
    assert read_messages(of_ansible + own) == [f"{path}:7: DeprecationWarning: utcnow() is deprecated now = utcnow()"]


def test_each_message_has_to_be_expected_and_each_expected_one_to_come():
    assert problems("", WRAPPED, ["a private CA is made", r"^\[DEPRECATION WARNING\]: something"]) == []
    assert problems("", WRAPPED, ["a private CA is made", "another"]) == [
        "no message matches another",
        "this message is not expected: [DEPRECATION WARNING]: something ends in 2.25.",
    ]


def test_a_message_that_comes_twice_is_expected_once():
    assert problems("", "[WARNING]: again\n[WARNING]: again\n", ["again"]) == [
        "this message is not expected: [WARNING]: again"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "[WARNING]: on standard output",
        "[DEPRECATION WARNING]: on standard output",
        "WarningSummary(event=Event(msg='www is also defined in old.conf')",
        '"msg": "<ansible.vars.hostvars.HostVarsVars object at 0x7f>"',
        "Traceback (most recent call last):",
    ],
)
def test_warnings_and_objects_have_no_place_in_standard_output(line):
    assert problems(f"ok: [web1]\n{line}\n", "", []) == [f"this should not be printed: {line}"]


def test_the_recap_is_read_by_host():
    recap = """\
PLAY RECAP *********************************************************************
away                       : ok=2    changed=0    unreachable=1    failed=0    skipped=2    rescued=0    ignored=0
web1                       : ok=7    changed=1    unreachable=0    failed=0    skipped=3    rescued=0    ignored=0
"""
    assert read_recap(recap) == {"away": HostRecap(0, 1, 0), "web1": HostRecap(1, 0, 0)}
