# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read certificates from files of every format that CAs send: PEM, DER, PKCS #7, PKCS #12, bare Base64, and ZIP of these.

The files come by mail and from strangers. So sizes are bounded, nothing is written to disk, and a file that cannot be read yields
a message, not an exception.
"""

from __future__ import annotations

import base64
import binascii
import re
import typing as t
import warnings

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import parse_certificate
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import (
    SEQUENCE,
    Header,
    read_header,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import open_key
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.password_work import password_work
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, error_text, is_failure
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.archive import (
    UNSUPPORTED_ARCHIVE,
    ArchiveBudget,
    unpack,
)

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7, pkcs12
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_FILE_BYTES = 1024 * 1024  # inside an archive or not; chains have a few thousand
MAX_CERTIFICATES = 1000  # in a file of the inbox, readable or not
MAX_MESSAGES = 5  # about a file of the inbox
MAX_PASSWORD_ITERATIONS = 5_000_000  # of all parts of a PKCS #12; programs write 1 to 600 000 for each of three
MAX_TRIED_ITERATIONS = 3 * MAX_PASSWORD_ITERATIONS  # of all passwords that are tried, in a file of the inbox
MIN_DER_BYTES = 16  # bytes; nothing that is looked for is shorter
MAX_DER_HEADER_BYTES = 6  # bytes; four of them for the length

MAX_LABEL_LINE_BYTES = 100

BEGIN, DASHES = b"-----BEGIN ", b"-----"
CERTIFICATE_LABELS = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")
PKCS7_LABELS = (b"PKCS7", b"CMS", b"PKCS #7 SIGNED DATA")
BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")


class FileContents(t.NamedTuple):
    """The certificates in a file."""

    certificates: list[x509.Certificate]
    messages: list[str]  # sentences about what cannot be used; they say "it" of the file
    has_private_key: bool = False


def read_certificates(content: bytes, passwords: t.Sequence[str] = ()) -> FileContents:
    """Return the certificates in a file of any format.

    passwords: to be tried on PKCS #12, besides none and an empty one.
    """
    reader = _Reader(passwords)
    try:
        reader.read(content)
    except BaseException as error:
        reader.messages.append(f"it cannot be read to its end: {failure_sentence(error)}")
    if not (reader.certificates or reader.messages or reader.has_private_key):
        reader.messages.append("it holds no certificate in any form that is known here; see what it is")
    messages = list(dict.fromkeys(reader.messages))
    if len(messages) > MAX_MESSAGES:
        messages[MAX_MESSAGES:] = [f"and {len(messages) - MAX_MESSAGES} more of that kind; see what it is"]
    return FileContents(reader.certificates, messages, reader.has_private_key)


class _Reader:
    """Collects the certificates of a file, and of the files in it when it is an archive."""

    def __init__(self, passwords: t.Sequence[str]) -> None:
        self.passwords = [None, b"", *(password.encode() for password in passwords)]
        self.certificates: list[x509.Certificate] = []
        self.messages: list[str] = []
        self.has_private_key = False
        self.budget = ArchiveBudget()
        self.certificates_left = MAX_CERTIFICATES
        self.iterations_left = MAX_TRIED_ITERATIONS

    def read(self, content: bytes, depth: int = 0) -> None:
        """Read one file. depth: the number of archives around it."""
        if content.startswith(b"PK\x03\x04"):
            self._read_archive(content, depth)
        elif len(content) > MAX_FILE_BYTES:
            self.messages.append(f"it has {len(content)} bytes, and certificates have a few thousand; see what it is")
        elif (
            content.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!"))
            or content[257:262] == b"ustar"
        ):
            self.messages.append(f"it is something {UNSUPPORTED_ARCHIVE}")
        else:
            self._read_pem(_decode_windows_text(content)) or self._read_der(content) or self._read_base64(content)

    def _read_pem(self, text: bytes) -> bool:
        """Read the blocks of PEM (RFC 7468); return whether there are any."""
        blocks = text.split(BEGIN)[1:]
        for block in blocks:
            label, _dashes, rest = block[:MAX_LABEL_LINE_BYTES].partition(DASHES)
            if label.endswith(b"PRIVATE KEY"):
                self.has_private_key = True
            elif label.endswith(b"CERTIFICATE REQUEST"):
                self.messages.append(
                    "it holds a signing request, which is what the CA gets; put in what the CA answers"
                )
            elif rest and label in (*CERTIFICATE_LABELS, *PKCS7_LABELS):
                self._read_pem_block(label, block[len(label) + len(DASHES) :])
        return bool(blocks)

    def _read_pem_block(self, label: bytes, block: bytes) -> None:
        body, end, _rest = block.partition(b"-----END " + label + DASHES)
        try:
            content = base64.b64decode(body) if end else b""
        except (binascii.Error, ValueError):
            content = b""
        if not content:
            self.messages.append(f"its block {label.decode()} is damaged; have it sent again")
        elif label in CERTIFICATE_LABELS:
            self._add_certificate(content)
        else:
            self._read_pkcs7(content)

    def _read_der(self, content: bytes) -> bool:
        """Read a file that is a sequence of DER; return whether it is one."""
        header = _sequence_header(content)
        if header is None:
            return False
        value = content[header.start :]
        if value.startswith(b"\x02\x01\x03"):  # RFC 7292, section 4: version 3
            self._read_pkcs12(content)
        elif value.startswith(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"):  # RFC 5652, section 5.1: id-signedData
            self._read_pkcs7(content)
        elif _is_key(content):
            self.has_private_key = True
        elif _is_csr(content):
            self.messages.append("it is a signing request, which is what the CA gets; put in what the CA answers")
        else:
            self._add_certificate(content)
        return True

    def _read_base64(self, content: bytes) -> bool:
        """Read text that is DER in Base64, without the lines of PEM; return whether it is that."""
        text = b"".join(_decode_windows_text(content).split())
        if not BASE64.fullmatch(text):
            return False
        try:
            decoded = base64.b64decode(text)
        except (binascii.Error, ValueError):
            return False
        return self._read_der(decoded)

    def _read_archive(self, content: bytes, depth: int) -> None:
        for part in unpack(content, depth, self.budget, self.messages):
            self.read(part, depth + 1)

    def _add_certificate(self, der: bytes) -> None:
        self.certificates_left -= 1
        if self.certificates_left < 0:
            self.messages.append(f"it holds more than {MAX_CERTIFICATES} certificates, as no CA sends them; remove it")
            return
        header = _sequence_header(der)
        for candidate in (der, der[: header.end if header else 0]):  # OpenSSL's trusted certificates have more behind
            try:
                self.certificates.append(parse_certificate(candidate))
            except TlsError:
                continue
            return
        self.messages.append("it holds a certificate that cannot be read; have it sent again")

    def _add_certificates(self, certificates: list[x509.Certificate]) -> None:
        """Add certificates of a library that did not check that all of them can be read."""
        for certificate in certificates[: self.certificates_left + 1]:
            self._add_certificate(certificate.public_bytes(Encoding.DER))

    def _read_pkcs7(self, der: bytes) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of sets out of order, as CAs send them
                certificates = pkcs7.load_der_pkcs7_certificates(der)
        except BaseException as error:
            if not is_failure(error):
                raise
            self.messages.append(f"it is PKCS #7 that cannot be read ({error_text(error)}); have the chain sent as PEM")
            return
        self._add_certificates(certificates)

    def _read_pkcs12(self, der: bytes) -> None:
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
                    f"it is PKCS #12 that cannot be read ({error_text(error)}); have the chain sent as PEM"
                )
                return
            self.has_private_key = self.has_private_key or bundle.key is not None
            entries = [bundle.cert, *bundle.additional_certs]
            self._add_certificates([entry.certificate for entry in entries if entry is not None])
            return
        why = (
            "its password is not among those in passwords of the issuer"
            if len(self.passwords) > 2
            else "it has a password"
        )
        self.messages.append(f"it is PKCS #12, and {why}; add that, or have the chain sent as PEM")


def _decode_windows_text(content: bytes) -> bytes:
    """Return text without byte order mark, and UTF-16 as ASCII, as Windows writes them."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if content.startswith(mark):
            return content.decode(encoding, "replace").encode("ascii", "replace")
    return content


def _sequence_header(der: bytes) -> Header | None:
    """Return the header of a sequence in DER; None for anything else.

    It may be BER of indefinite length, as some programs write PKCS #7.
    """
    if len(der) < MIN_DER_BYTES:
        return None
    header = read_header(der)
    return header if header.tag == SEQUENCE and header.start <= MAX_DER_HEADER_BYTES else None


def _is_key(der: bytes) -> bool:
    try:
        open_key(der, is_text=False)
    except TypeError:  # it is protected
        return True
    except Exception:
        return False
    return True


def _is_csr(der: bytes) -> bool:
    try:
        x509.load_der_x509_csr(der)
    except x509.InvalidVersion:  # one that is none of PKCS #10
        return True
    except Exception:
        return False
    return True
