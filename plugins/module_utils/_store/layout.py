# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of one certificate on a host, read only.

A switch of one symbolic link puts a version in use.

www.example.org/
├── current -> v0003        key and chain together, in one rename
├── v0003/  privkey.pem  cert.pem  chain.pem  fullchain.pem  issuer  passphrase
├── v0002/  …               an earlier version
├── v0001/  …  exposed      a pair that was made by hand has no issuer; why others may know its key, if they may
├── next/   privkey.pem  request.csr  issuer  passphrase      waiting for its certificate
├── trial                   while the current version may still be refused: what to go back to
├── deployed.json           the host for which deploy put it there, and what its removal needs; deployed.py
└── lock                    held by whoever changes anything here

The file of the passphrase, for C(ssl_password_file) of nginx, is there where the key is encrypted. Once a version in use had
one, those after it have it too, with a blank line where their key is not encrypted: nginx's configuration may name it.
"""

from __future__ import annotations

import datetime
import errno
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import load_key
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import check_request_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import MAX_FILE_BYTES, read_file

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

VERSION = re.compile(r"v([0-9]{4,9})")


class Versions:
    """The versions of one certificate.

    directory: the folder of all certificates; name: that of the request.
    """

    def __init__(self, directory: str, name: str) -> None:
        self.path = os.path.join(directory, check_request_name(name))
        self.next = os.path.join(self.path, "next")

    def current(self) -> str | None:
        """Return the name of the version that is in use, such as C(v0003), or None."""
        try:
            target = os.readlink(os.path.join(self.path, "current"))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise TlsError(f"{self.path}/current is not a symbolic link; move it away and run this again") from error
        if not VERSION.fullmatch(target):
            raise TlsError(
                f"{self.path}/current leads to {target}, and not to a version beside it; remove the link and run this again"
            )
        return target

    def require_current(self) -> str:
        """Return the name of the version that is in use. Raises TlsError if there is none."""
        current = self.current()
        if current is None:
            raise TlsError(
                f"{self.path} has no version in use; see who removed {self.path}/current, and run this again"
            )
        return current

    def versions(self) -> list[str]:
        """Return the names of all versions, the oldest first."""
        try:
            names = os.listdir(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(filter(VERSION.fullmatch, names), key=number)

    def file(self, version: str, name: str) -> bytes | None:
        """Return the content of a file of a version (or of C(next)), or None if it is missing."""
        return read_file(os.path.join(self.path, version, name), max_bytes=MAX_FILE_BYTES)

    def passphrase(self, version: str) -> bytes | None:
        """Return the passphrase with which the private key of a version is encrypted, or None if it is not."""
        return (self.file(version, "passphrase") or b"").partition(b"\n")[0] or None

    def private_key(self, version: str, where: str = "the private key") -> PrivateKeyTypes:
        """Return the private key of a version.

        Raises TlsError, which names *where* the key is, if it cannot be read.
        """
        return load_key(self.file(version, "privkey.pem") or b"", where, self.passphrase(version))

    def waiting_since(self) -> datetime.datetime | None:
        """Return when the signing request in C(next) was made, in UTC, or None if there is none."""
        try:
            changed = os.stat(os.path.join(self.next, "request.csr")).st_mtime
        except OSError:
            return None
        return datetime.datetime.fromtimestamp(changed, datetime.timezone.utc)


# not a parser: it reads what the collection has made or checked
def number(version: str) -> int:
    """Return the number in the name of a version, or 0 for another name."""
    match = VERSION.fullmatch(version)
    return int(match[1]) if match else 0
