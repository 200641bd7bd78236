# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the controller has a route to an address."""

from __future__ import annotations

import functools
import ipaddress
import socket

DISCARD_PORT = 9  # nothing is sent there


# not a parser: addresses of DNS records are well formed
@functools.lru_cache(maxsize=4096)
def has_route(address: str) -> bool:
    """Say whether the controller has a route to an address. Nothing is sent.

    >>> has_route("127.0.0.1")
    True
    """
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, DISCARD_PORT))
    except OSError:
        return False
    return True
