# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host has told of itself, in answer to questions.

What is thought about a host is thought on the controller, over a transcript. Where something was not asked, the thought
ends, the host is asked, and the thought begins anew.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._wire import from_wire, to_wire
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

# has PROGRAM → whether it is installed
# run PROGRAM ARGUMENT… → its exit status, and what it printed; only for what changes nothing
# read PATTERN → the texts of the files that fit the pattern, by path
Question = tuple[str, ...]
Answers = t.Iterable[tuple[t.Iterable[str], t.Any]]
Thought = t.TypeVar("Thought")

SENSELESS = "the host does not say what it was asked; look at what it is doing"


class Look(t.NamedTuple):
    """One look at a host: where *needs* hold, one after the other, it also answers what the look *asks*, and no later look is taken."""

    needs: t.Sequence[Question]
    asks: t.Sequence[Question]

    def to_arguments(self) -> dict[str, list[list[str]]]:
        """Return the look as an argument of firewall_commands."""
        names = {"conditions": self.needs, "queries": self.asks}
        return {name: [list(map(to_wire, question)) for question in questions] for name, questions in names.items()}


class Unanswered(Exception):
    """The questions that a transcript has no answers to."""

    def __init__(self, questions: list[Question]) -> None:
        super().__init__(f"unanswered: {questions}")
        self.questions = questions


class Transcript:
    """A host, as far as its answers go. Raises Unanswered beyond that."""

    def __init__(self, answers: Answers = ()) -> None:
        self.answers: dict[Question, t.Any] = {}
        self.add(answers)

    def add(self, answers: Answers) -> None:
        """Add answers of the host. Raises TlsError where one does not have the form of an answer."""
        with reject_malformed_input(SENSELESS):
            self.answers.update(
                {tuple(map(from_wire, question)): _checked(question[0], told) for question, told in answers}
            )

    def tell(self, questions: t.Sequence[Question]) -> list[t.Any]:
        """Return the answers to questions. What is asked together takes one visit to the host."""
        missing = [question for question in questions if question not in self.answers]
        if missing:
            raise Unanswered(missing)
        return [self.answers[question] for question in questions]

    def has(self, program: str) -> bool:
        """Say whether a program is installed."""
        return self.tell([("has", program)])[0]

    def run(self, argv: list[str]) -> tuple[int, str]:
        """Return the exit status of a program that only looks, and what it printed."""
        return self.run_each([argv])[0]

    def run_each(self, argvs: list[list[str]]) -> list[tuple[int, str]]:
        """Return the same for several programs."""
        return [(status, from_wire(output)) for status, output in self.tell([("run", *argv) for argv in argvs])]

    def read(self, path: str) -> str | None:
        """Return the text of a file, or None where there is none."""
        return self.find_each([path])[0].get(path)

    def find_each(self, patterns: list[str]) -> list[dict[str, str]]:
        """Return the texts of the files that fit each pattern, by their paths."""
        found = self.tell([("read", pattern) for pattern in patterns])
        return [{from_wire(path): from_wire(text) for path, text in files.items()} for files in found]


def _checked(kind: str, told: t.Any) -> t.Any:
    """Return an answer, once it is one to such a question and its text has travelled as it should."""
    if kind == "has":
        is_fit = isinstance(told, bool)
    elif kind == "run":
        status, output = told
        is_fit = isinstance(status, int) and isinstance(from_wire(output), str)
    else:
        is_fit = all(isinstance(from_wire(text), str) for pair in told.items() for text in pair)
    if not is_fit:
        raise ValueError(kind)
    return told


async def think(
    thought: t.Callable[[Transcript], Thought],
    transcript: Transcript,
    ask: t.Callable[[list[Look]], t.Awaitable[Answers]],
) -> Thought:
    """Return what *thought* makes of a transcript, to which *ask* adds what is missing."""
    while True:
        try:
            return thought(transcript)
        except Unanswered as unanswered:
            transcript.add(await ask([Look((), unanswered.questions)]))
            if not set(unanswered.questions) <= set(transcript.answers):
                raise TlsError(SENSELESS) from unanswered
