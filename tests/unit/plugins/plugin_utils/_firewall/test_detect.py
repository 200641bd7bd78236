# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which firewall a host has."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    parse_port_accesses,
)
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    EVERYBODY,
    IDLE,
    detect_firewall,
    firewalld,
    iptables,
    nft_rule,
    nftables,
    ufw,
)
from ansible_collections.evergreen.tls.tests.unit.transcripts import RecordedHost


def test_a_host_without_a_firewall_has_none():
    assert detect_firewall(RecordedHost(), "auto", EVERYBODY) is None
    idle = {
        "nft -j list ruleset": '{"nftables": []}',
        "iptables -w -S": "-P INPUT ACCEPT\n",
        "ufw status": "Status: inactive",
    }
    assert detect_firewall(RecordedHost(prints=idle), "auto", EVERYBODY) is None


def test_a_host_tells_in_one_visit_what_is_wanted():
    for host in (RecordedHost(), RecordedHost(prints=IDLE), ufw(), nftables(), iptables()):
        detect_firewall(host, "auto", EVERYBODY)
        assert host.visits == 1
    odd = ufw()
    del odd.files["/etc/ufw/ufw.conf"]
    assert detect_firewall(odd, "auto", EVERYBODY).name == "ufw"
    assert odd.visits == 3  # whether it may be active, whether it is, and its rules
    for host, backend in (
        (ufw(), "ufw"),
        (nftables(), "nftables"),
        (iptables(), "iptables"),
        (firewalld(), "firewalld"),
    ):
        detect_firewall(host, backend, parse_port_accesses([80], "tcp", []))
        assert host.visits == 1


def test_slow_programs_are_not_started_where_their_firewalls_cannot_be_active():
    host = RecordedHost(
        ["firewall-cmd", "ufw"], prints=IDLE, files={"/etc/ufw/ufw.conf": "# ENABLED=yes\nENABLED=no\n"}
    )
    assert detect_firewall(host, "auto", EVERYBODY) is None
    assert host.commands == list(IDLE)


@pytest.mark.parametrize(
    ("state", "settings", "asked"),
    [
        ("active", "ENABLED=no\n", ["firewall-cmd --state"]),
        ("failed", "ENABLED=no\n", ["firewall-cmd --state"]),
        ("System has not been booted with systemd as init system", "ENABLED=no\n", ["firewall-cmd --state"]),
        ("inactive", "LOGLEVEL=low\nENABLED=yes\n", ["ufw status"]),
        ("inactive", 'enabled="YES"\n', ["ufw status"]),
        ("inactive", None, ["ufw status"]),
    ],
)
def test_slow_programs_are_asked_where_their_firewalls_may_be_active(state, settings, asked):
    host = RecordedHost(
        ["firewall-cmd", "ufw"],
        prints={**IDLE, "systemctl is-active firewalld": (int(state != "active"), state)},
        files={} if settings is None else {"/etc/ufw/ufw.conf": settings},
    )
    assert detect_firewall(host, "auto", EVERYBODY) is None
    assert [words for words in host.commands if words not in IDLE] == asked


def test_a_named_firewall_is_asked_itself():
    host = ufw()
    host.files["/etc/ufw/ufw.conf"] = "ENABLED=no\n"
    assert detect_firewall(host, "ufw", EVERYBODY).name == "ufw"
    host = firewalld()
    host.prints["systemctl is-active firewalld"] = (3, "inactive")
    assert detect_firewall(host, "firewalld", EVERYBODY).name == "firewalld"


def test_the_chains_of_iptables_in_nftables_are_left_to_iptables():
    host = nftables(prints=iptables().prints, family="ip", chain="INPUT")
    assert detect_firewall(host, "auto", EVERYBODY).name == "iptables"


def test_a_chain_that_refuses_goes_before_one_that_only_blocks_somebody():
    blocked = {
        "match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "198.51.100.7"}
    }
    host = nftables(nft_rule(4, blocked, {"drop": None}), policy="accept", prints=iptables().prints)
    assert detect_firewall(host, "auto", EVERYBODY).name == "iptables"
    assert (
        detect_firewall(nftables(nft_rule(4, blocked, {"drop": None}), policy="accept"), "auto", EVERYBODY).plan_open(
            EVERYBODY
        )
        == []
    )


def test_two_firewalls_at_once_are_said():
    firewall = detect_firewall(nftables(prints=iptables().prints), "auto", EVERYBODY)
    assert (firewall.name, firewall.notes) == (
        "nftables",
        ["iptables filters on this host besides nftables; run this again with backend: iptables."],
    )


@pytest.mark.parametrize(
    ("backend", "programs", "sentence"),
    [
        ("ufw", [], "ufw is not installed on this host; install it, or choose backend: auto"),
        ("ufw", ["ufw"], "ufw is not running on this host; start it with `ufw enable`, or choose backend: auto"),
        (
            "firewalld",
            ["firewall-cmd"],
            "firewalld is not running on this host; start it with `systemctl enable --now firewalld`",
        ),
        ("nftables", ["nft"], r"`nft -j list ruleset` failed \(unknown option\); put that right"),
        ("iptables", ["iptables"], r"`iptables -S` failed \(unknown option\); put that right"),
    ],
)
def test_a_named_firewall_that_is_not_there_is_refused_with_its_reason(backend, programs, sentence):
    with pytest.raises(TlsError, match=sentence):
        detect_firewall(RecordedHost(programs), backend, EVERYBODY)
