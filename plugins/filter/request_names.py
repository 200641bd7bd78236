# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.fact_check import facts_of, overriding_facts
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_host


def request_names(hostvars: t.Mapping[str, t.Any], hosts: t.Iterable[str]) -> list[str]:
    """Return the names of the certificate requests of hosts, in ascending order.

    Requests that cannot be read have none. Facts of a host are no requests: the role fails on that host, and says so.
    """
    return sorted({name for host in hosts for name in _names(variables_of_host(hostvars, host))})


def _names(variables: t.Mapping[str, t.Any]) -> list[str]:
    if overriding_facts(facts_of(variables)):
        return []
    try:
        names = [request["name"] for request in variables["certificate_requests"]]
    except Exception:  # there are none, they have another form, or refer to a variable that is undefined
        return []
    return [name for name in names if isinstance(name, str)]


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"request_names": request_names}
