# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts see of names, compared with what the controller sees."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.result import make_diagnosis
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.views import (
    HostView,
    compare_all,
    compare_views,
    host_views,
)

NAME = "www.example.org"


def view(**more):
    """Return what a machine sees of a name; None leaves a value out."""
    response = {"status": 404, "location": "", "body": "<html>"}
    values = {"addresses": ["192.0.2.1"], "txt": [], "caa": [], "http": response, "errors": {}, **more}
    return {"name": NAME, **{key: value for key, value in values.items() if value is not None}}


def compared(there, here=None, challenge="", host="web-hk"):
    return compare_views(NAME, challenge, here or view(), [HostView(host, {NAME: there})])


def test_hosts_that_see_the_same_are_one_fine_finding():
    views = [HostView(host, {NAME: view()}) for host in ("web-hk", "web-us", "web-za")]
    [finding] = compare_views(NAME, "http-01", view(), views)
    assert (finding.severity, finding.code) == ("fine", "view")
    assert finding.sentence == "web-hk, web-us and web-za see www.example.org as this controller does"


@pytest.mark.parametrize(
    ("there", "code", "beginning"),
    [
        (
            {"addresses": ["192.0.2.9", "2001:db8::9"]},
            "view.addresses",
            "web-hk has 192.0.2.9, 2001:db8::9 as the addresses of www.example.org, and this controller 192.0.2.1; CAs look from several places: ",
        ),
        ({"addresses": []}, "view.addresses", "web-hk has none as the addresses of www.example.org, "),
        ({"txt": ["x"]}, "view.txt", "web-hk has x as the TXT records of www.example.org, and this controller none; "),
        (
            {"caa": ['0 issue "ca.example"']},
            "view.caa",
            'web-hk has 0 issue "ca.example" as the CAA records of www.example.org, and this controller none; ',
        ),
        (
            {"http": {"status": 403, "location": "", "body": ""}},
            "view.http",
            "http://www.example.org/.well-known/acme-challenge/ gives web-hk status 403, and this controller status 404; ",
        ),
        (
            {"http": None, "errors": {"http": "timed out"}},
            "view.http",
            "http://www.example.org/.well-known/acme-challenge/ gives web-hk no answer, and this controller status 404; ",
        ),
    ],
)
def test_each_difference_is_a_risk_with_the_host_that_saw_it(there, code, beginning):
    [finding] = compared(view(**there))
    assert (finding.severity, finding.code, finding.seen_from) == ("risk", code, "web-hk")
    assert finding.sentence.startswith(beginning)
    assert [text.partition(":")[0] for text in finding.evidence] == ["web-hk", "controller"]
    assert "let port 80 in from everywhere" in finding.sentence or "see that all name servers" in finding.sentence


def test_only_what_the_challenge_needs_is_compared():
    there = view(txt=["x"], http={"status": 403, "location": "", "body": ""})
    assert [one.code for one in compared(there, challenge="http-01")] == ["view.http"]
    assert [one.code for one in compared(there, challenge="dns-01")] == ["view.txt"]
    assert [one.code for one in compared(there)] == ["view.txt", "view.http"]


def test_the_text_counts_for_right_answers_alone():
    """The text of an error page may have a number that is another each time."""
    other = {"status": 404, "location": "", "body": "request 7"}
    assert [one.code for one in compared(view(http=other))] == ["view"]
    right, wrong = ({"status": 200, "location": "", "body": body} for body in ("TOKEN.key", "welcome"))
    assert [one.code for one in compared(view(http=wrong), view(http=right))] == ["view.http"]
    away = {"status": 301, "location": "https://other.example/", "body": ""}
    [finding] = compared(view(http=away))
    assert "status 301, a redirect to https://other.example/" in finding.sentence


def test_the_order_of_addresses_is_no_difference():
    one, other = view(addresses=["192.0.2.1", "192.0.2.2"]), view(addresses=["192.0.2.2", "192.0.2.1"])
    assert [finding.code for finding in compared(one, other)] == ["view"]


def test_a_host_that_did_not_look_is_unknown_beside_others_that_did():
    views = [HostView("web-hk", {}, "the host cannot be reached; see that it runs"), HostView("web-us", {NAME: view()})]
    unknown, fine = compare_views(NAME, "", view(), views)
    assert (unknown.severity, unknown.code, unknown.seen_from) == ("unknown", "view.failed", "web-hk")
    assert unknown.sentence == "web-hk does not say what it sees: the host cannot be reached; see that it runs"
    assert (fine.code, fine.sentence) == ("view", "web-us sees www.example.org as this controller does")


def test_what_the_resolvers_of_a_host_do_not_say_is_unknown():
    [finding] = compared(view(caa=None, errors={"caa": "the resolvers do not answer; see why"}))
    assert (finding.severity, finding.code) == ("unknown", "view.failed")
    assert (
        finding.sentence
        == "web-hk does not see the CAA records of www.example.org: the resolvers do not answer; see why"
    )
    [finding] = compared(view(caa=None))
    assert finding.sentence.startswith(
        "web-hk had no time left to look at the CAA records of www.example.org; diagnose fewer"
    )


def test_what_the_controller_cannot_see_is_not_compared():
    here = view(caa=None, errors={"caa": "timed out"})
    assert [one.code for one in compared(view(caa=["0 issue"]), here)] == ["view"]
    assert [one.code for one in compared(view(), {"name": NAME})] == ["view"]


def test_a_wildcard_has_no_addresses_to_compare():
    wildcard = view(addresses=None, http=None)
    assert [one.code for one in compared(wildcard, wildcard)] == ["view"]


def test_a_name_in_the_hosts_file_of_a_host_is_a_note():
    there = view(addresses=["127.0.1.1"], http=None, errors={"http": "refused"}, caa=["0 issue"])
    note, caa = compared(there, challenge="http-01")
    assert (note.severity, note.code, caa.code) == ("note", "view.own", "view.caa")
    assert "is 127.0.1.1 on web-hk itself, as /etc/hosts says there" in note.sentence


def test_text_of_strangers_is_escaped_and_short():
    [finding] = compared(view(txt=["\x1b[31m" + "x" * 5000]), challenge="dns-01")
    assert "\x1b" not in finding.sentence and len(finding.sentence) < 500
    assert all("\x1b" not in text and len(text) <= 300 for text in finding.evidence)


def test_results_of_the_task_become_views_and_missing_ones_failures():
    results = [
        {"host": "web-hk", "item": "web-hk", "names": [view()], "failure": ""},
        {"host": "web-us", "names": [], "failure": "the host cannot be reached; see that it runs"},
        {"item": "web-za", "msg": "the connection plugin ssj was not found", "failed": False},
    ]
    views = host_views(["web-hk", "web-us", "web-za", "web-br"], results)
    assert [(one.host, list(one.names), one.failure) for one in views] == [
        ("web-hk", [NAME], ""),
        ("web-us", [], "the host cannot be reached; see that it runs"),
        ("web-za", [], "the connection plugin ssj was not found"),
        ("web-br", [], "it was not asked; use the playbook diagnose"),
    ]


def test_differences_count_in_the_verdict_of_each_name():
    names = [make_diagnosis("web1", "www", domain, "ca", "http-01", []) for domain in (NAME, "", "other.example")]
    views = [HostView("web-hk", {NAME: view(addresses=[]), "other.example": view()})]
    here = {NAME: view(), "other.example": view()}
    assert [one.verdict for one in compare_all(names, here, views)] == ["risk", "fine", "fine"]
    assert compare_all(names, here, []) == names
