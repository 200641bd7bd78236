# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file of requests that a scan writes: it is YAML whatever hosts say, and it is written only where it changes."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._scan.requests_file import requests_text, write_requests

ROW = {
    "place": "/etc/nginx/conf.d/hand.conf:1",
    "server": "nginx",
    "certificate": "/etc/nginx/tls/rsa.pem",
    "key": "/etc/nginx/tls/rsa.key",
    "domains": ["hand.example.test", "www.hand.example.test"],
    "key_type": "RSA 2048",
    "not_after": "2027-01-09T00:00:00+00:00",
    "served": True,
    "managed": False,
    "refusal": "",
}
HOSTILE = ["a: b\n- c", "x\x1b[31m # y", '"; \u2028 !!python/object', "\ud800", "{{ 1 }}", "]}" * 200]


def test_each_pair_of_files_is_one_request():
    ecc = {**ROW, "certificate": "/etc/nginx/tls/ecc.pem", "key": "/etc/nginx/tls/ecc.key", "key_type": "ECC secp256r1"}
    requests = yaml.safe_load(requests_text("web1", [ROW, ecc, {**ROW, "place": "/x:9"}]))["certificate_requests"]
    assert requests == [
        {
            "name": "hand.example.test",
            "domains": ["hand.example.test", "www.hand.example.test"],
            "type": "RSA",
            "size": 2048,
            "adopt": {"key": "/etc/nginx/tls/rsa.key", "certificate": "/etc/nginx/tls/rsa.pem"},
        },
        {
            "name": "hand.example.test-ecc",
            "domains": ["hand.example.test", "www.hand.example.test"],
            "type": "ECC",
            "curve": "secp256r1",
            "adopt": {"key": "/etc/nginx/tls/ecc.key", "certificate": "/etc/nginx/tls/ecc.pem"},
        },
    ]


def test_what_cannot_be_adopted_is_a_comment_with_the_reason():
    text = requests_text("web1", [{**ROW, "refusal": "key and certificate are in one file; put each into a file"}])
    assert yaml.safe_load(text) == {"certificate_requests": []}
    assert "#   /etc/nginx/tls/rsa.pem: key and certificate are in one file; put each into a file\n" in text


def test_what_the_collection_manages_is_left_out():
    assert yaml.safe_load(requests_text("web1", [{**ROW, "managed": True}])) == {"certificate_requests": []}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "key", ["place", "server", "certificate", "key", "manager", "key_type", "not_after", "refusal"]
)
def test_hostile_text_stays_in_its_place(key, text):
    written = requests_text("web1", [{**ROW, key: text}]).encode("utf-8", "replace").decode()
    parsed = yaml.compose(written)
    assert [one.value for one, _value in parsed.value] == ["certificate_requests"]
    assert len(parsed.value[0][1].value) == (0 if key == "refusal" else 1)
    assert "\x1b" not in written


def test_the_file_is_written_once_and_not_in_check_mode(tmp_path):
    folder = tmp_path / "scan"
    assert write_requests(str(folder), "web1", "x\n", True)[1]
    assert not folder.exists()
    assert write_requests(str(folder), "web1", "x\n", False) == (f"{folder}/web1.yml", True)
    assert write_requests(str(folder), "web1", "x\n", False) == (f"{folder}/web1.yml", False)


@pytest.mark.parametrize("host", ["../x", "a/b", "", ".hidden", "a\nb"])
def test_a_host_whose_name_no_file_can_have_is_refused(host, tmp_path):
    with pytest.raises(TlsError, match=r"has a name that no file can have; rename it in the inventory"):
        write_requests(str(tmp_path), host, "x", False)
    assert not list(tmp_path.iterdir())
