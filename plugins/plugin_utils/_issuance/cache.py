# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cache of issued chains: a folder of the controller, so that no certificate is bought twice.

A run that continues where another was killed, and a second controller at the same time, send the same signing request again.
They get the chain that was issued for it.

answers/
├── SHA256.pem      an issued chain, by the digest of its CSR and of the terms under which it was issued
├── SHA256.refused  how often the answer for such a CSR was refused, and when its CA may be asked again
└── lock            one byte of it is locked for each CSR; its modification time is that of the last clean-up
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    locked,
    read_file,
    replace_file,
    sync_folder,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import date_to_wait_for

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_AGE = datetime.timedelta(days=30)  # of a chain; a request may wait on its host for as long
CLEANUP_INTERVAL = datetime.timedelta(hours=1)  # a clean-up looks at every file of the folder
REFUSAL_BACKOFFS = [
    datetime.timedelta(minutes=minutes) for minutes in (1, 10, 100, 1440)
]  # after each refusal in a row
LOCK_TIMEOUT_S = 900.0  # another run may hold the lock of a CSR while its CA looks at DNS


class IssuedCache:
    """The issued chains in a folder, which several controllers may share."""

    def __init__(self, directory: str) -> None:
        self.directory = os.path.abspath(directory)

    # not a parser: it reads what the collection has made or checked
    @contextlib.contextmanager
    def entry(self, csr: bytes, terms: dict[str, t.Any]) -> t.Iterator[CachedChain]:
        """Hold the lock of a CSR and yield its entry. The lock is released when its holder dies.

        Raises TlsError when another process holds it for longer than LOCK_TIMEOUT_S.
        """
        self._make()
        digest = hashlib.sha256(csr + json.dumps(terms, sort_keys=True).encode()).hexdigest()
        with locked(self._path("lock"), LOCK_TIMEOUT_S, offset=int(digest[:15], 16)):
            yield CachedChain(self, self._path(f"{digest}.pem"), self._path(f"{digest}.refused"))

    def forget(self, serial_number: int) -> None:
        """Remove the chain of the certificate with this serial number, for instance before it is revoked."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.directory):
                chain = _read_chain(self._path(name)) if name.endswith(".pem") else None
                if chain and chain[0].serial_number == serial_number:
                    _remove(self._path(name))

    def remove_expired(self, now: datetime.datetime) -> None:
        """Remove entries older than MAX_AGE, and temporary files of killed runs, once per CLEANUP_INTERVAL."""
        if os.stat(self._path("lock")).st_mtime > (now - CLEANUP_INTERVAL).timestamp():
            return
        os.utime(self._path("lock"))
        for entry in os.scandir(self.directory):
            with contextlib.suppress(FileNotFoundError):  # another run cleans up as well
                if entry.name != "lock" and entry.stat().st_mtime < (now - MAX_AGE).timestamp():
                    _remove(entry.path)

    def _make(self) -> None:
        if os.path.isdir(self.directory):
            return
        parent = os.path.dirname(self.directory)
        os.makedirs(parent, mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.directory, 0o700)
        sync_folder(os.path.dirname(parent))
        sync_folder(parent)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)


class CachedChain:
    """The entry of one CSR, while its lock is held."""

    def __init__(self, cache: IssuedCache, path: str, refusal_path: str) -> None:
        self.cache = cache
        self.path = path
        self.refusal_path = refusal_path

    def read(self) -> list[x509.Certificate] | None:
        """Return the cached chain, or None. Check it as if it came from the CA."""
        return _read_chain(self.path)

    def write(self, chain: list[x509.Certificate], now: datetime.datetime) -> None:
        """Cache a chain. It is on the disk when this returns. Raises OSError."""
        replace_file(self.path, to_pem(chain), mode=0o600)
        _remove(self.refusal_path)
        self.cache.remove_expired(now)

    def check_refusals(self, now: datetime.datetime) -> None:
        """Raise TlsError where an answer was refused a short while ago: asking again may cost, and changes nothing."""
        record = self._refusals()
        until = date_to_wait_for(record.get("until"), REFUSAL_BACKOFFS[-1], now)
        if until:
            raise TlsError(
                f"the CA is asked again from {format_date(until)} on, since what it issued was refused: {record.get('sentence') or 'nobody knows why'}; "
                f"once that is put right, remove {self.refusal_path} to have it asked at once"
            )

    def record_refusal(self, sentence: str, now: datetime.datetime) -> None:
        """Record that an answer of the CA was refused. Raises OSError."""
        before = self._refusals().get("count")
        count = before + 1 if isinstance(before, int) and before > 0 else 1
        until = now + REFUSAL_BACKOFFS[min(count, len(REFUSAL_BACKOFFS)) - 1]
        record = {"count": count, "until": until.isoformat(), "sentence": sentence}
        replace_file(self.refusal_path, json.dumps(record).encode() + b"\n", mode=0o600)

    def _refusals(self) -> dict[str, t.Any]:
        try:
            record = json.loads(read_file(self.refusal_path) or b"{}")
        except (ValueError, RecursionError, OSError, TlsError):
            return {}
        return record if isinstance(record, dict) else {}


def _read_chain(path: str) -> list[x509.Certificate] | None:
    try:
        return parse_chain(read_file(path) or b"")
    except (TlsError, OSError):  # a folder or a pipe of that name, or one that somebody else owns
        return None


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
