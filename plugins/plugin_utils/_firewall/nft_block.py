# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The block of rules at the end of a file for nft. It adds rules at the end of chains."""

from __future__ import annotations

import re
import typing as t

# The rules that this writes into the file are between two lines, as those of blockinfile are.
BLOCK_BEGIN = "# BEGIN evergreen.tls.firewall_port: written by a program, which replaces all up to END"
BLOCK_END = "# END evergreen.tls.firewall_port"
BLOCK_LINE = re.compile(rf"^(?:{re.escape(BLOCK_BEGIN)}|{re.escape(BLOCK_END)})$\n?", re.MULTILINE)


class BlockRule(t.NamedTuple):
    """A rule in the block of a file."""

    verb: str  # add: at the end of the chain
    chain: str  # family, table and chain
    text: str


def split_blocks(text: str) -> tuple[str, list[str]]:
    """Return the text of a file without blocks and the empty lines before them, and the blocks.

    A line that begins or ends a block without its counterpart is removed alone, since what follows may not be ours.
    """
    rest, blocks, position = [], [], 0
    begin: int | None = None  # of the last line that begins a block, since the last block
    for line in BLOCK_LINE.finditer(text):  # once, however many lines begin or end nothing
        if line[0].startswith(BLOCK_BEGIN):
            begin = line.start()
        elif begin is not None:
            rest.append(text[position:begin].rstrip("\n") + "\n")
            blocks.append(text[begin : line.end()])
            position, begin = line.end(), None
    return BLOCK_LINE.sub("", "".join([*rest, text[position:]])), blocks


def parse_block(text: str) -> list[BlockRule]:
    """Return the rules of a block."""
    return [BlockRule(*rule) for rule in re.findall(r"^(add|insert) rule (\S+ \S+ \S+) (.+)$", text, re.MULTILINE)]


def replace_block(text: str, block: list[BlockRule]) -> str:
    """Return the text of a file with a block of these rules at its end, and no other block.

    The block also defines each chain, so that nft loads the file even if the chain has been removed from it.
    """
    text = split_blocks(text)[0].rstrip("\n") + "\n"
    if not block:
        return text
    lines = [BLOCK_BEGIN]
    for name in dict.fromkeys(rule.chain for rule in block):
        family, table, chain = name.split()
        lines += [f"table {family} {table} {{", f"\tchain {chain} {{", "\t}", "}"]
    lines += [f"{rule.verb} rule {rule.chain} {rule.text}" for rule in block]
    return text + "\n" + "\n".join([*lines, BLOCK_END]) + "\n"
