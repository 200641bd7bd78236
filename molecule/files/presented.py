#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have openssl see that machines present what they should.

presented.py FOLDER ADDRESSES [NAME=VERSION…]

ADDRESSES: those of the machines by the name of their certificate, as JSON. What they should present is the version in use in FOLDER/store,
or the VERSION for a NAME. Names that begin with C(free) should present what the cloud says that it has issued and bound.
"""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import urllib.request


def main() -> None:
    folder, addresses = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
    versions = dict(argument.split("=") for argument in sys.argv[3:])
    cloud = json.loads((folder / "cloud.json").read_text(encoding="utf-8"))
    with urllib.request.urlopen(f"{cloud['url']}/state") as answer:
        state = json.load(answer)

    def problem(name: str, address: str) -> str:
        """Return what is wrong at an address, an empty text where nothing is."""
        if name.startswith("free"):
            root, expected = folder / "cloud.json.root", f"serial={state['serials'][state['bound'][name]]}"
        else:
            root = folder / "ca/root.pem"
            expected = serial((folder / "store" / name / versions.get(name, "current") / "cert.pem").read_bytes())
        command = ["openssl", "s_client", "-connect", f"{address}:443", "-servername", name, "-CAfile", str(root)]
        command += ["-verify_return_error", "-verify_hostname", name]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if ended.returncode:
            return f"{name} at {address}: {ended.stderr.decode(errors='replace')[-500:]}"
        seen = serial(ended.stdout)
        return "" if seen == expected else f"{name} at {address}: {seen} in place of {expected}"

    places = [(name, address) for name, several in addresses.items() for address in several]
    assert places
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        problems = list(filter(None, pool.map(lambda place: problem(*place), places)))
    sys.stdout.write("\n".join([*problems, f"{len(places)} places\n"]))
    sys.exit(1 if problems else 0)


def serial(pem: bytes) -> str:
    command = ["openssl", "x509", "-noout", "-serial"]
    return subprocess.run(command, input=pem, capture_output=True, check=True).stdout.decode().strip()


if __name__ == "__main__":
    main()
