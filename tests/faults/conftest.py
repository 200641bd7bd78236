# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for tests that inject faults, and the table of what was tried."""

from __future__ import annotations

import concurrent.futures
import datetime
import itertools
import json
import os
import pathlib
import queue
import shutil
import subprocess
import time
import zlib

import pytest

PARTS = {
    "kills": "killed at a system call",
    "errors": "refused by the system",
    "states": "rebuilt after a power loss",
    "syncs": "left out of the model, which then finds what is lost",
    "file systems": "on a real file system that is full or read-only",
}
# What is counted, in a table each: the words that begin a line, and the columns of numbers after them.
TABLES = {
    "faults": (("module", "scenario"), tuple(PARTS)),
    "lies": (("who lies",), ("lies",)),
    "inputs": (("who reads", "what others wrote"), ("inputs",)),
    "runs": (("what runs", "what happens to it"), ("times",)),
}
TALLY = pytest.StashKey["Tally"]()
ROOT = pathlib.Path(__file__).parents[2]
KEPT = ROOT / ".build/faults.json"  # what was tried in runs of a part, until the whole is written down


class Tally:
    """Counts of what was tried."""

    def __init__(self):
        self.counts = {}  # by table, words and column
        self.seconds = 0.0
        self.began = time.monotonic()

    def add(self, part, module, scenario, count):
        """Count faults of a part (kills, errors, states, syncs, file systems)."""
        self._add("faults", (module, scenario), part, count)

    def add_lies(self, liar, count):
        """Count lies."""
        self._add("lies", (liar,), "lies", count)

    def add_inputs(self, file, what, count):
        """Count the inputs that a parser was fed."""
        self._add("inputs", (file, what), "inputs", count)

    def add_run(self, what, happens, count):
        """Count what happened to a run."""
        self._add("runs", (what, happens), "times", count)

    def _add(self, table, words, column, count):
        key = (table, words, column)
        self.counts[key] = self.counts.get(key, 0) + count

    def tables(self):
        """Return the tables: the number of columns that hold words, all columns, and the lines, with the sum at the end."""
        tables = []
        for table, (heads, columns) in TABLES.items():
            lines = dict.fromkeys(words for kind, words, _column in self.counts if kind == table)
            rows = [(*words, *(self.counts.get((table, words, column), 0) for column in columns)) for words in lines]
            if rows and table != "runs":  # what runs is counted in different things
                sums = (sum(row[len(heads) + number] for row in rows) for number in range(len(columns)))
                rows.append(("all", *("" for _head in heads[1:]), *sums))
            tables += [(len(heads), (*heads, *columns), rows)] if rows else []
        return tables

    def markdown(self):
        """Return the tables in Markdown, as in docs/reliability.md."""
        return "\n".join(
            "".join(
                f"| {' | '.join(str(cell) for cell in line)} |\n"
                for line in [columns, (*["---"] * words, *["---:"] * (len(columns) - words)), *rows]
            )
            for words, columns, rows in self.tables()
        )

    def keep(self, path, of):
        """Merge the counts with those that earlier runs of the same plugins and tests saved, and save them.

        of: what what_is_tried() returns.
        """
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        before = kept if kept.get("of") == of else {"counts": [], "seconds": 0.0}
        earlier = {(table, tuple(words), column): count for table, words, column, count in before["counts"]}
        self.counts = {**earlier, **self.counts}
        self.seconds = before["seconds"] + time.monotonic() - self.began
        counts = [(*key, count) for key, count in self.counts.items()]
        path.write_text(json.dumps({"of": of, "seconds": self.seconds, "counts": counts}), encoding="utf-8")


def what_is_tried():
    """Return the git trees of the plugins and tests, or None if there are changes that are not committed."""
    places = ("plugins", "tests")
    git = ("git", "-C", str(ROOT))
    changed = subprocess.run([*git, "status", "--porcelain", *places], capture_output=True, text=True, check=False)
    trees = [f"HEAD:{place}" for place in places]
    parsed = subprocess.run([*git, "rev-parse", *trees], capture_output=True, text=True, check=False)
    return None if changed.stdout or parsed.returncode else parsed.stdout.split()


class Sandbox:
    """Runs a scenario repeatedly, each time on a new host in the same initial state."""

    def __init__(self, scenario, folder, programs):
        from ansible_collections.evergreen.tls.tests.faults.invariant import Invariant
        from ansible_collections.evergreen.tls.tests.faults.scenarios import Host

        self.folder = folder
        self.programs = programs
        self.numbers = itertools.count()  # of folders of hosts
        with self.borrowed() as borrowed:
            self.base = Host(self.new_folder("base"), borrowed)
            self.base.make()
            self.chain = scenario.prepare(self.base)
            self.recorded = Host(self.new_folder("recorded"), borrowed)
            self.recorded.copy_from(self.base)
            self.run = scenario.run(self.recorded, self.chain, [])
        self.calls = self.run.calls
        self.invariant = Invariant(scenario, self.base, self.recorded)

    def changes(self, call):
        """Return whether a system call of the recorded run changed its host, or wrote the result."""
        is_change = call.name != "openat" or call.makes_file
        is_answer = call.name == "write" and call.touches(os.path.join(self.recorded.folder, "output"))
        return is_change and call.error is None and (is_answer or self.touches_host(call))

    def touches_host(self, call):
        """Return whether a system call of the recorded run names a path on its host."""
        return call.touches(self.recorded.top)

    def points(self):
        """Return the system calls that change something on the host or start a program."""
        from ansible_collections.evergreen.tls.tests.faults.syscalls import STARTS

        points = [call for call in self.calls if call.error is None and (call.name in STARTS or self.changes(call))]
        return [call for call in points if call.paths or call.name in STARTS]

    def play(self, attempt, variations, describe=None, is_bare=False):
        """Run an attempt for each variation, as many at once as there are processors; return the violations.

        attempt: a function of a host and a variation that returns violations. describe: formats a variation.
        is_bare: leave the host empty, instead of in the initial state of the scenario.
        """
        from ansible_collections.evergreen.tls.tests.faults.scenarios import Host

        def once(number):
            with self.borrowed() as programs:
                host = Host(self.new_folder(str(next(self.numbers))), programs)
                if not is_bare:
                    host.copy_from(self.base)
                variation = variations[number] if isinstance(variations[number], tuple) else (variations[number],)
                try:
                    violations = attempt(host, *variation)
                except AssertionError as error:
                    violations = [str(error)]
                if not violations:
                    shutil.rmtree(host.folder)
                title = (describe or self.describe)(*variation) if violations else ""
                return [f"{title}: {violation}" for violation in violations]

        with concurrent.futures.ThreadPoolExecutor(self.programs.maxsize) as pool:
            return [violation for violations in pool.map(once, range(len(variations))) for violation in violations]

    def play_until(self, sign, attempt, variations):
        """Run attempts as play() does, until one has a violation with this sign; return the violations up to then."""
        at_once, violations = self.programs.maxsize, []
        for first in range(0, len(variations), at_once):
            violations += self.play(attempt, variations[first : first + at_once])
            if any(sign in violation for violation in violations):
                break
        return violations

    def comparable_state(self, host):
        """Return the state of a host; it is equal for hosts on which an ordinary run has the same work to do."""
        from ansible_collections.evergreen.tls.tests.faults import pair_checks

        return pair_checks.comparable_state(host.top, self.base.top)

    def unfinished(self, host):
        """Return a violation if a successful run left another state than an undisturbed run."""
        alike = self.comparable_state(host) == self.comparable_state(self.recorded)
        return [] if alike else ["it says that all went well, and left something else than usual"]

    def describe(self, *variation):
        """Return a variation as text."""
        return ", ".join(one.describe(self.recorded.top) if hasattr(one, "describe") else str(one) for one in variation)

    def new_folder(self, name):
        """Return a new folder for a host."""
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        return path

    def borrowed(self):
        """Return a context that takes one of the programs, which serve one host at a time."""
        return Borrowed(self.programs)


class Borrowed:
    """A context that takes an item from a queue and puts it back."""

    def __init__(self, shelf):
        self.shelf = shelf

    def __enter__(self):
        self.thing = self.shelf.get()
        return self.thing

    def __exit__(self, *_error):
        self.shelf.put(self.thing)


@pytest.fixture(scope="session")
def programs():
    from ansible_collections.evergreen.tls.tests.faults.programs import Programs

    shelf = queue.Queue(maxsize=os.cpu_count())
    everything = [Programs() for _processor in range(shelf.maxsize)]
    for one in everything:
        shelf.put(one)
    yield shelf
    for one in everything:
        one.close()


@pytest.fixture
def prepare_sabotaged(tmp_path):
    """Return a function that prepares a scenario with sabotaged modules."""
    from ansible_collections.evergreen.tls.tests.faults.programs import Programs

    shelf = queue.Queue(maxsize=os.cpu_count())

    def prepare(scenario, sabotage):
        for _processor in range(shelf.maxsize):
            shelf.put(Programs(sabotage))
        return Sandbox(scenario, str(tmp_path), shelf)

    yield prepare
    while not shelf.empty():
        shelf.get().close()


@pytest.fixture
def prepare_sandbox(tmp_path, programs):
    """Return a function that prepares the sandbox of a scenario."""
    return lambda scenario: Sandbox(scenario, str(tmp_path), programs)


@pytest.fixture(scope="session")
def sites(tmp_path_factory):
    """Two hosts, each with a site that is served, and with a certificate that is due."""
    from ansible_collections.evergreen.tls.tests.faults.fleet import ROOT, Fleet
    from ansible_collections.evergreen.tls.tests.faults.sites import Site

    fleet = Fleet(f"faults-{zlib.crc32(str(ROOT).encode()):x}", 2)  # another checkout may be at it, too
    try:
        everything = [Site(fleet, host, tmp_path_factory.mktemp(host)) for host in fleet.addresses]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(Site.prepare, everything))
        yield everything
    finally:
        fleet.down()


@pytest.fixture
def sandbox_with_scripts(tmp_path):
    """Return a function that prepares a scenario whose modules find scripts in the place of programs.

    scripts: their texts by name. sabotage: code that changes the modules. The scripts are in the folder programs of the test.
    """
    from ansible_collections.evergreen.tls.tests.faults.programs import Programs

    folder, hosts = tmp_path / "programs", tmp_path / "hosts"
    shelf = queue.Queue(maxsize=os.cpu_count())

    def prepare(scenario, scripts, sabotage=""):
        for path in (folder, hosts):
            path.mkdir()
        for name, script in scripts.items():
            (folder / name).write_text(script)
            (folder / name).chmod(0o755)
        for _processor in range(shelf.maxsize):
            shelf.put(Programs(sabotage, PATH=f"{folder}:{os.environ['PATH']}"))
        return Sandbox(scenario, str(hosts), shelf)

    yield prepare
    while not shelf.empty():
        shelf.get().close()


@pytest.fixture
def tally(request):
    """Counts of what was tried in this session."""
    return request.config.stash[TALLY]


@pytest.fixture
def is_sample(request):
    """Whether a sample is enough."""
    return request.config.getoption("--sample")


def pytest_addoption(parser):
    parser.addoption("--sample", action="store_true", help="be content with a sample of the errors")
    parser.addoption(
        "--write", metavar="FILE", help="put the table into this file, in the place of the one that is there"
    )


def pytest_configure(config):
    config.stash[TALLY] = Tally()


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    tally = config.stash[TALLY]
    if tally.tables():
        terminalreporter.section("what was tried")
    for words, columns, rows in tally.tables():
        lines = [tuple(str(cell) for cell in row) for row in (columns, *rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
        for line in lines:
            cells = [
                cell.ljust(width) if column < words else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths))
            ]
            terminalreporter.write_line("  ".join(cells).rstrip())
    if exitstatus != 0 or config.getoption("--sample") or not tally.counts:
        return
    of = what_is_tried()
    if of and not terminalreporter.stats.get("deselected"):  # a choice of tests is no whole part
        tally.keep(KEPT, of)
    path = config.getoption("--write")
    if path:
        write_table(pathlib.Path(path), tally)


def write_table(path, tally):
    """Replace the table between the two marks of a file."""
    begin, end = "<!-- begin of the table -->\n", "<!-- end of the table -->\n"
    head, _begin, rest = path.read_text(encoding="utf-8").partition(begin)
    _old, _end, tail = rest.partition(end)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    seconds = tally.seconds or time.monotonic() - tally.began
    summary = f"Tried on {today}, in {seconds:.0f} seconds, without a violation:\n\n"
    path.write_text(f"{head}{begin}{summary}{tally.markdown()}{end}{tail}", encoding="utf-8")
