# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a scan says of files, and whether the host presents them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import types

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._scan.configured import Configured
from ansible_collections.evergreen.tls.plugins.module_utils._scan.held import manager_of, read_place
from ansible_collections.evergreen.tls.plugins.module_utils._scan.place import COMBINED, PEM, VARIABLE, Place
from ansible_collections.evergreen.tls.plugins.modules import tls_inventory


@pytest.fixture
def pair(tmp_path):
    """Return the paths of a key and a certificate by openssl."""
    key, certificate = tmp_path / "a.key", tmp_path / "a.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    names = ["-days", "9", "-subj", "/CN=a.example", "-addext", "subjectAltName=DNS:a.example,DNS:b.example"]
    subprocess.run([*argv, *names], check=True, capture_output=True)
    os.chmod(key, 0o600)
    return str(key), str(certificate)


def place_of(pair, form=PEM, port=443):
    key, certificate = pair
    return Place("/etc/nginx/x.conf", 3, "nginx", ("a.example",), (port,), certificate, key, form=form)


def test_a_pair_is_described_without_its_key(pair, tmp_path):
    held = read_place(place_of(pair), str(tmp_path / "store"))
    assert held["refusal"] == ""
    assert held["domains"] == ["a.example", "b.example"]
    assert (held["key_type"], held["key_mode"], held["matches"], held["exposed"]) == ("RSA 2048", "0600", True, False)
    with open(pair[0], encoding="ascii") as stream:
        lines = stream.read().splitlines()[1:-1]
    assert len(lines) > 10
    assert not [line for line in lines if line in json.dumps(held)]


def test_a_key_that_others_can_read_is_exposed(pair, tmp_path):
    os.chmod(pair[0], 0o644)
    assert read_place(place_of(pair), str(tmp_path / "store"))["exposed"] is True


def test_a_pair_that_does_not_belong_together_is_refused(pair, tmp_path):
    subprocess.run(["openssl", "genrsa", "-out", pair[0], "2048"], check=True, capture_output=True)
    held = read_place(place_of(pair), str(tmp_path / "store"))
    assert held["matches"] is False
    assert "does not belong to the key" in held["refusal"]


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\0" * 100, b"-----BEGIN CERTIFICATE-----\nx\n", b"x" * 2_000_000],
    ids=["missing", "empty", "zeros", "half", "large"],
)
def test_a_certificate_that_cannot_be_read_is_refused(pair, content, tmp_path):
    os.unlink(pair[1])
    if content is not None:
        with open(pair[1], "wb") as stream:
            stream.write(content)
    refusal = read_place(place_of(pair), str(tmp_path / "store"))["refusal"]
    assert refusal.startswith(pair[1])
    assert ";" in refusal


def test_links_that_lead_in_a_circle_are_refused(pair, tmp_path):
    os.unlink(pair[1])
    os.symlink(pair[1], pair[1])
    assert pair[1] in read_place(place_of(pair), str(tmp_path / "store"))["refusal"]


@pytest.mark.parametrize(("form", "words"), [(COMBINED, "are in one file"), (VARIABLE, "while a client connects")])
def test_what_has_no_files_of_its_own_is_refused(pair, form, words, tmp_path):
    assert words in read_place(place_of(pair, form), str(tmp_path / "store"))["refusal"]


@pytest.mark.parametrize(
    ("path", "manager"),
    [
        ("/etc/letsencrypt/live/a/privkey.pem", "certbot"),
        ("/root/.acme.sh/a/a.key", "acme.sh"),
        ("/root/.lego/certificates/a.key", "lego"),
        ("/var/lib/dehydrated/certs/a/privkey.pem", "dehydrated"),
        ("/etc/nginx/a.key", ""),
    ],
)
def test_the_folder_says_which_program_manages_a_file(path, manager):
    assert manager_of([path]) == manager


def test_a_certificate_that_the_host_presents_is_served(pair, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-key", pair[0], "-cert", pair[1], "-quiet"]
    module = types.SimpleNamespace(params={"directory": str(tmp_path / "store")})
    monkeypatch.setattr(tls_inventory, "configured_places", lambda _module: Configured([place_of(pair, port=port)], []))
    assert tls_inventory.decide(module)["certificates"][0]["served"] is False
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and not tls_inventory.decide(module)["certificates"][0]["served"]:
                time.sleep(0.05)
            assert tls_inventory.decide(module)["certificates"][0]["served"] is True
        finally:
            server.kill()
