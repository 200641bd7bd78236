# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TXT records in zones of DNSPod. The cloud of the tests writes them into name servers on the loopback network."""

from __future__ import annotations

import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.cloud_account import with_solver_accounts
from ansible_collections.evergreen.tls.tests.unit.cloud_solver import cloud_solver, error_text, response
from ansible_collections.evergreen.tls.tests.unit.dnspod_zone import dnspod_of
from ansible_collections.evergreen.tls.tests.unit.fake_internet import name_of
from ansible_collections.evergreen.tls.tests.unit.fake_tencent import fake_tencent

RECORD = "_acme-challenge.example.org"


@pytest.fixture
def zone(here):
    return here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))


@pytest.fixture
def cloud(zone):
    dnspod = dnspod_of(zone)
    with fake_tencent(dnspod) as started:
        started.dnspod = dnspod
        yield started


def texts(zone, record=RECORD):
    return zone.records.get((name_of(record), dns.rdatatype.TXT), set())


def solver(here, cloud, **settings):
    accounts = {"main": {"type": "tencent", **cloud.account()}, "shop": {"type": "aws"}}
    return cloud_solver(here, "dnspod", accounts, **settings)


def test_a_name_and_its_wildcard_have_their_records_side_by_side(here, zone, cloud):
    cloud.dnspod.CreateTXTRecord(
        Domain="example.org", SubDomain="_acme-challenge", RecordLine="默认", Value="of others"
    )
    opened = solver(here, cloud)
    opened.check(["example.org", "*.example.org"])
    assert cloud.changes() == []
    opened.present([response("one"), response("two")])
    assert texts(zone) == {'"of others"', '"one"', '"two"'}
    opened.clean_up([response("one"), response("two")])
    assert texts(zone) == {'"of others"'}
    assert cloud.actions().count("DescribeRecordList") == 0, "the numbers are known"
    added = [parameters for _service, action, parameters in cloud.calls if action == "CreateTXTRecord"]
    assert {(one["RecordLineId"], one["TTL"], one["SubDomain"], one["Remark"]) for one in added} == {
        ("0", 600, "_acme-challenge", "evergreen.tls")
    }


def test_a_record_of_an_earlier_run_is_taken_over_and_removed(here, zone, cloud):
    for value in ("mine", "of others"):
        cloud.dnspod.CreateTXTRecord(Domain="example.org", SubDomain="_acme-challenge", RecordLine="默认", Value=value)
    opened = solver(here, cloud)
    opened.present([response("mine")])
    opened.clean_up([response("mine")])
    assert texts(zone) == {'"of others"'}


def test_records_that_were_never_added_are_no_error(here, zone, cloud):
    solver(here, cloud).clean_up([response("never")])
    assert cloud.changes() == []


def test_a_record_that_somebody_removed_is_no_error(here, zone, cloud):
    opened = solver(here, cloud)
    opened.present([response("mine")])
    cloud.dnspod.records.clear()
    opened.clean_up([response("mine")])


def test_one_removal_that_fails_does_not_keep_the_others(here, zone, cloud):
    opened = solver(here, cloud)
    opened.present([response("one"), response("two")])
    cloud.refusals["DeleteRecord"] = ["FailedOperation.DomainIsLocked", None]
    sentence = error_text(lambda: opened.clean_up([response("one"), response("two")]))
    assert sentence.endswith("; unlock the domain in the console of DNSPod")
    assert texts(zone) == {'"one"'}


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"Status": "PAUSE"}, "example.org is paused; resume it in the console of DNSPod"),
        ({"Status": "SPAM"}, "example.org is blocked by DNSPod; only its console can change this"),
        ({"DnsStatus": "dnserror"}, "set its name servers to a.dnspod.com, b.dnspod.com at the registrar"),
    ],
)
def test_a_zone_that_is_not_answered_for_is_said_before_the_order(here, zone, cloud, state, sentence):
    cloud.dnspod.zones["example.org"].update(state)
    assert sentence in error_text(lambda: solver(here, cloud).check(["example.org"]))


def test_a_zone_of_another_account_is_said_before_the_order(here, zone, cloud):
    cloud.dnspod.zones.clear()
    sentence = error_text(lambda: solver(here, cloud).check(["example.org"]))
    assert sentence.endswith("; add the domain to DNSPod, or name the account that has it")


def test_a_ttl_below_that_of_the_plan_is_said(here, zone, cloud):
    cloud.dnspod.min_ttl = 3600
    sentence = error_text(lambda: solver(here, cloud).present([response("one")]))
    assert sentence.endswith("; set the solver's ttl to what the plan of the domain allows")
    solver(here, cloud, ttl=3600).present([response("one")])
    assert texts(zone) == {'"one"'}


def test_missing_permission_names_the_action(here, zone, cloud):
    cloud.refusals["CreateTXTRecord"] = "AuthFailure.UnauthorizedOperation"
    sentence = error_text(lambda: solver(here, cloud).present([response("one")]))
    assert sentence.endswith(
        "; allow dnspod:CreateTXTRecord to the key of account main; the policy is in docs/cloud.md"
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"account": "nobody"},
            "solver dnspod: there is no account named nobody, only main, shop; add it to cloud_accounts",
        ),
        (
            {"account": "shop"},
            "account shop is of type aws, and this solver needs one of type tencent; name another account",
        ),
        ({"account": "main", "secret_id": "a"}, "there are both account and secret_id; leave one of them out"),
        ({"ttl": 0}, "ttl is 0, and DNSPod takes 1 to 604800 seconds; correct it"),
        ({"account": 5}, "account is not the name of one; add it to cloud_accounts"),
    ],
)
def test_settings_that_do_not_fit_are_said(here, cloud, settings, sentence):
    assert sentence in error_text(lambda: solver(here, cloud, **settings))


def test_a_solver_may_have_credentials_of_its_own(here, zone, cloud):
    opened = solver(here, cloud, account=None, **cloud.account())
    opened.present([response("one")])
    assert texts(zone) == {'"one"'}


def test_issuers_without_an_account_are_left_as_they_are():
    issuers = {"le": {"type": "acme", "solver": {"type": "rfc2136"}}, "odd": 5, "http": {"solver": "http"}}
    assert with_solver_accounts(issuers, lambda: pytest.fail("the accounts are not needed")) is issuers


def test_an_account_that_cannot_be_used_is_an_error_of_its_solver_alone():
    issuers = {"a": {"solver": {"type": "dnspod", "account": "gone"}}, "b": {"type": "local_ca"}}
    resolved = with_solver_accounts(issuers, dict)
    assert resolved["b"] == issuers["b"]
    assert "there is no account named gone" in resolved["a"]["solver"]["account"]["error"]
