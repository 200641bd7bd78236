# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What programs and people make of the text of certificates: encodings, markup, marks of quotation, and Base64 without the lines of PEM.

The texts come from strangers. Each function takes time in proportion to their length.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import typing as t
import urllib.parse

BYTE_ORDER_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# Two characters of PEM, or of a certificate in Base64, in UTF-16 without a mark.
WIDE_CHARACTERS = re.compile(rb"-\0-\0|M\0I\0I\0")
ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|nbsp|shy|ndash|mdash|minus|plus|equals|sol);")
URL_ENCODED = re.compile(r"BEGIN(%20|\+)[A-Z]")
COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
MARKUP = re.compile(r"<[^<>]{0,300}>|\\(?:par|pard|line|tab)\b")  # HTML and RTF
BASE64_RUN = re.compile(r"[A-Za-z0-9+/]+={0,2}")
BASE64_FILE = re.compile(r"[A-Za-z0-9+/][A-Za-z0-9+/=]*")
URL_SAFE_FILE = re.compile(r"[A-Za-z0-9_-]+={0,2}")
# The beginnings of a certificate and of PEM, in Base64, that stand in other text.
TOKEN = re.compile(r"(?<![A-Za-z0-9+/])(?:MI[IGH]|LS0tLS1CRUdJTi)[A-Za-z0-9+/\s]+={0,2}")
MIN_TOKEN_CHARACTERS = 100


def decode_text(content: bytes) -> str:
    """Return the text of a file without byte order mark: UTF-16 as Windows writes it, UTF-8, or one byte for each character."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    wide = WIDE_CHARACTERS.search(content)
    if wide:
        return content.decode("utf-16-be" if wide.start() % 2 else "utf-16-le", "replace")
    try:
        return content.decode("utf-8-sig")
    except ValueError:
        return content.decode("cp1252", "replace")


def without_escapes(text: str) -> str:
    """Return text without what is written for single characters: line breaks, entities of HTML, codes of URLs, colours, odd spaces."""
    if "\\n" in text:  # line breaks that are written out: variables of CI systems, copied JSON
        text = text.replace("\\r", "").replace("\\n", "\n").replace("\\/", "/")
    if URL_ENCODED.search(text):
        text = urllib.parse.unquote_plus(text)
    if ENTITY.search(text):
        text = html.unescape(text)
    if "\x1b" in text:
        text = COLOUR.sub("", text)
    return text.replace("\u00a0", " ")


def decode_base64(text: str) -> bytes:
    """Return what Base64 stands for, empty where it is none. Line breaks and marks of quotation between its characters are passed over."""
    try:
        return base64.b64decode(text.encode("ascii", "ignore"))
    except (binascii.Error, ValueError):
        return b""


def decoded_bodies(body: str) -> t.Iterator[bytes]:
    """Yield what the text between two lines of PEM may stand for: as it is, without markup, and without marks around its lines."""
    lines = [line for line in body.splitlines() if ":" not in line]  # headers of RFC 1421
    yield decode_base64("".join(lines))
    unmarked = MARKUP.sub("\n", body)
    yield decode_base64("".join(unmarked.split()))
    lines = [line.strip() for line in unmarked.splitlines() if line.strip()]
    if lines and all(line.startswith("+") for line in lines):  # added in a difference
        lines = [line[1:] for line in lines]
    runs = [max(BASE64_RUN.findall(line), key=len, default="") for line in lines]
    yield decode_base64("".join(run for run in runs if len(run) % 4 == 0))


def decoded_file(text: str) -> list[bytes]:
    """Return what a text that is nothing but Base64 stands for, piece by piece; empty for another text."""
    joined = "".join(text.split())
    if BASE64_FILE.fullmatch(joined):
        return [decode_base64(piece) for piece in BASE64_RUN.findall(joined)]
    if URL_SAFE_FILE.fullmatch(joined):  # RFC 4648, section 5
        return [
            decode_base64(
                joined.rstrip("=").translate({ord("-"): "+", ord("_"): "/"}) + "=" * (-len(joined.rstrip("=")) % 4)
            )
        ]
    return []


def decoded_tokens(text: str) -> t.Iterator[bytes]:
    """Yield what the long pieces of Base64 in a text stand for that begin as certificates or PEM do: in XML, in YAML of Kubernetes."""
    for match in TOKEN.finditer(text):
        token = "".join(match.group().split())
        if len(token) >= MIN_TOKEN_CHARACTERS:
            yield decode_base64(token if token.endswith("=") else token[: len(token) // 4 * 4])
