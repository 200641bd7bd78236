# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The issuer acme against Pebble, which refuses every fifth nonce."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import os
import re
import shutil
import signal
import stat
import urllib.parse

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action.acme_account import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    fingerprint,
    not_after,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    issuer_name,
    subject_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import check_issued_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import registry
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import first_renewals, retries
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.client import Client
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_info import certificate_id
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import issue_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, new_key, openssl, some_key
from ansible_collections.evergreen.tls.tests.unit.pebble import failing_proxy, running_pebble
from ansible_collections.evergreen.tls.tests.unit.servers import closed_port

NAMES = ("www.example.org", "example.org")
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def pebble(tmp_path_factory):
    with running_pebble(tmp_path_factory.mktemp("pebble"), environment={"PEBBLE_ALTERNATE_ROOTS": "2"}) as (
        server,
        hosts,
    ):
        server.hosts = hosts
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "acme"


@pytest.fixture
def acme(pebble, folder):
    """Return a function that opens an issuer, which the hosts know."""

    def opened(**settings):
        issuer = open_issuer("pebble", {"pebble": {**settings_for(pebble, folder), **settings}})
        pebble.hosts.thumbprint, pebble.hosts.silent = issuer.thumbprint(), set()
        return issuer

    return opened


def settings_for(pebble, folder):
    return {
        "type": "acme",
        "directory": pebble.url,
        "ca_file": pebble.ca_file,
        "folder": str(folder),
        "profile": "default",
        "solver": {"type": "http", "check": False},
    }


def request(names=NAMES, name="www"):
    return {"name": name, "domains": list(names), "issuer": "pebble", "type": "ECC"}


def csr(names=NAMES, key=None):
    return make_csr(key or new_key(), names, {})


def test_a_certificate_is_issued_that_clients_accept(acme, pebble, tmp_path):
    key = new_key()
    chain = acme().issue(request(), csr(key=key), "web1")
    check_issued_chain(chain, key.public_key(), request(), pebble.root(), datetime.datetime.now(datetime.timezone.utc))
    (tmp_path / "root.pem").write_bytes(pebble.root())
    (tmp_path / "chain.pem").write_bytes(chain)
    (tmp_path / "leaf.pem").write_bytes(chain)
    verified = openssl(
        tmp_path, "verify", "-CAfile", "root.pem", "-untrusted", "chain.pem", "-verify_hostname", NAMES[0], "leaf.pem"
    )
    assert b"leaf.pem: OK" in verified


def test_the_account_key_is_closed_to_others_and_made_once(acme, folder):
    issuer = acme()
    assert issuer.thumbprint() == acme().thumbprint()
    assert stat.S_IMODE(os.stat(folder / "account.key").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_the_account_key_may_come_out_of_a_variable(acme, folder, pebble):
    key = new_key("RSA")
    issuer = acme(account_key=key_pem(key).decode())
    issuer.issue(request(), csr(), "web1")
    assert not (folder / "account.key").exists()
    with pytest.raises(TlsError, match="is the variable account_key of the issuer, which nothing here can change"):
        issuer.change_key()


def test_a_key_that_others_can_read_is_refused(acme, folder):
    acme()
    (folder / "account.key").chmod(0o640)
    with pytest.raises(
        TlsError, match="account.key can be read by others; .* Run chmod 0600 on it, and change the key"
    ):
        acme()


@pytest.mark.parametrize(
    ("pem", "sentence"),
    [
        ("nonsense", "account_key of the issuer holds no private key in PEM that can be read"),
        (key_pem(new_key("Ed25519")).decode(), "is neither an RSA key nor an ECC key on secp256r1 or secp384r1"),
    ],
)
def test_a_key_that_is_none_is_refused(pebble, folder, pem, sentence):
    with pytest.raises(TlsError, match=sentence):
        open_issuer("pebble", {"pebble": {**settings_for(pebble, folder), "account_key": pem}}).thumbprint()


def test_twenty_forks_at_once_make_one_account(acme, pebble):
    issuer, before = acme(), accounts_of(pebble)
    children = [forked(issuer.accounts) for _number in range(20)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 20
    assert accounts_of(pebble) == before + 1
    assert len(set(issuer.accounts().values())) == 1


def test_an_account_that_the_ca_has_forgotten_is_made_again(acme, folder):
    (url, address), issuer = next(iter(acme().accounts().items())), acme()
    record = next((folder / "accounts").glob("*.json"))
    record.write_text(record.read_text().replace(address, address + "0000"))
    issuer.issue(request(), csr(), "web1")
    assert json.loads(record.read_text())["account"] == address
    assert url == issuer.directories[0].url


def test_the_contact_is_what_the_issuer_says(acme, folder):
    first = acme(email="ops@example.org").accounts()
    assert acme(email=["ops@example.org", "night@example.org"]).accounts() == first
    record = json.loads(next((folder / "accounts").glob("*.json")).read_text())
    assert record["contact"] == ["mailto:ops@example.org", "mailto:night@example.org"]


def test_a_contact_that_the_ca_rejects_is_reported_in_its_words(acme):
    with pytest.raises(TlsError, match=r"making an account at .*\(invalidContact\); correct the email of the issuer"):
        acme(email="ops@").accounts()


def test_who_does_not_agree_is_shown_what_to(acme):
    with pytest.raises(
        TlsError, match="makes accounts for those who agree to data:.*set terms_of_service_agreed of the issuer to true"
    ):
        acme(terms_of_service_agreed=False).accounts()


def test_the_accounts_change_over_to_another_key(acme, pebble, folder):
    issuer = acme()
    old, accounts = issuer.thumbprint(), issuer.accounts()
    new = issuer.change_key()
    assert new != old and acme().thumbprint() == new and acme().accounts() == accounts
    assert not (folder / "account.key.next").exists()
    acme().issue(request(), csr(), "web1")


def test_a_change_of_the_key_that_was_interrupted_goes_on(acme, folder, pebble):
    issuer = acme()
    accounts = issuer.accounts()
    record = next((folder / "accounts").glob("*.json"))
    before = record.read_bytes()
    issuer.keys.change = lambda: None
    issuer.change_key()  # and killed before the new key has its place
    record.write_bytes(before)  # and before it was written down which key the CA knows
    new = acme().change_key()
    assert acme().accounts() == accounts
    pebble.hosts.thumbprint = new
    acme().issue(request(), csr(), "web1")


def test_a_ca_with_customers_needs_an_external_account_binding(tmp_path, folder):
    hmac = base64.urlsafe_b64encode(b"0123456789abcdef0123456789abcdef").decode().rstrip("=")
    with running_pebble(tmp_path, eab={"customer": hmac}) as (pebble, hosts):

        def opened(**settings):
            issuer = open_issuer("pebble", {"pebble": {**settings_for(pebble, folder), **settings}})
            hosts.thumbprint = issuer.thumbprint()
            return issuer

        with pytest.raises(
            TlsError, match="makes accounts for its customers only; set eab_kid and eab_hmac of the issuer"
        ):
            opened().accounts()
        with pytest.raises(TlsError, match="of eab_kid and eab_hmac one is missing; write both"):
            opened(eab_kid="customer")
        with pytest.raises(TlsError, match="eab_hmac of the issuer is not base64url; copy it again"):
            opened(eab_kid="customer", eab_hmac="%%%").accounts()
        with pytest.raises(
            TlsError,
            match=r"making an account at .*not known.* \(unauthorized\); correct eab_kid and eab_hmac of the issuer, or",
        ):
            opened(eab_kid="stranger", eab_hmac=hmac).accounts()
        opened(eab_kid="customer", eab_hmac=hmac).issue(request(), csr(), "web1")


def test_a_request_that_comes_again_gets_the_same_certificate(acme, pebble):
    wanted, before = csr(), issued_by(pebble)
    chain = acme().issue(request(), wanted, "web1")
    assert acme().issue(request(), wanted, "web1") == chain
    assert issued_by(pebble) == before + 1


def test_a_request_gets_another_certificate_once_the_first_is_kept(acme, pebble):
    issuer, wanted = acme(), csr()
    chain = issuer.issue(request(), wanted, "web1")
    for _time in range(2):  # once more for each time that it is asked for
        issuer.record(request(), parse_chain(chain), "web1")
    assert acme().issue(request(), wanted, "web1") != chain


def test_a_request_whose_answer_is_kept_is_not_ordered_again(acme, pebble):
    key, before = new_key(), issued_by(pebble)
    wanted, settings = csr(key=key), {"name": "www", "domains": list(NAMES), "issuer": "pebble"}
    complete = complete_request(
        {**ArgumentSpecValidator(REQUEST_SPEC["options"]).validate(settings).validated_parameters}
    )
    first = issue_once(acme(), complete, wanted, "web1")
    second = issue_once(acme(), complete, wanted, "web1")
    assert first.is_new and not second.is_new and first.chain == second.chain
    assert issued_by(pebble) == before + 1
    third = issue_once(acme(), complete, wanted, "web1", in_use=fingerprint(first.chain[0]))
    assert third.is_new and third.chain != first.chain
    assert issued_by(pebble) == before + 2


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("step", "time"),
    [
        ("dir", 1),
        ("order-plz", 1),
        ("authZ", 1),
        ("authZ", 3),
        ("chalZ", 1),
        ("chalZ", 2),
        ("my-order", 1),
        ("finalize-order", 1),
        ("certZ", 1),
    ],
)
def test_a_run_that_is_killed_at_any_step_buys_nothing_twice(acme, pebble, step, time, moment):
    issuer, wanted, before = acme(), csr(), issued_by(pebble)

    def doomed():
        kill_at(step, time, moment)
        issuer.issue(request(), wanted, "web1")

    assert os.WIFSIGNALED(os.waitpid(forked(doomed), 0)[1])
    chain = acme().issue(request(), wanted, "web1")
    assert names_of(parse_chain(chain)[0]) == set(NAMES)
    assert issued_by(pebble) == before + 1


STEPS = (
    "directory newNonce newAccount newOrder authorization challenge validation finalize issuance certificate".split()
)


@pytest.mark.parametrize(
    "rule",
    [
        {"do": "cut", "moment": "before"},
        {"do": "cut", "moment": "after"},
        {"do": "halve", "moment": "after"},
        {"do": "refuse", "moment": "before"},
        {"do": "refuse", "moment": "after"},
        {"do": "refuse", "status": 503, "wait": 1},
    ],
    ids=lambda rule: " ".join(map(str, rule.values())),
)
def test_whatever_fails_once_at_every_step_costs_no_second_certificate(acme, pebble, rule):
    before = issued_by(pebble)
    with failing_proxy(pebble) as proxy:
        proxy.follow([{**rule, "step": step, "times": 1} for step in STEPS])
        chain = acme(directory=proxy.url).issue(request(), csr(), "web1")
        assert {entry["step"] for entry in proxy.seen if "done" in entry} >= {*STEPS} - {"issuance"}
    assert names_of(parse_chain(chain)[0]) == set(NAMES)
    assert issued_by(pebble) == before + 1


def test_a_renewal_says_what_it_replaces(acme, pebble):
    issuer = acme()
    first = parse_chain(issuer.issue(request(), csr(), "web1"))[0]
    before = pebble.count("is a replacement of")
    issuer.issue(request(["www.example.org"]), csr(["www.example.org"]), "web1")
    assert pebble.count("is a replacement of") == before + 1
    assert certificate_id(first) not in issuer.renewals.current("web1", "www")
    issuer.issue(request(), csr(), "web2")  # which has none yet
    assert pebble.count("is a replacement of") == before + 1


def test_what_was_replaced_before_is_renewed_all_the_same(acme, pebble):
    issuer = acme()
    first = parse_chain(issuer.issue(request(), csr(), "web1"))[0]
    issuer.issue(request(), csr(), "web1")
    with issuer.renewals._edit("web1", "www") as entries:  # as another controller remembers it
        for name, entry in entries.items():
            entry["replaced"] = name != certificate_id(first)
    before = pebble.count("is a replacement of")
    issuer.issue(request(), csr(), "web1")
    assert pebble.count("is a replacement of") == before


def test_one_name_of_five_that_fails_is_named_and_the_request_rests(acme, pebble):
    names = [f"{word}.example.org" for word in ("one", "two", "three", "four", "five")]
    issuer = acme()
    pebble.hosts.silent = {"four.example.org"}
    with pytest.raises(
        TlsError,
        match=r"the order for one.*: four\.example\.org: .*404.* \(unauthorized\); see what answers the CA for that name, and that it is one of yours$",
    ):
        issuer.issue(request(names), csr(names), "web1")
    requests_before = len(pebble.hosts.requested_names)
    with pytest.raises(
        TlsError,
        match="this failed once, and is tried again from .* on, .*four.example.org: .*remove .* to have it tried at once",
    ):
        issuer.issue(request(names), csr(names), "web1")
    assert len(pebble.hosts.requested_names) == requests_before
    pebble.hosts.silent = set()
    issuer.issue(request(names[:3]), csr(names[:3]), "web1")  # something else may be tried at once


def test_a_name_that_the_ca_does_not_sign_for_is_reported_in_its_words(acme):
    names = ["www.blocked.example"]
    with pytest.raises(
        TlsError,
        match=r"blocked.example.* \(rejectedIdentifier\); take that name out of the request, or choose another issuer",
    ):
        acme().issue(request(names), csr(names), "web1")


def test_a_profile_that_is_not_offered_is_reported_with_those_that_are(acme):
    with pytest.raises(
        TlsError,
        match="does not offer the profile shortlived, only default; correct the profile of the issuer, or leave it out",
    ):
        acme(profile="shortlived").issue(request(), csr(), "web1")


def test_wildcards_over_http_are_refused_before_an_order_is_spent(acme, pebble):
    before = pebble.count("newOrder|new-order|order-plz")
    names = ["*.example.org"]
    with pytest.raises(TlsError, match=r"\*.example.org: CAs believe wildcards by DNS alone"):
        acme().issue(request(names), csr(names), "web1")
    assert pebble.count("newOrder|new-order|order-plz") == before


def test_addresses_get_certificates_too(acme):
    chain = acme().issue(request(["127.0.0.1"]), csr(["127.0.0.1"]), "web1")
    assert names_of(parse_chain(chain)[0]) == {"127.0.0.1"}


def test_acme_account_returns_the_accounts_and_changes_their_key(acme, pebble, folder, monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    issuers = {"pebble": settings_for(pebble, folder), "private": {"type": "local_ca"}}

    def told(check_mode=False, **arguments):
        task = Task()
        task.args, task.check_mode = {"issuer": "pebble", "issuers": issuers, **arguments}, check_mode
        return ActionModule(task, None, None, None, None, None).run(task_vars={})

    first = told()
    assert (first["thumbprint"], first["accounts"]) == (acme().thumbprint(), acme().accounts())
    assert told(check_mode=True, change_key=True) == {
        "changed": True,
        "msg": "would change the key of the accounts of pebble",
    }
    second = told(change_key=True)
    assert second["changed"] and second["accounts"] == first["accounts"] and second["thumbprint"] != first["thumbprint"]
    assert second["msg"].endswith("; run evergreen.tls.deploy, so that hosts answer challenges with it")
    assert "private is no issuer of type acme, and has no account" in told(issuer="private")["msg"]


def test_the_chain_leads_to_the_root_that_is_preferred(acme, pebble):
    roots = [subject_name(parse_chain(pebble.root(number))[0]) for number in range(3)]
    for root in roots:
        chain = acme(preferred_root=root).issue(request(), csr(), "web1")
        assert issuer_name(parse_chain(chain)[-1]) == root


def test_a_certificate_is_revoked_once(acme, pebble):
    issuer = acme()
    leaf = parse_chain(issuer.issue(request(), csr(), "web1"))[0]
    serial_number = f"{leaf.serial_number:x}"
    assert issuer.revoke(serial_number, "superseded", pretend=True) is True
    assert not pebble.is_revoked(leaf)
    assert issuer.revoke(serial_number, "superseded") is True
    assert pebble.is_revoked(leaf)
    assert issuer.revoke(serial_number, "superseded") is False
    with issuer.renewals._edit("web1", "www") as entries:  # revoked by somebody else
        entries[certificate_id(leaf)]["revoked"] = False
    assert issuer.revoke(serial_number, "superseded") is False


def test_nobody_gets_a_certificate_again_that_is_revoked(acme):
    issuer, wanted = acme(), csr()
    chain = issuer.issue(request(), wanted, "web1")
    issuer.revoke(f"{parse_chain(chain)[0].serial_number:x}", "key_compromise")
    assert issuer.issue(request(), wanted, "web1") != chain


def test_a_certificate_of_somebody_else_is_not_revoked(acme):
    with pytest.raises(
        TlsError,
        match="knows no valid certificate with the serial number abc; revoke it from the controller that ordered it",
    ):
        acme().revoke("abc", "superseded")


def test_a_certificate_whose_ca_is_unknown_is_not_revoked(acme):
    issuer, leaf = acme(), Authority("Other CA").leaf([NAMES[0]], some_key())
    issuer.renewals.add("web1", "www", leaf)  # as it was seen on the host
    with pytest.raises(TlsError, match=f"knows no valid certificate with the serial number {leaf.serial_number:x};"):
        issuer.revoke(f"{leaf.serial_number:x}", "superseded")


def test_the_ca_says_when_a_renewal_is_due_and_the_instant_is_kept(acme, pebble):
    issuer = acme()
    leaf = parse_chain(issuer.issue(request(), csr(), "web1"))[0]
    advice = issuer.advice("web1", "www")
    at = datetime.datetime.fromisoformat(advice[f"{leaf.serial_number:x}"]["at"])
    assert not_before(leaf) < at < not_after(leaf)
    assert acme().advice("web1", "www") == advice


def test_a_window_that_moves_moves_the_renewal(acme, pebble):
    issuer = acme()
    leaf = parse_chain(issuer.issue(request(), csr(), "web1"))[0]
    issuer.advice("web1", "www")
    page = "https://ca.example/incident"
    pebble.suggest(to_pem([leaf]), NOW - 2 * DAY, NOW - DAY, explanationURL=page)
    age(issuer)
    advice = issuer.advice("web1", "www")[f"{leaf.serial_number:x}"]
    assert NOW - 2 * DAY <= datetime.datetime.fromisoformat(advice["at"]) <= NOW - DAY
    assert re.fullmatch(f"127.0.0.1:{pebble.port} wants it renewed from .* UTC on; see {page}", advice["reason"])


def test_the_first_certificate_of_a_request_is_counted_for_its_day_and_later_ones_are_not(acme, folder, monkeypatch):
    monkeypatch.setattr(first_renewals, "MIN_BATCH", 0)
    first = parse_chain(acme().issue(request(), csr(), "web1"))[0]
    assert [path.name for path in (folder / "days").glob("*.json")] == [f"{not_before(first):%Y-%m-%d}.json"]
    advice = registry.advice(acme(), "web1", {"name": "www"})[f"{first.serial_number:x}"]
    assert "their first renewals are spread over several days" in advice["reason"]
    at, half = datetime.datetime.fromisoformat(advice["at"]), (not_after(first) - not_before(first)) / 2
    assert half <= at - not_before(first) <= half * 4 / 3
    for unspread in (
        registry.advice(acme(spread=False), "web1", {"name": "www"}),
        registry.advice(acme(), "web1", {"name": "www", "renew_before": "0.25"}),
    ):
        assert "wants it renewed from" in unspread[f"{first.serial_number:x}"]["reason"]
    acme().record(request(), [first], "web1")  # so that the same CSR gets another certificate
    second = parse_chain(acme().issue(request(), csr(), "web1"))[0]
    assert second.serial_number != first.serial_number
    later = registry.advice(acme(), "web1", {"name": "www"})[f"{second.serial_number:x}"]
    assert "wants it renewed from" in later["reason"]


@pytest.mark.parametrize(("start", "end"), [(2, 1), (1, 1), (100, 101)])
def test_a_window_that_makes_no_sense_is_as_if_there_were_none(acme, pebble, start, end):
    issuer = acme()
    leaf = parse_chain(issuer.issue(request(), csr(), "web1"))[0]
    pebble.suggest(to_pem([leaf]), NOW + start * DAY, NOW + end * DAY)
    assert issuer.advice("web1", "www") == {}


def test_a_certificate_that_is_seen_on_a_host_is_asked_about(acme, folder):
    leaf = parse_chain(acme().issue(request(), csr(), "web1"))[0]
    shutil.rmtree(folder / "certificates")
    assert list(acme().advice("web1", "www", leaf)) == [f"{leaf.serial_number:x}"]


def test_a_server_that_is_not_trusted_is_reported(acme):
    with pytest.raises(
        TlsError,
        match=r"the TLS of https://.* cannot be trusted: .*; correct directory, or name the root .* in ca_file of the issuer",
    ):
        acme(ca_file=None).issue(request(), csr(), "web1")


def test_variables_of_the_environment_make_nobody_trusted(acme, pebble, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, pebble.ca_file)
    with pytest.raises(TlsError, match="cannot be trusted"):
        acme(ca_file=None).accounts()


def test_a_ca_that_is_away_is_reported_and_the_next_one_asked(acme, pebble, monkeypatch):
    monkeypatch.setattr(retries, "RETRY_DELAYS_S", (0.0,))
    away = f"https://127.0.0.1:{closed_port()}/dir"
    with pytest.raises(
        TlsError,
        match=f"{away} cannot be reached: Connection refused; see that the CA runs, and that this machine may connect",
    ):
        acme(directory=away).issue(request(name="away"), csr(), "web1")
    chain = acme(directories=[away, pebble.url]).issue(request(), csr(), "web1")
    assert names_of(parse_chain(chain)[0]) == set(NAMES)


def test_what_is_no_directory_is_reported(acme, pebble):
    with pytest.raises(
        TlsError,
        match=r"is no ACME directory: it names no newOrder and newNonce|does not answer as an ACME server does|HTTP 404",
    ):
        acme(directory=f"https://127.0.0.1:{pebble.port}/nowhere").accounts()
    with pytest.raises(
        TlsError,
        match="'letsencript' is no ACME directory; write its address, which begins with https://, or one of letsencrypt, ",
    ):
        acme(directory="letsencript")


def test_a_request_that_never_succeeded_is_tried_where_it_costs_nothing(acme, pebble, tmp_path):
    with running_pebble(tmp_path) as (test, hosts):
        issuer = acme(test_directory=test.url)
        hosts.thumbprint, hosts.silent = issuer.thumbprint(), {NAMES[0]}
        before = issued_by(pebble)
        with pytest.raises(TlsError, match=f"the order for .* at {test.url}: {NAMES[0]}: "):
            issuer.issue(request(), csr(), "web1")
        assert issued_by(pebble) == before and issued_by(test) == 0
        hosts.silent = set()
        shutil.rmtree(issuer.failures.folder.path)
        issuer.issue(request(), csr(), "web1")
        issuer.issue(request(), csr(), "web1")
        assert issued_by(pebble) == before + 2 and issued_by(test) == 1


def accounts_of(pebble):
    """Return how many accounts there are."""
    return pebble.count("There are now [0-9]+ accounts in memory")


def issued_by(pebble):
    """Return how many certificates were issued."""
    return pebble.count("Issued certificate serial")


def age(issuer):
    """Have what the CA said be no longer fresh."""
    with issuer.renewals._edit("web1", "www") as entries:
        for entry in entries.values():
            entry.pop("next", None)


def forked(work):
    """Do something in a process of its own; return its id."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            work()
            status = 0
        os._exit(status)
    return pid


def kill_at(step, time, moment):
    """Have this process killed before or after it asks for something for the so manieth time, not counting refused nonces."""
    send, left = Client._exchange, time

    def watched(network, method, url, *arguments):
        nonlocal left
        is_step = urllib.parse.urlsplit(url).path.split("/")[1] == step
        if is_step and left == 1 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        reply = send(network, method, url, *arguments)
        if is_step and b":badNonce" not in reply.body:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return reply

    Client._exchange = watched


def test_an_order_beyond_the_limits_of_its_ca_is_put_off_before_the_ca_hears_of_it(acme, pebble):
    issuer = acme(limits={"exact_set": 1})
    issuer.issue(request(["put-off.example.org"]), csr(["put-off.example.org"]), "web1")
    before = issued_by(pebble)
    with pytest.raises(
        TlsError, match="issues 1 certificate a week for put-off.example.org alone, .* the order is put off until "
    ):
        issuer.issue(request(["put-off.example.org"]), csr(["put-off.example.org"]), "web2")
    assert issued_by(pebble) == before
    issuer.issue(request(["fits.example.org"]), csr(["fits.example.org"]), "web2")
    assert issued_by(pebble) == before + 1
