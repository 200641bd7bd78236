# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import functools
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import FleetAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_host
from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.fleet import read_fleet
from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.load import DAY, longest_pause
from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.plan import Plan, make_plan
from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.plan_text import (
    plan_as_json,
    plan_text,
    replacement_sentence,
    summary_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.document import write_document
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.printing import printer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import terminal_width
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

display = Display()
FAIL_WHEN = ("late", "never")
MODES = ("plan", "summary", "replacement")
SHORT_LIVED = "shortlived"  # the profile for which the role schedule runs every hour


class ActionModule(FleetAction):
    """Say when all certificates of a fleet can be issued, from the records of the controller."""

    _requires_connection = False
    VARIABLES: t.ClassVar[dict[str, str]] = {
        **{option: f"plan_{option}" for option in ("path", "until", "fail_when", "most")},
        "schedule_times": "schedule_times",
        "schedule_delay": "schedule_delay",
    }
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "mode": {"type": "str", "choices": list(MODES), "default": "plan"},
        "requests": {"type": "list", "elements": "str", "default": []},
        "path": {"type": "path"},
        "until": {"type": "str"},
        "fail_when": {"type": "str", "choices": list(FAIL_WHEN), "default": "never"},
        "most": {"type": "int", "default": 20},
        "schedule_times": {"type": "list", "elements": "str"},
        "schedule_delay": {"type": "int", "default": 3600},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        mode = arguments["mode"]
        try:
            return self._result(arguments, task_vars)
        except TlsError:
            raise
        except Exception as error:
            if mode == "plan":
                raise
            # A deployment or a revocation does not fail because its dates cannot be told.
            sentence = f"it is not known when the CA issues all certificates: {failure_sentence(error)}"
            display.warning(escape_control_characters(sentence))
            return {"changed": False, "msg": sentence}

    def _result(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        now, mode = utc_now(), arguments["mode"]
        is_replacement = mode == "replacement"
        until = read_until(arguments["until"], now) if arguments["until"] else None
        if is_replacement and until is None:
            until = now + DAY
        requests = [] if "all" in arguments["requests"] else arguments["requests"]
        variables_of = functools.partial(variables_of_host, task_vars["hostvars"])
        fleet = read_fleet(task_vars["ansible_play_hosts_all"], variables_of, now, requests)
        profiles = {directory.profile for issuer in fleet.issuers.values() for directory in issuer.directories}
        times = arguments["schedule_times"] or default_times(SHORT_LIVED in profiles)
        delay = datetime.timedelta(seconds=max(0, arguments["schedule_delay"]))
        plan = make_plan(fleet, now, until, longest_pause(times), delay, is_replacement)
        sentence = replacement_sentence(plan) if is_replacement else summary_sentence(plan)
        self._show(plan, sentence, mode, arguments["most"])
        document = plan_as_json(plan)
        if arguments["path"] and mode == "plan" and not self._task.check_mode:
            write_document(arguments["path"], document, "the plan", "plan_path")
        result = {"changed": False, **document, "table": plan_text(plan, None, arguments["most"])}
        if arguments["fail_when"] == "late" and any(entry.is_late for entry in plan.entries):
            advice = (
                "nothing is revoked; set revoke_when_late to warn"
                if is_replacement
                else "see what lifts the limits, or set plan_until"
            )
            raise TlsError(f"{sentence}; {advice}", **result)
        return {**result, "msg": sentence}

    # not a parser: it only passes on foreign input
    def _show(self, plan: Plan, sentence: str, mode: str, most: int) -> None:
        if mode == "replacement":
            if any(entry.is_late for entry in plan.entries):
                display.warning(escape_control_characters(sentence))
        elif mode == "summary":
            printer(display.display)(escape_control_characters(f"plan: {sentence}"))
        else:
            printer(display.display)(plan_text(plan, terminal_width(), most))


def default_times(has_short_lived: bool) -> list[str]:
    """Return what the role schedule has as schedule_times by default."""
    return ["hourly"] if has_short_lived else ["00/4:00"]


# not a parser: it reads what the person who runs it has written
def read_until(text: str, now: datetime.datetime) -> datetime.datetime:
    """Return a date, or the end of a duration that begins now. Raises TlsError for anything else.

    >>> read_until("14d", datetime.datetime(2026, 12, 1, tzinfo=datetime.timezone.utc)).day
    15
    """
    date = parse_date(text) if "-" in text else None
    if date is not None:
        return date
    try:
        return now + parse_duration(text)
    except TlsError as error:
        raise TlsError(
            f"plan_until: {text!r} is neither a date nor a duration; write one such as 2026-12-24 or 14d"
        ) from error
