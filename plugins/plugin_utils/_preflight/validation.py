# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check what a CA with people in it wants to see, before it looks and while it takes its time."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request, Validation
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa import check_caa_records
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import CaaIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import DnsAnswers, answers_of
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.validation_files import check_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.validation_records import check_record
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads

VALIDATION_PERIOD = datetime.timedelta(days=3)  # after which CAs close an order that is not validated
SOON = datetime.timedelta(days=1)  # before its end
# How long CAs usually take after the validation, and after how many days a person should ask. Business days are five of seven.
USUAL_DURATIONS = {
    "DV": ("up to 30 minutes, and a day at the most", 1),
    "OV": ("3 to 5 business days", 7),
    "EV": ("5 to 7 business days", 10),
}
MAX_SENTENCES = 3  # in one line for people


def check_validation(
    request: Request,
    client: DnsClient,
    caa_identities: t.Sequence[str],
    since: datetime.datetime | None,
    now: datetime.datetime,
    deadline: float,
) -> list[Finding]:
    """Return what the CA of a request will see: CAA records, and the records and files of C(validation).

    caa_identities: the domains by which CAA records name the CA. since: when the request was handed in, None if it was not.
    deadline: of all checks, by time.monotonic().
    """
    findings: list[Finding] = []
    if caa_identities:
        issuer = CaaIssuer(tuple(caa_identities))
        findings += check_caa_records(Subject(request["domains"], request["issuer"], client, issuer, deadline))
    entries = request.get("validation") or []
    answers = answers_of(client)
    looked = map_in_threads(lambda entry: _check_entry(entry, client, answers, deadline), entries)
    shown = [finding for group in looked for finding in group]
    findings += shown
    if entries and since is not None:
        is_right = all(one.severity in ("fine", "note") for one in shown)
        findings.append(waiting_finding(request, since, now) if is_right else deadline_finding(since, now))
    return findings


def _check_entry(entry: Validation, client: DnsClient, answers: DnsAnswers, deadline: float) -> list[Finding]:
    try:
        return (
            check_file(entry, client, deadline) if entry["type"] == "file" else check_record(entry, answers, deadline)
        )
    except Exception as error:
        where = entry.get("url") or entry.get("name")
        return [Finding("unknown", "validation.failed", f"the check of {where} failed: {failure_sentence(error)}")]


def deadline_finding(since: datetime.datetime, now: datetime.datetime) -> Finding:
    """Return until when the CA waits for what it does not see yet."""
    until = since + VALIDATION_PERIOD
    date = format_date(until, "minutes")
    if now >= until:
        sentence = (
            f"CAs wait 3 days for the validation, which were over on {date}; see whether the CA has closed the order, and hand the request in "
            "again if so"
        )
        return Finding("blocks", "validation.deadline", sentence)
    severity: t.Literal["risk", "note"] = "risk" if until - now < SOON else "note"
    return Finding(severity, "validation.deadline", f"CAs wait 3 days for the validation: put this right until {date}")


def waiting_finding(request: Request, since: datetime.datetime, now: datetime.datetime) -> Finding:
    """Return how long the CA usually takes once it sees what it wants."""
    kind = request.get("kind") or "DV"
    usual, days = USUAL_DURATIONS[kind]
    seen = "the CA sees what it wants, and has not answered yet"
    if now - since > datetime.timedelta(days=days):
        sentence = f"{seen}, longer than is usual for {kind} ({usual}); ask the CA what it waits for"
        return Finding("risk", "validation.waiting", sentence)
    return Finding("note", "validation.waiting", f"{seen}; usual for {kind} is {usual}")


def validation_summary(findings: t.Iterable[Finding]) -> str:
    """Return the findings in one line for people, the worst first; an empty text where nothing was looked at."""
    rank = ("blocks", "risk", "unknown", "note")
    worst = sorted((one for one in findings if one.severity in rank), key=lambda one: rank.index(one.severity))
    return " · ".join(one.sentence for one in worst[:MAX_SENTENCES])


def describe_validation(entries: t.Iterable[Validation] | None) -> list[str]:
    """Return for people what the CA wants to see, one line for each record or file."""
    return [
        f"the file {one['url']} with the content {one['content']}"
        if one["type"] == "file"
        else f"the {one['record']} record {one['name']} with the value {one['value']}"
        for one in entries or ()
    ]
