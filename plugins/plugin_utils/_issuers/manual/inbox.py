# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inbox: whatever people put there, in any form and under any name, read and never changed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import common_name, fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    is_authority,
    is_signed_by,
    names_of,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.file_formats import (
    LARGEST_ARCHIVE,
    contents,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.queue import ANSWERED, WAITING
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

MOST_FILES = 10_000
KEY = (
    "it holds a private key, and keys are made on hosts alone: whoever had this file can pose as the server. Destroy it here and "
    "wherever it came from, have the CA revoke its certificate, and have it sign the request in the outbox"
)


class Entry(t.NamedTuple):
    """A file of the inbox, and what it holds."""

    path: str
    certificates: list
    complaints: list[str]
    holds_key: bool = False

    def leaves(self) -> list:
        """Return the certificates of servers."""
        return [certificate for certificate in self.certificates if not _is_authority(certificate)]

    def authorities(self) -> list:
        """Return the certificates of CAs."""
        return [certificate for certificate in self.certificates if _is_authority(certificate)]


def read_inbox(directory: str, passwords: t.Sequence[str]) -> list[Entry]:
    """Return what lies in an inbox and in its folders, the same order each time."""
    return [_entry(path, passwords) for path in _paths(directory)]


def strays(entries: list[Entry], records: dict[str, dict[str, t.Any]]) -> list[str]:
    """Return a sentence for each file that answers nothing, with the reason. *records* are those of all requests, by key."""
    said, idle = [], not any(record["state"] == WAITING for record in records.values())
    for entry in entries:
        reasons = [KEY] if entry.holds_key else []
        reasons += entry.complaints
        for leaf in entry.leaves():
            if reason := _why_stray(leaf, records.get(key_of(leaf))):
                reasons.append(reason)
        if idle and entry.certificates and not entry.leaves() and not _has_helped(entry, records):
            names = ", ".join(escape_control_characters(common_name(one.subject)) for one in entry.authorities())
            reasons.append(f"the CA {names} signed nothing that was asked for here; remove this file")
        said += [f"{escape_control_characters(entry.path)}: {reason}" for reason in dict.fromkeys(reasons)]
    return said


def key_of(certificate: t.Any) -> str:
    """Return the digest of a public key, by which requests and answers find each other."""
    return digest(certificate.public_key())


def digest(public_key: t.Any) -> str:
    """Return the SHA-256 of a public key, in hexadecimal digits."""
    return hashlib.sha256(public_bytes(public_key)).hexdigest()


def is_used_up(entry: Entry, records: dict[str, dict[str, t.Any]]) -> bool:
    """Say whether everything in a file was taken, so that it can be put away."""
    if entry.complaints or entry.holds_key:
        return False
    leaves = entry.leaves()
    if not leaves:
        return not any(record["state"] == WAITING for record in records.values()) and _has_helped(entry, records)
    return all(_is_taken(leaf, records.get(key_of(leaf))) for leaf in leaves)


def _has_helped(entry: Entry, records: dict[str, dict[str, t.Any]]) -> bool:
    """Say whether the CAs in a file are those of an answer that was taken."""
    chains = [parse_chain(record["chain"].encode()) for record in records.values() if record["chain"]]
    return all(any(one in chain or is_signed_by(chain[-1], one) for chain in chains) for one in entry.authorities())


def _why_stray(leaf: t.Any, record: dict[str, t.Any] | None) -> str:
    """Say why a certificate answers nothing, or nothing when it does or did."""
    names = []
    with contextlib.suppress(TlsError):
        names = sorted(names_of(leaf))
    about = f"the certificate for {escape_control_characters(', '.join(names) or common_name(leaf.subject))}"
    if record is None:
        return (
            f"{about} belongs to no key that waits here; have the CA sign a request of the outbox, or remove this file"
        )
    if record["state"] == WAITING or _is_taken(leaf, record):
        return ""
    closed = f"{record['closed'][:10]}: {record['why']}"
    return (
        f"{about} answers the request {record['request']} of {record['host']}, which waits no longer since {closed}; have the CA revoke it, "
        "and remove this file"
    )


def _is_taken(leaf: t.Any, record: dict[str, t.Any] | None) -> bool:
    if record is None:
        return False
    return fingerprint(leaf) in record["earlier"] or (
        record["state"] == ANSWERED and fingerprint(leaf) == record["fingerprint"]
    )


def _entry(path: str, passwords: t.Sequence[str]) -> Entry:
    try:
        return Entry(path, *contents(_read(path), passwords))
    except OSError as error:
        why = "it is a symbolic link; put the file itself there" if error.errno == errno.ELOOP else f"{error.strerror}"
        return Entry(path, [], [f"it cannot be read: {why}"])
    except TlsError as error:
        return Entry(path, [], [str(error)])


def _read(path: str) -> bytes:
    """Return what a file holds; not of pipes, which would never end, and not through links, which may lead anywhere."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TlsError("it is no regular file; remove it")
        return stream.read(LARGEST_ARCHIVE + 1)


def _paths(directory: str) -> list[str]:
    def give_up(error: OSError) -> t.NoReturn:
        raise TlsError(
            f"the inbox {error.filename} cannot be read: {error.strerror}; have it belong to who runs this, or correct inbox of the issuer"
        ) from error

    found: list[str] = []
    for folder, folders, files in os.walk(directory, onerror=give_up):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = [name for name in folders if name not in links]
        found += [os.path.join(folder, name) for name in sorted([*files, *links]) if not name.startswith(".")]
        if len(found) > MOST_FILES:
            raise TlsError(f"the inbox {directory} has more than {MOST_FILES} files; see what is put there")
    return found


def _is_authority(certificate: t.Any) -> bool:
    try:
        return is_authority(certificate)
    except TlsError:
        return False
