#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import (
    Module,
    ModuleResult,
    require_cryptography,
    run_module,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC, Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.exports import (
    MISSING,
    NEW_VERSION_REASONS,
    Export,
    Pair,
    installed_pair,
    new_password,
    open_export_folders,
    remove_export,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.ledger import Ledger
from ansible_collections.evergreen.tls.plugins.module_utils._store.notifications import (
    Notification,
    request_notifications,
    subject_of,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store


class Options(t.TypedDict):
    """The options of the module."""

    request: Request
    directory: str
    passwords: dict[str, str]  # of keystores, by the path of the export
    part: str  # all, exports or programs


class ExportResult(t.TypedDict):
    """An export in the result of the module."""

    path: str
    changed: bool


class Result(ModuleResult, total=False):
    """What the module returns."""

    exports: list[ExportResult]
    units: dict[str, str]  # what became of each unit, such as "was restarted"
    commands: dict[str, str]  # what became of each command of run_after
    fresh: bool  # whether programs have to read a new certificate
    unnotified: bool  # whether the one failure is that programs of the request could not be notified
    fingerprint: str


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "request": REQUEST_SPEC,
            "directory": {"type": "path", "default": "/etc/evergreen"},
            "passwords": {"type": "dict", "default": {}, "no_log": True},
            "part": {"type": "str", "choices": ["all", "exports", "programs"], "default": "all"},
        },
        supports_check_mode=True,
    )
    run_module(module, decide)


def decide(module: Module) -> Result:
    """Write or remove the exports of a request, and notify the programs that read them or the certificate."""
    require_cryptography()
    options = t.cast(Options, module.params)
    request = options["request"]
    store = Store(options["directory"], request["name"])
    store.check_folders()
    version = store.current() if os.path.isdir(store.path) else None
    if version is None:
        is_needed = any(spec["state"] == "present" for spec in request["exports"]) or request_notifications(request)
        if module.check_mode or not is_needed:
            return {"changed": False, "msg": f"{request['name']} is not installed yet"}
        raise TlsError(f"no certificate of {request['name']} is installed; install it first, with certificate_install")
    if module.check_mode:
        with contextlib.ExitStack() as folders:
            work = Work(store, version, options, folders)
            work.find_reasons()
            return work.result(is_dry_run=True)
    with store.lock(), contextlib.ExitStack() as folders:
        work = Work(store, store.current() or version, options, folders)
        work.find_reasons()
        work.write()
        errors_of_exports, errors_of_request = work.notify()
    result = work.result()
    if errors_of_request:
        errors_of_request.append("The next run tries again")
    if errors_of_exports or errors_of_request:
        done = [result["msg"]] if result["changed"] else []
        errors = [*done, *errors_of_exports, *errors_of_request]
        del result["msg"]
        raise TlsError(". ".join(errors), **{**result, "unnotified": not errors_of_exports})
    return result


class Work:
    """The exports of a request, the programs that read the certificate, and what has to be done about them.

    Methods that change something need the lock of the store. *folders* closes the folders of the exports.
    """

    def __init__(self, store: Store, version: str, options: Options, folders: contextlib.ExitStack) -> None:
        request, passwords = options["request"], options["passwords"]
        self.store = store
        self.version = version
        self.name = request["name"]
        specs = request["exports"] if options["part"] != "programs" else []
        self.exports = [Export({**spec, "password": passwords.get(spec["path"])}, request["name"]) for spec in specs]
        chain = parse_chain(store.file(version, "fullchain.pem") or b"")
        self.leaf = chain[0]
        self.subject = subject_of(store, version, chain)
        self.ledger = Ledger(store)
        self.of_request = request_notifications(request) if options["part"] != "exports" else []
        if options["part"] != "exports":
            self.ledger.forget_others(self.of_request)
        is_read_by_another = self.ledger.has_notified_of_another(self.of_request, self.subject.state)
        self.fresh = bool(specs and self.ledger.pending) or is_read_by_another
        self.reasons: dict[str, str] = {}  # why each path is written or removed
        self.units: dict[str, str] = {}  # what became of each unit
        self.commands: dict[str, str] = {}  # what became of each command
        self.new_passwords: dict[str | None, str] = {}  # by the files that are to hold them
        open_export_folders([export for export in self.exports if export.is_present], store, folders)

    @functools.cached_property
    def pair(self) -> Pair:
        """Key and chain of the version; the key is read for exports alone."""
        return installed_pair(self.store, self.version)

    def find_reasons(self) -> None:
        """Find the exports that have to be written or removed, and why."""
        for export in self.exports:
            reason = self._why_write(export) if export.is_present else self._why_remove(export)
            if reason:
                self.reasons[export.path] = reason
                self.fresh = self.fresh or reason in NEW_VERSION_REASONS

    def write(self) -> None:
        """Write the exports that differ, and remove those with the state absent.

        Nothing is written before the content of all of them is made.
        """
        outdated = [export for export in self.exports if export.is_present and export.path in self.reasons]
        contents = {export.path: self._content(export) for export in outdated}
        for export in self.exports:
            if not export.is_present:
                self._remove(export)
            elif export.path in contents:
                self._write(export, contents[export.path])
            else:
                self.ledger.written.setdefault(export.path, None)  # perhaps somebody has made it just as it is wanted
        self.ledger.forget_done(self.exports)
        self.ledger.save()

    def notify(self) -> tuple[list[str], list[str]]:
        """Notify the programs that have not read what was written or is in use.

        Return the errors about programs that read exports, and those about the other programs of the request.
        """
        errors_of_exports: list[str] = []
        errors_of_request: list[str] = []
        of_exports = self.ledger.pending_notifications(self.exports)
        for notification in self._pending():
            self.ledger.mark_begun(notification)
            self.ledger.save()
            try:
                self._set_outcome(notification, notification.send(self.subject))
            except TlsError as error:
                (errors_of_exports if notification in of_exports else errors_of_request).append(str(error))
                continue
            self.ledger.mark_done(notification, self.exports, self.of_request, self.subject.state)
            self.ledger.save()
        return errors_of_exports, errors_of_request

    def result(self, is_dry_run: bool = False) -> Result:
        """Return what was done, or what would be done."""
        is_present = {export.path: export.is_present for export in self.exports}
        verb = "would be" if is_dry_run else "is"
        done = {True: "written", False: "removed"}
        sentences = [f"{path} {verb} {done[is_present[path]]} ({reason})" for path, reason in self.reasons.items()]
        if is_dry_run:
            self.ledger.pending.update({path: [] for path in self.reasons if is_present[path]})
            for notification in self._pending():
                self._set_outcome(notification, notification.prediction)
        notified = [f"{label} {what}" for label, what in [*self.units.items(), *self.commands.items()]]
        sentences += notified
        result: Result = {
            "changed": bool(sentences),
            "exports": [{"path": path, "changed": path in self.reasons} for path in is_present],
            "units": self.units,
            "commands": self.commands,
            "fresh": self.fresh,
            "fingerprint": self.subject.fingerprint,
            "msg": ", ".join(sentences) or self._unchanged_sentence(),
        }
        if sentences:
            after = {True: f"it holds {describe_certificate(self.leaf)}", False: "it is not there"}
            after_lines = [f"{path}: {after[is_present[path]]}\n" for path in self.reasons]
            result["diff"] = {
                "before": "".join(f"{path}: {reason}\n" for path, reason in self.reasons.items()),
                "after": "".join([*after_lines, *(f"{sentence}\n" for sentence in notified)]),
            }
        return result

    def _pending(self) -> list[Notification]:
        return self.ledger.pending_notifications(self.exports, self.of_request, self.subject.state)

    def _set_outcome(self, notification: Notification, outcome: str) -> None:
        (self.commands if notification.is_command else self.units)[notification.label] = outcome

    def _unchanged_sentence(self) -> str:
        if self.of_request and not self.exports:
            return f"all programs that read {self.name} have been notified"
        return f"the exports of {self.name} are as they should be"

    def _why_write(self, export: Export) -> str | None:
        password = export.password() if export.needs_password else None
        reason = export.why_write(self.pair, password)
        if reason and reason != MISSING and export.path not in self.ledger.written:
            raise TlsError(
                f"exports: {export.path} is there, and was not made by this module: {reason}; move it away and run this again"
            )
        return reason

    def _why_remove(self, export: Export) -> str | None:
        if export.path in self.ledger.written:
            return "it is not wanted any more"
        if os.path.lexists(export.path):
            raise TlsError(f"exports: {export.path} was not made by this module; remove it by hand if nobody needs it")
        return None

    def _content(self, export: Export) -> bytes:
        password = export.password() if export.needs_password else None
        if export.needs_password and password is None:
            password = self.new_passwords.setdefault(export.spec["password_file"], new_password())
        return export.content(self.pair, password)

    def _write(self, export: Export, content: bytes) -> None:
        password = self.new_passwords.pop(export.spec["password_file"], None)  # which several may share
        self.ledger.written.setdefault(export.path, None)
        if password:
            self.ledger.written[export.path] = export.spec["password_file"]
        self.ledger.pending[export.path] = []
        self.ledger.save()
        if password:
            export.write_password(password)
        export.write(content)

    def _remove(self, export: Export) -> None:
        if export.path in self.ledger.written:
            remove_export(export.path, export.spec)
            password_file = self.ledger.written[export.path]
            used = [other.spec["password_file"] for other in self.exports if other.is_present]
            if password_file and password_file not in used:
                remove_export(password_file, export.spec)
        self.ledger.written.pop(export.path, None)
        self.ledger.pending.pop(export.path, None)


if __name__ == "__main__":
    main()
