#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search what was written or logged for the keys and the password: search.py DEV_FLEET FLEET FOLDER.

Searched is all that watch.py kept below FOLDER/seen, and of each appliance all files but those that hold its key, and its journal. A line of
a key is put into the journal of an appliance and into a log first: it has to be found in both, and nothing else anywhere.
"""

from __future__ import annotations

import importlib.util
import pathlib
import re
import subprocess
import sys

HOSTS = ["web1", "web2", "web3"]
SEARCH = pathlib.Path(__file__).parents[2] / "secrets/files/search.py"
SPEC = importlib.util.spec_from_file_location("search_hosts", SEARCH)
assert SPEC and SPEC.loader
search = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(search)
KEY_FILE = re.compile(r"etc/ssl/private/(site\.key|site\.pem)")


def main() -> None:
    fleet, folder = search.Fleet(*sys.argv[1:3]), pathlib.Path(sys.argv[3])
    fleet.hosts = HOSTS
    secrets = gather(folder)
    planted, _form, line = next(one for one in secrets if one[1].startswith("line") and "web2" in one[0])
    places = {f"{folder}/seen/planted", "web1:journal"}
    (folder / "seen/planted").write_bytes(line)
    fleet.run("web1", "sh", "-c", f"echo {line.decode()} | systemd-cat; journalctl --sync")
    found = []
    files = 0
    for where, content in everything(fleet, folder):
        files += 1
        found += [(name, where, form) for name, form, needle in secrets if needle in content]
    missing = [name for name in ("ansible.log", "paramiko.log") if not (folder / "seen" / name).exists()]
    log = (folder / "seen/paramiko.log").read_text(encoding="utf-8", errors="replace")
    if "paramiko" in missing or "[chan " not in log:
        missing.append("what paramiko says of channels")
    lines = [
        f"{name} is in {where}, as {form}" for name, where, form in found if name != planted or where not in places
    ]
    lines += [
        f"what was planted is not found in {place}" for place in places - {where for _name, where, _form in found}
    ]
    lines += [f"{name} is missing, so it was not searched" for name in missing]
    print("\n".join([*lines, f"{len(secrets)} forms, {files} files"]))  # noqa: T201
    sys.exit(1 if lines else 0)


def gather(folder: pathlib.Path) -> list[tuple[str, str, bytes]]:
    """Return the secrets, each with its name and the way in which it may be written."""
    keys = sorted(folder.glob("certificates/*/site/v*/privkey.pem"))
    assert {path.parents[2].name for path in keys} == set(HOSTS), keys
    found = [(str(path), form, needle) for path in keys for form, needle in search.of_key(path.read_bytes(), None)]
    password = (folder / "passwords/root").read_bytes()
    return [*found, *(("the password", form, needle) for form, needle in search.of_bytes(password))]


def everything(fleet, folder: pathlib.Path):
    """Yield all places, but for those that are meant to hold a secret, with their content."""
    for path in sorted([*(folder / "seen").rglob("*"), *(folder / "runs").rglob("*")]):
        if path.is_file():
            yield str(path), path.read_bytes()
    for host in fleet.hosts:
        for member, content in fleet.files(host):
            if not KEY_FILE.fullmatch(member.name):
                yield f"{host}:{member.name}", content
        command = [fleet.program, "exec", fleet.name, host, "--", "journalctl", "--output=export", "--no-pager"]
        yield f"{host}:journal", subprocess.run(command, capture_output=True, check=True).stdout


if __name__ == "__main__":
    main()
