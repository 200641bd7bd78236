# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a certificate is due, and what is prepared on its host for it: a key and a signing request."""

from __future__ import annotations

import datetime
import re
import secrets

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import require_cryptography
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
    not_after,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import (
    challenge_password,
    load_csr,
    make_csr,
    requested_names,
    subject_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    describe_requested_key,
    load_key,
    make_key,
    public_bytes,
    write_key,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import Installed, why_renew
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._store.adopt import find_pair, take_in, to_adopt
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store

MADE_HERE = re.compile(rb"[A-Za-z0-9_-]{43}")  # 32 random bytes in base64url

# The one definition of the options of certificate_request. Described for people in plugins/modules/certificate_request.yml.
OPTIONS = {
    "request": REQUEST_SPEC,
    "directory": {"type": "path", "default": "/etc/evergreen"},
    "issuers": {"type": "dict", "default": {}},
    "roots": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "host": {"type": "str", "default": ""},
    "renewals": {"type": "dict", "default": {}},
    "patience": {"type": "int"},
    "withdraw": {"type": "bool", "default": False},
    "passphrase": {"type": "str", "no_log": True},
}


def decide(module):
    require_cryptography()
    now = utc_now()
    return {**ask(module, now), "now": now.isoformat()}


# not a parser: it only passes on foreign input
def ask(module, now):
    """Say whether the certificate is due, once what there was before is adopted."""
    wanted = {**module.params["request"], **{word: module.params[word] for word in ("host", "renewals", "passphrase")}}
    roots = parse_chain(module.params["roots"].encode()) if module.params["roots"] else None
    store = Store(module.params["directory"], wanted["name"])

    store.check_folders()
    oldest = now - datetime.timedelta(seconds=module.params["patience"]) if module.params["patience"] else None
    if module.params["withdraw"]:
        return withdraw(module, store, wanted)
    if not module.check_mode:
        store.unhide_left_over()
    if to_adopt(store, wanted):
        return adopt(module, store, wanted, now, roots, oldest)
    return look(module, store, wanted, now, roots, oldest)


def adopt(module, store, wanted, now, roots, oldest):
    """Make what was there before the first version, and say whether that is due."""
    paths, pair = to_adopt(store, wanted), find_pair(store, wanted)
    if module.check_mode:
        told = tell_of_adoption(store, paths, pair, f"would be adopted for {wanted['name']}")
        if pair is None:
            return together(told, look(module, store, wanted, now, roots, oldest))
        installed = Installed(pair.key, to_pem(pair.chain), exposed=pair.exposed)
        reason = why_renew(installed, wanted, now, roots, module.params["force"])
        return together(told, {"due": True, "reason": reason, "diff": due(reason)} if reason else {"due": False})
    with store.lock():
        version = take_in(store, wanted)
    told = tell_of_adoption(store, paths, pair, f"adopted as {version} of {wanted['name']}")
    return together(told, look(module, store, wanted, now, roots, oldest))


def tell_of_adoption(store, paths, pair, what):
    """Tell what became of paths that led to files made by hand."""
    before = "".join(f"{path}: a file\n" for path in paths)
    after = "".join(f"{path}: a link into {store.path}/current\n" for path in paths)
    told = {"changed": True, "msg": f"{' and '.join(paths)} {what}", "diff": {"before": before, "after": after}}
    if pair is not None:
        told["msg"] += f" ({describe_certificate(pair.chain[0])})"
        if pair.exposed:
            told["exposed"] = pair.exposed
    return told


def together(told, result):
    """Return a result with what was told of an adoption before it."""
    diff = result.get("diff", {"before": "", "after": ""})
    diff = {side: told["diff"][side] + diff[side] for side in diff}
    return {**result, **told, "diff": diff, "msg": ", ".join([told["msg"], *filter(None, [result.get("msg")])])}


def look(module, store, wanted, now, roots, oldest):
    """Say whether the certificate is due, and what is ready or has to be signed."""
    reason = why_due(store, wanted, now, roots, module.params["force"])
    if reason is None:
        return not_due(module, store, wanted, now, roots, oldest)
    if module.check_mode:
        return {
            "due": True,
            "reason": reason,
            **in_use(store),
            **would_prepare(store, wanted, now, roots, oldest, reason),
        }
    with store.lock():
        reason = why_due(store, wanted, now, roots, module.params["force"])
        if reason is not None:
            answer = {"due": True, "reason": reason, **in_use(store)}
            return {**answer, **prepare(module, store, wanted, now, roots, oldest, reason)}
    return not_due(module, store, wanted, now, roots, oldest)  # another run was faster


def prepare(module, store, wanted, now, roots, oldest, reason):
    """Return what is ready, or the signing request that waits, or a new one."""
    store.remove_left_over(wanted)
    ready = None if module.params["force"] else store.find_ready(wanted, now, roots)
    if ready is not None:
        return {"changed": False, "ready": ready}
    csr = still_waiting(store, wanted, oldest)
    if csr is not None:
        return waiting(store, csr)
    csr = new_request(store, wanted)
    return {**waiting(store, csr), "changed": True, "diff": due(reason)}


def would_prepare(store, wanted, now, roots, oldest, reason):
    """Return what prepare() would, as far as it can be told without doing anything."""
    csr = still_waiting(store, wanted, oldest)
    if csr is not None and store.find_ready(wanted, now, roots) is None:
        return waiting(store, csr)
    return {"changed": True, "diff": due(reason)}


# not a parser: it reads what the collection has made or checked
def waiting(store, csr):
    """Tell of the signing request that waits."""
    return {"changed": False, "csr": csr.decode(), "since": store.waiting_since().isoformat()}


def due(reason):
    """Return the reason as a diff."""
    return {"before": "", "after": f"due: {reason}\n"}


def in_use(store):
    """Tell which certificate is in use, and for what and when it is valid, where there is one that can be read."""
    current = store.current()
    try:
        leaf = parse_chain(store.file(current, "fullchain.pem") or b"")[0] if current else None
        names = sorted(names_of(leaf)) if leaf is not None else []
    except TlsError:
        leaf = None
    if leaf is None:
        return {"in_use": None}
    valid = {"names": names, "not_before": not_before(leaf).isoformat(), "not_after": not_after(leaf).isoformat()}
    return {"in_use": fingerprint(leaf), "valid": valid}


# not a parser: it reads what the collection has made or checked
def withdraw(module, store, wanted):
    """Remove the key and the signing request that wait for the issuer, if there are any."""
    if store.waiting_since() is None or store.file("next", "issuer") != wanted["issuer"].encode():
        return {"changed": False, "due": False, "msg": f"nothing waits for a certificate of {wanted['name']}"}
    return give_up(module, store, wanted)


def give_up(module, store, wanted):
    """Remove the key and the signing request that wait."""
    if not module.check_mode:
        with store.lock():
            store.remove_version("next")
    return {"changed": True, "due": False, "msg": f"the request for a certificate of {wanted['name']} is withdrawn"}


def why_due(store, wanted, now, roots, force):
    """Say why the certificate is due, or return None while it is not."""
    current = store.current()
    if current is not None and not force:
        store.check_key_mode(current, wanted)
    return store.why_renew(current, wanted, now, roots, force)


def not_due(module, store, wanted, now, roots, oldest):
    """Say what is in use, and whether it has to be put right; a request that nobody wants any longer is withdrawn."""
    current = store.current()
    unsettled = {"ready": current} if store.paths_to_correct(current, wanted) else {}
    result = {"changed": False, "due": False, "fingerprint": in_use(store)["in_use"], **unsettled}
    since = store.waiting_since()
    if since is None:
        anew = {} if is_sealed(store, current, wanted) else seal_anew(module, store, wanted, now, roots)
        return {**result, **anew}
    if still_waiting(store, wanted, oldest) is not None:
        return {**result, "since": since.isoformat()}
    return {**result, **give_up(module, store, wanted)}


def still_waiting(store, wanted, oldest):
    """Return the signing request that is waiting already, unless it has done so since before *oldest*, or does not fit."""
    since = store.waiting_since()
    return None if since is None or (oldest and since < oldest) else waiting_request(store, wanted)


def waiting_request(store, wanted):
    """Return the signing request that is waiting already, or None if there is none that fits."""
    csr = store.file("next", "request.csr")
    if not csr or store.file("next", "issuer") != wanted["issuer"].encode():
        return None
    try:
        store.check_key_mode("next", wanted)
        public_key, request = store.private_key("next").public_key(), load_csr(csr)
        fits = (
            csr.isascii()
            and public_bytes(public_key) == public_bytes(request.public_key())
            and describe_key(public_key) == describe_requested_key(wanted)
            and (wanted["reuse_key"] or not is_in_use(store, public_key))
            and requested_names(request) == set(wanted["domains"])
            and request.subject == subject_name(wanted["domains"], wanted)
            and challenge_password(request) == wanted["challenge_password"]
        )
    except TlsError:
        return None
    return csr if fits else None


def is_in_use(store, public_key):
    """Say whether a key is the one that is in use."""
    current = store.current()
    try:
        return current is not None and public_bytes(store.private_key(current).public_key()) == public_bytes(public_key)
    except TlsError:
        return False


# not a parser: it reads what the collection has made or checked
def new_request(store, wanted):
    """Make a key, or take the present one if it is to be kept, and return the signing request that waits beside it."""
    check_passphrase_expected(store, wanted)
    key = kept_key(store, wanted) or load_key(make_key(wanted))
    csr = make_csr(key, wanted["domains"], wanted)
    store.prepare_next({**sealed(key, wanted), "request.csr": csr, "issuer": wanted["issuer"].encode()}, wanted)
    return csr


# not a parser: it only passes on foreign input
def kept_key(store, wanted):
    """Return the present key if it is to be kept, and nobody else could read it, and it is of the kind that is wanted."""
    current = store.current()
    if current is None or not wanted["reuse_key"] or store.why_exposed(current):
        return None
    try:
        store.check_key_mode(current, wanted)
        key = store.private_key(current)
    except TlsError:
        return None
    return key if describe_key(key.public_key()) == describe_requested_key(wanted) else None


# not a parser: it reads what the collection has made or checked
def sealed(key, wanted):
    """Return the files of a private key, encrypted where that is wanted."""
    if not wanted["encrypt_key"]:
        return {"privkey.pem": write_key(key)}
    passphrase = (wanted["passphrase"] or secrets.token_urlsafe(32)).encode()
    return {"privkey.pem": write_key(key, passphrase), "passphrase": passphrase + b"\n"}


# not a parser: it reads what the collection has made or checked
def is_sealed(store, version, wanted):
    """Say whether the key of a version is encrypted with the passphrase that is wanted, or with none where none is."""
    passphrase = store.passphrase(version)
    if not wanted["encrypt_key"] or passphrase is None:
        return not wanted["encrypt_key"] and passphrase is None
    return passphrase == wanted["passphrase"].encode() if wanted["passphrase"] else MADE_HERE.fullmatch(passphrase)


def seal_anew(module, store, wanted, now, roots):
    """Make the certificate in use ready once more, its key encrypted as is wanted now; there is no need to have it issued again."""
    was_sealed = store.passphrase(store.current()) is not None
    how = (
        ("encrypted with another passphrase" if was_sealed else "encrypted")
        if wanted["encrypt_key"]
        else "no longer encrypted"
    )
    sentence = f"the key of {wanted['name']} is {how}"
    result = {"changed": True, "ready": "next", "msg": sentence, "diff": {"before": "", "after": f"{sentence}\n"}}
    if module.check_mode:
        return result
    with store.lock():
        current, ready = store.current(), store.find_ready(wanted, now, roots)
        if is_sealed(store, current, wanted):
            return {}  # another run was faster
        if ready is None or not is_sealed(store, ready, wanted):
            check_passphrase_expected(store, wanted)
            kept = {
                name: store.file(current, name)
                for name in ("cert.pem", "chain.pem", "fullchain.pem", "issuer", "exposed")
            }
            files = {name: content for name, content in kept.items() if content is not None}
            store.prepare_next({**files, **sealed(store.private_key(current), wanted)}, wanted)
    return result


def check_passphrase_expected(store, wanted):
    """Make sure that whoever reads the key in use has been told where passphrases are: nginx could not be started otherwise."""
    current = store.current()
    if current is None or not wanted["encrypt_key"] or store.file(current, "passphrase"):
        return
    try:
        store.private_key(current)
    except TlsError:  # nor can nginx read it
        return
    path = f"{store.path}/current/passphrase"
    raise TlsError(
        f"the key of {wanted['name']} is to be encrypted, and nginx has not been told where its passphrase will be; run "
        f"evergreen.tls.deploy, or, where nginx's configuration is your own, put an empty line into {path}, for root alone to read, "
        "and name it there as ssl_password_file"
    )
