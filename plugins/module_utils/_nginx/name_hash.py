# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directives for the hash of server names, which may stand once in the http block."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import inside_blocks
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.server_names import (
    DEFAULT_BUCKET_BYTES,
    DEFAULT_MAX_SIZE,
    bucket_bytes,
    hash_max_size,
)

BUCKET_SIZE = "server_names_hash_bucket_size"
MAX_SIZE = "server_names_hash_max_size"
SIZE = re.compile(r"([0-9]{1,9})([kKmM]?)")
UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}


def name_hash_directives(names: t.Collection[str], files: dict[str, str], main: str) -> list[str]:
    """Return the directives that nginx needs for server names, beside the configuration in *files*.

    Raises TlsError if somebody else sets a size of a bucket that is too small.
    """
    bucket, size = bucket_bytes(names), hash_max_size(len(names))
    directives = []
    setting = _setting(files, main, BUCKET_SIZE)
    if setting is None:
        directives += [f"{BUCKET_SIZE} {bucket};"] if bucket > DEFAULT_BUCKET_BYTES else []
    elif _aligned(setting[1]) < bucket:
        longest = max(names, key=lambda name: bucket_bytes([name]))
        raise TlsError(
            f"{setting[0]} sets {BUCKET_SIZE} to {setting[1]}, and the name {longest} needs {bucket}; write '{BUCKET_SIZE} {bucket};' "
            "there, or take the line away, and run this again"
        )
    if size > DEFAULT_MAX_SIZE and _setting(files, main, MAX_SIZE) is None:
        directives.append(f"{MAX_SIZE} {size};")
    return directives


def _setting(files: dict[str, str], main: str, directive: str) -> tuple[str, int] | None:
    """Return place and value of a directive with a size in the http block, or None if it is not there."""
    for path, statement in inside_blocks(files, main, "http"):
        if statement.words[0] == directive and len(statement.words) > 1:
            size = SIZE.fullmatch(statement.words[1])
            if size:
                return f"{path}:{statement.line}", int(size[1]) * UNITS[size[2].lower()]
    return None


def _aligned(size: int) -> int:
    """Return a size as nginx takes it, in whole cache lines."""
    return -(-size // DEFAULT_BUCKET_BYTES) * DEFAULT_BUCKET_BYTES
