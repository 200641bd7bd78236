# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work on several requests of a host side by side: one connection serves all of them, and CAs are waited for at the same time.

Each request has a worker: a coroutine that is written as if it were the only one. A worker awaits one of four operations: ModuleCall and
ActionCall do something on the host, Background runs a function that waits for a CA, Barrier waits for the other workers. Batch.run()
drives the workers. It runs each of them up to its next operation. When all of them wait, it merges their calls to the host.

Threads: Batch.run() runs all workers, and all calls to the host, in the thread that calls it, one after the other, since connections,
templates and variables of Ansible are not made for two threads. Only the functions of Background run in threads of their own, as a CA may
take minutes; such a function must use none of these. The threads are daemons, so that a run that is interrupted ends at once. Where the
system has no locks that belong to open files, the functions of Background run in the thread of the caller, too.
"""

from __future__ import annotations

import contextvars
import fcntl
import queue
import threading
import time
import typing as t

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.module_results import validated_result

MAX_WAIT_S = 30.0  # for which calls to the host wait for workers that a CA still keeps
# Without locks of this kind, which are there on Linux, a process that works on one more order lets go of that on the first.
HAS_LOCKS = hasattr(fcntl, "F_OFD_SETLK")
# The modules that host_batch can run, in the order in which one batch runs them: each may need what was done before it.
BATCH_MODULES = (
    *("firewall_commands", "nginx_sites", "certificate_request", "certificate_install", "nginx_reload"),
    *("certificate_remove", "challenge_requests"),
)

Result = t.TypeVar("Result")
HostResult = dict[str, t.Any]  # as it comes from the host, not yet validated
Worker = t.Coroutine["Operation[t.Any]", t.Any, Result]


class Operation(t.Generic[Result]):
    """What a worker can await. Its result is that of the operation."""

    def __await__(self) -> t.Generator[Operation[Result], t.Any, Result]:
        return (yield self)


class Background(Operation[Result]):
    """Run a function in a thread of its own, and let the other workers go on. It must not use what belongs to Ansible."""

    def __init__(self, function: t.Callable[[], Result]) -> None:
        self.function = function


class Barrier(Operation[None]):
    """Wait until all workers that have not ended wait at a barrier."""


class HostCall(Operation[HostResult]):
    """Something to do on the host. Calls with the same key that wait at the same time are done together."""

    is_last = False  # whether it waits until all other workers have called or ended, and is done after their calls
    key: t.Hashable

    def run_all(self, calls: t.Sequence[t.Any]) -> list[HostResult]:
        """Return the results of calls that have the key of this one, which is the first of them."""
        raise NotImplementedError


class ModuleCall(HostCall):
    """Run a module of the collection on the host. Hosts log the arguments of a batch: with a secret, a call is made alone."""

    def __init__(
        self,
        module: str,
        arguments: dict[str, t.Any],
        execute: t.Callable[[str, dict[str, t.Any]], HostResult],
        has_secret: bool = False,
        is_last: bool = False,
    ) -> None:
        self.module, self.arguments, self.execute, self.is_last = module, arguments, execute, is_last
        may_share = module in BATCH_MODULES and not has_secret
        self.key = ModuleCall if may_share else id(self)

    def run_all(self, calls: t.Sequence[ModuleCall]) -> list[HostResult]:
        """Return the results of module calls, for which the host is visited once."""
        if len(calls) == 1:
            return [self.execute(self.module, self.arguments)]
        order = sorted(range(len(calls)), key=lambda number: calls[number]._rank())
        results = dict(zip(order, self._run_batch([calls[number] for number in order])))
        return [results[number] for number in range(len(calls))]

    def _rank(self) -> tuple[bool, int]:
        return self.is_last, BATCH_MODULES.index(self.module)

    def _run_batch(self, calls: t.Sequence[ModuleCall]) -> list[HostResult]:
        merged = [{"module": call.module, "arguments": call.arguments} for call in calls]
        result = self.execute("host_batch", {"calls": merged})
        if "module_stdout" in result:  # the module ended without a result: the call that ended it must harm no other
            return [call.execute(call.module, call.arguments) for call in calls]
        result = validated_result("host_batch", result)
        if result.get("failed"):
            return [{"failed": True, "msg": result["msg"]}] * len(calls)
        if len(result["results"]) != len(calls):
            raise TlsError(
                f"the host does not answer host_batch as it should: it has {len(result['results'])} results for {len(calls)} calls; "
                "look at what it is doing"
            )
        return result["results"]


class ActionCall(HostCall):
    """Run an action of others, such as ansible.builtin.package, on the host. What several workers want is done once."""

    def __init__(self, name: str, arguments: dict[str, t.Any], run: t.Callable[[], HostResult]) -> None:
        self.key = (name, repr(arguments))
        self.run = run

    def run_all(self, calls: t.Sequence[ActionCall]) -> list[HostResult]:
        """Return the one result for each of the calls."""
        result = self.run()
        return [dict(result) for _call in calls]


class Outcome(t.NamedTuple):
    """The result of an operation, or the error that it raised."""

    result: t.Any = None
    error: BaseException | None = None


class _State(t.Generic[Result]):
    """A worker, the operation that it waits for, and what it returned or raised."""

    def __init__(self, worker: Worker[Result]) -> None:
        self.worker = worker
        self.operation: Operation[t.Any] | None = None  # None: it has ended
        self.since = 0.0  # when it began to wait, by time.monotonic()
        self.end = Outcome()


class Batch:
    """Drive workers. No more than *background_limit* of them are with a CA at a time."""

    def __init__(self, background_limit: int = 1, max_wait_s: float = MAX_WAIT_S) -> None:
        self.background_limit, self.max_wait_s = max(1, background_limit), max_wait_s
        self._lost: AnsibleConnectionFailure | None = None  # why the host cannot be reached, once it was tried
        self._queued: list[_State[t.Any]] = []  # with a function for the background
        self._background_count = 0
        self._finished: queue.SimpleQueue[tuple[_State[t.Any], Outcome]] = queue.SimpleQueue()

    def run(self, workers: t.Iterable[Worker[Result]]) -> list[Result]:
        """Return what the workers return. The first error that one of them raises is raised once all have ended."""
        states = [_State(worker) for worker in workers]
        try:
            self._drive(states)
        finally:  # close those that an interrupt has left
            for state in states:
                state.worker.close()
        for state in states:
            if state.end.error is not None:
                raise state.end.error
        return [state.end.result for state in states]

    def _drive(self, states: list[_State[t.Any]]) -> None:
        """Run workers until all have ended."""
        for state in states:
            self._resume(state, Outcome())
        while waiting := [state for state in states if state.operation is not None]:
            if all(isinstance(state.operation, Barrier) for state in waiting):
                outcomes = [(state, Outcome()) for state in waiting]
            elif calling := self._due_calls(waiting):
                outcomes = self._run_calls(calling)
            else:
                outcomes = self._wait_for_background(waiting)
            for state, outcome in outcomes:
                self._resume(state, outcome)

    def _resume(self, state: _State[t.Any], outcome: Outcome) -> None:
        """Hand the outcome of its operation to a worker, and run it up to its next one."""
        state.operation = None
        try:
            if outcome.error is not None:
                state.operation = state.worker.throw(outcome.error)
            else:
                state.operation = state.worker.send(outcome.result)
        except StopIteration as stop:
            state.end = Outcome(stop.value)
        except Exception as error:
            state.end = Outcome(error=error)
        state.since = time.monotonic()
        if isinstance(state.operation, Background):
            self._queued.append(state)
            self._start_background()

    def _due_calls(self, waiting: list[_State[t.Any]]) -> list[_State[t.Any]]:
        """Return the workers whose calls are made now: all if no other can join them, else those that have waited too long."""
        calling = [state for state in waiting if isinstance(state.operation, HostCall)]
        if not any(isinstance(state.operation, Background) for state in waiting):
            return calling
        return _not_last(calling) if self._time_left(waiting) == 0 else []

    def _time_left(self, waiting: list[_State[t.Any]]) -> float | None:
        """Return the seconds until calls no longer wait for the workers in the background; None: there is no such call."""
        since = min((state.since for state in _not_last(waiting)), default=None)
        return None if since is None else max(0.0, since + self.max_wait_s - time.monotonic())

    def _run_calls(self, calling: list[_State[t.Any]]) -> list[tuple[_State[t.Any], Outcome]]:
        """Make calls to the host, and return their outcomes. Calls that are made alone come after the shared ones, but before the last."""
        groups: dict[t.Hashable, list[_State[t.Any]]] = {}
        for state in calling:
            groups.setdefault(t.cast(HostCall, state.operation).key, []).append(state)
        shared = groups.pop(ModuleCall, [])
        ordered = [*groups.values(), shared] if len(_not_last(shared)) < len(shared) else [shared, *groups.values()]
        return [outcome for group in ordered if group for outcome in self._run_group(group)]

    def _run_group(self, group: list[_State[t.Any]]) -> list[tuple[_State[t.Any], Outcome]]:
        """Make the calls of one key. A host that cannot be reached is tried once only."""
        calls = [t.cast(HostCall, state.operation) for state in group]
        try:
            if self._lost is not None:
                raise self._lost
            return [(state, Outcome(result)) for state, result in zip(group, calls[0].run_all(calls))]
        except Exception as error:
            if isinstance(error, AnsibleConnectionFailure):
                self._lost = error
            return [(state, Outcome(error=error)) for state in group]

    def _start_background(self) -> None:
        """Start functions that wait for a CA, as many as may run at a time."""
        while self._queued and self._background_count < self.background_limit:
            self._background_count += 1
            arguments = (self._run_in_background, self._queued.pop(0))
            if HAS_LOCKS:
                context = contextvars.copy_context()  # in which Ansible keeps which task this is
                threading.Thread(target=context.run, args=arguments, daemon=True).start()
            else:
                self._run_in_background(arguments[1])

    def _run_in_background(self, state: _State[t.Any]) -> None:
        try:
            outcome = Outcome(t.cast("Background[t.Any]", state.operation).function())
        except BaseException as error:
            outcome = Outcome(error=error)
        self._finished.put((state, outcome))

    def _wait_for_background(self, waiting: list[_State[t.Any]]) -> list[tuple[_State[t.Any], Outcome]]:
        """Wait until a function in the background has ended, or calls have waited too long."""
        try:
            finished = self._finished.get(timeout=self._time_left(waiting))
        except queue.Empty:
            return []
        self._background_count -= 1
        self._start_background()
        return [finished]


def _not_last(states: list[_State[t.Any]]) -> list[_State[t.Any]]:
    """Return the workers that wait for a call to the host which is not to be the last."""
    return [state for state in states if isinstance(state.operation, HostCall) and not state.operation.is_last]
