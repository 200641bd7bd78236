# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports: a certificate in further forms, in files for programs that do not read what the folder of the certificate holds.

What has been written, and whom that has not reached yet, is remembered in a file of that folder, C(exports.json).
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates import pkcs12 as keystores
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store, group_id, user_id
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    read_file,
    remove_temporary_files,
    replace_file,
    sync_folder,
)

try:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

LARGEST = 1 << 20  # bytes; whatever is larger is none of ours
MISSING = "it is not there"
OTHER = "it holds something else"
FRESH = (OTHER, "it holds another key", "it holds another certificate")  # what another version may be the reason of


class Pair(t.NamedTuple):
    """A private key and its chain, the leaf first."""

    key: t.Any
    chain: list


def installed_pair(store: Store, version: str) -> Pair:
    """Return key and chain of a version."""
    key = store.private_key(version, os.path.join(store.path, version, "privkey.pem"))
    return Pair(key, parse_chain(store.file(version, "fullchain.pem") or b""))


class Export:
    """One file in which a certificate is wanted, as an entry of C(exports) says it; *name* is that of the request."""

    def __init__(self, wanted: dict, name: str) -> None:
        self.wanted = wanted
        self.path = wanted["path"]
        self.friendly_name = wanted["friendly_name"] or name
        self.units = list(dict.fromkeys((verb, unit) for verb in ("restart", "reload") for unit in wanted[verb] or []))

    def check_place(self, store: Store) -> None:
        """Make sure that this takes the place of nothing but files, in a folder that others cannot write to, for somebody who is there."""
        self._attributes()
        for path in filter(None, (self.path, self.wanted["password_file"])):
            folder, above = os.path.dirname(path), os.path.dirname(store.path)
            if os.path.commonpath([path, above]) == above:
                raise TlsError(f"exports: {path} lies among the certificates themselves; choose a path outside")
            if not os.path.isdir(folder):
                raise TlsError(f"exports: the folder of {path} does not exist; create it or correct the path")
            mode = os.stat(folder).st_mode
            if mode & stat.S_IWOTH:
                raise TlsError(f"exports: the folder of {path} can be written by everybody; choose another one")
            if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
                raise TlsError(f"exports: {path} is there and is not a regular file; move it away and run this again")

    def password(self) -> str | None:
        """Return the password, or None where its file is still to be made."""
        if not self.wanted["password_file"]:
            return self.wanted["password"]
        content = read_file(self.wanted["password_file"])
        if content is None:
            return None
        password = content.decode(errors="replace").partition("\n")[0].rstrip("\r")
        if not password or not all(" " <= character <= "~" for character in password):
            raise TlsError(
                f"exports: the first line of {self.wanted['password_file']} is no password, which has letters, digits and signs "
                "that ASCII has; write one into it, or remove it to have one made"
            )
        return password

    # not a parser: it reads what the collection has made or checked
    def write_password(self, password: str) -> None:
        """Write a new password into its file, for those who may read the export."""
        remove_temporary_files(self.wanted["password_file"])
        replace_file(self.wanted["password_file"], f"{password}\n".encode(), *self._attributes())

    def why_write(self, pair: Pair, password: str | None) -> str | None:
        """Say why the file has to be written, or return None where it is as it should be."""
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return MISSING
        if self.needs_password and password is None:
            return "its password is not there"
        content = read_file(self.path) if found.st_size <= LARGEST else None
        if content is None:
            return OTHER
        if self.needs_password:
            how = (password, self.friendly_name, self.wanted["encryption"])
            reason = keystores.keystore_difference(content, pair.key, pair.chain, *how)
        else:
            reason = None if content == self.content(pair, None) else OTHER
        return reason or self._wrong_attributes(found)

    def content(self, pair: Pair, password: str | None) -> bytes:
        """Return what the file has to hold; for a keystore it is different each time."""
        if self.needs_password:
            how = (password, self.friendly_name, self.wanted["encryption"])
            return keystores.make_keystore(pair.key, pair.chain, *how)
        if self.wanted["format"] == "der":
            return pair.chain[0].public_bytes(Encoding.DER)
        if self.wanted["format"] == "der_key":
            return pair.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return to_pem(pair.chain) + key

    def write(self, content: bytes) -> None:
        """Put the file in its place, and remove what killed runs have left beside it."""
        remove_temporary_files(self.path)
        replace_file(self.path, content, *self._attributes())

    @property
    def needs_password(self) -> bool:
        return self.wanted["format"] == "pkcs12"

    @property
    def is_wanted(self) -> bool:
        return self.wanted["state"] == "present"

    # not a parser: it reads what the collection has made or checked
    def _attributes(self) -> tuple[int, int, int]:
        default = "0644" if self.wanted["format"] == "der" else "0600"
        mode = int(self.wanted["mode"] or default, 8)
        return mode, user_id(self.wanted["owner"]), group_id(self.wanted["group"])

    def _wrong_attributes(self, found: os.stat_result) -> str | None:
        mode, owner, group = self._attributes()
        if stat.S_IMODE(found.st_mode) != mode:
            return f"its mode is {stat.S_IMODE(found.st_mode):04o}"
        if (owner != -1 and found.st_uid != owner) or (group != -1 and found.st_gid != group):
            return "it belongs to somebody else"
        return None


class Ledger:
    """What was written for a request, and for whom that is still news.

    It says so before a file is written, and until the last unit has it, so that a run that dies leaves its work to the next one.
    """

    def __init__(self, store: Store) -> None:
        self.path = os.path.join(store.path, "exports.json")
        content = read_file(self.path)
        try:
            self.written, self.pending = _entries(content) if content is not None else ({}, {})
        except (ValueError, RecursionError) as error:
            raise TlsError(f"{self.path} cannot be read; remove it, and the exports that it is about") from error
        self._kept = self._text()

    def todo(self, exports: list[Export]) -> list[tuple[str, str]]:
        """Return what has to be done with which units: restarted or reloaded."""
        todo = dict.fromkeys(
            action
            for export in exports
            if export.is_wanted and export.path in self.pending
            for action in export.units
            if " ".join(action) not in self.pending[export.path]
        )
        restarted = {unit for verb, unit in todo if verb == "restart"}
        return [(verb, unit) for verb, unit in todo if verb == "restart" or unit not in restarted]

    def done(self, exports: list[Export], verb: str, unit: str) -> None:
        """Remember that a unit has read whatever was written; a unit that was restarted need not be reloaded."""
        words = [f"restart {unit}", f"reload {unit}"] if verb == "restart" else [f"reload {unit}"]
        for path in self.pending:
            self.pending[path] = list(dict.fromkeys([*self.pending[path], *words]))
        self.settle(exports)

    def settle(self, exports: list[Export]) -> None:
        """Forget of which exports nobody has to be told any more."""
        for export in exports:
            if export.path in self.pending and not self.todo([export]):
                del self.pending[export.path]

    # not a parser: it reads what the collection has made or checked
    def save(self) -> None:
        """Write the ledger where it says something new."""
        text = self._text()
        if text != self._kept:
            remove_temporary_files(self.path)
            replace_file(self.path, text.encode(), 0o600)
            self._kept = text

    def _text(self) -> str:
        return json.dumps({"written": self.written, "pending": self.pending}, indent=1, sort_keys=True) + "\n"


def new_password() -> str:
    """Return a password that nobody has thought of, 192 bits of it."""
    return secrets.token_urlsafe(24)


def remove(path: str) -> None:
    """Remove a file and what killed runs have left beside it, for good when this returns."""
    if os.path.isdir(os.path.dirname(path)):
        remove_temporary_files(path)
        if os.path.lexists(path):
            os.unlink(path)
        sync_folder(os.path.dirname(path))


def _entries(content: bytes) -> tuple[dict, dict]:
    """Return what a ledger says: paths with the password file that was made for each, and with the units that have it already."""
    told = json.loads(content)
    written, pending = (told.get(word) for word in ("written", "pending")) if isinstance(told, dict) else (None, None)
    if not isinstance(written, dict) or not isinstance(pending, dict):
        raise ValueError(told)
    if not all(one is None or isinstance(one, str) for one in written.values()):
        raise ValueError(written)
    if not all(isinstance(one, list) and all(isinstance(word, str) for word in one) for one in pending.values()):
        raise ValueError(pending)
    return written, pending
