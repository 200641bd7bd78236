# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands that open and close ports in nftables, and the block in its file."""

from __future__ import annotations

import time

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nft_block import (
    BLOCK_BEGIN,
    BLOCK_END,
    BlockRule,
    replace_block,
    split_blocks,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    DENY_RULE,
    HTTPS_FROM_ANYWHERE,
    NFT_FILE,
    detect_firewall,
    nft_port,
    nftables,
)

COMMENT = 'comment "evergreen.tls.firewall_port"'
HTTPS_RULE = f"tcp dport 443 accept {COMMENT}"


def nft_own_port(number, port):
    rule = nft_port(number, port)
    return {"rule": {**rule["rule"], "comment": "evergreen.tls.firewall_port"}}


def test_nftables_inserts_before_the_deny_rule_and_warns_if_the_file_cannot_be_tried_out():
    accesses = parse_port_accesses([80, 443], "tcp", [])
    host = nftables(nft_port(4, {"set": [22, 80]}), DENY_RULE)
    firewall = detect_firewall(host, "auto", accesses)
    (loaded,) = firewall.plan_open(accesses)
    assert (loaded.path, loaded.argv, loaded.stdin) == (
        None,
        ["nft", "-f", "-"],
        f"insert rule inet filter input handle 5 {HTTPS_RULE}\n",
    )
    (warning,) = firewall.warnings
    assert warning.startswith(
        "It is not kept for a restart, because the place of the rule `drop # handle 5` in /etc/nftables.conf was not found; add `"
    )


def test_nftables_adds_at_the_end_if_only_the_policy_denies():
    accesses = parse_port_accesses([443], "udp", ["192.0.2.0/24", "2001:db8::/32", "::/0"])
    stored, loaded = detect_firewall(nftables(), "auto", accesses).plan_open(accesses)
    words = ["ip saddr 192.0.2.0/24", "ip6 saddr 2001:db8::/32", "meta nfproto ipv6"]
    lines = "".join(f"add rule inet filter input {one} udp dport 443 accept {COMMENT}\n" for one in words)
    assert loaded.stdin == lines
    assert (stored.path, stored.argv) == ("/etc/nftables.conf", ["nft", "-c", "-f", "-"])
    assert stored.stdin == (
        f"{NFT_FILE}\n{BLOCK_BEGIN}\ntable inet filter {{\n\tchain input {{\n\t}}\n}}\n{lines}{BLOCK_END}\n"
    )


def test_nftables_needs_no_change_if_its_block_has_the_rule():
    host = nftables(
        nft_port(4, {"set": [22, 80]}),
        nft_port(6, 443),
        text=replace_block(NFT_FILE, [BlockRule("add", "inet filter input", HTTPS_RULE)]),
    )
    accesses = parse_port_accesses([80, 443], "tcp", [])
    firewall = detect_firewall(host, "auto", accesses)
    assert (firewall.plan_open(accesses), firewall.warnings) == ([], [])


def test_nftables_reads_included_files():
    included = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\t\ttcp dport 443 accept\n\t}\n}\n"
    host = nftables(
        nft_port(4, 443),
        text='flush ruleset\ninclude "nftables.d/web.nft"\n',
        files={"/etc/nftables.d/web.nft": included},
    )
    assert detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE).plan_open(HTTPS_FROM_ANYWHERE) == []
    assert host.visits == 2


@pytest.mark.parametrize(
    ("text", "where"),
    [("flush ruleset\n", "/etc/nftables.conf does not set up"), ("", "no /etc/nftables.conf sets up")],
)
def test_a_chain_that_the_file_does_not_define_is_opened_with_a_warning(text, where):
    firewall = detect_firewall(nftables(text=text), "auto", HTTPS_FROM_ANYWHERE)
    (loaded,) = firewall.plan_open(HTTPS_FROM_ANYWHERE)
    assert loaded.stdin == f"add rule inet filter input {HTTPS_RULE}\n"
    assert firewall.warnings == [
        f"It is not kept for a restart, because {where} the chain inet filter input; add `tcp dport 443 accept` where that chain comes from."
    ]


def test_nftables_removes_its_own_rules_and_no_other():
    accesses = parse_port_accesses([22, 80, 443], "tcp", [])
    block = [BlockRule("add", "inet filter input", f"tcp dport {port} accept {COMMENT}") for port in (443, 8443)]
    firewall = detect_firewall(
        nftables(nft_port(4, {"set": [22, 80]}), nft_own_port(6, 443), text=replace_block(NFT_FILE, block)),
        "auto",
        accesses,
    )
    stored, loaded = firewall.plan_close(accesses)
    assert stored.stdin == replace_block(NFT_FILE, block[1:])
    assert loaded.stdin == "delete rule inet filter input handle 6\n"


def test_equal_chains_of_two_tables_are_told_apart():
    other = {"family": "inet", "table": "other", "name": "input", "handle": 1}
    chain = {"chain": {**other, "type": "filter", "hook": "input", "prio": 1, "policy": "drop"}}
    firewall = detect_firewall(nftables(chain), "auto", HTTPS_FROM_ANYWHERE)
    stored, loaded = firewall.plan_open(HTTPS_FROM_ANYWHERE)
    rules = [BlockRule("add", f"inet {table} input", HTTPS_RULE) for table in ("filter", "other")]
    assert stored.stdin == replace_block(NFT_FILE, rules[:1])
    assert loaded.stdin == "".join(f"add rule {rule.chain} {rule.text}\n" for rule in rules)
    assert [warning.partition(";")[0] for warning in firewall.warnings] == [
        "It is not kept for a restart, because /etc/nftables.conf does not set up the chain inet other input"
    ]


def test_removing_a_block_restores_the_file():
    block = [BlockRule("add", "inet filter input", "tcp dport 443 accept")]
    assert replace_block(replace_block(NFT_FILE, block), []) == NFT_FILE
    assert replace_block(replace_block(NFT_FILE, block), block) == replace_block(NFT_FILE, block)


@pytest.mark.parametrize("missing", [BLOCK_BEGIN, BLOCK_END])
def test_a_block_without_begin_or_end_removes_nothing_else(missing):
    block = [BlockRule("add", "inet filter input", "tcp dport 443 accept")]
    left = replace_block(NFT_FILE, block).replace(f"{missing}\n", "") + "table inet theirs {\n}\n"
    once = replace_block(left, block)
    assert replace_block(once, block) == once
    assert (once.count(BLOCK_BEGIN), once.count(BLOCK_END)) == (1, 1)
    assert replace_block(once, []) == left.replace(f"{BLOCK_BEGIN}\n", "").replace(f"{BLOCK_END}\n", "")


def test_a_block_within_another_one_removes_nothing_between():
    block = [BlockRule("add", "inet filter input", "tcp dport 443 accept")]
    nested = f"{BLOCK_BEGIN}\ntable inet theirs {{\n}}\n{replace_block('', block)}{BLOCK_END}\n"
    assert replace_block(replace_block(nested, block), []) == "table inet theirs {\n}\n"


def test_empty_lines_before_a_block_take_linear_time():
    text = "\n" * 100_000 + f"{BLOCK_BEGIN}\n" * 1000
    assert split_blocks(text) == ("\n" * 100_000, [])
    whole = replace_block(text, [BlockRule("add", "inet filter input", "tcp dport 443 accept")])
    assert replace_block(whole, []) == "\n"


@pytest.mark.parametrize(
    "line", [BLOCK_END, BLOCK_BEGIN, f"{BLOCK_BEGIN}\n{BLOCK_END}", f"{BLOCK_END}\n{BLOCK_BEGIN}", f"{BLOCK_END}x"]
)
def test_lines_that_begin_or_end_blocks_take_linear_time(line):
    start = time.process_time()
    rest, blocks = split_blocks(f"table inet theirs {{\n}}\n\n{line}\n" * 50_000)
    assert time.process_time() - start < 3
    assert "".join([rest, *blocks]).count("table inet theirs {\n}\n") == 50_000
    assert len(blocks) in (0, 49_999, 50_000)
