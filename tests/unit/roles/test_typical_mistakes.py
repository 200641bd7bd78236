# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Typical mistakes in an inventory: ansible-playbook prints one short sentence for each, with the remedy. No host is logged in to."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from ansible_collections.evergreen.tls.tests.conftest import make_collections

REQUEST = {"name": "www", "domains": ["www.example.test"]}
# The variables of a host, and the end of the sentence that it gets.
MISTAKES = {
    "misspelled_variable": (
        {"nginx_site": []},
        "there is no variable nginx_site (did you mean nginx_sites?); correct its name in the inventory, or rename one of your own",
    ),
    "misspelled_list_of_requests": (
        {"certificate_requests": None, "certificate_request": [REQUEST]},
        (
            "there is no variable certificate_request (did you mean certificate_requests?); correct its name in the inventory, or rename one "
            "of your own"
        ),
    ),
    "misspelled_option": (
        {"certificate_requests": [{"name": "www", "domain": ["www.example.test"]}]},
        "www of certificate_requests: there is no domain (did you mean domains?); missing required arguments: domains; correct the inventory",
    ),
    "unknown_option": (
        {"certificate_requests": [{**REQUEST, "colour": "blue"}]},
        (
            "www of certificate_requests: there is no colour, but adopt, allowed_domains, appliance, challenge_password, cloud, common_name, …; "
            "correct the inventory"
        ),
    ),
    "wrong_choice": (
        {"certificate_requests": [{**REQUEST, "type": "DSA"}]},
        "www of certificate_requests: value of type must be one of: RSA, ECC, Ed25519, got: DSA; correct the inventory",
    ),
    "requests_as_text": (
        {"certificate_requests": "- {name: www, domains: [www.example.test]}"},
        (
            "certificate_requests is a text, and a list of dictionaries belongs there; write it into the inventory or a file for -e @FILE, or "
            "pass JSON, as in -e '{\"certificate_requests\": […]}'"
        ),
    ),
    "one_request_in_place_of_a_list": (
        {"certificate_requests": REQUEST},
        (
            "argument 'certificate_requests' is of type dict and we were unable to convert to list; write a list, as in [one, two]; correct the "
            "inventory"
        ),
    ),
    "misspelled_option_of_a_site": (
        {"nginx_sites": [{"name": "www", "rot": "/srv"}]},
        "www of nginx_sites: there is no rot (did you mean root?); correct the inventory",
    ),
    "no_truth_value": (
        {"certificate_force": "perhaps"},
        "argument 'certificate_force' is of type str and we were unable to convert to bool; write true or false; correct the inventory",
    ),
    "no_port": (
        {"firewall_ports": ["https"]},
        ("https is no port; give a number between 1 and 65535, or with a protocol, such as 443/udp"),
    ),
    "unknown_setting_of_an_issuer": (
        {"certificate_issuers": {"local": {"type": "local_ca", "direktory": "/pki"}}},
        "www: issuer local: there is no direktory (did you mean directory?); correct certificate_issuers",
    ),
    "unknown_issuer": (
        {"certificate_requests": [{**REQUEST, "issuer": "lets_encrypt"}], "certificate_issuers": {"letsencrypt": {}}},
        "lets_encrypt",
    ),
    "no_domain_name": (
        {"certificate_requests": [{"name": "www", "domains": ["www example test"]}]},
        "letters, digits, hyphens and underscores; correct it",
    ),
}
OWN_NAMES = {"nginx_sites_extra": [], "nginx_version": "1.30", "nginx_user": "www", "certificate_requests_web": []}


@pytest.fixture
def ansible(tmp_path):
    """Return a function that runs a playbook of the collection with the variables of hosts, in check mode and by local connections."""

    def run(playbook, hosts, *arguments, callback="ansible.builtin.default"):
        everywhere = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "certificate_directory": str(tmp_path / "store"),
            "certificate_issuers": {"local": {"type": "local_ca", "directory": str(tmp_path / "pki")}},
            "certificate_requests": [REQUEST],
        }
        inventory = {"all": {"hosts": {host: {**everywhere, **variables} for host, variables in hosts.items()}}}
        (tmp_path / "inventory.json").write_text(json.dumps(inventory))
        environment = {
            **os.environ,
            "HOME": str(tmp_path),
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_COLLECTIONS_PATH": str(make_collections()),
            "ANSIBLE_STDOUT_CALLBACK": callback,
            "ANSIBLE_FORKS": "8",
        }
        program = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
        command = [program, f"evergreen.tls.{playbook}", "-i", str(tmp_path / "inventory.json"), "--check", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def sentences_of(done):
    """Return what hosts failed with, by host."""
    failures = re.findall(r"^fatal: \[(\w+)\]: FAILED! => (\{.*\})$", done.stdout, re.MULTILINE)
    return {host: json.loads(result)["msg"] for host, result in failures}


def test_each_typical_mistake_gets_one_short_sentence_with_the_remedy(ansible):
    done = ansible("deploy", {host: variables for host, (variables, _sentence) in MISTAKES.items()})
    assert "Traceback" not in done.stdout + done.stderr
    sentences = sentences_of(done)
    assert sentences.keys() == MISTAKES.keys() and len(MISTAKES) >= 10
    for host, (_variables, sentence) in MISTAKES.items():
        assert sentence in sentences[host], host
        assert len(sentences[host]) <= 300, host
    printed = [line for line in done.stdout.splitlines() if line.startswith("fatal")]
    assert max(map(len, printed)) < 3000  # no argument specification


def test_variables_with_names_of_users_are_left_alone(ansible):
    done = ansible("survey", {"web1": OWN_NAMES})
    assert "did you mean" not in done.stdout + done.stderr
    assert done.returncode == 0, done.stdout


def test_a_misspelled_variable_is_a_warning_of_the_survey(ansible):
    done = ansible("survey", {"web1": {"certificate_isuers": {}}, "web2": {"certificate_isuers": {}}})
    assert done.returncode == 0
    warnings = " ".join((done.stdout + done.stderr).split())
    assert "web1 and 1 more: there is no variable certificate_isuers (did you mean certificate_issuers?)" in warnings


@pytest.mark.parametrize("waves", ["1,many"])
def test_waves_that_make_no_sense_are_refused_before_anything_is_looked_at(ansible, waves):
    (sentence,) = sentences_of(ansible("renew", {"web1": {}}, "-e", f"renew_waves={waves}")).values()
    assert sentence == (
        f"renew_waves is '{waves}', and a wave is a number of hosts or a share such as 10%; write a list such as [1, 10%, 100%], or a text "
        "such as 1,10%,100%"
    )


def test_waves_may_be_a_text(ansible):
    done = ansible(
        "renew", {f"web{number}": {"certificate_requests": []} for number in range(3)}, "-e", "renew_waves=1,10%"
    )
    assert done.returncode == 0 and "probably a bug" not in done.stdout + done.stderr


def test_a_misspelled_variable_keeps_no_certificate_from_its_renewal(ansible):
    done = ansible("renew", {"web1": {"certificate_isuers": {}}}, "-e", "certificate_new_authority=true")
    output = " ".join((done.stdout + done.stderr).split())
    assert "[WARNING]: web1: there is no variable certificate_isuers (did you mean certificate_issuers?)" in output
    assert 'FAILED! => {"changed": false, "msg": "there is no variable' not in done.stdout
    assert "check_variables : Check the variables of the role" in done.stdout


@pytest.mark.parametrize(
    ("playbook", "variables", "sentence"),
    [
        ("revoke", {"revoke_request": "www"}, "there is no variable revoke_request (did you mean revoke_requests?)"),
        (
            "revoke",
            {"revoke_requests": "www", "revoke_when_late": "refuze"},
            "revoke_when_late is refuze, and it is refuse or warn",
        ),
        (
            "revoke",
            {"revoke_requests": "www", "revoke_reason": "supersedes"},
            "value of revoke_reason must be one of: ",
        ),
        ("survey", {"survey_fail_when": "expird"}, "value of survey_fail_when must be one of: due, expired, never"),
        ("plan", {"plan_fail_when": "lat"}, "value of plan_fail_when must be one of: late, never, got: lat (did you"),
        ("schedule", {"schedule_mode": "pul"}, "value of schedule_mode must be one of: "),
    ],
)
def test_a_variable_of_a_playbook_that_makes_no_sense_is_named(ansible, playbook, variables, sentence):
    more = {"schedule_hosts": "web1"} if playbook == "schedule" else {}
    (said,) = sentences_of(ansible(playbook, {"web1": {}}, "-e", json.dumps({**variables, **more}))).values()
    assert said.startswith(sentence) and len(said) <= 300
    assert said.endswith(("behind -e", "correct the inventory", "rename one of your own"))


def test_mistakes_of_an_inventory_are_told_before_the_first_login(ansible):
    unreachable = {"ansible_connection": "ssh", "ansible_host": "192.0.2.1", "ansible_ssh_args": "-o ConnectTimeout=1"}
    hosts = {
        "web1": {**unreachable, "certificate_requests": [{**REQUEST, "issuer": "locl"}]},
        "web2": {**unreachable, "nginx_sites": [{"name": "wwww"}]},
        "web3": {
            **unreachable,
            "nginx_sites": [{"name": "wwww"}],
            "certificate_requests": [{**REQUEST, "issuer": "x"}],
        },
    }
    done = ansible("deploy", hosts)
    sentences = sentences_of(done)
    site = (
        "the site wwww has no certificate: there is no certificate request named wwww (did you mean www?); correct the name, or say which "
        "certificate it has"
    )
    assert sentences["web1"] == (
        "web1: www of certificate_requests: there is no issuer named locl (did you mean local?); add it to certificate_issuers or correct the "
        "request"
    )
    assert sentences["web2"] == f"web2: {site}"
    assert "there is no issuer named x, only local" in sentences["web3"] and f". web3: {site}" in sentences["web3"]
    assert "UNREACHABLE" not in done.stdout
