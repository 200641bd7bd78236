# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The queue of a manual CA: a folder of the controller with one JSON record per request, named by the digest of its public key."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import csr_to_pem, load_csr, ordered_names
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import describe_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file, replace_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import key_digest
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import expect_date
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

PENDING, ISSUED, WITHDRAWN = "waiting", "answered", "withdrawn"  # the states of a record
TEXTS = ("key", "host", "request", "reason", "asked_by", "handed_in", "stem", "state", "csr", "kind", "subject")
OPTIONAL_TEXTS = ("by", "fingerprint", "chain", "why", "closed")  # these and TEXTS: keys of a QueueRecord
MAX_UNREADABLE = 5  # records that are named
MAX_RECORD_AGE = datetime.timedelta(days=400)  # of a closed record, so that a late certificate is recognized


class CsrContent(t.TypedDict):
    """What people read of a CSR, and the CSR."""

    names: list[str]
    kind: str  # of its key
    subject: str
    csr: str  # PEM


class QueueRecord(CsrContent):
    """A request. Dates are in ISO 8601."""

    key: str  # digest of its public key
    host: str
    request: str  # its name
    reason: str
    by: str | None  # when the certificate in use expires
    asked_by: str
    handed_in: str
    stem: str  # of its files in the outbox
    earlier: list[str]  # fingerprints of certificates that were issued for the key before
    fingerprint: str | None  # of the issued certificate
    chain: str | None  # issued, PEM
    state: str
    why: str | None  # it is not pending any more
    closed: str | None
    validation: t.NotRequired[list[str]]  # what the CA wants to see, for people


# not a parser: it reads a CSR that was checked
def csr_content(csr: bytes) -> CsrContent:
    """Return what stands in a CSR, names in its order: people are told what they hand in, not what somebody wanted."""
    parsed = load_csr(csr)
    return {
        "names": ordered_names(parsed),
        "kind": describe_key(parsed.public_key()),
        "subject": parsed.subject.rfc4514_string(),
        "csr": csr_to_pem(parsed).decode(),
    }


# not a parser: it reads a CSR that was checked
def csr_key_digest(csr: bytes) -> str:
    """Return the digest of the public key of a CSR, by which its record is named."""
    return key_digest(load_csr(csr).public_key())


# not a parser: it reads what the collection has made or checked
def is_pending(record: QueueRecord, csr: bytes) -> bool:
    """Return whether a record waits for the answer to this CSR; one of the same key may ask for something else."""
    try:
        waiting = load_csr(record["csr"].encode())
    except TlsError:
        return False
    return record["state"] == PENDING and waiting.tbs_certrequest_bytes == load_csr(csr).tbs_certrequest_bytes


class Queue:
    """The records in a folder. The caller of a method that changes one holds the lock of the issuer."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def records(self) -> list[QueueRecord]:
        """Return all records that can be read, the oldest first; unreadable() tells of the others."""
        records = []
        for key in self._keys():
            with contextlib.suppress(TlsError, OSError):
                record = self.get(key)
                records += [record] if record is not None else []
        return sorted(records, key=lambda record: (record["handed_in"], record["key"]))

    def unreadable(self) -> list[str]:
        """Return a sentence about each record that cannot be read, MAX_UNREADABLE at most."""
        sentences = []
        for key in self._keys():
            try:
                self.get(key)
            except TlsError as error:
                sentences.append(str(error))
            except OSError as error:
                sentences.append(str(system_error(error)))
        return sentences[:MAX_UNREADABLE]

    def _keys(self) -> list[str]:
        try:
            names = sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return []
        return [name.removesuffix(".json") for name in names if name.endswith(".json") and not name.startswith(".")]

    def pending(self, host: str | None = None) -> list[QueueRecord]:
        """Return the records that are pending, of one host or of all."""
        return [one for one in self.records() if one["state"] == PENDING and host in (None, one["host"])]

    # not a parser: it reads what the collection has made or checked
    def get(self, key: str) -> QueueRecord | None:
        """Return the record of a public key, or None. Raises TlsError when it is malformed."""
        path = self._path(key)
        content = read_file(path)
        if content is None:
            return None
        with reject_malformed_input(f"{path} is no record of a request; restore it from a backup, or remove it"):
            record: QueueRecord = json.loads(content)
            values: dict[str, t.Any] = {**record}
            if (
                record["key"] != key
                or os.sep in record["stem"]
                or not all(isinstance(values[one], str) for one in TEXTS)
            ):
                raise ValueError(key)
            if not all(values[one] is None or isinstance(values[one], str) for one in OPTIONAL_TEXTS):
                raise ValueError(key)
            if not all(
                isinstance(one, str) for name in ("names", "earlier", "validation") for one in values.get(name, [])
            ):
                raise ValueError(key)
            if not all(isinstance(one, str) for one in record.get("validation", [])):
                raise ValueError(key)
            expect_date(record["handed_in"])
            if record["closed"]:
                expect_date(record["closed"])
        return record

    # not a parser: it reads what the collection has made or checked
    def put(self, record: QueueRecord) -> None:
        """Write a record, and replace the previous one."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        content = json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n"
        replace_file(self._path(record["key"]), content, mode=0o600)

    # not a parser: it reads what the collection has made or checked
    def close_issued(self, record: QueueRecord, chain: list[x509.Certificate], now: datetime.datetime) -> None:
        """Write that a chain was issued for a request."""
        issued: QueueRecord = {**record, "fingerprint": fingerprint(chain[0]), "chain": to_pem(chain).decode()}
        self._close(issued, ISSUED, "it was answered", now)

    def close_withdrawn(self, record: QueueRecord, why: str, now: datetime.datetime) -> None:
        """Write that a request is withdrawn."""
        self._close(record, WITHDRAWN, why, now)

    def remove_old(self, now: datetime.datetime) -> None:
        """Remove records that were closed more than MAX_RECORD_AGE ago."""
        for record in self.records():
            closed = record["closed"]
            if record["state"] != PENDING and closed and expect_date(closed) < now - MAX_RECORD_AGE:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path(record["key"]))

    def _close(self, record: QueueRecord, state: str, why: str, now: datetime.datetime) -> None:
        self.put({**record, "state": state, "why": why, "closed": now.isoformat(timespec="seconds")})

    def _path(self, key: str) -> str:
        return os.path.join(self.directory, f"{key}.json")
