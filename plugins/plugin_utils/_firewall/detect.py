# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which firewall a host has."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    Firewall,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.firewalld import Firewalld
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    Look,
    Transcript,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.iptables import Iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nftables import Nftables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    PortAccess,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.registry import BACKENDS
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.ufw import Ufw


def initial_queries(backend: str) -> list[Look]:
    """Return the looks at a host after which find_firewall() can answer, if nothing is out of the ordinary."""
    if backend != "auto":
        chosen = BACKENDS[backend]
        return [Look((("has", chosen.program), *chosen.needs), chosen.asks)]
    looks = [Look((("has", one.program), *one.signs, *one.needs), one.asks) for one in (Firewalld, Ufw)]
    return [
        *looks,
        Look((), tuple(question for one in (Nftables, Iptables) for question in (("has", one.program), *one.asks))),
    ]


def detect_firewall(
    host: Transcript, backend: str, accesses: list[PortAccess], zone: str | None = None
) -> Firewall | None:
    """Return the firewall that is named, or the one that is active; None where nothing filters."""
    if backend != "auto":
        chosen = BACKENDS[backend]
        if not host.has(chosen.program):
            raise TlsError(f"{backend} is not installed on this host; install it, or choose backend: auto")
        if not chosen.is_active(host):
            raise TlsError(
                f"{backend} is not running on this host; start it with `{chosen.start}`, or choose backend: auto"
            )
        return _read_firewall(chosen, host, accesses, zone)
    for chosen in (Firewalld, Ufw):
        if host.has(chosen.program) and chosen.may_be_active(host) and chosen.is_active(host):
            return _read_firewall(chosen, host, accesses, zone)
    found = [_read_firewall(chosen, host, accesses) for chosen in (Nftables, Iptables) if host.has(chosen.program)]
    guards = [firewall for firewall in found if firewall.is_denying(accesses)]
    active = guards or [firewall for firewall in found if firewall.has_rules]
    if len(guards) > 1:
        guards[0].notes.append("iptables filters on this host besides nftables; run this again with backend: iptables.")
    return active[0] if active else None


def _read_firewall(chosen: t.Any, host: Transcript, accesses: list[PortAccess], zone: str | None = None) -> Firewall:
    host.tell(chosen.asks)  # all at once
    return chosen.look(host, accesses, zone)
