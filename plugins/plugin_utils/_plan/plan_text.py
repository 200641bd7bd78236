# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan as people read it, and as programs do."""

from __future__ import annotations

import collections
import datetime
import math
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.limit_records import scope_noun
from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.load import DAY, Load
from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.plan import Entry, Group, Plan, QuotaUse
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.text_table import Entry as Row
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.text_table import table_lines, wrapped_lines
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

HOURLY = 'run more often: schedule_times: ["hourly"]'
MIN_SHARE = 0.99  # of renewals inside their windows, below which the schedule is named
MIN_PEAK, MAX_PEAK = 30, 3  # renewals on the busiest day, and that in means, above which a peak is named
MOST_DATES = 5  # of hosts, in one sentence


def plan_text(plan: Plan, width: int | None, most: int) -> str:
    """Return the plan. width: of the terminal, None for no limit. most: how many groups, quotas and faults are shown, each."""
    lines = _wrapped(summary_sentence(plan), width)
    for sentences in (
        [group_sentence(group) for group in plan.groups],
        [quota_sentence(use) for use in plan.quotas if use.names > use.sustainable] if plan.quotas else [],
        plan.faults,
    ):
        for sentence in sentences[:most]:
            lines += _wrapped(sentence, width, "  ")
        if len(sentences) > most:
            lines.append(f"  … and {len(sentences) - most} more")
    if plan.loads:
        header = ("lifetime", "renewals a day", "busiest day", "spread", "inside the window", "of the largest set")
        lines += table_lines(header, [Row([_load_row(load)]) for load in plan.loads], width)
        lines += [line for sentence in load_remarks(plan) for line in _wrapped(sentence, width, "  ")]
    return "\n".join(lines)


def summary_sentence(plan: Plan) -> str:
    """Return in one sentence what is to be issued, and when all of it is."""
    if not plan.entries:
        return f"nothing is to be issued within 7 days; {_count(plan.certificates, 'certificate')} requested"
    kinds = collections.Counter(entry.kind for entry in plan.entries)
    parts = ", ".join(f"{kinds[kind]} {kind}" for kind in ("expired", "renewal", "replacement", "new") if kinds[kind])
    waiting = [entry for entry in plan.entries if entry.limit]
    done = format_date(max(entry.at for entry in plan.entries))
    late = sum(entry.is_late for entry in plan.entries)
    wait = (
        f"{len(waiting)} wait for a limit of the CA, and all are issued by {done}"
        if waiting
        else "no limit of a CA that is known here puts one off"
    )
    return f"{_count(len(plan.entries), 'certificate')} to be issued ({parts}): {wait}{f'; {late} of them late' if late else ''}"


def replacement_sentence(plan: Plan) -> str:
    """Return how many certificates can be replaced within a day, with the dates of the others. Each of the entries is of one request."""
    early = [entry for entry in plan.entries if entry.at < plan.now + DAY]
    others = [entry for entry in plan.entries if entry.at >= plan.now + DAY]
    if not others:
        return f"all {_count(len(plan.entries), 'certificate')} can be replaced today, as far as limits are known here"
    dates = ", ".join(f"{entry.host} ({entry.request}) on {entry.at:%Y-%m-%d}" for entry in others[:MOST_DATES])
    more = (
        f" and {len(others) - MOST_DATES} more, the last on {others[-1].at:%Y-%m-%d}"
        if len(others) > MOST_DATES
        else ""
    )
    limits = "; ".join(dict.fromkeys(group.limit for group in plan.groups))
    return f"of {len(plan.entries)} certificates, {len(early)} can be replaced today; {dates}{more}. {limits}"


def group_sentence(group: Group) -> str:
    """Return when the certificates that share a limit are issued, and what lifts the limit."""
    return (
        f"{group.issuer}, {scope_noun(group.scope)}: {group.number} certificates, {group.at_once} of them when they are due, the last on "
        f"{format_date(group.done)}. {group.limit}. {group.remedy}"
    )


def quota_sentence(use: QuotaUse) -> str:
    """Return what the quota of free certificates of a cloud carries."""
    place = f" for {use.domain}" if use.domain else ""
    counted = "until they expire, even when they are revoked" if use.domain else "until they expire or are revoked"
    return (
        f"account {use.account}, {_count(use.names, 'free certificate')} requested{place}, {use.places} allowed: they count {counted}, so "
        f"{use.sustainable} names can be renewed for ever"
        + (
            "; take an issuer of type acme for the others, or raise cloud.free_quota where the account may have more"
            if use.names > use.sustainable
            else ""
        )
    )


def load_remarks(plan: Plan) -> list[str]:
    """Return what has to change before lifetimes fall."""
    remarks = []
    coarse = [load for load in plan.loads if load.share_in_window is not None and load.share_in_window < MIN_SHARE]
    if coarse:
        load = min(coarse, key=lambda one: one.share_in_window or 0)
        remarks.append(
            f"with {_lifetime(load.lifetime)}, only {load.share_in_window:.0%} of renewals are inside the window of their renewal information, where no "
            f"limit counts; {HOURLY}"
        )
    peaks = [load for load in plan.loads if load.busiest_day_spread > max(MIN_PEAK, MAX_PEAK * load.a_day)]
    new = sum(entry.kind == "new" for entry in plan.entries)
    if peaks and new > MIN_PEAK:
        load = min(peaks, key=lambda one: one.lifetime)
        portion = max(1, math.ceil(MAX_PEAK * load.a_day))
        remarks.append(
            f"what is issued on one day is due on few days: {load.busiest_day_spread} on the busiest one with {_lifetime(load.lifetime)}; to have it even, "
            f"enrol at most {portion} hosts a day, with --limit"
        )
    if plan.loads and not plan.schedule_is_known:
        remarks.append(
            "the schedule is not understood, so the share inside the window is not known; see schedule_times"
        )
    crowded = [load for load in plan.loads if load.set_a_week > 5]
    if crowded:
        load = max(crowded, key=lambda one: one.lifetime)
        remarks.append(
            f"from {_lifetime(load.lifetime)} on, the largest set of names needs {load.set_a_week:.1f} certificates a week, and CAs such as Let's Encrypt "
            "issue 5 outside of the window; give each host a name of its own"
        )
    return remarks


def plan_as_json(plan: Plan) -> dict[str, t.Any]:
    """Return the plan as JSON types."""
    return {
        "certificates": [entry_as_json(entry) for entry in plan.entries],
        "limits": [
            {
                **{key: value for key, value in group._asdict().items() if key != "scope"},
                "done": group.done.isoformat(timespec="seconds"),
                "subject": scope_noun(group.scope),
            }
            for group in plan.groups
        ],
        "quotas": [use._asdict() for use in plan.quotas],
        "loads": [
            {
                "lifetime_h": load.lifetime / datetime.timedelta(hours=1),
                "renewals_a_day": round(load.a_day, 2),
                "busiest_day": load.busiest_day,
                "busiest_day_spread": load.busiest_day_spread,
                "share_in_window": None if load.share_in_window is None else round(load.share_in_window, 3),
                "largest_set_a_week": round(load.set_a_week, 2),
            }
            for load in plan.loads
        ],
        "faults": plan.faults,
    }


def entry_as_json(entry: Entry) -> dict[str, t.Any]:
    """Return a certificate that is to be issued, as JSON types."""
    return {
        "host": entry.host,
        "request": entry.request,
        "domains": list(entry.names),
        "issuer": entry.issuer,
        "kind": entry.kind,
        "at": entry.at.isoformat(timespec="seconds"),
        "waits_for": scope_noun(entry.limit) if entry.limit else None,
        "expires": entry.expires.isoformat(timespec="seconds") if entry.expires else None,
        "is_late": entry.is_late,
    }


def _load_row(load: Load) -> tuple[str, ...]:
    share = "-" if load.share_in_window is None else f"{load.share_in_window:.0%}"
    return (
        _lifetime(load.lifetime),
        f"{load.a_day:.1f}",
        f"{load.busiest_day}",
        f"{load.busiest_day_spread}",
        share,
        f"{load.set_a_week:.1f} a week",
    )


def _lifetime(lifetime: datetime.timedelta) -> str:
    hours = round(lifetime / datetime.timedelta(hours=1))
    return f"{hours // 24} days" if hours % 24 == 0 else f"{hours} hours"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _wrapped(text: str, width: int | None, first_indent: str = "") -> list[str]:
    return wrapped_lines(escape_control_characters(text), width, "    ", first_indent)
