# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nftables would have to do."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nftables import (
    BLOCK_BEGIN,
    BLOCK_END,
    BlockRule,
    replace_block,
    split_blocks,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    parse_port_accesses,
)
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    EVERYBODY,
    NFT_FILE,
    WALL,
    detect_firewall,
    nft_port,
    nftables,
)


def test_nftables_opens_before_the_wall_and_writes_a_block():
    accesses = parse_port_accesses([80, 443], "tcp", [])
    host = nftables(nft_port(4, {"set": [22, 80]}), WALL)
    written, run = detect_firewall(host, "auto", accesses).plan_open(accesses)
    assert (written.path, written.argv) == ("/etc/nftables.conf", ["nft", "-c", "-f", "-"])
    assert written.stdin == (
        f"{NFT_FILE}\n{BLOCK_BEGIN}\ntable inet filter {{\n\tchain input {{\n\t}}\n}}\ninsert rule inet filter input tcp dport 443 accept\n{BLOCK_END}\n"
    )
    assert (run.path, run.argv, run.stdin) == (
        None,
        ["nft", "-f", "-"],
        "insert rule inet filter input handle 5 tcp dport 443 accept\n",
    )


def test_nftables_adds_at_the_end_where_only_the_policy_refuses():
    accesses = parse_port_accesses([443], "udp", ["192.0.2.0/24", "2001:db8::/32", "::/0"])
    written, run = detect_firewall(nftables(), "auto", accesses).plan_open(accesses)
    words = ["ip saddr 192.0.2.0/24", "ip6 saddr 2001:db8::/32", "meta nfproto ipv6"]
    lines = "".join(f"add rule inet filter input {one} udp dport 443 accept\n" for one in words)
    assert run.stdin == lines
    assert lines in written.stdin


def test_nftables_is_content_with_what_it_finds_again():
    host = nftables(
        nft_port(4, {"set": [22, 80]}),
        nft_port(6, 443),
        text=replace_block(NFT_FILE, [BlockRule("add", "inet filter input", "tcp dport 443 accept")]),
    )
    accesses = parse_port_accesses([80, 443], "tcp", [])
    firewall = detect_firewall(host, "auto", accesses)
    assert (firewall.plan_open(accesses), firewall.warnings) == ([], [])


def test_a_rule_that_would_come_behind_a_new_wall_is_moved_to_the_top():
    host = nftables(
        nft_port(4, 443),
        WALL,
        text=replace_block(NFT_FILE, [BlockRule("add", "inet filter input", "tcp dport 443 accept")]),
    )
    (written,) = detect_firewall(host, "auto", EVERYBODY).plan_open(EVERYBODY)
    assert written.stdin == replace_block(NFT_FILE, [BlockRule("insert", "inet filter input", "tcp dport 443 accept")])


def test_nftables_reads_what_the_file_includes():
    included = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\t\ttcp dport 443 accept\n\t}\n}\n"
    host = nftables(
        nft_port(4, 443),
        text='flush ruleset\ninclude "nftables.d/web.nft"\n',
        files={"/etc/nftables.d/web.nft": included},
    )
    assert detect_firewall(host, "auto", EVERYBODY).plan_open(EVERYBODY) == []
    assert host.visits == 2


@pytest.mark.parametrize(
    ("text", "where"),
    [("flush ruleset\n", "/etc/nftables.conf does not set up"), ("", "no /etc/nftables.conf sets up")],
)
def test_a_chain_that_comes_from_elsewhere_is_opened_and_warned_of(text, where):
    firewall = detect_firewall(nftables(text=text), "auto", EVERYBODY)
    (run,) = firewall.plan_open(EVERYBODY)
    assert run.stdin == "add rule inet filter input tcp dport 443 accept\n"
    assert firewall.warnings == [
        f"It is not kept for a restart, because {where} the chain inet filter input; add `tcp dport 443 accept` where that chain comes from."
    ]


def test_nftables_closes_its_own_block_and_names_the_line_of_somebody_else():
    accesses = parse_port_accesses([22, 80, 443], "tcp", [])
    block = [BlockRule("add", "inet filter input", f"tcp dport {port} accept") for port in (443, 8443)]
    firewall = detect_firewall(
        nftables(nft_port(4, {"set": [22, 80]}), nft_port(6, 443), text=replace_block(NFT_FILE, block)),
        "auto",
        accesses,
    )
    written, run = firewall.plan_close(accesses)
    assert written.stdin == replace_block(NFT_FILE, block[1:])
    assert run.stdin == "delete rule inet filter input handle 4\ndelete rule inet filter input handle 6\n"
    assert firewall.warnings == [
        "It is not kept for a restart: `tcp dport { ssh, 80 } accept` in the chain inet filter input of /etc/nftables.conf opens it again; remove that line."
    ]


def test_a_block_comes_and_goes_without_a_trace():
    block = [BlockRule("add", "inet filter input", "tcp dport 443 accept")]
    assert replace_block(replace_block(NFT_FILE, block), []) == NFT_FILE
    assert replace_block(replace_block(NFT_FILE, block), block) == replace_block(NFT_FILE, block)


@pytest.mark.parametrize("missing", [BLOCK_BEGIN, BLOCK_END])
def test_nothing_of_others_is_removed_where_somebody_has_cut_a_block_off(missing):
    block = [BlockRule("add", "inet filter input", "tcp dport 443 accept")]
    left = replace_block(NFT_FILE, block).replace(f"{missing}\n", "") + "table inet theirs {\n}\n"
    once = replace_block(left, block)
    assert replace_block(once, block) == once
    assert (once.count(BLOCK_BEGIN), once.count(BLOCK_END)) == (1, 1)
    assert replace_block(once, []) == left.replace(f"{BLOCK_BEGIN}\n", "").replace(f"{BLOCK_END}\n", "")


def test_a_block_within_another_one_is_no_reason_to_remove_what_lies_between():
    block = [BlockRule("add", "inet filter input", "tcp dport 443 accept")]
    nested = f"{BLOCK_BEGIN}\ntable inet theirs {{\n}}\n{replace_block('', block)}{BLOCK_END}\n"
    assert replace_block(replace_block(nested, block), []) == "table inet theirs {\n}\n"


def test_a_block_is_found_in_a_file_full_of_empty_lines():
    text = "\n" * 100_000 + f"{BLOCK_BEGIN}\n" * 1000
    assert split_blocks(text) == ("\n" * 100_000, [])
    whole = replace_block(text, [BlockRule("add", "inet filter input", "tcp dport 443 accept")])
    assert replace_block(whole, []) == "\n"
