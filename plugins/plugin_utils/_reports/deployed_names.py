# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which certificates deploy left on each host, in a folder of the controller: nobody logs in to see which of them are unused."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name

FOLDER = "~/.evergreen/deployed"
MAX_LISTED = 20  # certificates in one sentence


class UnusedName(t.NamedTuple):
    """A certificate on a host, as far as this controller knows, for which the inventory has no request."""

    host: str
    name: str
    remove_after: str  # ISO 8601; nothing where no deploy has run since the request went


class DeployedNames:
    """The records in a folder, one for each host."""

    def __init__(self, path: str) -> None:
        self.folder = JsonRecords(path)

    # not a parser: it reads what the collection has made or checked
    def record(self, host: str, names: t.Collection[str], unused: t.Mapping[str, str]) -> None:
        """Record the certificates of a host: those of the inventory, and the unused ones with the date of their removal."""
        record = {"host": host, "certificates": {**dict.fromkeys(names, ""), **unused}}
        name = file_name(host)
        if not record["certificates"]:
            self.folder.remove(name)
        elif self.folder.read(name) != record:
            self.folder.write(name, record)

    # not a parser: it reads what the collection has made or checked
    def unused(self, host: str, names: t.Collection[str]) -> list[UnusedName]:
        """Return the certificates of a host for which there is no request. names: those of its requests."""
        certificates = self.folder.read(file_name(host)).get("certificates")
        return [
            UnusedName(host, name, end if isinstance(end, str) else "")
            for name, end in sorted((certificates if isinstance(certificates, dict) else {}).items())
            if name not in names
        ]


def unused_names(
    records: DeployedNames,
    hosts: t.Iterable[str],
    found: t.Iterable[tuple[str, str]],
    variables_of: t.Callable[[str], t.Mapping[str, t.Any]],
) -> list[UnusedName]:
    """Return the certificates of hosts for which there is no request. No host is asked.

    found: host and name of each request that the survey has read; the name is empty where it could not read the requests of the host.
    variables_of: returns the variables of a host. They are read only where the survey has no name from them, as that takes long.
    """
    names_of: dict[str, set[str]] = {}
    for host, name in found:
        names_of.setdefault(host, set()).add(name)
    unused: list[UnusedName] = []
    for host in hosts:
        names: set[str] | None = names_of.get(host, set())
        unnamed = records.unused(host, names or ())
        if unnamed and (not names or "" in names):
            names = _names_in(variables_of, host)
        unused += [one for one in unnamed if names is not None and one.name not in names]
    return unused


def _names_in(variables_of: t.Callable[[str], t.Mapping[str, t.Any]], host: str) -> set[str] | None:
    try:
        return requested_names(variables_of(host).get("certificate_requests"))
    except Exception:  # variables that cannot be read say nothing; the survey has a finding about them
        return None


def requested_names(requests: t.Any) -> set[str] | None:
    """Return the names in a list of requests as people write them, or None for anything else."""
    if not isinstance(requests, (list, tuple)):
        return None
    names = [request.get("name") if isinstance(request, t.Mapping) else None for request in requests]
    return {str(name) for name in names} if all(isinstance(name, str) for name in names) else None


# The variables without which deploy does not visit a host.
VISITED_VARIABLES = ("certificate_requests", "nginx_sites")


def left_hosts(records: DeployedNames, hosts: t.Iterable[str]) -> list[str]:
    """Return the hosts that have certificates, of those for which the inventory defines none of VISITED_VARIABLES."""
    return [host for host in hosts if records.unused(host, ())]


def left_sentence(hosts: t.Sequence[str]) -> str:
    """Return what becomes of the certificates of hosts that the inventory has nothing for, or nothing where there are none."""
    if not hosts:
        return ""
    more = [f"{len(hosts) - MAX_LISTED} more"] if len(hosts) > MAX_LISTED else []
    return (
        f"the inventory defines neither certificate_requests nor nginx_sites for hosts on which evergreen.tls.deploy put certificates: "
        f"{', '.join([*hosts[:MAX_LISTED], *more])}. Nothing is renewed or removed there. If that is meant, set both to [] for these hosts, "
        "and evergreen.tls.deploy removes what it put there; else see that their group_vars are read"
    )


def unused_sentence(unused: t.Sequence[UnusedName]) -> str:
    """Return which certificates are unused, and what removes them, or nothing where there are none."""
    if not unused:
        return ""
    listed = [
        f"{one.name} on {one.host}" + (f" (from {one.remove_after[:10]} on)" if one.remove_after else "")
        for one in unused[:MAX_LISTED]
    ]
    more = [f"{len(unused) - MAX_LISTED} more"] if len(unused) > MAX_LISTED else []
    return f"no request names these certificates any more, and evergreen.tls.deploy removes them: {', '.join([*listed, *more])}"
