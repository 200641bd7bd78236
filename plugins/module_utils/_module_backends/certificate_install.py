# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work of the module certificate_install: switch versions of a certificate, or remove it."""

from __future__ import annotations

import contextlib
import datetime
import os
import shlex
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import (
    Module,
    ModuleResult,
    require_cryptography,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    ChainDescription,
    check_chain,
    describe_chain,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.certificate_references import check_unreferenced
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC, Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.ledger import Ledger
from ansible_collections.evergreen.tls.plugins.module_utils._store.links import (
    check_link_folders,
    check_links,
    remove_links,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.notifications import request_notifications
from ansible_collections.evergreen.tls.plugins.module_utils._store.revoked import (
    remove_compromised_keys,
    unusable_versions,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command

if t.TYPE_CHECKING:
    from cryptography import x509

# The one definition of the options of certificate_install. Described for people in plugins/modules/certificate_install.yml.
OPTIONS: dict[str, dict[str, t.Any]] = {
    "request": REQUEST_SPEC,
    "directory": {"type": "path", "default": "/etc/evergreen"},
    "issuers": {"type": "dict", "default": {}},
    "state": {"type": "str", "choices": ["present", "previous", "absent"], "default": "present"},
    "chain": {"type": "str"},
    "roots": {"type": "str"},
    "revoked": {"type": "dict", "default": {}},
}


class Options(t.TypedDict):
    """The options of the module; see OPTIONS."""

    request: Request
    directory: str
    issuers: dict[str, t.Any]
    state: str  # present, previous or absent
    chain: str | None  # PEM
    roots: str | None  # PEM
    revoked: dict[str, str]  # the reasons for what is revoked, by serial number


class Result(ModuleResult, total=False):
    """What the module returns."""

    version: str  # the version in use, such as v0003
    certificate: ChainDescription
    pruned: list[str]  # versions that were removed
    put_back: str  # the earlier version that is in use again


class Installation(t.NamedTuple):
    """One call of the module."""

    request: Request
    store: Store
    check_mode: bool
    chain: str | None = None  # PEM
    roots: list[x509.Certificate] | None = None


def decide(module: Module) -> Result:
    """Bring the version in use to what the options say."""
    require_cryptography()
    options = t.cast(Options, module.params)
    request: Request = {**options["request"], "revoked": options["revoked"]}
    options = {**options, "request": request}
    store = Store(options["directory"], request["name"])
    store.check_folders()
    if not module.check_mode:
        store.unhide_left_over()
    if not os.path.isdir(store.path):
        return with_predictions(
            without_store(request, store, options["state"], module.check_mode), options, module.check_mode
        )
    if options["state"] == "absent":
        check_unreferenced(module, store.path)
    before = describe_current(store)
    result, chain = run(options, store, module.check_mode)
    after = describe_current(store)
    if module.check_mode and chain is not None:
        after = description_text(describe_chain(chain))
    if result["changed"]:
        result["diff"] = {"before": before, "after": after}
    result = with_predictions(result, options, module.check_mode)
    current = store.current() if os.path.isdir(store.path) else None
    if current is not None:
        result["version"] = current
        with contextlib.suppress(TlsError):  # certificate_info reports a chain that cannot be read
            result["certificate"] = describe_chain(parse_chain(store.file(current, "fullchain.pem") or b""))
    return result


# not a parser: it only passes on foreign input
def run(options: Options, store: Store, check_mode: bool) -> tuple[Result, list[x509.Certificate] | None]:
    """Do what the state says; return the result, and the chain that was or would be installed."""
    request, state = options["request"], options["state"]
    with contextlib.nullcontext() if check_mode else store.lock():
        is_trial_ended = not check_mode and state == "present" and end_trial(request, store)  # that of a killed run
        chain = None
        if state == "present":
            roots = parse_chain(options["roots"].encode()) if options["roots"] else None
            call = Installation(request, store, check_mode, options["chain"], roots)
            result, chain = install(call)
        elif state == "previous":
            result = go_back(request, store, check_mode)
        else:
            result = remove(request, store, check_mode)
        if state != "absent":
            removed = remove_compromised_keys(store, options["revoked"], check_mode)
            if removed:
                result["changed"] = True
                result["msg"] += f", the key of {', '.join(removed)} is removed, since it was compromised"
        result["changed"] = result["changed"] or is_trial_ended
    return result, chain


def without_store(request: Request, store: Store, state: str, check_mode: bool) -> Result:
    """Return the result for a host on which the certificate was never requested, or was removed."""
    if state == "absent":
        if os.path.isdir(store.hidden) or os.path.isdir(store.gone):
            if not check_mode:
                store.remove()
            return {"changed": True, "msg": f"{store.path} is removed"}
        return {"changed": False, "msg": f"there is nothing at {store.path}"}
    if check_mode:
        sentence = f"would install the certificate of {', '.join(request['domains'])} at {store.path}"
        return {"changed": True, "msg": sentence, "diff": {"before": "", "after": f"{sentence}\n"}}
    raise TlsError(f"{store.path} does not exist; request the certificate on this host first, with certificate_request")


def with_predictions(result: Result, options: Options, check_mode: bool) -> Result:
    """Return the result with the programs that would be notified of a new version, in check mode."""
    notifications = request_notifications(options["request"])
    if not (check_mode and result["changed"] and notifications) or options["state"] == "absent":
        return result
    sentences = [f"{notification.label} {notification.prediction}" for notification in notifications]
    diff = result.get("diff", {"before": "", "after": ""})
    after = "".join([diff["after"], *(f"{sentence}\n" for sentence in sentences)])
    return {**result, "msg": ", ".join([result["msg"], *sentences]), "diff": {**diff, "after": after}}


def install(call: Installation) -> tuple[Result, list[x509.Certificate] | None]:
    """Put the chain in use, or the version that is ready; return the chain as well if it is new."""
    request, store = call.request, call.store
    check_links(store, request)
    now = utc_now()
    if not call.chain:
        return install_ready(call, now), None
    current = store.current()
    if current and call.chain.encode().split() == (store.file(current, "fullchain.pem") or b"").split():
        return correct_current(call), None
    key = store.file("next", "privkey.pem")
    if key is None:
        is_for_current_key = is_for_key_of(call.chain, store, current)
        if is_for_current_key and store.why_renew(current, request, now, call.roots) is None:
            return correct_current(call), None  # another run was faster, and had the same key certified
        raise TlsError(
            f"no key is waiting in {store.next}; request the certificate on this host first, with certificate_request"
        )
    store.check_key_mode("next", request)
    try:
        chain = parse_chain(call.chain.encode())
        public_key = store.private_key("next", f"{store.next}/privkey.pem").public_key()
        check_chain(chain, public_key, request["domains"], now, call.roots, request["allowed_domains"])
    except TlsError as error:
        raise TlsError(f"the chain for {request['name']} is refused: {error}", now=now.isoformat()) from error
    return put_in_use(call, lambda: store.complete_next(chain, request)), chain


def install_ready(call: Installation, now: datetime.datetime) -> Result:
    """Put a version in use that certificate_request or a killed run left ready."""
    request, store = call.request, call.store
    ready = store.find_ready(request, now, call.roots)
    if ready is not None:
        return put_in_use(call, lambda: store.promote_next(request) if ready == "next" else ready)
    if store.why_renew(store.current(), request, now, call.roots) is None:
        return correct_current(call)
    if call.check_mode:
        return {"changed": True, "msg": "would install the certificate that the issuer returns"}
    raise TlsError(f"no certificate is ready in {store.path}; pass the chain that certificate_issue returned")


def is_for_key_of(chain: str, store: Store, version: str | None) -> bool:
    """Return whether a chain in PEM is for the key of a version."""
    try:
        key = store.private_key(version).public_key() if version else None
        return key is not None and public_bytes(key) == public_bytes(parse_chain(chain.encode())[0].public_key())
    except TlsError:
        return False


def put_in_use(call: Installation, make_version: t.Callable[[], str]) -> Result:
    """Switch to the version that *make_version* makes, and back again if the option validate refuses it."""
    request, store = call.request, call.store
    if call.check_mode:
        return {"changed": True, "msg": f"would put a new version of {request['name']} in use"}
    version = make_version()
    if request["validate"]:
        store.begin_trial(version, request)
    store.switch(version)
    store.correct_paths(version, request)
    end_trial(request, store)
    return {
        "changed": True,
        "pruned": store.prune(request["keep"]),
        "msg": f"{version} of {request['name']} is in use",
    }


def end_trial(request: Request, store: Store) -> bool:
    """End the trial of the version in use; return whether there was one.

    Raises TlsError, after going back to the version before, if the option validate refuses it.
    """
    if not os.path.lexists(store.trial):
        return False
    version = store.version_on_trial()
    error = validation_error(request) if version else None  # without one, a killed run had just gone back
    if error:
        before = store.go_back(request)
        raise TlsError(
            f"{version} of {request['name']} was refused by {request['validate']!r}, and {before or 'nothing'} is in use as before: "
            f"{error}; put that right and run this again, the certificate is kept"
        )
    store.end_trial()
    return True


def go_back(request: Request, store: Store, check_mode: bool) -> Result:
    """Put the newest earlier version in use that can still be served."""
    version = store.previous(utc_now(), unusable_versions(store, request.get("revoked")))
    if version is None:
        return {"changed": False, "msg": f"{request['name']} has no earlier version that could be served"}
    if not check_mode:
        store.switch(version)
    return {"changed": True, "put_back": version, "msg": f"{version} of {request['name']} is in use again"}


def remove(request: Request, store: Store, check_mode: bool) -> Result:
    """Remove the certificate with its links, unless the option validate refuses that."""
    if not check_mode:
        check_link_folders(request)
        store.remove_left_over(request)
        store.hide()  # its links lead nowhere then
        error = validation_error(request)
        if error:
            store.unhide()
            raise TlsError(
                f"{request['name']} is still in use, and is kept: {request['validate']!r} says {error}; "
                "take it out of the configuration first"
            )
        remove_links(store, request)
        store.remove()
    return {"changed": True, "msg": f"{store.path} is removed"}


def correct_current(call: Installation) -> Result:
    """Leave the version in use, and correct its links and file modes."""
    request, store = call.request, call.store
    current = store.require_current()
    paths = store.paths_to_correct(current, request)
    if paths and not call.check_mode:
        with contextlib.suppress(TlsError):  # certificate_export reports a ledger that cannot be read
            ledger = Ledger(store)
            ledger.forget_notified()  # programs may have read other files there
            ledger.save()
        store.correct_paths(current, request)
    return {"changed": bool(paths), "msg": f"{', '.join(paths)} set right" if paths else f"{request['name']} is in use"}


# not a parser: it reads what the collection has made or checked
def validation_error(request: Request) -> str | None:
    """Run the command of the option validate; return its output if it fails, or None."""
    if not request["validate"]:
        return None
    status, output = run_command(shlex.split(request["validate"]))
    return (output or f"exit status {status}") if status else None


def describe_current(store: Store) -> str:
    """Return a description of the certificate in use, or an empty text."""
    current = store.current() if os.path.isdir(store.path) else None
    if not current:
        return ""
    try:
        return description_text(describe_chain(parse_chain(store.file(current, "fullchain.pem") or b"")))
    except TlsError as error:
        return f"{error}\n"


def description_text(description: ChainDescription) -> str:
    """Return the description of a certificate as lines."""
    return "".join(
        f"{field}: {', '.join(value) if isinstance(value, list) else value}\n" for field, value in description.items()
    )
