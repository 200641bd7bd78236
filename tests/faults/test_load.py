# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients of a fleet that is renewed again and again: none of them notices."""

from __future__ import annotations

import contextlib
import pathlib
import sys
import time

import pytest

from ansible_collections.evergreen.tls.tests.faults.fleet import until
from ansible_collections.evergreen.tls.tests.faults.sites import NAME

sys.path.append(str(pathlib.Path(__file__).parents[2] / "dev"))

from load import Download, NewConnections, OneConnection, read_wrk

RENEWALS = 20
QUIET = 10  # seconds in which it is found out how fast a host is while nothing is renewed
BIG = "head -c 40000000 /dev/urandom > /var/www/html/big; sha256sum /var/www/html/big"
RATE, RATE_OF_SAMPLE = "500k", "2M"  # of bytes in a second: a download outlasts a renewal or two, or at least a reload


# Old workers are there for as long as they have something to send. A connection with more than 64 KB to send has a slow client.
OLD_WORKERS = "pgrep --full '^nginx: worker process is shutting down' | wc -l"
SLOW_CLIENTS = """awk '$2 ~ /:01BB$/ && substr($5, 1, 4) != "0000"' /proc/net/tcp | wc -l"""


def test_no_client_notices_that_a_fleet_is_renewed_again_and_again(sites, tally, is_sample, tmp_path):
    renewals, rate = (2, RATE_OF_SAMPLE) if is_sample else (RENEWALS, RATE)
    digests = {}
    for site in sites:
        site.put_back("renew")
        digests[site] = site.fleet.do(site.host, BIG).split()[0]
    quiet = {site: loaded(site, tmp_path) for site in sites}
    time.sleep(QUIET if not is_sample else QUIET / 3)
    before = {site: load.stop() for site, load in quiet.items()}

    violations, downloads, outlasted = [], [], 0
    with contextlib.ExitStack() as clients:
        loads = {site: clients.enter_context(loaded(site, tmp_path)) for site in sites}
        kept = {site: clients.enter_context(OneConnection(NAME, site.address, tmp_path)) for site in sites}
        served = {site: {site.served()} for site in sites}
        for number in range(renewals):
            version = "1.1" if number % 2 else "2"
            for site in sites:
                download = Download(NAME, site.address, tmp_path, "big", rate, version)
                downloads.append((site, clients.enter_context(download)))
            runs = [
                site.controller.start("renew", *site.only(), "--extra-vars", "certificate_force=true") for site in sites
            ]
            for site, run in zip(sites, runs):
                run.wait()
                outlasted += count(site, OLD_WORKERS)
                served[site].add(site.served())
                violations += [f"a renewal fails: {run.printed}"] if run.status else []
        assert outlasted or is_sample, "no download outlasted a renewal"
        met = {site: load.stop() for site, load in loads.items()}
        alive = {site: connection.stop() for site, connection in kept.items()}
        for site, download in downloads:
            if download.digest() != digests[site]:
                violations.append(
                    f"a download from {site.host} is not whole: {download.log.read_text(encoding='utf-8')}"
                )

    for site in sites:
        if len(served[site]) != renewals + 1:
            violations.append(f"{site.host} served {len(served[site])} certificates in {renewals} renewals")
        requests, connections = alive[site]
        if not met[site].requests or met[site].failed:
            violations.append(f"of {met[site].requests} requests to {site.host}, {met[site].failed} failed")
        if not requests.requests or requests.failed or connections > requests.requests / 5:
            violations.append(
                f"of {requests.requests} requests on {connections} connections to {site.host} that are kept alive, {requests.failed} failed"
            )
    slower = max(met[site].slowest for site in sites) / max(before[site].slowest for site in sites)
    while_it_runs = f"{renewals} renewals of {len(sites)} hosts"
    tally.add_run(
        while_it_runs, f"a request, new connection (p99 × {slower:.1f})", sum(met[site].requests for site in sites)
    )
    tally.add_run(while_it_runs, "a request, kept connection", sum(alive[site][0].requests for site in sites))
    tally.add_run(while_it_runs, "a slow download, by HTTP/2 and HTTP/1.1 in turn", len(downloads))
    assert not violations, "\n".join(violations)


def loaded(site, folder):
    """Start clients that make some hundreds of new connections a second to a host."""
    return NewConnections(NAME, site.address, folder, connections=4, pause=10)


def count(site, script):
    """Return a number that a host tells."""
    return int(site.fleet.do(site.host, script))


def test_what_wrk_says_is_read():
    printed = "   99%    1.50ms\n  100 requests in 1.00s\n  Socket errors: connect 0, read 1, write 0, timeout 2\n  Non-2xx or 3xx responses: 4\n"
    assert read_wrk(printed) == (100, 7, 0.0015)
    assert read_wrk("unable to connect") == (0, 0, 0.0)


def test_a_client_notices_what_a_server_breaks_off(sites, tmp_path, is_sample):
    """The clients of these tests can fail."""
    if is_sample:
        pytest.skip("this is a sample")
    site = sites[0]
    site.put_back("renew")
    site.fleet.do(site.host, BIG)
    digest = site.fleet.do(site.host, "sha256sum /var/www/html/big").split()[0]
    with loaded(site, tmp_path) as load, OneConnection(NAME, site.address, tmp_path) as kept:
        with Download(NAME, site.address, tmp_path, "big", RATE) as download:
            until(lambda: count(site, SLOW_CLIENTS), "a download")
            site.fleet.do(site.host, "pkill -KILL -x nginx; sleep 4; systemctl restart nginx")
            assert download.digest() != digest
        time.sleep(1)
        assert load.stop().failed
        assert kept.stop()[0].failed
