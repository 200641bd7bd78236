# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.fact_check import facts_of, overriding_facts
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_host


def inventory_variable(hostvars: t.Mapping[str, t.Any], name: str, hosts: t.Iterable[str]) -> t.Any:
    """Return a variable that all hosts of a play share, from the first of them whose facts override none. None: it has none."""
    for host in hosts:
        variables = variables_of_host(hostvars, host)
        if not overriding_facts(facts_of(variables)):
            return variables.get(name)
    return None


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"inventory_variable": inventory_variable}
