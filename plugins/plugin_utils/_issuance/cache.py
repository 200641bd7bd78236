# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What CAs answered to signing requests of late: a folder of the controller, so that nothing is bought twice.

A request that comes again, from a run that goes on where another was killed or from two controllers at once, gets the
answer that is there.

answers/
├── SHA256.pem      a chain, by the digest of the signing request and of the terms under which it was issued
└── lock            a byte of it for each of them; its time is that of the last look for old answers
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
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    locked,
    read_file,
    replace_file,
    sync_folder,
)

KEPT = datetime.timedelta(days=30)  # for as long, a request may wait on its host
BETWEEN_LOOKS = datetime.timedelta(hours=1)  # for old answers: each looks at every file of the folder
PATIENCE = 900.0  # seconds for which another run may be busy with the same request, say while a CA looks at DNS


class Answers:
    """The answers in a folder, which several controllers may share."""

    def __init__(self, directory: str) -> None:
        self.directory = os.path.abspath(directory)

    # not a parser: it reads what the collection has made or checked
    @contextlib.contextmanager
    def to(self, csr: bytes, terms: dict[str, t.Any]) -> t.Iterator[Answer]:
        """Be the only one who is busy with a signing request; a holder that dies lets go of it."""
        self._make()
        digest = hashlib.sha256(csr + json.dumps(terms, sort_keys=True).encode()).hexdigest()
        with locked(self._path("lock"), PATIENCE, place=int(digest[:15], 16)):
            yield Answer(self, self._path(f"{digest}.pem"))

    def forget(self, serial_number: int) -> None:
        """Have nobody get a certificate any more, say since it is going to be revoked."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.directory):
                chain = _chain_in(self._path(name)) if name.endswith(".pem") else None
                if chain and chain[0].serial_number == serial_number:
                    _remove(self._path(name))

    def look_for_old(self, now: datetime.datetime) -> None:
        """Remove the answers that nobody will ask for again, and what killed runs left half written."""
        if os.stat(self._path("lock")).st_mtime > (now - BETWEEN_LOOKS).timestamp():
            return
        os.utime(self._path("lock"))
        for entry in os.scandir(self.directory):
            with contextlib.suppress(FileNotFoundError):  # another run is at it, too
                if entry.name != "lock" and entry.stat().st_mtime < (now - KEPT).timestamp():
                    _remove(entry.path)

    def _make(self) -> None:
        if os.path.isdir(self.directory):
            return
        above = os.path.dirname(self.directory)
        os.makedirs(above, mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.directory, 0o700)
        sync_folder(os.path.dirname(above))
        sync_folder(above)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)


class Answer:
    """The answer to one signing request, while nobody else is busy with it."""

    def __init__(self, answers: Answers, path: str) -> None:
        self.answers = answers
        self.path = path

    def chain(self) -> list | None:
        """Return the chain that is there, or None. It is to be checked as one that comes from the CA."""
        return _chain_in(self.path)

    def keep(self, chain: list, now: datetime.datetime) -> None:
        """Have a chain there for who asks next; on the disk when this returns."""
        replace_file(self.path, to_pem(chain), mode=0o600)
        self.answers.look_for_old(now)


def _chain_in(path: str) -> list | None:
    try:
        return parse_chain(read_file(path) or b"")
    except TlsError:
        return None


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
