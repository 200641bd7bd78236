# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orders that the CA would refuse by CAA records. The ACME server and the name servers run on the loopback network."""

from __future__ import annotations

import time

import dns.rcode
import dns.rdatatype
import pytest
from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import directories, preflight
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import (
    CAA_IDENTITIES,
    WELL_KNOWN,
    preflight_mode,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight import checks
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http import HttpSolver
from ansible_collections.evergreen.tls.tests.unit.acme_server import running_acme_server
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, name_of

NAMES = ("www.example.org", "example.org")
CSR = make_csr(some_key(), NAMES, {})
IDENTITY = "ca.example"

pytestmark = pytest.mark.usefixtures("hurry")


@pytest.fixture
def warnings(monkeypatch):
    shown = []
    monkeypatch.setattr(Display, "warning", lambda _self, text, **_options: shown.append(text))
    return shown


@pytest.fixture
def zone(here):
    here.zone("org")
    return here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))


@pytest.fixture
def issue(server, here, zone, tmp_path, monkeypatch):
    """Return a function that has a certificate issued by a CA whose identity is known."""
    monkeypatch.setitem(CAA_IDENTITIES, server.url, (IDENTITY,))

    def issued(step="issue", solver=None, **settings):
        solver = {"type": "http", "check": False, "resolvers": [f"{RESOLVER}:{here.port}"], **(solver or {})}
        solver = {key: value for key, value in solver.items() if value is not None}
        settings = {"preflight": "refuse", "directory": server.url, "ca_file": server.ca_file, **settings}
        settings = {key: value for key, value in settings.items() if value is not None}
        issuer = open_issuer(
            "ca", {"ca": {"type": "acme", "solver": solver, "folder": str(tmp_path / "acme"), **settings}}
        )
        issued.issuer = issuer
        request = {"name": "www", "domains": list(NAMES), "issuer": "ca", "type": "ECC"}
        return getattr(issuer, step)(request, CSR, "web1")

    return issued


def set_caa(zone, *values, owner="example.org"):
    zone.records[name_of(owner), dns.rdatatype.CAA] = set(values)


@pytest.mark.parametrize("step", ["issue", "begin_order"])
def test_an_order_that_caa_forbids_is_not_placed(issue, server, zone, step):
    set_caa(zone, '0 issue "other.example"')
    with pytest.raises(TlsError) as caught:
        issue(step)
    assert str(caught.value) == (
        f"the CAA records of example.org do not let {server.url} issue certificates for www.example.org, example.org "
        '(CAA 0 issue "other.example"); add: example.org. CAA 0 issue "ca.example"; nothing is ordered; set preflight of the issuer to '
        "warn if the CA sees other records than this controller"
    )
    assert (server.count("/order"), server.orders) == (0, [])
    set_caa(zone, '0 issue "other.example"', f'0 issue "{IDENTITY}"')
    issue(step)
    assert len(server.orders) == 1, "it does not rest for a while: nothing was spent"


def test_a_resumed_order_is_not_checked_again(issue, server, zone):
    issue("begin_order")
    set_caa(zone, '0 issue ";"')
    assert names_of(parse_chain(issue())[0]) == set(NAMES)
    assert len(server.orders) == 1


def test_a_warning_is_enough_for_those_who_want_that(issue, server, zone, warnings):
    set_caa(zone, '0 issue ";"')
    issue(preflight="warn")
    [text] = warnings
    assert text.startswith("the CAA records of example.org do not let ") and len(server.orders) == 1


@pytest.mark.parametrize("off", ["off", False, None])
def test_nothing_is_asked_where_it_is_off_which_is_the_default_for_private_cas(
    issue, here, server, zone, off, warnings
):
    set_caa(zone, '0 issue ";"')
    issue(preflight=off)
    assert (len(server.orders), here.resolver.queries, warnings) == (1, [], [])


def test_another_word_is_refused(issue):
    with pytest.raises(TlsError, match="preflight must be one of: refuse, warn, off, got: maybe"):
        issue(preflight="maybe")


def test_the_default_is_to_refuse_at_well_known_directories():
    assert {preflight_mode(None, url) for url in WELL_KNOWN.values()} == {"refuse"}
    assert preflight_mode(None, "https://ca.example.org/acme/directory") == "off"
    assert preflight_mode("warn", WELL_KNOWN["letsencrypt"]) == preflight_mode("warn", "https://ca.example") == "warn"


def test_a_well_known_directory_is_checked_without_a_setting(issue, server, zone, monkeypatch):
    monkeypatch.setitem(directories.WELL_KNOWN, "of the test", server.url)
    set_caa(zone, '0 issue ";"')
    with pytest.raises(TlsError, match="nothing is ordered"):
        issue(preflight=None)
    assert server.orders == []


def test_the_identity_that_the_directory_announces_comes_first(issue, server, zone):
    server.meta = {"caaIdentities": ["announced.example", "second.example"]}
    set_caa(zone, f'0 issue "{IDENTITY}"')
    with pytest.raises(TlsError, match='add: example.org. CAA 0 issue "announced.example"; nothing is ordered'):
        issue()
    set_caa(zone, '0 issue "announced.example"')
    issue()
    assert len(server.orders) == 1


def test_a_ca_of_which_no_identity_is_known_is_not_checked(issue, here, server, zone, monkeypatch, warnings):
    monkeypatch.delitem(CAA_IDENTITIES, server.url)
    set_caa(zone, '0 issue ";"')
    issue()
    assert (len(server.orders), here.resolver.queries, warnings) == (1, [], [])


def test_the_account_of_a_record_is_compared_once_there_is_one(issue, server, zone, warnings):
    set_caa(zone, f'0 issue "{IDENTITY}; accounturi=https://elsewhere.example/1"')
    issue("begin_order")
    assert (len(server.orders), warnings) == (1, []), "there was no account to compare with"
    server.orders[0]["authorizations"] = ["invalid"] * len(NAMES)
    with pytest.raises(TlsError) as caught:
        issue("begin_order")
    [url] = issue.issuer.accounts().values()
    assert f'they name another ACME account; add: example.org. CAA 0 issue "{IDENTITY}; accounturi={url}"' in str(
        caught.value
    )
    set_caa(zone, f'0 issue "{IDENTITY}; accounturi={url}"')
    issue("begin_order")
    assert len(server.orders) == 2


def test_the_method_of_the_solver_counts(issue, server, zone):
    set_caa(zone, f'0 issue "{IDENTITY}; validationmethods=dns-01"')
    with pytest.raises(TlsError, match="they name other methods than http-01; add it to validationmethods"):
        issue()
    set_caa(zone, f'0 issue "{IDENTITY}; validationmethods=dns-01,http-01"')
    issue()
    assert len(server.orders) == 1


@pytest.mark.parametrize(
    "solver",
    [
        {"type": "webroot"},
        {"type": "command", "present": "true", "challenge": "http-01", "check": None},
    ],
)
def test_each_solver_has_resolvers_for_it(issue, server, zone, solver):
    set_caa(zone, '0 issue ";"')
    with pytest.raises(TlsError, match="nothing is ordered"):
        issue("begin_order", solver=solver)


def test_the_next_directory_is_asked_for_what_caa_forbids_at_the_first(
    issue, server, zone, tmp_path, warnings, monkeypatch
):
    set_caa(zone, '0 issue "second.example"')
    other = tmp_path / "other"
    other.mkdir()
    with running_acme_server(other) as second:
        monkeypatch.setitem(CAA_IDENTITIES, second.url, ("second.example",))
        both = [server.url, {"directory": second.url, "ca_file": second.ca_file}]
        assert names_of(parse_chain(issue(directories=both))[0]) == set(NAMES)
        assert (len(server.orders), len(second.orders)) == (0, 1)
    assert [text for text in warnings if "Asking the next directory of ca" in text]


def test_a_resolver_that_fails_costs_no_certificate(issue, server, here, warnings):
    here.resolver.status = dns.rcode.SERVFAIL
    issue()
    assert len(server.orders) == 1
    [text] = warnings
    assert (
        text.startswith("the CAA records of www.example.org, example.org are not known: ")
        and "; see that they run" in text
    )


def test_a_resolver_that_is_silent_costs_no_certificate(issue, server, here, warnings, monkeypatch):
    monkeypatch.setattr(preflight, "PREFLIGHT_TIMEOUT_S", 0.3)
    here.resolver.silent = True
    started = time.monotonic()
    issue()
    assert len(server.orders) == len(warnings) == 1 and time.monotonic() - started < 5


@pytest.mark.parametrize("name", checks.CHECKS)
def test_a_check_that_fails_costs_no_certificate(issue, server, warnings, monkeypatch, name):
    def broken(_subject):
        raise ZeroDivisionError("by chance")

    monkeypatch.setitem(checks.CHECKS, name, broken)
    issue()
    assert len(server.orders) == 1
    [text] = warnings
    assert text.startswith(f"the check {name} before the order failed: ")


def test_lets_encrypt_knows_an_account_by_its_address_of_acme_v1_too():
    url = "https://acme-v02.api.letsencrypt.org/acme/acct/12"
    assert preflight.account_urls(url) == (url, "https://acme-v01.api.letsencrypt.org/acme/reg/12")
    assert preflight.account_urls(None) == ()
    for other in ("https://ca.example/acme/acct/12", f"{url}/3", f"{url}\n", url.replace("v02", "staging-v02")):
        assert preflight.account_urls(other) == (other,)


def test_each_identity_belongs_to_a_well_known_directory():
    assert set(CAA_IDENTITIES) == set(WELL_KNOWN.values()) - {WELL_KNOWN["litessl"]}
    assert all(identity == identity.lower() for identities in CAA_IDENTITIES.values() for identity in identities)


def find_obstacles(server, here, tmp_path, **settings):
    solver = {"type": "http", "check": False, "resolvers": [f"{RESOLVER}:{here.port}"]}
    settings = {"directory": server.url, "ca_file": server.ca_file, "folder": str(tmp_path / "acme"), **settings}
    issuer = open_issuer("ca", {"ca": {"type": "acme", "solver": solver, **settings}})
    request = {"name": "www", "domains": list(NAMES), "issuer": "ca", "type": "ECC"}
    return issuer.find_obstacles(request, "web1", time.monotonic() + 10)


def test_obstacles_are_found_without_an_account_a_key_or_a_file(server, here, zone, tmp_path, monkeypatch):
    monkeypatch.setitem(CAA_IDENTITIES, server.url, (IDENTITY,))
    set_caa(zone, '0 issue "other.example"')
    findings = find_obstacles(server, here, tmp_path)
    [caa] = [finding for finding in findings if finding.code.startswith("caa")]
    assert caa.severity == "blocks" and 'add: example.org. CAA 0 issue "ca.example"' in caa.sentence
    assert not (tmp_path / "acme").exists()
    assert (server.count("/account"), server.count("/order")) == (0, 0)


def test_an_accounturi_cannot_be_compared_before_there_is_an_account(server, here, zone, tmp_path, monkeypatch):
    monkeypatch.setitem(CAA_IDENTITIES, server.url, (IDENTITY,))
    set_caa(zone, f'0 issue "{IDENTITY}; accounturi=https://ca.example/acct/1"')
    codes = {finding.code: finding.severity for finding in find_obstacles(server, here, tmp_path)}
    assert codes["caa.account"] == "note"


def test_a_ca_that_does_not_answer_is_a_finding(server, here, tmp_path):
    finding, *checked, limits = find_obstacles(server, here, tmp_path, directory="https://127.0.0.1:1/directory")
    assert (limits.severity, limits.code) == ("note", "limits")
    assert (finding.severity, finding.code) == ("unknown", "account.directory")
    assert "https://127.0.0.1:1/directory" in finding.sentence
    assert checked and not any(one.code.startswith("account") for one in checked)
    assert not (tmp_path / "acme").exists()


def test_names_caa_and_the_way_are_checked_where_the_ca_does_not_answer(server, here, zone, tmp_path, monkeypatch):
    silent = "https://127.0.0.1:1/directory"
    monkeypatch.setitem(CAA_IDENTITIES, silent, (IDENTITY,))
    monkeypatch.setitem(WELL_KNOWN, "silent", silent)
    set_caa(zone, '0 issue "other.example"')
    findings = find_obstacles(server, here, tmp_path, directory=silent)
    codes = {finding.code: finding for finding in findings}
    assert {"account.directory", "names", "caa.ca", "http.off", "limits"} <= set(codes)
    assert codes["caa.ca"].severity == "blocks" and IDENTITY in codes["caa.ca"].sentence
    assert not any(code.endswith(".failed") for code in codes)


def test_a_private_ca_has_no_obstacles_and_a_public_one_has_those_of_names(tmp_path):
    request = {"name": "www", "domains": ["co.uk"], "issuer": "shop", "type": "ECC"}
    settings = {"type": "manual", "directory": str(tmp_path)}
    for rules, severity in (("private", "fine"), ("public", "blocks")):
        issuer = open_issuer("shop", {"shop": {**settings, "rules": rules}})
        [finding] = issuer.find_obstacles(request, "web1", time.monotonic() + 1)
        assert finding.severity == severity


def test_an_order_that_is_put_off_asks_neither_name_servers_nor_hosts(issue, here, server, monkeypatch):
    checked = []
    monkeypatch.setattr(HttpSolver, "check", lambda _solver, domains: checked.append(domains))
    issue(limits={"exact_set": 1}, preflight="warn")
    questions, orders = len(here.resolver.queries), len(server.orders)
    assert questions and checked == [list(NAMES)], "the first order is checked"
    request = {"name": "www", "domains": list(NAMES), "issuer": "ca", "type": "ECC"}
    with pytest.raises(TlsError, match="the order is put off until"):
        issue.issuer.issue(request, make_csr(some_key(), NAMES, {}), "web2")
    assert (len(here.resolver.queries), len(checked), len(server.orders)) == (questions, 1, orders)


def expected(server, here, tmp_path, is_deployed=False, **settings):
    solver = {"type": "http", "resolvers": [f"{RESOLVER}:{here.port}"]}
    settings = {"directory": server.url, "ca_file": server.ca_file, "folder": str(tmp_path / "acme"), **settings}
    issuer = open_issuer("ca", {"ca": {"type": "acme", "solver": solver, **settings}})
    request = {"name": "www", "domains": list(NAMES), "issuer": "ca", "type": "ECC"}
    return issuer.expected_refusals(request, "web1", is_deployed)


def test_check_mode_says_what_would_be_refused_and_writes_nothing(server, here, zone, tmp_path, monkeypatch):
    monkeypatch.setitem(CAA_IDENTITIES, server.url, (IDENTITY,))
    set_caa(zone, '0 issue "other.example"')
    sentences = expected(server, here, tmp_path, preflight="refuse")
    assert next(one for one in sentences if "CAA" in one).startswith(
        "an order would be refused: the CAA records of example.org"
    )
    assert not (tmp_path / "acme").exists() and server.count("/order") == 0


def test_the_answers_of_hosts_count_in_check_mode_once_they_are_deployed(server, here, tmp_path):
    here.zone("org")
    here.zone("example.org", ("www.example.org", "A", "127.0.0.99"), ("example.org", "A", "127.0.0.99"))
    before = expected(server, here, tmp_path, preflight="warn")
    after = expected(server, here, tmp_path, is_deployed=True, preflight="warn")
    assert not any("127.0.0.99" in one for one in before)
    assert any("cannot be reached" in one for one in after)


def test_check_mode_does_not_look_where_preflight_is_off(server, here, zone, tmp_path):
    set_caa(zone, '0 issue ";"')
    assert expected(server, here, tmp_path, preflight="off") == expected(server, here, tmp_path) == []
    assert here.resolver.queries == []
