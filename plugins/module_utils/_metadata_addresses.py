# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses at which clouds tell a host its secrets. The collection sends nothing there for a name that leads to them."""

from __future__ import annotations

import ipaddress

# Where clouds tell a host its secrets: AWS, Google, Azure and Tencent; containers of AWS; Alibaba; AWS by IPv6; Azure's agent.
METADATA_ADDRESSES = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "168.63.129.16"))
)


def is_metadata_address(address: str) -> bool:
    """Say whether an address is one at which a cloud tells a host its secrets.

    >>> is_metadata_address("::ffff:169.254.169.254"), is_metadata_address("169.254.1.1")
    (True, False)
    """
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed) in METADATA_ADDRESSES
