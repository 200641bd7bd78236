# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of modules have the form of their specs, or a sentence says that they have not."""

from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.module_results import (
    COMMON,
    RESULT_SPECS,
    validated_result,
)

PLUGINS = pathlib.Path(__file__).parents[5] / "plugins"


def test_a_result_that_has_the_form_of_its_spec_is_returned_as_it_is():
    result = {
        "changed": True,
        "due": True,
        "reason": "certificate_force is set",
        "csr": "-----BEGIN",
        "invocation": {"a": 1},
    }
    assert validated_result("certificate_request", result) == result


def test_a_key_with_none_is_left_out():
    assert validated_result("certificate_request", {"changed": True, "csr": None}) == {"changed": True}


def test_keys_that_tell_ansible_what_became_of_a_task_are_left_out():
    assert validated_result(
        "nginx_sites", {"changed": True, "skipped": True, "unreachable": True, "ansible_facts": {}}
    ) == {"changed": True}


def test_a_sentence_is_one_line_without_control_characters():
    result = {"failed": True, "msg": "one\x1b[2J\nfatal: [web2]: FAILED!\r\x07"}
    assert validated_result("certificate_install", result) == {
        "failed": True,
        "msg": "one?[2J fatal: [web2]: FAILED!??",
    }
    assert validated_result("nginx_reload", {"reason": "\x9b"}) == {"reason": "?"}


@pytest.mark.parametrize(
    ("module", "result", "sentence"),
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
def test_a_result_of_another_form_is_refused(module, result, sentence):
    with pytest.raises(TlsError) as caught:
        validated_result(module, result)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("key", ["waiting", "stdout", "\x1b[2J", 7, "k" * 100_000])
@pytest.mark.parametrize("failed", [True, False])
def test_a_key_that_no_spec_lists_is_refused_by_its_name(key, failed):
    with pytest.raises(TlsError) as caught:
        validated_result("certificate_install", {"failed": failed, "msg": "v0001 is in use", key: "ha"})
    shown = str(key)[:60].replace("\x1b", "?")
    assert str(caught.value) == (
        f"certificate_install returns {shown} on the host, which is no key of its result; look at what it is doing"
    )


def test_what_ansible_itself_adds_to_a_result_is_passed_on():
    added = {
        "_ansible_parsed": True,
        "invocation": {},
        "exception": "Traceback",
        "rc": 1,
        "warnings": ["beware"],
    }
    of_the_path = {"uid": 0, "gid": 0, "owner": "root", "group": "root", "mode": "0644", "state": "file", "size": 7}
    result = {"failed": True, "msg": "no disk", "path": "/etc/nginx/conf.d/evergreen.conf", **added, **of_the_path}
    assert validated_result("nginx_sites", result) == result


def test_what_ansible_adds_about_the_file_of_a_result_is_passed_on(tmp_path):
    module = object.__new__(AnsibleModule)  # its methods need no arguments of a task
    module.selinux_enabled = lambda: False
    result = {"changed": True, "msg": "it is written", "path": str(tmp_path)}
    added = module.add_path_info(dict(result))
    assert {"uid", "gid", "owner", "group", "mode", "state", "size"} <= set(added)
    assert validated_result("nginx_sites", added) == added


def test_any_module_may_miss_the_cryptography_library():
    result = {"failed": True, "msg": "it is missing", "missing": "python3-cryptography"}
    for module in RESULT_SPECS:
        assert validated_result(module, result) == result


# What only the actions of the collection read, and leave out of their results.
INTERNAL = {
    "certificate_info": {"now"},
    "certificate_install": {"now"},
    "certificate_request": {"now"},
}
# The documentation of these keys describes what the action makes of them: certificates that are parsed.
DESCRIBED_BY_ACTION = {("certificate_info", "certificates"), ("handshake_verify", "handshakes")}


@pytest.mark.parametrize("module", RESULT_SPECS)
def test_the_documentation_of_a_module_lists_the_keys_of_its_result(module):
    documentation = yaml.safe_load((PLUGINS / "modules" / f"{module}.yml").read_text(encoding="utf-8"))
    documented = documentation.get("RETURN") or {}
    spec = RESULT_SPECS[module]
    assert set(documented) - set(COMMON) == set(spec) - set(COMMON) - INTERNAL.get(module, set())
    for key, kind in {**COMMON, **spec}.items():
        if key in documented:
            described = documented[key]
            assert (key, described["type"], described.get("elements")) == (key, kind["type"], kind.get("elements"))
            if "options" in kind and (module, key) not in DESCRIBED_BY_ACTION:
                assert set(described.get("contains", kind["options"])) == set(kind["options"])


def test_each_module_that_runs_on_hosts_has_a_spec():
    assert set(RESULT_SPECS) == {path.stem for path in (PLUGINS / "modules").glob("*.yml")}


def test_a_warning_is_text_whatever_ansible_wraps_it_in():
    messages = pytest.importorskip("ansible.module_utils._internal._messages")
    wrapped = messages.WarningSummary(event=messages.Event(msg="the site www waits for its certificate"))
    result = {"changed": False, "warnings": [wrapped, "beware of \x1b[2J"]}
    assert validated_result("nginx_sites", result)["warnings"] == [
        "the site www waits for its certificate",
        "beware of ?[2J",
    ]


def test_words_of_a_host_are_as_long_as_people_read_and_end_in_what_to_do():
    words = f"it fails{'!' * 10**6}; look at the host"
    result = validated_result(
        "certificate_install",
        {
            "failed": True,
            "msg": words,
            "warnings": [words],
            "diff": {"before": f"{words}\nb", "after": ""},
            "certificate": {"common_name": words, words: [words]},
        },
    )
    shown = f"it fails{'!' * 200}"
    assert len(result["msg"]) == 600 and result["msg"].endswith("; look at the host")  # a sentence of our own module
    texts = [
        *result["warnings"],
        result["diff"]["before"].splitlines()[0],
        result["certificate"]["common_name"],
        *next(one for key, one in result["certificate"].items() if key.startswith("it fails")),
    ]
    assert {len(text) for text in texts} == {300} and max(map(len, result["certificate"])) == 300
    assert all(text.endswith("; look at the host") and shown[:100] in text for text in texts)


def test_what_other_tasks_go_on_with_is_left_whole():
    pem = "-----BEGIN CERTIFICATE REQUEST-----\n" + "MIIB" * 500 + "\n-----END CERTIFICATE REQUEST-----\n"
    assert validated_result("certificate_request", {"due": True, "csr": pem})["csr"] == pem
    file = [["read", "/etc/nftables.conf"], "#\x1b\t" + "a" * 999]
    assert validated_result("firewall_commands", {"changed": False, "host_state": [file]})["host_state"] == [file]


FORGED = "ha\nfatal: [bank]: FAILED! => {}\n\nPLAY RECAP ***"


@pytest.mark.parametrize("key", ["mode", "owner", "group", "state", "secontext", "module_stderr", "path"])
def test_what_ansible_adds_has_no_more_text_than_people_read(key):
    result = validated_result("nginx_sites", {"changed": True, key: FORGED + "!" * 10**5})
    assert len(result[key]) == 300 and "\n" not in result[key]


@pytest.mark.parametrize("key", ["mode", "uid", "gid", "size", "rc", "invocation", "exception"])
@pytest.mark.parametrize("value", [[FORGED], float("nan"), None])
def test_what_ansible_adds_in_another_form_is_left_out(key, value):
    assert validated_result("nginx_sites", {"changed": True, key: value}) == {"changed": True}


def test_no_text_of_a_host_begins_a_line_of_the_output():
    deprecation = {"msg": FORGED, "version": "9.0.0"}
    diff = {"before": "a\nb\n", "after": "c", "before_header": FORGED, "after_header": FORGED, "prepared": FORGED}
    given = {"changed": True, "reason": FORGED, "warnings": [FORGED], "deprecations": [deprecation], "diff": diff}
    result = validated_result("nginx_reload", given)
    line = "ha fatal: [bank]: FAILED! => {} PLAY RECAP ***"
    assert result == {
        "changed": True,
        "reason": line,
        "warnings": [line, line],
        "diff": {"before": "a\nb\n", "after": "c", "before_header": line, "after_header": line},
    }


def test_a_flood_of_warnings_is_counted_and_not_shown():
    warnings = validated_result("nginx_reload", {"warnings": [f"{number}" for number in range(5000)]})["warnings"]
    assert warnings[:20] == [f"{number}" for number in range(20)]
    assert warnings[20:] == ["the host has 4980 more warnings; look at what it is doing"]


def test_a_flood_of_lines_is_cut():
    result = validated_result(
        "nginx_sites", {"msg": "a\n" * 10**6, "diff": {"before": "a\n" * 10**6, "after": {"a": 1}}}
    )
    assert len(result["msg"]) == 600
    assert result["diff"]["before"].splitlines()[-1] == "… 990001 more lines" and "after" not in result["diff"]
    assert result["diff"]["before"].count("\n") < 10_100


@pytest.mark.parametrize("value", [[1] * 300_000, [[[]] * 1000] * 1000, {f"{number}": 1 for number in range(300_000)}])
@pytest.mark.parametrize("key", ["invocation", "fingerprints", "ansible_facts", "results"])
def test_a_flood_of_values_is_refused(key, value):
    with pytest.raises(TlsError) as caught:
        validated_result("nginx_sites", {"changed": True, key: value})
    assert str(caught.value) == "the host answers nginx_sites with more than 200000 values; look at what it is doing"


def test_a_value_of_another_form_is_told_in_few_words():
    with pytest.raises(TlsError) as caught:
        validated_result("certificate_request", {"failed": True, "msg": "no", "missing": "evil" * 10**5})
    assert "misses the package evil" in str(caught.value) and len(str(caught.value)) < 500
