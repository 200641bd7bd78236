# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part sites of the benchmark: one host with many sites, which share certificates of 100 names."""

from __future__ import annotations

import json
import pathlib
import socket
import ssl
import time
import typing as t

from bench_runs import HERE, BenchError, Fleet, no_times, say

SITES = 200
NAMES_OF_CERTIFICATE = 100
TEST = "/usr/sbin/nginx -t -q"
NEW = "new"  # the site that is added to the others

Figures = dict[str, t.Any]


def measured(rounds: int) -> Figures:
    """Return the seconds of a deployment with nothing to do, of one more site, of a ping, and of `nginx -t`."""
    variables = HERE / "sites.json"
    fleet = Fleet("bench-sites", variables)
    try:
        hosts = fleet.up("--hosts", "1", "--image", "bookworm")
        (host, known), *_others = hosts.items()
        write(variables, known["fleet_domain"], SITES)
        say(f"{SITES} sites on one host")
        fleet.play("sites", ["evergreen.tls.deploy"])
        check(known, [f"s0.{known['fleet_domain']}", f"s{SITES - 1}.{known['fleet_domain']}"])
        times = {run: no_times() for run in ("ping", "again", "one more")}
        tests: list[float] = []
        for number in range(rounds):
            say(f"Round {number + 1} of {rounds}")
            fleet.timed(hosts, times["ping"], fleet.ping)
            fleet.timed(hosts, times["again"], lambda: fleet.play("sites again", ["evergreen.tls.deploy"]))
            start = time.monotonic()
            fleet.execute(host, f"for n in 1 2 3 4 5; do {TEST}; done")
            tests.append(round((time.monotonic() - start) / 5, 3))
            write(variables, known["fleet_domain"], SITES, f"{NEW}{number}")
            fleet.timed(hosts, times["one more"], lambda: fleet.play("sites one more", ["evergreen.tls.deploy"]))
            check(known, [f"{NEW}{number}.{known['fleet_domain']}"])
        return {"sites": SITES, "times": times, "nginx -t": tests}
    finally:
        fleet.down()


def write(path: pathlib.Path, domain: str, count: int, *more: str) -> None:
    """Write the variables of a host with so many sites, and some more that have a certificate of their own."""
    names = [f"s{number}" for number in range(count)]
    shared = [names[begin : begin + NAMES_OF_CERTIFICATE] for begin in range(0, count, NAMES_OF_CERTIFICATE)]
    certificates = {f"c{number}": part for number, part in enumerate(shared)} | {name: [name] for name in more}
    variables = {
        "certificate_issuers": {"corporate": {"type": "local_ca", "directory": str(HERE / "pki")}},
        "certificate_requests": [
            {"name": request, "domains": [f"{name}.{domain}" for name in part], "issuer": "corporate"}
            for request, part in certificates.items()
        ],
        "nginx_sites": [
            {"name": name, "certificate": request, "server_names": [f"{name}.{domain}"], "root": "/var/www/html"}
            for request, part in certificates.items()
            for name in part
        ],
        "certificate_removal_grace": "never",
    }
    path.write_text(json.dumps({"web": {"vars": variables}}), encoding="utf-8")


def check(host: dict[str, str], names: list[str]) -> None:
    """Raise BenchError unless the host serves a certificate for each name."""
    trust = ssl.create_default_context(cafile=str(HERE / "pki/root.pem"))
    for name in names:
        try:
            with (
                socket.create_connection((host["ansible_host"], 443), timeout=10) as connection,
                trust.wrap_socket(connection, server_hostname=name),
            ):
                pass
        except OSError as error:
            raise BenchError(f"{name} is not served: {error}; see .build/bench/sites.log") from error
