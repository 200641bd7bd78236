# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal import (
    make_report,
    report_text,
    survey_result,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.run_records import (
    describe_run,
    remove_old_records,
    write_record,
)

display = Display()


class ActionModule(TlsAction):
    """Say what became of everything that was due, and keep a record of the run, on the controller."""

    _requires_connection = False
    BYPASS_HOST_LOOP = True
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "directory": {"type": "path", "default": "~/.evergreen/runs"},
        "keep": {"type": "str", "default": "400d"},
        "most": {"type": "int", "default": 100},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        variables_of = task_vars["hostvars"].__getitem__
        found = survey_result(task_vars["ansible_play_hosts_all"], variables_of)
        check_mode = self._task.check_mode
        told = make_report(found, variables_of, check_mode)
        display.display(report_text(told, arguments["most"], check_mode))
        outcomes = {
            "counts": told.counts,
            "stopped_by": told.stopped_by,
            "outcomes": [outcome._asdict() for outcome in told.outcomes],
            "msg": told.sentence,
        }
        recorded = {}
        if arguments["directory"] and not check_mode:
            now = utc_now()
            recorded = keep_record(
                arguments["directory"], arguments["keep"], {**describe_run(found, task_vars, now), **outcomes}, now
            )
        return {"changed": False, **outcomes, "failed_hosts": told.failed_hosts, **recorded}


def keep_record(directory, keep, content, now):
    """Write the record of a run and remove the old ones; warn of what cannot be done."""
    try:
        path = write_record(directory, content, now)
    except OSError as error:
        display.warning(
            f"no record of this run is written to {directory}: {error.strerror}; correct that folder, or renew_records"
        )
        return {}
    if not keep:
        return {"record": path}
    try:
        remove_old_records(os.path.dirname(path), parse_duration(keep), now)
    except TlsError as error:
        display.warning(f"no old records of runs are removed, since renew_records_kept makes no sense: {error}")
    except OSError as error:
        display.warning(f"old records of runs are not removed: {system_error(error)}")
    return {"record": path}
