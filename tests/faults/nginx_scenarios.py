# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scenarios for nginx_sites and nginx_reload, and what must hold of nginx at each moment."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from cryptography.hazmat.primitives import serialization

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_config import HEADER
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import OPTIONS
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import normal_sites
from ansible_collections.evergreen.tls.tests.faults.crash_explorer import TAKEN_PORT, Machine
from ansible_collections.evergreen.tls.tests.faults.programs import Run
from ansible_collections.evergreen.tls.tests.faults.scenarios import DUE, FRESH, ISSUING, NAMES, ROOT
from ansible_collections.evergreen.tls.tests.unit.fake_ca import key_pem, some_key

FOLDERS = ("/etc/nginx", "/etc/evergreen")
CONFIGURATION = "/etc/nginx/conf.d/evergreen.conf"
LOCK = "/etc/nginx/conf.d/.evergreen.conf.lock"
DOMAINS = {"web": NAMES, "shop": ["shop.example.org"]}
ENDPOINTS = {f"https:443:{name}": ROOT.pem.decode() for name in ("www.example.org", "shop.example.org")}
ENDPOINTS |= {"http:80": None, "tcp:22": False}
# Starts what is on the disk, beside what runs: with its own network, its own processes, and its own /run.
START = """
mount -t tmpfs tmpfs /run
ip link set lo up
nginx 2>&1
"""


def version(domains: list[str], number: int, days: tuple[int, int]) -> tuple[dict[str, bytes], str]:
    """Return the files of a version, and the fingerprint of its certificate."""
    key = some_key(number)
    chain = ISSUING.chain(domains, key, days=days)
    files = {
        "privkey.pem": key_pem(key),
        "cert.pem": to_pem(chain[:1]),
        "chain.pem": to_pem(chain[1:]),
        "fullchain.pem": to_pem(chain),
        "issuer": b"local",
    }
    return files, hashlib.sha256(chain[0].public_bytes(serialization.Encoding.DER)).hexdigest()


VERSIONS = {
    ("web", "v0001"): version(NAMES, 1, DUE),
    ("web", "v0002"): version(NAMES, 2, FRESH),
    ("shop", "v0001"): version(DOMAINS["shop"], 3, FRESH),
}
WWW = {"name": "www", "certificate": "web", "return_code": 204}
SHOP = {"name": "shop", "certificate": "shop", "return_code": 204}


def quiet(machine: Machine) -> None:
    """Change nothing."""


def renewed(machine: Machine) -> None:
    """Put the new version in use, as certificate_install does."""
    machine.link("v0002", "/etc/evergreen/web/current")


def stopped(machine: Machine) -> None:
    """Stop nginx."""
    machine.command("nginx", "-s", "quit")
    machine.command("sh", "-c", "while pgrep -x nginx; do sleep 0.01; done")


def renewed_and_stopped(machine: Machine) -> None:
    renewed(machine)
    stopped(machine)


def renewed_and_broken(machine: Machine) -> None:
    """Put the new version in use, and add a broken file that nginx includes."""
    renewed(machine)
    machine.put("/etc/nginx/conf.d/other.conf", b"no_such_directive on;\n")


@dataclasses.dataclass(frozen=True)
class NginxScenario:
    """A machine with nginx, and a run of nginx_sites or nginx_reload.

    sites: what nginx serves before. then: what happens next. new_sites: what the module is asked for.
    mended: the sites of the ordinary run, where new_sites cannot work.
    """

    title: str
    module: str
    sites: list[dict]
    new_sites: list[dict] = dataclasses.field(default_factory=list)
    then: t.Callable[[Machine], None] = quiet
    mended: list[dict] | None = None  # the sites as somebody corrects them
    passing: tuple[bytes, ...] = ()  # how the file may end for a while, neither old nor new
    traces: tuple[str, ...] = (*FOLDERS, "/run/nginx.pid", "/var/log/nginx", "/proc/")
    disk: tuple[str, tuple[str, ...]] = ("/etc", FOLDERS)  # what a power loss may damage

    def set_up(self, machine: Machine) -> None:
        """Bring a machine into the initial state of the scenario."""
        machine.reset()
        for (name, number), (files, _fingerprint) in VERSIONS.items():
            for file, content in files.items():
                mode = 0o600 if file == "privkey.pem" else 0o644
                machine.put(f"/etc/evergreen/{name}/{number}/{file}", content, mode)
            machine.link("v0001", f"/etc/evergreen/{name}/current")
        if self.sites:
            self._sites(machine, self.sites).result()
        machine.start_nginx()
        self.then(machine)

    def run(self, machine: Machine, strace: list[str] | None, traced: tuple[str, ...]) -> Run:
        """Run the module."""
        if self.module == "nginx_sites":
            return self._sites(machine, self.new_sites, strace, traced)
        request = {"name": "web", "domains": NAMES}
        return machine.run(self.module, strace, traced, request=request, started=True, timeout=20)

    def ordinary(self, machine: Machine) -> dict:
        """Correct the configuration and do an ordinary run; return its result."""
        broken = machine.path("/etc/nginx/conf.d/other.conf")
        if os.path.lexists(broken):
            os.unlink(broken)
        if self.mended is None:
            return self.run(machine, None, ()).result()
        return self._sites(machine, self.mended).result()

    def boot(self, machine: Machine, before: dict) -> None:
        """Start nginx after a power loss, if it ran before and accepts its configuration."""
        if "http:80 answers" in before["serves"] and not machine.command("nginx", "-t", "-q", check=False).returncode:
            machine.start_nginx()

    def again(self, machine: Machine, before: dict) -> list[str]:
        """Repeat the run before anything is corrected; return the violations."""
        if not self.mended:
            return []
        result = self._sites(machine, self.new_sites).result()
        violations = [] if result.get("failed") else ["what nginx cannot have is said to be there"]
        now, was = (files.get(CONFIGURATION) for files in (machine.snapshot(*FOLDERS), before["files"]))
        return violations + ([] if now == was else [f"what nginx cannot have stays there: {now}"])

    def watch(self, machine: Machine) -> None:
        """Start the observer."""
        machine.observer.watch(ENDPOINTS)

    def state(self, machine: Machine) -> dict:
        """Return what is served, how nginx starts, and the files except for the lock."""
        files = machine.snapshot(*FOLDERS)
        files.pop(LOCK, None)
        return {"serves": set(machine.observer.try_once(ENDPOINTS)), "starts": self._starts(machine), "files": files}

    def unexpected_observations(self, machine: Machine, states: list[dict]) -> list[str]:
        """Return the observations that neither the state before nor the one after explains."""
        allowed = set().union(*(state["serves"] for state in states))
        return [
            f"the observer saw: {what} ({times} times)"
            for what, times in machine.observer.end().items()
            if what not in allowed
        ]

    def violations(self, machine: Machine, states: list[dict]) -> list[str]:
        """Return the violations now: nginx must start, and each file must be as before or as after the run."""
        violations = []
        starts, files = self._starts(machine), machine.snapshot(*FOLDERS)
        if starts not in [state["starts"] for state in states]:
            violations.append(f"nginx -t, or a start of nginx: {starts}")
        for path in {*files, *(path for state in states for path in state["files"])}:
            is_hidden = os.path.basename(path).startswith(".")
            content = files.get(path, (0, b""))[1]
            is_passing = path == CONFIGURATION and content.endswith(self.passing or b"\0")
            if path.endswith("/passphrase"):
                is_passing = not content
                if content and b"ssl_password_file" not in files.get(CONFIGURATION, (0, b""))[1]:
                    violations.append(f"{path} says that nginx looks for it, and it does not")
            if not is_hidden and not is_passing and files.get(path) not in [one["files"].get(path) for one in states]:
                violations.append(f"{path} is neither what it was before nor what it is after: {files.get(path)}")
        return violations

    def _starts(self, machine: Machine) -> str:
        """Return how `nginx -t` and a start of nginx end with the files on the disk."""
        tested = machine.command("nginx", "-t", "-q", check=False)
        apart = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", START)
        started = machine.command(*apart, check=False)
        outcome = f"{tested.returncode} {tested.stderr}, {started.returncode} {started.stdout}"
        return re.sub(r"[0-9/:#]{5,}", "", outcome)  # dates, times and processes

    def _sites(self, machine, sites, strace=None, traced=()):
        options = {"sites": sites, "domains": DOMAINS, "state": "present" if sites else "absent"}
        arguments = ArgumentSpecValidator(OPTIONS).validate(options).validated_parameters
        arguments = {**options, "sites": normal_sites(arguments)}
        return machine.run("nginx_sites", strace, traced, **arguments)


REFUSED = {**WWW, "extra": "no_such_directive on;"}
UNLOADABLE = {**WWW, "extra": f"listen 127.0.0.1:{TAKEN_PORT};"}
STRICT = {**WWW, "hsts": True, "return_code": 404}
UNLOADABLE_END = f"listen 127.0.0.1:{TAKEN_PORT};\n}}\n".encode()
SITES, RELOAD = "nginx_sites", "nginx_reload"
NGINX_SCENARIOS = [
    NginxScenario("a first site", SITES, [], [WWW]),
    NginxScenario("a first site, and then it is not wanted", SITES, [], [WWW], mended=[]),
    NginxScenario("a site that changes, and another", SITES, [WWW], [STRICT, SHOP]),
    NginxScenario("a profile that changes, and so its snippet", SITES, [WWW], [{**WWW, "profile": "modern"}]),
    NginxScenario("a site that goes", SITES, [WWW, SHOP], [WWW]),
    NginxScenario("all sites go", SITES, [WWW, SHOP], [], passing=(HEADER.encode(),)),
    NginxScenario("a certificate that is put in use", SITES, [WWW], [WWW], renewed),
    NginxScenario("a change while nginx is stopped", SITES, [WWW], [STRICT], stopped),
    NginxScenario("a key that is to be encrypted", SITES, [WWW], [{**WWW, "encrypted": True}]),
    NginxScenario("a configuration that nginx refuses", SITES, [WWW], [REFUSED], mended=[STRICT]),
    NginxScenario(
        "a configuration that nginx cannot load", SITES, [WWW], [UNLOADABLE], mended=[STRICT], passing=(UNLOADABLE_END,)
    ),
    NginxScenario(
        "a first configuration that nginx cannot load", SITES, [], [UNLOADABLE], mended=[WWW], passing=(UNLOADABLE_END,)
    ),
    NginxScenario("another certificate is in use", RELOAD, [WWW], then=renewed),
    NginxScenario("nginx is stopped", RELOAD, [WWW], then=renewed_and_stopped),
    NginxScenario("what nginx would read is broken", RELOAD, [WWW], then=renewed_and_broken),
]
