# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read certificates from files of the forms that CAs, programs and people make: PEM, DER, PKCS #7, bare Base64, JSON, in any encoding.

The files come from strangers. So sizes are bounded, and what cannot be read yields a message, not an exception. Messages say "it"
of the file, and end in what to do with it: the form of a file is no reason to have a certificate issued again.
"""

from __future__ import annotations

import json
import re
import typing as t
import warnings

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import parse_certificate
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import SEQUENCE, Header, read_header
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import open_key
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.text_forms import (
    decode_text,
    decoded_bodies,
    decoded_file,
    decoded_tokens,
    without_escapes,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import (
    TlsError,
    error_text,
    is_failure,
    unexpected_error,
)

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

MAX_FILE_BYTES = 1024 * 1024  # inside an archive or not; chains have a few thousand
MAX_CERTIFICATES = 1000  # in a file, readable or not
MAX_MESSAGES = 5  # about a file
MAX_JSON_STRINGS = 10_000
MIN_DER_BYTES = 16  # nothing that is looked for is shorter
MAX_DER_HEADER_BYTES = 6  # four of them for the length

SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")  # RFC 5652, section 5.1
# The lines around PEM (RFC 7468), also with the dashes that word processors and mail programs make of two or more hyphens.
DASHES = r"[-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]{1,12}"
LINE = re.compile(rf"{DASHES}[ \t]{{0,20}}(BEGIN|END) ([A-Za-z0-9 #.]{{1,60}}?)[ \t]{{0,20}}{DASHES}?", re.IGNORECASE)
REST_OF_LINE = re.compile(rf"\A{DASHES}")  # LINE leaves dashes to a line that follows at once
LAST_LINE = re.compile(rb"-----END [A-Z0-9 #.]{1,60}-----\r?\n(?=\x30[\x80-\x84])")  # of PEM before DER
CERTIFICATE_LABELS = ("CERTIFICATE", "PKCS", "CMS")  # in the labels whose blocks ought to be readable
COPY_AGAIN = "copy it again from what the CA sent"


class FileContents(t.NamedTuple):
    """The certificates in a file."""

    certificates: list[x509.Certificate]
    messages: list[str]  # sentences about what cannot be used; they say "it" of the file
    has_private_key: bool = False


def read_certificate_file(content: bytes) -> FileContents:
    """Return the certificates in a file of any form that a host knows."""
    return CertificateReader().contents_of(content)


class CertificateReader:
    """Collects the certificates of a file."""

    def __init__(self) -> None:
        self.certificates: list[x509.Certificate] = []
        self.messages: list[str] = []
        self.has_private_key = False
        self.certificates_left = MAX_CERTIFICATES

    def contents_of(self, content: bytes) -> FileContents:
        """Read a file, and return what is in it."""
        try:
            self.read(content)
        except BaseException as error:
            if not is_failure(error):
                raise
            reason = str(error) if isinstance(error, TlsError) else unexpected_error(error)
            self.messages.append(f"it cannot be read to its end: {reason}")
        if not content.strip():
            self.messages.append("it is empty; see what should have written it")
        elif not (self.certificates or self.messages or self.has_private_key):
            self.messages.append("it holds no certificate in any form that is known here; see what it is")
        messages = list(dict.fromkeys(self.messages))
        if len(messages) > MAX_MESSAGES:
            messages[MAX_MESSAGES:] = [f"and {len(messages) - MAX_MESSAGES} more of that kind; see what it is"]
        return FileContents(self.certificates, messages, self.has_private_key)

    def read(self, content: bytes, depth: int = 0) -> None:
        """Read one file. depth: the number of files around it."""
        if self.read_container(content, depth):
            return
        if len(content) > MAX_FILE_BYTES:
            self.messages.append(f"it has {len(content)} bytes, and certificates have a few thousand; see what it is")
            return
        if _is_certificate(content) and not (_is_key(content) or _is_csr(content)):
            content = self._read_certificates(content).strip(b"\0")
            if not content.strip():
                return
        end = LAST_LINE.search(content)
        if end and _is_certificate(content[end.end() :]):
            self._read_certificates(content[end.end() :])
            content = content[: end.end()]
        self._read_text(decode_text(content)) or self._read_der(content) or self._read_tokens(decode_text(content))

    def _read_text(self, text: str) -> bool:
        """Read JSON, PEM or Base64; return whether it is that."""
        return self._read_json(text) or self._read_pem(text) or self._read_base64(text)

    def read_container(self, _content: bytes, _depth: int) -> bool:
        """Read a file with files in it; return whether it is one. Here there are none."""
        return False

    # not a parser: subclasses have those
    def read_pkcs12(self, _der: bytes) -> None:
        """Read a PKCS #12."""
        self.messages.append("it is PKCS #12; put its certificates into a file with openssl pkcs12 -nokeys")

    def _read_json(self, text: str) -> bool:
        """Read the strings of JSON that hold certificates; return whether it is JSON with any."""
        if text.lstrip()[:1] not in ("{", "[", '"'):
            return False
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return False
        texts = [one for one in _strings_in(value) if len(one) >= MIN_DER_BYTES]
        are_read = [self._read_pem(one) or self._read_base64(one) for one in texts]
        return any(are_read)

    def _read_pem(self, text: str) -> bool:
        """Read the blocks of PEM (RFC 7468); return whether there are any."""
        text = without_escapes(text)
        lines = list(LINE.finditer(text))
        for line, following in zip(lines, [*lines[1:], None]):
            kind, label = line.group(1).upper(), line.group(2).upper()
            if kind == "END":
                continue
            if label.endswith("PRIVATE KEY"):
                self.has_private_key = True
            elif label.endswith("CERTIFICATE REQUEST"):
                self.messages.append(
                    "it holds a signing request, which is what the CA gets; put in what the CA answers"
                )
            else:
                is_whole = following is not None and following.group(1).upper() == "END"
                body = text[line.end() : following.start()] if following is not None and is_whole else ""
                body = REST_OF_LINE.sub("", body)
                self._read_block(label, body)
        return any(line.group(1).upper() == "BEGIN" for line in lines)

    def _read_block(self, label: str, body: str) -> None:
        """Read what is between two lines of PEM, whatever their label: the content says what it is."""
        is_expected = any(part in label for part in CERTIFICATE_LABELS)
        contents = [one for one in decoded_bodies(body) if one]
        content = next(filter(_is_whole, contents), contents[0] if contents else b"")
        if (is_expected and not content) or (
            content and (is_expected or _is_certificate(content)) and not self._read_der(content)
        ):
            self.messages.append(f"its block {label} is damaged; {COPY_AGAIN}")

    def _read_der(self, content: bytes) -> bool:
        """Read a file of one or more sequences of DER; return whether it is one."""
        header = _sequence_header(content)
        if header is None:
            return False
        value = content[header.start :]
        if value.startswith(b"\x02\x01\x03"):  # RFC 7292, section 4: version 3
            self.read_pkcs12(content)
        elif value.startswith(SIGNED_DATA):
            self._read_pkcs7(content)
        elif _is_key(content):
            self.has_private_key = True
        elif _is_csr(content):
            self.messages.append("it is a signing request, which is what the CA gets; put in what the CA answers")
        else:
            self._read_certificates(content)
        return True

    def _read_certificates(self, der: bytes) -> bytes:
        """Read certificates in DER that stand one behind the other, also on lines; return what is behind them."""
        while (header := _sequence_header(der)) is not None and header.end is not None and self.certificates_left >= 0:
            self.add_certificate(der[: header.end])
            der = der[header.end :]
            if not _is_certificate(der.lstrip(b"\r\n")):  # what openssl writes behind a trusted certificate
                break
            der = der.lstrip(b"\r\n")
        return der

    def _read_base64(self, text: str) -> bool:
        """Read text that is DER or PEM in Base64, without the lines of PEM; return whether it is that."""
        are_read = [self._read_decoded(one) for one in decoded_file(text)]
        return any(are_read)

    def _read_tokens(self, text: str) -> bool:
        """Read the pieces of other text that are DER or PEM in Base64; return whether there are any."""
        are_read = [self._read_decoded(one) for one in decoded_tokens(without_escapes(text))]
        return any(are_read)

    def _read_decoded(self, content: bytes) -> bool:
        """Read what Base64 stands for, where it is DER or PEM; return whether it is that."""
        return self._read_pem(decode_text(content)) if b"-----BEGIN " in content else self._read_der(content)

    def add_certificate(self, der: bytes) -> None:
        """Add the certificate in DER, or a message that it cannot be read."""
        self.certificates_left -= 1
        if self.certificates_left < 0:
            self.messages.append(f"it holds more than {MAX_CERTIFICATES} certificates, as no CA sends them; remove it")
            return
        try:
            self.certificates.append(parse_certificate(der))
        except TlsError:
            number = MAX_CERTIFICATES - self.certificates_left
            self.messages.append(
                f"its certificate number {number} cannot be read; see it with openssl x509 -text, and leave it out, or {COPY_AGAIN}"
            )

    def add_certificates(self, certificates: list[x509.Certificate]) -> None:
        """Add certificates of a library that did not check that all of them can be read."""
        for certificate in certificates[: self.certificates_left + 1]:
            self.add_certificate(certificate.public_bytes(Encoding.DER))

    def _read_pkcs7(self, der: bytes) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of sets out of order, as CAs send them
                certificates = pkcs7.load_der_pkcs7_certificates(der)
        except BaseException as error:
            if not is_failure(error):
                raise
            self.messages.append(
                f"it is PKCS #7 that cannot be read ({error_text(error)}); convert it with openssl pkcs7 -print_certs"
            )
            return
        self.add_certificates(certificates)


def _strings_in(value: t.Any) -> list[str]:
    """Return the strings in JSON, in their order, MAX_JSON_STRINGS at most."""
    strings: list[str] = []
    remaining = [value]
    while remaining and len(strings) < MAX_JSON_STRINGS:
        one = remaining.pop()
        if isinstance(one, str):
            strings.append(one)
        elif (
            isinstance(one, list)
            and one
            and all(isinstance(line, str) for line in one)
            and LINE.match(one[0])
            and "\n" not in one[0]
        ):
            strings.append("\n".join(one))  # the lines of PEM
        elif isinstance(one, (dict, list)):
            remaining += reversed(list(one.values() if isinstance(one, dict) else one))
    return strings


def _sequence_header(der: bytes) -> Header | None:
    """Return the header of a sequence in DER; None for anything else.

    It may be BER of indefinite length, as some programs write PKCS #7.
    """
    if len(der) < MIN_DER_BYTES:
        return None
    try:
        header = read_header(der)
    except ValueError:
        return None
    return header if header.tag == SEQUENCE and header.start <= MAX_DER_HEADER_BYTES else None


def _is_certificate(der: bytes) -> bool:
    """Say whether DER begins as certificates do: with a sequence that begins with a sequence, and is whole."""
    header = _sequence_header(der)
    if header is None or header.end is None or header.end > len(der):
        return False
    inner = _sequence_header(der[header.start :])
    return inner is not None and inner.end is not None and inner.end < header.end - header.start


def _is_whole(der: bytes) -> bool:
    """Say whether DER is one whole sequence, or BER that begins as one."""
    header = _sequence_header(der)
    return header is not None and (header.end is None or header.end <= len(der))


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
