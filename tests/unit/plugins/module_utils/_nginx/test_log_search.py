# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests for tokens are counted at the end of logs of any size and format, and nothing else of a line is kept."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._nginx import log_search
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.access_logs import AccessLog
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.log_search import LogSearch
from ansible_collections.evergreen.tls.tests.unit import nginx_processes

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
PATH = f"/.well-known/acme-challenge/{TOKEN}"
NGINX = shutil.which("nginx", path=f"/usr/sbin:{os.environ.get('PATH', '')}")


def line(address="203.0.113.7", status=404, token=TOKEN, agent="Mozilla/5.0 (compatible; Let's Encrypt)"):
    """Return a line of the format combined."""
    request = f"GET /.well-known/acme-challenge/{token} HTTP/1.1"
    return f'{address} - - [01/Dec/2026:03:04:05 +0000] "{request}" {status} 153 "-" "{agent}"\n'


def search(path, tokens=(TOKEN,), obstacle=""):
    found = LogSearch(tokens, time.time())
    found.read(AccessLog(str(path), obstacle))
    return found


def count(path):
    """Return requests, addresses and statuses for TOKEN."""
    one = search(path).counts[TOKEN.encode()]
    return one.requests, len(one.addresses), one.statuses


@pytest.fixture
def log(tmp_path):
    return tmp_path / "access.log"


def test_requests_are_counted_with_their_addresses_and_statuses(log):
    log.write_text(
        line("203.0.113.7") + line("203.0.113.7") + line("2001:db8::7", 200) + line("192.0.2.9", token="A" * 43)
    )
    assert count(log) == (3, 2, {"404": 2, "200": 1})
    assert search(log).obstacles == []


def test_a_token_that_only_begins_alike_is_another_one(log):
    log.write_text(line(token=TOKEN + "x") + line(token=TOKEN[:-1]))
    assert count(log) == (0, 0, {})


def test_a_line_counts_once_whatever_its_referrer_is(log):
    log.write_text(line(agent=f"http://www.example.org{PATH}") + line(agent=f'{PATH}" 200 "'))
    assert count(log) == (2, 1, {"404": 2})


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(
            {"time": "12:30:59", "remote_addr": "203.0.113.7", "request": f"GET {PATH} HTTP/1.1", "status": "404"}
        ),
        json.dumps({"status": 404, "uri": PATH, "client": "203.0.113.7"}),
        f'www.example.org 203.0.113.7 [x] "GET {PATH} HTTP/1.1" 404 1',
    ],
)
def test_other_formats_are_read_as_far_as_they_tell(log, text):
    log.write_text(text + "\n")
    assert count(log) == (1, 1, {"404": 1})


def test_a_format_without_address_and_status_is_counted(log):
    log.write_text(f"GET {PATH}\n")
    assert count(log) == (1, 0, {})


def test_the_end_of_a_log_of_gigabytes_is_searched_in_little_time(log):
    with log.open("wb") as stream:
        stream.write(line().encode())
        stream.truncate(6 << 30)  # a hole that takes no space
        stream.seek(0, os.SEEK_END)
        stream.write(b"\n" + line("203.0.113.8").encode())
    begun = time.monotonic()
    found = search(log)
    assert time.monotonic() - begun < 5
    assert found.counts[TOKEN.encode()].requests == 1
    (obstacle,) = found.obstacles
    assert "of which the last" in obstacle and str(log) in obstacle


def test_lines_across_the_chunks_are_counted_once(log, monkeypatch):
    lines = [line(f"203.0.113.{number}") for number in range(100)]
    log.write_text("".join(lines))
    for size in (500, 501, 777, 4096):
        monkeypatch.setattr(log_search, "CHUNK_BYTES", size)
        assert count(log) == (100, 100, {"404": 100}), size


def test_a_search_ends_in_time(log, monkeypatch):
    monkeypatch.setattr(log_search, "SEARCH_TIMEOUT_S", -1.0)
    log.write_text(line())
    found = search(log)
    assert found.counts[TOKEN.encode()].requests == 0
    assert "of which the last 0 were searched" in found.obstacles[0]


def test_the_log_before_counts_where_it_was_rotated_lately(log):
    log.write_text(line("203.0.113.7"))
    before = log.with_name("access.log.1")
    before.write_text(line("203.0.113.8"))
    assert count(log)[0] == 2
    os.utime(before, (time.time() - 7200,) * 2)
    assert count(log)[0] == 1


def test_what_cannot_be_read_is_an_obstacle(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert search(tmp_path / "none.log").obstacles == [
        f"{tmp_path}/none.log cannot be read (No such file or directory)"
    ]
    assert search(tmp_path / "pipe").obstacles == [f"{tmp_path}/pipe is not a regular file"]
    assert search("/dev/null").obstacles == ["/dev/null is not a regular file"]
    assert search(tmp_path / "folder").obstacles == [f"{tmp_path}/folder is not a regular file"]
    assert search("a\0b").obstacles == ["a\0b cannot be read (no such path)"]


def test_the_obstacle_of_a_directive_is_named(log):
    log.write_text("")
    assert search(log, obstacle="is compressed").obstacles == [f"{log} is compressed"]


def test_earlier_orders_tell_from_how_many_addresses_cas_usually_ask(log):
    earlier = "".join(line(f"203.0.113.{number}", 200, token=letter * 43) for letter in "ABC" for number in range(5))
    checks = "".join(line("192.0.2.1", 200, token=letter * 43) for letter in "DEFG")
    scans = "".join(line(f"198.51.100.{number}", 404, token="H" * 43) for number in range(9))
    log.write_text(earlier + checks + scans + line())
    assert search(log).usual_addresses() == 5
    log.write_text(checks + scans + line())
    assert search(log).usual_addresses() == 0


def test_hostile_bytes_are_counted_or_passed_over(log):
    chance = random.Random(18)
    for _number in range(200):
        before, behind = (chance.randbytes(chance.randrange(2000)) for _side in range(2))
        log.write_bytes(before + PATH.encode() + behind)
        one = search(log).counts[TOKEN.encode()]
        assert one.requests <= 1
        assert len(one.addresses) <= 1
        assert all(len(status) == 3 and status.isdigit() for status in one.statuses)


def test_lines_without_an_end_take_little_time(log):
    log.write_bytes((b"1" * 100 + b":" * 100 + PATH.encode()) * 20_000)
    begun = time.monotonic()
    count(log)
    assert time.monotonic() - begun < 5


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed here")
def test_what_nginx_itself_logs_is_counted(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    (tmp_path / "nginx.conf").write_text(
        f"""pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log; events {{}}
        http {{ log_format json escape=json '{{"a":"$remote_addr","u":"$request","status":"$status"}}';
        access_log {tmp_path}/combined.log; access_log {tmp_path}/json.log json;
        server {{ listen 127.0.0.1:{port}; location = {PATH}-there {{ return 200 yes; }} location / {{ return 404; }} }} }}"""
    )
    subprocess.run([NGINX, "-p", tmp_path, "-c", tmp_path / "nginx.conf"], check=True, capture_output=True)
    try:
        nginx_processes.wait_until_started(tmp_path / "nginx.pid")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}{PATH}", timeout=5)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{PATH}-there", timeout=5) as response:
            assert response.read() == b"yes"
    finally:
        nginx_processes.stop(tmp_path / "nginx.pid")
    for name in ("combined.log", "json.log"):
        assert count(tmp_path / name) == (1, 1, {"404": 1})
        there = search(tmp_path / name, [f"{TOKEN}-there"]).counts[f"{TOKEN}-there".encode()]
        assert there.statuses == {"200": 1}
