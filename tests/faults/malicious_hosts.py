# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Malicious hosts: whatever Ansible runs on them, they output what a test chooses."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import subprocess
import sys
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.tests.conftest import make_collections
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

# Takes the place of Python on a host: reads what it is to say beside itself, and runs nothing. Asked for a batch of calls, it
# says to each what it would otherwise; where that is no output at all, neither is the whole.
LIAR = """#!{python} -IS
import json, os, re, sys
with open(sys.argv[0] + ".json", encoding="utf-8") as stream:
    results = json.load(stream)
module = os.path.basename(sys.argv[-1])[len("AnsiballZ_"):-len(".py")]
output = results.get(module, results["anything"])
if module == "host_batch" and module not in results:
    with open(sys.argv[-1], encoding="utf-8") as stream:
        calls = re.findall('"module": "([a-z_]+)"', stream.read())
    output = '{{"changed": true, "results": []}}'
    for result in [results.get(name, results["anything"]) for name in calls]:
        try:
            whole = json.loads(output)
            whole["results"].append(json.loads(result))
            output = json.dumps(whole)
        except (ValueError, RecursionError):
            output = result
            break
sys.stdout.write(output)
"""
MODULES = (
    *("firewall_commands", "certificate_request", "certificate_install", "nginx_sites", "nginx_reload"),
    "certificate_remove",
)
ModuleResults = dict[str, t.Any]


def valid_results(host: str) -> ModuleResults:
    """Return the valid results of modules on a host whose certificate is due."""
    fingerprint = "ab" * 32
    nothing = [[["has", program], False] for program in ("firewall-cmd", "ufw", "nft", "iptables", "ip6tables")]
    return {
        "firewall_commands": {"changed": False, "host_state": nothing},
        "certificate_request": {
            "changed": True,
            "due": True,
            "reason": "there is no certificate yet",
            "csr": make_csr(some_key(), [domain_of(host)], {}).decode(),
        },
        "certificate_install": {
            "changed": True,
            "msg": "v0001 of web is in use",
            "version": "v0001",
            "certificate": {"fingerprint": fingerprint, "names": [domain_of(host)]},
        },
        "nginx_sites": {"changed": True, "msg": "written", "fingerprints": {"web": fingerprint}, "loaded": ["web"]},
        "nginx_reload": {
            "changed": True,
            "msg": "reloaded",
            "reason": "another was served",
            "fingerprint": fingerprint,
        },
        "certificate_remove": {"changed": False, "msg": "the inventory has all certificates", "unused": []},
    }


def in_each_result(**lie: t.Any) -> t.Callable[[ModuleResults], ModuleResults]:
    """Return a function that adds values to each result."""
    return lambda results: {module: {**result, **copy.deepcopy(lie)} for module, result in results.items()}


def in_result(module: str, **lie: t.Any) -> t.Callable[[ModuleResults], ModuleResults]:
    """Return a function that changes values in the result of one module; `...` removes one."""

    def changed_results(results):
        result = {**results[module], **lie}
        return {**results, module: {name: value for name, value in result.items() if value is not ...}}

    return changed_results


def as_text(text: str, module: str = "certificate_request") -> t.Callable[[ModuleResults], ModuleResults]:
    """Return a function that replaces the output of a module by a text."""
    return lambda results: {**results, module: text}


def in_each_text(word: str) -> t.Callable[[t.Any], t.Any]:
    """Return a function that replaces each text in results by a word, and adds it as a key below the top level."""

    def twist(value):
        if isinstance(value, dict):
            return {**{name: twist(one) for name, one in value.items()}, word: word}
        if isinstance(value, list):
            return [twist(one) for one in value]
        return word if isinstance(value, str) and not value.startswith("-----BEGIN") else value

    def twist_values(result):
        return {key: twist(value) for key, value in result.items()} if isinstance(result, dict) else twist(result)

    return lambda results: {module: twist_values(result) for module, result in results.items()}


def domain_of(host: str) -> str:
    """Return the only name that a host may have a certificate for."""
    return f"{host.replace('_', '-')}.example.org"


class Fleet:
    """An inventory of malicious hosts, and a CA on the controller."""

    def __init__(self, folder: pathlib.Path, lies: dict[str, t.Callable[[ModuleResults], ModuleResults]]) -> None:
        self.folder = folder
        self.authority = folder / "ca"
        LocalCa(str(self.authority), "Evergreen", "90d", None, None).make()  # a renewal makes none
        (folder / "liar").write_text(LIAR.format(python=sys.executable))
        (folder / "liar").chmod(0o755)
        hosts = {}
        for host, lie in lies.items():
            interpreter = folder / host
            interpreter.symlink_to("liar")
            results = {
                name: result if isinstance(result, str) else json.dumps(result)
                for name, result in lie(valid_results(host)).items()
            }
            results.setdefault("anything", json.dumps({"failed": True, "msg": "no"}))
            pathlib.Path(f"{interpreter}.json").write_text(json.dumps(results), encoding="utf-8")
            hosts[host] = {
                "ansible_python_interpreter": str(interpreter),
                "certificate_requests": [{"name": "web", "domains": [domain_of(host)], "port": 1}],
            }
        variables = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_host": "127.0.0.1",
            "certificate_directory": str(folder / "store"),
            "certificate_issuers": {"local": {"type": "local_ca", "directory": str(self.authority)}},
            "certificate_verify_timeout": 0,
            "nginx_sites": [{"name": "web", "return_code": 204}],
            "renew_waves": ["100%"],
            "renew_records": str(folder / "runs"),
        }
        (folder / "inventory.json").write_text(json.dumps({"all": {"vars": variables, "hosts": hosts}}))

    def play(self, playbook: str, *arguments: str, **settings: str) -> str:
        """Run a playbook on all hosts, with settings of Ansible in the environment; return its output."""
        program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(make_collections()),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "controller"),
            "ANSIBLE_REMOTE_TEMP": str(self.folder / "remote"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORKS": "4",
            "ANSIBLE_PIPELINING": "0",
            **settings,
        }
        argv = [program, "--inventory", str(self.folder / "inventory.json"), playbook, *arguments]
        ended = subprocess.run(
            argv, env=environment, cwd=self.folder, capture_output=True, text=True, errors="replace", check=False
        )
        return ended.stdout + ended.stderr

    def issued(self) -> dict[str, set[str]]:
        """Return the names that the CA has signed for, by host."""
        names_of_hosts: dict[str, set[str]] = {}
        for path in (self.authority / "issued").glob("*.json"):
            record = json.loads(path.read_text())
            names_of_hosts.setdefault(record["host"], set()).update(record["names"])
        return names_of_hosts
