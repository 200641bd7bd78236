# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions to resolvers and their answers in the format of DNS (RFC 1035, section 4), for hosts without a library for it.

The controller has dnspython. This module reads only what one question needs: the TXT or CAA records of a name.
"""

from __future__ import annotations

import struct
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

TXT, CAA, OPT = 16, 257, 41
TYPE_NAMES = {TXT: "TXT", CAA: "CAA"}
CLASS_IN = 1
NO_ERROR, NAME_ERROR = 0, 3
RCODES = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED"}  # RFC 1035, section 4.1.1
PAYLOAD_BYTES = 1232  # that an answer may have over UDP (RFC 6891); larger ones may be lost in fragments
MAX_MESSAGE_BYTES = 4096
MAX_RECORDS = 100
MAX_LABEL_BYTES, MAX_NAME_BYTES = 63, 255
MAX_POINTERS = 20  # in one name; each leads further to the front (RFC 1035, section 4.1.4)
HEADER = struct.Struct("!HHHHHH")
RECORD = struct.Struct("!HHIH")  # type, class, TTL, length of the data
IS_RESPONSE, OPCODE, IS_TRUNCATED, RECURSION_DESIRED, RCODE = 0x8000, 0x7800, 0x0200, 0x0100, 0x000F
REMEDY = "see which resolver answers there"


class Question(t.NamedTuple):
    """A question for the records of a name."""

    identifier: int  # chosen by chance, which the answer repeats
    name: str
    record_type: int  # TXT or CAA

    # not a parser: it writes a question of the collection
    def to_bytes(self) -> bytes:
        """Return the question with EDNS (RFC 6891). Raises TlsError for what is no name."""
        header = HEADER.pack(self.identifier, RECURSION_DESIRED, 1, 0, 0, 1)
        edns = b"\0" + RECORD.pack(OPT, PAYLOAD_BYTES, 0, 0)
        return header + encode_name(self.name) + struct.pack("!HH", self.record_type, CLASS_IN) + edns


def encode_name(name: str) -> bytes:
    r"""Return a name as DNS has it. Raises TlsError for what is no name.

    >>> encode_name("a.example")
    b'\x01a\x07example\x00'
    """
    labels = [label.encode("ascii", "replace") for label in name.split(".")]
    encoded = b"".join(bytes([len(label) & 0xFF]) + label for label in labels) + b"\0"
    if any(not 1 <= len(label) <= MAX_LABEL_BYTES for label in labels) or len(encoded) > MAX_NAME_BYTES:
        raise TlsError(f"{name[:MAX_NAME_BYTES]!r} is no name in DNS; correct it")
    return encoded


def read_answer(message: bytes, question: Question) -> list[str]:
    """Return the records in the answer to a question as texts, sorted and each once, those behind CNAME records included.

    Raises TlsError for what is no answer to it, and for an answer that is an error or truncated.
    """
    if not HEADER.size <= len(message) <= MAX_MESSAGE_BYTES:
        raise TlsError(f"an answer of DNS has {len(message)} bytes; {REMEDY}")
    identifier, flags, questions, answers, _authorities, _additional = HEADER.unpack_from(message)
    if identifier != question.identifier or not flags & IS_RESPONSE or flags & OPCODE or questions != 1:
        raise TlsError(f"an answer of DNS is to another question; {REMEDY}")
    name, offset = _read_name(message, HEADER.size)
    if name != encode_name(question.name).lower() or message[offset : offset + 4] != struct.pack(
        "!HH", question.record_type, CLASS_IN
    ):
        raise TlsError(f"an answer of DNS is to another question; {REMEDY}")
    rcode = flags & RCODE
    if rcode not in (NO_ERROR, NAME_ERROR):
        raise TlsError(f"the resolver answers {RCODES.get(rcode, f'with the code {rcode}')}; see why, there")
    if flags & IS_TRUNCATED:
        raise TlsError("the answer is too large for UDP; ask there with dig")
    if answers > MAX_RECORDS:
        raise TlsError(f"an answer of DNS has {answers} records, more than {MAX_RECORDS}; {REMEDY}")
    return sorted(set(_read_records(message, offset + 4, answers, question.record_type)))


def _read_records(message: bytes, offset: int, count: int, record_type: int) -> t.Iterator[str]:
    for _number in range(count):
        _name, offset = _read_name(message, offset)
        if offset + RECORD.size > len(message):
            raise _broken()
        kind, record_class, _ttl, length = RECORD.unpack_from(message, offset)
        offset += RECORD.size
        data = message[offset : offset + length]
        if len(data) < length:
            raise _broken()
        offset += length
        if (kind, record_class) == (record_type, CLASS_IN):
            yield _read_txt(data) if kind == TXT else _read_caa(data)


def _read_name(message: bytes, offset: int) -> tuple[bytes, int]:
    """Return a name in lower case and without compression, and the offset behind it."""
    labels: list[bytes] = []
    size, pointers, end = 1, 0, 0
    start = offset  # of the part that is read; a pointer leads in front of it, so that none leads in a circle
    while True:
        if offset >= len(message):
            raise _broken()
        length = message[offset]
        if length == 0:
            return b"".join(labels).lower() + b"\0", end or offset + 1
        if length <= MAX_LABEL_BYTES:
            label = message[offset : offset + 1 + length]
            size += len(label)
            if len(label) <= length or size > MAX_NAME_BYTES:
                raise _broken()
            labels.append(label)
            offset += 1 + length
            continue
        target = ((length & 0x3F) << 8) + (message[offset + 1] if offset + 1 < len(message) else 0)
        pointers += 1
        if length < 0xC0 or target >= start or offset + 2 > len(message) or pointers > MAX_POINTERS:
            raise _broken()
        end = end or offset + 2
        start = offset = target


def _read_txt(data: bytes) -> str:
    """Return the strings of a TXT record as one (RFC 1035, section 3.3.14)."""
    text, offset = b"", 0
    while offset < len(data):
        length = data[offset]
        string = data[offset + 1 : offset + 1 + length]
        if len(string) < length:
            raise _broken()
        text += string
        offset += 1 + length
    return _as_text(text)


def _read_caa(data: bytes) -> str:
    """Return a CAA record as zone files have it (RFC 8659, section 4.1)."""
    length = data[1] if len(data) > 1 else 0
    tag = data[2 : 2 + length]
    if not length or len(tag) < length:
        raise _broken()
    return f'{data[0]} {_as_text(tag)} "{_as_text(data[2 + length :])}"'


def _as_text(value: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03d}" for byte in value)


def _broken() -> TlsError:
    return TlsError(f"an answer of DNS is malformed; {REMEDY}")
