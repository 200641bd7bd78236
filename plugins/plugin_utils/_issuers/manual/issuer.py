# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The issuer C(type: manual): people. Requests go into an outbox, and what the CA sends goes into an inbox.

manual/NAME/
├── outbox/        for each request a CSR, a manifest, and a page for a ticket
├── inbox/         whatever the CA sent, as it came
├── taken/         what was in the inbox and is done with
├── requests/      a record of each request, by its public key
├── answers/       chains of late, for who asks again (answers.py)
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
    common_name,
    fingerprint,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr, subject_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import describe_key
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import locked, read_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._current_user import user_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import check_issued_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import NO_CROSS_SIGNING
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import (
    Pending,
    expect_date,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.roots import read_roots
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import IssueRequest
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.file_formats import contents
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.inbox import (
    KEY,
    Entry,
    digest,
    is_used_up,
    key_of,
    read_inbox,
    strays,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.intermediates import (
    fetched,
    is_complete,
    path_up,
    system_roots,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.outbox import Outbox, stem_of
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.queue import (
    ANSWERED,
    WAITING,
    WITHDRAWN,
    Queue,
)


class Manual:
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
    }
    # People are slow, and commercial CAs have rules of their own.
    DEFAULTS: t.ClassVar[dict[str, t.Any]] = {"type": "RSA", "size": 2048, "renew_before": "1/2", "rules": "public"}

    def __init__(self, directory: str, **settings: t.Any) -> None:
        self.directory = os.path.abspath(directory)
        self.inbox = os.path.abspath(settings["inbox"] or self._path("inbox"))
        self.outbox = Outbox(
            os.path.abspath(settings["outbox"] or self._path("outbox")), self.inbox, settings["bundle"]
        )
        self.patience = duration(settings["patience"])
        self.settings = settings
        self.queue = Queue(self._path("requests"))
        self.cache_directory = self._path("answers")
        self.remarks: list[str] = []
        self.cross_signing = NO_CROSS_SIGNING

    @staticmethod
    def settings_of_name(name: str) -> dict[str, t.Any]:
        """Return the settings that follow from the name of an issuer."""
        return {"directory": f"~/.evergreen/manual/{re.sub(r'[^A-Za-z0-9_.-]', '_', name).lstrip('.') or '_'}"}

    def roots(self) -> bytes | None:
        """Return the roots that clients trust, where the issuer names them; None for those of the system."""
        return read_roots(self.settings["roots"])

    def terms(self, request: Request) -> dict[str, t.Any]:
        """Return what decides on a certificate beside the signing request: nothing."""
        return {}

    def issue(self, request: IssueRequest, csr: bytes, host: str) -> bytes | Pending:
        """Return what the inbox has for a signing request, or have people hand it in, once."""
        now = utc_now().replace(microsecond=0)
        with self._opened():
            self._expire(now)
            record = self.queue.get(_key(csr))
            is_new = record is None or record["state"] != WAITING
            if is_new:
                again = self._given_before(record, request, csr, now)
                if again:
                    self._clear_outbox([record])
                    return again
                record = self._hand_in(record, request, csr, host, now)
            entries = read_inbox(self.inbox, self.settings["passwords"])
            chain = self._answer(entries, record, request, csr, now)
            if chain is None:
                return self._waits(entries, record, request, is_new)
            self._clear_outbox([record])  # first: a run that is killed in between finds the answer where it was
            self.queue.close(
                record, ANSWERED, "it was answered", now, fingerprint=fingerprint(chain[0]), chain=_text(chain)
            )
            records = self._records()
            self._put_away([entry for entry in entries if is_used_up(entry, records)], now)
            self.remarks = strays(entries, records)
            return to_pem(chain)

    def find_pending(self, request: IssueRequest, csr: bytes, host: str) -> Pending | None:
        """Return what issue() would wait for, without doing anything; None when it would hand in or answer."""
        record = self.queue.get(_key(csr))
        if record is None or record["state"] != WAITING:
            return None
        entries = read_inbox(self.inbox, self.settings["passwords"]) if os.path.isdir(self.inbox) else []
        if self._answer(entries, record, request, csr, utc_now().replace(microsecond=0)) is not None:
            return None
        return self._waits(entries, record, request, is_new=False)

    def withdraw(self, host: str, name: str) -> bool:
        """Give up what waits for this request of a host; say whether there was anything."""
        if not any(record["request"] == name for record in self.queue.waiting(host)):
            return False
        with self._opened():
            given_up = [record for record in self.queue.waiting(host) if record["request"] == name]
            self._close(given_up, "it was withdrawn, since it is no longer wanted", utc_now().replace(microsecond=0))
        return bool(given_up)

    def pending_names(self, host: str) -> list[str]:
        """Return the names of the requests of a host that wait."""
        return [record["request"] for record in self.queue.waiting(host)]

    def record(self, request: Request, chain: list, host: str) -> None:
        """Leave it at the record that there is."""

    def revoke(self, serial_number: str, reason: str, pretend: bool = False) -> bool:
        """Say that this is not for us."""
        raise TlsError(
            f"a certificate of a CA with people in it is revoked by them; tell them its serial number {serial_number} and the reason {reason}"
        )

    @contextlib.contextmanager
    def _opened(self) -> t.Iterator[None]:
        """Have the folders, and be the only one who changes anything there."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        for folder in (self.outbox.directory, self.inbox):
            os.makedirs(folder, exist_ok=True)
        with locked(self._path("lock")):
            yield

    # not a parser: it only passes on foreign input
    def _hand_in(
        self, before: dict | None, request: IssueRequest, csr: bytes, host: str, now: datetime.datetime
    ) -> dict[str, t.Any]:
        """Write a request into the outbox, in the place of those that were made for the same purpose."""
        others = self.queue.waiting()
        same = [one for one in others if (one["host"], one["request"]) == (host, request["name"])]
        self._close(same, "another one took its place", now)
        key, earlier = (
            _key(csr),
            [*(before["earlier"] if before else []), *filter(None, [(before or {}).get("fingerprint")])],
        )
        stems = [one["stem"] for one in others if one not in same]
        valid = request.get("valid")
        record = {
            "key": key,
            "host": host,
            "request": request["name"],
            "names": request["domains"],
            "kind": describe_key(load_csr(csr).public_key()),
            "subject": subject_name(request["domains"], request).rfc4514_string(),
            "csr": csr.decode(),
            "reason": request.get("reason") or "a certificate is needed",
            "by": valid["not_after"] if valid else None,
            "asked_by": self.settings["asked_by"] or f"{user_name()} on {socket.gethostname()}",
            "handed_in": now.isoformat(timespec="seconds"),
            "stem": stem_of(request["name"], host, key, stems),
            "earlier": earlier,
            "fingerprint": None,
            "chain": None,
            "state": WAITING,
            "why": None,
            "closed": None,
        }
        record = json.loads(json.dumps(record))  # without the tags of Ansible's texts, which YAML does not know
        self.outbox.put(record)  # before the record: a run that is killed in between does it again
        self.outbox.bundle([*self.queue.waiting(), record])
        self.queue.put(record)
        return record

    # not a parser: it reads what the collection has made or checked
    def _given_before(self, record: dict | None, request: Request, csr: bytes, now: datetime.datetime) -> bytes | None:
        """Return the answer to a request that comes again although it was answered, as long as it is good."""
        if record is None or record["state"] != ANSWERED or record["fingerprint"] == request.get("in_use"):
            return None
        try:
            answer = record["chain"].encode()
            public_key = load_csr(csr).public_key()
            return to_pem(check_issued_chain(answer, public_key, request, self.roots(), now, self.cross_signing))
        except TlsError:
            return None

    def _answer(
        self, entries: list[Entry], record: dict, request: Request, csr: bytes, now: datetime.datetime
    ) -> list | None:
        """Return the chain that answers a request, the newest first; None while there is none. Raises TlsError for a bad one."""
        done = {*record["earlier"], request.get("in_use")}
        found = [
            (entry, one)
            for entry in entries
            for one in entry.certificates
            if key_of(one) == record["key"] and fingerprint(one) not in done
        ]
        refusals: dict[str, str] = {}
        for entry, leaf in sorted(found, key=lambda pair: not_before(pair[1]), reverse=True):
            try:
                if entry.holds_key:
                    raise TlsError(KEY)
                return self._checked(leaf, entries, request, csr, now)
            except TlsError as error:
                refusals.setdefault(entry.path, str(error))
        if not refusals:
            return None
        path, why = next(iter(refusals.items()))
        raise TlsError(f"{path} answers the request {request['name']} of {record['host']}, and is refused: {why}")

    # not a parser: it only passes on foreign input
    def _checked(self, leaf: t.Any, entries: list[Entry], request: Request, csr: bytes, now: datetime.datetime) -> list:
        """Return the chain of a certificate, once it is one that may be installed."""
        named = self.roots()
        roots = parse_chain(named) if named else system_roots()
        pile = [one for entry in entries for one in entry.authorities()] + self._known_intermediates()
        pile += [one for one in self.cross_signing.extra if one not in pile]
        chain = path_up(leaf, pile, roots, now, self.cross_signing)
        if not is_complete(chain, roots, pile) and self.settings["aia"]:
            chain = path_up(leaf, [*pile, *fetched(chain, roots)], roots, now, self.cross_signing)
        answer, public_key = to_pem(chain), load_csr(csr).public_key()
        check_issued_chain(answer, public_key, request, None, now)
        if not is_complete(chain, roots, pile):
            raise TlsError(_half(chain, entries, bool(named), self.settings["aia"]))
        return check_issued_chain(answer, public_key, request, named, now, self.cross_signing)

    # not a parser: it reads what the collection has made or checked
    def _known_intermediates(self) -> list:
        """Return the intermediates that the issuer is configured with, and those of earlier answers."""
        path, known = self.settings["intermediates"], []
        if path:
            content = read_file(path)
            if content is None:
                raise TlsError(f"intermediates: {path} does not exist; correct the path, or leave it out")
            known = contents(content).certificates
        for record in self.queue.records():
            if record["chain"]:
                known += [one for one in parse_chain(record["chain"].encode())[1:] if one not in known]
        return known

    def _waits(self, entries: list[Entry], record: dict, request: Request, is_new: bool) -> Pending:
        """Return what is waited for. Raises TlsError when a private key lies in the inbox, which cannot wait."""
        self.remarks = strays(entries, self._records())
        keys = [entry.path for entry in entries if entry.holds_key]
        if keys:
            about = [remark for remark in self.remarks if remark.startswith(tuple(keys))]
            raise TlsError(f"{'. '.join(about)}", changed=is_new)
        path = os.path.join(self.outbox.directory, f"{record['stem']}.csr")
        since = expect_date(record["handed_in"])
        return Pending(
            f"hand {path} in to {request['issuer']}, and put what comes back into {self.inbox}",
            since=since,
            until=since + self.patience,
            changed=is_new,
        )

    def _expire(self, now: datetime.datetime) -> None:
        """Close what nobody answers any more, and forget what was closed long ago."""
        waiting = self.queue.waiting()
        old = [record for record in waiting if expect_date(record["handed_in"]) < now - self.patience]
        self._close(old, f"nobody answered it for {self.patience.days} days", now)
        self.queue.forget(now)

    def _close(self, records: list[dict], why: str, now: datetime.datetime) -> None:
        """Withdraw requests: nobody shall hand them in, or use what comes back."""
        self._clear_outbox(records)  # first, so that a run that is killed in between comes back to the rest
        for record in records:
            self.queue.close(record, WITHDRAWN, why, now)

    def _clear_outbox(self, records: list[dict]) -> None:
        """Remove what nobody shall hand in any longer from the outbox."""
        for record in records:
            self.outbox.remove(record)
        if records:
            gone = {record["key"] for record in records}
            self.outbox.bundle([one for one in self.queue.waiting() if one["key"] not in gone])

    def _put_away(self, entries: list[Entry], now: datetime.datetime) -> None:
        """Move files of the inbox that are done with to where they are kept."""
        os.makedirs(self._path("taken"), mode=0o700, exist_ok=True)
        for entry in entries:
            name = os.path.relpath(entry.path, self.inbox).replace(os.sep, "_")
            with contextlib.suppress(OSError):  # it stays, and is known to be done with
                os.rename(entry.path, self._path("taken", f"{now:%Y-%m-%dT%H-%M-%SZ}-{name}"))

    def _records(self) -> dict[str, dict[str, t.Any]]:
        return {record["key"]: record for record in self.queue.records()}

    def _path(self, *parts: str) -> str:
        return os.path.join(self.directory, *parts)


# not a parser: it reads what the collection has made or checked
def _key(csr: bytes) -> str:
    return digest(load_csr(csr).public_key())


# not a parser: it reads what the collection has made or checked
def _text(chain: list) -> str:
    return to_pem(chain).decode()


def _half(chain: list, entries: list[Entry], has_roots: bool, aia: bool) -> str:
    """Say which intermediate is missing, and whether there is another one of its name."""
    top = chain[-1]
    name = common_name(top.issuer)
    namesakes = [entry.path for entry in entries for one in entry.authorities() if one.subject == top.issuer]
    other = f" ({namesakes[0]} has one of that name, but it did not sign this)" if namesakes else ""
    ways = ["put it into the inbox beside the certificate", "name it in intermediates of the issuer"]
    if not aia:
        ways.append("set aia: true to have it fetched")
    if not has_roots:
        ways.append(f"name the root of this CA in roots if {name} is the root itself")
    return f"the chain is not whole: the certificate {name}, which signed {common_name(top.subject)}, is missing{other}; {', or '.join(ways)}"
