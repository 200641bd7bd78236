# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory in which a few hosts have thousands of names."""

from __future__ import annotations

import pathlib
import sys

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

sys.path.append(str(pathlib.Path(__file__).parents[3] / "dev"))

from bench_scale import many

HOSTS = {
    f"web{number}": {
        "ansible_host": f"192.0.2.{number}",
        "ansible_ssh_common_args": "-F '/some where/ssh_config'",
        "ansible_pipelining": True,
    }
    for number in (1, 2, 3)
}


def test_each_host_has_its_share_of_the_names_and_each_name_all_variables_of_its_host(tmp_path):
    (tmp_path / "inventory.yml").write_text(many(HOSTS, 7))
    inventory = InventoryManager(DataLoader(), [str(tmp_path / "inventory.yml")])
    names = inventory.get_hosts("web")
    assert [name.name for name in names] == [f"name{number:05}" for number in range(1, 8)]
    common = inventory.groups["web"].vars
    assert common == {name: value for name, value in HOSTS["web1"].items() if name != "ansible_host"}
    addresses = [name.vars["ansible_host"] for name in names]
    assert addresses == [f"192.0.2.{number}" for number in (1, 2, 3, 1, 2, 3, 1)]
