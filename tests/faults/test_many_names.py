# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The diagnosis of a thousand names ends in time, whatever their resolver does."""

from __future__ import annotations

import collections
import itertools
import multiprocessing
import socket
import threading
import time

import dns.message
import dns.rcode
import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.diagnose import diagnose
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.names import names_alone

FORK = multiprocessing.get_context("fork")
NAMES = 1000
TIMEOUT_S = 4.0
LEEWAY_S = 6.0  # for the machine, which others use as well


def silent(_query):
    return None


def garbage(_query):
    return b"\xff" * 512


def of_another_question(query):
    return dns.message.make_response(dns.message.make_query("other.example", "A", id=query.id)).to_wire()


def failing(query):
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.SERVFAIL)
    return response.to_wire()


WAYS = itertools.cycle((silent, garbage, of_another_question, failing))


def changing(query):
    return next(WAYS)(query)


@pytest.fixture
def resolver():
    """Return a function that starts a resolver with a way to answer, and the names that it was asked for."""
    sockets, threads, asked = [], [], collections.Counter()

    def start(answer):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 0))

        def serve():
            while True:
                wire, client = server.recvfrom(4096)
                if wire == b"end":
                    return
                query = dns.message.from_wire(wire)
                asked[str(query.question[0].name)] += 1
                response = answer(query)
                if response is not None:
                    server.sendto(response, client)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        sockets.append(server)
        return f"127.0.0.1:{server.getsockname()[1]}", asked

    yield start
    for server, thread in zip(sockets, threads):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"end", server.getsockname())
        thread.join(10)
        server.close()


def diagnosed(pipe, issuers, domains):
    """Send how long the diagnosis took, what is wrong with it, and the codes of its findings. Threads of late checks end with this process."""
    names, faults = names_alone(domains, "le", issuers, {})
    begun = time.monotonic()
    diagnoses = diagnose(names, lambda *_progress: None, TIMEOUT_S)
    seconds = time.monotonic() - begun
    without = [one.domain for one in diagnoses if not one.order]
    pipe.send((seconds, [*faults, *without], {one.domain for one in diagnoses}))


@pytest.mark.parametrize("answer", [changing, silent, garbage, failing], ids=lambda answer: answer.__name__)
def test_a_thousand_names_are_diagnosed_in_time_whatever_their_resolver_does(resolver, tmp_path, answer, is_sample):
    if is_sample and answer is not changing:
        pytest.skip("the sample has a resolver that does all of it in turns")
    address, asked = resolver(answer)
    solver = {"type": "http", "resolvers": [address]}
    issuers = {"le": {"type": "acme", "folder": str(tmp_path), "solver": solver}}
    domains = {f"host{number}.zone{number % 20}.example" for number in range(NAMES)}
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=diagnosed, args=(theirs, issuers, domains))
    process.start()
    try:
        assert ours.poll(60), "the diagnosis has not ended"
        seconds, wrong, seen = ours.recv()
    finally:
        process.kill()
        process.join()
    assert seconds < TIMEOUT_S + LEEWAY_S
    assert wrong == [] and seen == domains
    assert asked, "the resolver was asked"
