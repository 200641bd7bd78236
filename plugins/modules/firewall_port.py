#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_port
short_description: Open ports in the firewall that the host has
version_added: "0.1.0"
description:
  - Opens or closes ports under firewalld, ufw, nftables or iptables, now and after a restart, and reads the rules
    back afterwards.
  - Never does more than asked. A rule of others that already opens a port is enough, and nothing is added. A new rule
    stands behind all rules that were evaluated before the one that denies the port, now and after a restart. Blocked
    addresses stay blocked.
  - Rules of others are neither removed nor overruled. Where a rule denies exactly the port or exactly the sources, the
    module fails with a sentence that names this rule.
  - Rules by source that keep CAs away from ports 80 or 443 are a warning. CAs validate from several continents, from addresses that change.
  - A port is closed by removing the rules that this module has added and that open this port and nothing else. A
    warning names what still opens it.
  - A host on which no firewall is active is fine. Nothing is changed there, and the result says so.
  - Thinks on the controller. The host is asked once, and once more where something has to be done, for all ports together.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.ports
options:
  state:
    description:
      - With V(open), the ports can be reached from the sources. Rules that refuse some addresses only, a list of
        blocked ones for example, keep their effect.
      - With V(closed), no rule of this module opens just these ports to just these sources, or to some of them.
    type: str
    choices: [open, closed]
    default: open
  backend:
    description:
      - The firewall to use.
      - With V(auto), the active one. firewalld and ufw are asked first, then whether nftables or iptables refuses
        anything.
      - With V(none), nothing is looked at or changed.
    type: str
    choices: [auto, firewalld, ufw, nftables, iptables, none]
    default: auto
  zone:
    description:
      - The zone of firewalld.
      - Without it, the zone that a source is bound to, if all of the source belongs to that zone.
      - Else the zone of the interface that has the address C(ansible_host). Where no interface has this address, since it
        is translated on the way, the interface with the default route counts.
      - Else, where that interface is bound to no zone, the default zone of firewalld.
    type: str
notes:
  - Each rule carries the comment C(evergreen.tls.firewall_port), which marks it as one of this module. firewalld has no
    comments. There the rule is a rich rule with the priority 32000, which takes firewalld 0.7 or later.
  - A rule of others that denies the port for one interface counts where clients may come by that interface. These are the interfaces with the
    address C(ansible_host), and those with a default route. It is left alone where it is for other interfaces, such as those of containers.
    With firewalld, the zone decides.
  - With nftables, the rule goes into each chain that hooks C(input), or into the chain that one of them jumps to, directly
    before the rule that denies the port. It is written to the same place of C(/etc/nftables.conf), of
    C(/etc/sysconfig/nftables.conf), or of a file that these include. If only the policy of a chain denies the port, the rule is
    written into a marked block at the end of that file.
  - The host loads the files for nft in network and mount namespaces of its own to find out what they set up. Where it cannot,
    or where the place is not found, a warning says which rule to add by hand.
  - With iptables, the rule is written into the files of C(netfilter-persistent), or of C(iptables.service), beside what
    is there. Nothing else of the running rules is saved with it.
  - With ufw, the rule is inserted before the rule that denies the port, or appended.
  - With firewalld, policies for packets to the host keep their effect. A policy or a rich rule that would be evaluated after
    the new rule and denies some addresses is an error.
seealso:
  - module: evergreen.tls.firewall_commands
  - ref: evergreen.tls.firewall role <ansible_collections.evergreen.tls.firewall_role>
    description: The same for all hosts of a play.
"""

EXAMPLES = r"""
- name: Let everybody reach the web server
  evergreen.tls.firewall_port:
    ports: [80, 443]

- name: Let two networks reach the metrics
  evergreen.tls.firewall_port:
    ports: [9100]
    sources:
      - 192.0.2.0/24
      - 2001:db8:17::/48

- name: Close HTTP/3 again
  evergreen.tls.firewall_port:
    ports: [443/udp]
    state: closed
"""

RETURN = r"""
backend:
  description: The firewall that was used; V(none) where none is active.
  returned: success
  type: str
  sample: nftables
zone:
  description: The zone that was used.
  returned: with firewalld
  type: str
  sample: public
opened:
  description:
    - The ports that were shut, or would not have stayed open, and were opened.
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
persistent:
  description: Whether the ports will be as they are now after a restart, as far as the files of the firewall tell.
  returned: success
  type: bool
  sample: true
msg:
  description: What was found and done, in sentences.
  returned: always
  type: str
  sample: Opened tcp 443 to everybody in nftables.
"""
