# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet of thousands on the hosts of a small one: an inventory in which each host has many names."""

from __future__ import annotations

import itertools
import json

INVENTORY = """\
---
# {count} names for the {hosts} hosts of a fleet
web:
  vars:
{common}
  hosts:
{names}
"""


def many(hosts: dict[str, dict[str, str]], count: int) -> str:
    """Return an inventory with so many names for *hosts*, in turn; what all hosts have in common stands in it once.

    A string in JSON is the same string in YAML, which spares a YAML library.
    """
    first = next(iter(hosts.values()))
    common = {name: value for name, value in first.items() if all(other.get(name) == value for other in hosts.values())}
    names = []
    for number, variables in zip(range(1, count + 1), itertools.cycle(hosts.values())):
        own = {name: value for name, value in variables.items() if name not in common}
        names += [f"    name{number:05}:", *_lines(own, 6)]
    return INVENTORY.format(count=count, hosts=len(hosts), common="\n".join(_lines(common, 4)), names="\n".join(names))


def _lines(variables: dict[str, str], indent: int) -> list[str]:
    return [f"{' ' * indent}{name}: {json.dumps(value)}" for name, value in variables.items()]
