# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which CAs may issue for a name. The name servers are real ones, on the loopback network."""

from __future__ import annotations

import random
import re

import dns.rcode
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import (
    LENIENT_RULES,
    STRICT_RULES,
    UNKNOWN_ACCOUNT,
    CaaIssuer,
    CaaRecord,
    CaaSet,
    check_caa,
    find_caa_set,
    refusal_reason,
    refusal_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER

CA = CaaIssuer(("sectigo.com",))
ACCOUNT = "https://ca.example/acct/12"
OURS = CaaIssuer(("ca.example",), (ACCOUNT,), "dns-01")


@pytest.fixture
def client(here):
    return DnsClient([f"{RESOLVER}:{here.port}"])


def caa(*values, owner="example.org"):
    return CaaSet(owner, [CaaRecord(int(flags), tag, text) for flags, tag, text in values])


def may_issue(records, issuer, is_wildcard, rules=STRICT_RULES):
    return refusal_reason(records, issuer, is_wildcard, rules) in (None, UNKNOWN_ACCOUNT)


def test_the_closest_set_counts_and_parents_of_it_do_not(here, client):
    here.zone(
        "example.org",
        ("example.org", "CAA", '0 issue "sectigo.com"'),
        ("sub.example.org", "CAA", '0 issue "letsencrypt.org"', '0 ISSUEWILD ";"'),
        ("www.sub.example.org", "A", "192.0.2.1"),
    )
    here.zone("org")
    assert find_caa_set(client, "www.example.org") == caa((0, "issue", "sectigo.com"))
    near = find_caa_set(client, "*.www.sub.example.org")
    assert near.owner == "sub.example.org"
    assert sorted(near.records) == [CaaRecord(0, "issue", "letsencrypt.org"), CaaRecord(0, "issuewild", ";")]


def test_a_name_without_records_may_have_certificates_of_any_ca(here, client):
    here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))
    here.zone("org")
    found = find_caa_set(client, "www.example.org")
    assert found == CaaSet("", []) and may_issue(found, CA, is_wildcard=False)


def test_an_alias_has_the_records_of_what_it_stands_for_and_not_those_of_the_parent_of_that(here, client):
    here.zone("example.org", ("www.example.org", "CNAME", "edge.example.net."))
    here.zone("example.net", ("edge.example.net", "A", "192.0.2.1"), ("example.net", "CAA", '0 issue ";"'))
    here.zone("org")
    assert find_caa_set(client, "www.example.org") == CaaSet("", [])
    here.zone("example.com", ("www.example.com", "CNAME", "own.example.net."))
    here.zone("own.example.net", ("own.example.net", "CAA", '0 issue "sectigo.com"'))
    assert find_caa_set(client, "www.example.com").records == [CaaRecord(0, "issue", "sectigo.com")]


def test_name_servers_that_cannot_say_are_told(here, client):
    here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))
    here.resolver.status = dns.rcode.SERVFAIL
    with pytest.raises(TlsError, match="cannot find out about www.example.org: .*see that they run"):
        find_caa_set(client, "www.example.org")


@pytest.mark.parametrize(
    ("records", "is_wildcard", "is_allowed"),
    [
        ([(0, "issue", "sectigo.com")], False, True),
        ([(0, "issue", " sectigo.com ; policy=ev")], False, True),
        ([(0, "issue", "letsencrypt.org"), (0, "issue", "sectigo.com")], False, True),
        ([(0, "issue", "letsencrypt.org")], False, False),
        ([(0, "issue", ";")], False, False),
        ([(0, "issue", "")], False, False),
        ([(0, "issue", "SECTIGO.COM")], False, False),
        ([(0, "issue", "sectigo.com")], True, True),
        ([(0, "issue", "sectigo.com"), (0, "issuewild", ";")], True, False),
        ([(0, "issue", "sectigo.com"), (0, "issuewild", ";")], False, True),
        ([(0, "issue", ";"), (0, "issuewild", "sectigo.com")], True, True),
        ([(0, "issuewild", ";")], False, True),
        ([(0, "iodef", "mailto:a@example.org")], False, True),
        ([(128, "iodef", "mailto:a@example.org")], False, True),
        ([(128, "issuemail", ";")], False, True),
        ([(0, "unknown", "x")], False, True),
        ([(128, "unknown", "x"), (0, "issue", "sectigo.com")], False, False),
    ],
)
def test_records_are_judged_as_rfc_8659_says(records, is_wildcard, is_allowed):
    assert may_issue(caa(*records), CA, is_wildcard) is is_allowed


@pytest.mark.parametrize(
    ("records", "is_allowed_by_strict", "is_allowed_by_lenient"),
    [
        ([(1, "unknown", "x"), (0, "issue", "ca.example")], False, True),
        ([(128, "unknown", "x"), (0, "issue", "ca.example")], False, False),
        ([(128, "contactemail", "a@example.org"), (0, "issue", "ca.example")], False, True),
        ([(128, "issuevmc", "x"), (128, "issuemail", ";"), (128, "issue", "ca.example")], True, True),
        ([(0, "issue", "CA.example")], False, True),
        ([(0, "issue", "ca.example; own-tag=x")], False, True),
        ([(0, "issue", "ca.example; own tag=x")], False, False),
    ],
)
def test_what_cas_do_differently_is_known(records, is_allowed_by_strict, is_allowed_by_lenient):
    assert may_issue(caa(*records), OURS, False) is is_allowed_by_strict
    assert may_issue(caa(*records), OURS, False, LENIENT_RULES) is is_allowed_by_lenient


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f"ca.example; accounturi={ACCOUNT}", None),
        (f"ca.example;\taccounturi =  {ACCOUNT} ;validationmethods=http-01,dns-01", None),
        (f"ca.example; accounturi={ACCOUNT}3", "account"),
        (f"ca.example; accounturi={ACCOUNT.upper()}", "account"),
        (f"ca.example; accounturi={ACCOUNT}; accounturi={ACCOUNT}", "account"),
        ("ca.example; accounturi=", "account"),
        ("ca.example; validationmethods=dns-01", None),
        ("ca.example; validationmethods=http-01,ca-own", "method"),
        ("ca.example; validationmethods=DNS-01", "method"),
        ("ca.example; validationmethods=http 01,dns-01", "malformed"),
        ("ca.example; validationmethods=http_01,dns-01", "method"),
        ("ca.example; validationmethods=", "method"),
        ("ca.example; validationmethods=dns-01; validationmethods=dns-01", "method"),
        ("ca.example; policy=ev", None),
        ("ca.example;", None),
        ("ca.example; ;", "malformed"),
        ("ca.example; policy=ev;", "malformed"),
        ("ca.example; policy", "malformed"),
        ("ca.example; policy=\x7f", "malformed"),
        ("ca.example; policy=\ufffd", "malformed"),
        ("ca.example; accounturi=x=y", "account"),
        ("other.example; policy", "ca"),
        ("ca.example policy=ev", "ca"),
        (";", "ca"),
    ],
)
def test_parameters_are_judged_as_rfc_8657_says(value, reason):
    assert refusal_reason(caa((0, "issue", value)), OURS, False) == reason


def test_an_account_that_does_not_exist_yet_is_not_compared():
    records = caa((0, "issue", f"ca.example; accounturi={ACCOUNT}"))
    new = OURS._replace(account_urls=())
    assert refusal_reason(records, new, False) == "unknown account" and may_issue(records, new, False)
    assert refusal_sentence(records, "example.org", new, "the CA") is None
    two = caa((0, "issue", f"ca.example; accounturi={ACCOUNT}; accounturi={ACCOUNT}"))
    assert refusal_reason(two, new, False) == "account", "no account matches two"


@pytest.mark.parametrize(
    ("records", "remedy"),
    [
        (
            [(128, "unknown", "x")],
            ": CAs refuse the critical property unknown, which they do not know; remove it, or give it the flags 0",
        ),
        (
            [(0, "issue", "ca.example; validationmethods=http-01"), (0, "issue", ";")],
            ": they name other methods than dns-01; add it to validationmethods of the record of ca.example",
        ),
        (
            [(0, "issue", "ca.example; accounturi=https://ca.example/acct/1")],
            f': they name another ACME account; add: example.org. CAA 0 issue "ca.example; accounturi={ACCOUNT}"',
        ),
        (
            [(0, "issue", "ca.example; x")],
            (
                ": the parameters of the record of ca.example are malformed; write each as tag=value, or use: "
                'example.org. CAA 0 issue "ca.example"'
            ),
        ),
    ],
)
def test_each_reason_has_its_remedy(records, remedy):
    assert refusal_sentence(caa(*records), "example.org", OURS, "the CA").endswith(f"){remedy}")


# -- a second implementation, which reads RFC 8659 and RFC 8657 in another way ------------------------------------------

PARAMETER = r"[ \t]*[A-Za-z0-9]*[ \t]*=[ \t]*[\x21-\x3a\x3c-\x7e]*[ \t]*"
WELL_FORMED = re.compile(rf"[^;]*(;[ \t]*|(;{PARAMETER})*)")


def allows(value):
    """Say whether one value of issue allows OURS."""
    if not WELL_FORMED.fullmatch(value) or re.match(r"[^;]*", value)[0].strip(" \t") != "ca.example":
        return False
    methods = re.findall(r";[ \t]*validationmethods[ \t]*=[ \t]*([^; \t]*)", value)
    accounts = re.findall(r";[ \t]*accounturi[ \t]*=[ \t]*([^; \t]*)", value)
    is_method_right = methods == [] or (
        len(methods) == 1 and re.fullmatch("([A-Za-z0-9-]+,)*dns-01(,.*)?", methods[0]) is not None
    )
    return is_method_right and accounts in ([], [ACCOUNT])


def allows_all(records, is_wildcard):
    if any(
        flags % 2 or flags >= 128
        for flags, tag, _value in records
        if not re.fullmatch("issue(wild|mail|vmc)?|iodef", tag)
    ):
        return False
    values = {tag: [value for _flags, one, value in records if one == tag] for tag in ("issue", "issuewild")}
    chosen = values["issuewild"] if is_wildcard and values["issuewild"] else values["issue"]
    return not chosen or any(map(allows, chosen))


def random_value(chance):
    pieces = [
        "ca.example",
        "ca.example",
        ";",
        ";",
        " ",
        "\t",
        "=",
        "x",
        "_",
        "accounturi",
        "validationmethods",
        ACCOUNT,
    ]
    pieces += ["; ", "; ", "dns-01", "http-01", ",", "\x7f", "other.example", f"; accounturi={ACCOUNT}", "; policy=ev"]
    pieces += ["; validationmethods=dns-01", "; validationmethods=http-01,dns-01"]
    start = chance.choice(["ca.example", "ca.example", "", " ca.example ", "other.example"])
    return start + "".join(chance.choice(pieces) for _piece in range(chance.randrange(5)))


def test_a_second_implementation_agrees_on_20_000_sets():
    chance = random.Random(8659)
    counts = {True: 0, False: 0}
    tags = ["issue", "issue", "issue", "issuewild", "iodef", "issuemail", "unknown"]
    for _number in range(20_000):
        records = [
            (chance.choice([0, 0, 0, 1, 2, 64, 128, 255]), chance.choice(tags), random_value(chance))
            for _record in range(chance.randrange(4))
        ]
        is_wildcard = chance.random() < 0.5
        expected = allows_all(records, is_wildcard)
        assert may_issue(caa(*records), OURS, is_wildcard) is expected, records
        counts[expected] += 1
    assert min(counts.values()) > 2000


def test_a_refusal_shows_the_records_and_names_the_one_to_add():
    records = caa((0, "issue", "letsencrypt.org"), (0, "issuewild", ";\x1b[2J"))
    with pytest.raises(TlsError) as caught:
        check_caa(records, "*.example.org", CA.identities, "free certificates")
    text = str(caught.value)
    assert text.startswith(
        "the CAA records of example.org do not let the CA of free certificates issue certificates for *.example.org ("
    )
    assert 'CAA 0 issue "letsencrypt.org"' in text and "\x1b" not in text
    assert text.endswith('; add: example.org. CAA 0 issuewild "sectigo.com"')
    with pytest.raises(TlsError, match='add: example.org. CAA 0 issue "sectigo.com"$'):
        check_caa(records, "www.example.org", CA.identities, "free certificates")
