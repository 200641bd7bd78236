#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search hosts and their controller for private keys and passphrases: search.py DEV_FLEET FLEET FOLDER [--piped] [--plant].

Searched is all that watch.py kept below FOLDER; of each host all files below PLACES, and its journal. The keys are those
that hosts and CA have, in whatever way they may be written; they may be in the files that are meant to hold them, which
nobody else may read. With --piped, no module may lie on hosts; without, Ansible has left them there. With --plant, some are put where they do not belong first, and all of these have to be found.
"""

from __future__ import annotations

import base64
import io
import json
import pathlib
import re
import subprocess
import sys
import tarfile

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

PLACES = [
    "dev/shm",
    "etc",
    "home",
    "root",
    "run",
    "srv",
    "tmp",
    "usr/local",
    "var/lib",
    "var/log",
    "var/spool",
    "var/tmp",
]
FORMATS = {"PKCS8": PrivateFormat.PKCS8, "PKCS1 or SEC1": PrivateFormat.TraditionalOpenSSL}
KEY_FILE = re.compile(r"(etc/evergreen/[a-z]+/(?:v[0-9]{4}|next)/)(privkey\.pem|passphrase)")


def main() -> None:
    fleet, folder = Fleet(*sys.argv[1:3]), pathlib.Path(sys.argv[3])
    secrets = gather(fleet, folder)
    planted = plant(fleet, folder, secrets) if "--plant" in sys.argv else []
    searched = {"files": 0, "bytes": 0}
    found = []
    for where, content in everything(fleet, folder):
        searched["files"] += 1
        searched["bytes"] += len(content)
        found += [f"{name} is in {where}, as {form}" for name, form, needle in secrets if needle in content]
    complaints = [*misplaced(fleet, folder), *found]
    tell(*complaints)
    tell(
        f"{len({name for name, _form, _needle in secrets})} secrets in {len(secrets)} forms, {searched['files']} files, {searched['bytes'] >> 20} MiB"
    )
    if planted:
        missed = [place for place in planted if not any(place in complaint for complaint in found)]
        tell(f"Planted and not found: {missed}" if missed else "All that was planted was found")
    sys.exit(1 if complaints else 0)


def tell(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


class Fleet:
    """The hosts of a scenario, into which one can look without Ansible."""

    def __init__(self, program: str, name: str) -> None:
        self.program, self.name = program, name
        self.hosts = ["web1", "web2"]
        self.trees: dict[str, bytes] = {}

    def run(self, host: str, *argv: str) -> bytes:
        """Return what a program prints on a host."""
        command = [self.program, "exec", self.name, host, "--", *argv]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout

    def files(self, host: str):
        """Yield the files of a host as they are in a tarball, with their content."""
        if host not in self.trees:
            self.trees[host] = self.run(
                host,
                "tar",
                "--create",
                "--ignore-failed-read",
                "--warning=none",
                "--one-file-system",
                "--directory=/",
                *PLACES,
            )
        with tarfile.open(fileobj=io.BytesIO(self.trees[host]), ignore_zeros=True) as tree:
            for member in tree:
                yield member, tree.extractfile(member).read() if member.isfile() else b""


def gather(fleet: Fleet, folder: pathlib.Path) -> list[tuple[str, str, bytes]]:
    """Return all secrets, each with its name and the way in which it may be written."""
    passphrases = {path.name: path.read_bytes() for path in sorted((folder / "passphrases").iterdir())}
    in_use = passphrases.get("in_use")
    keys = {path.name: (path.read_bytes(), in_use) for path in sorted((folder / "ca").glob("*.key"))}
    for host in fleet.hosts:
        files = {member.name: content for member, content in fleet.files(host) if KEY_FILE.fullmatch(member.name)}
        for name, content in files.items():
            place, kind = KEY_FILE.fullmatch(name).groups()
            if kind == "privkey.pem":
                keys[f"{host}:{name}"] = (content, files.get(f"{place}passphrase", b"").strip() or None)
            elif content.strip():
                passphrases[f"{host}:{name}"] = content.strip()
    assert {"root.key", "issuing.key"} < set(keys) and len(keys) >= 2 + 2 * len(fleet.hosts), sorted(keys)
    found = [
        (name, form, needle) for name, (pem, passphrase) in keys.items() for form, needle in of_key(pem, passphrase)
    ]
    for name, passphrase in passphrases.items():
        # However its quotes are written, its longest word is to be found in it.
        for secret in {passphrase, max(re.findall(rb"[A-Za-z0-9_-]+", passphrase), key=len)}:
            assert len(secret) >= 30
            found += [(f"passphrase {name}", form, needle) for form, needle in of_bytes(secret)]
    return found


def of_key(pem: bytes, passphrase: bytes | None):
    """Yield the ways in which a private key may be written."""
    key = serialization.load_pem_private_key(pem, passphrase)
    for name, kind in FORMATS.items():
        der = key.private_bytes(Encoding.DER, kind, NoEncryption())
        yield f"{name} in DER", der
        yield f"{name} in hexadecimal digits", der.hex().encode()
        yield f"{name} in capital hexadecimal digits", der.hex().upper().encode()
        body = key.private_bytes(Encoding.PEM, kind, NoEncryption()).splitlines()[1:-1]
        for number, line in enumerate(body):
            # The first lines of keys of the same kind are alike, and the last ones short.
            if number and len(line) >= 40:
                yield f"line {number + 1} of {name} in PEM", line
        yield f"{name} in base64, in one line", base64.b64encode(der)
        yield f"{name} in PEM in base64", base64.b64encode(key.private_bytes(Encoding.PEM, kind, NoEncryption()))
    numbers = key.private_numbers()
    number = getattr(numbers, "private_value", None) or numbers.d
    yield "its number", str(number).encode()
    yield from of_bytes(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def of_bytes(secret: bytes):
    """Yield the ways in which bytes may be written; in base64 without what depends on what stands around them."""
    yield "it is", secret
    yield "hexadecimal digits", secret.hex().encode()
    yield "capital hexadecimal digits", secret.hex().upper().encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret)
        yield f"base64, moved by {shift}", encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]


def everything(fleet: Fleet, folder: pathlib.Path):
    """Yield all places, but for those that are meant to hold a secret, with their content."""
    for path in sorted(folder.rglob("*")):
        if (
            path.is_file()
            and path.parent.name != "passphrases"
            and not (path.parent.name == "ca" and path.suffix == ".key")
        ):
            yield str(path), path.read_bytes()
    for host in fleet.hosts:
        for member, content in fleet.files(host):
            if not KEY_FILE.fullmatch(member.name):
                yield f"{host}:{member.name}", content
        yield f"{host}:journal", fleet.run(host, "journalctl", "--output=export", "--no-pager")


def misplaced(fleet: Fleet, folder: pathlib.Path):
    """Yield what others may read and ought not to, and what ought to be there to be searched and is not."""
    for path in [*(folder / "ca").glob("*.key"), *(folder / "runs").glob("*")]:
        if path.stat().st_mode & 0o007 or (path.suffix == ".key" and path.stat().st_mode & 0o777 != 0o600):
            yield f"{path} has mode {path.stat().st_mode & 0o777:o}"
    for host in fleet.hosts:
        brought = 0
        for member, _content in fleet.files(host):
            if KEY_FILE.fullmatch(member.name) and (member.mode & 0o777, member.uid) != (0o600, 0):
                yield f"{host}:{member.name} has mode {member.mode:o} and belongs to {member.uname}"
            if re.search(r"/ansible-tmp-[^/]+$", member.name) and member.isdir() and member.mode & 0o077:
                yield f"{host}:{member.name} has mode {member.mode:o}"
            brought += bool(
                re.search(r"/ansible-tmp-[^/]+/AnsiballZ_(certificate_request|host_batch)\.py$", member.name)
            )
        if brought and "--piped" in sys.argv:
            yield f"{host} keeps a module that Ansible brought, though it was to be piped"
        if not brought and "--piped" not in sys.argv:
            yield f"{host} keeps no module that Ansible brought, though it was told to"
    for name in ("seen/ansible.log", "runs", "seen/facts"):
        if not (folder / name).exists():
            yield f"{folder / name} is missing, so it was not searched"
    if not list(folder.glob("seen/run-*/processes")):
        yield "no process was watched"


def plant(fleet: Fleet, folder: pathlib.Path, secrets: list[tuple[str, str, bytes]]) -> list[str]:
    """Put secrets where they do not belong; return the places."""
    forms = {(name, form): needle for name, form, needle in secrets}
    key = next(name for name, _form in forms if name.startswith("web1:"))
    first, *_others, last = sorted(name for name, form in forms if name.startswith("passphrase ") and form == "it is")
    passphrase = forms[last, "it is"].decode()
    (folder / "seen" / "planted.json").write_text(json.dumps({"stdout": passphrase}))
    fleet.run(
        "web1",
        "sh",
        "-c",
        'printf %s "$1" > /var/tmp/planted',
        "sh",
        forms[key, "PKCS8 in base64, in one line"].decode(),
    )
    fleet.run("web2", "logger", forms["issuing.key", "PKCS8 in hexadecimal digits"].decode()[:900])
    fleet.run("web2", "logger", forms[first, "base64, moved by 1"].decode())
    fleet.run("web2", "journalctl", "--sync")
    inside = [
        fleet.program,
        "exec",
        fleet.name,
        "web2",
        "--",
        "sh",
        "-c",
        "sleep 1",
        forms[key, "hexadecimal digits"].decode(),
    ]
    watcher = pathlib.Path(__file__).with_name("watch.py")
    subprocess.run([sys.executable, str(watcher), str(folder / "seen"), *inside], check=True)
    fleet.trees.clear()
    newest = max(folder.glob("seen/run-*/processes"), key=lambda path: path.stat().st_mtime)
    return [str(folder / "seen" / "planted.json"), "web1:var/tmp/planted", "web2:journal", str(newest)]


if __name__ == "__main__":
    main()
