# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of a play that are diagnosed: those of the requests of its hosts, and those that no host has yet."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError

from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.names import (
    Name,
    names_alone,
    names_of_host,
    select_names,
    unreadable,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.result import Diagnosis
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.fact_check import check_facts
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_host
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.open_issuers import OpenIssuers


# not a parser: it only passes on foreign input
def names_of_fleet(
    task_vars: t.Mapping[str, t.Any], requests: t.Collection[str], domains: t.Collection[str], issuer: str | None
) -> tuple[list[Name], list[Diagnosis]]:
    """Return the names to look at, and a diagnosis of each host and request that cannot be read.

    task_vars: with the keys groups, hostvars and ansible_play_hosts_all. requests, domains: those that are chosen; all if there
    are none. issuer: of domains that no request has. Raises TlsError for a request that no host has.
    """
    open_issuers: OpenIssuers = {}
    issuers: dict[str, t.Any] = {}
    names: list[Name] = []
    faults: list[Diagnosis] = []
    in_inventory = (task_vars.get("groups") or {}).get("all")
    for host in task_vars["ansible_play_hosts_all"]:
        try:
            variables = variables_of_host(task_vars["hostvars"], host)
            check_facts(variables, host)
            configured = variables.get("certificate_issuers")
            issuers = {**(configured if isinstance(configured, dict) else {}), **issuers}
            if in_inventory is not None and host not in in_inventory:
                continue  # this controller, where the inventory does not name it: it has requests of none
            names_here, faults_here = names_of_host(host, variables, open_issuers)
        except AnsibleError as error:
            why = f"its variables cannot be read: {' '.join(str(error).split()).rstrip('.')}; correct the inventory"
            faults.append(unreadable(host, "", why))
        except BaseException as error:
            faults.append(unreadable(host, "", failure_sentence(error)))
        else:
            names, faults = [*names, *names_here], [*faults, *faults_here]
    names, faults, others = select_names(names, faults, requests, domains)
    if others:
        names_here, faults_here = names_alone(others, issuer, issuers, open_issuers)
        names, faults = [*names, *names_here], [*faults, *faults_here]
    return names, faults
