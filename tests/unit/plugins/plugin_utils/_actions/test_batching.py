# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workers of a batch share their calls to the host, and wait for CAs side by side."""

from __future__ import annotations

import threading

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions import batching
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import (
    ActionCall,
    Background,
    Barrier,
    Batch,
    ModuleCall,
)

ENOUGH = 60  # seconds after which something waits for ever


class Host:
    """A host whose modules return the word that they get in capitals. It remembers which words came together, and in which thread."""

    def __init__(self):
        self.visits = []

    def execute(self, module, arguments):
        if module != "host_batch":
            self.visits.append((threading.current_thread(), [arguments["word"]]))
            return {"msg": arguments["word"].upper()}
        words = [call["arguments"]["word"] for call in arguments["calls"]]
        self.visits.append((threading.current_thread(), words))
        return {"changed": False, "results": [{"msg": word.upper()} for word in words]}

    async def run(self, word, module="nginx_reload", is_last=False):
        """Return what a module on the host makes of a word."""
        result = await ModuleCall(module, {"word": word}, self.execute, is_last=is_last)
        return result["msg"]

    def words(self):
        return [words for _thread, words in self.visits]


@pytest.fixture
def host():
    return Host()


def test_calls_go_to_the_host_together_and_each_gets_its_result(host):
    assert Batch().run([host.run(word) for word in ("one", "two", "three")]) == ["ONE", "TWO", "THREE"]
    assert [sorted(words) for words in host.words()] == [["one", "three", "two"]]


def test_only_the_thread_that_runs_the_batch_goes_to_the_host(host):
    async def work():
        await Background(lambda: None)
        return await host.run("one")

    Batch().run([work() for _number in range(3)])
    assert {thread for thread, _words in host.visits} == {threading.current_thread()}


def test_calls_that_cannot_be_merged_go_alone(host):
    workers = [host.run(word, "certificate_export") for word in ("one", "two")]
    assert Batch().run(workers) == ["ONE", "TWO"]
    assert sorted(host.words()) == [["one"], ["two"]]


def test_a_call_with_a_secret_goes_alone(host):
    async def work(word):
        return await ModuleCall("nginx_reload", {"word": word}, host.execute, has_secret=True)

    Batch().run([work("one"), work("two")])
    assert sorted(host.words()) == [["one"], ["two"]]


def test_an_action_that_several_want_is_run_once():
    runs = []

    def install():
        runs.append("installed")
        return {"changed": True}

    async def work(name):
        return await ActionCall("package", {"name": name}, install)

    assert Batch().run([work("a"), work("a"), work("b")]) == [{"changed": True}] * 3
    assert len(runs) == 2


def test_each_step_waits_for_those_who_can_come_along(host):
    async def work(word):
        await host.run(word)
        await Background(lambda: None)
        return await host.run(word)

    Batch(2).run([work(word) for word in ("one", "two", "three")])
    assert [len(words) for words in host.words()] == [3, 3]


def stay(inside, most):
    """Stay for a moment, and write down how many are there."""
    inside.append(1)
    most.append(len(inside))
    threading.Event().wait(0.01)
    inside.pop()


def test_one_worker_runs_at_a_time():
    inside, most = [], []

    async def work():
        await Background(lambda: None)
        stay(inside, most)

    Batch(3).run([work() for _number in range(5)])
    assert max(most) == 1


def test_cas_are_waited_for_side_by_side():
    together = threading.Barrier(3)

    async def work():
        await Background(lambda: together.wait(ENOUGH))  # which nobody passes who is there alone
        return True

    assert Batch(3).run([work() for _number in range(3)]) == [True] * 3


def test_no_more_are_with_a_ca_than_may_be():
    lock, inside, most = threading.Lock(), [], []

    def wait_for_a_ca():
        with lock:
            inside.append(1)
            most.append(len(inside))
        threading.Event().wait(0.01)
        with lock:
            inside.pop()

    async def work():
        await Background(wait_for_a_ca)

    Batch(2).run([work() for _number in range(8)])
    assert len(most) == 8 and max(most) <= 2


def test_where_locks_belong_to_processes_cas_are_waited_for_one_after_the_other(monkeypatch):
    monkeypatch.setattr(batching, "HAS_LOCKS", False)
    inside, most = [], []

    async def work():
        await Background(lambda: stay(inside, most))

    Batch(3).run([work() for _number in range(4)])
    assert len(most) == 4 and max(most) == 1


def test_what_a_function_in_the_background_raises_is_raised_in_its_worker():
    def refuse():
        raise ValueError("the CA refuses")

    async def work():
        with pytest.raises(ValueError, match="the CA refuses"):
            await Background(refuse)
        return await Background(lambda: "issued")

    assert Batch().run([work()]) == ["issued"]


def test_who_waits_too_long_for_one_that_a_ca_keeps_goes_to_the_host_without_it(host):
    came = threading.Event()

    async def slow():
        assert await Background(lambda: came.wait(ENOUGH))
        return await host.run("slow")

    async def quick():
        result = await host.run("quick")
        came.set()
        return result

    assert Batch(1, max_wait_s=0.05).run([slow(), quick()]) == ["SLOW", "QUICK"]
    assert host.words() == [["quick"], ["slow"]]


def test_what_goes_wrong_at_the_host_is_told_to_all_who_have_called():
    told = []

    def execute(_module, _arguments):
        raise ConnectionError("no route")

    async def work():
        try:
            await ModuleCall("nginx_reload", {}, execute)
        except ConnectionError as error:
            told.append(str(error))

    Batch().run([work() for _number in range(3)])
    assert told == ["no route"] * 3


def test_a_host_that_is_lost_is_tried_once_only():
    tried = []

    def execute(module, _arguments):
        tried.append(module)
        raise AnsibleConnectionFailure("no route")

    async def work(module):
        for _time in range(2):
            with pytest.raises(AnsibleConnectionFailure, match="no route"):
                await ModuleCall(module, {}, execute)

    Batch().run([work("nginx_reload"), work("certificate_export")])
    assert tried == ["nginx_reload"]


def test_an_error_is_raised_for_whom_it_is():
    def execute(_module, arguments):
        if arguments["word"] == "bad":
            raise ValueError("bad")
        return arguments["word"]

    async def work(word):
        try:
            return await ModuleCall("certificate_export", {"word": word}, execute)
        except ValueError as error:
            return f"refused: {error}"

    assert Batch().run([work("good"), work("bad")]) == ["good", "refused: bad"]


def test_what_a_worker_raises_is_raised_once_all_have_ended():
    ended = []

    async def fail():
        raise KeyError("www")

    async def work():
        await Background(lambda: None)
        ended.append("mail")

    with pytest.raises(KeyError, match="www"):
        Batch().run([fail(), work()])
    assert ended == ["mail"]


def test_who_interrupts_a_run_waits_for_nobody():
    async def interrupt():
        raise KeyboardInterrupt

    closed, is_over = [], threading.Event()

    async def wait_for_a_ca():
        try:
            await Background(is_over.wait)
        finally:
            closed.append("waiting")

    async def never_begin():
        raise AssertionError

    try:
        with pytest.raises(KeyboardInterrupt):
            Batch().run([wait_for_a_ca(), interrupt(), never_begin()])
        assert closed == ["waiting"]
    finally:
        is_over.set()


def test_all_workers_that_have_not_ended_wait_for_each_other_at_a_barrier(host):
    seen = []

    async def slow(word):
        await host.run(word)
        await host.run(word)
        seen.append("called twice")
        await Barrier()

    async def quick():
        await Barrier()
        seen.append("met")

    async def gone():
        seen.append("gone")

    Batch(3).run([quick(), slow("one"), quick(), gone()])
    assert sorted(seen[:2]) == ["called twice", "gone"] and seen[2:] == ["met", "met"]


def test_a_worker_that_fails_is_not_waited_for_at_a_barrier(host):
    seen = []

    async def fail():
        await host.run("one")
        raise KeyError("gone")

    async def meet():
        await Barrier()
        seen.append("met")
        await Barrier()
        seen.append("met again")

    with pytest.raises(KeyError):
        Batch(2).run([meet(), fail(), meet()])
    assert sorted(seen) == ["met", "met", "met again", "met again"]


def test_the_last_call_waits_for_who_is_with_a_ca_however_long_that_takes(host):
    has_called = threading.Event()

    async def wait_for_a_ca():
        assert await Background(lambda: has_called.wait(ENOUGH))
        await host.run("waited")

    async def hurry():
        await host.run("hurried")
        has_called.set()

    # With no time to wait, all others go to the host without waiting for anybody.
    Batch(3, max_wait_s=0).run([host.run("last", is_last=True), wait_for_a_ca(), hurry()])
    assert host.words() == [["hurried"], ["waited", "last"]]


def test_the_last_call_is_made_after_those_that_cannot_be_merged(host):
    Batch().run([host.run("last", is_last=True), host.run("one"), host.run("two", "certificate_export")])
    assert host.words() == [["two"], ["one", "last"]]


def test_the_last_call_goes_alone_where_the_others_have_ended(host):
    async def end():
        return None

    Batch().run([host.run("last", is_last=True), end()])
    assert host.words() == [["last"]]


def test_merged_calls_are_made_before_those_that_go_alone(host):
    alone = [host.run(word, "certificate_export") for word in ("one", "two")]
    Batch().run([*alone, host.run("three"), host.run("four")])
    first, *others = host.words()
    assert sorted(first) == ["four", "three"] and sorted(others) == [["one"], ["two"]]


def test_the_last_call_is_made_after_those_with_a_secret(host):
    async def secret():
        return await ModuleCall("nginx_reload", {"word": "alone"}, host.execute, has_secret=True)

    Batch().run([host.run("last", is_last=True), host.run("one"), secret()])
    assert host.words() == [["alone"], ["one", "last"]]
