# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scenarios for certificate_request and certificate_install: initial state, run, and ordinary run after a fault."""

from __future__ import annotations

import dataclasses
import os
import shutil
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr
from ansible_collections.evergreen.tls.tests.faults.programs import Programs, Run
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

REQUEST, INSTALL, REMOVE = "certificate_request", "certificate_install", "certificate_remove"
NAMES = ["www.example.org", "example.org"]
ROOT = Authority("Faults Root CA")
ISSUING = Authority("Faults Issuing CA", above=ROOT)
HAND_MADE = {"key": "server.key", "certificate": "server.pem"}
DUE = (-80, 10)
FRESH = (-1, 90)


class Host:
    """A host in a folder: C(etc/evergreen) with its certificates, C(etc/nginx) with links to them."""

    def __init__(self, folder: str, programs: Programs) -> None:
        self.folder = folder
        self.programs = programs
        self.top = os.path.join(folder, "host")
        self.directory = os.path.join(self.top, "etc/evergreen")
        self.store = os.path.join(self.directory, "web")
        self.link_folder = os.path.join(self.top, "etc/nginx")
        self.issued = 0

    def make(self) -> None:
        """Create an empty host."""
        os.makedirs(self.link_folder)

    def copy_from(self, other: Host) -> None:
        """Copy another host."""
        shutil.copytree(other.top, self.top, symlinks=True)
        for folder, folders, files in os.walk(self.top):
            for path in (os.path.join(folder, name) for name in [*folders, *files]):
                if os.path.islink(path) and os.readlink(path).startswith(f"{other.top}/"):
                    target = self.top + os.readlink(path)[len(other.top) :]
                    os.unlink(path)
                    os.symlink(target, path)
        self.name_in_records(other)

    def name_in_records(self, other: Host) -> None:
        """Name this host in the place of another in the records of removal, which hold the paths of links."""
        for folder, _folders, files in os.walk(self.top):
            if "deployed.json" in files:
                path = os.path.join(folder, "deployed.json")
                with open(path, encoding="utf-8") as stream:
                    record = stream.read().replace(f"{other.top}/", f"{self.top}/")
                with open(path, "w", encoding="utf-8") as stream:
                    stream.write(record)

    def run(self, module: str, strace: list[str] | None = None, **arguments: t.Any) -> Run:
        """Run a module. strace: options with which it runs under strace."""
        internal = {"_ansible_diff": True, "_ansible_remote_tmp": self.folder}
        roots = {} if module == REMOVE else {"roots": ROOT.pem.decode()}
        arguments = {"directory": self.directory, **roots, **arguments, **internal}
        log = os.path.join(self.folder, "log") if strace is not None else ""
        return self.programs.run(module, arguments, os.path.join(self.folder, "output"), strace, log)

    def put_by_hand(self, request: dict, days: tuple[int, int] = FRESH, mode: int = 0o600) -> None:
        """Write the key and the certificate that a request adopts."""
        paths, key = request["adopt"], some_key(1)
        contents = {"key": key_pem(key), "certificate": to_pem(ISSUING.chain(request["domains"], key, days=days))}
        for option, content in contents.items():
            with open(paths[option], "wb") as stream:
                stream.write(content)
            os.chmod(paths[option], mode)

    def ask(self, request: dict, force: bool = False) -> dict:
        """Run certificate_request."""
        return self.run("certificate_request", request=request, force=force, **controller_arguments(request)).result()

    def install(self, request: dict, chain: str | None = None, state: str = "present") -> dict:
        """Run certificate_install."""
        return self.run("certificate_install", request=request, chain=chain, state=state).result()

    def record(self, request: dict) -> None:
        """Run certificate_remove as deploy does for a host that has this request."""
        options = ("name", "domains", "links")
        recorded = {option: request[option] for option in options if option in request}
        result = self.run(REMOVE, host="web1", requests=[{**recorded, "port": 1}]).result()
        assert not result.get("failed"), result

    def renew(self, request: dict, days: tuple[int, int] = FRESH) -> None:
        """Install a new certificate, whether one is due or not."""
        requested = self.ask(request, force=os.path.isdir(self.store))
        result = self.install(request, self.sign(requested["csr"], request, days))
        assert not result.get("failed"), result

    def sign(self, csr: str, request: dict, days: tuple[int, int] = FRESH) -> str:
        """Return the chain that the CA issues."""
        self.issued += 1
        leaf = ISSUING.leaf(request["domains"], PublicKey(load_csr(csr.encode())), days=days)
        return to_pem([leaf, ISSUING.certificate]).decode()

    def converge(self, request: dict) -> dict:
        """Do an ordinary run: request a certificate, issue it if one is due, and install what is ready."""
        requested = self.ask(request)
        if requested.get("failed"):
            return requested
        if "csr" in requested:
            return self.install(request, self.sign(requested["csr"], request))
        return self.install(request) if "ready" in requested else requested


class PublicKey:
    """The key of a signing request, for an authority that needs its public part alone."""

    def __init__(self, csr) -> None:
        self.csr = csr

    def public_key(self):
        return self.csr.public_key()


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Initial state, module and request. prepare: creates the state and returns the chain to install."""

    title: str
    module: str
    prepare: t.Callable[[Host], str | None]
    request: t.Callable[[Host], dict]
    arguments: dict = dataclasses.field(default_factory=dict)
    end: str = "in use"  # what there is once all is done: "in use", "absent"
    after: t.Callable[[Host], dict] | None = None  # the request of the ordinary run, where it is another
    key_mode: int = 0o600
    waits: bool = False  # whether a request may go on waiting, since nothing is due without force

    def run(self, host: Host, chain: str | None, strace: list[str] | None = None) -> Run:
        """Run the module in its scenario."""
        if self.module == REMOVE:
            return host.run(REMOVE, strace, **self.arguments)
        request = self.request(host)
        arguments = controller_arguments(request) if self.module == "certificate_request" else {"chain": chain}
        return host.run(self.module, strace, request=request, **{**arguments, **self.arguments})

    def ordinary(self, host: Host) -> dict:
        """Do an ordinary run for this scenario; return its result."""
        if self.module == REMOVE:
            return self.run(host, None).result()
        request = (self.after or self.request)(host)
        return host.install(request, state="absent") if self.end == "absent" else host.converge(request)

    @property
    def may_remove(self) -> bool:
        """Return whether the certificate may be gone."""
        return self.module == REMOVE or self.arguments.get("state") == "absent"

    def adopted(self, host: Host) -> dict[str, str]:
        """Return the paths of the pair that the request adopts, if there is one."""
        return self.request(host).get("adopt", {})

    def links(self, host: Host) -> dict[str, str]:
        """Return the links of the request, with their targets."""
        files = self.request(host).get("links", {})
        return {path: os.path.join(host.store, "current", file) for path, file in files.items()}


def controller_arguments(request: dict) -> dict:
    """Return the arguments that the controller passes to certificate_request beside the request."""
    return {"host": "web1", "passphrase": request.get("key_passphrase")}


def plain(host, **changes):
    return {"name": "web", "domains": NAMES, "keep": 1, **changes}


def kept_key(host):
    return plain(host, reuse_key=True)


def locked(host):
    return plain(host, encrypt_key=True, key_passphrase="correct horse")


def locked_anew(host):
    return plain(host, encrypt_key=True, key_passphrase="battery staple")


def fewer_names(host):
    return plain(host, domains=NAMES[:1])


def linked(host, **changes):
    links = {"server.pem": "fullchain.pem", "server.key": "privkey.pem"}
    links = {os.path.join(host.link_folder, name): file for name, file in links.items()}
    return plain(host, links=links, validate="true", **changes)


def refused(host):
    return linked(host) | {"validate": "false"}


def adopting(host):
    paths = {option: os.path.join(host.link_folder, name) for option, name in HAND_MADE.items()}
    return linked(host, adopt=paths)


def grouped(host):
    return linked(host, mode="0640", group="adm")


def bare(host):
    return None


def due(host):
    host.renew(plain(host), DUE)


def waiting(host):
    host.ask(plain(host))


def first(host):
    return host.sign(host.ask(plain(host))["csr"], plain(host))


def renewal(host):
    for _time in range(2):
        host.renew(plain(host), DUE)
    return first(host)


def ready_in_next(host):
    """A run that was killed just before what it had in C(next) became a version."""
    due(host)
    host.install(plain(host), first(host))
    os.unlink(os.path.join(host.store, "current"))
    os.symlink("v0001", os.path.join(host.store, "current"))
    os.rename(os.path.join(host.store, "v0002"), os.path.join(host.store, "next"))


def ready_version(host):
    """A run that was killed just before it put its version in use."""
    due(host)
    host.install(plain(host), first(host))
    os.unlink(os.path.join(host.store, "current"))
    os.symlink("v0001", os.path.join(host.store, "current"))


def linked_renewal(host):
    host.renew(linked(host), DUE)
    return host.sign(host.ask(linked(host))["csr"], linked(host))


def moved_here(host):
    """A server that had its certificate elsewhere."""
    with open(os.path.join(host.top, "old.pem"), "w", encoding="ascii") as stream:
        stream.write("what it had before\n")
    for name in ("server.pem", "server.key"):
        os.symlink("../../old.pem", os.path.join(host.link_folder, name))
    return first(host)


def made_by_hand(host):
    host.put_by_hand(adopting(host))


def made_by_hand_long_ago(host):
    host.put_by_hand(adopting(host), DUE)


def adopted_long_ago(host):
    made_by_hand_long_ago(host)
    return host.sign(host.ask(adopting(host))["csr"], adopting(host))


def untried(host):
    """A run that was killed while it asked whether its version is refused."""
    due(host)
    host.run("certificate_install", request=plain(host, validate="sh -c 'kill -KILL $PPID'"), chain=first(host))
    assert os.path.exists(os.path.join(host.store, "trial"))


def untried_and_refused(host):
    return plain(host, validate="false")


def fresh(host):
    host.renew(plain(host))


def twice(host):
    host.renew(plain(host))
    host.renew(plain(host))


def linked_twice(host):
    host.renew(linked(host))
    host.renew(linked(host))


def recorded_twice(host):
    """A host of which the inventory has no request any more."""
    linked_twice(host)
    host.record(linked(host))


def fresh_and_locked(host):
    host.renew(locked(host))


def to_be_locked_anew(host):
    fresh_and_locked(host)
    host.ask(locked_anew(host))


def to_be_unlocked(host):
    fresh_and_locked(host)
    host.ask(plain(host))


UNUSED = {"host": "web1", "requests": [], "grace": 0, "remove": ["web"]}
SCENARIOS = [
    Scenario("a first request", REQUEST, bare, plain),
    Scenario("a request for a renewal", REQUEST, due, plain),
    Scenario("a request that keeps the key", REQUEST, due, kept_key),
    Scenario("a request in the place of another", REQUEST, waiting, fewer_names),
    Scenario("a forced request", REQUEST, fresh, plain, {"force": True}, waits=True),
    Scenario("a first request with a passphrase", REQUEST, bare, locked),
    Scenario("a request with another passphrase", REQUEST, fresh_and_locked, locked_anew),
    Scenario("a version with another passphrase", INSTALL, to_be_locked_anew, locked_anew),
    Scenario("a version without a passphrase any longer", INSTALL, to_be_unlocked, plain),
    Scenario("a pair made by hand", REQUEST, made_by_hand, adopting),
    Scenario("a pair made by hand that is due", REQUEST, made_by_hand_long_ago, adopting),
    Scenario("a first installation", INSTALL, first, plain),
    Scenario("a renewal that prunes", INSTALL, renewal, plain),
    Scenario("a chain that waits in next", INSTALL, ready_in_next, plain),
    Scenario("a version that waits", INSTALL, ready_version, plain),
    Scenario("a first installation with links", INSTALL, first, linked),
    Scenario("a renewal with links", INSTALL, linked_renewal, linked),
    Scenario("a renewal of what was adopted", INSTALL, adopted_long_ago, adopting),
    Scenario("links that led elsewhere", INSTALL, moved_here, linked),
    Scenario("a first version that is refused", INSTALL, moved_here, refused, after=linked),
    Scenario("a renewal that is refused", INSTALL, linked_renewal, refused, after=linked),
    Scenario("a version whose trial was killed", INSTALL, untried, plain),
    Scenario(
        "a version whose trial was killed and that is refused", INSTALL, untried, untried_and_refused, after=plain
    ),
    Scenario("links and modes set right", INSTALL, fresh, grouped, key_mode=0o640),
    Scenario("the previous version", INSTALL, twice, plain, {"state": "previous"}),
    Scenario("a removal", INSTALL, twice, plain, {"state": "absent"}, end="absent"),
    Scenario("a removal with links", INSTALL, linked_twice, linked, {"state": "absent"}, end="absent"),
    Scenario("a removal, and then it is wanted", INSTALL, linked_twice, linked, {"state": "absent"}),
    Scenario("a removal without a request", REMOVE, recorded_twice, linked, UNUSED, end="absent"),
    Scenario("a removal that is refused", INSTALL, linked_twice, refused, {"state": "absent"}, after=linked),
]
