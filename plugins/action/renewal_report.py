# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import functools
import os
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import FleetAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_host
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import absolute_folder
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.printing import printer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal import make_report, survey_result
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal_table import report_text
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.run_records import (
    RunRecord,
    describe_run,
    remove_old_records,
    write_record,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import terminal_width
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

display = Display()


class ActionModule(FleetAction):
    """Report what became of everything that was due, and write a record of the run, on the controller."""

    _requires_connection = False
    VARIABLES: t.ClassVar[dict[str, str]] = {"directory": "renew_records", "keep": "renew_records_kept"}
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "directory": {"type": "path", "default": "~/.evergreen/runs"},
        "keep": {"type": "str", "default": "400d"},
        "most": {"type": "int", "default": 100},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        check_mode: bool = self._task.check_mode
        variables_of = functools.partial(variables_of_host, task_vars["hostvars"])
        survey = survey_result(task_vars["ansible_play_hosts_all"], variables_of)
        report = make_report(survey, variables_of, check_mode)
        table = report_text(report, arguments["most"], check_mode)
        printer(display.display)(report_text(report, arguments["most"], check_mode, terminal_width()))
        result = {"changed": False, **report.summary(), "failed_hosts": report.failed_hosts, "table": table}
        if arguments["directory"] and not check_mode:
            now = utc_now()
            record: RunRecord = {**describe_run(survey, task_vars, now), **report.summary()}
            path = keep_record(arguments["directory"], arguments["keep"], record, now)
            if path:
                result["record"] = path
        return result


def keep_record(directory: str, keep: str | None, record: RunRecord, now: datetime.datetime) -> str | None:
    """Write the record of a run that ended *now*, and remove those older than *keep*, a duration.

    Return the path of the record, or None if it cannot be written. Failures are shown as warnings.
    """
    try:
        path = write_record(absolute_folder("renew_records", directory), record, now)
    except TlsError as error:
        display.warning(f"no record of this run is written: {error}")
        return None
    except OSError as error:
        _warn(
            f"no record of this run is written to {directory}: {error.strerror}; correct that folder, or renew_records"
        )
        return None
    if not keep:
        return path
    try:
        remove_old_records(os.path.dirname(path), parse_duration(keep), now)
    except TlsError as error:
        _warn(f"no old records of runs are removed, since renew_records_kept makes no sense: {error}")
    except OSError as error:
        _warn(f"old records of runs are not removed: {system_error(error)}")
    return path


def _warn(text: str) -> None:
    """Show a warning without control characters, which paths and the words of others may have."""
    display.warning(escape_control_characters(text))
