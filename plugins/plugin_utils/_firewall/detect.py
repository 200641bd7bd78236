# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find out which firewall a host has."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import Firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState, Query, QuerySet
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import PortAccess
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.registry import BACKENDS


def initial_queries(backend: str) -> list[QuerySet]:
    """Return the queries after which detect_firewall() needs no others on an ordinary host."""
    if backend != "auto":
        chosen = BACKENDS[backend]
        return [QuerySet((("has", chosen.program), *chosen.conditions), chosen.queries)]
    sets = []
    others: list[Query] = []
    for one in BACKENDS.values():
        if one.is_frontend:
            sets.append(QuerySet((("has", one.program), *one.quick_conditions, *one.conditions), one.queries))
        else:
            others += [("has", one.program), *one.queries]
    return [*sets, QuerySet((), others)]


def detect_firewall(
    host: HostState, backend: str, accesses: list[PortAccess], zone: str | None = None
) -> Firewall | None:
    """Return the firewall that *backend* names, or with auto the active one, or None.

    The active one is a frontend if one runs, else the first backend that denies some of the accesses, else the
    first that has rules. Raises TlsError if the named firewall is not installed or not active.
    """
    if backend != "auto":
        return named_firewall(host, backend, accesses, zone)
    for one in BACKENDS.values():
        if one.is_frontend and host.has_program(one.program) and one.may_be_active(host) and one.is_active(host):
            return _read_firewall(one, host, accesses, zone)
    firewalls = [
        _read_firewall(one, host, accesses)
        for one in BACKENDS.values()
        if not one.is_frontend and host.has_program(one.program)
    ]
    denying = [firewall for firewall in firewalls if firewall.is_denying(accesses)]
    if len(denying) > 1:
        first, second = denying[0].name, denying[1].name
        denying[0].notes.append(
            f"{second} filters on this host besides {first}; run this again with backend: {second}."
        )
    active = denying or [firewall for firewall in firewalls if firewall.has_rules]
    return active[0] if active else None


def named_firewall(host: HostState, name: str, accesses: list[PortAccess], zone: str | None = None) -> Firewall:
    """Return the firewall of a backend. Raises TlsError if it is not installed or not active."""
    backend = BACKENDS[name]
    if not host.has_program(backend.program):
        raise TlsError(f"{name} is not installed on this host; install it, or choose backend: auto")
    if not backend.is_active(host):
        raise TlsError(
            f"{name} is not running on this host; start it with `{backend.start_command}`, or choose backend: auto"
        )
    return _read_firewall(backend, host, accesses, zone)


def _read_firewall(
    backend: type[Firewall], host: HostState, accesses: list[PortAccess], zone: str | None = None
) -> Firewall:
    host.results_of(backend.queries)  # all of them in one visit to the host
    return backend.from_host_state(host, accesses, zone)
