# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import FleetAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.diagnose import TIMEOUT_S, Clients, diagnose
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.fleet_names import names_of_fleet
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.local_view import look_from_here
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.result import (
    FAILING_VERDICTS,
    count_by_verdict,
    diagnosis_as_json,
    summary_sentence,
    worst_first,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.screen import diagnosis_screen
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.views import HostView, compare_all, host_views
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.document import write_document
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.printing import printer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.query import compile_query
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey_table import Progress
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import terminal_width
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.browser import DEFAULT_BROWSER
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.page import BrowserOptions
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.trust_stores import read_trust_stores

display = Display()
MAX_UNKNOWN = 5  # hosts in an error
MOST_NAMES = 10  # that have a block each on the screen


class ActionModule(FleetAction):
    """Diagnose all names of the hosts of a play, and names that no host has yet, from the controller."""

    _requires_connection = False
    VARIABLES: t.ClassVar[dict[str, str]] = {
        option: f"diagnose_{option}"
        for option in (
            *("requests", "domains", "issuer", "path", "query", "fail_when", "most", "from"),
            *("browser", "browser_path", "pictures", "trust_stores"),
        )
    }
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "requests": {"type": "list", "elements": "str", "default": []},
        "domains": {"type": "list", "elements": "str", "default": []},
        "issuer": {"type": "str"},
        "path": {"type": "path"},
        "query": {"type": "str"},
        "fail_when": {"type": "str", "choices": sorted(FAILING_VERDICTS), "default": "never"},
        "most": {"type": "int", "default": MOST_NAMES},
        "timeout": {"type": "float", "default": TIMEOUT_S},
        "browser": {"type": "bool", "default": False},
        "browser_path": {"type": "path", "default": DEFAULT_BROWSER},
        "pictures": {"type": "path"},
        "trust_stores": {"type": "dict", "default": {}},
        "from": {"type": "list", "elements": "str", "default": []},
        "views": {"type": "list", "elements": "dict", "default": []},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        search = compile_query(arguments["query"], "diagnose_query")
        show = printer(display.display)
        clients = Clients(self._browser(arguments), read_trust_stores(arguments["trust_stores"]))
        hosts = [host.strip() for host in arguments["from"] if host.strip()]
        views = self._views(hosts, arguments["views"], task_vars)
        names, faults = names_of_fleet(task_vars, arguments["requests"], arguments["domains"], arguments["issuer"])
        progress = Progress(show)
        diagnoses = [
            *faults,
            *diagnose(names, lambda done, total: progress("checks", done, total), arguments["timeout"], clients),
        ]
        if views:
            here = look_from_here([one.domain for one in names])
            diagnoses = compare_all(diagnoses, here, views)
        show(diagnosis_screen(diagnoses, terminal_width(), arguments["most"]))
        rows = search([diagnosis_as_json(one) for one in worst_first(diagnoses)])
        if arguments["path"] and not self._task.check_mode:
            write_document(arguments["path"], rows, "the diagnosis", "diagnose_path")
        counts = count_by_verdict(diagnoses)
        result = {
            "changed": False,
            "counts": counts,
            "diagnoses": rows,
            "screen": diagnosis_screen(diagnoses, None, arguments["most"]),
        }
        summary = summary_sentence(diagnoses)
        if any(counts[verdict] for verdict in FAILING_VERDICTS[arguments["fail_when"]]):
            raise TlsError(f"{summary}; see what each line says, and docs/diagnosis.md of this collection", **result)
        return {**result, "msg": summary}

    def _browser(self, arguments: dict[str, t.Any]) -> BrowserOptions | None:
        """Return how pages are looked at, None where they are not. In check mode no picture is written."""
        pictures = "" if self._task.check_mode else arguments["pictures"] or ""
        return BrowserOptions(arguments["browser_path"], pictures) if arguments["browser"] else None

    def _views(self, hosts: list[str], results: list[dict[str, t.Any]], task_vars: dict[str, t.Any]) -> list[HostView]:
        """Return what hosts see. Raises TlsError for a host that the inventory does not have."""
        known = (task_vars.get("groups") or {}).get("all")
        unknown = [host for host in hosts if known is not None and host not in known]
        if unknown:
            raise TlsError(
                f"diagnose_from names {', '.join(unknown[:MAX_UNKNOWN])}, and the inventory has no such host; correct diagnose_from"
            )
        return host_views(hosts, results)
