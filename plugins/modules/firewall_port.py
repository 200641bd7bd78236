#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

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
