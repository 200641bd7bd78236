# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site whose certificate has another name goes on with the one that it has until the other is installed."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import Listen, ServerBlock
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_certificates import (
    SiteCertificates,
    keep_installed_certificates,
    keep_served_names,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

NAMES = ["www.example.org", "example.org"]


def install(store, name):
    (store / name / "v0001").mkdir(parents=True)
    (store / name / "current").symlink_to("v0001")
    for file in ("fullchain.pem", "privkey.pem"):
        (store / name / "v0001" / file).touch()


def block(path, names=tuple(NAMES)):
    return ServerBlock("/etc/nginx/conf.d/evergreen.conf", 1, [Listen("*", 443, False)], list(names), (str(path),))


def site(certificate="new", names=("Example.org", "www.example.org")):
    return {"name": "www", "certificate": certificate, "server_names": list(names)}


@pytest.fixture
def store(tmp_path):
    install(tmp_path, "old")
    return tmp_path


def test_a_site_keeps_the_certificate_that_it_has_until_the_one_of_the_new_name_is_installed(store):
    sites, blocks = [site()], [block(store / "old/current/fullchain.pem")]
    assert keep_installed_certificates(sites, str(store), blocks) == [
        "the site www goes on with the certificate old until new is installed"
    ]
    assert sites[0]["certificate"] == "old"
    assert SiteCertificates(str(store), sites).pending_sites == []
    install(store, "new")
    sites = [site()]
    assert keep_installed_certificates(sites, str(store), blocks) == []
    assert sites[0]["certificate"] == "new"


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("old/current/fullchain.pem", ["other.example.org"]),
        ("old/current/fullchain.pem", NAMES[:1]),
        ("gone/current/fullchain.pem", NAMES),
        ("old/v0001/fullchain.pem", NAMES),
        ("/srv/old/current/fullchain.pem", NAMES),
        ("../old/current/fullchain.pem", NAMES),
    ],
)
def test_a_site_takes_no_certificate_that_it_did_not_have(store, path, names):
    sites = [site()]
    assert keep_installed_certificates(sites, str(store), [block(store / path, names)]) == []
    assert sites[0]["certificate"] == "new"
    assert SiteCertificates(str(store), sites).pending_sites == ["www"]


@pytest.mark.parametrize(
    ("domains", "kept"),
    [
        (["new.example.org"], ["www.example.org"]),
        (["new.example.org", "example.org"], ["www.example.org"]),
        (["example.org", "www.example.org"], []),
        (["example.org"], []),
    ],
)
def test_a_site_answers_to_its_old_names_until_there_is_a_certificate_for_the_new_ones(store, domains, kept):
    (store / "old/v0001/fullchain.pem").write_bytes(to_pem(Authority().chain(NAMES, some_key())))
    blocks = [block(store / "old/current/fullchain.pem", [*NAMES, "never.example.org"])]
    sites = [{**site("old", ["new.example.org", "example.org"]), "name": "www"}]
    sentences = keep_served_names(sites, {"old": domains}, str(store), blocks)
    assert sites[0]["server_names"] == ["new.example.org", "example.org", *kept]
    assert sentences == [
        f"the site www goes on to answer to {name} until a certificate with the names of its request is installed"
        for name in kept
    ]


def test_a_name_that_another_site_has_now_or_a_certificate_that_cannot_be_read_keeps_nothing(store):
    blocks = [block(store / "old/current/fullchain.pem")]
    sites = [site("old", ["new.example.org"])]
    assert keep_served_names(sites, {"old": ["new.example.org"]}, str(store), blocks) == []
    (store / "old/v0001/fullchain.pem").write_bytes(to_pem(Authority().chain(NAMES, some_key())))
    moved = [*sites, {**site("other", NAMES), "name": "moved"}]
    assert keep_served_names(moved, {"old": ["new.example.org"]}, str(store), blocks) == []
    assert sites[0]["server_names"] == ["new.example.org"]
