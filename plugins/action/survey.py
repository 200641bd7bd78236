# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import shutil
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import replace_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import (
    MAX_HANDSHAKES,
    renewal_order,
    shuffle_seed,
    survey_hosts,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey_table import (
    Progress,
    count_by_state,
    count_fine_requests,
    findings_table,
    summary_sentence,
)

try:
    import jmespath
except ImportError:
    jmespath = None

display = Display()
WHOLE_LINES = 10_000  # where there is no terminal, as in the mail of a scheduler
WORTH_FAILING = {"never": (), "due": ("due", "expired"), "expired": ("expired",)}


class ActionModule(TlsAction):
    """Look at all endpoints of the hosts of a play, from the controller."""

    _requires_connection = False
    BYPASS_HOST_LOOP = True
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "query": {"type": "str"},
        "inspect": {"type": "bool", "default": False},
        "path": {"type": "path"},
        "fail_when": {"type": "str", "choices": sorted(WORTH_FAILING), "default": "never"},
        "most": {"type": "int", "default": 100},
        "at_once": {"type": "int", "default": MAX_HANDSHAKES},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        now = utc_now()
        choose = compiled(arguments["query"])
        hosts = task_vars["ansible_play_hosts_all"]
        variables, progress = task_vars["hostvars"].__getitem__, Progress(display.display)
        findings = survey_hosts(hosts, variables, progress, arguments["inspect"], arguments["at_once"])
        display.display(
            findings_table(findings, shutil.get_terminal_size((WHOLE_LINES, 24)).columns, arguments["most"])
        )
        chosen = choose([finding._asdict() for finding in findings])
        if arguments["path"]:
            self._write(arguments["path"], chosen)
        counts = count_by_state(findings)
        found = {
            "changed": False,
            "started": now.isoformat(timespec="seconds"),
            "counts": counts,
            "fine_requests": count_fine_requests(findings),
            "endpoints": chosen,
            "hosts": renewal_order(findings, shuffle_seed(now)),
        }
        if any(counts[state] for state in WORTH_FAILING[arguments["fail_when"]]):
            raise TlsError(f"{summary_sentence(findings)}; run evergreen.tls.renew", **found)
        return {**found, "msg": summary_sentence(findings)}

    # not a parser: it reads what the collection has made or checked
    def _write(self, path, chosen):
        if self._task.check_mode:
            return
        try:
            replace_file(path, json.dumps(chosen, indent=2).encode() + b"\n")
        except OSError as error:
            display.warning(f"the survey is not written to {path}: {error.strerror}; correct the path")


# not a parser: it catches what the library of queries raises
def compiled(query):
    """Return what chooses from the endpoints. Raises TlsError when the JMESPath expression makes no sense."""
    if not query:
        return lambda rows: rows
    if jmespath is None:
        raise TlsError("a survey_query needs the library jmespath on the controller; pip install -r requirements.txt")
    try:
        expression = jmespath.compile(query)
    except jmespath.exceptions.JMESPathError as error:
        raise TlsError(
            f"survey_query {query!r} is no JMESPath expression: {error}; see https://jmespath.org/"
        ) from error

    # not a parser: it catches what the library of queries raises
    def search(rows):
        try:
            return expression.search(
                json.loads(json.dumps(rows))
            )  # functions of JMESPath refuse what is a str of Ansible's
        except jmespath.exceptions.JMESPathError as error:
            raise TlsError(f"survey_query {query!r} cannot be answered: {error}; see https://jmespath.org/") from error

    return search
