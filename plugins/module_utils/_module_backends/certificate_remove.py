# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work of the module certificate_remove: list and remove the certificates that the inventory no longer has."""

from __future__ import annotations

import datetime
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import (
    Module,
    ModuleResult,
    require_cryptography,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.certificate_install import remove
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.certificate_references import check_unreferenced
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.deployed import (
    Deployed,
    half_removed_names,
    installed_names,
    read_deployed,
    write_deployed,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.ledger import Ledger
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import PathUse, check_folder
from ansible_collections.evergreen.tls.plugins.module_utils._tls.presented import find_presented

# The one definition of the options of certificate_remove. Described for people in plugins/modules/certificate_remove.yml.
OPTIONS: dict[str, dict[str, t.Any]] = {
    "directory": {"type": "path", "default": "/etc/evergreen"},
    "host": {"type": "str", "required": True},
    "requests": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "domains": {"type": "list", "elements": "str", "required": True},
            "links": {"type": "dict", "default": {}},
            "owner": {"type": "str"},
            "port": {"type": "int", "default": 443},
        },
    },
    "kept": {"type": "list", "elements": "str", "default": []},
    "grace": {"type": "int", "default": 604800},
    "remove": {"type": "list", "elements": "str", "default": []},
}
LOCAL_ADDRESSES = ("127.0.0.1", "::1")
LOCAL_TIMEOUT_S = 3.0


class DeployedRequest(t.TypedDict):
    """What the module gets of a request of the inventory."""

    name: str
    domains: list[str]
    links: dict[str, str]
    owner: str | None
    port: int


class Options(t.TypedDict):
    """The options of the module; see OPTIONS."""

    directory: str
    host: str
    requests: list[DeployedRequest]
    kept: list[str]  # names of requests about which nothing else is known
    grace: int  # seconds
    remove: list[str]  # names of certificates that no client gets any more


class Unused(t.TypedDict):
    """A certificate for which the inventory has no request."""

    name: str
    state: str  # "unknown", "waiting", "due", "kept" or "removed"
    sentence: str  # for people
    domains: list[str]
    port: int
    fingerprints: list[str]  # SHA-256, of all versions
    remove_after: str  # ISO 8601, or nothing


class Result(ModuleResult, total=False):
    """What the module returns."""

    unused: list[Unused]


# not a parser: it reads what the collection has made or checked
def decide(module: Module) -> Result:
    """Record which certificates have a request, list the others, and remove those of them that are due."""
    require_cryptography()
    options = t.cast(Options, module.params)
    check_folder(options["directory"], PathUse("directory"))
    finished = [] if module.check_mode else finish_killed_removals(options["directory"])
    names = {request["name"] for request in options["requests"]} | set(options["kept"])
    if not module.check_mode:
        record_requests(options)
    removal = Removal(module, options, int(time.time()))
    others = (removal.unused(name) for name in installed_names(options["directory"]) if name not in names)
    unused = [one for one in others if one]
    removed = [one["name"] for one in unused if one["state"] == "removed"]
    removed += [name for name in finished if name not in names and name not in removed]
    result: Result = {
        "changed": removal.is_changed or bool(removed),
        "unused": unused,
        "msg": ". ".join(one["sentence"] for one in unused) or "the inventory has all certificates of the host",
    }
    if removal.errors:
        raise TlsError(removal.errors[0], changed=result["changed"], unused=unused)
    if removal.is_changed:
        result["diff"] = {
            "before_header": options["directory"],
            "after_header": options["directory"],
            "before": "".join(removal.before),
            "after": "".join(removal.after),
        }
    return result


def finish_killed_removals(directory: str) -> list[str]:
    """Go back or forth with the removals of killed runs; return the names of those that are removed."""
    removed = []
    for name in half_removed_names(directory):
        store = Store(directory, name)
        store.check_folders()
        store.unhide_left_over()
        store.remove()
        removed += [] if name in installed_names(directory) else [name]
    return removed


def record_requests(options: Options) -> None:
    """Record for each certificate that is there that the inventory has it."""
    there = set(installed_names(options["directory"]))
    for request in options["requests"]:
        if request["name"] in there:
            store = Store(options["directory"], request["name"])
            store.check_folders()
            links, domains = request["links"], request["domains"]
            write_deployed(store, Deployed(options["host"], domains, links, request["owner"], request["port"]))


class Removal:
    """The removal of certificates. *before* and *after* are lines of the diff."""

    def __init__(self, module: Module, options: Options, now: int) -> None:
        """now: seconds since 1970."""
        self.module, self.options, self.now = module, options, now
        self.errors: list[str] = []  # of the operating system
        self.before: list[str] = []
        self.after: list[str] = []

    @property
    def is_changed(self) -> bool:
        """Return whether anything was changed, or would be in check mode."""
        return self.before != self.after

    # not a parser: it reads what the collection has made or checked
    def unused(self, name: str) -> Unused | None:
        """Return what is known of a certificate that has no request, once it is removed if it is to be.

        Return None for what deploy put there for another host of the inventory, which is the same machine.
        """
        store = Store(self.options["directory"], name)
        one: Unused = {
            "name": name,
            "state": "unknown",
            "sentence": (
                f"{store.path} belongs to no request of this host, and deploy has no record that it put it there: it stays; "
                "if nobody needs it, remove it with certificate_install and state=absent"
            ),
            "domains": [],
            "port": 443,
            "fingerprints": [],
            "remove_after": "",
        }
        try:
            record = read_deployed(store)
            if record is not None:
                if record.host != self.options["host"]:
                    return None
                store.check_folders()
                self._decide(store, record, one)
        except TlsError as error:
            one.update({"state": "kept", "sentence": f"{store.path} is not removed: {error}"})
        except OSError as error:
            self.errors.append(str(system_error(error)))
            one.update({"state": "kept", "sentence": f"{store.path} is not removed: {self.errors[-1]}"})
        return one

    # not a parser: it reads what the collection has made or checked
    def _decide(self, store: Store, record: Deployed, one: Unused) -> None:
        """Fill in what is known of a certificate that deploy put on this host, and remove it if it is to be."""
        name, check_mode = one["name"], self.module.check_mode
        since = self.now if record.unused_since is None else min(record.unused_since, self.now)
        end = datetime.datetime.fromtimestamp(since + self.options["grace"], datetime.timezone.utc)
        one.update({"domains": record.domains, "port": record.port, "remove_after": end.isoformat()})
        one["fingerprints"] = version_fingerprints(store)
        if record.unused_since is None:
            self.before.append(f"{name}: in use\n")
            self.after.append(f"{name}: removed after {format_date(end, 'minutes')}\n")
            if not check_mode:
                write_deployed(store, record._replace(unused_since=since))
        if end.timestamp() > self.now:
            date = format_date(end, "minutes")
            sentence = f"no request of this host is named {name} any more: the first deploy after {date} removes {store.path} with its key"
            one.update({"state": "waiting", "sentence": sentence})
            return
        check_unreferenced(self.module, store.path)
        exports = exports_sentence(store)
        if check_mode:
            one.update({"state": "due", "sentence": f"{store.path} would be removed with its key{exports}"})
            self.before.append(f"{name}: no longer requested\n")
        elif name in self.options["remove"]:
            check_not_served(one)
            with store.lock():
                remove(request_of(name, record), store, check_mode=False)
            one.update({"state": "removed", "sentence": f"{store.path} is removed with its key{exports}"})
            self.before.append(f"{name}: no longer requested\n")
        else:
            one.update(
                {"state": "due", "sentence": f"{store.path} is removed with its key once no client gets it any more"}
            )


def request_of(name: str, record: Deployed) -> Request:
    """Return the part of a request that its removal needs."""
    known = {"name": name, "domains": record.domains, "links": record.links, "owner": record.owner, "validate": None}
    return t.cast(Request, known)


def version_fingerprints(store: Store) -> list[str]:
    """Return the SHA-256 fingerprints of the certificates of all versions that can be read."""
    fingerprints = []
    for version in store.versions():
        try:
            fingerprints.append(fingerprint(parse_chain(store.file(version, "fullchain.pem") or b"")[0]))
        except TlsError:
            continue
    return fingerprints


def check_not_served(one: Unused) -> None:
    """Raise TlsError if this host still presents a certificate to its clients, at its own address."""
    endpoints = [(address, one["port"]) for address in LOCAL_ADDRESSES]
    probe = find_presented(endpoints, one["domains"], one["fingerprints"], LOCAL_TIMEOUT_S)
    if probe:
        address, port, domain = probe
        raise TlsError(
            f"{domain} at {address} port {port} is still answered with it; take it out of the configuration of what listens there, "
            "then run this again"
        )


def exports_sentence(store: Store) -> str:
    """Return which exports stay when a certificate is removed, as the end of a sentence."""
    paths = sorted(Ledger(store).written)
    return f"; its exports {', '.join(paths)} stay: remove them where nobody reads them" if paths else ""
