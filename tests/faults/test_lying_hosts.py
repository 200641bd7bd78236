# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that were taken over, and lie to the playbooks: nothing is evaluated, and nothing signed that the inventory does not say."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action.certificate_issue import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.tests.conftest import ROOT
from ansible_collections.evergreen.tls.tests.faults import lying_requests
from ansible_collections.evergreen.tls.tests.faults.malicious_hosts import (
    Fleet,
    as_text,
    domain_of,
    in_each_result,
    in_each_text,
    in_result,
)
from ansible_collections.evergreen.tls.tests.faults.scenarios import plain
from ansible_collections.evergreen.tls.tests.unit.fake_ca import openssl, some_key

TOUCH = "touch evaluated"  # in the folder of the controller, if a template is ever evaluated
TEMPLATE = f"{{{{ lookup('ansible.builtin.pipe', '{TOUCH}') }}}}"
BLOCK = f"{{% for one in lookup('ansible.builtin.pipe', '{TOUCH}') %}}{{% endfor %}}"
BANK = [{"name": "web", "domains": ["bank.example"]}]
FACTS = {
    "certificate_requests": BANK,
    "certificate_issuers": {"local": {"type": "local_ca", "directory": "evil"}},
    "certificate_directory": TEMPLATE,
    "renew_plan": {"hosts": [TEMPLATE]},
    "discovered_interpreter_python": TEMPLATE,
}
NO_REQUEST = "the signing request cannot be read; have it made again on the host with force: true"
AGAIN = "; look at what it is doing"
UNPROVED = "seen from the controller: {domain} at 127.0.0.1 port 1: nothing listens there; start nginx with a site on that port"


def ask_for_bank(results):
    """Say with the first answer that the inventory wants another name, and ask for that."""
    request = make_csr(some_key(), ["bank.example"], {}).decode()
    requested = in_result("certificate_request", csr=request)(results)
    return in_each_result(ansible_facts={"certificate_requests": BANK})(requested)


# What a host does, and what people are told. Where it says no more than it may, that nothing is served is found out.
LIES = {
    "facts": (in_each_result(ansible_facts=FACTS), UNPROVED),
    "templates": (in_each_text(TEMPLATE), UNPROVED),
    "template_blocks": (in_each_text(BLOCK), UNPROVED),
    "template_as_key": (
        in_each_result(**{TEMPLATE: TEMPLATE}),
        f"certificate_request returns {TEMPLATE[:60]} on the host, which is no key of its result; look at what it is doing",
    ),
    "template_as_request": (in_result("certificate_request", csr=TEMPLATE), NO_REQUEST),
    "list_as_request": (in_result("certificate_request", csr=["a"]), NO_REQUEST),
    "huge_request": (
        in_result("certificate_request", csr="a" * 10 * 1024 * 1024),
        "the signing request for web has 10485760 bytes; look at what the host is doing",
    ),
    "no_request": (
        in_result("certificate_request", csr=...),
        "there is no signing request for the certificate of web; pass the csr that certificate_request returned",
    ),
    "perhaps_due": (
        in_result("certificate_request", due="perhaps"),
        "the host does not answer certificate_request as it should: argument 'due' is of type str and we were unable to convert to bool",
    ),
    "nothing_due": (in_result("certificate_request", due=..., csr=...), UNPROVED),
    "list_as_change": (in_result("certificate_request", changed=[1]), AGAIN),
    "no_reason": (
        in_result("certificate_request", failed=True),
        "certificate_request failed, and the host does not say why; look at what it is doing",
    ),
    "evil_package": (
        in_result("certificate_request", failed=True, msg="no", missing="evil"),
        "certificate_request misses the package evil on the host, which is none that is installed; look at what it is doing",
    ),
    "path_as_version": (in_result("certificate_request", ready="../../etc"), UNPROVED),
    "words_of_ansible": (
        in_each_result(
            add_host={"host_name": "eve"},
            add_group="eve",
            _ansible_no_log=False,
            results=[1],
            skipped=True,
            unreachable=1,
        ),
        UNPROVED,
    ),
    "number_as_warnings": (in_each_result(warnings=7), UNPROVED),
    "text_as_diff": (in_each_result(diff="a"), AGAIN),
    "garbage": (
        as_text("\0\x01\x1b[2J"),
        "certificate_request gives no answer on the host, and the last that it prints is ???[2J; see what its Python does, with -vvv",
    ),
    "error_page": (
        as_text("<html>502</html>"),
        "and the last that it prints is <html>502</html>; see what its Python does, with -vvv",
    ),
    "nothing": (as_text(""), "the host was lost: certificate_request ended without an answer (exit status 0)"),
    "half": (
        as_text('{"changed": tr'),
        'and the last that it prints is {"changed": tr; see what its Python does, with -vvv',
    ),
    "list": (as_text("[1, 2]"), "and the last that it prints is [1, 2]; see what its Python does, with -vvv"),
    "depth": (
        as_text('{"due": ' + "[" * 100000 + "]" * 100000 + "}"),
        "the host answers certificate_request without end; look at what it is doing",
    ),
    "half_characters": (in_result("certificate_request", reason="\ud800"), "'utf-8' codec can't encode character"),
    "terminal": (in_result("certificate_request", failed=True, msg="\x1b[2J\x07 all is well"), "?[2J? all is well"),
    "list_as_certificate": (
        in_result("certificate_install", certificate=["a"], msg=["a"]),
        "the host does not answer certificate_install as it should: argument 'certificate' is of type list and we were unable to convert to dict",
    ),
    "dictionary_as_fingerprint": (in_result("certificate_install", certificate={"fingerprint": {"a": 1}}), UNPROVED),
    "dictionary_as_presented": (in_result("nginx_reload", fingerprint={"a": 1}, msg=None), UNPROVED),
}
DEPLOYED = {
    "facts": (in_each_result(ansible_facts=FACTS), UNPROVED),
    "facts_that_ask_for_more": (
        ask_for_bank,
        "the host asks for a certificate for bank.example, and the inventory says facts-that-ask-for-more.example.org",
    ),
    "templates": (in_each_text(TEMPLATE), "the host does not say what it was asked; look at what it is doing"),
    "templates_past_the_firewall": (
        lambda results: {**in_each_text(TEMPLATE)(results), "firewall_commands": results["firewall_commands"]},
        UNPROVED,
    ),
    "half_a_host_state": (
        in_result("firewall_commands", host_state=[["has"]]),
        "the host does not say what it was asked; look at what it is doing",
    ),
    "number_as_host_state": (in_result("firewall_commands", host_state=7), AGAIN),
    "no_host_state": (
        in_result("firewall_commands", host_state=...),
        "the host does not answer firewall_commands as it should: missing required arguments: host_state; look at what it is doing",
    ),
    "batch_without_results": (
        as_text('{"changed": true}', "host_batch"),
        "the host does not answer host_batch as it should: missing required arguments: results; look at what it is doing",
    ),
    "batch_with_too_many": (
        as_text(json.dumps({"results": [{}] * 100}), "host_batch"),
        "the host does not answer host_batch as it should: it has 100 results for 3 calls; look at what it is doing",
    ),
    "batch_of_numbers": (
        as_text('{"results": [1, 2]}', "host_batch"),
        "the host does not answer host_batch as it should: Elements value for option 'results' is of type int",
    ),
    "batch_to_nowhere": (as_text("", "host_batch"), UNPROVED),
    "batch_that_failed": (
        as_text('{"failed": true, "msg": "no"}', "host_batch"),
        '"firewall": {"failed": true, "msg": "no"}',
    ),
    "endless_batch": (
        as_text('{"results": ' + "[" * 100000 + "]" * 100000 + "}", "host_batch"),
        "the host answers host_batch without end; look at what it is doing",
    ),
    "list_as_sites": (
        in_result("nginx_sites", fingerprints=[1], loaded=7),
        "the host does not answer nginx_sites as it should: argument 'fingerprints' is of type list",
    ),
}


@pytest.fixture(
    scope="module", params=[("evergreen.tls.renew", LIES), ("evergreen.tls.deploy", DEPLOYED)], ids=["renew", "deploy"]
)
def played(request, tmp_path_factory):
    """Run a playbook on malicious hosts; return the lies, the fleet and the output."""
    playbook, lies = request.param
    if request.config.getoption("--sample") and lies is LIES:  # each takes most of a second
        lies = dict(list(lies.items())[1::3])
    fleet = Fleet(tmp_path_factory.mktemp("lies"), {host: lie for host, (lie, _sentence) in lies.items()})
    return lies, fleet, fleet.play(playbook, "--diff")


def test_no_word_of_a_host_is_evaluated(played, tally):
    lies, fleet, printed = played
    assert TEMPLATE in printed or any(TEMPLATE in path.read_text() for path in fleet.folder.glob("runs/*")), printed
    assert not list(fleet.folder.rglob("evaluated")), printed
    tally.add_lies("a host", len(lies))


def test_nothing_is_signed_but_what_the_inventory_says(played):
    _lies, fleet, printed = played
    issued = fleet.issued()
    assert issued, printed
    assert all(names == {domain_of(host)} for host, names in issued.items()), issued
    assert not list(fleet.folder.rglob("evil"))


def test_each_lie_has_its_sentence_and_keeps_nobody_else_back(played):
    lies, _fleet, printed = played
    for host, (_lie, sentence) in lies.items():
        expected = sentence.format(domain=domain_of(host)) if sentence is UNPROVED else sentence
        messages = re.findall(rf"^fatal: \[{host}\].*$", printed, re.MULTILINE)
        assert any(expected in line.replace('\\"', '"') for line in messages), (host, messages)
    assert "Traceback" not in printed and "Unexpected failure" not in printed and "UNREACHABLE" not in printed
    assert "\x1b[2J" not in printed and "\x07" not in printed


def test_what_a_host_says_reaches_those_who_are_told_as_it_is(played, tmp_path):
    _lies, _fleet, printed = played
    (tmp_path / "log").write_text(f"{printed}\n$(touch evaluated)\nSubject: all is well\n.\nQUIT\n")
    (tmp_path / "settings").write_text(json.dumps({"command": "tee told"}))
    program = [sys.executable, str(ROOT / "roles/schedule/files/notify.py")]
    argv = [*program, "--settings", "settings", "--log", "log", "evergreen"]
    subprocess.run(argv, cwd=tmp_path, env={**os.environ, "LC_ALL": "C.UTF-8"}, check=True, capture_output=True)
    assert (tmp_path / "told").read_text().rstrip().endswith("$(touch evaluated)\nSubject: all is well\n.\nQUIT")
    assert not list(tmp_path.rglob("evaluated"))


def test_words_of_a_host_reach_the_terminal_without_control_characters(tmp_path):
    evil = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2028 all is well"
    described = {"common_name": evil, "issuer": evil, evil: evil}
    lies = {
        "web1": in_each_result(warnings=[evil, evil * 1000], deprecations=[{"msg": evil, "version": "9.0.0"}]),
        "web2": in_each_result(diff={"before": evil, "after": f"{evil}!", "before_header": evil}),
        "web3": in_result("certificate_install", certificate=described, msg=evil, version=evil),
        "web4": in_result("certificate_install", failed=True, msg=evil * 1000),
        "web5": in_result("certificate_request", reason=evil, missing=evil, failed=True),
        "web6": in_result("certificate_request", exposed=evil, since=evil, ready=evil, in_use=evil),
        "web7": as_text(evil),
        "web8": in_each_text(evil),
    }
    fleet = Fleet(tmp_path, lies)
    printed = fleet.play("evergreen.tls.renew", "-v", "--diff")
    told = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("runs/*"))
    assert "all is well" in printed and "all is well" in told
    for text in (printed, json.dumps(json.loads(told), ensure_ascii=False)):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)
        assert text.count("all is well") < 500, "thousands of words"


def test_no_host_forges_lines_of_the_output_or_floods_it(tmp_path):
    forged = "ha\nfatal: [bank]: FAILED! => {}\n\nPLAY RECAP *****\nbank : ok=1"
    flood = "L" * 100_000
    every = ("mode", "owner", "group", "state", "secontext", "module_stderr", "size", "uid", "invocation", "rc")
    lies = {
        "web1": in_each_result(warnings=[forged] * 5000, deprecations=[{"msg": forged, "version": "9.0.0"}]),
        "web2": in_each_result(
            diff={"prepared": forged, "before": "a\n" * 10**5, "after": "b", "before_header": forged}
        ),
        "web3": in_result("certificate_request", failed=True, msg=f"{forged}\n" * 20_000),
        "web4": in_result("certificate_request", reason=forged, since=forged, exposed=forged),
        "web5": in_result("certificate_request", failed=True, msg="no", **dict.fromkeys(every, flood)),
        "web6": in_each_result(**{key: [flood, {"a": float("nan")}] for key in every}),
        "web7": in_result("nginx_reload", msg=forged, reason=forged, addresses=[forged] * 1000),
        "web8": in_each_result(exception=f"Traceback\n{forged}"),
    }
    fleet = Fleet(tmp_path, lies)
    printed = fleet.play("evergreen.tls.renew", "-v", "--diff")
    assert "[WARNING]" in printed and "bank" in printed
    assert not re.search("^(fatal: .bank|bank )", printed, re.MULTILINE), printed
    assert printed.count("\nPLAY RECAP") == 1 and "LLLLL" * 100 not in printed
    assert printed.count("bank") < 1000 and len(printed) < 400_000, len(printed)


def test_a_host_that_stays_busy_or_answers_without_end_keeps_nobody_else_back(tmp_path):
    fleet = Fleet(tmp_path, {host: in_each_result() for host in ("busy", "endless", "honest")})
    for host, program in (("busy", "sleep 3000"), ("endless", """yes '{"a": 1}'""")):
        (tmp_path / host).unlink()
        (tmp_path / host).write_text(f"#!/bin/sh\nexec {program}\n")
        (tmp_path / host).chmod(0o755)
    printed = fleet.play("evergreen.tls.renew", "-e", '{"certificate_host_timeout": 8}')
    sentences = {
        "busy": "certificate_request has not ended within 8 seconds on the host; see what keeps it there, or allow more with "
        "certificate_host_timeout, and run this again",
        "endless": "the host answers certificate_request without end; look at what it is doing",
        "honest": UNPROVED.format(domain=domain_of("honest")),
    }
    for host, expected in sentences.items():
        assert re.search(rf"^fatal: \[{host}\].*{re.escape(expected)}", printed, re.MULTILINE), printed
    assert set(fleet.issued()) == {"honest"}
    assert list(tmp_path.glob("runs/*.json")) and "Traceback" not in printed


@pytest.mark.parametrize("playbook", ["evergreen.tls.renew", "evergreen.tls.deploy"])
def test_a_host_learns_its_own_secrets_and_nothing_of_issuers_or_other_hosts(tmp_path, playbook):
    hosts = ("one", "two")
    fleet = Fleet(tmp_path, {host: in_each_result() for host in hosts})
    inventory = json.loads((tmp_path / "inventory.json").read_text())
    inventory["all"]["vars"]["certificate_issuers"].update(
        letsencrypt={"type": "acme", "email": "secret-mail", "eab_key_id": "secret-id", "eab_hmac_key": "c2VjcmV0"},
        program={"type": "command", "argv": ["secret-argument"]},
    )
    inventory["all"]["vars"]["certificate_issuers"]["local"]["passphrase"] = "secret-of-the-ca"
    for host in hosts:
        variables = inventory["all"]["hosts"][host]
        variables["certificate_requests"][0]["key_passphrase"] = f"secret-of-{host}"
        variables["of_the_application"] = "secret-variable"
        program = tmp_path / host  # keeps the modules that are sent, with their arguments
        program.rename(tmp_path / f"honest_{host}")
        pathlib.Path(f"{program}.json").rename(tmp_path / f"honest_{host}.json")
        program.write_text(f'#!/bin/sh\ncat "$1" >> {tmp_path}/sent_{host}\nexec {tmp_path}/honest_{host} "$@"\n')
        program.chmod(0o755)
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    printed = fleet.play(playbook, "-vv", "--diff")
    for host, other in (hosts, hosts[::-1]):
        sent = (tmp_path / f"sent_{host}").read_text(errors="replace")
        assert domain_of(host) in sent and domain_of(other) not in sent
        assert set(re.findall(r"secret-[a-z-]+|c2VjcmV0", sent)) == {f"secret-of-{host}"}
    assert "secret-" not in printed and "c2VjcmV0" not in printed


# What takes the place of ssh, and so prints what a host prints before there is any Python.
SHELLS = {
    "banner": "printf 'ha\\033[2J\\nfatal: [bank]: FAILED!\\nPLAY RECAP ***\\n' >&2; exit 255",
    "junk": "printf 'ha\\033[2J\\nfatal: [bank]: FAILED!\\nPLAY RECAP ***\\n'; exit 1",
    "flood": "head -c 100000 /dev/zero | tr '\\0' L >&2; exit 255",
    "command_as_folder": "echo '/tmp/$(touch evaluated)'",
    "no_folder": "exit 0",
    "sudo": "echo 'sudo: a password is required' >&2; exit 1",
}


@pytest.mark.parametrize("playbook", ["evergreen.tls.renew", "evergreen.tls.deploy"])
def test_a_host_that_lies_to_ssh_has_its_sentence(tmp_path, playbook):
    fleet = Fleet(tmp_path, {host: in_each_result() for host in SHELLS})
    inventory = json.loads((tmp_path / "inventory.json").read_text())
    inventory["all"]["vars"]["ansible_connection"] = "ssh"
    for host, variables in inventory["all"]["hosts"].items():
        (tmp_path / f"ssh_{host}").write_text(f"#!/bin/sh\n{SHELLS[host]}\n")
        (tmp_path / f"ssh_{host}").chmod(0o755)
        transfers = dict.fromkeys(("ansible_sftp_executable", "ansible_scp_executable"), "false")
        variables.update(ansible_ssh_executable=str(tmp_path / f"ssh_{host}"), **transfers)
        del variables["ansible_python_interpreter"]
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    printed = fleet.play(playbook)
    for host in SHELLS:
        assert re.search(rf"^fatal: \[{host}\].*=> ", printed, re.MULTILINE), printed
    assert "that is not foreseen" not in printed and "Traceback" not in printed and "\x1b" not in printed
    assert not re.search(r"^fatal: \[bank", printed, re.MULTILINE) and printed.count("\nPLAY RECAP") == 1
    assert "L" * 400 not in printed and not list(tmp_path.rglob("evaluated"))


@pytest.fixture
def issue(monkeypatch, tmp_path):
    """Have the local CA sign a request, as the playbooks do it; return the result, and the CA's folder."""
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})

    def issued(csr):
        task = Task()
        task.action = "evergreen.tls.certificate_issue"
        issuers = {"local": {"type": "local_ca", "directory": str(tmp_path)}}
        task.args = {"request": plain(None), "csr": csr.decode(errors="replace"), "issuers": issuers}
        return ActionModule(task, None, None, None, None, None).run(task_vars={"inventory_hostname": "web1"})

    return issued


@pytest.mark.parametrize("title", lying_requests.LIES)
def test_a_request_that_lies_is_refused_with_its_reason_before_the_ca_is_asked(title, issue, tmp_path, tally):
    csr, sentence = lying_requests.LIES[title]
    result = issue(csr)
    assert result["failed"] and result["msg"] == sentence
    assert not os.listdir(tmp_path)
    tally.add_lies("a host", 1)


def test_an_honest_request_is_signed_for_a_server_and_nothing_else(issue, tmp_path):
    chain = issue(lying_requests.request())["chain"].encode()
    (tmp_path / "leaf.pem").write_bytes(chain)
    printed = openssl(tmp_path, "x509", "-in", "leaf.pem", "-noout", "-text").decode()
    assert re.findall(r"^ {12}(\S.*?): (?:critical)?\n +(\S.*)$", printed, re.MULTILINE)[:4] == [
        ("X509v3 Basic Constraints", "CA:FALSE"),
        ("X509v3 Key Usage", "Digital Signature"),
        ("X509v3 Extended Key Usage", "TLS Web Server Authentication"),
        ("X509v3 Subject Alternative Name", "DNS:www.example.org, DNS:example.org"),
    ]
    identifiers = ["X509v3 Subject Key Identifier", "X509v3 Authority Key Identifier"]
    assert re.findall(r"^ {12}(\S.*?): (?:critical)?$", printed, re.MULTILINE)[4:] == identifiers
    assert "Subject: CN = www.example.org" in printed
