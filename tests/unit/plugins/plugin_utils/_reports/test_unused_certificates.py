# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controller sees and says of certificates that the inventory no longer has."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._tls import presented
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.deployed_names import (
    DeployedNames,
    UnusedName,
    requested_names,
    unused_names,
    unused_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.unused_certificates import (
    due_certificates,
    first_answer,
    parse_grace,
    removal_arguments,
    with_removal,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

ISSUING = Authority("Unused CA")


@pytest.mark.parametrize(
    ("text", "seconds"), [("7d", 604800), ("12h", 43200), ("0", 0), ("0d", 0), (0, 0), (" never ", None)]
)
def test_a_grace_time_is_a_length_of_time_or_none_at_all(text, seconds):
    assert parse_grace(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "soon", "-1d", "1 year"])
def test_another_grace_time_is_refused_with_what_may_be_written(text):
    with pytest.raises(TlsError, match="certificate_removal_grace: .* write a number and a unit.*; 0 removes at once"):
        parse_grace(text)


@pytest.mark.parametrize("odd", [None, "text", 7, {"a": 1}, [7], [{}], [{"name": 7}]])
def test_requests_of_another_form_have_no_names_by_which_something_could_be_removed(odd):
    assert requested_names(odd) is None


def test_an_empty_list_of_requests_has_no_names():
    assert requested_names([]) == set()
    assert requested_names([{"name": "www"}]) == {"www"}


def complete(name, **changes):
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC

    spec = {"request": REQUEST_SPEC}
    request = {"name": name, "domains": [f"{name}.Example.org"], **changes}
    return ArgumentSpecValidator(spec).validate({"request": request}).validated_parameters["request"]


def test_what_a_host_is_told_has_no_secret_and_the_links_of_what_is_adopted():
    adopt = {"key": "/srv/server.key", "certificate": "/srv/server.pem"}
    requests = [
        complete("www", key_passphrase="correct horse", links={"/srv/x.pem": "cert.pem"}, adopt=adopt),
        complete("cloud", served_by="appliance", appliance={"user": "root"}),
        complete("bad", links={"relative": "cert.pem"}),
    ]
    assert removal_arguments(requests, ["invalid"]) == {
        "requests": [
            {
                "name": "www",
                "domains": ["www.example.org"],
                "links": {
                    "/srv/x.pem": "cert.pem",
                    "/srv/server.key": "privkey.pem",
                    "/srv/server.pem": "fullchain.pem",
                },
                "owner": None,
                "port": 443,
            }
        ],
        "kept": ["invalid", "cloud", "bad"],
    }


def test_a_host_cannot_have_a_certificate_removed_that_is_requested():
    result = {"unused": [{"name": name, "state": "due"} for name in ("www", "old")]}
    result["unused"].append({"name": "young", "state": "waiting"})
    assert [one["name"] for one in due_certificates(result, {"www"})] == ["old"]
    assert due_certificates({}, {"www"}) == []


class Server:
    """What answers at an address: certificates by domain, and addresses at which nothing answers."""

    def __init__(self, chains, silent=()):
        self.chains, self.silent, self.calls = chains, silent, []

    def handshake(self, address, port, domain, timeout):
        self.calls.append((address, port, domain))
        if address in self.silent:
            raise TlsError("no answer", failure="nothing")
        if domain not in self.chains:
            raise TlsError("the server answers to no such name", failure="no handshake")
        return self.chains[domain], "TLSv1.3"


@pytest.fixture
def chain():
    return ISSUING.chain(["old.example.org"], some_key(1))


def unused(chain, **more):
    digest = hashlib.sha256(chain[0].public_bytes(Encoding.DER)).hexdigest()
    return {"name": "old", "domains": ["example.org", "old.example.org"], "fingerprints": [digest], "port": 443, **more}


def at(*addresses):
    return lambda port: [(address, port) for address in addresses]


def test_a_client_that_gets_the_certificate_is_found_at_any_address_and_name(chain, monkeypatch):
    server = Server({"old.example.org": chain}, silent=["192.0.2.1"])
    monkeypatch.setattr(presented, "handshake", server.handshake)
    assert first_answer(unused(chain), at("192.0.2.1", "192.0.2.2")) == ("192.0.2.2", 443, "old.example.org")
    assert server.calls[0] == ("192.0.2.1", 443, "example.org")
    assert len(server.calls) == 3, "where nothing answers, one name is enough"


def test_another_certificate_for_the_same_name_is_none(chain, monkeypatch):
    server = Server({"old.example.org": ISSUING.chain(["old.example.org"], some_key(2))})
    monkeypatch.setattr(presented, "handshake", server.handshake)
    assert first_answer(unused(chain), at("192.0.2.1")) is None


def test_names_and_ports_that_a_host_makes_up_are_asked_for_nowhere(chain, monkeypatch):
    server = Server({})
    monkeypatch.setattr(presented, "handshake", server.handshake)
    lies = unused(chain, domains=["a b", "\x1b[31m", "ok.example.org", *(["x.example.org"] * 1000)], port=70000)
    assert first_answer(lies, at("192.0.2.1")) is None
    assert server.calls == [("192.0.2.1", 443, "ok.example.org")]


def test_what_stays_is_a_warning_and_what_is_removed_is_a_message():
    removal = {
        "changed": True,
        "msg": "/etc/evergreen/b is removed with its key",
        "unused": [
            {"name": "a", "state": "kept", "sentence": "a is not removed: x"},
            {"name": "b", "state": "removed", "sentence": "/etc/evergreen/b is removed with its key"},
            {"name": "c", "state": "unknown", "sentence": "c belongs to no request"},
            {"name": "d", "state": "unknown", "sentence": "d belongs to no request"},
        ],
    }
    result = with_removal({"changed": False, "failed": False, "msg": "", "warnings": ["w"]}, removal)
    assert (result["changed"], result["failed"], result["msg"]) == (True, False, removal["msg"])
    assert result["warnings"] == [
        "w",
        "a is not removed: x",
        (
            "no request of this host names these certificates, and deploy has no record of them: c, d; they stay. If nobody needs one, "
            "remove it with certificate_install and state=absent"
        ),
    ]
    assert [one["name"] for one in result["unused"]] == ["a", "b", "c", "d"]


def test_a_host_with_all_its_certificates_has_nothing_to_say():
    removal = {"changed": False, "msg": "the inventory has all certificates of the host", "unused": []}
    result = with_removal({"changed": False, "failed": False, "msg": "www: it is not due"}, removal)
    assert result == {"changed": False, "failed": False, "msg": "www: it is not due", "unused": []}


def test_the_controller_remembers_what_a_host_has_until_that_is_removed(tmp_path):
    names = DeployedNames(str(tmp_path / "deployed"))
    assert names.unused("web1", []) == []
    names.record("web1", {"www", "old"}, {})
    assert names.unused("web1", ["www", "old"]) == []
    assert names.unused("web1", ["www"]) == [UnusedName("web1", "old", "")]
    names.record("web1", {"www"}, {"old": "2026-12-07T10:00:00+00:00"})
    (one,) = names.unused("web1", ["www"])
    assert unused_sentence([one, UnusedName("web2", "x", "")]) == (
        "no request names these certificates any more, and evergreen.tls.deploy removes them: old on web1 (from 2026-12-07 on), x on web2"
    )
    names.record("web1", set(), {})
    assert names.unused("web1", []) == []
    assert unused_sentence([]) == ""


@pytest.mark.parametrize("content", ["", "[]", '{"certificates": 7}', '{"certificates": {"a": 7}}', "{"])
def test_a_record_of_the_controller_that_is_damaged_is_an_empty_one(tmp_path, content):
    names = DeployedNames(str(tmp_path))
    names.record("web1", {"www"}, {})
    (path,) = tmp_path.glob("*.json")
    path.write_text(content)
    assert [one.remove_after for one in names.unused("web1", [])] in ([], [""])


def test_the_survey_lists_what_was_deployed_and_is_requested_no_longer(tmp_path):
    names = DeployedNames(str(tmp_path / "deployed"))
    inventory = {
        "web1": {"certificate_requests": [{"name": "www"}]},
        "empty": {"certificate_requests": []},
        "undefined": {},
        "unread": {"certificate_requests": [{"name": "www"}, {"domains": []}]},
        "half": {"certificate_requests": [{"name": "www"}, {"name": "old"}]},
        "new": {"certificate_requests": []},
    }
    for host in inventory:
        if host != "new":
            names.record(host, {"www", "old"}, {})
    found = [("web1", "www"), ("half", ""), ("unread", ""), ("unread", "www")]
    read = []

    def variables_of(host):
        read.append(host)
        return inventory[host]

    unused = unused_names(names, list(inventory), found, variables_of)
    assert [(one.host, one.name) for one in unused] == [("web1", "old"), ("empty", "old"), ("empty", "www")]
    assert read == ["empty", "undefined", "unread", "half"], (
        "variables are read where nothing else says what is requested"
    )
