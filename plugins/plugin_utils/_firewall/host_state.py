# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a host, as far as it has been queried.

Plans are made on the controller, from the state of the host. Where a plan needs a result that is not there, planning
ends, the host is queried, and planning starts again.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._wire import from_wire, to_wire
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

# A query, and its result as firewall_commands returns it:
# has PROGRAM: whether the program is installed
# run PROGRAM ARGUMENT…: exit status and output; only for programs that change nothing
# read PATTERN: the texts of the files that match the pattern, by path
Query = tuple[str, ...]
Results = t.Iterable[tuple[t.Sequence[str], t.Any]]  # pairs of a query and its result
Plan = t.TypeVar("Plan")

MALFORMED_RESULTS = "the host does not say what it was asked; look at what it is doing"


class QuerySet(t.NamedTuple):
    """Queries that the host runs if all conditions succeed. It then skips the sets that follow."""

    conditions: t.Sequence[Query]
    queries: t.Sequence[Query]

    def to_arguments(self) -> dict[str, list[list[str]]]:
        """Return the set as firewall_commands takes it."""
        lists = {"conditions": self.conditions, "queries": self.queries}
        return {name: [list(map(to_wire, query)) for query in queries] for name, queries in lists.items()}


class UnknownResults(Exception):
    """The queries whose results are needed, and not known yet."""

    def __init__(self, queries: list[Query]) -> None:
        super().__init__(f"unknown: {queries}")
        self.queries = queries


class HostState:
    """The results of queries. Its methods raise UnknownResults for queries that the host has not run."""

    def __init__(self, results: Results = (), find_addresses: t.Callable[[], list[str]] = list) -> None:
        self.results: dict[Query, t.Any] = {}
        self.find_addresses = find_addresses  # returns the IP addresses by which the controller reaches the host
        self.add(results)

    def add(self, results: Results) -> None:
        """Add results of the host. Raises TlsError if one of them is malformed."""
        with reject_malformed_input(MALFORMED_RESULTS):
            self.results.update(
                {tuple(map(from_wire, query)): _checked_result(query[0], result) for query, result in results}
            )

    def results_of(self, queries: t.Sequence[Query]) -> list[t.Any]:
        """Return the results of queries. The ones that are not known are run in one visit to the host."""
        unknown = [query for query in queries if query not in self.results]
        if unknown:
            raise UnknownResults(unknown)
        return [self.results[query] for query in queries]

    def has_program(self, program: str) -> bool:
        """Say whether a program is installed."""
        return self.results_of([("has", program)])[0]

    def command_result(self, argv: list[str]) -> tuple[int, str]:
        """Return exit status and output of a command that changes nothing."""
        return self.command_results([argv])[0]

    def command_results(self, argvs: list[list[str]]) -> list[tuple[int, str]]:
        """Return exit status and output of several such commands."""
        results = self.results_of([("run", *argv) for argv in argvs])
        return [(status, from_wire(output)) for status, output in results]

    def file_text(self, path: str) -> str | None:
        """Return the text of a file, or None if there is no such file."""
        return self.files_matching([path])[0].get(path)

    def files_matching(self, patterns: list[str]) -> list[dict[str, str]]:
        """Return for each pattern the texts of the files that match it, by path."""
        results = self.results_of([("read", pattern) for pattern in patterns])
        return [{from_wire(path): from_wire(text) for path, text in files.items()} for files in results]


def _checked_result(kind: str, result: t.Any) -> t.Any:
    """Return a result. Raises one of MALFORMED_INPUT_ERRORS if it is not the result of such a query."""
    if kind == "has":
        is_valid = isinstance(result, bool)
    elif kind == "run":
        status, output = result
        is_valid = isinstance(status, int) and isinstance(from_wire(output), str)
    else:
        is_valid = all(isinstance(from_wire(text), str) for pair in result.items() for text in pair)
    if not is_valid:
        raise ValueError(kind)
    return result


async def plan_with(
    make_plan: t.Callable[[HostState], Plan],
    host: HostState,
    run_queries: t.Callable[[list[QuerySet]], t.Awaitable[Results]],
) -> Plan:
    """Return the plan that *make_plan* makes from the state of a host.

    run_queries: queries the host for results that are not known. Raises TlsError if it does not return all of them.
    """
    while True:
        try:
            return make_plan(host)
        except UnknownResults as unknown:
            host.add(await run_queries([QuerySet((), unknown.queries)]))
            if not set(unknown.queries) <= set(host.results):
                raise TlsError(MALFORMED_RESULTS) from unknown
