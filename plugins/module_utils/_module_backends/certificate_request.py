# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work of the module certificate_request: prepare key and signing request if due."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import (
    Module,
    ModuleResult,
    require_cryptography,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
    not_after,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import Installed, why_renew
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC, Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.adopt import Pair, find_pair, take_in, to_adopt
from ansible_collections.evergreen.tls.plugins.module_utils._store.exports import check_export_folders
from ansible_collections.evergreen.tls.plugins.module_utils._store.key_encryption import (
    check_passphrase_file,
    has_requested_encryption,
    key_files,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.links import check_link_folders
from ansible_collections.evergreen.tls.plugins.module_utils._store.pending_csr import matching_csr, prepare_csr
from ansible_collections.evergreen.tls.plugins.module_utils._store.rehearsal import (
    check_host,
    check_keeps_modes,
    find_obstacles,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store

# The one definition of the options of certificate_request. Described for people in plugins/modules/certificate_request.yml.
OPTIONS: dict[str, dict[str, t.Any]] = {
    "request": REQUEST_SPEC,
    "directory": {"type": "path", "default": "/etc/evergreen"},
    "issuers": {"type": "dict", "default": {}},
    "roots": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "host": {"type": "str", "default": ""},
    "renewals": {"type": "dict", "default": {}},
    "revoked": {"type": "dict", "default": {}},
    "patience": {"type": "int"},
    "withdraw": {"type": "bool", "default": False},
    "make_ca": {"type": "str", "choices": ["never", "first", "always"], "default": "first"},  # for the controller
    "passphrase": {"type": "str", "no_log": True},
}


class Options(t.TypedDict):
    """The options of the module; see OPTIONS."""

    request: Request
    directory: str
    issuers: dict[str, t.Any]
    roots: str | None  # PEM
    force: bool
    host: str
    renewals: dict[str, t.Any]  # what CAs advise, by serial number
    revoked: dict[str, str]  # the reasons for what is revoked, by serial number
    patience: int | None  # seconds after which a signing request that waits is replaced
    withdraw: bool
    passphrase: str | None


class Validity(t.TypedDict):
    """Names and dates of the certificate in use."""

    names: list[str]
    not_before: str  # ISO 8601
    not_after: str


class Result(ModuleResult, total=False):
    """What the module returns."""

    due: bool
    reason: str
    csr: str  # PEM
    since: str  # when the signing request was made, in ISO 8601
    ready: str  # the version, or "next", that certificate_install can put in use
    in_use: str | None  # SHA-256 fingerprint of the certificate in use
    fingerprint: str | None  # the same, if the certificate is not due
    valid: Validity
    exposed: str  # why others may know the key of an adopted pair
    now: str  # the clock of the host, in ISO 8601


def decide(module: Module) -> Result:
    """Find out whether a certificate is due, and prepare what its issuer has to sign."""
    require_cryptography()
    now = utc_now()
    result = Preparation(module, now).run()
    result["now"] = now.isoformat()
    return result


class Preparation:
    """One call of the module."""

    # not a parser: it only passes on foreign input
    def __init__(self, module: Module, now: datetime.datetime) -> None:
        options = t.cast(Options, module.params)
        self.check_mode = module.check_mode
        self.options = options
        self.now = now
        self.request: Request = {
            **options["request"],
            "host": options["host"],
            "renewals": options["renewals"],
            "revoked": options["revoked"],
            "passphrase": options["passphrase"],
        }
        self.roots = parse_chain(options["roots"].encode()) if options["roots"] else None
        self.store = Store(options["directory"], self.request["name"])
        self.store.check_folders()
        patience = options["patience"]
        self.oldest = now - datetime.timedelta(seconds=patience) if patience else None  # older requests are replaced

    def run(self) -> Result:
        """Withdraw the signing request, or adopt a pair and check whether the certificate is due."""
        if self.options["withdraw"]:
            return self.withdraw()
        check_link_folders(self.request)  # before a CA is asked
        check_export_folders(self.request)
        if not self.check_mode:
            self.store.unhide_left_over()
        if to_adopt(self.store, self.request):
            return self.adopt()
        return self.check()

    def adopt(self) -> Result:
        """Make a pair that was made by hand the first version, and check whether it is due."""
        paths, pair = to_adopt(self.store, self.request), find_pair(self.store, self.request)
        name = self.request["name"]
        if self.check_mode:
            adoption = adoption_result(self.store, paths, pair, f"would be adopted for {name}")
            if pair is None:
                return with_adoption(adoption, self.check())
            installed = Installed(pair.key, to_pem(pair.chain), exposed=pair.exposed)
            reason = why_renew(installed, self.request, self.now, self.roots, self.options["force"])
            if reason is None:
                return with_adoption(adoption, {"due": False})
            return with_adoption(adoption, {"due": True, "reason": reason, "diff": due_diff(reason)})
        with self.store.lock():
            version = take_in(self.store, self.request)
        adoption = adoption_result(self.store, paths, pair, f"adopted as {version} of {name}")
        return with_adoption(adoption, self.check())

    def check(self) -> Result:
        """Return whether the certificate is due, with the signing request if it is."""
        reason = self.why_due()
        if reason is None:
            return self.not_due()
        if self.check_mode:
            return {"due": True, "reason": reason, **in_use(self.store), **self.would_prepare(reason)}
        with self.store.lock():
            reason = self.why_due()
            if reason is not None:
                result: Result = {"due": True, "reason": reason, **in_use(self.store)}
                return {**result, **self.prepare(reason)}
        return self.not_due()  # another run was faster

    def why_due(self) -> str | None:
        """Return why the certificate is due, or None."""
        current, is_forced = self.store.current(), self.options["force"]
        if current is not None and not is_forced:
            self.store.check_key_mode(current, self.request)
        return self.store.why_renew(current, self.request, self.now, self.roots, is_forced)

    def prepare(self, reason: str) -> Result:
        """Return the version that is ready, or the signing request that waits, or a new one."""
        self.store.remove_left_over(self.request)
        ready = None if self.options["force"] else self.store.find_ready(self.request, self.now, self.roots)
        if ready is not None:
            return {"changed": False, "ready": ready}
        check_host(self.store, self.request)  # before a CA is asked
        csr = self.pending_csr()
        if csr is not None:
            return pending_result(self.store, csr)
        csr = prepare_csr(self.store, self.request)
        check_keeps_modes(self.store, self.request)
        return {**pending_result(self.store, csr), "changed": True, "diff": due_diff(reason)}

    def would_prepare(self, reason: str) -> Result:
        """Return the result of prepare(), as far as it can be known without a change.

        What would stop it is a warning: tasks before this one, which changed nothing either, may make a folder or a user.
        """
        csr = self.pending_csr()
        if csr is not None and self.store.find_ready(self.request, self.now, self.roots) is None:
            return pending_result(self.store, csr)
        obstacles = [] if to_adopt(self.store, self.request) else find_obstacles(self.store, self.request)
        warnings: Result = {"warnings": [f"{self.request['name']}: {one}" for one in obstacles]} if obstacles else {}
        return {"changed": True, "diff": due_diff(reason), **warnings}

    def not_due(self) -> Result:
        """Return the result for a certificate that is not due.

        Files that have to be corrected make it ready again. A signing request that is not needed is withdrawn.
        """
        current = self.store.require_current()
        result: Result = {"changed": False, "due": False, "fingerprint": in_use(self.store)["in_use"]}
        if self.store.paths_to_correct(current, self.request):
            result["ready"] = current
        since = self.store.waiting_since()
        if since is None:
            if has_requested_encryption(self.store, current, self.request):
                return result
            return {**result, **self.reencrypt()}
        if self.pending_csr() is not None:
            return {**result, "since": since.isoformat()}
        return {**result, **self.remove_pending()}

    def pending_csr(self) -> bytes | None:
        """Return the signing request that waits, unless it is too old or does not fit the request."""
        since = self.store.waiting_since()
        if since is None or (self.oldest and since < self.oldest):
            return None
        return matching_csr(self.store, self.request)

    # not a parser: it reads what the collection has made or checked
    def withdraw(self) -> Result:
        """Remove key and signing request that wait for this issuer, if there are any."""
        issuer = self.request["issuer"].encode()
        if self.store.waiting_since() is None or self.store.file("next", "issuer") != issuer:
            return {
                "changed": False,
                "due": False,
                "msg": f"nothing waits for a certificate of {self.request['name']}",
            }
        return self.remove_pending()

    def remove_pending(self) -> Result:
        """Remove key and signing request that wait."""
        if not self.check_mode:
            with self.store.lock():
                self.store.remove_version("next")
        return {
            "changed": True,
            "due": False,
            "msg": f"the request for a certificate of {self.request['name']} is withdrawn",
        }

    def reencrypt(self) -> Result:
        """Prepare the certificate in use with its key encrypted as the request says now.

        The issuer has nothing to sign.
        """
        request, store = self.request, self.store
        was_encrypted = store.passphrase(store.require_current()) is not None
        if request["encrypt_key"]:
            change = "encrypted with another passphrase" if was_encrypted else "encrypted"
        else:
            change = "no longer encrypted"
        sentence = f"the key of {request['name']} is {change}"
        result: Result = {
            "changed": True,
            "ready": "next",
            "msg": sentence,
            "diff": {"before": "", "after": f"{sentence}\n"},
        }
        if self.check_mode:
            return result
        with store.lock():
            current, ready = store.require_current(), store.find_ready(request, self.now, self.roots)
            if has_requested_encryption(store, current, request):
                return {}  # another run was faster
            if ready is None or not has_requested_encryption(store, ready, request):
                check_passphrase_file(store, request)
                names = ("cert.pem", "chain.pem", "fullchain.pem", "issuer", "exposed")
                contents = {name: store.file(current, name) for name in names}
                files = {name: content for name, content in contents.items() if content is not None}
                store.prepare_next({**files, **key_files(store.private_key(current), request)}, request)
        return result


def adoption_result(store: Store, paths: list[str], pair: Pair | None, outcome: str) -> Result:
    """Return the result for paths that led to files made by hand."""
    before = "".join(f"{path}: a file\n" for path in paths)
    after = "".join(f"{path}: a link into {store.path}/current\n" for path in paths)
    sentence = f"{' and '.join(paths)} {outcome}"
    result: Result = {"changed": True, "diff": {"before": before, "after": after}}
    if pair is not None:
        sentence += f" ({describe_certificate(pair.chain[0])})"
        if pair.exposed:
            result["exposed"] = pair.exposed
    result["msg"] = sentence
    return result


def with_adoption(adoption: Result, result: Result) -> Result:
    """Return a result with that of an adoption before it."""
    diff = result.get("diff", {"before": "", "after": ""})
    diff = {side: adoption["diff"][side] + diff[side] for side in diff}
    message = ", ".join([adoption["msg"], *([result["msg"]] if result.get("msg") else [])])
    return {**result, **adoption, "diff": diff, "msg": message}


# not a parser: it reads what the collection has made or checked
def pending_result(store: Store, csr: bytes) -> Result:
    """Return the result for a signing request that waits."""
    result: Result = {"changed": False, "csr": csr.decode()}
    since = store.waiting_since()
    if since is not None:
        result["since"] = since.isoformat()
    return result


def due_diff(reason: str) -> dict[str, str]:
    """Return the reason for which a certificate is due as a diff."""
    return {"before": "", "after": f"due: {reason}\n"}


def in_use(store: Store) -> Result:
    """Return in_use and valid of the certificate in use, if there is one that can be read."""
    current = store.current()
    try:
        leaf = parse_chain(store.file(current, "fullchain.pem") or b"")[0] if current else None
        names = sorted(names_of(leaf)) if leaf is not None else []
    except TlsError:
        leaf = None
    if leaf is None:
        return {"in_use": None}
    return {
        "in_use": fingerprint(leaf),
        "valid": {
            "names": names,
            "not_before": not_before(leaf).isoformat(),
            "not_after": not_after(leaf).isoformat(),
        },
    }
