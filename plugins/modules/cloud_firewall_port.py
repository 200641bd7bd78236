#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_firewall_port
short_description: Open ports in the firewall of a cloud
version_added: "0.1.0"
description:
  - Opens or closes ports in a security group of a cloud, or in the firewall of a Lighthouse instance of Tencent Cloud, and reads the
    rules back afterwards.
  - Judges the rules in their order. The first that matches decides, and what no rule matches is refused. A rule that already
    accepts the port is enough, and nothing is added.
  - Fails where a rule refuses the port, and names its number. It was written on purpose, and a rule after it would have no effect.
  - Adds a rule for each port and network, with the description V(evergreen.tls), behind the others. Changes no other rule.
  - Where something else changes the rules at the same time, they are read and judged again.
  - Runs on the controller. The host is not logged in to.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.cloud
  - evergreen.tls.ports
options:
  security_group:
    description: The security group. One of O(security_group) and O(instance) is required.
    type: str
  instance:
    description: The Lighthouse instance of Tencent Cloud.
    type: str
  region:
    description: The region of the security group or instance. By default that of the account.
    type: str
  state:
    description:
      - With V(open), the ports can be reached from the sources. Rules that refuse some addresses only keep their effect.
      - With V(closed), no rule opens just these ports to just these sources, or to some of them.
    type: str
    choices: [open, closed]
    default: open
notes:
  - A rule whose source is a template or another group cannot be judged. One that accepts is not counted; one that refuses is a warning.
  - A rule of a security group is for all instances that the group is bound to. A change for more than one of them is a warning.
  - It fits the published description of the API, and was not run against the real service. The proof that a port is open is a
    handshake.
seealso:
  - module: evergreen.tls.firewall_port
    description: The same for the firewall of the host itself.
"""

EXAMPLES = r"""
- name: Let everybody reach the web server
  evergreen.tls.cloud_firewall_port:
    account: main
    security_group: sg-12345678
    ports: [80, 443]

- name: Let one network reach a Lighthouse instance
  evergreen.tls.cloud_firewall_port:
    account: main
    region: ap-guangzhou
    instance: lhins-12345678
    ports: [443]
    sources: [192.0.2.0/24]
"""

RETURN = r"""
opened:
  description:
    - The ports that were refused and were opened.
    - A port of another protocol than O(protocol) is returned with it, as V(443/udp).
  returned: success
  type: list
  elements: raw
  sample: [443]
closed:
  description: The ports of the rules that were removed.
  returned: success
  type: list
  elements: raw
  sample: []
instances:
  description: For how many instances the rules are.
  returned: with a change, where the API says it
  type: int
  sample: 1
msg:
  description: What was found and done, in sentences.
  returned: always
  type: str
  sample: Opened tcp 443 to everybody in the security group sg-12345678 of account main.
"""
