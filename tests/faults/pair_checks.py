# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of keys and certificates on a disk, by openssl and without code of this collection."""

from __future__ import annotations

import functools
import json
import os
import re
import stat
import subprocess
import tempfile

from ansible_collections.evergreen.tls.tests.faults.syscalls import RANDOM

PAIR = ("privkey.pem", "cert.pem", "chain.pem", "fullchain.pem")
VERSION_FILES = {*PAIR, "issuer"}


def fingerprint_in_use(store: str) -> str | None:
    """Return the SHA-256 fingerprint of what C(current) holds, or None where there is no C(current)."""
    current = os.path.join(store, "current")
    if not os.path.lexists(current):
        return None
    return _described(_read(os.path.join(current, "fullchain.pem")) or b"")[1]


def lasts(folder: str, days: int) -> bool:
    """Return whether the certificate in a folder is valid for *days* more days."""
    leaf = _read(os.path.join(folder, "cert.pem")) or b""
    return _openssl("x509", "-noout", "-checkend", str(days * 86400), stdin=leaf) is not None


def why_broken(folder: str, root: bytes) -> str | None:
    """Return what is wrong with a folder that should hold a complete pair, or None."""
    contents = []
    for name in PAIR:
        content = _read(os.path.join(folder, name))
        if content is None:
            return f"{name} is missing"
        contents.append(content)
    return _why_unmatched(*contents, root, _read(os.path.join(folder, "passphrase")) or b"\n")


def complete_folders(store: str, root: bytes) -> dict[str, str]:
    """Return the folders of a store that hold a complete pair, with its fingerprint: versions, and C(next)."""
    names = os.listdir(store) if os.path.isdir(store) else []
    return {
        name: _described(_read(os.path.join(store, name, "fullchain.pem")))[1]
        for name in names
        if re.fullmatch(r"next|v[0-9]+", name) and why_broken(os.path.join(store, name), root) is None
    }


def open_keys(top: str, allowed: int = 0) -> list[str]:
    """Return the files below a folder that hold a private key or its passphrase and that others can read, or that are somebody else's."""
    messages = []
    for folder, _folders, files in os.walk(top):
        for name in files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            is_secret = re.search("privkey|passphrase", name) or b"PRIVATE KEY" in (_read(path) or b"")
            if not stat.S_ISREG(status.st_mode) or not is_secret:
                continue
            if stat.S_IMODE(status.st_mode) & 0o077 & ~allowed or status.st_uid != os.geteuid():
                messages.append(f"{path} has mode {stat.S_IMODE(status.st_mode):04o} and owner {status.st_uid}")
    return messages


def why_unpaired(key: str, certificate: str) -> str | None:
    """Return why no server can start with a key and a certificate in these files, or None."""
    public = _openssl("pkey", "-pubout", stdin=_read(key) or b"")
    if public is None:
        return f"{key} cannot be read"
    return None if _described(_read(certificate) or b"")[0] == public else f"{certificate} does not belong to {key}"


def left_over(directory: str, name: str = "web", also: tuple[str, ...] = (), adopted: str = "") -> list[str]:
    """Return what lies about once all work is done: anything but whole versions, the lock and the link to one of them.

    Of the version that was *adopted* nobody knows the issuer.
    """
    paths = [os.path.join(directory, one) for one in os.listdir(directory) if one != name]
    store = os.path.join(directory, name)
    for one in os.listdir(store) if os.path.isdir(store) else []:
        path = os.path.join(store, one)
        if re.fullmatch(r"v[0-9]+", one):
            files = VERSION_FILES - {"issuer"} if one == adopted else VERSION_FILES
            paths += [os.path.join(path, file) for file in {*os.listdir(path), "passphrase"} ^ {*files, "passphrase"}]
        elif one not in ("current", "deployed.json", "lock", *also):
            paths.append(path)
    return paths


def tried_version(store: str) -> str | None:
    """Return the version about which the next run asks whether it is refused."""
    try:
        return json.loads(_read(os.path.join(store, "trial")) or b"")["version"]
    except ValueError:
        return None


def snapshot(top: str) -> dict[str, tuple]:
    """Return inode, mode, owner, group and content of each path below a folder."""
    entries = {}
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = os.readlink(path) if stat.S_ISLNK(status.st_mode) else None
            content = _read(path) if stat.S_ISREG(status.st_mode) else content
            entries[os.path.relpath(path, top)] = (status.st_ino, status.st_mode, status.st_uid, status.st_gid, content)
    return entries


def comparable_state(top: str, base: str) -> frozenset:
    """Return the snapshot of a folder without inodes and random parts: hidden names, new keys and signing requests."""
    known = {entry[-1] for entry in snapshot(base).values()}
    return frozenset(
        (RANDOM.sub("", path), *status, _alike(path, content, known, top))
        for path, (_inode, *status, content) in snapshot(top).items()
    )


def _alike(path: str, content: str | bytes | None, known: set, top: str) -> str | bytes | None:
    if isinstance(content, str):
        return content.replace(top, "")
    is_random = content and content not in known and os.path.basename(path) in ("privkey.pem", "request.csr")
    return (content.count(b"-----END"), content.endswith(b"\n")) if is_random else content


def _read(path: str) -> bytes | None:
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe that somebody has planted
        return None
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


@functools.lru_cache(maxsize=None)
def _why_unmatched(
    key: bytes, leaf: bytes, chain: bytes, fullchain: bytes, root: bytes, passphrase: bytes
) -> str | None:
    if fullchain != leaf + chain:
        return "fullchain.pem is not cert.pem with chain.pem"
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(passphrase)
        stream.flush()
        public = _openssl("pkey", "-pubout", "-passin", f"file:{stream.name}", stdin=key)
    if public is None:
        return "privkey.pem cannot be read"
    if _described(fullchain)[0] != public:
        return "cert.pem and privkey.pem do not belong together"
    with tempfile.TemporaryDirectory() as folder:
        for name, content in {"root": root, "chain": chain, "leaf": leaf}.items():
            with open(os.path.join(folder, name), "wb") as stream:
                stream.write(content)
        arguments = ("-CAfile", f"{folder}/root", "-untrusted", f"{folder}/chain", f"{folder}/leaf")
        return None if _openssl("verify", *arguments) is not None else "the chain does not lead to the root"


@functools.lru_cache(maxsize=None)
def _described(fullchain: bytes) -> tuple[bytes, str]:
    """Return the public key of the first certificate, and its fingerprint."""
    printed = _openssl("x509", "-noout", "-pubkey", "-fingerprint", "-sha256", stdin=fullchain)
    if printed is None:
        return b"", "unreadable"
    public, _mark, fingerprint = printed.rpartition(b"sha256 Fingerprint=")
    return public, fingerprint.decode().strip().replace(":", "").lower()


def _openssl(*arguments: str, stdin: bytes = b"") -> bytes | None:
    ended = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False)
    return ended.stdout if ended.returncode == 0 else None
