# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import collections
import os
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import FleetAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_host
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.role_variables import (
    inventory_names,
    misspelling_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.waves import DEFAULT_WAVES, wave_sizes
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.deployed_names import (
    FOLDER,
    VISITED_VARIABLES,
    DeployedNames,
    UnusedName,
    left_hosts,
    left_sentence,
    unused_names,
    unused_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.document import write_document
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.endpoints import ADDRESSES, INVENTORY
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.inventory_mistakes import mistakes_of_host
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.open_issuers import OpenIssuers
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.printing import printer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.query import compile_query
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import (
    MAX_HANDSHAKES,
    STATES,
    refused_requests,
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
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import terminal_width
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.text_table import INDENT, wrapped_lines
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

display = Display()
# The states for which the task fails, by the option fail_when.
FAILING_STATES: dict[str, tuple[str, ...]] = {"never": (), "due": ("due", "expired"), "expired": ("expired",)}


class ActionModule(FleetAction):
    """Survey all endpoints of the hosts of a play, from the controller."""

    _requires_connection = False
    VARIABLES: t.ClassVar[dict[str, str]] = {
        "inspect": "renew_inspect",
        "waves": "renew_waves",
        **{option: f"survey_{option}" for option in ("query", "path", "fail_when", "most", "timeout", "addresses")},
    }
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "query": {"type": "str"},
        "states": {"type": "list", "elements": "str", "choices": list(STATES), "default": list(STATES)},
        "inspect": {"type": "bool", "default": False},
        "path": {"type": "path"},
        "fail_when": {"type": "str", "choices": sorted(FAILING_STATES), "default": "never"},
        "most": {"type": "int", "default": 100},
        "at_once": {"type": "int", "default": MAX_HANDSHAKES},
        "timeout": {"type": "float"},
        "addresses": {"type": "str", "choices": list(ADDRESSES), "default": INVENTORY},
        "authorities_only": {"type": "bool", "default": False},
        "maintain": {"type": "bool", "default": False},
        "waves": {"type": "raw", "default": list(DEFAULT_WAVES)},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        now = utc_now()
        waves = wave_sizes(arguments["waves"])
        search = compile_query(arguments["query"], "survey_query")
        hosts = task_vars["ansible_play_hosts_all"]
        show = printer(display.display)
        misspelled: dict[str, str] = {}
        mistakes: dict[str, list[str]] = {}
        undefined: list[str] = []

        def variables(host: str) -> t.Mapping[str, t.Any]:
            found = variables_of_host(task_vars["hostvars"], host)
            sentence = misspelling_sentence(inventory_names(found, task_vars["hostvars"], host))
            if sentence:
                misspelled[host] = sentence
            if not any(name in found for name in VISITED_VARIABLES) and host not in undefined:
                undefined.append(host)
            if arguments["authorities_only"]:
                of_host = mistakes_of_host(host, found)
                mistakes.update({host: of_host} if of_host else {})
            return found

        progress = Progress(show)
        open_issuers: OpenIssuers = {}
        records = DeployedNames(os.path.expanduser(FOLDER))
        unused: list[UnusedName] = []
        findings = survey_hosts(
            hosts,
            variables,
            progress,
            arguments["inspect"],
            arguments["at_once"],
            arguments["timeout"],
            open_issuers,
            arguments["authorities_only"],
            arguments["addresses"],
        )
        if not arguments["authorities_only"]:
            show(findings_table(findings, terminal_width(), arguments["most"]))
            warn_of_misspellings(misspelled)
            names = [(finding.host, finding.request) for finding in findings]
            unused = unused_names(records, hosts, names, variables)
            _show_wrapped(show, unused_sentence(unused))
        left = left_hosts(records, undefined)
        _show_wrapped(show, left_sentence(left))
        if arguments["maintain"] and not self._task.check_mode:
            maintain_authorities(open_issuers)
        endpoints = search([finding._asdict() for finding in findings if finding.state in arguments["states"]])
        if arguments["path"] and not self._task.check_mode:
            write_document(arguments["path"], endpoints, "the survey", "the path")
        counts = count_by_state(findings)
        result = {
            "changed": False,
            "started": now.isoformat(timespec="seconds"),
            "counts": counts,
            "fine_requests": count_fine_requests(findings),
            "endpoints": endpoints,
            "hosts": renewal_order(findings, shuffle_seed(now)),
            "refused": refused_requests(findings),
            "misspelled": misspelled,
            "mistakes": mistakes,
            "waves": waves,
            "unused": [one._asdict() for one in unused],
            "left": left,
        }
        if not arguments["authorities_only"]:
            result["table"] = findings_table(findings, None, arguments["most"])
        if any(counts[state] for state in FAILING_STATES[arguments["fail_when"]]):
            raise TlsError(f"{summary_sentence(findings)}; run evergreen.tls.renew", **result)
        return {**result, "msg": summary_sentence(findings)}


def _show_wrapped(show: t.Callable[[str], t.Any], sentence: str) -> None:
    """Show a sentence in lines that are no wider than the terminal, unless it is empty."""
    if sentence:
        show("\n".join(wrapped_lines(escape_control_characters(sentence), terminal_width(), INDENT, "")))


def warn_of_misspellings(misspelled: t.Mapping[str, str]) -> None:
    """Show each sentence about a misspelled variable once. misspelled: the sentences by host."""
    for sentence, number in collections.Counter(misspelled.values()).items():
        host = next(one for one in misspelled if misspelled[one] == sentence)
        more = f" and {number - 1} more" if number > 1 else ""
        display.warning(escape_control_characters(f"{host}{more}: {sentence}"))


def maintain_authorities(open_issuers: OpenIssuers) -> None:
    """Renew the revocation lists of private CAs before they end. What cannot be renewed is a warning."""
    for opened in open_issuers.values():
        if opened.authority is None or opened.authority.absence:
            continue
        try:
            opened.authority.ca.maintain()
            for remark in opened.authority.ca.remarks:
                display.warning(escape_control_characters(remark))
        except (TlsError, OSError) as error:
            sentence = str(error if isinstance(error, TlsError) else system_error(error))
            display.warning(
                escape_control_characters(
                    f"the revocation list of {opened.authority.ca.issuer} is not renewed: {sentence}"
                )
            )
