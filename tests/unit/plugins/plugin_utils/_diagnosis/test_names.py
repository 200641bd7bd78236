# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which names are diagnosed: those of requests, and those that no host has yet."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.names import (
    Name,
    challenge_of,
    names_alone,
    names_of_host,
    select_names,
    unreadable,
)


@pytest.fixture
def issuers(tmp_path):
    """Return the value of certificate_issuers."""
    return {
        "le": {
            "type": "acme",
            "folder": str(tmp_path / "acme"),
            "solver": {"type": "http", "resolvers": ["192.0.2.53"]},
        }
    }


def requested(issuers, **more):
    request = {"name": "www", "domains": ["www.example.org", "Example.org"], "issuer": "le"}
    return {"certificate_requests": [request], "certificate_issuers": issuers, "ansible_host": "192.0.2.3", **more}


def test_each_domain_of_each_request_is_a_name(issuers, tmp_path):
    names, faults = names_of_host("web1", requested(issuers), {})
    assert [(one.host, one.request_name, one.domain, one.issuer_name) for one in names] == [
        ("web1", "www", "www.example.org", "le"),
        ("web1", "www", "example.org", "le"),
    ]
    assert {(one.challenge, tuple(one.resolvers), one.endpoints) for one in names} == {
        ("http-01", ("192.0.2.53",), (("192.0.2.3", 443),))
    }
    assert faults == []
    assert list(tmp_path.iterdir()) == []


def test_a_host_may_have_several_endpoints_and_sites_with_http2(issuers):
    variables = requested(issuers, certificate_endpoint=["192.0.2.3", "[2001:db8::3]:8443"])
    sites = [{"name": "www"}, {"name": "old", "http2": False}, 7]
    names, _faults = names_of_host("web1", {**variables, "nginx_sites": sites}, {})
    assert [one.endpoints for one in names] == [(("192.0.2.3", 443), ("2001:db8::3", 8443))] * 2
    assert all(one.has_http2 for one in names)
    assert not any(one.has_http2 for one in names_of_host("web1", variables, {})[0])


def test_a_host_that_only_the_host_itself_may_see_is_not_looked_at(issuers):
    names, faults = names_of_host("web1", requested(issuers, certificate_verify_from="host"), {})
    assert [one.endpoints for one in names] == [(), ()]
    assert faults == []


def test_a_request_that_makes_no_sense_is_a_finding_about_that_one(issuers):
    variables = requested(issuers)
    variables["certificate_requests"] += [
        {"name": "bad", "domain": ["a.example"]},
        {"name": "x", "domains": ["b.example"], "issuer": "no"},
    ]
    names, faults = names_of_host("web1", variables, {})
    assert len(names) == 2
    assert [(one.request, one.verdict, one.order[0].code) for one in faults] == [
        ("bad", "unknown", "inventory"),
        ("x", "unknown", "inventory"),
    ]
    assert "did you mean domains?" in faults[0].order[0].sentence


def test_a_name_alone_belongs_to_the_only_issuer(issuers):
    names, faults = names_alone(["*.New.Example", "192.0.2.7", "b.example"], None, issuers, {})
    assert [(one.host, one.request_name, one.domain, one.issuer_name, one.endpoints) for one in names] == [
        ("", "", "*.new.example", "le", ()),
        ("", "", "192.0.2.7", "le", ()),
        ("", "", "b.example", "le", ()),
    ]
    assert faults == []


def test_a_name_alone_needs_no_issuer():
    assert names_alone(["new.example"], None, {}, {}) == ([Name("", "new.example")], [])


def test_one_of_several_issuers_has_to_be_chosen(issuers):
    both = {**issuers, "corporate": {"type": "local_ca"}}
    with pytest.raises(TlsError) as caught:
        names_alone(["new.example"], None, both, {})
    assert str(caught.value) == (
        "the inventory has the issuers corporate, le; choose one for names that no host has yet, with -e diagnose_issuer=NAME"
    )
    [name] = names_alone(["new.example"], "le", both, {})[0]
    assert name.issuer_name == "le"


def test_a_domain_that_is_none_is_a_finding(issuers):
    names, [malformed] = names_alone(["new.example", "a..b"], "le", issuers, {})
    assert [one.domain for one in names] == ["new.example"]
    assert (malformed.domain, malformed.verdict) == ("a..b", "refused")


@pytest.mark.parametrize(("name", "hint"), [("lee", " (did you mean le?)"), ("sectigo", ", only le, local")])
def test_an_issuer_that_is_not_there_is_named_with_its_option(issuers, name, hint):
    with pytest.raises(TlsError) as caught:
        names_alone(["new.example"], name, issuers, {})
    assert str(caught.value) == (
        f"there is no issuer named {name}{hint}; correct diagnose_issuer, or add it to certificate_issuers"
    )


def test_requests_and_domains_choose():
    request = {"name": "www", "issuer": "le"}
    names = [Name("web1", "a.example", request), Name("web1", "b.example", request)]
    names += [Name("web2", "b.example", {"name": "b", "issuer": "le"})]
    faults = [unreadable("web3", "", "no"), unreadable("web3", "bad", "no")]
    assert select_names(names, faults, [], []) == (names, faults, [])
    assert select_names(names, faults, ["b"], []) == (names[2:], [], [])
    assert select_names(names, faults, ["bad"], []) == ([], faults[1:], [])
    assert select_names(names, faults, [], ["B.example.", "new.example"]) == (names[1:], [], ["new.example"])
    assert select_names(names, faults, ["www"], ["b.example"]) == (names[1:2], [], [])


def test_a_request_that_no_host_has_is_an_error():
    with pytest.raises(TlsError) as caught:
        select_names([Name("web1", "a.example", {"name": "www", "issuer": "le"})], [], ["ww"], [])
    assert str(caught.value) == (
        "no host of this run has a request ww (there are: www); correct diagnose_requests or --limit"
    )


@pytest.mark.parametrize(
    ("solver", "challenge"),
    [
        (None, "http-01"),
        ("webroot", "http-01"),
        ("persist", "dns-persist-01"),
        ({"type": "route53"}, "dns-01"),
        ({"type": "command"}, "dns-01"),
        ({"type": "command", "challenge": "http-01"}, "http-01"),
        ({"type": []}, "dns-01"),
    ],
)
def test_a_solver_has_its_challenge(solver, challenge):
    assert challenge_of(solver) == challenge
