# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is measured runs here: playbooks on a fleet, with their time on the clock and that of processors."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import resource
import subprocess
import sys
import time
import typing as t

from fleet_podman import podman

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
HERE = BUILD / "bench"

Hosts = dict[str, dict[str, str]]
Times = dict[str, list[float]]


class BenchError(Exception):
    """A sentence that says what is wrong and ends in what to do."""


@dataclasses.dataclass(frozen=True)
class Fleet:
    """Hosts to measure on, and what is wanted of them."""

    name: str
    variables: pathlib.Path

    @property
    def inventory(self) -> pathlib.Path:
        """Return where dev/fleet says how the hosts are reached."""
        return BUILD / "fleets" / self.name / "inventory.yml"

    def up(self, *options: str) -> Hosts:
        """Bring the hosts up as they are when they are new; return the variables of each."""
        self.down()
        command("fleet", "up", self.name, *options)
        return json.loads(program("ansible-inventory", "--list", "--inventory", str(self.inventory)))["_meta"][
            "hostvars"
        ]

    def down(self) -> None:
        """Remove the hosts."""
        command("fleet", "down", self.name)

    def execute(self, host: str, script: str) -> str:
        """Run a script as root on a host, not by SSH, and return what it printed."""
        return command("fleet", "exec", self.name, host, "--", "sh", "-c", script)

    def on_all(self, hosts: Hosts, script: str) -> list[str]:
        """Run a script on all hosts, and return what each printed."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda host: self.execute(host, script), hosts))

    def play(
        self, name: str, words: list[str], inventory: pathlib.Path | None = None
    ) -> tuple[str, resource.struct_rusage]:
        """Run a playbook on the hosts, or those of another *inventory*; return what it printed, which is also kept, and what it used."""
        log = log_of(name)
        with open(log, "w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                [BUILD / "venv/bin/ansible-playbook", *self._words(inventory), *words],
                env=environment(), cwd=HERE, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                _pid, status, used = os.wait4(process.pid, 0)
            except BaseException:  # somebody wants us to stop
                process.terminate()
                raise
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise BenchError(f"{' '.join(words)} failed; see {short(log)}, put that right and run this again")
        return log.read_text(encoding="utf-8"), used

    def ping(self, inventory: pathlib.Path | None = None) -> None:
        """Run the module ping on all hosts."""
        program("ansible", "web", "-m", "ansible.builtin.ping", *self._words(inventory))

    def timed(self, hosts: Hosts, times: Times, do: t.Callable[[], t.Any]) -> None:
        """Do something while the SSH connections are open; add its seconds: on the clock, of processors here, of those on the hosts."""
        self.ping()
        there = time_of_hosts(hosts)
        here, start = time_of_programs(), time.monotonic()
        do()
        times["seconds"].append(round(time.monotonic() - start, 3))
        times["here"].append(round(time_of_programs() - here, 3))
        times["there"].append(round(time_of_hosts(hosts) - there, 3))

    def _words(self, inventory: pathlib.Path | None) -> list[str]:
        """Return how Ansible finds the hosts and what is wanted of them."""
        return [
            "-i",
            str(inventory or self.inventory),
            "-i",
            str(self.variables),
            "--extra-vars",
            f"bench_directory={HERE}",
        ]


def no_times() -> Times:
    """Return times to add to."""
    return {"seconds": [], "here": [], "there": []}


def time_of_programs() -> float:
    """Return the seconds of processor time that programs we waited for have used on the controller."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def time_of_hosts(hosts: Hosts) -> float:
    """Return the seconds of processor time that the hosts have used."""
    containers = [variables["fleet_container"] for variables in hosts.values()]
    return sum(map(int, podman("stats", "--no-stream", "--format", "{{.CPUNano}}", *containers).split())) / 1e9


def environment() -> dict[str, str]:
    """Return an environment in which our settings of Ansible hold, and nobody's beside them."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {**others, "ANSIBLE_CONFIG": str(HERE / "ansible.cfg")}


def program(name: str, *words: str) -> str:
    """Run a program of the tools' environment, and return what it printed."""
    done = subprocess.run(
        [BUILD / "venv/bin" / name, *words],
        env=environment(), cwd=HERE, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr or done.stdout).strip()
        raise BenchError(f"{name} failed: {reason}\nput that right and run this again")
    return done.stdout


def command(name: str, *words: str) -> str:
    """Run a command of dev/, and return what it printed."""
    done = subprocess.run([ROOT / "dev" / name, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"`dev/{name} {' '.join(words[:2])}` failed: {done.stderr.strip()}")
    return done.stdout


def log_of(name: str) -> pathlib.Path:
    """Return the file that keeps the output of a run, of the last that had this name."""
    return HERE / f"{name.replace(' ', '-')}.log"


def short(path: pathlib.Path) -> str:
    """Return a path as one types it in the checkout."""
    return str(path.relative_to(ROOT))


def say(text: str) -> None:
    """Print progress to standard error; only the page goes to standard output."""
    print(text, file=sys.stderr, flush=True)
