# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site on a host with a private CA on its controller, and checks of both by openssl and nginx."""

from __future__ import annotations

import contextlib
import fcntl
import json
import pathlib
import re
import shutil
import subprocess

from ansible_collections.evergreen.tls.tests.faults.fleet import Controller, Fleet, Run

NAME = "www.example.test"
VARIABLES = """\
---
web:
  vars:
    certificate_issuers:
      local: {{type: local_ca, directory: {directory}, name: {authority}}}
    certificate_requests:
      - name: site
        domains: ["{{{{ fleet_domain }}}}", www.example.test]
        lifetime: "{{{{ lifetime | default('90d') }}}}"
        renew_before: 95%
        validate: "{{{{ validate | default('true') }}}}"
    nginx_sites:
      - name: site
        root: /var/www/html
        extra: index index.nginx-debian.html;
    renew_waves: ["100%"]
    ansible_ssh_extra_args: -o ServerAliveInterval=2 -o ServerAliveCountMax=2
"""

# What holds on a host, in its own words: nginx would start, the pair in use belongs together, its key is for root alone,
# nobody holds a lock.
CHECK_SCRIPT = """
nginx -t -q 2>&1 || echo "nginx would not start"
systemctl is-active --quiet nginx || echo "nginx does not run"
cd /etc/evergreen/site 2> /dev/null || exit 0
if [ -e lock ] && ! flock --nonblock lock true; then echo "somebody holds the lock"; fi
[ -L current ] || exit 0
key=$(openssl pkey -in current/privkey.pem -pubout) && certificate=$(openssl x509 -in current/fullchain.pem -noout -pubkey) \
    && [ "$key" = "$certificate" ] || echo "key and certificate in use do not belong together"
[ -z "$(find . -name privkey.pem -perm /077)" ] || echo "a key is open to others"
"""

# What may lie about once a run has come to its end.
LEFTOVERS_SCRIPT = r"find /etc/evergreen -name next -o -name '.*' | sed 's/$/ is left over/'"


class Site:
    """One host with one certificate, and the folder of the CA that issues it."""

    def __init__(self, fleet: Fleet, host: str, folder: pathlib.Path) -> None:
        self.fleet = fleet
        self.host = host
        self.address = fleet.addresses[host]
        self.ca = folder / "ca"
        self.kept = folder / "kept"
        self.controller = self.new_controller(folder / "home")

    def prepare(self) -> None:
        """Keep the host as it is before `deploy`, and as it is before `renew`."""
        self.keep("deploy")
        deployed = self.run("deploy", "--extra-vars", "lifetime=1h")
        assert deployed.status == 0, deployed.printed
        self.keep("renew")

    def new_controller(self, home: pathlib.Path) -> Controller:
        """Return a controller with the same inventory and the same folder of the CA."""
        # The hosts share an inventory. With one name for their CAs, the first deployment of one would be refused while another serves.
        return Controller(home, self.fleet, VARIABLES.format(directory=self.ca, authority=f"CA of {self.host}"))

    def run(self, playbook: str, *arguments: str) -> Run:
        """Run a playbook for this host."""
        return self.controller.run(playbook, *self.only(), *arguments)

    def only(self) -> tuple[str, str]:
        """Return the arguments that limit a playbook to this host."""
        return ("--limit", self.host)

    def keep(self, name: str) -> None:
        """Save the state of the host and of the CA, for put_back()."""
        self.fleet.keep(self.host, name)
        shutil.rmtree(self.kept / name, ignore_errors=True)
        self.ca.mkdir(exist_ok=True)
        shutil.copytree(self.ca, self.kept / name)

    def put_back(self, name: str) -> None:
        """Restore the state of the host and of the CA, but not the home of the controller."""
        self.fleet.put_back(self.host, name)
        shutil.rmtree(self.ca)
        if any((self.kept / name).iterdir()):
            shutil.copytree(self.kept / name, self.ca)

    def served(self) -> str | None:
        """Return the serial number that a client of the CA gets, a message if it is not trusted, or None without a server."""
        command = ["openssl", "s_client", "-connect", f"{self.address}:443", "-servername", NAME]
        command += ["-verify_hostname", NAME, "-verify_return_error", "-no-CApath", "-no-CAstore"]
        root = self.ca / "root.pem"
        trust = ["-CAfile", root] if root.exists() else []
        client = subprocess.run(
            [*command, *trust], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
        )
        if "errno=111" in client.stderr:
            return None
        if "Verify return code: 0 (ok)" not in client.stdout:
            return f"nothing that can be trusted: {client.stdout}{client.stderr}"
        leaf = subprocess.run(
            ["openssl", "x509", "-noout", "-serial"], input=client.stdout, capture_output=True, text=True, check=True
        )
        return re.search("serial=(.*)", leaf.stdout)[1].lower().lstrip("0")

    def issued(self) -> dict[str, str]:
        """Return the hosts of the certificates that the CA has on record, by their serial numbers."""
        records = [json.loads(path.read_text(encoding="utf-8")) for path in self.ca.glob("issued/*.json")]
        return {record["serial_number"]: record["host"] for record in records if record["host"] == self.host}

    def violations(self, before: dict[str, str]) -> list[str]:
        """Return the violations now. before: the hosts by serial number when the test began."""
        violations = self.fleet.do(self.host, CHECK_SCRIPT).splitlines()
        issued, served = self.issued(), self.served()
        if served is None and before:
            violations.append("nothing is served any more")
        if served is not None and served not in issued:
            violations.append(f"a stranger is served: {served}")
        if len(issued) > len(before) + 1:
            violations.append(f"{len(issued) - len(before)} certificates were issued")
        return [*violations, *held(self.ca), *broken_records(self.controller.home / ".evergreen/runs")]

    def violations_when_done(self, before: dict[str, str]) -> list[str]:
        """Return the violations after a run has finished: one new certificate must be in use and served."""
        violations = self.violations(before)
        new = set(self.issued()) - set(before)
        if {self.served()} != new:
            violations.append(f"{self.served()} is served, and {', '.join(new) or 'nothing'} was issued")
        return violations + self.fleet.do(self.host, LEFTOVERS_SCRIPT).splitlines()


def held(ca: pathlib.Path) -> list[str]:
    """Return the locks of a CA that a process holds."""
    violations = []
    for path, lock in ((ca / "lock", fcntl.flock), (ca / "answers/lock", fcntl.lockf)):
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as stream:
            try:
                lock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                violations.append(f"somebody holds {path.relative_to(ca.parent)}")
    return violations


def broken_records(runs: pathlib.Path) -> list[str]:
    """Return the records of runs that are not whole."""
    violations = []
    for path in runs.glob("*.json"):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            violations.append(f"the record {path.name} is not whole")
    return violations
