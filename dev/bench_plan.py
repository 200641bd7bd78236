# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time the plan of a large fleet, beside ansible-inventory, which reads the same inventory.

python dev/bench_plan.py ROUNDS        prints seconds on the clock and of the processor, in JSON

All certificates are new, below ten domains. Run this with the Python that Ansible has.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOSTS, REQUESTS_OF_HOST = 500, 10


def main() -> None:
    """Print what was measured."""
    ours: dict[str, list[float]] = {"seconds": [], "here": []}
    floor: dict[str, list[float]] = {"seconds": [], "here": []}
    with tempfile.TemporaryDirectory() as folder:
        inventory = pathlib.Path(folder) / "inventory.json"
        inventory.write_text(json.dumps(fleet(folder)), encoding="utf-8")
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build/collections")}
        for _round in range(int(sys.argv[1])):
            add(ours, ["ansible-playbook", "evergreen.tls.plan", f"--inventory={inventory}"], environment)
            add(floor, ["ansible-inventory", "--list", f"--inventory={inventory}"], environment)
    print(json.dumps({"requests": HOSTS * REQUESTS_OF_HOST, "ours": ours, "floor": floor}))


def fleet(folder: str) -> dict[str, object]:
    """Return an inventory."""
    issuers = {"letsencrypt": {"type": "acme", "folder": f"{folder}/acme"}}
    hosts = {
        f"host{host}": {
            "certificate_requests": [
                {
                    "name": f"site{number}",
                    "domains": [f"site{number}.host{host}.example{number % 20}.org"],
                    "issuer": "letsencrypt",
                }
                for number in range(REQUESTS_OF_HOST)
            ]
        }
        for host in range(HOSTS)
    }
    return {"web": {"vars": {"certificate_issuers": issuers}, "hosts": hosts}}


def add(times: dict[str, list[float]], command: list[str], environment: dict[str, str]) -> None:
    """Add what a program costs."""
    program = pathlib.Path(sys.executable).parent / command[0]
    start, busy = time.monotonic(), processor_time()
    done = subprocess.run([str(program), *command[1:]], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"dev/bench_plan.py: {command[0]} failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    times["here"].append(round(processor_time() - busy, 3))
    times["seconds"].append(round(time.monotonic() - start, 3))


def processor_time() -> float:
    """Return the processor time of all programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
