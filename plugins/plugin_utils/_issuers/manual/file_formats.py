# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates in every form in which people get them: PEM, DER, PKCS #7, PKCS #12, bare Base64, and ZIP of all these.

Files come by mail and from strangers. So everything is bounded, nothing is written anywhere, and what cannot be read is a
sentence about that file, never the end of the run.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import typing as t
import warnings
import zipfile
import zlib

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import parse_certificate
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import (
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    Header,
    descendants,
    integer,
    read_header,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import open_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7, pkcs12
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

LARGEST = 1024 * 1024  # bytes of a file, within an archive or not; chains have a few thousand
LARGEST_ARCHIVE = 8 * LARGEST
LARGEST_CONTENT = 4 * LARGEST_ARCHIVE  # of an archive, with all that is in it
MOST_FILES = 1000
DEEPEST = 3  # archives within archives
MOST_ITERATIONS = 2_000_000  # that a password goes through; programs write 1 to 600 000
DEEPEST_DER = 32
SHORTEST_DER = 16  # bytes; nothing that is looked for is shorter
LONGEST_HEADER = 6  # bytes; four of them for the length

BEGIN, DASHES = b"-----BEGIN ", b"-----"
CERTIFICATES = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")
PILES = (b"PKCS7", b"CMS", b"PKCS #7 SIGNED DATA")
BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
UNPACKED = "that is archived in a way that is not read here; put what is in it into the inbox instead"


class Contents(t.NamedTuple):
    """What there is in a file."""

    certificates: list
    complaints: list[str]
    holds_key: bool = False


def contents(content: bytes, passwords: t.Sequence[str] = ()) -> Contents:
    """Return the certificates in a file, whatever its form, and what is wrong with the rest of it."""
    found = _Search(passwords)
    found.look(content)
    if not (found.certificates or found.complaints or found.holds_key):
        found.complaints.append("it holds no certificate in any form that is known here; see what it is")
    return Contents(found.certificates, list(dict.fromkeys(found.complaints)), found.holds_key)


class _Search:
    """A search through a file and the files in it."""

    def __init__(self, passwords: t.Sequence[str]) -> None:
        self.passwords = [None, b"", *(password.encode() for password in passwords)]
        self.certificates: list = []
        self.complaints: list[str] = []
        self.holds_key = False
        self.bytes_left = LARGEST_CONTENT
        self.files_left = MOST_FILES

    def look(self, content: bytes, depth: int = 0) -> None:
        if content.startswith(b"PK\x03\x04"):
            self._look_into_archive(content, depth)
        elif len(content) > LARGEST:
            self.complaints.append(f"it has {len(content)} bytes, and certificates have a few thousand; see what it is")
        elif (
            content.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!"))
            or content[257:262] == b"ustar"
        ):
            self.complaints.append(f"it is something {UNPACKED}")
        else:
            self._look_at_text(_as_bytes(content)) or self._look_at_der(content) or self._look_at_base64(content)

    def _look_at_text(self, text: bytes) -> bool:
        """Look at what stands between the lines of PEM; say whether there are any."""
        begins = text.split(BEGIN)[1:]
        for begin in begins:
            label, _dashes, rest = begin[:100].partition(DASHES)
            if label.endswith(b"PRIVATE KEY"):
                self.holds_key = True
            elif label.endswith(b"CERTIFICATE REQUEST"):
                self.complaints.append(
                    "it holds a signing request, which is what the CA gets; put in what the CA answers"
                )
            elif rest and label in (*CERTIFICATES, *PILES):
                self._look_at_block(label, begin[len(label) + len(DASHES) :])
        return bool(begins)

    def _look_at_block(self, label: bytes, block: bytes) -> None:
        body, end, _rest = block.partition(b"-----END " + label + DASHES)
        try:
            content = base64.b64decode(body) if end else b""
        except (binascii.Error, ValueError):
            content = b""
        if not content:
            self.complaints.append(f"its block {label.decode()} is damaged; have it sent again")
        elif label in CERTIFICATES:
            self._take_certificate(content)
        else:
            self._take_pkcs7(content)

    def _look_at_der(self, content: bytes) -> bool:
        """Look at what may be one thing in DER; say whether it is one that is known."""
        header = _sequence(content)
        if header is None:
            return False
        begin = content[header.start :]
        if begin.startswith(b"\x02\x01\x03"):  # RFC 7292, section 4: version 3
            self._take_pkcs12(content)
        elif begin.startswith(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"):  # RFC 5652, section 5.1: id-signedData
            self._take_pkcs7(content)
        elif _is_key(content):
            self.holds_key = True
        elif _is_request(content):
            self.complaints.append("it is a signing request, which is what the CA gets; put in what the CA answers")
        else:
            self._take_certificate(content)
        return True

    def _look_at_base64(self, content: bytes) -> bool:
        """Look at text that is DER in Base64, without the lines of PEM."""
        text = b"".join(_as_bytes(content).split())
        if not BASE64.fullmatch(text):
            return False
        try:
            decoded = base64.b64decode(text)
        except (binascii.Error, ValueError):
            return False
        return self._look_at_der(decoded)

    def _look_into_archive(self, content: bytes, depth: int) -> None:
        if depth >= DEEPEST:
            self.complaints.append(f"it has more than {DEEPEST} archives within each other; unpack it yourself")
            return
        if len(content) > LARGEST_ARCHIVE:
            self.complaints.append(
                f"it is an archive of {len(content)} bytes, and {LARGEST_ARCHIVE} are read; see what it is"
            )
            return
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for member in archive.infolist():
                    if member.is_dir() or member.filename.startswith("__MACOSX/"):
                        continue
                    part = self._unpacked(archive, member)
                    if part is None:
                        return
                    if part:
                        self.look(part, depth + 1)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
            self.complaints.append(f"it is an archive that cannot be read ({error}); have it sent again")

    def _unpacked(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | None:
        """Return a file of an archive, nothing where it cannot be had, or None where there is too much of all."""
        if member.flag_bits & 1:
            self.complaints.append(f"{_shown(member.filename)} in it is protected by a password; unpack it yourself")
            return b""
        limit = min(self.bytes_left, LARGEST_ARCHIVE)
        try:
            with archive.open(member) as stream:  # what the archive says of sizes is not believed
                part = stream.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError) as error:
            self.complaints.append(f"{_shown(member.filename)} in it cannot be unpacked ({error}); have it sent again")
            return b""
        self.files_left -= 1
        self.bytes_left -= len(part)
        if self.files_left < 0 or self.bytes_left < 0 or len(part) > limit:
            self.complaints.append(
                f"it is an archive of more than {MOST_FILES} files or {LARGEST_CONTENT} bytes, as nobody sends certificates; remove it"
            )
            return None
        return part

    def _take_certificate(self, der: bytes) -> None:
        header = _sequence(der)
        for candidate in (der, der[: header.end if header else 0]):  # OpenSSL's trusted certificates have more behind
            try:
                self.certificates.append(parse_certificate(candidate))
            except TlsError:
                continue
            return
        self.complaints.append("it holds a certificate that cannot be read; have it sent again")

    def _take_unread(self, certificates: list) -> None:
        """Take certificates of which the library has not read the keys yet."""
        for certificate in certificates:
            self._take_certificate(certificate.public_bytes(Encoding.DER))

    def _take_pkcs7(self, der: bytes) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of sets out of order, as CAs send them
                found = pkcs7.load_der_pkcs7_certificates(der)
        except (ValueError, UnsupportedAlgorithm) as error:
            self.complaints.append(f"it is PKCS #7 that cannot be read ({error}); have the chain sent as PEM")
            return
        self._take_unread(found)

    def _take_pkcs12(self, der: bytes) -> None:
        if max(_iterations(der), default=0) > MOST_ITERATIONS:
            self.complaints.append(
                "it is PKCS #12 that would take minutes to open, as nobody sends certificates; remove it"
            )
            return
        for password in self.passwords:
            try:
                bundle = pkcs12.load_pkcs12(der, password)
            except (ValueError, TypeError):  # the password is another one
                continue
            except UnsupportedAlgorithm as error:
                self.complaints.append(f"it is PKCS #12 that cannot be read ({error}); have the chain sent as PEM")
                return
            self.holds_key = self.holds_key or bundle.key is not None
            ours = [bundle.cert, *bundle.additional_certs]
            self._take_unread([one.certificate for one in ours if one is not None])
            return
        tried = (
            "its password is not among those in passwords of the issuer"
            if len(self.passwords) > 2
            else "it has a password"
        )
        self.complaints.append(f"it is PKCS #12, and {tried}; add that, or have the chain sent as PEM")


def _as_bytes(content: bytes) -> bytes:
    """Return text without the marks and double bytes of Windows."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if content.startswith(mark):
            return content.decode(encoding, "replace").encode("ascii", "replace")
    return content


def _sequence(der: bytes) -> Header | None:
    """Return the header of a sequence in DER, or in BER of indefinite length, as some write PKCS #7; None for anything else."""
    if len(der) < SHORTEST_DER:
        return None
    header = read_header(der)
    return header if header.tag == SEQUENCE and header.start <= LONGEST_HEADER else None


def _iterations(der: bytes) -> list[int]:
    """Return the numbers that follow a salt (RFC 7292, appendix C; RFC 8018, appendix A), at whatever depth."""
    return [
        integer(element)
        for before, element in descendants(der, DEEPEST_DER)
        if element.tag == INTEGER and before is not None and before.tag == OCTET_STRING
    ]


def _is_key(der: bytes) -> bool:
    try:
        open_key(der, is_text=False)
    except TypeError:  # it is protected
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _is_request(der: bytes) -> bool:
    try:
        x509.load_der_x509_csr(der)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _shown(name: str) -> str:
    return escape_control_characters(name[-100:])
