# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which firewall is detected on a host, and how many visits that takes."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    HTTPS_FROM_ANYWHERE,
    IDLE,
    detect_firewall,
    firewalld,
    iptables,
    nft_rule,
    nftables,
    ufw,
)
from ansible_collections.evergreen.tls.tests.unit.transcripts import RecordedHost


def test_none_is_returned_for_a_host_without_an_active_firewall():
    assert detect_firewall(RecordedHost(), "auto", HTTPS_FROM_ANYWHERE) is None
    idle = {
        "nft -j list ruleset": '{"nftables": []}',
        "iptables -w -S": "-P INPUT ACCEPT\n",
        "ufw status": "Status: inactive",
    }
    assert detect_firewall(RecordedHost(prints=idle), "auto", HTTPS_FROM_ANYWHERE) is None


def test_detection_takes_one_visit_on_ordinary_hosts():
    for host in (RecordedHost(), RecordedHost(prints=IDLE), ufw(), nftables(), iptables()):
        detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE)
        assert host.visits == 1
    without_settings = ufw()
    del without_settings.files["/etc/ufw/ufw.conf"]
    assert detect_firewall(without_settings, "auto", HTTPS_FROM_ANYWHERE).name == "ufw"
    assert without_settings.visits == 3  # whether it may be active, whether it is, and its rules
    for host, backend in (
        (ufw(), "ufw"),
        (nftables(), "nftables"),
        (iptables(), "iptables"),
        (firewalld(), "firewalld"),
    ):
        detect_firewall(host, backend, parse_port_accesses([80], "tcp", []))
        assert host.visits == 1


def test_slow_programs_do_not_run_if_their_firewalls_cannot_be_active():
    host = RecordedHost(
        ["firewall-cmd", "ufw"], prints=IDLE, files={"/etc/ufw/ufw.conf": "# ENABLED=yes\nENABLED=no\n"}
    )
    assert detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE) is None
    assert host.commands == list(IDLE)


@pytest.mark.parametrize(
    ("state", "settings", "expected"),
    [
        ("active", "ENABLED=no\n", ["firewall-cmd --state"]),
        ("failed", "ENABLED=no\n", ["firewall-cmd --state"]),
        ("System has not been booted with systemd as init system", "ENABLED=no\n", ["firewall-cmd --state"]),
        ("inactive", "LOGLEVEL=low\nENABLED=yes\n", ["ufw status"]),
        ("inactive", 'enabled="YES"\n', ["ufw status"]),
        ("inactive", None, ["ufw status"]),
    ],
)
def test_slow_programs_run_if_their_firewalls_may_be_active(state, settings, expected):
    host = RecordedHost(
        ["firewall-cmd", "ufw"],
        prints={**IDLE, "systemctl is-active firewalld": (int(state != "active"), state)},
        files={} if settings is None else {"/etc/ufw/ufw.conf": settings},
    )
    assert detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE) is None
    assert [command for command in host.commands if command not in IDLE] == expected


def test_a_named_firewall_is_queried_itself():
    host = ufw()
    host.files["/etc/ufw/ufw.conf"] = "ENABLED=no\n"
    assert detect_firewall(host, "ufw", HTTPS_FROM_ANYWHERE).name == "ufw"
    host = firewalld()
    host.prints["systemctl is-active firewalld"] = (3, "inactive")
    assert detect_firewall(host, "firewalld", HTTPS_FROM_ANYWHERE).name == "firewalld"


def test_chains_of_iptables_in_nftables_belong_to_iptables():
    host = nftables(prints=iptables().prints, family="ip", chain="INPUT")
    assert detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE).name == "iptables"


def test_a_firewall_that_denies_the_port_takes_precedence():
    blocked = {
        "match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "198.51.100.7"}
    }
    host = nftables(nft_rule(4, blocked, {"drop": None}), policy="accept", prints=iptables().prints)
    assert detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE).name == "iptables"
    assert (
        detect_firewall(
            nftables(nft_rule(4, blocked, {"drop": None}), policy="accept"), "auto", HTTPS_FROM_ANYWHERE
        ).plan_open(HTTPS_FROM_ANYWHERE)
        == []
    )


def test_a_note_names_a_second_firewall():
    firewall = detect_firewall(nftables(prints=iptables().prints), "auto", HTTPS_FROM_ANYWHERE)
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
def test_an_error_says_why_a_named_firewall_cannot_be_used(backend, programs, sentence):
    with pytest.raises(TlsError, match=sentence):
        detect_firewall(RecordedHost(programs), backend, HTTPS_FROM_ANYWHERE)
