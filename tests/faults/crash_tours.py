# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a scenario on machines: once undisturbed, then with one fault at a time, each time from its initial state."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import queue
import signal
import typing as t

from ansible_collections.evergreen.tls.tests.faults.crash_explorer import Machine
from ansible_collections.evergreen.tls.tests.faults.disk import DiskHistory
from ansible_collections.evergreen.tls.tests.faults.programs import Run, kill_at, refuse
from ansible_collections.evergreen.tls.tests.faults.syscalls import PROCESSES, SIGNALS, STARTS, TRACED, WAITS, Call

ATTEMPTS = 5  # at a call that is another one once other processes come and go
SHIFTS = (0, -1, 1, -2, 2, -3, 3, 0)  # an open() has another number then, as each process is looked at in /proc
ALL_TRACED = (*TRACED, *PROCESSES)


class Tour:
    """A scenario, the machines that it runs on, and the states of an undisturbed run."""

    def __init__(self, scenario: t.Any, machines: queue.Queue, states: list[dict] | None = None) -> None:
        """states: those of unchanged modules, if these are sabotaged."""
        self.scenario = scenario
        self.machines = machines
        machine = machines.get()
        try:
            scenario.set_up(machine)
            self.states = [scenario.state(machine)]
            scenario.set_up(machine)  # anew, as `nginx -t` makes the pid file where it is missing
            self.run = scenario.run(machine, [], ALL_TRACED)
            self.result = self.run.result()
            self.states.append(scenario.state(machine))
            violations = self._ordinary(machine)
            self.states.append(scenario.state(machine))
        finally:
            machines.put(machine)
        assert states or not violations, violations
        self.states = states or self.states
        self.calls = self.run.calls

    def kill_points(self) -> list[Call]:
        """Return the calls at which a kill leaves another state than a kill at the call before.

        In a loop that waits for something, the first sleep is enough: the calls after it have no stable numbers, and the
        state before them is the state at the sleep. After the first sleep, no open() has a stable number either; the state
        before it is the state after the call before it.
        """
        points, is_waiting, has_waited = [], False, False
        for call in filter(self.changes, self.calls):
            is_uncounted = is_waiting and (call.name in (*STARTS, *WAITS) or is_piped(call))
            if not (is_uncounted or (has_waited and call.name == "openat")):
                points.append(call)
                is_waiting = call.name == "clock_nanosleep"
                has_waited = has_waited or is_waiting
        return points

    def refusals(self, errors: list[str]) -> list[tuple[Call, str]]:
        """Return each call that the system may refuse, with the errors in turn. Calls that only read occur once."""
        refusals, looks = [], set()
        for call in self._before_naps():
            is_look = call.name == "openat" and not call.makes_file
            if call.name in STARTS:
                refusals.append((call, ("ENOMEM", "EAGAIN")[len(refusals) % 2]))
            elif call.name in SIGNALS:
                refusals.append((call, "EPERM"))
            elif call.error is None and self.matters(call) and not (is_piped(call) or is_answer(call)):
                description = _without_numbers(call.describe("/"))
                refusals += [] if is_look and description in looks else [(call, errors[len(refusals) % len(errors)])]
                looks.add(description)
        return refusals

    def _before_naps(self) -> list[Call]:
        """Return the calls that have a stable number, and all that neither read nor start something."""
        calls, is_waiting = [], False
        for call in self.calls:
            is_waiting = is_waiting or call.name == "clock_nanosleep"
            if not is_waiting or (call.name not in ("openat", *STARTS) and not is_answer(call)):
                calls.append(call)
        return calls

    def until(self, sign: str, place: str) -> list[str]:
        """Kill at each kill point that begins with *place* until a violation contains *sign*; return all violations."""
        violations = []
        for point in [point for point in self.kill_points() if self.describe(point).startswith(place)]:
            violations += self.play(self.killed, [(point,)])
            if any(sign in violation for violation in violations):
                break
        return violations

    def changes(self, call: Call) -> bool:
        """Return whether a call changes something, makes another process do so, or waits for that."""
        if call.error is not None:
            return False
        if call.name in (*STARTS, *SIGNALS, *WAITS):
            return True
        return (call.name != "openat" or call.makes_file) and self.matters(call)

    def matters(self, call: Call) -> bool:
        """Return whether a call names a file of the scenario, writes to a program, or writes the result."""
        return any(path.startswith(self.scenario.traces) or is_piped(call) or is_answer(call) for path in call.paths)

    def play(self, attempt: t.Callable[..., list[str]], variations: list[tuple]) -> list[str]:
        """Run an attempt for each variation, as many at once as there are machines; return the violations."""

        def once(variation: tuple) -> list[str]:
            machine = self.machines.get()
            try:
                violations = attempt(machine, *variation)
            except AssertionError as error:
                violations = [str(error)]
            finally:
                self.machines.put(machine)
            title = ", ".join(self.describe(one) if isinstance(one, Call) else str(one) for one in variation)
            return [f"{title}: {violation}" for violation in violations]

        with concurrent.futures.ThreadPoolExecutor(self.machines.maxsize) as pool:
            return [violation for violations in pool.map(once, variations) for violation in violations]

    def killed(self, machine: Machine, call: Call) -> list[str]:
        """Kill the module at a system call; return the violations then, meanwhile, and after an ordinary run."""
        run = self._attempt(machine, call, lambda call: self._kill_at(machine, call), lambda run: run.calls[-1])
        assert run.signal == signal.SIGKILL, f"{self.describe(call)} was not reached"
        machine.settle()
        violations = self.scenario.violations(machine, self.states)
        violations += self._ordinary(machine)
        violations += self.scenario.unexpected_observations(machine, self.states)
        return violations + self._unfinished(machine)

    def refused(
        self, machine: Machine, call: Call, error: str, remedies: dict[str, str], known_states: set
    ) -> list[str]:
        """Refuse a system call; return the violations then, in the result, and after an ordinary run."""
        run = self._attempt(machine, call, lambda call: refuse(call, error), lambda run: _hit(run, error))
        violations = self.scenario.violations(machine, self.states)
        result = run.result()
        if not result.get("failed"):
            violations += self._unfinished(machine, self.states[1])
        elif result["msg"] != self.result.get("msg"):
            sentence = result["msg"]
            violations += [] if sentence.endswith(f"; {remedies[error]}") else [f"it says {sentence!r}"]
        comparable_state = (repr(self.scenario.state(machine)), any(one.name in SIGNALS for one in run.calls))
        if comparable_state in known_states:
            return violations + self.scenario.unexpected_observations(machine, self.states)
        known_states.add(comparable_state)
        violations += self._ordinary(machine)
        violations += self.scenario.unexpected_observations(machine, self.states)
        return violations + self._unfinished(machine)

    def history(self, folder: str) -> DiskHistory:
        """Return the changes of the run to the disk. The folder must not exist; it receives the initial state."""
        machine = self.machines.get()
        try:
            self.scenario.set_up(machine)
            machine.copy_disk(*self.scenario.disk, folder)
        finally:
            self.machines.put(machine)
        return DiskHistory(folder, self.scenario.disk[0], self.calls)

    def lost_power(self, machine: Machine, _state: str, disk: str) -> list[str]:
        """Restart with the disk that is in a folder, as after a power loss; return the violations then and after an ordinary run."""
        self.scenario.set_up(machine)
        machine.lose_power(*self.scenario.disk, disk)
        self.scenario.boot(machine, self.states[0])
        violations = self.scenario.violations(machine, self.states)
        self.scenario.watch(machine)
        violations += self._ordinary(machine, is_mended=True)
        violations += self.scenario.unexpected_observations(machine, self.states)
        return violations + self._unfinished(machine)

    def _kill_at(self, machine: Machine, call: Call) -> list[str]:
        """Return the options of strace for a kill at a call. Calls that write the result are counted separately."""
        if not is_answer(call):
            return kill_at(call)
        among = [one for one in self.calls if is_answer(one)].index(call) + 1
        return [*kill_at(dataclasses.replace(call, number=among)), f"--trace-path={machine.folder}/output"]

    def describe(self, call: Call) -> str:
        """Return a system call as text."""
        return f"{call.describe('/')} (number {call.number})"

    def _attempt(
        self,
        machine: Machine,
        call: Call,
        strace: t.Callable[[Call], list[str]],
        hit: t.Callable[[Run], Call | None],
    ) -> Run:
        """Run the module under strace until the options hit the intended call, while the observer watches."""
        for shift in SHIFTS if call.name == "openat" else (0,) * ATTEMPTS:
            self.scenario.set_up(machine)
            self.scenario.watch(machine)
            options = strace(dataclasses.replace(call, number=call.number + shift))
            run = self.scenario.run(machine, options, ALL_TRACED)
            met = hit(run)
            if met is not None and _without_numbers(met.describe("/")) == _without_numbers(call.describe("/")):
                return run
            machine.observer.end()
        raise AssertionError(f"another call was hit, {met and self.describe(met)}")

    def _ordinary(self, machine: Machine, is_mended: bool = False) -> list[str]:
        """Do an ordinary run and another one, which must not change anything; return the violations."""
        violations = [] if is_mended else self.scenario.again(machine, self.states[0])
        result = self.scenario.ordinary(machine)
        if result.get("failed"):
            return [*violations, f"the ordinary run fails: {result['msg']}"]
        before = self.scenario.state(machine)
        result = self.scenario.ordinary(machine)
        if result.get("failed") or result["changed"] or self.scenario.state(machine) != before:
            violations.append(f"a further run changes something: {result.get('msg')}")
        return violations

    def _unfinished(self, machine: Machine, expected: dict | None = None) -> list[str]:
        """Return the parts of the state that differ from *expected*, by default the end of an undisturbed run."""
        expected, state = expected or self.states[-1], self.scenario.state(machine)
        return [
            f"it ends otherwise than usual, {part}: {different(state[part], expected[part])}"
            for part in expected
            if state[part] != expected[part]
        ]


def is_answer(call: Call) -> bool:
    """Return whether a call writes the result of the module."""
    return call.name == "write" and call.paths[0].endswith("/output")


def is_piped(call: Call) -> bool:
    """Return whether a call writes to another program."""
    return call.name == "write" and call.paths[0].startswith("pipe:")


def different(one: t.Any, other: t.Any) -> str:
    """Describe the difference between two values."""
    if isinstance(one, dict):
        return ", ".join(f"{key}: {one.get(key)}" for key in {*one, *other} if one.get(key) != other.get(key))
    return f"{one} instead of {other}"


def _hit(run: Run, error: str) -> Call | None:
    return next((call for call in run.calls if call.error == error), None)


def _without_numbers(description: str) -> str:
    return "".join(letter for letter in description if not letter.isdigit())
