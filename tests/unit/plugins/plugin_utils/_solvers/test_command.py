# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of the user's that show answers: what they are told, and what is told of them."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import time

import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import ChallengeResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, name_of

RECORD = "_acme-challenge.www.example.org"
DNS_RESPONSE = ChallengeResponse("www.example.org", "dns-01", "a-token", "a-token.thumbprint", "the value")
HTTP_RESPONSE = ChallengeResponse("www.example.org", "http-01", "a-token", "a-token.thumbprint", "")


@pytest.fixture
def program(tmp_path):
    """Write a program; return its path."""

    def write(script):
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return write


def solver(present, challenge="http-01", here=None, **settings):
    resolvers = [f"{RESOLVER}:{here.port}"] if here else []
    setting = {"type": "command", "present": present, "challenge": challenge, "resolvers": resolvers, **settings}
    return open_solver(setting, AcmeAccount("thumbprint"))


def error_text(work):
    with pytest.raises(TlsError) as caught:
        work()
    return str(caught.value)


def test_a_program_learns_what_to_do_from_its_environment_and_from_its_input(here, program, tmp_path):
    zone = here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))
    zone.records[name_of(RECORD), dns.rdatatype.TXT] = {'"the value"'}
    path = program(f"cat > {tmp_path}/$1.json; env > {tmp_path}/$1.env")
    opened = solver([path, "put it there"], "dns-01", here, clean_up=f"{path} away", environment={"API_KEY": "secret"})
    opened.check(["www.example.org"])
    opened.present([DNS_RESPONSE])
    opened.clean_up([DNS_RESPONSE])
    received = json.loads((tmp_path / "put it there.json").read_text())
    assert received == {
        "action": "present",
        "challenge": "dns-01",
        "domain": "www.example.org",
        "token": "a-token",
        "record": RECORD,
        "zone": "example.org",
        "value": "the value",
    }
    assert json.loads((tmp_path / "away.json").read_text()) == {**received, "action": "clean_up"}
    environment = (tmp_path / "put it there.env").read_text().splitlines()
    assert {f"EVERGREEN_{name.upper()}={value}" for name, value in received.items()} <= set(environment)
    assert "API_KEY=secret" in environment and f"PATH={os.environ['PATH']}" in environment


def test_the_record_is_waited_for(here, program):
    here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))
    message = error_text(lambda: solver(program("true"), "dns-01", here, timeout="1s").present([DNS_RESPONSE]))
    assert (
        f"the TXT record {RECORD} is not on all name servers of example.org (ns.example.org (127.0.0.2): no such record)"
        in message
    )


def test_a_program_for_http_learns_what_the_ca_wants_to_read(program, tmp_path):
    path = program(f'printf %s "$EVERGREEN_KEY_AUTHORIZATION" > {tmp_path}/$EVERGREEN_TOKEN')
    opened = solver(path)
    opened.check(["www.example.org", "192.0.2.1"])
    opened.present([HTTP_RESPONSE])
    opened.clean_up([HTTP_RESPONSE])
    assert (tmp_path / "a-token").read_text() == "a-token.thumbprint"
    assert opened.challenge_type == "http-01"


def test_a_program_that_fails_is_quoted(program):
    message = error_text(
        lambda: solver(program("echo looking for the zone; echo 'no such zone' >&2; exit 3")).present([HTTP_RESPONSE])
    )
    assert message.endswith(
        "/program of the solver, told to present the answer for www.example.org, failed with the status 3: looking for the zone no such "
        "zone; correct what it complains of"
    )


def test_what_a_program_says_is_cut_and_cannot_disturb_a_terminal(program):
    message = error_text(
        lambda: solver(program("yes long | head -c 100000; printf '\\033[2Jthe end\\377'; exit 1")).present(
            [HTTP_RESPONSE]
        )
    )
    assert "\033" not in message and "?[2Jthe end" in message and len(message) < 700


def test_a_program_that_does_not_end_is_ended_with_all_that_it_has_started(program, tmp_path):
    path = program(f"sleep 600 & echo $! > {tmp_path}/child; echo waiting; wait")
    message = error_text(lambda: solver(path, limit="1s").present([HTTP_RESPONSE]))
    assert (
        "did not end within 1 s: waiting; see what it waits for, or give it more time by the solver's limit" in message
    )
    child = pathlib.Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    with contextlib.suppress(OSError):  # it is gone
        while child.read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)


def test_output_without_end_takes_no_room(program, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    opened = solver(program("yes | head -c 300000000; echo its last words >&2; exit 3"))
    message = error_text(lambda: opened.present([HTTP_RESPONSE]))
    assert message.endswith("its last words; correct what it complains of") and len(message) < 700
    endless = solver(program("yes"), limit="1s")
    assert "did not end within 1 s: " in error_text(lambda: endless.present([HTTP_RESPONSE]))


def test_a_child_that_left_the_group_is_not_waited_for(program, tmp_path):
    started = time.monotonic()
    leave_child = f"setsid sleep 20 & echo $! >> {tmp_path}/children"
    solver(program(leave_child)).present([HTTP_RESPONSE])
    assert "failed with the status 1" in error_text(
        lambda: solver(program(f"{leave_child}; exit 1")).present([HTTP_RESPONSE])
    )
    assert time.monotonic() - started < 10
    children = (tmp_path / "children").read_text().split()
    assert len(children) == 2
    for child in children:
        os.kill(int(child), signal.SIGKILL)


def test_a_program_may_leave_its_input_alone(program):
    solver(program("exec <&-; exit 0")).present([HTTP_RESPONSE] * 3)


def test_words_are_no_business_of_a_shell(program, tmp_path):
    path = program(f'printf %s "$1" > {tmp_path}/word')
    solver(f"{path} '$(touch {tmp_path}/harm); `id`'").present([HTTP_RESPONSE])
    assert (tmp_path / "word").read_text() == f"$(touch {tmp_path}/harm); `id`"
    assert not (tmp_path / "harm").exists()


def test_one_answer_that_cannot_be_taken_away_keeps_none_of_the_others_there(program, tmp_path):
    path = program(f'test "$EVERGREEN_DOMAIN" != bad.example.org || exit 1; touch {tmp_path}/$EVERGREEN_DOMAIN')
    responses = [ChallengeResponse(name, "http-01", "t", "k", "") for name in ("bad.example.org", "good.example.org")]
    message = error_text(lambda: solver("true", clean_up=path).clean_up(responses))
    assert "told to clean up the answer for bad.example.org, failed" in message
    assert (tmp_path / "good.example.org").exists()


def test_a_program_that_is_not_there_is_reported_before_an_order():
    message = error_text(lambda: solver("/nowhere/program --now").check(["www.example.org"]))
    assert message == (
        "the program /nowhere/program of the solver is not on the controller, or may not be run there; install it, or write its "
        "absolute path"
    )


@pytest.mark.parametrize(
    ("challenge", "domain", "sentence"),
    [("http-01", "*.example.org", "CAs believe wildcards by DNS alone"), ("dns-01", "192.0.2.1", "over HTTP alone")],
)
def test_what_cas_do_not_believe_is_reported_before_an_order(challenge, domain, sentence):
    assert sentence in error_text(lambda: solver("true", challenge).check([domain]))


@pytest.mark.parametrize(
    ("present", "sentence"),
    [
        ("", "solver command: present of the solver is empty; write the program and its arguments"),
        ([], "solver command: present of the solver is empty"),
        (
            "unclosed 'quote",
            "solver command: present of the solver is no command: No closing quotation; write a list of words",
        ),
        (5, "solver command: present of the solver is no command: 'int' object is not iterable; write a list of words"),
    ],
)
def test_a_command_that_makes_no_sense_is_reported(present, sentence):
    assert error_text(lambda: solver(present)).startswith(sentence)
