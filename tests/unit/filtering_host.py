# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with a real nftables or iptables in network namespaces, and clients that connect to it."""

from __future__ import annotations

import fnmatch
import json
import pathlib
import shutil
import subprocess
import sys

from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action.firewall_port import ActionModule
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import QuerySet
from ansible_collections.evergreen.tls.tests.unit.transcripts import RecordedHost

CLIENTS = {
    "allowed": ("192.0.2.7", "192.0.2.1"),
    "allowed6": ("2001:db8:1::7", "2001:db8:1::1"),
    "blocked": ("203.0.113.7", "203.0.113.1"),
    "blocked6": ("2001:db8:bad::7", "2001:db8:bad::1"),
}  # of each: its address, and that of the host
# Runs until its input ends: listens on some ports, and returns each datagram, in the namespaces of the host.
LISTEN = """
import select, socket, sys
listeners, receivers = [], []
for port in map(int, sys.argv[1:]):
    one = socket.socket(socket.AF_INET6)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    one.bind(("::", port))
    one.listen(100)
    listeners.append(one)
    receivers.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    receivers[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    receivers[-1].bind(("::", port))
print("listening", flush=True)
while True:
    ready, _writable, _failed = select.select([sys.stdin, *receivers], [], [])
    if sys.stdin in ready:
        break
    for one in ready:
        datagram, client = one.recvfrom(2000)
        try:
            one.sendto(datagram, client)
        except OSError:  # a rule for outgoing packets
            pass
"""
# Prints which clients reach which ports, those of UDP as C(443/udp).
CONNECT = """
import concurrent.futures, json, socket, sys
clients, ports = json.loads(sys.argv[1]), json.loads(sys.argv[2])
def reaches(pair):
    name, port = pair
    source, target = clients[name]
    number, _slash, protocol = str(port).partition("/")
    try:
        if protocol == "udp":
            with socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.bind((source, 0))
                one.connect((target, int(number)))
                one.settimeout(0.25)
                one.send(b"datagram")
                assert one.recv(100) == b"datagram"
        else:
            socket.create_connection((target, int(number)), 0.25, (source, 0)).close()
    except OSError:
        return None
    return f"{name} {port}"
pairs = [(name, port) for name in clients for port in ports]
with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
    print(json.dumps([one for one in pool.map(reaches, pairs) if one]))
"""
PORTS = (80, 443)


def can_make_namespaces() -> bool:
    """Say whether this user may make namespaces, and nft is there."""
    return (
        all(map(shutil.which, ("nft", "unshare", "nsenter", "ip")))
        and not subprocess.run(
            ["unshare", "--net", "--mount", "nft", "list", "ruleset"], capture_output=True, check=False
        ).returncode
    )


class FilteringHost(RecordedHost):
    """A host whose /etc is a folder, and whose programs run in namespaces of their own."""

    def __init__(self, folder: pathlib.Path, files: dict[str, str], programs: tuple[str, ...] = ("nft",)) -> None:
        super().__init__(programs)
        self.etc = folder / "etc"
        self.etc.mkdir()
        for name in ("services", "protocols"):
            shutil.copy(f"/etc/{name}", self.etc)
        shutil.copytree("/etc/alternatives", self.etc / "alternatives", symlinks=True)
        for path, text in files.items():
            self.write(path, text)
        self.processes = []
        self.host = self._start(
            ["unshare", "--net", "--mount", "sh", "-c", f"mount --bind {self.etc} /etc && echo ready && cat"]
        )
        self.clients = self._start(["unshare", "--net", "sh", "-c", "echo ready && cat"])
        self.call("ip", "link", "set", "lo", "up")
        self.call("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1", "netns", str(self.clients.pid))
        addresses = [(self.host, "eth0", 1), (self.clients, "eth1", 0)]
        for process, interface, index in addresses:
            for pair in CLIENTS.values():
                length, option = ("64", ["nodad"]) if ":" in pair[index] else ("24", [])
                self._within(process, "ip", "address", "add", f"{pair[index]}/{length}", "dev", interface, *option)
            self._within(process, "ip", "link", "set", interface, "up")
        enter = ["nsenter", "-t", str(self.host.pid), "--net"]
        self._start([*enter, sys.executable, "-c", LISTEN, *map(str, PORTS)])

    def _start(self, argv: list[str]) -> subprocess.Popen:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout.readline().strip() in ("ready", "listening")
        return process

    def end(self) -> None:
        """End what runs in the namespaces."""
        for process in reversed(self.processes):
            process.communicate()

    def write(self, path: str, text: str) -> None:
        """Write a file of the host."""
        target = self.etc.parent / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def read(self, path: str) -> str:
        """Return the text of a file of the host."""
        return (self.etc.parent / path.lstrip("/")).read_text(encoding="utf-8")

    def call(self, *argv: str, stdin: str = "") -> str:
        """Run a program on the host, and return its output."""
        return self._within(self.host, *argv, stdin=stdin)

    def _within(self, process: subprocess.Popen, *argv: str, stdin: str = "") -> str:
        enter = ["nsenter", "-t", str(process.pid), "--net", "--mount"]
        done = subprocess.run([*enter, *argv], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def reached(self, ports: tuple[int | str, ...] = PORTS) -> set[str]:
        """Return which clients reach which ports; those of UDP are written as C(443/udp)."""
        argv = [sys.executable, "-c", CONNECT, json.dumps(CLIENTS), json.dumps(ports)]
        return set(json.loads(self._within(self.clients, *argv)))

    def _run(self, *argv: str):
        enter = ["nsenter", "-t", str(self.host.pid), "--net", "--mount"]
        done = subprocess.run([*enter, *argv], capture_output=True, text=True, check=False)
        return [done.returncode, (done.stdout + done.stderr).strip()]

    def _read(self, pattern: str):
        folder = self.etc.parent
        paths = [f"/{path.relative_to(folder)}" for path in sorted(self.etc.rglob("*")) if path.is_file()]
        return {path: self.read(path) for path in paths if fnmatch.fnmatchcase(path, pattern)}

    def execute(self, name, module_args, task_vars):
        """Do what firewall_commands does."""
        commands = module_args.get("commands", [])
        for query, expected in module_args.get("preconditions", []):
            assert self.result_of(query) == expected
        for command in commands:
            self.call(*command["argv"], stdin=command["stdin"] or "")
            if command["path"]:
                self.write(command["path"], command["stdin"])
        query_sets = [QuerySet(one["conditions"], one["queries"]) for one in module_args["query_sets"]]
        return {"changed": bool(commands), "host_state": self.run_queries(query_sets)}

    def firewall_port(self, **arguments):
        """Return the result of firewall_port for this host."""
        task = Task()
        task.action, task.check_mode = "evergreen.tls.firewall_port", False
        task.args = {"ports": list(PORTS), **arguments}
        action = ActionModule(task, None, None, None, None, None)
        action._execute_module = self.execute
        return action.run(task_vars={"ansible_host": CLIENTS["allowed"][1]})
