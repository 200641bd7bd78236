# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report tells of runs that went well, of those that did not, and of variables that make no sense."""

from __future__ import annotations

import re

import pytest
from ansible.errors import AnsibleError

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal import Outcome, make_report, survey_result
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal_table import report_text
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import text_width
from ansible_collections.evergreen.tls.tests.unit.recorded_runs import (
    FINE,
    ISSUED,
    NEW,
    OLD,
    SERVED,
    UNPROVED,
    WHY,
    dealt_with,
    looked_at,
    row,
)

ODD = [
    None,
    True,
    7,
    "text",
    b"bytes",
    [],
    ["text"],
    [None, 3],
    {},
    {"certificates": None},
    {"certificates": "text"},
    object(),
]


def report_on(hosts, fine=0, rows=None, check_mode=False):
    """Return the report on a run that left its variables on *hosts*, each of which has a request that was due."""
    rows = [row(host) for host in hosts] if rows is None else rows
    return make_report({"endpoints": rows, "fine_requests": fine}, hosts.__getitem__, check_mode)


def outcome(obtained=None, served=None, check_mode=False, **left):
    """Return what became of the only request of the only host."""
    items = {
        name: {"certificates": [item]}
        for name, item in {"certificate_obtained": obtained, "certificate_served": served}.items()
        if item is not None
    }
    (result,) = report_on({"web1": {**items, **left}}, check_mode=check_mode).outcomes
    return result


def test_a_certificate_that_was_issued_and_proved_is_renewed():
    assert outcome(ISSUED, SERVED) == Outcome("web1", "renewed", WHY, "www", until=NEW)
    assert outcome(ISSUED, {**SERVED, "changed": True}).state == "renewed"
    assert outcome({**ISSUED, "reason": None, "msg": "v0002 is in use"}, SERVED).reason == "v0002 is in use"


def test_whom_a_new_certificate_was_brought_to_is_told():
    served = {**SERVED, "changed": True, "exported": "tomcat10 was restarted"}
    assert outcome(ISSUED, served).reason == f"{WHY}; tomcat10 was restarted"
    repaired = outcome(FINE, served)
    assert (repaired.state, repaired.reason) == ("repaired", f"tomcat10 was restarted; {SERVED['msg']}")
    assert outcome(FINE, {**served, "msg": served["exported"]}).reason == "tomcat10 was restarted"


def test_what_was_put_right_without_a_new_certificate_is_repaired():
    linked = {**FINE, "changed": True, "msg": "/etc/nginx/www.pem set right", "certificate": {"not_after": NEW}}
    reloaded = {**SERVED, "changed": True, "msg": "nginx presents the installed certificate of www"}
    assert outcome(linked, SERVED) == Outcome("web1", "repaired", "/etc/nginx/www.pem set right", "www", until=NEW)
    assert outcome(FINE, reloaded) == Outcome("web1", "repaired", reloaded["msg"], "www", until=OLD)
    assert outcome(linked, reloaded).reason == f"{linked['msg']}; {reloaded['msg']}"


def test_a_certificate_for_which_a_person_has_to_act_is_waiting():
    waiting = {"for": "have /srv/web1.csr signed, and put the chain beside it", "since": "2026-11-20T11:00:00+01:00"}
    result = outcome({**ISSUED, "waiting": waiting}, SERVED)
    assert result == Outcome("web1", "waiting", waiting["for"], "www", until=OLD, since="2026-11-20T10:00:00+00:00")


@pytest.mark.parametrize("waiting", [True, "have it signed", {"since": "yesterday"}, {"for": None}, {"for": ["it"]}])
def test_what_waits_says_what_it_can(waiting):
    result = outcome({**ISSUED, "msg": "have it signed", "waiting": waiting}, SERVED)
    assert (result.state, result.since) == ("waiting", None)
    assert result.reason in ("have it signed", "['it']")


def test_a_certificate_that_could_not_be_had_has_failed():
    refused = {"name": "www", "failed": True, "msg": "corporate refuses the request; ask its operators"}
    assert outcome(refused, SERVED) == Outcome("web1", "failed", refused["msg"], "www", until=OLD)


def test_a_certificate_that_is_not_served_is_not_proved():
    unproved = {**SERVED, "failed": True, "msg": UNPROVED}
    assert outcome(ISSUED, unproved) == Outcome("web1", "failed", UNPROVED, "www", until=OLD, unproved=True)
    assert outcome(FINE, unproved).unproved
    result = outcome(ISSUED, {**unproved, "put_back": "v0002"})
    assert (result.reason, result.put_back) == (f"{UNPROVED}. v0002 is served again", "v0002")
    same_reason = f"{UNPROVED}. v0002 of www is in use again"
    assert outcome(ISSUED, {**unproved, "msg": same_reason, "put_back": "v0002"}).reason == same_reason


def test_both_failures_of_a_request_are_told():
    result = outcome(
        {**FINE, "failed": True, "msg": "no CA; start it"}, {**SERVED, "failed": True, "msg": "no nginx; start it"}
    )
    assert (result.reason, result.unproved) == ("no CA; start it. no nginx; start it", True)


def test_a_failure_without_a_reason_says_where_to_look():
    assert outcome({"name": "www", "failed": True}).reason == (
        "no reason was given; see what was printed above and run evergreen.tls.renew again"
    )


@pytest.mark.parametrize("nothing", [None, "", [], {}, False])
def test_a_host_may_not_have_failed_before(nothing):
    assert outcome(ISSUED, SERVED, renew_failed=nothing).state == "renewed"


def test_a_host_that_failed_before_is_told_as_a_whole():
    sentence = "certificate request www: the list of domains is empty; name at least one"
    assert outcome(renew_failed=sentence) == Outcome("web1", "failed", sentence, until=OLD)


def test_a_failure_of_a_request_is_not_told_again_for_its_host():
    result = outcome({**FINE, "failed": True, "msg": "no CA; start it"}, renew_failed="www: no CA; start it")
    assert (result.request, result.reason) == ("www", "no CA; start it")


def test_a_host_that_cannot_be_logged_in_to_has_failed():
    lost = {"unreachable": True, "msg": "Failed to connect to the host via ssh"}
    sentence = "it cannot be logged in to: Failed to connect to the host via ssh; put that right and run evergreen.tls.renew again"
    assert outcome(certificate_obtained=lost) == Outcome("web1", "failed", sentence, until=OLD)
    assert outcome(ISSUED, certificate_served=lost) == Outcome(
        "web1", "failed", sentence, "www", until=OLD, unproved=True
    )


def test_a_new_certificate_of_which_nothing_says_that_it_is_served_is_not_proved():
    assert outcome(ISSUED) == Outcome(
        "web1",
        "failed",
        "it was put in place, and nothing says whether it is served; see what was printed above and run evergreen.tls.renew again",
        "www",
        until=OLD,
        unproved=True,
    )
    assert outcome(ISSUED, renew_failed="no space; free some").reason == "no space; free some"
    assert outcome(ISSUED, check_mode=True).state == "renewed"


def test_a_request_of_which_nothing_is_told_has_failed():
    report = report_on({"web1": dealt_with([ISSUED], [SERVED])}, rows=[row(), row(request="shop")])
    assert [(item.request, item.state) for item in report.outcomes] == [("shop", "failed"), ("www", "renewed")]
    assert report.failed_hosts == {
        "web1": "shop: it was due, and nothing says what became of it; see what was printed above and run evergreen.tls.renew again"
    }


def test_hosts_that_a_failed_proof_kept_from_being_touched_say_so():
    report = report_on(
        {
            "web7": dealt_with([ISSUED], [{**SERVED, "failed": True, "msg": UNPROVED}]),
            "web6": {"renew_failed": "no CA; start it"},
            "web8": {},
            "web9": {},
        },
        rows=[row("web7"), row("web6"), row("web8"), row("web8", "shop", not_after=NEW), row("web9", "", "due", None)],
    )
    untouched = [item for item in report.outcomes if item.state == "untouched"]
    assert [(item.host, item.request, item.until) for item in untouched] == [
        ("web8", "www", OLD),
        ("web8", "shop", NEW),
        ("web9", "", None),
    ]
    assert {item.reason for item in untouched} == {"web7 could not be proved, which stopped the run"}
    assert report.stopped_by == ["web7"]
    assert report.failed_hosts == {"web7": UNPROVED, "web6": "no CA; start it"}
    assert report.sentence == (
        "2 failed, 3 untouched; web7 could not be proved, which stopped the run: correct it and run evergreen.tls.renew again"
    )


def test_a_host_that_nobody_kept_from_being_touched_has_failed():
    report = report_on({"web1": dealt_with([ISSUED], [SERVED]), "web2": {}})
    sentence = (
        "nothing was done there, and nothing says why; see what was printed above and run evergreen.tls.renew again"
    )
    assert report.outcomes[0] == Outcome("web2", "failed", sentence, "www", until=OLD)
    assert (report.stopped_by, report.failed_hosts) == ([], {"web2": f"www: {sentence}"})
    assert report.sentence == "1 renewed, 1 failed; web2 failed: correct it and run evergreen.tls.renew again"


def test_a_wave_of_which_nothing_could_be_had_keeps_the_others_from_being_touched():
    report = report_on({"web1": {"renew_failed": "no CA; start it"}, "web2": {}})
    reason = "web1 failed, which stopped the run"
    assert report.outcomes[1] == Outcome("web2", "untouched", reason, "www", until=OLD)
    assert (report.stopped_by, report.failed_hosts) == (["web1"], {"web1": "no CA; start it"})
    assert report.sentence == f"1 failed, 1 untouched; {reason}: correct it and run evergreen.tls.renew again"


def test_a_host_whose_variables_cannot_be_read_fails_with_the_sentence_of_the_survey():
    sentence = "its variables cannot be read: 'nowhere' is undefined; correct the inventory"
    rows = [{"host": "web1", "state": "unknown", "reason": sentence}]
    report = report_on({"web1": {"renew_failed": "Task failed: 'nowhere' is undefined"}}, rows=rows)
    assert report.failed_hosts == {"web1": sentence}


def test_a_host_that_was_left_out_since_its_variables_cannot_be_read_has_failed():
    sentence = "its variables cannot be read: Decryption failed; correct the inventory"
    rows = [{"host": "web1", "state": "unknown", "reason": sentence, "refused": True}, row("web2")]
    report = report_on({"web1": {}, "web2": dealt_with([ISSUED], [SERVED])}, rows=rows)
    assert report.outcomes[0] == Outcome("web1", "failed", sentence)
    assert (report.stopped_by, report.failed_hosts) == ([], {"web1": sentence})
    assert report.sentence == "1 renewed, 1 failed; web1 failed: correct it and run evergreen.tls.renew again"


def test_a_host_that_was_left_out_did_not_stop_the_run():
    rows = [{"host": "sealed", "state": "unknown", "reason": "no vault", "refused": True}, row("web1"), row("web2")]
    report = report_on({"sealed": {}, "web1": {"renew_failed": "no CA; start it"}, "web2": {}}, rows=rows)
    assert (report.stopped_by, report.outcomes[-1].reason) == (["web1"], "web1 failed, which stopped the run")
    assert report.failed_hosts == {"sealed": "no vault", "web1": "no CA; start it"}


def test_a_failed_proof_that_kept_nobody_from_being_touched_stopped_nothing():
    report = report_on({"web1": dealt_with([ISSUED], [{**SERVED, "failed": True, "msg": UNPROVED}])})
    assert report.stopped_by == []
    assert report.sentence == "1 failed; web1 could not be proved: correct it and run evergreen.tls.renew again"


@pytest.mark.parametrize(
    ("number", "named"),
    [(1, "web1"), (2, "web1 and web2"), (4, "web1, web2, web3 and web4"), (5, "web1, web2, web3 and 2 more")],
)
def test_hosts_are_enumerated(number, named):
    report = report_on({f"web{place}": {"renew_failed": "no CA; start it"} for place in range(1, number + 1)})
    assert report.sentence == f"{number} failed; {named} failed: correct it and run evergreen.tls.renew again"


def test_all_failures_of_a_host_are_in_its_sentence():
    items = [{"name": name, "failed": True, "msg": "no CA; start it"} for name in ("shop", "www")]
    assert report_on({"web1": looked_at(*items)}).failed_hosts == {
        "web1": "shop: no CA; start it · www: no CA; start it"
    }


def test_requests_are_counted_once():
    """Of two requests each, one was due and one was fine, where the host could be seen; nobody could see into web4."""
    shop, failed = {**FINE, "name": "shop"}, {"name": "shop", "failed": True, "msg": "no CA; start it"}
    hosts = {
        "web1": dealt_with([ISSUED, shop], [SERVED, {**SERVED, "name": "shop"}]),
        "web2": dealt_with([ISSUED, failed], [SERVED]),
        "web3": dealt_with([FINE, shop], [SERVED]),
        "web4": dealt_with([FINE, shop], [SERVED]),
        "web5": {},
    }
    rows = [*(row(host) for host in ("web1", "web2", "web3", "web5")), row("web4", "", "unknown", None)]
    report = report_on(hosts, fine=104, rows=rows)  # 100 elsewhere, and shop on four of the hosts
    assert report.counts == {"renewed": 2, "repaired": 0, "waiting": 0, "failed": 1, "untouched": 1, "fine": 106}
    assert sum(report.counts.values()) == 100 + 5 * 2


def test_a_host_that_is_inspected_counts_its_requests_once():
    hosts = {"web1": dealt_with([FINE], [SERVED]), "web2": dealt_with([ISSUED], [SERVED])}
    report = report_on(hosts, fine=2, rows=[row(host, "", "due", None) for host in hosts])
    assert (report.counts["renewed"], report.counts["fine"]) == (1, 1)


def test_when_nothing_was_due_that_is_all_that_is_said():
    report = report_on({}, fine=1000)
    assert report.sentence == report_text(report, 100) == "nothing was due: 1000 fine"
    assert (report.outcomes, report.stopped_by, report.failed_hosts) == ([], [], {})
    assert report_text(report_on({}), 100) == "nothing was due: no host has certificate requests"
    assert report_text(report_on({"web1": dealt_with([FINE], [SERVED])}, fine=9), 100) == "nothing was due: 10 fine"


def test_in_check_mode_it_is_said_what_would_be():
    linked = {**FINE, "changed": True, "msg": "/etc/nginx/www.pem set right"}
    report = report_on(
        {"web1": dealt_with([ISSUED], []), "web2": dealt_with([linked], [SERVED]), "web3": {"renew_failed": "no; do"}},
        check_mode=True,
    )
    assert [(item.state, item.until) for item in report.outcomes] == [
        ("failed", OLD),
        ("renewed", OLD),
        ("repaired", OLD),
    ]
    assert report_text(report, 100, check_mode=True).splitlines() == [
        "state              host  request  valid until           why",
        "failed             web3  -        2026-12-04 10:00 UTC  no; do",
        f"would be renewed   web1  www      2026-12-04 10:00 UTC  {WHY}",
        "would be repaired  web2  www      2026-12-04 10:00 UTC  /etc/nginx/www.pem set right",
        "1 would be renewed, 1 would be repaired, 1 failed; web3 failed: correct it and run evergreen.tls.renew again",
    ]


def test_a_report_has_a_line_for_each_outcome_the_worst_first():
    waiting = {"for": "have web2.csr signed", "since": "2026-11-20T10:00:00+00:00"}
    hosts = {
        "web1": dealt_with([ISSUED], [SERVED]),
        "web2": looked_at({**ISSUED, "waiting": waiting}),
        "web3": dealt_with([FINE], [{**SERVED, "changed": True, "msg": "nginx presents it again"}]),
        "web12": dealt_with([ISSUED], [{**SERVED, "failed": True, "msg": UNPROVED}]),
        "web13": {},
    }
    rows = [*(row(host) for host in hosts if host != "web13"), row("web13", "", "unknown", None)]
    assert report_text(report_on(hosts, 95, rows), 100).splitlines() == [
        "state      host   request  valid until           why",
        f"failed     web12  www      2026-12-04 10:00 UTC  {UNPROVED}",
        "untouched  web13  -        -                     web12 could not be proved, which stopped the run",
        "waiting    web2   www      2026-12-04 10:00 UTC  since 2026-11-20 10:00 UTC: have web2.csr signed",
        f"renewed    web1   www      2027-02-19 12:30 UTC  {WHY}",
        "repaired   web3   www      2026-12-04 10:00 UTC  nginx presents it again",
        (
            "1 renewed, 1 repaired, 1 waiting, 1 failed, 1 untouched, 95 fine; "
            "web12 could not be proved, which stopped the run: correct it and run evergreen.tls.renew again"
        ),
    ]


def test_no_reason_of_a_report_is_lost_and_no_line_is_longer_than_the_terminal_at_any_width():
    waiting = {"for": "have 主機.csr signed by " + "x" * 350, "since": "2026-11-20T10:00:00+00:00"}
    hosts = {
        **{f"web{number}": {"renew_failed": f"nginx does not start: {'資料 ' * 30}; see it"} for number in range(3)},
        "web-with-a-long-name-0123456789.example.org": dealt_with([ISSUED], [SERVED]),
        "web9": looked_at({**ISSUED, "waiting": waiting}),
    }
    report = report_on(hosts)
    reasons = {outcome.reason for outcome in report.outcomes} | {report.sentence}
    assert len(reasons) == 4
    for width in [*range(20, 301), None]:
        text = report_text(report, 100, width=width)
        joined = text.replace(" ", "").replace("\n", "")
        assert [reason for reason in reasons if reason.replace(" ", "") not in joined] == []
        assert all(text_width(line) <= (width or 10_000) for line in text.splitlines())
    assert "    3 of them: nginx does not start" in report_text(report, 100, width=100)


def test_of_many_outcomes_only_some_of_each_state_are_printed():
    hosts = {f"bad{number}": {"renew_failed": "no CA; start it"} for number in range(4)}
    hosts |= {f"good{number}": dealt_with([ISSUED], [SERVED]) for number in range(3)}
    report = report_on(hosts)
    begins = [" ".join(line.split()[:2]) for line in report_text(report, 2).splitlines()]
    assert begins == [
        *("state host", "failed bad0", "failed bad1", "4 of", "… and"),
        *("renewed good0", "renewed good1", "3 of", "… and", "3 renewed,"),
    ]
    assert re.findall("….*", report_text(report, 2)) == ["… and 2 more failed", "… and 1 more renewed"]
    assert len(report.outcomes) == 7
    assert "…" not in report_text(report, 4)


@pytest.mark.parametrize("most", [0, -1])
def test_a_report_without_lines_still_has_its_sums(most):
    report = report_on({"web1": dealt_with([ISSUED], [SERVED])})
    assert report_text(report, most).splitlines()[1:] == ["… and 1 more renewed", "1 renewed"]


def test_control_characters_are_escaped():
    evil = "no\x1b[2J\nfine  web9 \u202e; start\tit"
    report = report_on(
        {"we\x1bb1": looked_at({"name": "w\x1bww", "failed": True, "msg": evil})}, rows=[row("we\x1bb1", "w\x1bww")]
    )
    assert report_text(report, 1).splitlines()[1:] == [
        "failed  we?b1  w?ww     2026-12-04 10:00 UTC  no?[2J fine web9 ?; start it",
        "1 failed; we?b1 failed: correct it and run evergreen.tls.renew again",
    ]
    assert report.failed_hosts == {"we\x1bb1": "w?ww: no?[2J fine web9 ?; start it"}  # the name that Ansible knows


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("name", ["certificate_obtained", "certificate_served", "renew_failed"])
def test_odd_variables_hide_neither_their_host_nor_others(name, odd):
    good = dealt_with([ISSUED], [SERVED])
    hosts = {"bad": {name: odd}, "worse": odd, "worst": {"certificate_obtained": {"certificates": [odd]}}, "good": good}
    report = report_on(hosts)
    assert {item.state for item in report.outcomes if item.host != "good"} <= {"failed", "untouched"}
    assert {item.host for item in report.outcomes} == set(hosts)
    assert [item for item in report.outcomes if item.host == "good"] == [
        Outcome("good", "renewed", WHY, "www", until=NEW)
    ]
    assert report_text(report, 100).endswith("; " + report.sentence.partition("; ")[2])


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_fields_of_results_make_no_traceback(odd):
    fields = (
        "name",
        "changed",
        "failed",
        "msg",
        "due",
        "reason",
        "certificate",
        "waiting",
        "put_back",
    )
    for field in fields:
        for item in (ISSUED, {**ISSUED, "failed": True}, {**FINE, "changed": True}, FINE):
            report_text(report_on({"web1": dealt_with([{**item, field: odd}], [{**SERVED, field: odd}])}), 100)
    for field in ("not_after", "for", "since", "name"):
        inside = {"certificate": {field: odd}, "waiting": {field: odd}, "item": {field: odd}, "name": None}
        report_text(report_on({"web1": dealt_with([{**ISSUED, **inside}], [])}), 100)


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_odd_survey_makes_no_traceback(odd):
    assert make_report(odd, {}.__getitem__).outcomes == []
    assert make_report({"endpoints": odd, "fine_requests": odd}, {}.__getitem__).outcomes == []
    for field in ("host", "state", "request", "certificate"):
        report_text(make_report({"endpoints": [{**row(), field: odd}, row("web2")]}, {}.__getitem__), 100)


def test_hosts_whose_variables_cannot_be_read_are_told_of():
    def variables_of(host):
        raise AnsibleError(f"the variables of {host} cannot be templated")

    report = make_report({"endpoints": [row()]}, variables_of)
    assert [(item.host, item.state) for item in report.outcomes] == [("web1", "failed")]


def test_results_without_names_are_told_one_by_one():
    lost = {"failed": True, "msg": "MODULE FAILURE"}
    report = report_on({"web1": looked_at(lost, lost)}, rows=[row("web1", "", "due", None)])
    assert [(item.request, item.reason) for item in report.outcomes] == [("", "MODULE FAILURE")] * 2


def test_what_is_served_until_is_the_first_end_of_several_endpoints():
    rows = [row(not_after=NEW), row(not_after=OLD), row(not_after=None), row(not_after="soon")]
    (result,) = report_on({"web1": {"renew_failed": "no; do"}}, rows=rows).outcomes
    assert result.until == OLD


def test_what_is_fine_in_the_survey_is_not_due():
    assert report_on({"web1": {}}, 1, [row(state="fine")]).sentence == "nothing was due: 1 fine"


def test_the_survey_is_found_with_whatever_host_it_is_registered():
    survey = {"endpoints": []}
    hosts = {
        "gone": {},
        "odd": {"renew_found": "text"},
        "skipped": {"renew_found": {"skipped": True}},
        "web1": {"renew_found": survey},
    }
    assert survey_result(["unknown", *hosts], hosts.__getitem__) is survey


def test_without_a_survey_there_is_nothing_to_report_on():
    with pytest.raises(TlsError) as caught:
        survey_result(["web1"], {"web1": {}}.__getitem__)
    assert str(caught.value) == (
        "there is no survey to report on; run evergreen.tls.survey in a play before this one, and register renew_found"
    )


def test_ten_thousand_hosts_are_told_of():
    unproved = dealt_with([ISSUED], [{**SERVED, "failed": True, "msg": UNPROVED}])
    hosts = {f"web{number}": {} if number else unproved for number in range(10_000)}
    report = report_on(hosts, fine=5)
    assert report.counts == {"renewed": 0, "repaired": 0, "waiting": 0, "failed": 1, "untouched": 9_999, "fine": 5}
    lines = report_text(report, 100).splitlines()
    assert len(lines) == 1 + 1 + 100 + 1 + 1 + 1
    assert lines[-3] == "    9999 of them: web0 could not be proved, which stopped the run"


REFUSED = "the issuer corporate has no CA in /pki on this controller, and 2 hosts serve certificates of one; run this where the CA is"


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("is_inspected", [False, True])
def test_hosts_that_were_not_logged_in_to_fail_with_what_the_survey_said(check_mode, is_inspected):
    rows = [{**row(host), "state": "unknown", "reason": REFUSED, "refused": True} for host in ("web1", "web2")]
    if is_inspected:
        rows += [{"host": host, "state": "due", "reason": "its disk is inspected", "request": ""} for host in ("web1",)]
    report = report_on({"web1": {}, "web2": {}}, rows=rows, check_mode=check_mode)
    assert report.counts == {**dict.fromkeys(report.counts, 0), "failed": 2}
    assert {one.reason for one in report.outcomes} == {REFUSED}
    assert sorted(report.failed_hosts) == ["web1", "web2"] and all(
        REFUSED in why for why in report.failed_hosts.values()
    )
    assert report.sentence.startswith("2 failed; web1 and web2 failed: ") and report.stopped_by == []


def test_a_refused_request_hides_none_of_the_others_of_its_host():
    refused = {**row("web1"), "request": "shop", "state": "unknown", "reason": REFUSED, "refused": True}
    obtained = {
        "certificates": [{"name": "www", "changed": True, "due": True, "failed": False, "reason": "it expires"}]
    }
    served = {"certificates": [{"name": "www", "changed": True, "failed": False, "msg": "proved"}]}
    left = {"certificate_obtained": obtained, "certificate_served": served}
    report = report_on({"web1": left}, rows=[row("web1"), refused])
    assert {(one.request, one.state) for one in report.outcomes} == {("shop", "failed"), ("www", "renewed")}


def test_a_certificate_that_a_service_has_not_brought_into_effect_is_waiting():
    waiting = {"for": "the CDN has not brought it into effect for a", "since": "2026-11-20T10:00:00+00:00"}
    result = outcome(ISSUED, {**SERVED, "changed": True, "waiting": waiting})
    assert (result.state, result.reason, result.since) == ("waiting", waiting["for"], waiting["since"])


@pytest.mark.parametrize("width", [None, 60])
def test_a_report_in_which_no_end_is_known_has_no_column_for_it(width):
    sentence = "there is no issuer named corprate, only local; add it to certificate_issuers or correct the request"
    unseen = {**row("web1", "www", "unknown", None), "reason": sentence, "refused": True}
    text = report_text(report_on({"web1": {}}, 0, [unseen]), 100, width=width)
    assert "failed  web1  www" in text and "valid until" not in text and " -" not in text
    assert "valid until" in report_text(report_on({"web1": dealt_with([ISSUED], [SERVED])}), 100)
