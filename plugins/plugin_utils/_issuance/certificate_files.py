# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read certificates from files of strangers on the controller: those of module_utils, and archives, mails and PKCS #12 besides."""

from __future__ import annotations

import email.message
import email.parser
import email.policy
import re
import typing as t
import warnings

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.file_formats import (
    CertificateReader,
    FileContents,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.password_work import password_work
from ansible_collections.evergreen.tls.plugins.module_utils._errors import error_text, is_failure
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.archive import (
    MAX_ARCHIVE_BYTES,
    MAX_ARCHIVE_DEPTH,
    UNSUPPORTED_ARCHIVE,
    ArchiveBudget,
    unpack,
)

try:
    from cryptography.hazmat.primitives.serialization import pkcs12
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_PASSWORD_ITERATIONS = 5_000_000  # of all parts of a PKCS #12; programs write 1 to 600 000 for each of three
MAX_TRIED_ITERATIONS = 3 * MAX_PASSWORD_ITERATIONS  # of all passwords that are tried, in a file
MAX_BOUNDARIES = 1000  # of the parts of a mail
# The first line of a mail as programs save it (RFC 5322, section 3.6; the mbox format).
MAIL = re.compile(
    rb"\s*(From |((From|To|Date|Subject|Received|Return-Path|Delivered-To|Message-ID|MIME-Version|Content-Type"
    rb"|Content-Transfer-Encoding|X-[A-Za-z-]+|DKIM-Signature|Authentication-Results):))",
    re.IGNORECASE,
)
OTHER_HEADER = re.compile(rb"\s*[A-Za-z][A-Za-z0-9-]{1,60}: ")  # those that there are besides
MIME_HEADER = re.compile(rb"\n(MIME-Version|Content-Type):", re.IGNORECASE)
MAX_HEADER_BYTES = 64 * 1024


def read_certificates(content: bytes, passwords: t.Sequence[str] = ()) -> FileContents:
    """Return the certificates in a file of any form.

    passwords: to be tried on PKCS #12, besides none and an empty one.
    """
    return FileReader(passwords).contents_of(content)


class FileReader(CertificateReader):
    """Collects the certificates of a file, and of the files in it when it is an archive or a mail."""

    def __init__(self, passwords: t.Sequence[str]) -> None:
        super().__init__()
        self.passwords = [None, b"", *(password.encode() for password in passwords)]
        self.budget = ArchiveBudget()
        self.iterations_left = MAX_TRIED_ITERATIONS

    def read_container(self, content: bytes, depth: int) -> bool:
        """Read an archive or a mail; return whether it is one."""
        if content.startswith(b"PK\x03\x04"):
            for part in unpack(content, depth, self.budget, self.messages):
                self.read(part, depth + 1)
            return True
        if (
            content.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!"))
            or content[257:262] == b"ustar"
        ):
            self.messages.append(f"it is something {UNSUPPORTED_ARCHIVE}")
            return True
        return _is_mail(content) and self._read_mail(content, depth)

    def _read_mail(self, content: bytes, depth: int) -> bool:
        """Read the parts of a mail; return whether it has parts that are encoded, or are files."""
        if depth >= MAX_ARCHIVE_DEPTH or len(content) > MAX_ARCHIVE_BYTES or content.count(b"\n--") > MAX_BOUNDARIES:
            self.messages.append(
                "it is a mail with too much in it; put the files that it brings into the inbox instead"
            )
            return True
        mail = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(content.lstrip())
        if mail.get_content_maintype() == "text" and not mail.get("Content-Transfer-Encoding"):
            return False  # PEM between lines of text
        for part in mail.walk():
            payload = part.get_payload(decode=True) if not part.is_multipart() else None
            if isinstance(payload, bytes) and payload.strip() and not self._is_spent(len(payload)):
                self.read(payload, depth + 1)
        return True

    def _is_spent(self, size: int) -> bool:
        """Take a part of a mail out of the budget of archives; return whether it is spent."""
        self.budget.files_left -= 1
        self.budget.bytes_left -= size
        return self.budget.is_spent

    def read_pkcs12(self, der: bytes) -> None:
        """Read the certificates of a PKCS #12 with one of the passwords."""
        try:
            iterations = password_work(der)
        except ValueError:  # more elements than are looked at
            iterations = MAX_PASSWORD_ITERATIONS + 1
        for password in self.passwords:
            self.iterations_left -= iterations
            if iterations > MAX_PASSWORD_ITERATIONS or self.iterations_left < 0:
                self.messages.append(
                    "it is PKCS #12 that would take minutes to open, as nobody sends certificates; remove it"
                )
                return
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of BER, in which some programs write it
                    bundle = pkcs12.load_pkcs12(der, password)
            except (ValueError, TypeError):  # the password is another one
                continue
            except BaseException as error:
                if not is_failure(error):
                    raise
                self.messages.append(
                    f"it is PKCS #12 that cannot be read ({error_text(error)}); convert it with openssl pkcs12 -nokeys"
                )
                return
            self.has_private_key = self.has_private_key or bundle.key is not None
            entries = [bundle.cert, *bundle.additional_certs]
            self.add_certificates([entry.certificate for entry in entries if entry is not None])
            return
        why = (
            "its password is not among those in passwords of the issuer"
            if len(self.passwords) > 2
            else "it has a password"
        )
        self.messages.append(f"it is PKCS #12, and {why}; add that, or have the chain sent as PEM")


def _is_mail(content: bytes) -> bool:
    """Say whether a file begins with the header of a mail."""
    if MAIL.match(content):
        return True
    head = content[:MAX_HEADER_BYTES].lstrip().replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    return bool(OTHER_HEADER.match(head) and MIME_HEADER.search(head))
