# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time the checks of CAA records and addresses of many names, beside a bare loop of dnspython with the same questions.

python dev/bench_dns.py ROUNDS        prints seconds on the clock and of the processor, in JSON

A server in a process of its own answers both: each name has one address and no CAA record. Run this with the Python that Ansible has.
"""

from __future__ import annotations

import json
import multiprocessing
import pathlib
import socket
import sys
import time
import typing as t

import dns.message
import dns.query

NAMES, ZONES = 1000, 10
TIMEOUT_S = 60.0
HEADER_BYTES, QUESTION_END_BYTES = 12, 5  # the end of a question: the last label, type and class
A_RECORD = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x29\x00\x04"
A_TYPE = b"\x00\x01"


def main() -> None:
    """Print what was measured."""
    ours: dict[str, list[float]] = {"seconds": [], "here": []}
    floor: dict[str, list[float]] = {"seconds": [], "here": []}
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    process = multiprocessing.get_context("fork").Process(target=serve, args=(server,), daemon=True)
    process.start()
    try:
        port = server.getsockname()[1]
        for _round in range(int(sys.argv[1])):
            add(ours, lambda: check(port))
            add(floor, lambda: ask(port))
    finally:
        process.terminate()
        process.join()
        server.close()
    print(json.dumps({"names": NAMES, "ours": ours, "floor": floor}))


def add(times: dict[str, list[float]], run: t.Callable[[], None]) -> None:
    """Add what a run costs."""
    start, busy = time.monotonic(), time.process_time()
    run()
    times["here"].append(round(time.process_time() - busy, 3))
    times["seconds"].append(round(time.monotonic() - start, 3))


def names() -> list[str]:
    """Return the names."""
    return [f"host{number}.example{number % ZONES}.org" for number in range(NAMES)]


def check(port: int) -> None:
    """Check all names as before an order."""
    from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.addresses import check_addresses
    from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa import check_caa_records
    from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import CaaIssuer
    from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
    from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient

    subject = Subject(
        names(),
        "the CA",
        DnsClient([f"127.0.0.1:{port}"]),
        CaaIssuer(("ca.example",)),
        time.monotonic() + TIMEOUT_S,
        is_public_ca=True,
        challenge_type="http-01",
        is_thorough=False,
    )
    findings = [*check_caa_records(subject), *check_addresses(subject)]
    if [finding.severity for finding in findings] != ["fine", "fine"]:
        sys.exit(f"dev/bench_dns.py: not all names are fine: {findings}")


def ask(port: int) -> None:
    """Ask the same questions, one after the other."""
    suffixes = ["org", *(f"example{number}.org" for number in range(ZONES))]
    questions = [(name, kind) for name in names() for kind in ("CAA", "A", "AAAA")] + [(one, "CAA") for one in suffixes]
    for name, kind in questions:
        dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", TIMEOUT_S, port)


def serve(server: socket.socket) -> None:
    """Answer each question about an address with one, and any other with nothing."""
    while True:
        query, client = server.recvfrom(4096)
        end = query.index(b"\0", HEADER_BYTES) + QUESTION_END_BYTES
        answer = A_RECORD if query[end - 4 : end - 2] == A_TYPE else b""
        counts = b"\x00\x01" + (b"\x00\x01" if answer else b"\x00\x00") + bytes(4)
        server.sendto(query[:2] + b"\x81\x80" + counts + query[HEADER_BYTES:end] + answer, client)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / ".build/collections"))
    main()
