# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answers of DNS in one run. Each question is asked once, however many checks and names need it."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import threading
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient, NameServer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import (
    RESOLVER_TIMEOUT_S,
    Question,
    Resolvers,
    cause_of,
    require_dnspython,
    send_question,
)

with contextlib.suppress(ImportError):  # said by require_dnspython(), before anything here is called
    import dns.exception
    import dns.flags
    import dns.message
    import dns.rrset

SERVER_TIMEOUT_S = 2.0  # for one question to a name server
SERVER_TRIES = 2  # of a question to a name server that is silent
MAX_SILENCES = 3  # of a name server that never answered, after which nothing more is asked there
MAX_SILENCES_OF_ALL = 6  # of all name servers, if none has ever answered: port 53 is closed to this controller
SILENT = "no answer in time"
ROOT = "."

Result = t.TypeVar("Result")


class DnsAnswers:
    """What resolvers and name servers answered. All methods may be called by several threads."""

    def __init__(self, client: DnsClient) -> None:
        self.client = client
        self._lock = threading.Lock()
        self._futures: dict[t.Hashable, concurrent.futures.Future[t.Any]] = {}
        self._silences: collections.Counter[NameServer] = collections.Counter()
        self._responsive: set[NameServer] = set()

    @property
    def resolvers(self) -> Resolvers:
        """Return the resolvers."""
        return self.client.resolvers

    def ask(self, question: Question, deadline: float) -> dns.message.Message:
        """Return the response of the resolvers, which may be an error.

        Raises TlsError if there is none, and after a *deadline* by time.monotonic().
        """
        return self.once(question, lambda: self.resolvers.ask(question, self._seconds(deadline)))

    def resolve(self, name: str, rdatatype: str, deadline: float) -> list[dns.rrset.RRset]:
        """Return the answer of the resolvers, which is empty if there is no such record. Raises TlsError if they do not know."""
        return self.resolvers.answer_of(self.ask(Question(name, rdatatype), deadline), name)

    def ask_server(self, server: NameServer, question: Question, deadline: float) -> dns.message.Message | str:
        """Return the response of a name server, or as a string why there is none."""
        return self.once((server, question), lambda: self._ask_server(server, question, deadline))

    def is_validating(self, deadline: float) -> bool:
        """Say whether the resolvers validate DNSSEC: the root is signed, so its records are authentic for those that do."""
        try:
            return bool(self.ask(Question(ROOT, "SOA"), deadline).flags & dns.flags.AD)
        except TlsError:
            return False

    def once(self, key: t.Hashable, function: t.Callable[[], Result]) -> Result:
        """Return the result of a function, which is called once for each key. An error is not kept."""
        with self._lock:
            future = self._futures.get(key)
            is_first = future is None
            if future is None:
                future = self._futures[key] = concurrent.futures.Future()
        if is_first:
            try:
                future.set_result(function())
            except BaseException as error:
                with self._lock:
                    del self._futures[key]
                future.set_exception(error)
        result: Result = future.result()
        return result

    def _ask_server(self, server: NameServer, question: Question, deadline: float) -> dns.message.Message | str:
        require_dnspython()
        for _try in range(SERVER_TRIES):
            with self._lock:
                is_silent = self._silences[server] >= MAX_SILENCES and server not in self._responsive
                is_closed = self._silences.total() >= MAX_SILENCES_OF_ALL and not self._responsive
            left = deadline - time.monotonic()
            if is_silent or is_closed or left <= 0:
                return SILENT
            try:
                response = send_question(question, server.address, server.port, min(left, SERVER_TIMEOUT_S))
            except dns.exception.Timeout:
                with self._lock:
                    self._silences[server] += 1
                continue
            except (OSError, dns.exception.DNSException) as error:
                return cause_of(error)
            with self._lock:
                self._responsive.add(server)
            return response
        return SILENT

    def _seconds(self, deadline: float) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TlsError("the resolvers take too long; see that they run, or name others by the solver's resolvers")
        return min(left, RESOLVER_TIMEOUT_S)


_shared: list[dict[tuple[str, ...], DnsAnswers]] = []  # by resolvers; empty outside of share_answers()


@contextlib.contextmanager
def share_answers() -> t.Iterator[None]:
    """Let all subjects with the same resolvers share their answers, such as those of a run for many requests."""
    _shared.append({})
    try:
        yield
    finally:
        _shared.pop()


def answers_of(client: DnsClient) -> DnsAnswers:
    """Return the shared answers of the client's resolvers, or new ones outside of share_answers()."""
    new = DnsAnswers(client)
    return _shared[-1].setdefault(tuple(client.resolvers.texts), new) if _shared else new
