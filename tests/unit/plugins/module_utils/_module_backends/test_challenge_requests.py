# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module challenge_requests returns: numbers and statuses, and no line of a log."""

from __future__ import annotations

import types

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import challenge_requests
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import parse_build
from ansible_collections.evergreen.tls.tests.unit.recorded_nginx import BOOKWORM, MAIN

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
OTHER = "B" * 43


def decide(monkeypatch, http, tokens=(TOKEN, OTHER), domains=("www.example.org",)):
    nginx = types.SimpleNamespace(build=parse_build(BOOKWORM), config_files=lambda: {MAIN: f"http {{ {http} }}"})
    monkeypatch.setattr(challenge_requests, "NginxProcess", lambda _module: nginx)
    return challenge_requests.decide(types.SimpleNamespace(params={"tokens": list(tokens), "domains": list(domains)}))


def test_numbers_and_statuses_are_returned_and_no_line_of_the_log(monkeypatch, tmp_path):
    log = tmp_path / "access.log"
    log.write_text(
        f'203.0.113.7 - secret-user [x] "GET /.well-known/acme-challenge/{TOKEN} HTTP/1.1" 404 1 "-" "secret-agent"\n'
        '203.0.113.9 - - [x] "GET /secret-page HTTP/1.1" 200 1 "-" "-"\n'
    )
    result = decide(monkeypatch, f"access_log {log}; server {{ listen 80; server_name www.example.org; }}")
    assert result["tokens"] == [
        {"token": TOKEN, "requests": 1, "addresses": 1, "statuses": ["404"]},
        {"token": OTHER, "requests": 0, "addresses": 0, "statuses": []},
    ]
    assert (result["changed"], result["usual_addresses"], result["obstacles"]) == (False, 0, [])
    assert "secret" not in repr(result) and "203.0.113" not in repr(result)


def test_why_requests_may_have_been_missed_is_returned(monkeypatch, tmp_path):
    result = decide(
        monkeypatch,
        f"access_log {tmp_path}/none.log; server {{ listen 80; server_name www.example.org; access_log off; }}",
    )
    assert result["obstacles"] == [
        f"the server block at {MAIN}:1 logs no requests",
        f"{tmp_path}/none.log cannot be read (No such file or directory)",
    ]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([], "tokens has 0 entries"),
        (["A" * 43] * 201, "tokens has 201 entries"),
        (["short"], "tokens has 'short'"),
        (["../../etc/passwd-and-so-on"], "tokens has '../../etc/passwd-and-so-on'"),
        (["A" * 43 + "\n"], "write 1 to 200 tokens"),
    ],
)
def test_what_is_no_token_is_refused(monkeypatch, tokens, words):
    with pytest.raises(TlsError) as caught:
        decide(monkeypatch, "", tokens)
    assert words in str(caught.value)
