# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inbox: files of any format and name that people put there. Nothing here changes them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import subject_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import is_ca
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.archive import MAX_ARCHIVE_BYTES
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.certificate_files import read_certificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import key_digest
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.queue import ISSUED, PENDING, QueueRecord
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_INBOX_FILES = 10_000
MAX_INBOX_BYTES = 64 * 1024 * 1024  # of all files together
INBOX_TIMEOUT_S = 60.0  # for all files together
TOO_MUCH = (
    f"it is not read, since all that is in the inbox together is more than {MAX_INBOX_BYTES} bytes, or takes longer than "
    f"{INBOX_TIMEOUT_S:.0f} seconds; remove what the CA did not send"
)
MAX_INBOX_DEPTH = 10  # folders within each other
TOO_DEEP = f"it lies within more than {MAX_INBOX_DEPTH} folders; put what is in it further up"
MAX_NAMED_MESSAGES = 50  # about all files together
MAX_REASONS = 20  # for which a file is named
DATE_LENGTH = len("2026-01-01")
PRIVATE_KEY_MESSAGE = (
    "it holds a private key, and keys are made on hosts alone: whoever had this file can pose as the server. Destroy it here and "
    "wherever it came from, have the CA revoke its certificate, and have it sign the request in the outbox"
)


class InboxFile(t.NamedTuple):
    """A file of the inbox, and the certificates in it."""

    path: str
    certificates: list[x509.Certificate]
    messages: list[str]  # sentences about what cannot be used
    has_private_key: bool = False

    def leaves(self) -> list[x509.Certificate]:
        """Return the certificates of servers."""
        return [certificate for certificate in self.certificates if not _is_authority(certificate)]

    def authorities(self) -> list[x509.Certificate]:
        """Return the certificates of CAs."""
        return [certificate for certificate in self.certificates if _is_authority(certificate)]


def read_inbox(directory: str, passwords: t.Sequence[str]) -> list[InboxFile]:
    """Return the files of an inbox and of its folders, in the same order each time.

    Raises TlsError when a folder cannot be read, or there are more than MAX_INBOX_FILES files.
    """
    paths, findings = _list_files(directory)
    files: dict[str, InboxFile] = {}
    bytes_left, deadline = MAX_INBOX_BYTES, time.monotonic() + INBOX_TIMEOUT_S
    for size, path in sorted((_size_of(path), path) for path in paths):  # what is too much keeps no small file back
        bytes_left -= size
        is_within_budget = bytes_left >= 0 and time.monotonic() < deadline
        files[path] = _read_inbox_file(path, passwords) if is_within_budget else InboxFile(path, [], [TOO_MUCH])
    return [*(files[path] for path in paths), *findings]


def unused_file_messages(files: list[InboxFile], records: dict[str, QueueRecord]) -> list[str]:
    """Return a sentence about each file that has something unusable, with the reason.

    records: of all requests, by key.
    """
    messages: list[str] = []
    nothing_pending = not _has_pending(records)
    for file in files:
        reasons = [PRIVATE_KEY_MESSAGE] if file.has_private_key else []
        reasons += file.messages
        for leaf in file.leaves():
            if reason := _why_unused(leaf, records.get(certificate_key_digest(leaf))):
                reasons.append(reason)
        if nothing_pending and file.certificates and not file.leaves() and not _is_of_issued_chain(file, records):
            names = ", ".join(escape_control_characters(subject_name(one)) for one in file.authorities())
            reasons.append(f"the CA {names} signed nothing that was asked for here; remove this file")
        reasons = list(dict.fromkeys(reasons))
        if len(reasons) > MAX_REASONS:
            reasons[MAX_REASONS:] = [f"and {len(reasons) - MAX_REASONS} more of that kind; see what it is"]
        messages += [file_message(file, reason) for reason in reasons]
    if len(messages) > MAX_NAMED_MESSAGES:
        messages[MAX_NAMED_MESSAGES:] = [
            f"and {len(messages) - MAX_NAMED_MESSAGES} more of that kind in the inbox; see what is put there"
        ]
    return messages


def file_message(file: InboxFile, reason: str) -> str:
    """Return a sentence about a file. Whoever put it there chose its name."""
    return f"{escape_control_characters(file.path)}: {reason}"


def certificate_key_digest(certificate: x509.Certificate) -> str:
    """Return the digest of a certificate's public key, by which its request is found."""
    return key_digest(certificate.public_key())


def is_finished(file: InboxFile, records: dict[str, QueueRecord]) -> bool:
    """Say whether all certificates in a file were used, so that it can be moved away.

    records: of all requests, by key.
    """
    if file.messages or file.has_private_key:
        return False
    leaves = file.leaves()
    if not leaves:
        return not _has_pending(records) and _is_of_issued_chain(file, records)
    return all(_is_issued(leaf, records.get(certificate_key_digest(leaf))) for leaf in leaves)


def _has_pending(records: dict[str, QueueRecord]) -> bool:
    return any(record["state"] == PENDING for record in records.values())


def _is_of_issued_chain(file: InboxFile, records: dict[str, QueueRecord]) -> bool:
    """Say whether all CAs in a file are of an issued chain, or its root."""
    chains = []
    for record in records.values():
        if record["chain"]:
            with contextlib.suppress(TlsError):  # one that a newer library refuses
                chains.append(parse_chain(record["chain"].encode()))
    return all(any(one in chain or is_signed_by(chain[-1], one) for chain in chains) for one in file.authorities())


def _why_unused(leaf: x509.Certificate, record: QueueRecord | None) -> str:
    """Say why a certificate is not used; an empty text when it is or was. record: of its public key."""
    names: list[str] = []
    with contextlib.suppress(TlsError):
        names = sorted(names_of(leaf))
    about = f"the certificate for {escape_control_characters(', '.join(names) or subject_name(leaf))}"
    if record is None:
        return (
            f"{about} belongs to no key that waits here; have the CA sign a request of the outbox, or remove this file"
        )
    if record["state"] == PENDING or _is_issued(leaf, record):
        return ""
    closed = f"{(record['closed'] or '')[:DATE_LENGTH]}: {record['why']}"
    return (
        f"{about} answers the request {record['request']} of {record['host']}, which waits no longer since {closed}; have the CA revoke it, "
        "and remove this file"
    )


def _is_issued(leaf: x509.Certificate, record: QueueRecord | None) -> bool:
    """Say whether a certificate was issued for a request, now or before."""
    if record is None:
        return False
    return fingerprint(leaf) in record["earlier"] or (
        record["state"] == ISSUED and fingerprint(leaf) == record["fingerprint"]
    )


def _read_inbox_file(path: str, passwords: t.Sequence[str]) -> InboxFile:
    try:
        return InboxFile(path, *read_certificates(_read_bytes(path), passwords))
    except OSError as error:
        why = "it is a symbolic link; put the file itself there" if error.errno == errno.ELOOP else f"{error.strerror}"
        return InboxFile(path, [], [f"it cannot be read: {why}"])
    except TlsError as error:
        return InboxFile(path, [], [str(error)])
    except BaseException as error:
        return InboxFile(path, [], [f"it cannot be read: {failure_sentence(error)}"])


def _size_of(path: str) -> int:
    """Return how many bytes of a file are read at the most."""
    try:
        return min(os.lstat(path).st_size, MAX_ARCHIVE_BYTES + 1)
    except OSError:  # it was taken away meanwhile
        return 0


def _read_bytes(path: str) -> bytes:
    """Return the content of a regular file. Links are not followed, since they may lead anywhere.

    Raises OSError, and TlsError for anything but a regular file. O_NONBLOCK: a pipe without a writer does not block.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TlsError("it is no regular file; remove it")
        return stream.read(MAX_ARCHIVE_BYTES + 1)


def _list_files(directory: str) -> tuple[list[str], list[InboxFile]]:
    """Return the paths of all files, and a finding about each folder that is not looked into.

    Raises TlsError when the inbox itself cannot be read, or has too many files.
    """
    paths: list[str] = []
    findings: list[InboxFile] = []
    folders, count = [(directory, 0)], 0
    while folders:
        folder, depth = folders.pop()
        if depth > MAX_INBOX_DEPTH:
            findings.append(InboxFile(folder, [], [TOO_DEEP]))
            continue
        inner: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    count += 1
                    if count > MAX_INBOX_FILES:
                        raise TlsError(
                            f"the inbox {directory} has more than {MAX_INBOX_FILES} files; see what is put there"
                        )
                    if not entry.name.startswith("."):
                        (inner if entry.is_dir(follow_symlinks=False) else files).append(entry.path)
        except OSError as error:
            if folder == directory:
                raise TlsError(
                    f"the inbox {folder} cannot be read: {error.strerror}; have it belong to who runs this, or correct inbox of the issuer"
                ) from error
            findings.append(
                InboxFile(folder, [], [f"it cannot be read: {error.strerror}; have it belong to who runs this"])
            )
        paths += sorted(files)
        folders += [(path, depth + 1) for path in sorted(inner, reverse=True)]
    return paths, findings


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return is_ca(certificate)
    except TlsError:
        return False
