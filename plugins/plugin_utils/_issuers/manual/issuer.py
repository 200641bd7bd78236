# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The issuer C(type: manual): a CA with which people deal. CSRs go into an outbox, and the certificates of the CA into an inbox.

manual/NAME/
├── outbox/        for each request a CSR, a manifest, and a page for a ticket
├── inbox/         the files of the CA, as they came
├── taken/         files of the inbox that were used
├── requests/      a record of each request, by its public key (queue.py)
├── answers/       the cache of issued chains (IssuedCache)
└── lock
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import socket
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    fingerprint,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import locked
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._current_user import user_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import absolute_folder
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import check_issued_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import NO_CROSS_SIGNING
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import (
    IssuedRecords,
    RecordedIssuer,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import (
    Pending,
    expect_date,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.roots import read_roots, system_roots
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.settings_files import read_setting
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import (
    IssueRequest,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.inbox import (
    PRIVATE_KEY_MESSAGE,
    InboxFile,
    certificate_key_digest,
    is_finished,
    read_inbox,
    unused_file_messages,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.intermediates import (
    best_chain,
    fetch_intermediates,
    leads_to_root,
    missing_intermediate,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.outbox import Outbox, file_stem
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.queue import (
    ISSUED,
    PENDING,
    Queue,
    QueueRecord,
    csr_content,
    csr_key_digest,
    is_pending,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.validation import (
    ValidationChecks,
    check_unused,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass


MAX_CANDIDATES = 20  # certificates for one key whose chains are looked for, the newest ones


class Manual(ValidationChecks, RecordedIssuer):
    """The issuer C(type: manual)."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        "directory": {"type": "path"},
        "outbox": {"type": "path"},
        "inbox": {"type": "path"},
        "bundle": {"type": "bool", "default": False},
        "roots": {"type": "path"},
        "intermediates": {"type": "path"},
        "aia": {"type": "bool", "default": False},
        "passwords": {"type": "list", "elements": "str", "default": [], "no_log": True},
        "patience": {"type": "str", "default": "90d"},
        "asked_by": {"type": "str"},
        "resolvers": {"type": "list", "elements": "str", "default": []},
        "caa_identities": {"type": "list", "elements": "str", "default": []},
    }
    # People are slow, and commercial CAs have rules of their own.
    issued_records: IssuedRecords
    DEFAULTS: t.ClassVar[dict[str, t.Any]] = {"type": "RSA", "size": 2048, "renew_before": "1/2", "rules": "public"}

    def __init__(self, directory: str, **settings: t.Any) -> None:
        self.directory = absolute_folder("directory", directory)
        self.inbox = absolute_folder("inbox", settings["inbox"] or self._path("inbox"))
        self.outbox = Outbox(
            absolute_folder("outbox", settings["outbox"] or self._path("outbox")), self.inbox, settings["bundle"]
        )
        self.patience = parse_duration(settings["patience"])
        self.settings = settings
        self.queue = Queue(self._path("requests"))
        self.cache_directory = self._path("answers")
        self.issued_records = IssuedRecords(self._path("issued"))
        self.remarks: list[str] = []
        self.cross_signing = NO_CROSS_SIGNING
        self.certificate_files: dict[str, str] = {}
        self.is_public = self.may_add_subject = False

    @staticmethod
    def settings_of_name(name: str) -> dict[str, t.Any]:
        """Return the directory that follows from the name of an issuer."""
        return {"directory": f"~/.evergreen/manual/{re.sub(r'[^A-Za-z0-9_.-]', '_', name).lstrip('.') or '_'}"}

    def roots(self) -> bytes | None:
        """Return the roots that clients trust, in PEM; None for those of the system."""
        return read_roots(self.settings["roots"])

    def terms(self, request: Request) -> dict[str, t.Any]:
        """Return nothing: the CA decides by the CSR alone."""
        return {}

    def issue(self, request: IssueRequest, csr: bytes, host: str) -> bytes | Pending:
        """Return the chain for a CSR if the inbox has one; else put the CSR into the outbox, once.

        Raises TlsError when the inbox has a certificate for the CSR that is refused, or one that a private key comes with.
        """
        result = self._issue(request, csr, host, _now())
        return self.with_validation(result, request) if isinstance(result, Pending) else result

    def _issue(self, request: IssueRequest, csr: bytes, host: str, now: datetime.datetime) -> bytes | Pending:
        with self._opened():
            self._withdraw_old(now)
            record = self.queue.get(csr_key_digest(csr))
            if self.is_public:
                check_unused(record, request, csr, host)
            is_new = record is None or not is_pending(record, csr)
            if record is None or not is_pending(record, csr):
                issued_before = self._issued_before(record, request, csr, now)
                if record and issued_before:
                    self._clear_outbox([record])
                    return issued_before
                record = self._hand_in(record, request, csr, host, now)
            else:
                record = self._with_new_validation(record, request)
            files = read_inbox(self.inbox, self.settings["passwords"])
            chain = self._chain_in(files, record, request, csr, now)
            if chain is None:
                return self._pending(files, record, request, is_new)
            self._clear_outbox([record])  # first: a run that is killed in between finds the certificate again
            self.queue.close_issued(record, chain, now)
            records = self._records()
            self._move_to_taken([file for file in files if is_finished(file, records)], now)
            self.remarks = [*unused_file_messages(files, records), *self.queue.unreadable()]
            return to_pem(chain)

    def find_pending(self, request: IssueRequest, csr: bytes, host: str) -> Pending | None:
        """Return the Pending that issue() would return, and change nothing."""
        record = self.queue.get(csr_key_digest(csr))
        if record is None or not is_pending(record, csr):
            return None
        files = read_inbox(self.inbox, self.settings["passwords"]) if os.path.isdir(self.inbox) else []
        if self._chain_in(files, record, request, csr, _now()) is not None:
            return None
        return self.with_validation(self._pending(files, record, request, is_new=False), request)

    def withdraw(self, host: str, name: str) -> bool:
        """Withdraw the pending requests of a host with this name; return whether there were any."""
        if name not in self.pending_names(host):
            return False
        with self._opened():
            records = [record for record in self.queue.pending(host) if record["request"] == name]
            self._withdraw(records, "it was withdrawn, since it is no longer wanted", _now())
        return bool(records)

    def pending_names(self, host: str) -> list[str]:
        """Return the names of the pending requests of a host."""
        return [record["request"] for record in self.queue.pending(host)]

    def record(self, request: Request, chain: list[x509.Certificate], host: str) -> None:
        """Write down for whom the certificate was issued."""
        self.issued_records.add(host, request["name"], chain[0])

    def revoke(self, serial_number: str, reason: str, pretend: bool = False) -> bool:
        """Raise TlsError: the people of the CA revoke. What is named here is not used again."""
        if not pretend:
            self.issued_records.mark_revoked(serial_number, reason)
        raise TlsError(
            f"a certificate of a CA with people in it is revoked by them; tell them its serial number {serial_number} and the reason {reason}"
            + self.issued_records.unrecorded_sentence(serial_number)
        )

    @contextlib.contextmanager
    def _opened(self) -> t.Iterator[None]:
        """Make the folders where they are missing, and hold the lock of the issuer."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        for folder in (self.outbox.directory, self.inbox):
            os.makedirs(folder, exist_ok=True)
        with locked(self._path("lock")):
            yield

    # not a parser: it only passes on foreign input
    def _hand_in(
        self, before: QueueRecord | None, request: IssueRequest, csr: bytes, host: str, now: datetime.datetime
    ) -> QueueRecord:
        """Write a request into outbox and queue; withdraw pending ones of the same host and name.

        before: the closed record of the same public key.
        """
        from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.validation import describe_validation

        pending, key = self.queue.pending(), csr_key_digest(csr)
        replaced = [
            one for one in pending if one["key"] == key or (one["host"], one["request"]) == (host, request["name"])
        ]
        self._withdraw(replaced, "another one took its place", now)
        earlier = list(before["earlier"]) if before else []
        if before and before["fingerprint"]:
            earlier.append(before["fingerprint"])
        used_stems = [one["stem"] for one in pending if one not in replaced]
        valid = request.get("valid")
        record: QueueRecord = {
            "key": key,
            "host": host,
            "request": request["name"],
            **csr_content(csr),
            "validation": describe_validation(request.get("validation")),
            "reason": request.get("reason") or "a certificate is needed",
            "by": valid.get("not_after") if valid else None,
            "asked_by": self.settings["asked_by"] or f"{user_name()} on {socket.gethostname()}",
            "handed_in": now.isoformat(timespec="seconds"),
            "stem": file_stem(request["name"], host, key, used_stems),
            "earlier": earlier,
            "fingerprint": None,
            "chain": None,
            "state": PENDING,
            "why": None,
            "closed": None,
        }
        record = json.loads(json.dumps(record))  # plain strings, since YAML cannot write Ansible's tagged ones
        self.outbox.put(record)  # before the queue: a run that is killed in between does it again
        self.outbox.write_bundle([*self.queue.pending(), record])
        self.queue.put(record)
        return record

    # not a parser: it reads what the collection has made or checked
    def _issued_before(
        self, record: QueueRecord | None, request: IssueRequest, csr: bytes, now: datetime.datetime
    ) -> bytes | None:
        """Return the chain that was issued for this CSR before, in PEM; else None.

        It has to be good still, and not the one in use.
        """
        if record is None or record["state"] != ISSUED or record["fingerprint"] == request.get("in_use"):
            return None
        try:
            issued = (record["chain"] or "").encode()
            public_key = load_csr(csr).public_key()
            return to_pem(check_issued_chain(issued, public_key, request, self.roots(), now, self.cross_signing))
        except TlsError:
            return None

    def _chain_in(
        self, files: list[InboxFile], record: QueueRecord, request: IssueRequest, csr: bytes, now: datetime.datetime
    ) -> list[x509.Certificate] | None:
        """Return the chain of the newest certificate for a request in the inbox; None while there is none.

        Raises TlsError when all of them are refused.
        """
        known = {*record["earlier"], request.get("in_use")}
        candidates = [
            (file, certificate)
            for file in files
            for certificate in file.certificates
            if certificate_key_digest(certificate) == record["key"] and fingerprint(certificate) not in known
        ]
        refusals: dict[str, str] = {}
        newest_first = sorted(candidates, key=lambda pair: not_before(pair[1]), reverse=True)
        for file, leaf in newest_first[:MAX_CANDIDATES]:
            try:
                if file.has_private_key:
                    raise TlsError(PRIVATE_KEY_MESSAGE)
                return self._checked_chain(leaf, files, request, csr, now)
            except BaseException as error:
                refusals.setdefault(file.path, failure_sentence(error))
        if not refusals:
            return None
        path, why = next(iter(refusals.items()))
        raise TlsError(
            f"{escape_control_characters(path)} answers the request {request['name']} of {record['host']}, and is refused: {why}"
        )

    # not a parser: it only passes on foreign input
    def _checked_chain(
        self, leaf: x509.Certificate, files: list[InboxFile], request: IssueRequest, csr: bytes, now: datetime.datetime
    ) -> list[x509.Certificate]:
        """Return the chain of a certificate.

        Raises TlsError when it may not be installed, or an intermediate is missing.
        """
        roots_pem = self.roots()
        roots = parse_chain(roots_pem) if roots_pem else system_roots()
        certificates = [one for file in files for one in file.authorities()] + self._known_intermediates()
        certificates += [one for one in self.cross_signing.extra if one not in certificates]
        chain = best_chain(leaf, certificates, roots, now, self.cross_signing)
        if not leads_to_root(chain, roots, certificates) and self.settings["aia"]:
            fetched = fetch_intermediates(chain, roots)
            chain = best_chain(leaf, [*certificates, *fetched], roots, now, self.cross_signing)
        pem, public_key = to_pem(chain), load_csr(csr).public_key()
        check_issued_chain(pem, public_key, request, None, now)
        if not leads_to_root(chain, roots, certificates):
            raise TlsError(missing_intermediate(chain, files, bool(roots_pem), self.settings["aia"]))
        return check_issued_chain(pem, public_key, request, roots_pem, now, self.cross_signing)

    # not a parser: it reads what the collection has made or checked
    def _known_intermediates(self) -> list[x509.Certificate]:
        """Return the intermediates of the setting C(intermediates), and of chains that were issued before."""
        path = self.settings["intermediates"]
        known: list[x509.Certificate] = []
        if path:
            known = read_setting("intermediates", path).certificates
        for record in self.queue.records():
            if record["chain"]:
                with contextlib.suppress(TlsError):  # one that a newer library refuses
                    known += [one for one in parse_chain(record["chain"].encode())[1:] if one not in known]
        return known

    def _pending(self, files: list[InboxFile], record: QueueRecord, request: IssueRequest, is_new: bool) -> Pending:
        """Return a request as Pending."""
        self.remarks = [*unused_file_messages(files, self._records()), *self.queue.unreadable()]
        path = os.path.join(self.outbox.directory, f"{record['stem']}.csr")
        since = expect_date(record["handed_in"])
        return Pending(
            f"hand {path} in to {request['issuer']}, and put what comes back into {self.inbox}",
            since=since,
            until=since + self.patience,
            changed=is_new,
        )

    def _withdraw_old(self, now: datetime.datetime) -> None:
        """Withdraw requests that are older than C(patience), and remove old records."""
        old = [record for record in self.queue.pending() if expect_date(record["handed_in"]) < now - self.patience]
        self._withdraw(old, f"nobody answered it for {self.patience.days} days", now)
        self.queue.remove_old(now)

    def _withdraw(self, records: list[QueueRecord], why: str, now: datetime.datetime) -> None:
        """Withdraw requests. A certificate that comes for one of them later is not used."""
        self._clear_outbox(records)  # first, so that a run that is killed in between is repeated
        for record in records:
            self.queue.close_withdrawn(record, why, now)

    def _clear_outbox(self, records: list[QueueRecord]) -> None:
        """Remove the files of requests from the outbox."""
        for record in records:
            self.outbox.remove(record)
        if records:
            removed = {record["key"] for record in records}
            self.outbox.write_bundle([one for one in self.queue.pending() if one["key"] not in removed])

    def _move_to_taken(self, files: list[InboxFile], now: datetime.datetime) -> None:
        """Move files that are not needed any more out of the inbox, into the folder C(taken)."""
        os.makedirs(self._path("taken"), mode=0o700, exist_ok=True)
        for file in files:
            name = os.path.relpath(file.path, self.inbox).replace(os.sep, "_")
            with contextlib.suppress(OSError):  # it stays, and is_finished() recognizes it again
                os.rename(file.path, self._path("taken", f"{now:%Y-%m-%dT%H-%M-%SZ}-{name}"))

    def _records(self) -> dict[str, QueueRecord]:
        return {record["key"]: record for record in self.queue.records()}

    def _path(self, *parts: str) -> str:
        return os.path.join(self.directory, *parts)


def _now() -> datetime.datetime:
    """Return the time in whole seconds."""
    return utc_now().replace(microsecond=0)
