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
  - Never does more than asked. A rule of somebody else that already opens a port is enough, and nothing is added.
    A port is closed by removing the rules that open this port and nothing else; what still opens it is said.
  - A host on which no firewall is active is fine. Nothing is changed there, and the result says so.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
options:
  ports:
    description: The ports, from 1 to 65535. Several ports take one trip to the host.
    type: list
    elements: int
    required: true
  protocol:
    description: The protocol of the ports.
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
  state:
    description:
      - With V(open), the ports can be reached from the sources. Rules that refuse some addresses only, a list of
        blocked ones for example, keep their effect.
      - With V(closed), no rule opens just these ports to just these sources, or to some of them.
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
      - Without it, the zone of the interface with the default route, or the default zone where there is no such
        interface or no zone is bound to it.
    type: str
notes:
  - With nftables, the rule goes into each chain that hooks C(input), behind the last rule that may stay before it. For
    the next restart it is written into a marked block at the end of C(/etc/nftables.conf), or of
    C(/etc/sysconfig/nftables.conf), once C(nft -c) has accepted the file. Where a chain ends in a rule that refuses
    everything, the rule of the block is put at the top of the chain, and then also comes before any rule that refuses
    some addresses.
  - With iptables, the rule is written into the files of C(netfilter-persistent), or of C(iptables.service), beside what
    is there. Nothing else of the running rules is saved with it.
  - Policies of firewalld and zones that are bound to sources are not looked at.
seealso:
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
    ports: [443]
    protocol: udp
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
  description: The ports that were shut, or would not have stayed open, and were opened.
  returned: success
  type: list
  elements: int
  sample: [443]
closed:
  description: The ports of the rules that were removed.
  returned: success
  type: list
  elements: int
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

import glob
import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.firewalls import find_firewall, make_doors
from ansible_collections.evergreen.tls.plugins.module_utils.targets import answer, read_file, replace_file, run


class ThisHost:
    """The machine that the module runs on, as firewalls look at it."""

    def __init__(self, module):
        self.module = module

    def has(self, program):
        return self.module.get_bin_path(program) is not None

    def run(self, argv, stdin=None):
        return run([self.module.get_bin_path(argv[0], required=True), *argv[1:]], stdin)

    def read(self, path):
        content = read_file(path)
        return None if content is None else content.decode(errors="surrogateescape")

    def find(self, pattern):
        return sorted(glob.glob(pattern))


def main():
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "int", "required": True},
            "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
            "sources": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["open", "closed"], "default": "open"},
            "backend": {
                "type": "str",
                "choices": ["auto", "firewalld", "ufw", "nftables", "iptables", "none"],
                "default": "auto",
            },
            "zone": {"type": "str"},
        },
        supports_check_mode=True,
    )
    answer(module, decide)


def decide(module):
    """Return what was found and done."""
    wanted = module.params
    doors = make_doors(wanted["ports"], wanted["protocol"], wanted["sources"])
    if wanted["backend"] != "none" and os.geteuid() != 0:
        raise TlsError("only root can read and change a firewall; run this with become")
    host = ThisHost(module)
    firewall = find_firewall(host, wanted["backend"], doors, wanted["zone"])
    if firewall is None:
        return {
            "changed": False,
            "backend": "none",
            "opened": [],
            "closed": [],
            "persistent": True,
            "msg": say_none(wanted),
        }
    before = firewall.lines(doors)
    if wanted["state"] == "open":
        steps, opened, closed = firewall.opening(doors), sorted({shut.door.port for shut in firewall.shut(doors)}), []
    else:
        steps, opened, closed = firewall.closing(doors), [], firewall.closable(doors)
    after = [line for line in before if not any(line in step.removes for step in steps)]
    after += [line for step in steps for line in step.adds if line not in after]
    if steps and not module.check_mode:
        warnings = firewall.warnings
        for step in steps:
            take(host, step)
        firewall = find_firewall(host, firewall.name, doors, wanted["zone"])
        firewall.warnings = list(dict.fromkeys(warnings + firewall.warnings))
        prove(firewall, doors, wanted["state"])
        after = firewall.lines(doors)
    for sentence in firewall.warnings + firewall.notes:
        module.warn(sentence)
    sentences = [say(wanted, firewall, steps, module.check_mode), *still_open(wanted, firewall, doors, after)]
    return {
        "changed": bool(steps),
        "backend": firewall.name,
        **({"zone": firewall.zone} if firewall.name == "firewalld" else {}),
        "opened": opened,
        "closed": closed,
        "persistent": not firewall.warnings,
        "msg": " ".join([*sentences, *firewall.warnings, *firewall.notes]),
        "diff": {
            "before": as_text(before),
            "after": as_text(after),
            "before_header": firewall.name,
            "after_header": firewall.name,
        },
    }


def take(host, step):
    """Do one step; a file is replaced only when the firewall's own program accepts its new content."""
    status, output = host.run(step.argv, step.stdin)
    if status:
        subject = f"the new content of {step.path}, and the old one is still in place" if step.path else "this"
        raise TlsError(f"`{' '.join(step.argv)}` refused {subject}: {output}; put that right and run this again")
    if step.path:
        path = os.path.realpath(step.path)
        old = os.stat(path)
        replace_file(path, step.stdin.encode(errors="surrogateescape"), old.st_mode & 0o7777, old.st_uid, old.st_gid)


def prove(firewall, doors, state):
    """Make sure that what was done can be read back."""
    if state == "open" and (shut := firewall.shut(doors)):
        raise TlsError(
            f"{firewall.name} took the new rules, but {shut[0].sentence}; remove what is in the way and run this again"
        )
    if state == "closed" and (left := firewall.removable(doors)):
        layer, rule = left[0]
        raise TlsError(
            f"{firewall.name} still has the rule `{rule.words}` ({layer.where}); remove it by hand and run this again"
        )


def what(wanted):
    """Return the ports and the sources in words."""
    ports = ", ".join(str(port) for port in wanted["ports"])
    return f"{wanted['protocol']} {ports}", ", ".join(wanted["sources"]) or "everybody"


def say(wanted, firewall, steps, check_mode):
    """Say what was done, or would be."""
    ports, sources = what(wanted)
    where = f"{firewall.name}, zone {firewall.zone}" if firewall.name == "firewalld" else firewall.name
    if wanted["state"] == "open":
        if not steps:
            return f"{ports} {'is' if len(wanted['ports']) == 1 else 'are'} open to {sources} already in {where}."
        return f"{'Would open' if check_mode else 'Opened'} {ports} to {sources} in {where}."
    if not steps:
        return f"No rule opens just {ports} to {sources} in {where}."
    return f"{'Would remove' if check_mode else 'Removed'} what opens just {ports} to {sources} in {where}."


def say_none(wanted):
    """Say that there is nothing to open or to close."""
    ports, sources = what(wanted)
    if wanted["backend"] == "none":
        return f"No firewall was asked for, so nothing was done about {ports}."
    if wanted["state"] == "open":
        return f"No firewall is active on this host, so nothing keeps {sources} from {ports}; nothing was changed."
    return (
        f"No firewall is active on this host, so nothing can keep {sources} from {ports}; start a firewall to close it."
    )


def still_open(wanted, firewall, doors, lines):
    """Say which rules open more than what is to be closed and let it in with that, or that nothing refuses it."""
    if wanted["state"] == "open":
        return []
    ways = [f"`{line}`" for line in lines]
    ways += [f"the policy for what no rule is for ({layer.where})" for layer in firewall.unguarded(doors)]
    return [f"Some of it still comes in by {', '.join(ways)}."] if ways else []


def as_text(lines):
    """Return lines as a diff wants them."""
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
