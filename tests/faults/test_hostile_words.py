# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile words in the inventory: none of them leads out of a folder, ends a directive, or reaches a host without a sentence."""

from __future__ import annotations

import os
import re

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import certificate_request, nginx_sites
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import parse_config
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config_file import check_written_by_us
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_config import HEADER, HostSettings, render_sites
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.snippets import with_snippets
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import NginxBuild
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory import site_content
from ansible_collections.evergreen.tls.tests.faults import pair_checks
from ansible_collections.evergreen.tls.tests.faults.scenarios import Scenario, fresh, plain

PATHS = ["..", ".", "../web", "web/../../x", "/etc/passwd", "a/b", "a\\b", "~", "~root", ".hidden", "-rf", "--help", ""]
ENDS = [
    "a;",
    "a; include /etc/passwd;",
    "a}",
    "a{",
    "a }\nserver {",
    "a\n",
    "a\r\nb",
    "a\tb",
    "a b",
    "a#b;",
    "a\\;",
    "$(id)",
    "`id`",
]
QUOTES = ['"', "'", 'a"b', "a'b", 'a" always; "', "a\\", "\\"]
CONTROLS = ["a\0b", "\0", "a\x07", "\x1b[2J", "a\x7f", "a\x85b", "a\u2028b", "\ud800"]
TEMPLATES = ["{{ lookup('pipe', 'id') }}", "{% raw %}", "${IFS}", "$host", "%n", "%00", "&#59;"]
LOOK_ALIKES = [
    "ехample",
    "e\u0301xample;",
    "ｅｘａｍｐｌｅ；",
    "a\u2215b",
    "a\uff0fb",
    "\u202ea",
    "a\u200b;",
    "٣;",
    "…",
]
LONG = ["a" * 300, "a." * 5000, "/" * 10000, "\u00fc" * 300]
HOSTILE = [*PATHS, *ENDS, *QUOTES, *CONTROLS, *TEMPLATES, *LOOK_ALIKES, *LONG]

NO_FOLDER = (
    "cannot name a request, since it names a folder on the host; use letters, digits, dots, hyphens and underscores, 128 at "
    "most, and begin with a letter, digit or underscore"
)
NGINX = NginxBuild(
    (1, 30, 6), (3, 6, 5), "/usr", "/etc/nginx/nginx.conf", "/run/nginx.pid", "/var/log/nginx/error.log", True, True
)
# What people write about a site in their own words, and a harmless word for each. O(extra) is configuration.
OPTIONS = {
    "name": "www.example.org",
    "certificate": "www.example.org",
    "server_names": ["www.example.org"],
    "root": "/srv/www",
    "proxy_pass": "http://127.0.0.1:8080",
    "redirect": "https://www.example.org",
    "hsts": 300,
    "profile": "modern",
}
OF_ALL = {
    "profile": "modern",
    "session_timeout": "1d",
    "session_cache": "shared:a:1m",
    "store": "/etc/evergreen",
    "path": "/etc/nginx/conf.d/evergreen.conf",
    "ipv6": "auto",
}
REMEDIES = (
    *("correct it", "shorten it", "correct the inventory", "www.example.org or an IP address", "or use extra for more"),
    *("use extra for more", "begin with a letter, digit or underscore", "*.example.org", "a dictionary with max_age"),
    *("10m, or off", "such as 1d or 10m", "blanks and quotes", "blanks, quotes and ..", "or extra", "leave it out"),
    *("choose one of these", "such as nginx -t, or leave it out", "correct its quotes", 'write "0600" or "0640"'),
    *(
        "such as 90d, 12h or 30m",
        "such as 1/3",
        "or a duration",
        "correct the request",
        "make several requests of them",
    ),
)


@pytest.fixture
def run(monkeypatch):
    """Run an action; return its result, and what the host got, if anything."""
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})

    def ran(plugin, **arguments):
        task, passed = Task(), []
        task.action, task.args = "evergreen.tls.nginx_sites", arguments
        action = plugin.ActionModule(task, None, None, None, None, None)
        action._execute_module = lambda *_name, module_args, task_vars: passed.append(module_args) or {"changed": False}
        return action.run(task_vars={"inventory_hostname": "web1"}), passed

    return ran


def why_no_sentence(result):
    """Return why a refusal does not end in what to do or has control characters, or None."""
    sentence = result["msg"]
    if not all(character.isprintable() or character == "\n" for character in sentence):
        return f"{sentence!r} plays with the terminal"
    return None if sentence.endswith(REMEDIES) or "there is no" in sentence else f"{sentence!r} does not say what to do"


def configured(sites, store="/etc/evergreen", session_timeout="1d", session_cache="off", **_others):
    """Return the shape of the configuration of sites: its directives and blocks, without their arguments."""
    session = {"timeout": session_timeout, "cache": session_cache, "tickets": None}
    host = HostSettings(
        nginx=NGINX, path=OF_ALL["path"], store=store, session=session, has_ipv6=False, reject_unknown=True
    )
    return shape(parse_config(with_snippets(OF_ALL["path"], *render_sites(sites, [], host))))


def shape(statements):
    """Return the names of directives, with those of their blocks."""
    return [(statement.words[:1], shape(statement.block)) for statement in statements]


def site_with(option, word):
    """Return a site that has a word in one of its options, and answers with that option or with a code."""
    response = {} if option in ("root", "proxy_pass", "redirect") else {"return_code": 404}
    return {"name": "www.example.org", **response, option: word}


@pytest.mark.parametrize("option", OPTIONS)
def test_no_word_about_a_site_ends_a_directive(option, run, tally):
    _result, (harmless,) = run(nginx_sites, sites=[site_with(option, OPTIONS[option])])
    violations = []
    for word in HOSTILE:
        result, passed = run(nginx_sites, sites=[site_with(option, [word] if option == "server_names" else word)])
        if not passed:
            violations += [f"{word!r}: {why}" for why in [why_no_sentence(result)] if why]
        elif configured(passed[0]["sites"]) != configured(harmless["sites"]) and option != "hsts":
            violations.append(f"{word!r} changes the configuration")
        elif option == "hsts" and passed[0]["sites"][0]["hsts"] is not None:
            violations.append(f"{word!r} becomes a header")
    tally.add_lies("the inventory", len(HOSTILE))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("option", OF_ALL)
def test_no_word_about_all_sites_ends_a_directive(option, run, tally):
    sites = [{"name": "www.example.org", "return_code": 404}]
    _result, (harmless,) = run(nginx_sites, sites=sites, **OF_ALL)
    violations = []
    for word in HOSTILE:
        result, passed = run(nginx_sites, sites=sites, **{**OF_ALL, option: word})
        if not passed:
            violations += [f"{word!r}: {why}" for why in [why_no_sentence(result)] if why]
        elif configured(**passed[0]) != configured(**harmless):
            violations.append(f"{word!r} changes the configuration")
    tally.add_lies("the inventory", len(HOSTILE))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize(
    ("check", "option"), [("CONFIG_PATH", "root"), ("UPSTREAM_URL", "proxy_pass"), ("REDIRECT_URL", "redirect")]
)
def test_a_word_that_is_not_checked_is_missed(check, option, run, monkeypatch, tally):
    monkeypatch.setattr(site_content, check, re.compile(".*", re.DOTALL))
    monkeypatch.setattr(tally, "add_lies", lambda *_arguments: None)
    with pytest.raises(AssertionError, match="changes the configuration"):
        test_no_word_about_a_site_ends_a_directive(option, run, tally)


@pytest.mark.parametrize("content", [b"server {}\n", b"\xff", b"#" + HEADER.encode()])
def test_a_configuration_of_somebody_else_is_left_as_it_is(content, tmp_path):
    (tmp_path / "their.conf").write_bytes(content)
    with pytest.raises(TlsError) as caught:
        check_written_by_us(f"{tmp_path}/their.conf")
    assert str(caught.value) == (
        f"{tmp_path}/their.conf was not written by evergreen.tls, and is left as it is; let path name another file, or move it away"
    )


@pytest.mark.parametrize("content", [b"", HEADER.encode(), f"{HEADER}server {{}}\n".encode()])
def test_a_configuration_of_ours_is_changed(content, tmp_path):
    (tmp_path / "our.conf").write_bytes(content)
    check_written_by_us(f"{tmp_path}/our.conf")
    check_written_by_us(f"{tmp_path}/none.conf")


@pytest.mark.parametrize("word", HOSTILE, ids=[f"{word[:20]!a}" for word in HOSTILE])
def test_no_name_of_a_request_leads_out_of_its_folder(word, run, tally):
    result, passed = run(certificate_request, request={"name": word, "domains": ["www.example.org"]})
    allowed = word.isascii() and word.replace("-", "").replace("_", "").replace(".", "").isalnum() and len(word) <= 128
    if not (allowed and word[0].isalnum()):
        assert not passed and result["msg"].endswith(NO_FOLDER) and why_no_sentence(result) is None
    tally.add_lies("the inventory", 1)


@pytest.mark.parametrize(
    "field",
    [
        "domains",
        "owner",
        "group",
        "issuer",
        "validate",
        "links",
        "mode",
        "lifetime",
        "renew_before",
        "organization_name",
    ],
)
def test_a_word_of_a_request_is_what_it_seems_or_is_refused(field, run, tally):
    violations = []
    for word in HOSTILE:
        value = {"domains": [word], "links": {word: "fullchain.pem"}}.get(field, word)
        result, passed = run(certificate_request, request={"name": "web", "domains": ["www.example.org"], field: value})
        if not passed:
            violations += [f"{word!r}: {why}" for why in [why_no_sentence(result)] if why]
            continue
        (argument,) = passed
        value_passed = argument["request"][field]
        if any(one in repr(value_passed) for one in ("\\x00", "\\x1b", "\\ud800")):
            violations.append(f"the host gets {value_passed!r}")
        if field == "domains" and not all(
            set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.*") for name in value_passed
        ):
            violations.append(f"the host gets {value_passed!r}")
        if field == "links" and not all(
            os.path.isabs(path) and os.path.normpath(path) == path for path in value_passed
        ):
            violations.append(f"the host gets {value_passed!r}")
    tally.add_lies("the inventory", len(HOSTILE))
    assert not violations, "\n".join(violations)


def test_ten_thousand_entries_are_refused_or_taken_in_no_time(run, tally):
    many = [f"{number}.example.org" for number in range(10000)]
    result, passed = run(certificate_request, request={"name": "web", "domains": many})
    assert not passed and result["msg"] == (
        "certificate request web: there are 10000 domains, and a certificate holds 1000 at most (that of a public CA 100); "
        "make several requests of them"
    )
    _result, (passed,) = run(nginx_sites, sites=[{"name": name, "return_code": 404} for name in many])
    assert len(passed["sites"]) == 10000
    result, passed = run(nginx_sites, sites=[{"name": "a", "return_code": 404} for _site in many])
    assert not passed and result["msg"] == "10000 sites are called a; give each its own name"
    tally.add_lies("the inventory", 3)


def test_words_that_reach_a_host_past_the_controller_lead_out_of_no_folder(prepare_sandbox, tally):
    sandbox = prepare_sandbox(Scenario("hostile words", "certificate_request", fresh, plain))
    words = [word for word in (*PATHS, *ENDS, *QUOTES, *LOOK_ALIKES, "\x1b[2J", "a\0b") if word]

    def ask(host, word):
        before = pair_checks.snapshot(host.top)
        violations = []
        for module in ("certificate_request", "certificate_install"):
            result = host.run(module, request=plain(host, name=word)).result()
            violations += [] if NO_FOLDER in result.get("msg", "") else [f"it says {result}"]
        return violations + ([] if pair_checks.snapshot(host.top) == before else ["something was changed"])

    violations = sandbox.play(ask, words)
    tally.add_lies("the inventory", len(words))
    assert not violations, "\n".join(violations)


def test_somebody_who_does_not_exist_gets_no_key(prepare_sandbox, tally):
    sandbox = prepare_sandbox(Scenario("hostile words", "certificate_request", fresh, plain))
    words = ["nobody-of-this-name", "root; id", "../root", "0", "$(id)"]

    def ask(host, word):
        before = pair_checks.snapshot(host.top)
        result = host.run("certificate_request", request=plain(host, owner=word), force=True).result()
        sentence = f"owner: there is no user {word} on this host; create it or correct the request"
        violations = [] if result.get("msg") == sentence else [f"it says {result}"]
        return violations + ([] if pair_checks.snapshot(host.top) == before else ["something was changed"])

    violations = sandbox.play(ask, words)
    tally.add_lies("the inventory", len(words))
    assert not violations, "\n".join(violations)
