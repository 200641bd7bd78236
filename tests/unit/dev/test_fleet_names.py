# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two checkouts on one machine may each have a fleet of the same name."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[3]
PLAN = "import json, fleet_hosts; print(json.dumps(fleet_hosts.plan(fleet_hosts.Wish('web', 2))))"


def plan_in(checkout: pathlib.Path) -> dict:
    shutil.copytree(ROOT / "dev", checkout / "dev", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", PLAN], cwd=checkout / "dev", capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_two_checkouts_share_no_names_of_networks_and_containers(tmp_path):
    one, other = plan_in(tmp_path / "one"), plan_in(tmp_path / "other")
    assert one["network"] != other["network"]
    names = [{host["container"] for host in record["hosts"]} for record in (one, other)]
    assert len(names[0]) == 2 and not names[0] & names[1]
    assert [host["domains"] for host in one["hosts"]] == [host["domains"] for host in other["hosts"]]
