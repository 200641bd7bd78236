# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Export a certificate into keystores, bundles and DER files. _store/ledger.py records what was written."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.pkcs12 import (
    keystore_difference,
    make_keystore,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Export as ExportSpec
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.attributes import group_id, user_id
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions
from ansible_collections.evergreen.tls.plugins.module_utils._store.notifications import unit_notifications
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    read_file_in,
    remove_file,
    remove_temporary_files,
    replace_file,
    sync_folder,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import (
    PathUse,
    check_folder,
    is_trusted,
    other_writers,
    trusted_folder,
    user_name,
    whose_folder,
    whose_folder_in,
)

try:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

MAX_EXPORT_BYTES = 1 << 20  # a larger file was not written by the collection
MISSING = "it is not there"
OTHER = "it holds something else"
NEW_VERSION_REASONS = (OTHER, "it holds another key", "it holds another certificate")  # a new version may cause these


class Pair(t.NamedTuple):
    """A private key and its chain, the leaf first."""

    key: PrivateKeyTypes
    chain: list[x509.Certificate]


class MissingFolder(t.NamedTuple):
    """A path of an export whose folder does not exist, and the clause of whose_folder() about it."""

    path: str
    whose: str


def installed_pair(store: Versions, version: str) -> Pair:
    """Return key and chain of a version."""
    key = store.private_key(version, os.path.join(store.path, version, "privkey.pem"))
    return Pair(key, parse_chain(store.file(version, "fullchain.pem") or b""))


class Export:
    """A file with the certificate in another format, as an item of the option exports describes it.

    request_name: the friendly name of a keystore that has no other.
    """

    def __init__(self, spec: ExportSpec, request_name: str) -> None:
        self.spec = spec
        self.path = spec["path"]
        self.friendly_name = spec["friendly_name"] or request_name
        self.folders: dict[str, int] = {}  # descriptors of the folders of the paths that check_paths() has checked
        self.notifications = unit_notifications(spec)

    def check_paths(self, store: Versions, stack: contextlib.ExitStack) -> list[MissingFolder]:
        """Raise TlsError for a path that must not be written, and open the folders for all that is done in them.

        Return the folders that do not exist. A path has to be free or a regular file, in a folder that nobody else can exchange and that
        is not writable by all. Owner and group have to exist. *stack* closes the folders.
        """
        self._attributes()
        missing = []
        for path in filter(None, (self.path, self.spec["password_file"])):
            folder, above = os.path.dirname(path), os.path.dirname(store.path)
            if os.path.commonpath([path, above]) == above:
                raise TlsError(f"exports: {path} lies among the certificates themselves; choose a path outside")
            try:
                check_export_folder(path, self.spec)
                descriptor = stack.enter_context(trusted_folder(folder, path_use(self.spec)))
            except (FileNotFoundError, NotADirectoryError) as error:
                missing.append(MissingFolder(path, whose_folder_in(error)))
                continue
            _check_not_shared(path, os.fstat(descriptor))
            self.folders[path] = descriptor
            status = self._status(path)
            if status is not None and not stat.S_ISREG(status.st_mode):
                whose = whose_folder(path, descriptor)
                raise TlsError(
                    f"exports: {path} is there and is not a regular file{whose}; move it away and run this again"
                )
        return missing

    def password(self) -> str | None:
        """Return the password, or None if its file does not exist yet.

        Raises TlsError for a file without a password.
        """
        path = self.spec["password_file"]
        if not path:
            return self.spec["password"]
        content = read_file_in(path, self.folders[path], lambda status: self._check_password_file(path, status))
        return None if content is None else parse_password(content, path)

    # not a parser: it reads what the collection has made or checked
    def write_password(self, password: str) -> None:
        """Write a new password into the password file, with the owner and mode of the export."""
        path = self.spec["password_file"]
        if path:
            self._replace(path, f"{password}\n".encode())

    def why_write(self, pair: Pair, password: str | None) -> str | None:
        """Return why the file has to be written, or None if it is as the request says."""
        status = self._status(self.path)
        if status is None:
            return MISSING
        if self.needs_password and password is None:
            return "its password is not there"
        content = read_file_in(self.path, self.folders[self.path]) if status.st_size <= MAX_EXPORT_BYTES else None
        if content is None:
            return OTHER
        return self._content_difference(content, pair, password) or self._attribute_difference(status)

    def content(self, pair: Pair, password: str | None) -> bytes:
        """Return the content of the file. That of a keystore differs each time, by its salt."""
        if self.needs_password:
            if password is None:
                raise ValueError("a keystore needs a password")
            return make_keystore(pair.key, pair.chain, password, self.friendly_name, self.spec["encryption"])
        if self.spec["format"] == "der":
            return pair.chain[0].public_bytes(Encoding.DER)
        if self.spec["format"] == "der_key":
            return pair.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return to_pem(pair.chain) + key

    def write(self, content: bytes) -> None:
        """Write the file, and remove the temporary files of killed runs beside it."""
        self._replace(self.path, content)

    @property
    def needs_password(self) -> bool:
        """Return whether the file is a keystore."""
        return self.spec["format"] == "pkcs12"

    @property
    def is_present(self) -> bool:
        """Return whether the file is to exist."""
        return self.spec["state"] == "present"

    # not a parser: it reads what the collection has made or checked
    def _attributes(self) -> tuple[int, int, int]:
        """Return mode, owner and group; -1 for an owner or group that stays as it is."""
        default = "0644" if self.spec["format"] == "der" else "0600"
        mode = int(self.spec["mode"] or default, 8)
        return mode, user_id(self.spec["owner"]), group_id(self.spec["group"])

    def _status(self, path: str) -> os.stat_result | None:
        """Return the status of what is at a path, or None if there is nothing."""
        try:
            return os.lstat(os.path.basename(path), dir_fd=self.folders[path])
        except FileNotFoundError:
            return None

    def _check_password_file(self, path: str, status: os.stat_result) -> None:
        """Raise TlsError if the file may be a secret that somebody put there under another name."""
        folder = self.folders[path]
        owner, whose = os.fstat(folder).st_uid, whose_folder(path, folder)
        if status.st_nlink > 1:
            raise TlsError(
                f"exports: {path} has other names (hard links), and may be a secret of somebody else{whose}; find them with "
                f"find / -xdev -samefile {path}, remove them and run this again"
            )
        others = other_writers(os.fstat(folder))
        if others and is_trusted(status):
            raise TlsError(
                f"exports: {path} belongs to {user_name(status.st_uid)}, in a folder that {others} can write to, and may be a secret that was "
                "moved there; have a look at it, and choose a path in a folder that others cannot write to"
            )
        if whose and status.st_uid != owner:
            raise TlsError(
                f"exports: {path} belongs to {user_name(status.st_uid)}, and may be a secret that was moved there{whose}; have a look at it, "
                f"and run chown {user_name(owner)} on it or remove it"
            )

    def _replace(self, path: str, content: bytes) -> None:
        remove_temporary_files(path, self.folders[path])
        replace_file(path, content, *self._attributes(), dir_fd=self.folders[path])

    def _content_difference(self, content: bytes, pair: Pair, password: str | None) -> str | None:
        if self.needs_password and password is not None:
            return keystore_difference(
                content, pair.key, pair.chain, password, self.friendly_name, self.spec["encryption"]
            )
        return None if content == self.content(pair, None) else OTHER

    def _attribute_difference(self, status: os.stat_result) -> str | None:
        mode, owner, group = self._attributes()
        if stat.S_IMODE(status.st_mode) != mode:
            return f"its mode is {stat.S_IMODE(status.st_mode):04o}"
        if (owner != -1 and status.st_uid != owner) or (group != -1 and status.st_gid != group):
            return "it belongs to somebody else"
        return None


def open_export_folders(exports: t.Iterable[Export], store: Versions, stack: contextlib.ExitStack) -> None:
    """Check the paths of exports, and open their folders, as check_paths() does. Raises TlsError for folders that do not exist."""
    check_none_missing([missing for export in exports for missing in export.check_paths(store, stack)])


def check_none_missing(missing: list[MissingFolder]) -> None:
    """Raise one TlsError that names all folders that do not exist."""
    folders = dict.fromkeys(os.path.dirname(one.path) + one.whose for one in missing)
    if len(folders) == 1:
        path, whose = missing[0]
        raise TlsError(f"exports: the folder of {path} does not exist{whose}; create it or correct the path")
    if folders:
        raise TlsError(f"exports: these folders do not exist: {', '.join(folders)}; create them or correct the paths")


def new_password() -> str:
    """Return a random password of 192 bits."""
    return secrets.token_urlsafe(24)


def parse_password(content: bytes, path: str) -> str:
    """Return the first line of a password file. Raises TlsError if that is no password."""
    password = content.decode(errors="replace").partition("\n")[0].rstrip("\r")
    if not password or not all(" " <= character <= "~" for character in password):
        raise TlsError(
            f"exports: the first line of {path} is no password, which has letters, digits and signs "
            "that ASCII has; write one into it, or remove it to have one made"
        )
    return password


def path_use(spec: ExportSpec) -> PathUse:
    """Return the use of the paths of an export: their folders may belong to its owner."""
    try:
        owner = user_id(spec["owner"])
    except TlsError:  # a user who is gone owns nothing; check_paths() says so where a file is to be written
        owner = -1
    return PathUse("exports", owner, "owner of the export")


def check_export_folder(path: str, spec: ExportSpec) -> None:
    """Raise TlsError if somebody else can exchange the folder of a path, or everybody can write to it. It may be missing."""
    folder = os.path.dirname(path)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _check_not_shared(path, os.stat(folder))
    check_folder(folder, path_use(spec))


def check_export_folders(request: Request) -> None:
    """Raise TlsError as check_export_folder() does, for each file of the exports of a request."""
    for spec in request["exports"]:
        if spec["state"] == "present":
            for path in filter(None, (spec["path"], spec["password_file"])):
                check_export_folder(path, spec)


def remove_export(path: str, spec: ExportSpec) -> None:
    """Remove a file of an export and the temporary files of killed runs beside it, and sync the folder."""
    if not os.path.isdir(os.path.dirname(path)):
        return
    with trusted_folder(os.path.dirname(path), path_use(spec)) as folder:
        remove_temporary_files(path, folder)
        with contextlib.suppress(FileNotFoundError):
            remove_file(path, folder)
        sync_folder(os.path.dirname(path), folder)


def _check_not_shared(path: str, folder: os.stat_result) -> None:
    """Raise TlsError if the folder of a path, by its status, can be written by everybody."""
    if folder.st_mode & stat.S_IWOTH:
        raise TlsError(f"exports: the folder of {path} can be written by everybody; choose another one")
