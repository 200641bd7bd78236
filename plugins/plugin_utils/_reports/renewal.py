# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of each certificate that was due in a renewal run, out of the variables that the run left on its hosts.

A report has to come however the run ended. So everything here takes variables of any shape, and reports what it can read.
"""

from __future__ import annotations

import collections.abc
import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import (
    escape_as_one_line,
    escape_control_characters,
)

STATES = ("renewed", "repaired", "waiting", "failed", "untouched", "fine")  # of an outcome
REPORTED_STATES = ("failed", "untouched", "waiting", "renewed", "repaired")  # the worst first
SURVEY_VARIABLE = "renew_found"
RUN_VARIABLES = ("certificate_obtained", "certificate_served", "renew_failed")
MAX_HOSTS_IN_SENTENCE = 4

RUN_AGAIN = "run evergreen.tls.renew again"
UNTOUCHED_WITHOUT_REASON = f"nothing was done there, and nothing says why; see what was printed above and {RUN_AGAIN}"
NO_RESULT = f"it was due, and nothing says what became of it; see what was printed above and {RUN_AGAIN}"
NO_VERIFICATION = (
    f"it was put in place, and nothing says whether it is served; see what was printed above and {RUN_AGAIN}"
)
NO_REASON = f"no reason was given; see what was printed above and {RUN_AGAIN}"

VariablesOf = t.Callable[[str], t.Any]  # the variables of a host
Findings = dict[str, list[t.Any]]  # of a host in the survey, by the name of the request; each of any shape


class Outcome(t.NamedTuple):
    """What became of a request of a host, or of a host as a whole, as a run record has it in JSON."""

    host: str
    state: str  # one of STATES
    reason: str
    request: str = ""  # its name; nothing for the host as a whole
    until: str | None = None  # the end of the certificate that is served, in ISO 8601
    since: str | None = None  # when the request became pending, in ISO 8601
    unproved: bool = False  # whether it is unknown that the certificate is served
    put_back: str | None = None  # the version that is served again


class ReportSummary(t.TypedDict):
    """A report as the action renewal_report returns it, and as a run record has it in JSON."""

    counts: dict[str, int]
    stopped_by: list[str]
    outcomes: list[dict[str, t.Any]]  # each with the fields of Outcome
    msg: str


class Report(t.NamedTuple):
    """The outcomes of a run, those that are fine left out and the worst first, with what sums them up."""

    outcomes: list[Outcome]
    counts: dict[str, int]  # of all outcomes, by state
    stopped_by: list[str]  # the hosts whose failure kept the run from others
    failed_hosts: dict[str, str]  # the reason, by host
    sentence: str

    def summary(self) -> ReportSummary:
        """Return the report as JSON has it."""
        return {
            "counts": self.counts,
            "stopped_by": self.stopped_by,
            "outcomes": [outcome._asdict() for outcome in self.outcomes],
            "msg": self.sentence,
        }


def survey_result(hosts: list[str], variables_of: VariablesOf) -> t.Any:
    """Return the result of the survey, which Ansible registers on one of the hosts.

    Raises TlsError when no host has it, or it cannot be read.
    """
    for host in hosts:
        result = _read_variables(variables_of, host, [SURVEY_VARIABLE])[SURVEY_VARIABLE]
        if isinstance(result, collections.abc.Mapping) and "endpoints" in result:
            return result
    raise TlsError(
        "there is no survey to report on; run evergreen.tls.survey in a play before this one, and register renew_found"
    )


def make_report(survey: t.Any, variables_of: VariablesOf, check_mode: bool = False) -> Report:
    """Return what became of everything that was due.

    survey: the result of evergreen.tls.survey, of any shape.
    variables_of: returns the variables of a host, RUN_VARIABLES among them. It may raise anything.
    """
    due = _due_findings(survey)
    outcomes = []
    for host, findings in due.items():
        try:
            variables = _read_variables(variables_of, host, RUN_VARIABLES)
            outcomes += _outcomes_of_host(host, findings, variables, check_mode)
        except BaseException as error:
            outcomes.append(Outcome(host, "failed", failure_sentence(error)))
    attempted = [outcome for outcome in outcomes if not _is_left_out(due[outcome.host])]
    stopped_by = _stopping_hosts(attempted)
    why_stopped = f"{_failure_clause(attempted)}, which stopped the run" if stopped_by else ""
    outcomes = [_with_reason(outcome, why_stopped) if outcome.state == "untouched" else outcome for outcome in outcomes]
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in STATES}
    counts["fine"] = _count_fine(survey, due, outcomes)
    reported = sorted(
        (outcome for outcome in outcomes if outcome.state != "fine"),
        key=lambda outcome: REPORTED_STATES.index(outcome.state),
    )
    sentence = _summary_sentence(reported, counts, why_stopped, check_mode)
    return Report(reported, counts, stopped_by, _failed_hosts(reported), sentence)


def state_words(state: str, check_mode: bool) -> str:
    """Return a state as people read it. In check mode, nothing is renewed or repaired."""
    return f"would be {state}" if check_mode and state in ("renewed", "repaired") else state


def _due_findings(survey: t.Any) -> dict[str, Findings]:
    """Return the findings of the survey that are not fine, by host."""
    due: dict[str, Findings] = {}
    for finding in _list(_get(survey, "endpoints")):
        host = _get(finding, "host")
        if isinstance(host, str) and _get(finding, "state") != "fine":
            due.setdefault(str(host), {}).setdefault(_one_line(_get(finding, "request")), []).append(finding)
    return due


def _read_variables(variables_of: VariablesOf, host: str, names: t.Iterable[str]) -> dict[str, t.Any]:
    """Return variables of a host, with None for those that it does not have or that cannot be read."""
    values: dict[str, t.Any] = dict.fromkeys(names)
    with contextlib.suppress(Exception):  # whatever an inventory plugin raises; the report has to come
        variables = variables_of(host)
        for name in values:
            with contextlib.suppress(Exception):  # whatever a template raises
                values[name] = variables.get(name)
    return values


def _outcomes_of_host(host: str, findings: Findings, left: dict[str, t.Any], check_mode: bool) -> list[Outcome]:
    """Return what became of the requests of a host. *left* are its RUN_VARIABLES."""
    obtained, served = (_results_by_request(left[name]) for name in ("certificate_obtained", "certificate_served"))
    refused = {request: why for request, of_request in findings.items() if (why := _refusal(of_request))}
    host_failure = _reason_of_host_failure(left, findings, has_obtained=bool(obtained))
    outcomes = []
    for key in {**obtained, **served}:
        request = key if isinstance(key, str) else ""
        needs_verification = not check_mode and _is_put_in_place(obtained.get(key))
        missing = {"failed": True, "msg": host_failure or NO_VERIFICATION} if needs_verification else {}
        outcomes.append(
            _outcome(
                Outcome(host, "fine", "", request, _first_end(findings.get(request, []))),
                obtained.get(key, {}),
                served.get(key, missing),
                check_mode,
            )
        )
    missing_requests = [request for request in refused if request not in {**obtained, **served}]
    outcomes += [
        Outcome(host, "failed", refused[request], request, _first_end(findings[request]))
        for request in missing_requests
    ]
    findings = {request: of_request for request, of_request in findings.items() if request not in missing_requests}
    if host_failure:
        if not any(outcome.state == "failed" for outcome in outcomes):
            outcomes.append(Outcome(host, "failed", host_failure, until=_first_end(_all_findings(findings))))
    elif obtained or served:
        without_result = [request for request in findings if request and request not in {**obtained, **served}]
        outcomes += [
            Outcome(host, "failed", NO_RESULT, request, _first_end(findings[request])) for request in without_result
        ]
    elif findings and not (missing_requests and all(_is_host_forced(of_request) for of_request in findings.values())):
        requests = [request for request in findings if request] or [""]
        outcomes += [Outcome(host, "untouched", "", request, _first_end(findings[request])) for request in requests]
    return outcomes


def _outcome(fine: Outcome, obtained: t.Any, served: t.Any, check_mode: bool) -> Outcome:
    """Return what became of a request.

    obtained, served: the results of obtaining its certificate, and of verifying that it is served; of any shape.
    fine: its outcome if nothing was done, with the end of the old certificate.
    """
    new_end = _iso_date(_get(_get(obtained, "certificate"), "not_after"))
    with_new_end = fine if check_mode else fine._replace(until=new_end)
    pending = _get(obtained, "waiting") or _get(served, "waiting")
    failures = [_failure_message(result) for result in (obtained, served) if _has_failed(result)]
    if failures:
        put_back = _one_line(_get(served, "put_back")) or None
        reason = ". ".join(failures)
        if put_back and put_back not in reason:
            reason += f". {put_back} is served again"
        return fine._replace(state="failed", reason=reason, unproved=_has_failed(served), put_back=put_back)
    if pending:
        reason = _one_line(_get(pending, "for")) or _one_line(_get(obtained, "msg")) or _one_line(pending)
        return fine._replace(state="waiting", reason=reason, since=_iso_date(_get(pending, "since")))
    exported = _one_line(_get(served, "exported"))
    if _is(obtained, "due") and _is(obtained, "changed"):
        reason = _one_line(_get(obtained, "reason")) or _one_line(_get(obtained, "msg"))
        return with_new_end._replace(state="renewed", reason="; ".join(filter(None, [reason, exported])))
    changes = [_one_line(_get(result, "msg")) for result in (obtained, served) if _is(result, "changed")]
    if changes:
        reason = "; ".join(dict.fromkeys(filter(None, [exported, *changes])))
        return (with_new_end if with_new_end.until else fine)._replace(state="repaired", reason=reason)
    return fine


def _results_by_request(registered: t.Any) -> dict[str | int, t.Any]:
    """Return the results of a task by the name of the request, or by its position where it has none."""
    results: dict[str | int, t.Any] = {}
    for position, result in enumerate(_list(_get(registered, "certificates"))):
        if isinstance(result, collections.abc.Mapping):
            results[_one_line(_get(result, "name")) or position] = result
    return results


def _reason_of_host_failure(left: dict[str, t.Any], findings: Findings, has_obtained: bool) -> str:
    """Return why a host failed as a whole, or nothing if it did not.

    Where the survey could not read what the host has to serve, its reason is better than that of the task that failed for it.
    """
    if left["renew_failed"] and not has_obtained:
        unknown = [finding for finding in findings.get("", []) if _get(finding, "state") == "unknown"]
        if unknown and (reason := _one_line(_get(unknown[0], "reason"))):
            return reason
    return (
        _one_line(left["renew_failed"] or None)
        or _task_failure(left["certificate_obtained"])
        or _task_failure(left["certificate_served"])
    )


def _refusal(findings: list[t.Any]) -> str:
    """Return why nothing was done about a request or a host, as the survey says; nothing if it was not refused."""
    return next((_one_line(_get(one, "reason")) for one in findings if _is(one, "refused")), "")


def _is_left_out(findings: Findings) -> bool:
    """Return whether a host was in no wave, since the survey refused all that is due there."""
    return all(_is(finding, "refused") for finding in _all_findings(findings))


def _is_host_forced(findings: list[t.Any]) -> bool:
    """Return whether a host was due as a whole, by the user's choice."""
    return all(not _get(one, "request") and _get(one, "state") == "due" for one in findings)


def _is_put_in_place(obtained: t.Any) -> bool:
    """Return whether there is a certificate on the disk that has to be served from now on."""
    return _is(obtained, "changed") and not _has_failed(obtained) and not _get(obtained, "waiting")


def _task_failure(registered: t.Any) -> str:
    """Return why a task as a whole failed, or nothing if it did not."""
    return _failure_message(registered) if _has_failed(registered) and not _results_by_request(registered) else ""


def _failure_message(result: t.Any) -> str:
    message = _one_line(_get(result, "msg"))
    if _is(result, "unreachable"):
        return f"it cannot be logged in to: {message or 'no reason given'}; put that right and {RUN_AGAIN}"
    return message or NO_REASON


def _stopping_hosts(outcomes: list[Outcome]) -> list[str]:
    """Return the hosts that kept the run from others: those not verified, or else those that failed."""
    has_untouched = any(outcome.state == "untouched" for outcome in outcomes)
    return (
        (_hosts_with_failures(outcomes, only_unproved=True) or _hosts_with_failures(outcomes)) if has_untouched else []
    )


def _with_reason(outcome: Outcome, why_stopped: str) -> Outcome:
    """Return the outcome of an untouched host, with the reason. Without one, it has failed."""
    if why_stopped:
        return outcome._replace(reason=why_stopped)
    return outcome._replace(state="failed", reason=UNTOUCHED_WITHOUT_REASON)


def _failure_clause(outcomes: list[Outcome]) -> str:
    """Return which hosts failed, as the beginning of a sentence, or nothing."""
    if unproved := _hosts_with_failures(outcomes, only_unproved=True):
        return f"{_enumerated(unproved)} could not be proved"
    return f"{_enumerated(failed)} failed" if (failed := _hosts_with_failures(outcomes)) else ""


def _hosts_with_failures(outcomes: list[Outcome], only_unproved: bool = False) -> list[str]:
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    return list(dict.fromkeys(outcome.host for outcome in failed if outcome.unproved or not only_unproved))


def _failed_hosts(outcomes: list[Outcome]) -> dict[str, str]:
    """Return a sentence for each host on which something failed."""
    sentences: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.state == "failed":
            about = "" if outcome.reason.startswith(outcome.request) else f"{outcome.request}: "
            sentences.setdefault(outcome.host, []).append(about + outcome.reason)
    return {host: " · ".join(reasons) for host, reasons in sentences.items()}


def _count_fine(survey: t.Any, due: dict[str, Findings], outcomes: list[Outcome]) -> int:
    """Return how many requests are fine: the count of the survey, corrected by the outcomes."""
    surveyed = _get(survey, "fine_requests")
    fine = surveyed if isinstance(surveyed, int) else 0
    for outcome in outcomes:
        findings = due[outcome.host]
        is_unknown = any(_get(finding, "state") == "unknown" for finding in findings.get("", []))
        is_counted = bool(outcome.request) and outcome.request not in findings and not is_unknown
        fine += (outcome.state == "fine") - is_counted
    return max(0, fine)


def _summary_sentence(outcomes: list[Outcome], counts: dict[str, int], why_stopped: str, check_mode: bool) -> str:
    if not outcomes:
        fine = f"{counts['fine']} fine" if counts["fine"] else "no host has certificate requests"
        return f"nothing was due: {fine}"
    states = ", ".join(f"{number} {state_words(state, check_mode)}" for state, number in counts.items() if number)
    failure = why_stopped or _failure_clause(outcomes)
    return f"{states}; {failure}: correct it and {RUN_AGAIN}" if failure else states


def _enumerated(names: list[str]) -> str:
    """Return host names as a part of a sentence.

    >>> _enumerated(["web1", "web2", "web3", "web4", "web5"])
    'web1, web2, web3 and 2 more'
    """
    hosts = [escape_control_characters(name) for name in names]
    if len(hosts) > MAX_HOSTS_IN_SENTENCE:
        named = hosts[: MAX_HOSTS_IN_SENTENCE - 1]
        return f"{', '.join(named)} and {len(hosts) - len(named)} more"
    return " and ".join(filter(None, [", ".join(hosts[:-1]), hosts[-1]]))


def _first_end(findings: list[t.Any]) -> str | None:
    """Return the end of the certificate that ends first, of those that the survey saw, in ISO 8601."""
    ends = [_iso_date(_get(_get(finding, "certificate"), "not_after")) for finding in findings]
    return min((end for end in ends if end), default=None)


def _all_findings(findings: Findings) -> list[t.Any]:
    return [finding for of_request in findings.values() for finding in of_request]


def _iso_date(value: t.Any) -> str | None:
    """Return a date in UTC and ISO 8601, or None for what is no date."""
    date = parse_date(value)
    return date.isoformat(timespec="seconds") if date else None


def _has_failed(result: t.Any) -> bool:
    return _is(result, "failed") or _is(result, "unreachable")


def _is(result: t.Any, key: str) -> bool:
    return _get(result, key) is True


def _get(value: t.Any, key: str) -> t.Any:
    return value.get(key) if isinstance(value, collections.abc.Mapping) else None


def _list(value: t.Any) -> list[t.Any] | tuple[t.Any, ...]:
    return value if isinstance(value, (list, tuple)) else []


def _one_line(value: t.Any) -> str:
    """Return a value as text on one line, without control characters; None is no text."""
    return "" if value is None else escape_as_one_line(str(value))
