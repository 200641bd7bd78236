# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests of a host walk in company: what they ask of it goes there in one trip, and CAs work on them side by side.

Each walk is written as if it were alone, and runs in a thread of its own. One at a time has its turn, so that nothing of Ansible's is
used twice at once, and all that touches the host is done by the thread that Ansible has started. A walk gives its turn away while it
waits: for the host, until all others that could come along have come, for a CA, and for the others where all of them meet.
"""

from __future__ import annotations

import contextlib
import contextvars
import fcntl
import threading
import time
import typing as t

LARGEST = 50  # walks in one company, so that what goes to the host stays small
PATIENCE = 30.0  # seconds for which whoever could go to the host waits for those that a CA still keeps
# Without locks of this kind, which are there on Linux, a process that works on one more order lets go of that on the first.
HAS_LOCKS = hasattr(fcntl, "F_OFD_SETLK")

Result = t.TypeVar("Result")


class Alone:
    """The key of a question that goes to the host by itself: no other is equal to it."""


class Question(t.Generic[Result]):
    """What a walk wants done by the thread that Ansible has started, and what came of that."""

    def __init__(self, key: t.Any, one: t.Any, answer: t.Callable[[list], list[Result]], is_last: bool) -> None:
        self.key, self.one, self.answer, self.is_last = key, one, answer, is_last
        self.since = time.monotonic()
        self.is_answered = threading.Event()
        self.result: Result | None = None
        self.error: BaseException | None = None


class Company:
    """Walks side by side. *at_once* is how many of them may be with a CA at a time."""

    def __init__(self, at_once: int, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.lost: BaseException | None = None  # why the host cannot be reached, once somebody has tried
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(max(1, at_once))
        self._news = threading.Condition()
        self._on_their_way = 0
        self._walking = 0
        self._met: list[threading.Event] = []  # of those who wait for the others
        self._questions: list[Question] = []

    def walk(self, works: list[t.Callable[[], Result]]) -> list[Result]:
        """Return what all *works* return. The first error that one of them raises is raised once all have ended."""
        walks = [_Walk(self, work) for work in works]
        self._on_their_way = self._walking = len(walks)
        for walk in walks:
            walk.start()
        while questions := self._asked():
            with self._turn:
                _settle(questions)
            with self._news:
                self._on_their_way += len(questions)
            for question in questions:
                question.is_answered.set()
        for walk in walks:
            if walk.error is not None:
                raise walk.error
        return [t.cast(Result, walk.result) for walk in walks]

    def ask(self, key: t.Any, one: t.Any, answer: t.Callable[[list], list[Result]], is_last: bool = False) -> Result:
        """Return the answer to *one*. Questions with the same key that wait at that time are answered by one of their functions *answer*.

        One that is the last waits until all others have asked as well or have ended, and is answered after them.
        """
        question = Question(key, one, answer, is_last)
        self._turn.release()
        try:
            with self._news:
                self._questions.append(question)
                self._on_their_way -= 1
                self._news.notify()
            question.is_answered.wait()
        finally:
            self._turn.acquire()
        if question.error is not None:
            raise question.error
        return t.cast(Result, question.result)

    def meet(self) -> None:
        """Wait until all who still walk have come to this point."""
        has_met = threading.Event()
        self._turn.release()
        try:
            with self._news:
                self._on_their_way -= 1
                self._met.append(has_met)
                self._go_on()
            has_met.wait()
        finally:
            self._turn.acquire()

    def _go_on(self) -> None:
        """Let those who have met go on, once everybody who still walks is among them."""
        if self._met and len(self._met) == self._walking:
            self._on_their_way += len(self._met)
            for has_met in self._met:
                has_met.set()
            self._met = []
        self._news.notify()

    @contextlib.contextmanager
    def aside(self) -> t.Iterator[None]:
        """Let the others go on while this walk waits for a CA, and uses nothing that they do."""
        if not HAS_LOCKS:
            yield
            return
        self._turn.release()
        try:
            with self._places:
                yield
        finally:
            self._turn.acquire()

    def _asked(self) -> list[Question]:
        """Return what waits for the host, once nobody is on the way who could come along; nothing when all walks have ended."""
        with self._news:
            while self._on_their_way:
                hurried = [question for question in self._questions if not question.is_last]
                left = hurried[0].since + self.patience - time.monotonic() if hurried else None
                if left is not None and left <= 0:
                    self._questions = [question for question in self._questions if question.is_last]
                    return hurried
                self._news.wait(left)
            questions, self._questions = self._questions, []
            return questions

    def run(self, walk: _Walk) -> None:
        """Walk one."""
        with self._turn:
            try:
                walk.result = walk.work()
            except BaseException as error:
                walk.error = error
        with self._news:
            self._on_their_way -= 1
            self._walking -= 1
            self._go_on()


class _Walk:
    """One walk, and what came of it."""

    def __init__(self, company: Company, work: t.Callable[[], t.Any]) -> None:
        self.work = work
        self.result: t.Any = None
        self.error: BaseException | None = None
        context = contextvars.copy_context()  # in which Ansible keeps which task this is
        self.start = threading.Thread(target=context.run, args=(company.run, self), daemon=True).start


def _settle(questions: list[Question]) -> None:
    """Answer questions, those with the same key together: what several ask before what one asks alone, and the last after all others."""
    questions = sorted(questions, key=lambda question: question.is_last)
    last = {question.key for question in questions if question.is_last}
    alone = {question.key for question in questions if isinstance(question.key, Alone)}
    keys = dict.fromkeys(question.key for question in questions)
    for key in sorted(keys, key=lambda key: (key in last, key in alone)):
        same = [question for question in questions if question.key == key]
        try:
            results = same[0].answer([question.one for question in same])
        except BaseException as error:
            for question in same:
                question.error = error
            if not isinstance(error, Exception):  # somebody wants us to stop
                raise
        else:
            for question, result in zip(same, results):
                if isinstance(result, BaseException):
                    question.error = result
                else:
                    question.result = result
