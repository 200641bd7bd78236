# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts answer has the form that it has to have, or a sentence says that it has not."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.module_results import validated_result


def test_an_answer_that_makes_sense_is_taken_as_it_is():
    answer = {
        "changed": True,
        "due": True,
        "reason": "certificate_force is set",
        "csr": "-----BEGIN",
        "invocation": {"a": 1},
    }
    assert validated_result("certificate_request", answer) == answer


def test_what_is_none_was_not_said():
    assert validated_result("certificate_request", {"changed": True, "csr": None}) == {"changed": True}


def test_words_that_tell_ansible_what_became_of_a_task_are_left_out():
    assert validated_result("nginx_sites", {"changed": True, "skipped": True, "unreachable": True}) == {"changed": True}


def test_a_sentence_keeps_its_lines_and_cannot_play_with_the_terminal():
    answer = {"failed": True, "msg": "one\x1b[2J\ntwo\r\x07"}
    assert validated_result("certificate_install", answer) == {"failed": True, "msg": "one?[2J\ntwo??"}
    assert validated_result("nginx_reload", {"reason": "\x9b"}) == {"reason": "?"}


@pytest.mark.parametrize(
    ("module", "answer", "sentence"),
    [
        (
            "certificate_request",
            {"due": []},
            "the host does not answer certificate_request as it should: argument 'due' is of type list",
        ),
        ("certificate_info", {"now": "now"}, "missing required arguments: certificates; look at what it is doing"),
        ("certificate_info", {"now": "now", "certificates": [{"name": "a"}]}, "missing required arguments: path, "),
        ("handshake_verify", {"handshakes": [{"name": "a"}]}, "missing required arguments: chain found in handshakes"),
        ("firewall_commands", {"failed": True}, "firewall_commands failed, and the host does not say why; look"),
    ],
)
def test_an_answer_of_another_form_is_refused(module, answer, sentence):
    with pytest.raises(TlsError) as caught:
        validated_result(module, answer)
    assert sentence in str(caught.value)
