# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts in containers, and controllers that run the playbooks of the collection on them."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
RUN_TIMEOUT_S = 240.0  # for a run on a machine that is busy with something else

# What stands on every host before a scenario begins, and its nginx, as that is.
KEEP = (
    "mkdir -p /var/kept && rm -rf /var/kept/{0} && mkdir /var/kept/{0} && cd / && "
    "cp -a --parents etc/nginx $(ls -d etc/evergreen 2> /dev/null) /var/kept/{0}"
)
PUT_BACK = """
set -e
rm -rf /etc/nginx /etc/evergreen
cp -a /var/kept/{0}/etc/. /etc/
systemctl reset-failed nginx
systemctl restart nginx
"""


class Fleet:
    """Hosts in containers. Tests reach them by podman, so that Ansible alone uses SSH."""

    def __init__(self, name: str, hosts: int) -> None:
        self.name = name
        self._run("up", name, "--hosts", str(hosts), "--image", "bookworm", "--alias", "www.example.test")
        self.inventory = BUILD / "fleets" / name / "inventory.yml"
        listed = json.loads(
            subprocess.run(
                [BUILD / "venv/bin/ansible-inventory", "-i", self.inventory, "--list"], check=True, capture_output=True
            ).stdout
        )
        variables = listed["_meta"]["hostvars"]
        self.addresses = {host: variables[host]["ansible_host"] for host in sorted(variables)}
        self.sockets = pathlib.Path(next(iter(variables.values()))["ansible_control_path_dir"])

    def down(self) -> None:
        """Remove the hosts."""
        self._run("down", self.name)

    def do(self, host: str, script: str, check: bool = True) -> str:
        """Run a shell script on a host as root; return its output."""
        command = [ROOT / "dev/fleet", "exec", self.name, host, "--", "sh", "-c", script]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{host}: {script}: {done.stdout}{done.stderr}"
        return done.stdout if check else f"{done.returncode} {done.stdout}{done.stderr}"

    def keep(self, host: str, name: str) -> None:
        """Save the state of a host, for put_back()."""
        self.do(host, KEEP.format(name))

    def put_back(self, host: str, name: str) -> None:
        """Restore the state that keep() saved, and restart nginx."""
        self.do(host, PUT_BACK.format(name))

    @staticmethod
    def _run(*words: str) -> None:
        done = subprocess.run([ROOT / "dev/fleet", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"dev/fleet {words[0]} ends with {done.returncode}: {done.stdout}{done.stderr}"


class Controller:
    """A home directory from which Ansible runs. variables: the content of its group_vars."""

    def __init__(self, home: pathlib.Path, fleet: Fleet, variables: str) -> None:
        self.home = home
        self.fleet = fleet
        home.mkdir(parents=True, exist_ok=True)
        self.variables = home / "variables.yml"
        self.variables.write_text(variables, encoding="utf-8")
        self.runs = 0

    def start(self, playbook: str, *arguments: str, **environment: str) -> Run:
        """Start a playbook of the collection; it is the leader of its session."""
        self.runs += 1
        output = self.home / f"output-{self.runs}"
        command = [BUILD / "venv/bin/ansible-playbook", f"evergreen.tls.{playbook}"]
        command += ["-i", self.fleet.inventory, "-i", self.variables, *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        with output.open("wb") as stream:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={
                    **inherited,
                    "HOME": str(self.home),
                    "ANSIBLE_HOME": str(self.home / ".ansible"),
                    "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections"),
                    "ANSIBLE_LOCALHOST_WARNING": "false",
                    "ANSIBLE_NOCOLOR": "true",
                    "ANSIBLE_RETRY_FILES_ENABLED": "false",
                    **environment,
                },
            )
        return Run(process, output)

    def run(self, playbook: str, *arguments: str, **environment: str) -> Run:
        """Run a playbook of the collection to its end."""
        run = self.start(playbook, *arguments, **environment)
        run.wait()
        return run

    def points(self, playbook: str, *arguments: str) -> list[str]:
        """Run a playbook undisturbed; return the points that it reached."""
        log = self.home / "points"
        log.unlink(missing_ok=True)
        run = self.run(playbook, *arguments, **self.watching(log))
        assert run.status == 0, run.printed
        return log.read_text(encoding="utf-8").splitlines()

    def kill_at(self, number: int, whole: bool, playbook: str, *arguments: str, **environment: str) -> list[str]:
        """Kill a playbook at a point; return the points that it reached. whole: kill its child processes as well."""
        log = self.home / "points"
        log.unlink(missing_ok=True)
        spare = {} if whole else {"POINTS_SPARE_WORKERS": "yes"}
        run = self.run(playbook, *arguments, **self.watching(log), POINTS_KILL_AT=str(number), **spare, **environment)
        assert run.status == -signal.SIGKILL, f"not killed, but {run.status}: {run.printed}"
        return log.read_text(encoding="utf-8").splitlines()

    def has_no_processes(self) -> bool:
        """Return whether all processes of the runs of this controller have ended, except for kept connections."""
        return not self.processes("ansible-playboo")

    def processes(self, program: str) -> list[int]:
        """Return the processes of a program that runs of this controller have started."""
        processes = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                environment = (process / "environ").read_bytes().split(b"\0")
                name = (process / "comm").read_text(encoding="utf-8").strip()
            except OSError:
                continue
            if f"HOME={self.home}".encode() in environment and name == program:
                processes.append(int(process.name))
        return processes

    @staticmethod
    def watching(log: pathlib.Path) -> dict[str, str]:
        """Return the environment in which a run logs the points that it reaches."""
        return {
            "ANSIBLE_CALLBACK_PLUGINS": str(pathlib.Path(__file__).parent / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "points",
            "POINTS_LOG": str(log),
        }


class Run:
    """A run of ansible-playbook, and what it printed."""

    def __init__(self, process: subprocess.Popen, output: pathlib.Path) -> None:
        self.process = process
        self.output = output

    def wait(self) -> None:
        """Wait for the end of the run."""
        try:
            self.process.wait(RUN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"it does not end: {self.printed}") from None

    @property
    def status(self) -> int:
        """Return the exit status."""
        return self.process.wait(RUN_TIMEOUT_S)

    @property
    def printed(self) -> str:
        """Return the output so far."""
        return self.output.read_text(encoding="utf-8")

    @property
    def sentences(self) -> str:
        """Return the output so far, with each run of white space as one blank."""
        return re.sub(r"\s+", " ", self.printed)


def until(condition, what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + RUN_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came about"
        time.sleep(0.05)
