# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orders at a CA that fails, refuses, and delays. Orders that succeed are in test_issuer.py."""

from __future__ import annotations

import concurrent.futures
import datetime
import email.utils
import json
import pathlib
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr, make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import thumbprint
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.orders import leads_to
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import FailureBackoff
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import identifiers
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http import HttpSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.webroot import WebrootSolver
from ansible_collections.evergreen.tls.tests.unit.acme_server import ERROR, running_acme_server
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

NAMES = ("www.example.org", "example.org")
CSR = make_csr(some_key(), NAMES, {})
ABOUT = "the order for www.example.org, example.org at https://127.0.0.1:[0-9]+/directory"

pytestmark = pytest.mark.usefixtures("hurry")


@pytest.fixture
def issue(server, tmp_path):
    """Return a function that has a certificate issued, by an issuer that knows of earlier ones only what is on the disk."""

    def issued(names=NAMES, csr=CSR, name="www", step="issue", **settings):
        settings = {"directory": server.url, "ca_file": server.ca_file, "folder": str(tmp_path / "acme"), **settings}
        issuer = open_issuer("ca", {"ca": {"type": "acme", "solver": issued.solver, **settings}})
        issued.issuer = issuer
        request = {"name": name, "domains": list(names), "issuer": "ca", "type": "ECC"}
        return getattr(issuer, step)(request, csr, "web1")

    issued.solver = {"type": "http", "check": False}
    return issued


@pytest.fixture
def begin(issue):
    """Return a function that has an order begun, and says what hosts have to show for it."""

    def begun(**settings):
        issue.solver = {"type": "webroot", "check": False, **settings}
        return issue(step="begin_order")

    return begun


def test_a_certificate_is_issued(issue, server):
    assert names_of(parse_chain(issue())[0]) == set(NAMES)
    assert len(server.certificates) == 1


def test_an_order_is_begun_once_and_gone_on_with(issue, begin, server):
    [place] = begin(hosts=["web2"], path="/srv/www")
    assert (place["host"], place["path"]) == ("web2", "/srv/www")
    assert all(content == f"{token}.{issue.issuer.thumbprint()}" for token, content in place["files"].items())
    assert len(place["files"]) == len(NAMES)
    assert begin(hosts=["web2"], path="/srv/www") == [place], "the CA goes on to want the same"
    assert server.count("/challenge/") == 0, "the CA is not told to look before something is shown"
    assert names_of(parse_chain(issue())[0]) == set(NAMES)
    assert (len(server.orders), len(server.certificates)) == (1, 1)


def test_nothing_is_shown_for_names_that_the_ca_believes_already(begin, server):
    ready = {**order_of(server), "status": "ready"}
    server.answer("/order", 201, ready, {"Location": f"{server.base}/order/0"})
    assert begin() == []


def test_nothing_is_shown_for_an_order_that_is_finished(issue, begin, server):
    begin()
    issue()
    assert begin() == []
    assert len(server.orders) == 1


def test_an_order_that_came_to_nothing_is_begun_anew(begin, server):
    [first] = begin()
    server.orders[0]["authorizations"] = ["invalid"] * len(NAMES)
    [second] = begin()
    assert set(first["files"]).isdisjoint(second["files"])
    assert len(server.orders) == 2


def test_what_is_refused_at_the_beginning_rests(issue, begin, server):
    server.refuse("/order", "rejectedIdentifier", "not these", 403)
    with pytest.raises(TlsError, match="not these"):
        begin()
    with pytest.raises(TlsError, match="not these"):
        issue()
    assert server.count("/order") == 1, "the CA is not asked again at once"


def sharing(server):
    """Have a server give whoever places an order for the same names the one that is under way, as Let's Encrypt does."""
    act = server.act

    def shared(path, payload):
        if path == "/order":
            for number, order in enumerate(server.orders):
                if order["identifiers"] == payload["identifiers"] and order["status"] in ("pending", "ready"):
                    return 201, {"Location": f"{server.base}/order/{number}"}, server.order(number)
        return act(path, payload)

    server.act = shared


CSRS = [make_csr(some_key(number), NAMES, {}) for number in range(4)]


def test_hosts_behind_one_name_that_are_given_one_order_get_a_certificate_each(issue, server):
    sharing(server)
    places = [issue(csr=csr, solver={"type": "webroot", "check": False}, step="begin_order") for csr in CSRS]
    assert [place[0]["files"] for place in places] == [places[0][0]["files"]] * len(CSRS)
    leaves = [parse_chain(issue(csr=csr))[0] for csr in CSRS]
    assert [leaf.public_key() for leaf in leaves] == [load_csr(csr).public_key() for csr in CSRS]
    assert len(server.orders) == len(server.certificates) == len(CSRS)


def test_so_do_hosts_that_order_at_the_same_time(issue, server):
    sharing(server)
    with concurrent.futures.ThreadPoolExecutor(len(CSRS)) as pool:
        leaves = [parse_chain(chain)[0] for chain in pool.map(lambda csr: issue(csr=csr), CSRS)]
    assert [leaf.public_key() for leaf in leaves] == [load_csr(csr).public_key() for csr in CSRS]
    assert len(server.certificates) == len(CSRS)


def test_an_order_that_another_controller_has_finished_is_placed_anew(issue, begin, server):
    begin()
    server.orders[0].update(status="valid", chain=to_pem(server.authority.chain(NAMES, some_key(5))))
    assert names_of(parse_chain(issue())[0]) == set(NAMES)
    assert len(server.orders) == 2


def test_a_directory_that_refuses_in_the_end_has_the_next_one_begin_the_next_run(issue, server, tmp_path, monkeypatch):
    shown = set()

    def present(_solver, answers):
        if not {answer.key_authorization for answer in answers} <= shown:
            raise TlsError("www.example.org does not show the CA its file; see that it does")

    monkeypatch.setattr(WebrootSolver, "present", present)
    monkeypatch.setattr(FailureBackoff, "check", lambda *_of_whom: None)  # as if it were some time later
    (tmp_path / "second").mkdir()
    with running_acme_server(tmp_path / "second") as second:
        second.orders += [{}] * 9  # so that its tokens are others
        server.status = "invalid"
        server.authorization = refusing(server)
        directories = [{"directory": one.url} for one in (server, second)]
        settings = {"directories": directories, "solver": {"type": "webroot", "check": False}}
        for time_of_run in range(2):
            shown.update(*(place["files"].values() for place in issue(step="begin_order", **settings)))
            if time_of_run == 0:
                with pytest.raises(Problem, match="CAA forbids it.* · www.example.org does not show the CA its file"):
                    issue(**settings)
        assert names_of(parse_chain(issue(**settings))[0]) == set(NAMES)
    assert (len(server.orders), len(second.orders) - 9) == (1, 1)


def refusing(server):
    """Return what has a server say of authorizations that fail that CAA forbids it."""
    authorization = server.authorization

    def refused(number, one):
        found = authorization(number, one)
        if found["status"] == "invalid":
            found["challenges"][0]["error"] = {"type": f"{ERROR}caa", "detail": "CAA forbids it"}
        return found

    return refused


def test_a_nonce_may_be_refused_more_than_once(issue, server):
    server.refuse("/order", "badNonce", times=8)
    issue()


def test_a_nonce_that_is_never_right_is_told(issue, server):
    server.refuse("/order", "badNonce", "stale", times=99)
    with pytest.raises(TlsError, match=rf"^{ABOUT}: stale \(badNonce\); run this again$"):
        issue()
    assert server.count("/order") == 10


STEPS = (
    "/directory",
    "/nonce",
    "/account",
    "/order",
    "/order/0",
    "/authorization/0.1",
    "/challenge/0.0",
    "/finalize/0",
)


@pytest.mark.parametrize("path", STEPS)
def test_a_connection_that_is_lost_is_made_again(issue, server, path):
    server.answer(path, status=0, times=2)
    issue()
    assert len(server.certificates) == 1


@pytest.mark.parametrize(("path", "status"), [*((path, 500) for path in STEPS), ("/order", 502), ("/order", 504)])
def test_a_ca_that_fails_is_asked_again(issue, server, path, status):
    server.refuse(path, "serverInternal", "oops", status, times=2)
    issue()
    assert len(server.certificates) == 1


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"type": "urn:ietf:params:acme:error:serverInternal", "detail": "oops"}, r"oops \(serverInternal\)"),
        (b"<html>Bad Gateway</html>", r"the CA gives no reason \(HTTP 502\)"),
    ],
)
def test_a_ca_that_goes_on_failing_is_told(issue, server, document, said):
    server.answer("/order", 502, document, times=99)
    with pytest.raises(TlsError, match=rf"^{ABOUT}: {said}; run this again later, and see the status page of the CA$"):
        issue()
    assert server.count("/order") == 3


@pytest.mark.parametrize("path", ["/nonce", "/order"])
def test_a_ca_that_is_busy_is_waited_for(issue, server, path):
    server.refuse(path, "rateLimited", "busy", 503, {"Retry-After": "1", "Replay-Nonce": ""})
    before = time.monotonic()
    issue()
    assert time.monotonic() - before >= 1


def test_a_challenge_that_the_ca_has_looked_at_already_is_gone_on_with(issue, server):
    server.lose("/challenge/0.1")
    server.refuse("/challenge/0.1", "malformed", "Cannot update challenge with status valid, only status pending")
    issue()
    assert len(server.certificates) == len(server.orders) == 1


def test_a_challenge_that_the_ca_does_not_look_at_is_told(issue, server):
    server.refuse("/challenge/0.1", "malformed", "this is no answer")
    with pytest.raises(TlsError, match=rf"^{ABOUT}: this is no answer \(malformed\)"):
        issue()
    assert not server.certificates


def test_a_connection_that_ends_in_its_handshake_is_made_again(issue, server):
    server.hang_up(times=2)
    issue()


def test_a_ca_that_has_no_nonce_for_the_moment_is_waited_for(issue, server):
    _status, _headers, directory = server.respond("GET", "/directory", b"")
    server.answer("/directory", content=directory, headers={"Replay-Nonce": ""})
    server.refuse("/nonce", "rateLimited", "busy", 503, {"Retry-After": "1", "Replay-Nonce": ""})
    before = time.monotonic()
    issue()
    assert time.monotonic() - before >= 1 and server.count("/nonce") == 2


def test_a_limit_is_told_and_holds_for_all_that_follows(issue, server):
    server.refuse("/order", "rateLimited", "too many new orders (300) from this account", 429, {"Retry-After": "3600"})
    sentence = rf"^{ABOUT}: too many new orders \(300\) from this account \(rateLimited\); nothing is asked again before {soon()}"
    with pytest.raises(TlsError, match=sentence):
        issue()
    requests_before = len(server.requested_paths)
    with pytest.raises(TlsError, match="too many new orders"):
        issue(["other.example"], make_csr(some_key(), ["other.example"], {}), "other")
    assert len(server.requested_paths) == requests_before


def test_a_limit_of_one_domain_holds_for_it_alone(issue, server):
    server.refuse(
        "/order",
        "rateLimited",
        'too many certificates (50) already issued for "example.org"',
        429,
        {"Retry-After": "3600"},
    )
    with pytest.raises(TlsError, match="too many certificates"):
        issue()
    requests_before = len(server.requested_paths)
    with pytest.raises(TlsError, match="too many certificates"):
        issue(["new.example.org"], make_csr(some_key(), ["new.example.org"], {}), "new")
    assert len(server.requested_paths) == requests_before
    issue(["www.example.net"], make_csr(some_key(), ["www.example.net"], {}), "net")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "UTC"])
def test_a_date_to_come_back_is_one_of_greenwich(issue, server, zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        date = email.utils.format_datetime(
            datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1), usegmt=True
        )
        server.refuse("/order", "rateLimited", "busy", 503, {"Retry-After": date})
        with pytest.raises(TlsError, match=f"nothing is asked again before {soon()}"):
            issue()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_ca_that_cannot_be_reached_is_left_alone_for_a_moment(issue, server):
    server.answer("/order", status=0, times=99)
    with pytest.raises(
        TlsError, match="/order cannot be reached: .*; see that the CA runs, and that this machine may connect to it$"
    ):
        issue()
    requests_before = len(server.requested_paths)
    with pytest.raises(TlsError, match=r"/order cannot be reached: .*\. It is asked again from [0-9:]+ UTC on$"):
        issue(name="another")
    assert len(server.requested_paths) == requests_before


def test_a_limit_does_not_count_as_a_failure(issue, server):
    server.refuse("/order", "rateLimited", "busy", 429, {"Retry-After": "3600"})
    with pytest.raises(TlsError, match="busy"):
        issue()
    assert not records(issue)


def test_the_names_that_an_order_fails_for_are_told(issue, server):
    names = [f"{word}.example.org" for word in ("one", "two", "three", "four", "five")]
    parts = [
        {
            "type": "urn:ietf:params:acme:error:caa",
            "detail": "CAA record for four.example.org prevents issuance.",
            "identifier": {"type": "dns", "value": "four.example.org"},
        },
        {
            "type": "urn:ietf:params:acme:error:dns",
            "detail": "NXDOMAIN\x1b[2J",
            "identifier": {"type": "dns", "value": "five.example.org"},
        },
    ]
    server.refuse("/order", "compound", "Errors during validation", 403, subproblems=parts)
    sentence = (
        r": four\.example\.org: CAA record for four\.example\.org prevents issuance \(caa\); five\.example\.org: NXDOMAIN \[2J \(dns\); "
        r"have the CAA records of the domain allow this CA, or choose another issuer; correct the DNS records of that name$"
    )
    with pytest.raises(TlsError, match=sentence):
        issue(names, make_csr(some_key(), names, {}))


def test_an_order_that_becomes_invalid_says_why(issue, server):
    error = {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA says no"}
    server.answer("/finalize/0", 200, {**order_of(server), "status": "invalid", "error": error})
    with pytest.raises(
        TlsError,
        match=r": CAA says no \(caa\); have the CAA records of the domain allow this CA, or choose another issuer$",
    ):
        issue()


FOREIGN = [
    {"type": "dns", "value": "../../../etc/cron.d/x;$(id)"},
    {"type": "dns", "value": "bank.example"},
    {"type": "dns", "value": "shop.www.example.org"},
    {"type": "dns", "value": "org"},
    {"type": "dns", "value": "*.example.org"},
    {"type": "ip", "value": "192.0.2.1"},
    {"type": "dns", "value": ["www.example.org"]},
    {"type": "dns"},
]


@pytest.mark.parametrize("identifier", FOREIGN, ids=str)
@pytest.mark.parametrize("state", ["pending", "valid"])
def test_an_authorization_for_a_name_outside_the_order_is_refused_before_anything_is_shown(
    issue, server, tmp_path, identifier, state
):
    challenge = {"type": "http-01", "url": f"{server.base}/challenge/0.1", "token": "abc", "status": "pending"}
    foreign = {"status": state, "identifier": identifier, "challenges": [challenge]}
    server.answer("/authorization/0.1", 200, foreign)
    script = tmp_path / "show"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/shown\n")
    script.chmod(0o755)
    program = [str(script)]
    issue.solver = {"type": "command", "challenge": "http-01", "present": program, "clean_up": program}
    with pytest.raises(
        TlsError, match=f"{ABOUT}: the CA wants .* to be validated, which is none of the order; nothing is shown"
    ):
        issue()
    assert not (tmp_path / "shown").exists() and server.count("/challenge/") == 0


def test_the_der_that_is_sent_is_that_of_the_request_that_was_checked(issue, server):
    with pytest.raises(TlsError, match="more than one request"):
        issue(csr=b"MIIBAg==\n" + CSR)
    assert server.certificates == []


@pytest.mark.parametrize("state", ["deactivated", "expired", "revoked", "invalid"])
def test_an_authorization_that_is_not_valid_is_no_success(issue, server, state):
    server.status = state
    with pytest.raises(
        TlsError,
        match=rf"www\.example\.org: its authorization is {state}; example\.org: its authorization is {state}; see",
    ):
        issue()
    assert not server.certificates


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "alreadyReplaced"), (400, "malformed"), (500, "serverInternal"), (404, "unknownCertificate")],
)
def test_what_cannot_be_replaced_is_renewed_all_the_same(issue, server, status, code):
    issue()
    server.refuse("/order", code, "unknown predecessor", status, times=3 if status == 500 else 1)
    issue(csr=make_csr(some_key(1), NAMES, {}))
    assert len(server.certificates) == 2
    assert "replaces" not in server.orders[-1]


def test_a_renewal_names_its_predecessor(issue, server):
    issue()
    issue(csr=make_csr(some_key(1), NAMES, {}))
    assert "replaces" not in server.orders[0]
    assert server.orders[1]["replaces"].count(".") == 1


@pytest.mark.parametrize(
    ("names", "key", "sentence"),
    [
        (NAMES, some_key(7), "no certificate in the answer belongs to the key of the request"),
        (["www.example.net"], some_key(), "www.example.net"),
    ],
)
def test_a_wrong_certificate_is_refused_and_ordered_anew(issue, server, names, key, sentence):
    chain = to_pem(server.authority.chain(names, key))
    server.answer("/certificate/0", 200, chain, {"Content-Type": "application/pem-certificate-chain"})
    with pytest.raises(
        TlsError, match=f"^{ABOUT}: the answer of the CA is refused, and nothing is changed: .*{sentence}"
    ):
        issue()
    with pytest.raises(TlsError, match="this failed once, and is tried again from"):
        issue()
    issue.issuer.failures.clear("web1", "www")
    assert names_of(parse_chain(issue())[0]) == set(NAMES)
    assert len(server.orders) == 2


def test_an_order_for_other_names_is_refused(issue, server):
    server.answer(
        "/order",
        201,
        {"status": "pending", "identifiers": identifiers(["evil.example"])},
        {"Location": server.base + "/order/0"},
    )
    with pytest.raises(
        TlsError, match=f"^{ABOUT}: the CA made another order of it, for evil.example; see the status page of the CA$"
    ):
        issue()


def test_a_challenge_that_is_not_offered_is_told(issue, server):
    server.challenges = ["dns-01", "tls-alpn-01"]
    with pytest.raises(
        TlsError,
        match="for www.example.org the CA accepts dns-01, tls-alpn-01, and the solver of the issuer does http-01; choose another solver",
    ):
        issue()


def test_an_order_that_the_ca_has_forgotten_is_placed_again(issue, server):
    server.answer("/finalize/0", 400, {"type": "urn:ietf:params:acme:error:badCSR", "detail": "not today"})
    with pytest.raises(TlsError, match=r"not today \(badCSR\)"):
        issue()
    server.refuse("/order/0", "malformed", "no such order", 404)
    issue.issuer.failures.clear("web1", "www")
    issue()
    assert len(server.orders) == 2


def test_a_ca_that_takes_its_time_to_notice_that_all_names_are_validated_is_given_that(issue, server):
    server.refuse("/finalize/0", "orderNotReady", "not yet", 403, times=2)
    server.answer("/order/0", 200, {**order_of(server), "status": "pending"}, times=1)
    issue()
    assert len(server.orders) == 1 and server.orders[0]["status"] == "valid"


def test_an_order_that_takes_too_long_is_gone_on_with(issue, server):
    processing = {**order_of(server), "status": "processing"}
    server.answer("/finalize/0", 200, processing)
    server.answer("/order/0", 200, processing, times=20)
    with pytest.raises(
        TlsError, match=f"^{ABOUT} is not finished after 2 seconds; run this again, and it is gone on with$"
    ):
        issue(timeout="2s")
    server.next_responses["/order/0"].clear()
    server.orders[0]["status"] = "ready"
    issue()
    assert len(server.orders) == 1


def test_who_has_to_act_is_told_where(issue, server):
    server.refuse(
        "/order", "userActionRequired", "Terms of service have changed", 403, instance="https://ca.example/agreement"
    )
    with pytest.raises(
        TlsError,
        match=r"Terms of service have changed \(userActionRequired\); see https://ca.example/agreement; open that page, and do what it asks for$",
    ):
        issue()


@pytest.mark.parametrize(
    ("path", "content", "sentence"),
    [
        (
            "/directory",
            b"<html>Please log in</html>",
            r"does not answer as an ACME server does, but with '<html>Please log in</html>'; .* no proxy answers in its place",
        ),
        ("/directory", b"[]", "does not answer as an ACME server does"),
        (
            "/directory",
            {"hello": "world"},
            "is no ACME directory: it names no newOrder and newNonce; correct the directory of the issuer",
        ),
        (
            "/authorization/0.0",
            b"x" * 1200000,
            "answers with more than 1048576 bytes; see what answers in place of the CA",
        ),
        ("/certificate/0", b"<html>", "the answer of the CA is refused, and nothing is changed: "),
    ],
)
def test_what_makes_no_sense_is_told(issue, server, path, content, sentence):
    server.answer(path, 200, content, times=9)
    with pytest.raises(TlsError, match=sentence):
        issue()


def test_failures_rest_longer_and_longer(issue, server):
    waits = []
    for _number in range(5):
        server.refuse("/order", "rejectedIdentifier", "no", 403)
        with pytest.raises(TlsError, match="rejectedIdentifier"):
            issue()
        record = records(issue)[0]
        content = json.loads(record.read_text())
        left = datetime.datetime.fromisoformat(content["until"]) - datetime.datetime.now(datetime.timezone.utc)
        waits.append(round(left.total_seconds() / 60))
        content["until"] = "2020-01-01T00:00:00+00:00"
        record.write_text(json.dumps(content))
    assert waits == [1, 10, 100, 1440, 1440]
    issue()
    assert not records(issue)


def test_a_chain_leads_to_the_root_whose_name_is_at_its_top():
    authority = Authority("Issuing", above=Authority("Root"))
    chain = to_pem(authority.chain(NAMES, some_key()))
    assert leads_to(chain, "Root") and leads_to(chain, "Issuing") and not leads_to(chain, "Other Root")
    assert not leads_to(b"nonsense", "Root")


def soon():
    """Return a pattern for an hour from now, whichever minute that is."""
    moments = [
        datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=59 + minutes) for minutes in range(4)
    ]
    return "(" + "|".join(f"{moment:%Y-%m-%d %H:%M}" for moment in moments) + "):[0-9]{2} UTC"


def order_of(server):
    """Return the first order as it will be, but for its status."""
    return {
        "identifiers": identifiers(NAMES),
        "authorizations": [f"{server.base}/authorization/0.{number}" for number in range(2)],
        "finalize": f"{server.base}/finalize/0",
    }


def records(issue):
    """Return the records of failures."""
    return sorted(pathlib.Path(issue.issuer.failures.folder.path).glob("*.json"))


def test_no_account_is_made_where_hosts_do_not_answer_for_its_key(issue, server, tmp_path, monkeypatch):
    def refuse(_solver, _domains):
        raise TlsError("www.example.org answers for another ACME account; give this controller its key")

    monkeypatch.setattr(HttpSolver, "check", refuse)
    for _time in range(2):
        with pytest.raises(TlsError, match="answers for another ACME account"):
            issue()
    assert (server.count("/account"), server.count("/order")) == (0, 0)
    assert not list((tmp_path / "acme").glob("accounts/*.json"))
    monkeypatch.setattr(HttpSolver, "check", lambda _solver, _domains: None)
    assert issue() and server.count("/account") == 1


def test_hosts_are_asked_for_the_key_with_which_the_account_is_made(issue, monkeypatch):
    thumbprints = []
    monkeypatch.setattr(HttpSolver, "check", lambda solver, _domains: thumbprints.append(solver.thumbprint))
    issue()
    account = issue.issuer.servers.account(issue.issuer.directories[0])
    assert thumbprints == [thumbprint(account.signer().key.key)] == [issue.issuer.thumbprint()]
