# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records and files that a CA wants to see, at real name servers and web servers on the loopback network."""

from __future__ import annotations

import datetime
import time

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight import dns_answers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.validation import (
    check_validation,
    describe_validation,
    validation_summary,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, name_of

APEX, NAME, TARGET = "example.org", "_26a5.example.org", "abc.sectigo.com"
TWO = {"ns1.example.org": "127.0.0.2", "ns2.example.org": "127.0.0.3"}
CNAME = {"type": "dns", "name": NAME, "record": "CNAME", "value": TARGET}
TXT = {"type": "dns", "name": NAME, "record": "TXT", "value": "2026Abc"}
PATH, CONTENT = "/.well-known/pki-validation/fileauth.txt", "2026abc\nsectigo.com"
FILE = {"type": "file", "url": f"http://{APEX}{PATH}", "content": CONTENT}
NOW = datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.timezone.utc)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(dns_answers, "SERVER_TIMEOUT_S", 0.1)


@pytest.fixture
def look(here):
    """Return a function that returns the findings for an entry, by the resolver of the test and further ones."""

    def looked(*entries, since=None, identities=(), resolvers=(), timeout=5.0, **request):
        client = DnsClient([f"{RESOLVER}:{here.port}", *resolvers])
        request = {"name": "www", "domains": [APEX], "issuer": "sectigo", "validation": list(entries), **request}
        return check_validation(request, client, identities, since, NOW, time.monotonic() + timeout)

    return looked


def only(findings):
    (finding,) = findings
    return finding


@pytest.mark.parametrize(
    ("entry", "value"), [(CNAME, f"{TARGET}."), ({**CNAME, "value": "ABC.sectigo.com"}, f"{TARGET}."), (TXT, "2026Abc")]
)
def test_a_record_that_all_name_servers_have_is_fine(here, look, entry, value):
    here.zone("org")
    here.zone(APEX, (NAME, entry["record"], value), servers=TWO)
    finding = only(look(entry))
    assert (finding.severity, finding.code) == ("fine", "validation.record")
    assert f"the {entry['record']} record {NAME} is as the CA wants it on 2 name servers of {APEX}" in finding.sentence
    assert len(finding.evidence) == 2


def test_a_record_is_looked_for_beside_other_values(here, look):
    here.zone(APEX, (APEX, "TXT", "v=spf1", "2026Abc"))
    assert only(look({**TXT, "name": APEX})).severity == "fine"


CASES = {
    "no record": ([], TXT, f"the TXT record {NAME} is missing in {APEX}; add it with the value 2026Abc"),
    "another value": (
        [(NAME, "TXT", "2025Old")],
        TXT,
        f"the TXT record {NAME} has 2025Old, and the CA wants 2026Abc; correct it",
    ),
    "another target": ([(NAME, "CNAME", "old.sectigo.com.")], CNAME, f"has old.sectigo.com, and the CA wants {TARGET}"),
    "another case": ([(NAME, "TXT", "2026abc")], TXT, "has 2026abc, and the CA wants 2026Abc"),
    "the zone typed twice": (
        [(f"{NAME}.{APEX}", "TXT", "2026Abc")],
        TXT,
        f"it stands at {NAME}.{APEX}, as the zone was typed twice; type _26a5 alone where the provider adds the zone",
    ),
    "an alias typed twice": ([(f"{NAME}.{APEX}", "CNAME", f"{TARGET}.")], CNAME, "as the zone was typed twice"),
    "TXT in place of CNAME": (
        [(NAME, "TXT", TARGET)],
        CNAME,
        f"a TXT record stands there ({TARGET}); replace it by a CNAME record",
    ),
    "CNAME in place of TXT": (
        [(NAME, "CNAME", "x.example.")],
        TXT,
        "a CNAME record stands there (x.example); replace it by a TXT record",
    ),
    "a hostile value": ([(NAME, "TXT", "\x1b[31m" + "a" * 200)], TXT, "the CA wants 2026Abc"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_stands_there_in_place_of_a_record_is_named(here, look, case):
    records, entry, words = CASES[case]
    here.zone(APEX, *records)
    finding = only(look(entry))
    assert (finding.severity, finding.code) == ("blocks", "validation.record")
    assert words in finding.sentence
    assert "\x1b" not in finding.sentence + "".join(finding.evidence) and len(finding.sentence) < 500


def test_a_name_server_without_the_record_is_a_risk_with_its_name(here, look):
    zone = here.zone(APEX, (NAME, "TXT", "2026Abc"), servers=TWO)
    late = here.servers["127.0.0.3"].zones[0] = type(zone)(APEX, [])
    late.records = {key: values for key, values in zone.records.items() if key[0] != name_of(NAME)}
    finding = only(look(TXT))
    assert finding.severity == "risk"
    assert (
        "is not on all name servers of example.org: ns2.example.org (127.0.0.3) has it not; wait, or see"
        in finding.sentence
    )


def test_a_silent_name_server_beside_one_that_answers_is_told(here, look):
    here.zone(APEX, (NAME, "TXT", "2026Abc"), servers=TWO)
    here.servers["127.0.0.3"].silent = True
    finding = only(look(TXT))
    assert finding.severity == "fine" and "ns2.example.org (127.0.0.3) did not answer" in finding.sentence


def test_name_servers_that_tell_nothing_are_unknown(here, look):
    here.zone(APEX, servers={"ns.example.org": "127.0.0.2"})
    here.servers["127.0.0.2"].silent = True
    finding = only(look(TXT))
    assert (finding.severity, finding.code) == ("unknown", "validation.record")
    assert "no name server of example.org tells about the TXT record" in finding.sentence


def test_resolvers_that_keep_an_old_value_are_named_with_its_ttl(here, look):
    here.zone("org")
    here.zone(APEX, (NAME, "TXT", "2026Abc"))
    old = type(here.resolver.zones[0])(APEX, [(NAME, "TXT", "2025Old"), (APEX, "SOA", "a. b. 1 1 1 1 60")])
    here.serve("127.0.0.9", [old], recursive=True)
    fine, note = look(TXT, resolvers=[f"127.0.0.9:{here.port}"])
    assert (fine.severity, note.severity, note.code) == ("fine", "note", "validation.resolvers")
    assert (
        f"resolvers do not have the TXT record {NAME} yet (127.0.0.9:{here.port}: 2025Old, for 1 s more)"
        in note.sentence
    )


def test_a_resolver_that_is_down_is_unknown_and_takes_little_time(here, look):
    here.resolver.silent = True
    begun = time.monotonic()
    finding = only(look(TXT, timeout=1.0))
    assert (finding.severity, finding.code) == ("unknown", "validation.zone")
    assert time.monotonic() - begun < 4


def serve(body=CONTENT, status=200, headers=None):
    return lambda _host, path: (status, headers or {}, body.encode() if path == PATH else b"other")


def test_a_file_that_both_schemes_serve_at_each_address_is_fine(here, look, web):
    here.zone(APEX, (APEX, "A", "127.0.0.21", "127.0.0.22"))
    for address in ("127.0.0.21", "127.0.0.22"):
        web.host(address, serve(CONTENT + "\n"))
        web.host(address, serve(CONTENT.replace("\n", "\r\n")), "https")
    finding = only(look(FILE))
    assert finding.severity == "fine" and "over http and https at 2 addresses" in finding.sentence
    assert sorted((scheme, address) for scheme, address, _host, _path in web.requests) == [
        (scheme, address) for scheme in ("http", "https") for address in ("127.0.0.21", "127.0.0.22")
    ]


def test_before_the_first_certificate_http_is_enough(here, look, web):
    here.zone(APEX, (APEX, "A", "127.0.0.21"))
    web.host("127.0.0.21", serve())
    finding = only(look(FILE))
    assert finding.severity == "note" and "but nothing answers over https" in finding.sentence


WRONG = {
    "a redirect": (
        serve(status=301, headers={"Location": "https://www.example.org/"}),
        "it redirects to https://www.example.org/ (301), and CAs follow none here",
    ),
    "no file": (serve("gone", 404), "it answers 404 Not Found"),
    "another content": (serve("2025old"), "it has another content (200 OK"),
    "more content": (serve(f"<p>{CONTENT}</p>"), "other text stands beside the content; write the file exactly"),
    "a blank before": (serve(f" {CONTENT}"), "blanks, line breaks or a byte order mark stand around the content"),
    "a byte order mark": (serve(f"\ufeff{CONTENT}"), "a byte order mark stand around the content"),
    "an endless page": (serve("a" * 100_000), "it has another content"),
    "a hostile redirect": (serve(status=302, headers={"Location": "http://x/" + "a" * 5000}), "CAs follow none here"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_file_is_named_with_its_address(here, look, web, case):
    respond, words = WRONG[case]
    here.zone(APEX, (APEX, "A", "127.0.0.21", "127.0.0.22"))
    web.host("127.0.0.21", serve())
    web.host("127.0.0.22", respond)
    finding = only(look(FILE))
    assert (finding.severity, finding.code) == ("blocks", "validation.file")
    assert "the file of the CA at http://example.org at 127.0.0.22: " in finding.sentence
    assert words in finding.sentence and len(finding.sentence) < 700


def test_a_file_that_only_https_hides_is_refused_as_well(here, look, web):
    here.zone(APEX, (APEX, "A", "127.0.0.21"))
    web.host("127.0.0.21", serve())
    web.host("127.0.0.21", serve("no", 404), "https")
    assert "the file of the CA at https://example.org at 127.0.0.21: it answers 404" in only(look(FILE)).sentence


def test_a_host_that_is_down_is_said_to_be(here, look, web):
    here.zone(APEX, (APEX, "A", "127.0.0.21"))
    findings = look(FILE)
    assert {one.severity for one in findings} == {"blocks"}
    assert "cannot be reached (Connection refused)" in findings[0].sentence


def test_caa_records_are_checked_for_the_identities_of_the_issuer(here, look):
    here.zone("org")
    here.zone(APEX, (APEX, "CAA", '0 issue "letsencrypt.org"'), (NAME, "TXT", "2026Abc"))
    caa, record = look(TXT, identities=["sectigo.com"])
    assert (caa.severity, caa.code) == ("blocks", "caa.ca")
    assert 'add: example.org. CAA 0 issue "sectigo.com"' in caa.sentence
    assert record.severity == "fine"


@pytest.mark.parametrize(
    ("hours", "severity", "words"),
    [
        (1, "note", "CAs wait 3 days for the validation: put this right until 2026-12-04 11:00"),
        (60, "risk", "put this right until"),
        (80, "blocks", "which were over on"),
    ],
)
def test_the_deadline_of_three_days_is_told_while_something_is_missing(here, look, hours, severity, words):
    here.zone(APEX)
    record, deadline = look(TXT, since=NOW - datetime.timedelta(hours=hours))
    assert (record.severity, deadline.severity, deadline.code) == ("blocks", severity, "validation.deadline")
    assert words in deadline.sentence


@pytest.mark.parametrize(
    ("kind", "days", "severity", "words"),
    [
        (None, 0.1, "note", "usual for DV is up to 30 minutes, and a day at the most"),
        ("DV", 2, "risk", "longer than is usual for DV"),
        ("OV", 2, "note", "usual for OV is 3 to 5 business days"),
        ("EV", 9, "note", "usual for EV is 5 to 7 business days"),
        ("EV", 11, "risk", "longer than is usual for EV (5 to 7 business days); ask the CA"),
    ],
)
def test_once_the_ca_sees_what_it_wants_the_usual_duration_is_told(here, look, kind, days, severity, words):
    here.zone("org")
    here.zone(APEX, (NAME, "TXT", "2026Abc"))
    record, waiting = look(TXT, since=NOW - datetime.timedelta(days=days), kind=kind)
    assert (record.severity, waiting.severity, waiting.code) == ("fine", severity, "validation.waiting")
    assert words in waiting.sentence


def test_the_summary_has_the_worst_first(here, look):
    here.zone(APEX)
    summary = validation_summary(look(TXT, since=NOW))
    assert summary.startswith(f"the TXT record {NAME} is missing") and " · CAs wait 3 days" in summary
    assert validation_summary([]) == ""


def test_people_read_what_the_ca_wants():
    assert describe_validation([CNAME, FILE]) == [
        f"the CNAME record {NAME} with the value {TARGET}",
        f"the file {FILE['url']} with the content {CONTENT}",
    ]
    assert describe_validation(None) == []
