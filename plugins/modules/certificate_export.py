#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import require_cryptography, run_module
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._store.exports import (
    FRESH,
    MISSING,
    Export,
    Ledger,
    installed_pair,
    new_password,
    remove,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system.systemd import refresh_unit


def main():
    module = AnsibleModule(
        argument_spec={
            "request": REQUEST_SPEC,
            "directory": {"type": "path", "default": "/etc/evergreen"},
            "passwords": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    run_module(module, decide)


def decide(module):
    require_cryptography()
    request = module.params["request"]
    store = Store(module.params["directory"], request["name"])
    store.check_folders()
    passwords = module.params["passwords"]
    exports = [Export({**one, "password": passwords.get(one["path"])}, request["name"]) for one in request["exports"]]
    if not os.path.isdir(store.path) or store.current() is None:
        if module.check_mode or not any(export.is_wanted for export in exports):
            return {"changed": False, "msg": f"{request['name']} is not installed yet"}
        raise TlsError(f"no certificate of {request['name']} is installed; install it first, with certificate_install")
    if module.check_mode:
        return Work(store, exports).look().told("would be")
    with store.lock():
        work = Work(store, exports).look()
        work.write()
        complaints = work.tell()
    result = work.told("is")
    if complaints:
        raise TlsError(". ".join([result.pop("msg"), *complaints]), **result)
    return result


class Work:
    """The exports of a request, and what there is to do about them. Whoever changes something holds the lock of the store."""

    def __init__(self, store, exports):
        self.name = os.path.basename(store.path)
        self.exports = exports
        self.pair = installed_pair(store, store.current())
        self.ledger = Ledger(store)
        self.fresh = bool(self.ledger.pending)
        self.reasons = {}  # why each path is written or removed
        self.units = {}  # what became of each unit
        self.made = {}  # passwords, by the files that are to hold them
        for export in exports:
            if export.is_wanted:
                export.check_place(store)

    def look(self):
        """Find out what there is to do."""
        for export in self.exports:
            reason = self._why_write(export) if export.is_wanted else self._why_remove(export)
            if reason:
                self.reasons[export.path] = reason
                self.fresh = self.fresh or reason in FRESH
        return self

    def write(self):
        """Write what is not as it should be, once all of it can be made, and remove what is not wanted any more."""
        wanted = [export for export in self.exports if export.is_wanted and export.path in self.reasons]
        contents = {export.path: self._content(export) for export in wanted}
        for export in self.exports:
            if not export.is_wanted:
                self._remove(export)
            elif export.path in contents:
                self._write(export, contents[export.path])
            else:
                self.ledger.written.setdefault(export.path, None)  # perhaps somebody has made it just as it is wanted
        self.ledger.settle(self.exports)
        self.ledger.save()

    def tell(self):
        """Have the units that read what was written, now or by a run that died, read it again; return complaints."""
        complaints = []
        for verb, unit in self.ledger.todo(self.exports):
            try:
                self.units[unit] = refresh_unit(verb, unit)
            except TlsError as error:
                complaints.append(str(error))
                continue
            self.ledger.done(self.exports, verb, unit)
            self.ledger.save()
        return complaints

    def told(self, verb):
        """Return what was done, or with C(would be) what there is to do."""
        wanted = {export.path: export.is_wanted for export in self.exports}
        words = {True: "written", False: "removed"}
        sentences = [f"{path} {verb} {words[wanted[path]]} ({reason})" for path, reason in self.reasons.items()]
        if verb == "would be":
            self.ledger.pending.update({path: [] for path in self.reasons if wanted[path]})
            self.units = {unit: f"would be {what}ed" for what, unit in self.ledger.todo(self.exports)}
        sentences += [f"{unit} {what}" for unit, what in self.units.items()]
        result = {
            "changed": bool(sentences),
            "exports": [{"path": path, "changed": path in self.reasons} for path in wanted],
            "units": self.units,
            "fresh": self.fresh,
            "fingerprint": fingerprint(self.pair.chain[0]),
            "msg": ", ".join(sentences) or f"the exports of {self.name} are as they should be",
        }
        if self.reasons:
            certificate = describe_certificate(self.pair.chain[0])
            after = {True: f"it holds {certificate}", False: "it is not there"}
            result["diff"] = {
                "before": "".join(f"{path}: {reason}\n" for path, reason in self.reasons.items()),
                "after": "".join(f"{path}: {after[wanted[path]]}\n" for path in self.reasons),
            }
        return result

    def _why_write(self, export):
        password = export.password() if export.needs_password else None
        reason = export.why_write(self.pair, password)
        if reason and reason != MISSING and export.path not in self.ledger.written:
            raise TlsError(
                f"exports: {export.path} is there, and was not made by this module: {reason}; move it away and run this again"
            )
        return reason

    def _why_remove(self, export):
        if export.path in self.ledger.written:
            return "it is not wanted any more"
        if os.path.lexists(export.path):
            raise TlsError(f"exports: {export.path} was not made by this module; remove it by hand if nobody needs it")
        return None

    def _content(self, export):
        password = export.password() if export.needs_password else None
        if export.needs_password and password is None:
            password = self.made.setdefault(export.wanted["password_file"], new_password())
        return export.content(self.pair, password)

    def _write(self, export, content):
        password = self.made.pop(export.wanted["password_file"], None)  # which several may share
        self.ledger.written.setdefault(export.path, None)
        if password:
            self.ledger.written[export.path] = export.wanted["password_file"]
        self.ledger.pending[export.path] = []
        self.ledger.save()
        if password:
            export.write_password(password)
        export.write(content)

    def _remove(self, export):
        if export.path in self.ledger.written:
            remove(export.path)
            made = self.ledger.written[export.path]
            if made and made not in [other.wanted["password_file"] for other in self.exports if other.is_wanted]:
                remove(made)
        self.ledger.written.pop(export.path, None)
        self.ledger.pending.pop(export.path, None)


if __name__ == "__main__":
    main()
