# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.fact_check import facts_of, overriding_facts
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_host


def requesting_hosts(
    hostvars: t.Mapping[str, t.Any], hosts: t.Iterable[str] | None = None, with_empty: bool = False
) -> list[str]:
    """Return the names of the hosts whose certificate requests are not empty, or cannot be read.

    hosts: those of the inventory, C(groups.all), by default all. ansible-core 2.18 has the implicit localhost among *hostvars*, with the
    variables of the group C(all).

    with_empty: whether hosts are among them whose C(certificate_requests) or C(nginx_sites) the inventory defines as an empty list.

    So are those whose facts would override a variable of this collection, so that the role fails there.
    """
    known = (
        hostvars if hosts is None else [host for host in hosts if host in hostvars]
    )  # none while a playbook is only read
    return [host for host in known if _has_requests(variables_of_host(hostvars, host), with_empty)]


def _has_requests(variables: t.Mapping[str, t.Any], with_empty: bool) -> bool:
    if overriding_facts(facts_of(variables)):
        return True
    if with_empty and any(_is_empty_list(variables, name) for name in ("certificate_requests", "nginx_sites")):
        return True
    if "certificate_requests" not in variables:
        return False
    try:
        return bool(variables["certificate_requests"])
    except Exception:  # an undefined variable, say; the role fails on that host, and says so
        return True


def _is_empty_list(variables: t.Mapping[str, t.Any], name: str) -> bool:
    try:
        value = variables.get(name, None)
    except Exception:  # an undefined variable, say: it is not empty
        return False
    return isinstance(value, (list, tuple)) and not value


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"requesting_hosts": requesting_hosts}
