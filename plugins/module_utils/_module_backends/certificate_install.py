# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a chain and the key that waits for it become the version in use, and how a host goes back from it."""

from __future__ import annotations

import contextlib
import os
import shlex

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import require_cryptography
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    check_chain,
    describe_chain,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._store.links import check_links, remove_links
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command

# The one definition of the options of certificate_install. Described for people in plugins/modules/certificate_install.yml.
OPTIONS = {
    "request": REQUEST_SPEC,
    "directory": {"type": "path", "default": "/etc/evergreen"},
    "state": {"type": "str", "choices": ["present", "previous", "absent"], "default": "present"},
    "chain": {"type": "str"},
    "roots": {"type": "str"},
}


def decide(module):
    require_cryptography()
    wanted = module.params["request"]
    store = Store(module.params["directory"], wanted["name"])
    store.check_folders()
    if not module.check_mode:
        store.unhide_left_over()
    if not os.path.isdir(store.path):
        return nothing_there(module, wanted, store)
    before = describe(store)
    change = {"present": install, "previous": go_back, "absent": remove}[module.params["state"]]
    if module.check_mode:
        result = change(module, wanted, store)
    else:
        with store.lock():
            tried = module.params["state"] == "present" and try_out(wanted, store)  # what a killed run has left untried
            result = change(module, wanted, store)
            result["changed"] = result["changed"] or tried
    after = describe(store)
    if module.check_mode and "chain" in result:
        after = f"{as_text(describe_chain(result['chain']))}"
    result.pop("chain", None)
    if result["changed"]:
        result["diff"] = {"before": before, "after": after}
    if os.path.isdir(store.path) and store.current():
        result["version"] = store.current()
        with contextlib.suppress(TlsError):  # what cannot be read is told of by certificate_info
            chain = parse_chain(store.file(store.current(), "fullchain.pem") or b"")
            result["certificate"] = describe_chain(chain)
    return result


def nothing_there(module, wanted, store):
    """Answer for a host on which nothing was ever requested."""
    if module.params["state"] == "absent":
        if os.path.isdir(store.hidden) or os.path.isdir(store.gone):
            if not module.check_mode:
                store.remove()
            return {"changed": True, "msg": f"{store.path} is removed"}
        return {"changed": False, "msg": f"there is nothing at {store.path}"}
    if module.check_mode:
        sentence = f"would install the certificate of {', '.join(wanted['domains'])} at {store.path}"
        return {"changed": True, "msg": sentence, "diff": {"before": "", "after": f"{sentence}\n"}}
    raise TlsError(f"{store.path} does not exist; request the certificate on this host first, with certificate_request")


def install(module, wanted, store):
    """Make the chain, or what was left ready, the current version."""
    check_links(store, wanted)
    now = utc_now()
    roots = parse_chain(module.params["roots"].encode()) if module.params["roots"] else None
    current = store.current()
    if not module.params["chain"]:
        ready = store.find_ready(wanted, now, roots)
        if ready is not None:
            return put_in_use(module, wanted, store, lambda: store.promote_next(wanted) if ready == "next" else ready)
        if store.why_renew(current, wanted, now, roots) is None:
            return settle(module, wanted, store)
        if module.check_mode:
            return {"changed": True, "msg": "would install the certificate that the issuer returns"}
        raise TlsError(f"no certificate is ready in {store.path}; pass the chain that certificate_issue returned")

    if current and module.params["chain"].encode().split() == (store.file(current, "fullchain.pem") or b"").split():
        return settle(module, wanted, store)
    key = store.file("next", "privkey.pem")
    if (
        key is None
        and belongs_to(module.params["chain"], store, current)
        and store.why_renew(current, wanted, now, roots) is None
    ):
        return settle(module, wanted, store)  # another run was faster, and had the same key certified
    if key is None:
        raise TlsError(
            f"no key is waiting in {store.next}; request the certificate on this host first, with certificate_request"
        )
    store.check_key_mode("next", wanted)
    try:
        chain = parse_chain(module.params["chain"].encode())
        public_key = store.private_key("next", f"{store.next}/privkey.pem").public_key()
        check_chain(chain, public_key, wanted["domains"], now, roots, wanted["allowed_domains"])
    except TlsError as error:
        raise TlsError(f"the chain for {wanted['name']} is refused: {error}", now=now.isoformat()) from error
    return {"chain": chain, **put_in_use(module, wanted, store, lambda: store.complete_next(chain, wanted))}


def belongs_to(chain, store, version):
    """Say whether a chain is for the key of a version."""
    try:
        key = store.private_key(version).public_key() if version else None
        return key is not None and public_bytes(key) == public_bytes(parse_chain(chain.encode())[0].public_key())
    except TlsError:
        return False


def put_in_use(module, wanted, store, make_version):
    """Switch to the version that *make_version* makes, and back again if the command of the request refuses it."""
    if module.check_mode:
        return {"changed": True, "msg": f"would put a new version of {wanted['name']} in use"}
    version = make_version()
    if wanted["validate"]:
        store.begin_trial(version, wanted)
    store.switch(version)
    store.correct_paths(version, wanted)
    try_out(wanted, store)
    return {
        "changed": True,
        "pruned": store.prune(wanted["keep"]),
        "msg": f"{version} of {wanted['name']} is in use",
    }


def try_out(wanted, store):
    """End the trial of the current version, if there is one, by keeping it or by going back; say whether there was one."""
    if not os.path.lexists(store.trial):
        return False
    version = store.version_on_trial()
    refusal = complaint(wanted) if version else None  # else a run was killed that had just gone back
    if refusal:
        before = store.go_back()
        raise TlsError(
            f"{version} of {wanted['name']} was refused by {wanted['validate']!r}, and {before or 'nothing'} is in use as before: "
            f"{refusal}; put that right and run this again, the certificate is kept"
        )
    store.end_trial()
    return True


def go_back(module, wanted, store):
    """Make the newest earlier version that can still be served the current one."""
    version = store.previous(utc_now())
    if version is None:
        return {"changed": False, "msg": f"{wanted['name']} has no earlier version that could be served"}
    if not module.check_mode:
        store.switch(version)
    return {"changed": True, "put_back": version, "msg": f"{version} of {wanted['name']} is in use again"}


def remove(module, wanted, store):
    """Take everything away, if the command of the request can do without it."""
    if not module.check_mode:
        store.remove_left_over(wanted)
        store.hide()  # and its links with it, as they lead nowhere then
        refusal = complaint(wanted)
        if refusal:
            store.unhide()
            raise TlsError(
                f"{wanted['name']} is still in use, and is kept: {wanted['validate']!r} says {refusal}; "
                "take it out of the configuration first"
            )
        remove_links(store, wanted)
        store.remove()
    return {"changed": True, "msg": f"{store.path} is removed"}


def settle(module, wanted, store):
    """Leave the current version in use, with links and the attributes of its key as the request wants them."""
    paths = store.paths_to_correct(store.current(), wanted)
    if paths and not module.check_mode:
        store.correct_paths(store.current(), wanted)
    return {"changed": bool(paths), "msg": f"{', '.join(paths)} set right" if paths else f"{wanted['name']} is in use"}


# not a parser: it reads what the collection has made or checked
def complaint(wanted):
    """Run the command of the request; return what it complains of, or None."""
    if not wanted["validate"]:
        return None
    status, output = run_command(shlex.split(wanted["validate"]))
    return (output or f"exit status {status}") if status else None


def describe(store):
    """Return the current version as people read it."""
    if not os.path.isdir(store.path) or not store.current():
        return ""
    try:
        return as_text(describe_chain(parse_chain(store.file(store.current(), "fullchain.pem") or b"")))
    except TlsError as error:
        return f"{error}\n"


def as_text(description):
    """Return the description of a certificate as lines."""
    return "".join(
        f"{field}: {', '.join(value) if isinstance(value, list) else value}\n" for field, value in description.items()
    )
