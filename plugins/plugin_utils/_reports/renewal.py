# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a renewal run: what became of each certificate that was due, out of what the run left in variables of the hosts.

A report has to come whatever the run ended in. So everything here takes variables of any shape, and tells what it can.
"""

from __future__ import annotations

import collections.abc
import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import (
    escape_as_one_line,
    escape_control_characters,
)

STATES = ("renewed", "repaired", "waiting", "failed", "untouched", "fine")
WORST_FIRST = ("failed", "untouched", "waiting", "renewed", "repaired")  # where there is something to tell
LEFT_BY_A_RUN = ("certificate_obtained", "certificate_served", "renew_failed")
AGAIN = "run evergreen.tls.renew again"
UNEXPLAINED = f"nothing was done there, and nothing says why; see what was printed above and {AGAIN}"
UNTOLD = f"it was due, and nothing says what became of it; see what was printed above and {AGAIN}"
UNSEEN = f"it was put in place, and nothing says whether it is served; see what was printed above and {AGAIN}"
NO_REASON = f"no reason was given; see what was printed above and {AGAIN}"


class Outcome(t.NamedTuple):
    """What became of a request of a host, or of a host as a whole."""

    host: str
    state: str
    reason: str
    request: str = ""
    until: str | None = None  # the certificate that is served is valid, in ISO 8601
    since: str | None = None
    unproved: bool = False
    put_back: str | None = None


class Report(t.NamedTuple):
    """What became of all that was due, the worst first."""

    outcomes: list[Outcome]
    counts: dict[str, int]
    stopped_by: list[str]
    failed_hosts: dict[str, str]
    sentence: str


def survey_result(hosts: list[str], variables_of: t.Callable[[str], t.Any]) -> t.Any:
    """Return what the survey found. Ansible registers it for one host, which may have failed since."""
    for host in hosts:
        found = _left(variables_of, host, ["renew_found"])["renew_found"]
        if isinstance(found, collections.abc.Mapping) and "endpoints" in found:
            return found
    raise TlsError(
        "there is no survey to report on; run evergreen.tls.survey in a play before this one, and register renew_found"
    )


def make_report(found: t.Any, variables_of: t.Callable[[str], t.Any], check_mode: bool = False) -> Report:
    """Return what became of all that the survey *found* due.

    *variables_of* returns the variables of a host, with what the run left in them.
    """
    due = _due(found)
    outcomes = []
    for host, rows in due.items():
        outcomes += _outcomes(host, rows, _left(variables_of, host, LEFT_BY_A_RUN), check_mode)
    stopped_by = _stopped_by(outcomes)
    why = f"{_unproved_or_failed(outcomes)}, which stopped the run" if stopped_by else ""
    outcomes = [_explained(outcome, why) if outcome.state == "untouched" else outcome for outcome in outcomes]
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in STATES}
    counts["fine"] = _fine(found, due, outcomes)
    told = sorted(
        (outcome for outcome in outcomes if outcome.state != "fine"),
        key=lambda outcome: WORST_FIRST.index(outcome.state),
    )
    return Report(told, counts, stopped_by, _failed_hosts(told), _sentence(told, counts, why, check_mode))


def report_text(told: Report, most: int, check_mode: bool = False) -> str:
    """Return a report that people read: a line for each outcome, *most* of each state, and a sentence."""
    lines: list[tuple[str, ...]] = [("state", "host", "request", "valid until", "why")] if told.outcomes else []
    for state in WORST_FIRST:
        group = [outcome for outcome in told.outcomes if outcome.state == state]
        lines += [_line(outcome, check_mode) for outcome in group[: max(0, most)]]
        if len(group) > max(0, most):
            lines.append((f"… and {len(group) - max(0, most)} more {_word(state, check_mode)}",))
    widths = [max(len(line[column]) for line in lines if len(line) > 1) for column in range(4)] if lines else []
    rows = ["  ".join([*(cell.ljust(size) for cell, size in zip(line[:-1], widths)), line[-1]]) for line in lines]
    return "\n".join([*rows, told.sentence])


def _due(found: t.Any) -> dict[str, dict[str, list]]:
    """Return by host and request what the survey found that is not fine."""
    due: dict[str, dict[str, list]] = {}
    for row in _list(_get(found, "endpoints")):
        host = _get(row, "host")
        if isinstance(host, str) and _get(row, "state") != "fine":
            due.setdefault(str(host), {}).setdefault(_one_line(_get(row, "request")), []).append(row)
    return due


def _left(variables_of: t.Callable[[str], t.Any], host: str, names: t.Iterable[str]) -> dict[str, t.Any]:
    """Return variables of a host, with None for those that it does not have or that cannot be read."""
    left: dict[str, t.Any] = dict.fromkeys(names)
    with contextlib.suppress(Exception):  # whatever an inventory plugin raises; the report has to come
        variables = variables_of(host)
        for name in left:
            with contextlib.suppress(Exception):  # whatever a template raises
                left[name] = variables.get(name)
    return left


def _outcomes(host: str, rows: dict[str, list], left: dict[str, t.Any], check_mode: bool) -> list[Outcome]:
    """Return what became of the requests of a host."""
    obtained, served = (_items(left[name]) for name in LEFT_BY_A_RUN[:2])
    trouble = (
        _one_line(left["renew_failed"] or None)
        or _trouble(left["certificate_obtained"])
        or _trouble(left["certificate_served"])
    )
    if left["renew_failed"] and not obtained and (seen := _reason_of_host(rows)):
        trouble = seen
    outcomes = []
    for key in {**obtained, **served}:
        request = key if isinstance(key, str) else ""
        unseen = {"failed": True, "msg": trouble or UNSEEN}
        presented = served.get(key, {} if check_mode or not _is_put_in_place(obtained.get(key)) else unseen)
        outcomes.append(_outcome(host, request, obtained.get(key, {}), presented, rows.get(request, []), check_mode))
    if trouble:
        if not any(outcome.state == "failed" for outcome in outcomes):
            outcomes.append(Outcome(host, "failed", trouble, until=_first_end(_all(rows))))
    elif outcomes:
        untold = [request for request in rows if request and request not in {**obtained, **served}]
        outcomes += [Outcome(host, "failed", UNTOLD, request, _first_end(rows[request])) for request in untold]
    else:
        named = [request for request in rows if request] or [""]
        outcomes += [Outcome(host, "untouched", "", request, _first_end(rows[request])) for request in named]
    return outcomes


def _outcome(host: str, request: str, obtained: t.Any, served: t.Any, rows: list, check_mode: bool) -> Outcome:
    """Return what became of a request, out of what obtaining its certificate and proving it returned."""
    outcome = Outcome(host, "fine", "", request, _first_end(rows))
    end = _moment(_get(_get(obtained, "certificate"), "not_after"))
    new = outcome if check_mode else outcome._replace(until=end)
    waiting = _get(obtained, "waiting")
    failures = [_complaint(item) for item in (obtained, served) if _has_failed(item)]
    if failures:
        put_back = _one_line(_get(served, "put_back")) or None
        reason = ". ".join(failures)
        if put_back and put_back not in reason:
            reason += f". {put_back} is served again"
        return outcome._replace(state="failed", reason=reason, unproved=_has_failed(served), put_back=put_back)
    if waiting:
        reason = _one_line(_get(waiting, "for")) or _one_line(_get(obtained, "msg")) or _one_line(waiting)
        return outcome._replace(state="waiting", reason=reason, since=_moment(_get(waiting, "since")))
    if _is(obtained, "due") and _is(obtained, "changed"):
        reason = _one_line(_get(obtained, "reason")) or _one_line(_get(obtained, "msg"))
        return new._replace(
            state="renewed", reason="; ".join(filter(None, [reason, _one_line(_get(served, "exported"))]))
        )
    changes = [_one_line(_get(item, "msg")) for item in (obtained, served) if _is(item, "changed")]
    changes = [_one_line(_get(served, "exported")), *changes] if changes else []
    if changes:
        repaired = new if new.until else outcome
        return repaired._replace(state="repaired", reason="; ".join(dict.fromkeys(filter(None, changes))))
    return outcome


def _items(registered: t.Any) -> dict[str | int, t.Any]:
    """Return what became of each request by its name, or by its place where it has none."""
    items: dict[str | int, t.Any] = {}
    for place, item in enumerate(_list(_get(registered, "certificates"))):
        if isinstance(item, collections.abc.Mapping):
            items[_one_line(_get(item, "name")) or place] = item
    return items


def _reason_of_host(rows: dict[str, list]) -> str:
    """Return why the survey could not tell what a host has to serve, a better sentence than that of the task that fails for it."""
    return next((_one_line(_get(row, "reason")) for row in rows.get("", []) if _get(row, "state") == "unknown"), "")


def _is_put_in_place(obtained: t.Any) -> bool:
    """Say whether something is on the disk that has to be served now."""
    return _is(obtained, "changed") and not _has_failed(obtained) and not _get(obtained, "waiting")


def _trouble(registered: t.Any) -> str:
    """Return why a task as a whole failed, if it did."""
    return _complaint(registered) if _has_failed(registered) and not _items(registered) else ""


def _complaint(item: t.Any) -> str:
    """Return the sentence with which something failed."""
    sentence = _one_line(_get(item, "msg"))
    if _is(item, "unreachable"):
        return f"it cannot be logged in to: {sentence or 'no reason given'}; put that right and {AGAIN}"
    return sentence or NO_REASON


def _stopped_by(outcomes: list[Outcome]) -> list[str]:
    """Return the hosts that kept others from being touched: what could not be proved, or else what failed."""
    untouched = any(outcome.state == "untouched" for outcome in outcomes)
    return (_hosts(outcomes, unproved=True) or _hosts(outcomes)) if untouched else []


def _explained(outcome: Outcome, why: str) -> Outcome:
    """Return what became of an untouched host, with the reason; that nobody knows why is a failure."""
    return outcome._replace(reason=why) if why else outcome._replace(state="failed", reason=UNEXPLAINED)


def _unproved_or_failed(outcomes: list[Outcome]) -> str:
    """Return what went wrong where, as the begin of a sentence, or nothing."""
    if unproved := _hosts(outcomes, unproved=True):
        return f"{_enumerated(unproved)} could not be proved"
    return f"{_enumerated(failed)} failed" if (failed := _hosts(outcomes)) else ""


def _hosts(outcomes: list[Outcome], unproved: bool = False) -> list[str]:
    """Return the hosts on which something failed, or was not proved, once each."""
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    return list(dict.fromkeys(outcome.host for outcome in failed if outcome.unproved or not unproved))


def _failed_hosts(outcomes: list[Outcome]) -> dict[str, str]:
    """Return a sentence for each host on which something failed."""
    sentences: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.state == "failed":
            about = "" if outcome.reason.startswith(outcome.request) else f"{outcome.request}: "
            sentences.setdefault(outcome.host, []).append(about + outcome.reason)
    return {host: " · ".join(said) for host, said in sentences.items()}


def _fine(found: t.Any, due: dict[str, dict[str, list]], outcomes: list[Outcome]) -> int:
    """Return how many requests are fine: what the survey saw so, corrected by what was seen on the hosts."""
    seen = _get(found, "fine_requests")
    fine = seen if isinstance(seen, int) else 0
    for outcome in outcomes:
        rows = due[outcome.host]
        unseen = any(_get(row, "state") == "unknown" for row in rows.get("", []))
        counted = bool(outcome.request) and outcome.request not in rows and not unseen
        fine += (outcome.state == "fine") - counted
    return max(0, fine)


def _sentence(outcomes: list[Outcome], counts: dict[str, int], why_stopped: str, check_mode: bool) -> str:
    if not outcomes:
        fine = f"{counts['fine']} fine" if counts["fine"] else "no host has certificate requests"
        return f"nothing was due: {fine}"
    said = ", ".join(f"{number} {_word(state, check_mode)}" for state, number in counts.items() if number)
    wrong = why_stopped or _unproved_or_failed(outcomes)
    return f"{said}; {wrong}: correct it and {AGAIN}" if wrong else said


def _line(outcome: Outcome, check_mode: bool) -> tuple[str, str, str, str, str]:
    since = f"since {_readable(outcome.since)}: " if outcome.since else ""
    end = _readable(outcome.until) if outcome.until else "-"
    return (
        _word(outcome.state, check_mode),
        escape_control_characters(outcome.host),
        outcome.request or "-",
        end,
        since + outcome.reason,
    )


def _word(state: str, check_mode: bool) -> str:
    return f"would be {state}" if check_mode and state in ("renewed", "repaired") else state


def _enumerated(names: list[str]) -> str:
    """Return the hosts as a part of a sentence.

    >>> _enumerated(["web1", "web2", "web3", "web4", "web5"])
    'web1, web2, web3 and 2 more'
    """
    hosts = [escape_control_characters(name) for name in names]
    if len(hosts) > 4:
        return f"{', '.join(hosts[:3])} and {len(hosts) - 3} more"
    return " and ".join(filter(None, [", ".join(hosts[:-1]), hosts[-1]]))


def _first_end(rows: list) -> str | None:
    """Return when the first of the certificates that were seen at the endpoints ends."""
    ends = [_moment(_get(_get(row, "certificate"), "not_after")) for row in rows]
    return min((end for end in ends if end), default=None)


def _all(rows: dict[str, list]) -> list:
    return [row for of_request in rows.values() for row in of_request]


def _moment(value: t.Any) -> str | None:
    """Return a moment in UTC and ISO 8601, or None for what is none."""
    date = parse_date(value)
    return date.isoformat(timespec="seconds") if date else None


def _readable(moment: str) -> str:
    date = parse_date(moment)
    return format_date(date, "minutes") if date else moment


def _has_failed(item: t.Any) -> bool:
    return _is(item, "failed") or _is(item, "unreachable")


def _is(item: t.Any, what: str) -> bool:
    return _get(item, what) is True


def _get(value: t.Any, name: str) -> t.Any:
    return value.get(name) if isinstance(value, collections.abc.Mapping) else None


def _list(value: t.Any) -> list | tuple:
    return value if isinstance(value, (list, tuple)) else []


def _one_line(value: t.Any) -> str:
    """Return a value as text on one line, without control characters; None is no text."""
    return "" if value is None else escape_as_one_line(str(value))
