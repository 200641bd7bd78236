# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files by which ssh and Ansible find a fleet.

Every host key is read out of its container beforehand, so that nothing is trusted on first use.
"""

from __future__ import annotations

import json
import pathlib
import shlex
import typing as t

SSH_CONFIG = """\
Host *
  User ops
  IdentityFile "{folder}/id_ed25519"
  IdentitiesOnly yes
  UserKnownHostsFile "{folder}/known_hosts"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  PasswordAuthentication no
  LogLevel ERROR
"""

INVENTORY = """\
---
# The fleet {name}, as `dev/fleet up {name}` left it.
{group}:
  hosts:
{hosts}
  vars:
    ansible_user: ops
    ansible_python_interpreter: /usr/bin/python3
    ansible_pipelining: true
    ansible_ssh_common_args: {common}
    ansible_ssh_args: -o ControlMaster=auto -o ControlPersist=60s
    ansible_control_path_dir: {sockets}
"""

INVENTORY_HOST = """\
    {name}:
      ansible_host: {address}
      fleet_container: {container}
      fleet_domain: {domain}
      fleet_image: {image}
"""


def write_files(folder: pathlib.Path, fleet: dict[str, t.Any], keys: list[str]) -> None:
    """Write known_hosts, ssh_config and inventory.yml for a fleet, with the public key of each of its hosts."""
    hosts = fleet["hosts"]
    known = "".join(f"{host['address']} {key}\n" for host, key in zip(hosts, keys))
    (folder / "known_hosts").write_text(known, encoding="utf-8")
    names = "".join(f"Host {host['name']}\n  HostName {host['address']}\n" for host in hosts)
    (folder / "ssh_config").write_text(names + SSH_CONFIG.format(folder=folder), encoding="utf-8")
    (folder / "inventory.yml").write_text(inventory(folder, fleet), encoding="utf-8")


def inventory(folder: pathlib.Path, fleet: dict[str, t.Any]) -> str:
    """Return the Ansible inventory of a fleet.

    A string in JSON is the same string in YAML, which spares a YAML library.
    """
    return INVENTORY.format(
        name=fleet["name"],
        group=fleet["prefix"],
        hosts="".join(INVENTORY_HOST.format(domain=host["domains"][0], **host) for host in fleet["hosts"]).rstrip("\n"),
        common=json.dumps(f"-F {shlex.quote(str(folder / 'ssh_config'))}"),
        sockets=json.dumps(fleet["sockets"]),
    )
