# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server names as nginx compares and stores them (https://nginx.org/en/docs/http/server_names.html)."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import ServerBlock

POINTER_BYTES = 8  # on a processor of 64 bits
DEFAULT_BUCKET_BYTES = 64  # nginx takes the size of a cache line, which is 64 bytes on x86-64 and ARM
DEFAULT_MAX_SIZE = 512
NAMED_GROUP = re.compile(r"\(\?<(?=[A-Za-z_])")  # of PCRE
MAX_NAME_CHARACTERS = 253  # RFC 1035, section 2.3.4


def blocks_for_name(blocks: t.Iterable[ServerBlock], name: str, port: int) -> list[ServerBlock]:
    """Return the server blocks that answer to a name on a port, first the one that nginx prefers at equal addresses.

    nginx takes an exact name, then the longest wildcard before a name, then the longest one behind it, then the first regular
    expression.
    """
    ranked = [(_rank(block, name), block) for block in blocks if any(one.port == port for one in block.listens)]
    return [block for rank, block in sorted((pair for pair in ranked if pair[0]), key=lambda pair: pair[0] or (9, 0))]


def answers_at(blocks: t.Collection[ServerBlock], block: ServerBlock, address: str, port: int) -> bool:
    """Return whether a server block is among those from which nginx chooses for connections to an address.

    Blocks that listen at that very address are before those that listen at all addresses of its kind. blocks: all of the configuration.
    """
    if any(_listens_at(one, address, port) for one in blocks):
        return _listens_at(block, address, port)
    is_ipv6 = ":" in address
    return any(one.port == port and one.address == "*" and one.is_ipv6 is is_ipv6 for one in block.listens)


def bucket_bytes(names: t.Iterable[str]) -> int:
    """Return the size of a bucket that C(server_names_hash_bucket_size) needs for these names, as a power of two.

    ngx_hash_init() refuses a name that does not fit into a bucket: a pointer, two bytes for the length and the name itself,
    aligned to pointers, and a pointer at the end of the bucket. Of a name with a wildcard, each label is a name of its own.
    """
    needed = max((_element_bytes(length) + POINTER_BYTES for length in _lengths(names)), default=0)
    size = DEFAULT_BUCKET_BYTES
    while size < needed:
        size *= 2
    return size


def hash_max_size(count: int) -> int:
    """Return a C(server_names_hash_max_size) for so many names, as a power of two.

    nginx only warns of one that is too small.
    """
    size = DEFAULT_MAX_SIZE
    while size < count:
        size *= 2
    return size


def _listens_at(block: ServerBlock, address: str, port: int) -> bool:
    return any(one.port == port and one.address.strip("[]").lower() == address.lower() for one in block.listens)


def _lengths(names: t.Iterable[str]) -> t.Iterator[int]:
    for name in names:
        if name.startswith("~"):
            continue
        if "*" in name or name.startswith("."):
            yield from map(len, name.split("."))
        else:
            yield len(name)


def _element_bytes(length: int) -> int:
    """Return NGX_HASH_ELT_SIZE of a name."""
    return POINTER_BYTES + -(-(length + 2) // POINTER_BYTES) * POINTER_BYTES


def _rank(block: ServerBlock, name: str) -> tuple[int, int] | None:
    """Return how nginx prefers a block for a name, the smallest first, or None if the block does not have the name."""
    ranks = [rank for rank in (_pattern_rank(pattern, name) for pattern in block.names) if rank]
    return min(ranks, default=None)


def _pattern_rank(pattern: str, name: str) -> tuple[int, int] | None:
    if pattern.startswith("~"):
        return (4, 0) if _matches_expression(pattern[1:], name) else None
    if pattern in (name, f".{name}"):
        return (1, 0)
    if pattern.startswith(("*.", ".")) and name.endswith(pattern.lstrip("*")):
        return (2, -len(pattern))
    if pattern.endswith(".*") and name.startswith(pattern[:-1]):
        return (3, -len(pattern))
    return None


def _matches_expression(expression: str, name: str) -> bool:
    """Return whether a regular expression matches a name, as far as Python reads it as PCRE does."""
    try:
        return re.search(NAMED_GROUP.sub("(?P<", expression), name[:MAX_NAME_CHARACTERS], re.IGNORECASE) is not None
    except (re.error, RecursionError, OverflowError):
        return False
