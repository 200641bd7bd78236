# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # The ports of a firewall, and whom they are for.
    DOCUMENTATION = r"""
options:
  ports:
    description:
      - The ports, from 1 to 65535.
      - A port may name its protocol, as V(443/udp) does for HTTP/3. The others have O(protocol).
    type: list
    elements: str
    required: true
  protocol:
    description: The protocol of the ports that name none.
    type: str
    choices: [tcp, udp]
    default: tcp
  sources:
    description:
      - The IPv4 and IPv6 networks or addresses that the ports are for.
      - An empty list stands for everybody, by IPv4 and by IPv6.
    type: list
    elements: str
    default: []
"""
