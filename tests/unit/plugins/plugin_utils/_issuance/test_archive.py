# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives of strangers: what is in them, and how little it takes to see that one is not to be unpacked."""

from __future__ import annotations

import bz2
import io
import struct
import time
import zipfile
import zlib

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.file_formats import MAX_MESSAGES
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.archive import (
    MAX_ARCHIVE_BYTES,
    MAX_FILES_IN_ARCHIVE,
    MAX_UNPACKED_BYTES,
    TOO_LARGE,
    ArchiveBudget,
    unpack,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.certificate_files import read_certificates
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority

STORED, DEFLATED, BZIP2, LZMA, ENCRYPTED = 0, 8, 12, 14, 1
ROOT = Authority("Archive Root CA")
CENTRAL = "<IHHHHHHIIIHHHHHII"


def archive(members, is_shared=False):
    """Return an archive of (name, data, size, method, flags, checksum), of which none needs to be true.

    is_shared: all entries of its list are for the first member.
    """
    file, entries, place = io.BytesIO(), [], 0
    for number, (name, data, size, method, flags, checksum) in enumerate(members):
        if not (is_shared and number):
            place = file.tell()
            header = (0x04034B50, 46, flags, method, 0, 0x21, checksum, len(data), size, len(name), 0)
            file.write(struct.pack("<IHHHHHIIIHH", *header) + name + data)
        entry = (0x02014B50, 46, 46, flags, method, 0, 0x21, checksum, len(data), size, len(name), 0, 0, 0, 0, 0, place)
        entries.append(struct.pack(CENTRAL, *entry) + name)
    start, listing = file.tell(), b"".join(entries)
    count = min(len(entries), 0xFFFF)
    file.write(listing + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(listing), start, 0))
    return file.getvalue()


def deflated(content):
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def member(name, data, size=None, method=STORED, flags=0, checksum=1):
    return name, data, len(data) if size is None else size, method, flags, checksum


MIB = 1024 * 1024
ZEROS = deflated(bytes(MAX_ARCHIVE_BYTES))
HOSTILE = {
    "files with a wrong checksum": lambda: archive(
        [member(b"%x" % n, ZEROS, MAX_ARCHIVE_BYTES, DEFLATED) for n in range(200)]
    ),
    "bzip2 with a wrong checksum": lambda: archive(
        [
            member(b"%x" % n, packed, MAX_ARCHIVE_BYTES, BZIP2)
            for packed in [bz2.compress(bytes(MAX_ARCHIVE_BYTES))]
            for n in range(30)
        ]
    ),
    "protected files": lambda: archive([member(b"%x" % n, b"", flags=ENCRYPTED) for n in range(2000)]),
    "protected files within the limit": lambda: archive([member(b"%x" % n, b"", flags=ENCRYPTED) for n in range(900)]),
    "folders": lambda: archive([member(b"%x/" % n, b"", checksum=0) for n in range(60_000)]),
    "one file under many names": lambda: archive(
        [member(b"a", deflated(bytes(MIB)) + b"\0" * 5000, MIB, DEFLATED)] * 900, is_shared=True
    ),
    "empty blocks that share their bytes": lambda: archive(
        [member(b"a", b"\0\0\0\xff\xff" * MIB, 0, DEFLATED)] * 900, is_shared=True
    ),
    "archives of protected files": lambda: archive(
        [
            member(b"%x.zip" % n, inner, checksum=zlib.crc32(inner))
            for n, inner in enumerate([archive([member(b"%x" % m, b"", flags=ENCRYPTED) for m in range(90)])] * 20)
        ]
    ),
    "a size that is a lie": lambda: archive([member(b"a", ZEROS, 5, DEFLATED)] * 30),
    "nothing but ends": lambda: b"PK\x03\x04" + b"PK\x01\x02" * 500_000,
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_becomes_of_a_file_it_counts(hostile):
    content = HOSTILE[hostile]()
    assert len(content) <= MAX_ARCHIVE_BYTES
    start = time.process_time()
    parsed = read_certificates(content)
    assert time.process_time() - start < 3
    assert parsed.certificates == [] and 1 <= len(parsed.messages) <= MAX_MESSAGES + 1
    assert all(";" in message and len(message) < 300 for message in parsed.messages)


def test_no_more_is_unpacked_than_is_allowed(monkeypatch):
    content = HOSTILE["files with a wrong checksum"]()
    budget, messages, chunks = ArchiveBudget(), [], []
    read = zipfile.ZipExtFile.read

    def count(stream, size):
        assert 0 < size <= MIB
        chunks.append(read(stream, size))
        return chunks[-1]

    monkeypatch.setattr(zipfile.ZipExtFile, "read", count)
    assert list(unpack(content, 0, budget, messages)) == []
    assert sum(map(len, chunks)) <= MAX_UNPACKED_BYTES + MIB
    assert messages[-1] == TOO_LARGE and budget.is_spent


def test_a_budget_is_that_of_the_file_and_of_all_archives_in_it():
    inner = archive([member(b"%x" % n, b"x", checksum=zlib.crc32(b"x")) for n in range(MAX_FILES_IN_ARCHIVE // 2)])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as outer:
        for number in range(3):
            outer.writestr(f"{number}.zip", inner)
        outer.writestr("root.pem", ROOT.pem)
    assert TOO_LARGE in read_certificates(packed.getvalue()).messages


def test_a_bad_file_in_an_archive_hides_no_other():
    good = (b"root.pem", ROOT.pem, len(ROOT.pem), STORED, 0, zlib.crc32(ROOT.pem))
    lzma = member(b"b.pem", b"\x09\x04\x05\x00\x5d\x00\x00\x00\x01" + b"\xff" * 40, 100, LZMA)
    odd = member(b"c\n.pem", b"\xff" * 40, 100, DEFLATED)
    parsed = read_certificates(archive([member(b"a", b"", flags=ENCRYPTED), lzma, odd, good]))
    assert parsed.certificates == [ROOT.certificate]
    protected, other, damaged = parsed.messages
    assert protected == "a in it is protected by a password; unpack it yourself"
    assert other.startswith("b.pem in it is something that is archived in a way that is not read here; ")
    assert damaged.startswith("c?.pem in it cannot be unpacked (error: ") and damaged.endswith("; have it sent again")
