# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host sees of names, on the loopback network: resolvers that answer, lie and are silent, and web servers."""

from __future__ import annotations

import contextlib
import http.server
import socket
import struct
import threading
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._network import dns_question, name_view
from ansible_collections.evergreen.tls.plugins.module_utils._network.dns_message import CAA, TXT
from ansible_collections.evergreen.tls.plugins.module_utils._network.dns_question import (
    ask_records,
    parse_resolver,
    system_resolvers,
)
from ansible_collections.evergreen.tls.plugins.module_utils._network.name_view import look_at_names
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

TOKEN = "t" * 43


class Resolver:
    """A resolver that answers with the records of a table, by name and type."""

    def __init__(self, records, rcode=0, lies=0):
        self.records, self.rcode, self.lies, self.questions = records, rcode, lies, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            question, client = self.socket.recvfrom(4096)
            if not question:
                return
            for answer in self.answers(question):
                self.socket.sendto(answer, client)

    def answers(self, question):
        identifier = struct.unpack("!H", question[:2])[0]
        labels, offset = [], 12
        while question[offset]:
            labels.append(question[offset + 1 : offset + 1 + question[offset]].decode())
            offset += 1 + question[offset]
        kind = struct.unpack("!H", question[offset + 1 : offset + 3])[0]
        name = ".".join(labels)
        self.questions.append((name, kind))
        records = self.records.get((name, kind), [])
        body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 1, len(data)) + data for data in records)
        for number in range(self.lies, -1, -1):
            header = struct.pack("!HHHHHH", identifier ^ number, 0x8180 | self.rcode, 1, len(records), 0, 0)
            yield header + question[12 : offset + 5] + body

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"", self.address)
        self.thread.join()
        self.socket.close()


@pytest.fixture
def resolver():
    """Return a function that starts a resolver."""
    with contextlib.ExitStack() as stack:

        def started(records=None, **more):
            one = Resolver(records or {}, **more)
            stack.callback(one.close)
            return one

        yield started


@pytest.fixture
def web(monkeypatch):
    """Return a function that starts a web server at port 80 of 127.0.0.1, as far as the names of the test lead there."""
    with contextlib.ExitStack() as stack:

        def started(status=200, headers=None, body=b""):
            asked = []

            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    asked.append((self.headers["Host"], self.path))
                    self.send_response(status)
                    for name, value in (headers or {}).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_arguments):
                    pass

            server = ThreadedServer(Handler)
            stack.callback(server.start().stop)
            monkeypatch.setattr(name_view, "HTTP_PORT", server.server_address[1])
            return asked

        yield started


def soon():
    return time.monotonic() + 5.0


def caa(value):
    return b"\x00\x05issue" + value


def test_records_come_from_the_resolver_and_lies_with_other_identifiers_are_ignored(resolver):
    one = resolver({("a.example", CAA): [caa(b"ca.example")]}, lies=3)
    assert ask_records("a.example", CAA, [one.address], soon()) == ['0 issue "ca.example"']


def test_the_next_resolver_is_asked_where_one_fails(resolver):
    bad, good = resolver(rcode=2), resolver({("a.example", TXT): [b"\x01x"]})
    assert ask_records("a.example", TXT, [bad.address, good.address], soon()) == ["x"]


def test_a_resolver_that_fails_or_is_silent_is_named(resolver, monkeypatch):
    monkeypatch.setattr(dns_question, "ANSWER_TIMEOUT_S", 0.05)
    with pytest.raises(TlsError) as caught:
        ask_records("a.example", CAA, [resolver(rcode=5).address], soon())
    assert str(caught.value) == (
        "the resolvers (127.0.0.1) do not say which CAA records a.example has: the resolver answers REFUSED; see why, there"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(TlsError, match="it does not answer in time; see that it runs"):
            ask_records("a.example", CAA, [silent.getsockname()], soon())


def test_resolvers_come_from_the_file_of_the_system(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text("search example.org\nnameserver 192.0.2.53\nnameserver nonsense\nnameserver 2001:db8::53\n")
    assert system_resolvers(str(file)) == [("192.0.2.53", 53), ("2001:db8::53", 53)]
    assert system_resolvers(str(tmp_path / "missing")) == [("127.0.0.1", 53)]


@pytest.mark.parametrize("text", ["resolver.example", "192.0.2.1:0", "192.0.2.1:70000", "", "[::1]:x"])
def test_what_is_no_resolver_is_refused(text):
    with pytest.raises(TlsError, match="is no address; write it as"):
        parse_resolver(text)


def test_a_name_has_its_addresses_its_records_and_the_answer_to_its_url(resolver, web):
    asked = web(body=f"{TOKEN}.thumbprint".encode())
    one = resolver({("_acme-challenge.localhost", TXT): [b"\x01v"], ("localhost", CAA): [caa(b";")]})
    [view] = look_at_names(["localhost"], TOKEN, [one.address], soon())
    assert set(view.pop("addresses")) <= {"127.0.0.1", "::1"}
    assert view == {
        "name": "localhost",
        "txt": ["v"],
        "caa": ['0 issue ";"'],
        "http": {"status": 200, "location": "", "body": "TOKEN.thumbprint"},
        "errors": {},
    }
    assert asked == [("localhost", f"/.well-known/acme-challenge/{TOKEN}")]


def test_the_nearest_domain_with_caa_records_counts_and_is_asked_once_for_many_names(resolver, web):
    web()
    one = resolver({("example.test", CAA): [caa(b"ca.example")]})
    names = [f"*.n{number}.example.test" for number in range(20)]
    views = look_at_names(names, TOKEN, [one.address], soon())
    assert [view["caa"] for view in views] == [['0 issue "ca.example"']] * 20
    assert all("addresses" not in view and "http" not in view and not view["errors"] for view in views)
    assert ("test", CAA) not in one.questions
    assert one.questions.count(("example.test", CAA)) <= name_view.MAX_THREADS


def test_an_address_has_a_url_alone(resolver, web):
    asked = web(status=404)
    one = resolver()
    [view] = look_at_names(["127.0.0.1"], TOKEN, [one.address], soon())
    assert (view["addresses"], view["http"]["status"], "caa" in view) == (["127.0.0.1"], 404, False)
    assert asked[0][0] == "127.0.0.1" and one.questions == []


def test_a_redirect_is_not_followed(resolver, web):
    asked = web(status=302, headers={"Location": f"http://127.0.0.1/{TOKEN}"})
    [view] = look_at_names(["127.0.0.1"], TOKEN, [resolver().address], soon())
    assert view["http"]["location"] == "http://127.0.0.1/TOKEN" and len(asked) == 1


def test_a_large_answer_is_cut_off(resolver, web):
    web(body=b"x" * 1_000_000)
    [view] = look_at_names(["127.0.0.1"], TOKEN, [resolver().address], soon())
    assert view["http"]["body"] == "x" * name_view.MAX_BODY_BYTES


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:100.100.100.200", "fd00:ec2::254"])
def test_metadata_services_are_never_asked(resolver, monkeypatch, address):
    monkeypatch.setattr(name_view, "_get", None)
    [view] = look_at_names([address], TOKEN, [resolver().address], soon())
    assert "metadata service of a cloud, which is never asked" in view["errors"]["http"]


def test_what_fails_is_said_by_kind_and_spoils_no_other(resolver, monkeypatch):
    monkeypatch.setattr(dns_question, "ANSWER_TIMEOUT_S", 0.05)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(name_view, "HTTP_PORT", closed.getsockname()[1])
        [view] = look_at_names(["localhost"], TOKEN, [resolver(rcode=2).address], soon())
    assert view["addresses"]
    assert view["errors"]["http"] == "Connection refused"
    assert "SERVFAIL" in view["errors"]["caa"] and "SERVFAIL" in view["errors"]["txt"]


def test_what_has_not_ended_at_the_deadline_is_left_out(resolver):
    [view] = look_at_names(["*.example.test"], TOKEN, [resolver().address], time.monotonic() - 1)
    assert view == {"name": "*.example.test", "errors": {}}
