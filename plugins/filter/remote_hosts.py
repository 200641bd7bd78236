# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REMOTE_SERVERS


def remote_hosts(hostvars: t.Mapping[str, t.Any], hosts: t.Iterable[str]) -> list[str]:
    """Return the names of the hosts whose certificates are all presented by a cloud or an appliance. Their connection is local."""
    return [host for host in hosts if host in hostvars and _is_remote(hostvars[host])]


def _is_remote(variables: t.Mapping[str, t.Any]) -> bool:
    try:
        servers = [request.get("served_by") for request in variables["certificate_requests"]]
    except Exception:  # there are none, they have another form, or refer to a variable that is undefined
        return False
    return bool(servers) and all(server in REMOTE_SERVERS for server in servers)


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"remote_hosts": remote_hosts}
