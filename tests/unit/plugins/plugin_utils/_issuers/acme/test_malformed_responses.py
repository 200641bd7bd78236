# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Responses of ACME servers that are malformed, that never end, or that come too slowly: one sentence each, which names the server."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import itertools
import json
import re
import socket
import threading
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import polling, retries
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.client import CONNECTIONS, links_of, nonce_of
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import retry_after
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import (
    MAX_TOKEN_CHARACTERS,
    MAX_URL_CHARACTERS,
    challenges_of,
    domain_of,
    is_url,
    name_of,
    names_of_order,
    read_authorization,
    read_directory,
    read_order,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.response import Response
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.time_limit import is_over, receive_until
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.persist import issuer_domains
from ansible_collections.evergreen.tls.tests.unit.acme_server import OWN_ROOT
from ansible_collections.evergreen.tls.tests.unit.fake_ca import key_pem, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import answering_port, full_port

NAMES = ["www.example.org", "example.org"]
CSR = make_csr(some_key(), NAMES, {})
URL = "https://ca.example/resource"
ABOUT = "the order at https://ca.example/directory"
PATIENCE_S = 30.0
ODD_VALUES = [
    0,
    5,
    1e300,
    True,
    "",
    "x",
    "\ud800",
    "\x1b[2J",
    "https://\u00ff",
    [],
    [5],
    [None],
    [[]],
    [{"a": 1}],
    {},
    {"a": []},
]
FAR_FUTURE = "9999-12-31T23:59:59+00:00"
FAR_AWAY = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
DIRECTORY = dict.fromkeys(("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo"), URL)
META = {
    "termsOfService": URL,
    "externalAccountRequired": False,
    "profiles": {"classic": URL},
    "caaIdentities": ["ca.example"],
    "issuerDomainNames": ["ca.example"],
    "accountHashPrefix": "a",
}
ORDER = {
    "status": "pending",
    "identifiers": [{"type": "dns", "value": name} for name in NAMES],
    "authorizations": [URL],
    "finalize": URL,
    "certificate": URL,
    "error": {"detail": "no"},
}
CHALLENGE = {"type": "http-01", "url": URL, "token": "abc", "status": "pending", "error": {"detail": "no"}}
AUTHORIZATION = {
    "status": "pending",
    "identifier": {"type": "dns", "value": "www.example.org"},
    "wildcard": False,
    "challenges": [CHALLENGE],
}


@pytest.fixture(autouse=True)
def impatience(hurry, monkeypatch):
    monkeypatch.setattr(polling, "MAX_PAUSE_S", 0.3)


@pytest.fixture
def outcome(server, tmp_path):
    """Return a function that orders a certificate, and returns the sentence of the TlsError; nothing if it is issued."""

    def attempt(**settings):
        settings = {"directory": server.url, "ca_file": server.ca_file, "folder": str(tmp_path / "acme"), **settings}
        issuer = open_issuer("ca", {"ca": {"type": "acme", "solver": {"type": "http", "check": False}, **settings}})
        request, results = {"name": "www", "domains": NAMES, "issuer": "ca", "type": "ECC"}, []

        def work():
            try:
                issuer.issue(request, CSR, "web1")
                results.append("")
            except TlsError as error:
                results.append(str(error))
            except BaseException as error:
                results.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(PATIENCE_S)
        assert results, "the order has no end"
        assert isinstance(results[0], str), repr(results[0])
        return results[0]

    return attempt


def placed(server, **changes):
    """Return the first order of a server, with changes."""
    urls = [f"{server.base}/authorization/0.{number}" for number in range(len(NAMES))]
    at = {kind: f"{server.base}/{kind}/0" for kind in ("finalize", "certificate")}
    return {**ORDER, "authorizations": urls, **at, **changes}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"authorizations": 5}, "authorizations is 5, and not a list of URLs that begin with https://"),
        ({"authorizations": [{"a": 1}]}, "authorizations is [{'a': 1}], and not a list of URLs"),
        ({"authorizations": ["http://127.0.0.1/"]}, "and not a list of URLs that begin with https://"),
        ({"authorizations": [URL] * 9}, "it has 9 authorizations for 2 names"),
        ({"status": ["valid"]}, "status is ['valid'], and not a text"),
        ({"identifiers": "x"}, "identifiers is 'x', and not a list of objects"),
        ({"finalize": 5, "status": "ready"}, "finalize is 5, and not a URL that begins with https://"),
        ({"certificate": "/a", "status": "valid"}, "certificate is '/a', and not a URL that begins with https://"),
    ],
    ids=str,
)
def test_a_malformed_order_is_told(outcome, server, changes, sentence):
    server.answer("/order", 201, placed(server, **changes), {"Location": f"{server.base}/order/0"})
    told = outcome()
    assert f"{server.base}/order answers with what is no order: " in told or "it has 9 auth" in told
    assert sentence in told and told.endswith("; see the status page of the CA"), told


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"challenges": 5}, "challenges is 5, and not a list of objects"),
        ({"status": 5}, "status is 5, and not a text"),
        (
            {"challenges": [{**CHALLENGE, "token": 5}]},
            "challenges[0].token is 5, and not a text of 256 characters at most",
        ),
        ({"challenges": [{**CHALLENGE, "token": "a" * 999}]}, "and not a text of 256 characters at most"),
        ({"challenges": [{**CHALLENGE, "url": 5}]}, "challenges[0].url is 5, and not a URL that begins with https://"),
        ({"challenges": [{**CHALLENGE, "type": [1]}]}, "challenges[0].type is [1], and not a text"),
    ],
    ids=str,
)
def test_a_malformed_authorization_is_told(outcome, server, changes, sentence):
    server.answer("/order", 201, placed(server), {"Location": f"{server.base}/order/0"})
    server.answer("/authorization/0.0", 200, {**AUTHORIZATION, **changes}, times=9)
    told = outcome()
    assert f"{server.base}/authorization/0.0 answers with what is no authorization: " in told
    assert sentence in told and told.endswith("; see the status page of the CA"), told


@pytest.mark.parametrize("token", ["", "../../etc/cron.d/x", "a\nEVIL=1", "a\0b"])
def test_a_token_that_is_none_reaches_no_solver(outcome, server, token):
    server.answer("/order", 201, placed(server), {"Location": f"{server.base}/order/0"})
    challenges = [{**CHALLENGE, "url": f"{server.base}/challenge/0.0", "token": token}]
    server.answer("/authorization/0.0", 200, {**AUTHORIZATION, "challenges": challenges}, times=9)
    assert "the CA's token for www.example.org is no token; see its status page" in outcome()
    assert not server.count("/challenge/0.0")


def test_lists_of_a_ca_are_as_long_as_people_read(outcome, server):
    server.answer("/order", 201, placed(server), {"Location": f"{server.base}/order/0"})
    challenges = [{**CHALLENGE, "type": f"x-{number}"} for number in range(5000)]
    server.answer("/authorization/0.0", 200, {**AUTHORIZATION, "challenges": challenges}, times=9)
    told = outcome()
    assert "the CA accepts x-0, x-1, " in told and "choose another solver" in told and len(told) < 700


def test_the_names_of_another_order_are_as_many_as_people_read(outcome, server):
    identifiers = [{"type": "dns", "value": f"n{number}.example"} for number in range(5000)]
    server.answer("/order", 201, placed(server, identifiers=identifiers), {"Location": f"{server.base}/order/0"})
    told = outcome()
    assert "the CA made another order of it, for n0.example, " in told and len(told) < 600


def test_a_ca_that_sends_what_is_malformed_is_not_asked_again_by_the_next_run(outcome, server):
    server.answer("/order", 201, placed(server, authorizations=5), {"Location": f"{server.base}/order/0"}, times=9)
    first, second = outcome(), outcome()
    assert second.startswith("this failed once, and is tried again from ") and first in second
    assert server.count("/order") == 1


@pytest.mark.parametrize("identifier", ["x", 5, ["x"], {"value": 3221225985}])
def test_an_identifier_that_is_none_is_no_name_of_the_order(outcome, server, identifier):
    server.answer("/order", 201, placed(server), {"Location": f"{server.base}/order/0"})
    server.answer("/authorization/0.0", 200, {**AUTHORIZATION, "identifier": identifier}, times=9)
    assert f"at {server.url}: the CA wants " in outcome()


@pytest.mark.parametrize(
    ("path", "headers", "sentence"),
    [
        (
            "/nonce",
            {"Replay-Nonce": "n\u00ff"},
            "/nonce answers with HTTP 200 and with 'n\u00ff', which is no nonce; see that",
        ),
        ("/nonce", {"Replay-Nonce": "abcde"}, "with 'abcde', which is no nonce"),  # five characters are no base64url
        ("/nonce", {"Replay-Nonce": "a" * 5000}, "which is no nonce"),
        (
            "/order",
            {"Location": "order/0"},
            "/order answers with the Location 'order/0', which is no URL that begins with https://",
        ),
        ("/account", {"Location": "\u00ff"}, "/account answers with the Location '\u00ff', which is no URL"),
        (
            "/directory",
            {"Location": "https://["},
            "/directory does not answer as an ACME server does (ValueError: Invalid IPv6 URL)",
        ),
        ("/order", {"Content-Encoding": "gzip"}, "/order sends its answer compressed, unasked"),
    ],
    ids=str,
)
def test_a_malformed_header_is_told(outcome, server, path, headers, sentence):
    content = placed(server) if path == "/order" else {}
    status = 301 if path == "/directory" else 200
    server.answer(
        path, status, gzip.compress(b" " * 10**8) if "Content-Encoding" in headers else content, headers, times=9
    )
    told = outcome()
    assert server.base in told and sentence in told, told


@pytest.mark.parametrize(
    "header",
    [
        {"Retry-After": FAR_AWAY},
        {"Retry-After": "1" * 50},
        {"Retry-After": "0", "Date": FAR_AWAY},
        {"Link": '<https://[>; rel="help"'},
    ],
)
def test_a_refusal_with_a_malformed_header_is_told(outcome, server, header):
    server.refuse("/order", "rateLimited", "too many", 403, header, times=9)
    assert f"at {server.url}: too many (rateLimited); wait" in outcome()


@pytest.mark.parametrize(
    ("name", "value"),
    [("newAccount", 5), ("newOrder", "x"), ("newNonce", "ftp://ca.example"), ("renewalInfo", {}), ("meta", [1])],
)
def test_a_malformed_directory_is_told(outcome, server, name, value):
    server.answer("/directory", 200, {**DIRECTORY, name: value})
    told = outcome()
    assert told.startswith(f"{server.url} is no ACME directory: {name} is ") and told.endswith(
        "; correct the directory of the issuer"
    )


@pytest.mark.parametrize("status", ["ready", "pending", "processing"])
def test_an_order_that_never_becomes_valid_ends_with_its_timeout(outcome, server, status):
    server.answer("/order", 201, placed(server, status="ready"), {"Location": f"{server.base}/order/0"})
    valid = {**AUTHORIZATION, "status": "valid"}
    server.answer("/authorization/0.0", 200, valid, times=999)
    server.answer("/authorization/0.1", 200, {**valid, "identifier": {"type": "dns", "value": NAMES[1]}}, times=999)
    server.answer("/finalize/0", 200, placed(server, status=status), times=999)
    server.answer("/order/0", 200, placed(server, status=status), times=999)
    started = time.monotonic()
    assert outcome(timeout="1s").endswith("is not finished after 1 seconds; run this again, and it is gone on with")
    assert time.monotonic() - started < 5 and server.count("/finalize/0") < 10, "the CA is not asked without a pause"


def test_an_authorization_that_stays_pending_ends_with_the_timeout(outcome, server):
    server.status = "pending"
    assert outcome(timeout="1s").endswith("is not finished after 1 seconds; run this again, and it is gone on with")


@pytest.mark.parametrize("is_whole", [False, True], ids=["body", "headers"])
@pytest.mark.parametrize("path", ["/directory", "/order", "/authorization/0.0", "/certificate/0"])
def test_a_response_that_trickles_ends_in_seconds(outcome, server, path, is_whole, monkeypatch):
    monkeypatch.setattr(retries, "RESPONSE_TIMEOUT_S", 1.0)
    server.trickle(path, is_whole)
    started = time.monotonic()
    assert f"{server.base}{path} cannot be reached: " in outcome()
    assert time.monotonic() - started < 6


def test_a_response_of_an_order_is_received_until_its_deadline(outcome, server, monkeypatch):
    monkeypatch.setattr(polling, "MIN_RECEIVING_S", 0.5)
    server.trickle("/certificate/0")
    started = time.monotonic()
    assert f"{server.base}/certificate/0 cannot be reached: " in outcome(timeout="2s")
    assert time.monotonic() - started < 8


def proxy_that(answer):
    """Return the context of a port on which each client is answered with the parts that a function yields, until it is gone."""

    def serve(connection):
        connection.recv(65536)
        for part in answer():
            connection.sendall(part)

    return answering_port(serve)


def trickled(content):
    """Yield a byte at a time, and the last one for ever."""
    for byte in itertools.chain(content, itertools.repeat(content[-1])):
        time.sleep(0.02)
        yield bytes([byte])


@pytest.mark.parametrize(
    "answer",
    [
        lambda: trickled(b"HTTP/1.1 200 OK"),
        lambda: trickled(b"HTTP/1.1 200 OK\r\nX-Padding: a"),
        lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"A: b\r\n")),
        lambda: itertools.chain([b"HTTP/1.1 407 No\r\n"], itertools.repeat(b"A: b\r\n" * 1000)),
        lambda: trickled(b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x00"),
    ],
    ids=["status", "header", "headers", "refusal", "handshake"],
)
def test_a_proxy_that_never_ends_its_answer_is_left_in_seconds(outcome, server, answer, monkeypatch):
    monkeypatch.setattr(retries, "RESPONSE_TIMEOUT_S", 1.0)
    monkeypatch.delenv("NO_PROXY", raising=False)
    started = time.monotonic()
    with proxy_that(answer) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert server.url in outcome()
    assert time.monotonic() - started < 6


def test_a_name_that_is_looked_up_for_ever_is_left_in_seconds(outcome, server, monkeypatch):
    monkeypatch.setattr(retries, "RESPONSE_TIMEOUT_S", 1.0)
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: [] if is_over.wait(600) else None)
    started = time.monotonic()
    try:
        assert f"{server.url} cannot be reached: no whole answer in time; see that the CA runs" in outcome()
    finally:
        is_over.set()
    assert time.monotonic() - started < 6


def test_a_name_with_thousands_of_silent_addresses_is_left_in_seconds(outcome, server, monkeypatch):
    monkeypatch.setattr(retries, "RESPONSE_TIMEOUT_S", 1.0)
    monkeypatch.setattr(retries, "CONNECT_TIMEOUT_S", 0.1)
    started = time.monotonic()
    with full_port() as port:
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: [address] * 4000)
        assert f"{server.url} cannot be reached: " in outcome()
    assert time.monotonic() - started < 6


def test_what_comes_with_a_redirect_is_read_within_limits(outcome, server):
    large = {"padding": "a" * 2_000_000}
    server.answer("/directory", 302, large, {"Location": f"{server.base}/elsewhere"}, times=9)
    assert f"{server.url} answers with more than 1048576 bytes" in outcome()


def test_redirects_are_followed_a_few_times(outcome, server):
    server.answer("/directory", 302, {}, {"Location": "/directory"}, times=2)
    assert outcome() == ""
    server.answer("/directory", 302, {}, {"Location": "/directory"}, times=99)
    CONNECTIONS.clear()
    assert f"'{server.url}' is the last of 5 redirects" in outcome(folder=f"{server.ca_file}.folder")


def odd_records(text):
    """Yield what may stand in the place of a record: halves, other types, and other values for each key at any depth."""
    yield from ("", "5", "[]", '{"a": ', text[: len(text) // 2], "[" * 100_000)
    content = json.loads(text)
    for odd in (None, 5, "x", [], {}, [5], FAR_FUTURE):
        yield from (json.dumps(one) for one in replaced(content, odd))


def replaced(content, odd):
    """Yield copies of a dictionary, each with one value at any depth replaced."""
    for key, value in content.items():
        yield {**content, key: odd}
        if isinstance(value, dict):
            yield from ({**content, key: inner} for inner in replaced(value, odd))


@pytest.mark.parametrize(
    "kind", ["accounts", "certificates", "failures", "limits", "orders", "succeeded", "swept.json"]
)
def test_records_that_somebody_else_has_written_end_in_a_certificate_or_a_sentence(outcome, server, tmp_path, kind):
    server.refuse("/order", "malformed")
    assert outcome() != ""
    server.refuse("/order", "rateLimited", status=429, headers={"Retry-After": "500"})
    for path in (tmp_path / "acme").glob("failures/*.json"):
        path.rename(path.with_suffix(".kept"))
    assert outcome() != ""
    limits = {path: path.read_text() for path in (tmp_path / "acme").glob("limits/*.json")}
    for path in limits:
        path.unlink()
    assert outcome() == ""
    for path in (tmp_path / "acme").glob("failures/*.kept"):
        path.rename(path.with_suffix(".json"))
    for path, text in limits.items():
        path.write_text(text)
    records = {path: path.read_text() for path in (tmp_path / "acme").glob("**/*.json") if kind in path.parts}
    assert records, sorted((tmp_path / "acme").glob("**/*"))
    for path in (tmp_path / "acme/answers").glob("*.pem"):
        path.unlink()
    for path, text in records.items():
        for odd in odd_records(text):
            path.write_text(odd)
            outcome()
            advised(server, tmp_path)
        path.write_text(text)


def advised(server, tmp_path):
    """Ask for renewal information and for what is recorded, as the survey and revocations do."""
    settings = {"type": "acme", "directory": server.url, "ca_file": server.ca_file, "folder": str(tmp_path / "acme")}
    issuer = open_issuer("ca", {"ca": settings})
    issuer.advice("web1", "www")
    issuer.revoked("web1", "www")
    with contextlib.suppress(TlsError):
        issuer.issued("web1", "www")
    with contextlib.suppress(TlsError):
        issuer.revoke("a1", "superseded")


@pytest.mark.parametrize("kind", ["failures", "limits"])
def test_what_a_clock_that_was_ahead_has_put_off_is_not_put_off(outcome, server, tmp_path, kind):
    headers = {"Retry-After": "500"} if kind == "limits" else {}
    code, status = ("rateLimited", 429) if kind == "limits" else ("malformed", 400)
    server.refuse("/order", code, status=status, headers=headers)
    assert outcome() != "" and outcome() != ""
    (path,) = (tmp_path / "acme" / kind).glob("*.json")
    for other in (tmp_path / "acme").glob("[fl]*/*.json"):
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=3000)
        other.write_text(re.sub(r'"until": "[^"]*"', f'"until": "{until.isoformat()}"', other.read_text()))
    assert path.exists() and outcome() == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/a",
        "https://127.0.0.1:1/a",
        "https://127.0.0.1@other.example/",
        "https://[::1]/",
        "https://localhost/",
    ],
)
@pytest.mark.parametrize("where", ["finalize", "authorizations", "certificate", "Location"])
def test_nothing_signed_is_sent_to_a_server_that_the_directory_does_not_name(outcome, server, url, where):
    headers = {"Location": url if where == "Location" else f"{server.base}/order/0"}
    changes = {"authorizations": [url]} if where == "authorizations" else {where: url} if where != "Location" else {}
    status = {"finalize": "ready", "certificate": "valid", "Location": "processing"}.get(where, "pending")
    server.answer("/order", 201, placed(server, status=status, **changes), headers)
    assert (
        f"the CA leads to {url}, on a server that its directory {server.url} does not name; nothing is sent"
        in outcome()
    )


@pytest.mark.parametrize("url", ["https://acme-v02.api.letsencrypt.org/acme/acct/666", "https://127.0.0.1/account/1"])
def test_an_account_of_another_ca_is_none(outcome, server, url):
    server.answer("/account", 201, {"status": "valid"}, {"Location": url}, times=2)
    assert (
        f"the CA says that the account is {url}, which is on another server than {server.base}/account; see"
        in outcome()
    )
    assert outcome() != "" and server.count("/order") == 0


def test_a_key_that_is_a_link_which_leads_nowhere_is_not_made_anew(outcome, server, tmp_path):
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/account.key").symlink_to(tmp_path / "not mounted/account.key")
    assert f"{tmp_path}/acme/account.key is a link that leads nowhere; bring back the key" in outcome()
    assert (tmp_path / "acme/account.key").is_symlink() and server.count("/account") == 0


def test_alternates_that_cannot_be_had_keep_no_chain_from_being_used(outcome, server):
    links = ["<https://other.example/a>", "<http://127.0.0.1/b>", f"<{server.base}/nowhere>", "<::>"]
    chain = []
    act = server.act

    def act_with_links(path, payload):
        status, headers, content = act(path, payload)
        if path.startswith("/certificate/"):
            chain.append(content)
            headers = {**headers, "Link": ", ".join(f'{link};rel="alternate"' for link in links)}
        return status, headers, content

    server.act = act_with_links
    assert outcome(preferred_root="Another Root CA") == "" and chain


@pytest.mark.parametrize(("days", "why"), [((-90, -1), "has expired"), ((1, 90), "is not yet valid")])
def test_a_server_whose_dates_are_wrong_is_a_reason_to_look_at_the_clock(outcome, server, tmp_path, days, why):
    leaf = OWN_ROOT.leaf(["127.0.0.1"], some_key(), days=days)
    (tmp_path / "dates.pem").write_bytes(to_pem([leaf]) + key_pem(some_key()))
    server.listener.socket.context.load_cert_chain(str(tmp_path / "dates.pem"))
    sentence = outcome()
    assert (
        f"the TLS of {server.url} cannot be trusted: certificate {why}; see that the clock of this controller is right (2"
        in sentence
    )


def test_nobody_is_led_away_from_tls(outcome, server):
    server.answer("/directory", 301, {}, {"Location": server.url.replace("https://", "http://")}, times=9)
    assert f"'{server.url}' is no address of an ACME server; correct the directory of the issuer" in outcome()


def test_the_earlier_of_two_deadlines_holds():
    with receive_until(time.monotonic() - 1), receive_until(time.monotonic() + 99):
        assert is_over()


def is_read(read, *arguments):
    """Call a reader; accept TlsError alone, which has to name the server and to say what to do."""
    try:
        return read(*arguments)
    except TlsError as error:
        assert "https://ca.example" in str(error) and ";" in str(error) and str(error).isprintable(), error
        assert len(str(error)) < 500
    return None


@pytest.mark.parametrize("odd", ODD_VALUES, ids=repr)
def test_no_value_in_place_of_another_is_anything_but_a_sentence(odd):
    for name in DIRECTORY:
        is_read(read_directory, {**DIRECTORY, name: odd}, URL)
    for name in META:
        directory = is_read(read_directory, {**DIRECTORY, "meta": {**META, name: odd}}, URL)
        if directory:
            try:
                issuer_domains(directory["meta"], None)
            except TlsError as error:
                assert "does not announce" in str(error)
    for name in ORDER:
        order = is_read(read_order, {**ORDER, name: odd}, URL, ABOUT)
        if order:
            names_of_order(order)
    for changed in [
        *({**AUTHORIZATION, name: odd} for name in AUTHORIZATION),
        *({**AUTHORIZATION, "challenges": [{**CHALLENGE, name: odd}]} for name in CHALLENGE),
        {**AUTHORIZATION, "challenges": [odd]},
        {**AUTHORIZATION, "identifier": {"type": "dns", "value": odd}},
    ]:
        authorization = is_read(read_authorization, changed, URL, ABOUT)
        if authorization:
            assert all(isinstance(one, dict) for one in challenges_of(authorization))
            assert domain_of(authorization).isprintable() and name_of(authorization).isprintable()


def test_what_is_well_formed_is_read():
    assert read_directory({**DIRECTORY, "meta": META}, URL) == {**DIRECTORY, "meta": META}
    assert read_directory({**DIRECTORY, "meta": None, "keyChange": None}, URL).keys() == DIRECTORY.keys() - {
        "keyChange"
    }
    assert read_order(ORDER, URL, ABOUT) == ORDER
    assert read_authorization(AUTHORIZATION, URL, ABOUT) == AUTHORIZATION
    longest = {**CHALLENGE, "token": "a" * MAX_TOKEN_CHARACTERS}
    assert challenges_of(read_authorization({"challenges": [longest]}, URL, ABOUT)) == [longest]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (URL, True),
        (f"https://{'a' * (MAX_URL_CHARACTERS - 8)}", True),
        (f"https://{'a' * (MAX_URL_CHARACTERS - 7)}", False),
        ("https://ca.example/\n", False),
        ("https://ca.example/ a", False),
        ("https://", False),
        ("http://ca.example", False),
        (URL.encode(), False),
        (None, False),
    ],
)
def test_a_url_begins_with_https_and_has_no_other_characters(value, expected):
    assert is_url(value) == expected


@pytest.mark.parametrize(
    "text", [FAR_AWAY, "x", "1" * 99, "-1", "1.5", "\u00ff", "Mon, 01 Jan 2026 99:99:99 GMT", "\x00"]
)
def test_a_time_to_come_back_that_is_none_is_left_out(text):
    now = datetime.datetime.now(datetime.timezone.utc)
    assert retry_after({"Retry-After": text}, now) is None
    assert retry_after({"Retry-After": "7", "Date": text}, now) == 7


@pytest.mark.parametrize(
    ("header", "links"),
    [
        ("", {}),
        ('</a>;rel="help", <https://[>;rel="help"', {"help": ["https://ca.example/a"]}),
        ("<javascript:alert(1)>;rel=help", {}),
        ("<<<>>>;;;===,,,", {}),
        (
            ", ".join(f"</{number}>;rel=alternate" for number in range(999)),
            {"alternate": [f"https://ca.example/{one}" for one in range(20)]},
        ),
    ],
)
def test_of_links_those_that_are_urls_are_read_and_not_too_many(header, links):
    assert links_of(URL, {"Link": header}) == links


@pytest.mark.parametrize(
    ("text", "nonce"), [("", None), ("ab", "ab"), ("a_-Z09", "a_-Z09"), ("a b", None), ("ab\n", None), ("a+/b", None)]
)
def test_a_nonce_that_is_none_is_left_out(text, nonce):
    assert nonce_of(Response(URL, 200, {"Replay-Nonce": text}, b"", {})) == nonce
