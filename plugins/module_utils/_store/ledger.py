# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record on a host of which exports were written, and of which programs have to read a certificate yet.

It is the file C(exports.json) in the folder of the certificate.
"""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._store.exports import Export
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions
from ansible_collections.evergreen.tls.plugins.module_utils._store.notifications import Notification
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    read_file,
    remove_temporary_files,
    replace_file,
)

NOT_NOTIFIED = ""  # of any version


class Ledger:
    """The record of the exports and notifications of a request.

    written: the password file that was made for each path that was written, or None.
    pending: for each path that was written, the keys of the notifications that were sent since.
    notified: the state that each program was last notified of, by the key of the notification of the request.

    It is saved before a file is written, before a program is notified, and after each notification. So the next run finishes a killed
    one. A notification of the request is pending where its state is not that of the version in use, so a switch needs no record.
    """

    def __init__(self, store: Versions) -> None:
        self.path = os.path.join(store.path, "exports.json")
        self.written: dict[str, str | None] = {}
        self.pending: dict[str, list[str]] = {}
        self.notified: dict[str, str] = {}
        content = read_file(self.path)
        try:
            if content is not None:
                self.written, self.pending, self.notified = _parse_ledger(content)
        except (ValueError, RecursionError) as error:
            raise TlsError(f"{self.path} cannot be read; remove it, and the exports that it is about") from error
        self._saved_text = self._text()

    def pending_notifications(
        self, exports: list[Export], of_request: t.Sequence[Notification] = (), state: str = ""
    ) -> list[Notification]:
        """Return the notifications that are to be sent: those of exports and then those of the request.

        state: that of the version in use. A unit that is restarted is not reloaded.
        """
        of_exports = [
            notification
            for export in exports
            if export.is_present and export.path in self.pending
            for notification in export.notifications
            if notification.key not in self.pending[export.path]
        ]
        pending = list(dict.fromkeys([*of_exports, *self.outdated(of_request, state)]))
        restarted = {one.words for one in pending if one.verb == "restart"}
        return [one for one in pending if one.verb != "reload" or one.words not in restarted]

    def outdated(self, of_request: t.Iterable[Notification], state: str) -> list[Notification]:
        """Return the notifications of a request that were not sent for this state yet."""
        return [one for one in of_request if self.notified.get(one.key) != state]

    def has_notified_of_another(self, of_request: t.Iterable[Notification], state: str) -> bool:
        """Return whether a program was notified of another state last, or it is unknown which one it has read."""
        return any(self.notified.get(one.key, state) != state for one in of_request)

    def mark_begun(self, notification: Notification) -> None:
        """Record that it is unknown which version a program has read: it is about to be notified."""
        for key in _keys_done_by(notification):
            if key in self.notified:
                self.notified[key] = NOT_NOTIFIED

    def mark_done(
        self,
        notification: Notification,
        exports: list[Export],
        of_request: t.Iterable[Notification] = (),
        state: str = "",
    ) -> None:
        """Record that a program has read all files; a unit that was restarted need not be reloaded."""
        keys = _keys_done_by(notification)
        for path in self.pending:
            self.pending[path] = list(dict.fromkeys([*self.pending[path], *keys]))
        self.forget_done(exports)
        self.notified.update({one.key: state for one in of_request if one.key in keys})

    def forget_done(self, exports: list[Export]) -> None:
        """Remove the exports from the pending ones that all their programs have read."""
        for export in exports:
            if export.path in self.pending and not self.pending_notifications([export]):
                del self.pending[export.path]

    def forget_others(self, of_request: t.Iterable[Notification]) -> None:
        """Remove the notifications that the request does not have any more."""
        keys = {one.key for one in of_request}
        self.notified = {key: state for key, state in self.notified.items() if key in keys}

    def forget_notified(self) -> None:
        """Have all programs notified again, since they may have read other files than those of the version in use."""
        self.notified = dict.fromkeys(self.notified, NOT_NOTIFIED)

    # not a parser: it reads what the collection has made or checked
    def save(self) -> None:
        """Write the ledger if it has changed."""
        text = self._text()
        if text != self._saved_text:
            remove_temporary_files(self.path)
            replace_file(self.path, text.encode(), 0o600)
            self._saved_text = text

    def _text(self) -> str:
        record: dict[str, t.Any] = {"written": self.written, "pending": self.pending}
        if self.notified:
            record["notified"] = self.notified
        return json.dumps(record, indent=1, sort_keys=True) + "\n"


def _keys_done_by(notification: Notification) -> list[str]:
    """Return the keys of the notifications that are sent with this one."""
    if notification.verb == "restart":
        return [notification.key, Notification("reload", notification.words).key]
    return [notification.key]


def _parse_ledger(content: bytes) -> tuple[dict[str, str | None], dict[str, list[str]], dict[str, str]]:
    """Return *written*, *pending* and *notified* of a ledger. Raises ValueError for anything else."""
    record = json.loads(content)
    if not isinstance(record, dict):
        raise ValueError(record)
    written, pending, notified = record.get("written"), record.get("pending"), record.get("notified", {})
    if not isinstance(written, dict) or not isinstance(pending, dict) or not isinstance(notified, dict):
        raise ValueError(record)
    if not all(path is None or isinstance(path, str) for path in written.values()):
        raise ValueError(written)
    if not all(isinstance(one, list) and all(isinstance(key, str) for key in one) for one in pending.values()):
        raise ValueError(pending)
    if not all(isinstance(state, str) for state in notified.values()):
        raise ValueError(notified)
    return written, pending, notified
