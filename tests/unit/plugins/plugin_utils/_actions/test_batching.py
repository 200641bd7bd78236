# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that walk in company share their trips to the host, and wait for CAs side by side."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions import batching as company_module
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Alone, Company

ENOUGH = 60  # seconds after which something waits for ever


class Host:
    """A host that answers questions, and remembers which came together and in which thread."""

    def __init__(self):
        self.trips = []

    def answer(self, asked):
        self.trips.append((threading.current_thread(), asked))
        return [word.upper() for word in asked]

    def asked(self):
        return [words for _thread, words in self.trips]


@pytest.fixture
def host():
    return Host()


def test_questions_of_one_kind_go_to_the_host_together_and_each_gets_its_answer(host):
    company = Company(1)
    works = [lambda word=word: company.ask("kind", word, host.answer) for word in ("one", "two", "three")]
    assert company.walk(works) == ["ONE", "TWO", "THREE"]
    assert [sorted(words) for words in host.asked()] == [["one", "three", "two"]]


def test_only_the_thread_that_was_there_before_goes_to_the_host(host):
    company = Company(1)
    company.walk([lambda: company.ask("kind", "one", host.answer)] * 3)
    assert {thread for thread, _words in host.trips} == {threading.current_thread()}


def test_questions_of_different_kinds_go_alone(host):
    company = Company(1)
    works = [lambda word=word: company.ask(word, word, host.answer) for word in ("one", "two")]
    assert company.walk(works) == ["ONE", "TWO"]
    assert sorted(host.asked()) == [["one"], ["two"]]


def test_each_step_waits_for_those_who_can_come_along(host):
    company = Company(2)

    def walk(word):
        company.ask("first", word, host.answer)
        with company.aside():
            pass
        return company.ask("second", word, host.answer)

    company.walk([lambda word=word: walk(word) for word in ("one", "two", "three")])
    assert [len(words) for words in host.asked()] == [3, 3]


def stay(inside, most):
    """Stay for a moment, and write down how many are there."""
    inside.append(1)
    most.append(len(inside))
    threading.Event().wait(0.01)
    inside.pop()


def test_one_at_a_time_has_its_turn():
    company, inside, most = Company(3), [], []

    company.walk([lambda: stay(inside, most)] * 5)
    assert max(most) == 1


def test_cas_are_waited_for_side_by_side():
    company = Company(3)
    together = threading.Barrier(3)

    def walk():
        with company.aside():
            together.wait(ENOUGH)  # which nobody passes who is there alone
        return True

    assert company.walk([walk] * 3) == [True] * 3


def test_no_more_are_with_a_ca_than_may_be():
    company, lock, inside, most = Company(2), threading.Lock(), [], []

    def walk():
        with company.aside():
            with lock:
                inside.append(1)
                most.append(len(inside))
            threading.Event().wait(0.01)
            with lock:
                inside.pop()

    company.walk([walk] * 8)
    assert max(most) <= 2


def test_where_locks_belong_to_processes_cas_are_waited_for_one_after_the_other(monkeypatch):
    monkeypatch.setattr(company_module, "HAS_LOCKS", False)
    company, inside, most = Company(3), [], []

    def walk():
        with company.aside():
            stay(inside, most)

    company.walk([walk] * 4)
    assert max(most) == 1


def test_who_waits_too_long_for_one_that_a_ca_keeps_goes_to_the_host_without_it(host):
    company, came = Company(1, patience=0.05), threading.Event()

    def slow():
        with company.aside():
            assert came.wait(ENOUGH)
        return company.ask("kind", "slow", host.answer)

    def quick():
        answer = company.ask("kind", "quick", host.answer)
        came.set()
        return answer

    assert company.walk([slow, quick]) == ["SLOW", "QUICK"]
    assert host.asked() == [["quick"], ["slow"]]


def test_what_goes_wrong_at_the_host_is_told_to_all_who_have_asked():
    company, told = Company(1), []

    def answer(_asked):
        raise ConnectionError("no route")

    def walk():
        try:
            company.ask("kind", "one", answer)
        except ConnectionError as error:
            told.append(str(error))

    company.walk([walk] * 3)
    assert told == ["no route"] * 3


def test_an_answer_that_is_an_error_is_raised_for_whom_it_is():
    company = Company(1)

    def answer(asked):
        return [ValueError(word) if word == "bad" else word for word in asked]

    def walk(word):
        try:
            return company.ask("kind", word, answer)
        except ValueError as error:
            return f"refused: {error}"

    assert company.walk([lambda: walk("good"), lambda: walk("bad")]) == ["good", "refused: bad"]


def test_what_a_walk_raises_is_raised_once_all_have_ended():
    company, ended = Company(1), []

    def walk():
        raise KeyError("www")

    with pytest.raises(KeyError, match="www"):
        company.walk([walk, lambda: ended.append("mail")])
    assert ended == ["mail"]


def test_all_who_still_walk_wait_for_each_other_where_they_meet(host):
    company, seen = Company(3), []

    def slow(word):
        company.ask("kind", word, host.answer)
        company.ask("kind", word, host.answer)
        seen.append("asked twice")
        company.meet()

    def quick():
        company.meet()
        seen.append("met")

    def gone():
        seen.append("gone")

    company.walk([quick, lambda: slow("one"), quick, gone])
    assert sorted(seen[:2]) == ["asked twice", "gone"] and seen[2:] == ["met", "met"]


def test_one_who_fails_is_not_waited_for_where_the_others_meet(host):
    company, seen = Company(2), []

    def fail():
        company.ask("kind", "one", host.answer)
        raise KeyError("gone")

    def meet():
        company.meet()
        seen.append("met")
        company.meet()
        seen.append("met again")

    with pytest.raises(KeyError):
        company.walk([meet, fail, meet])
    assert sorted(seen) == ["met", "met", "met again", "met again"]


def test_the_last_question_waits_for_who_is_with_a_ca_however_long_that_takes(host):
    company = Company(3, patience=0)  # all others go to the host without waiting for anybody
    has_asked = threading.Event()

    def wait_for_a_ca():
        with company.aside():
            assert has_asked.wait(ENOUGH)
        company.ask("kind", "waited", host.answer)

    def hurry():
        company.ask("kind", "hurried", host.answer)
        has_asked.set()

    company.walk([lambda: company.ask("kind", "last", host.answer, is_last=True), wait_for_a_ca, hurry])
    assert host.asked() == [["hurried"], ["waited", "last"]]


def test_the_last_question_is_answered_after_those_of_other_kinds(host):
    company = Company(1)
    company.walk(
        [
            lambda: company.ask("kind", "last", host.answer, is_last=True),
            lambda: company.ask("kind", "one", host.answer),
            lambda: company.ask("another kind", "two", host.answer),
        ]
    )
    assert host.asked() == [["two"], ["one", "last"]]


def test_the_last_question_goes_alone_where_the_others_have_ended(host):
    company = Company(1)
    company.walk([lambda: company.ask("kind", "last", host.answer, is_last=True), lambda: None])
    assert host.asked() == [["last"]]


def test_what_several_ask_is_answered_before_what_one_asks_alone(host):
    company = Company(1)
    alone = [lambda word=word: company.ask(Alone(), word, host.answer) for word in ("one", "two")]
    together = [lambda word=word: company.ask("kind", word, host.answer) for word in ("three", "four")]
    company.walk([*alone, *together])
    first, *others = host.asked()
    assert sorted(first) == ["four", "three"] and sorted(others) == [["one"], ["two"]]


def test_the_last_question_is_answered_after_those_that_go_alone(host):
    company = Company(1)
    company.walk(
        [
            lambda: company.ask("kind", "last", host.answer, is_last=True),
            lambda: company.ask("kind", "one", host.answer),
            lambda: company.ask(Alone(), "alone", host.answer),
        ]
    )
    assert host.asked() == [["alone"], ["one", "last"]]
