# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many handshakes a survey makes at a time."""

from __future__ import annotations

import os
import resource


def thread_count(at_once: int, endpoints: int) -> int:
    """Return how many handshakes to make at a time: no more than half of the files that this process may still open."""
    max_files, _hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = endpoints if max_files == resource.RLIM_INFINITY else (max_files - _open_file_count()) // 2
    return max(1, min(at_once, endpoints, allowed))


def _open_file_count() -> int:
    """Return how many files this process has open, and 0 where the system does not list them."""
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:
        return 0
