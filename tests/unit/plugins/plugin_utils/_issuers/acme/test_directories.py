# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which CAs an issuer asks, and what its settings say of them."""

from __future__ import annotations

import pathlib
import re

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import WELL_KNOWN
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.issuer import Acme
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer

PAGE = pathlib.Path(__file__).parents[6] / "docs/acme.md"


def opened(**settings):
    return open_issuer("ca", {"ca": {"type": "acme", **settings}})


def test_it_is_lets_encrypt_by_default_and_its_staging_first():
    issuer = opened()
    assert [directory.url for directory in issuer.directories] == [WELL_KNOWN["letsencrypt"]]
    assert issuer.test_directory.url == WELL_KNOWN["letsencrypt-staging"]


def test_nowhere_is_nowhere():
    assert opened(test_directory="").test_directory is None
    assert opened(directory="google").test_directory is None


def test_what_is_said_of_one_directory_is_not_said_of_the_others():
    zerossl = {"directory": "zerossl", "eab_kid": "kid", "eab_hmac": "aG1hYw"}
    first, second = opened(directories=["letsencrypt", zerossl], profile="classic").directories
    assert (first.url, first.eab_kid, first.profile) == (WELL_KNOWN["letsencrypt"], None, "classic")
    assert (second.url, second.eab_kid, second.eab_hmac) == (WELL_KNOWN["zerossl"], "kid", "aG1hYw")


def test_a_test_knows_nothing_of_customers():
    issuer = opened(directory="google", test_directory="google-staging", eab_kid="kid", eab_hmac="aG1hYw")
    assert issuer.test_directory.eab_kid is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"directory": "letsencript"},
            "issuer ca: 'letsencript' is no ACME directory; write its address, which begins with https://, or one of letsencrypt, ",
        ),
        (
            {"directory": "http://ca.example/"},
            "'http://ca.example/' is no ACME directory; write its address, which begins with https://",
        ),
        (
            {"directories": [{"url": "letsencrypt"}]},
            "directories: there is no url, .*; missing required arguments: directory; write the name or address of each, or",
        ),
        ({"eab_kid": "kid"}, "of eab_kid and eab_hmac one is missing; write both, as the CA gives them out"),
        ({"at_once": 0}, "at_once is 0, and orders need one place at least; write 1 or more"),
        ({"timeout": "soon"}, "'soon' is not a length of time; write a number and a unit"),
        ({"mail": "ops@example.org"}, r"there is no mail \(did you mean email\?\); correct"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(TlsError, match=sentence):
        opened(**settings)


@pytest.mark.parametrize(
    ("profile", "count", "sentence"),
    [
        (
            None,
            101,
            "the request has 101 domains, and this CA puts 100 into a certificate at the most; split the request",
        ),
        (
            "shortlived",
            26,
            "has 26 domains, and this CA puts 25 into a certificate at the most with the profile shortlived; split",
        ),
    ],
)
def test_too_many_names_are_refused_before_anybody_is_asked(tmp_path, profile, count, sentence):
    names = [f"www{number}.example.org" for number in range(count)]
    issuer = opened(profile=profile, folder=str(tmp_path))
    with pytest.raises(TlsError, match=sentence):
        issuer.issue({"name": "www", "domains": names, "issuer": "ca", "type": "ECC"}, b"", "web1")
    issuer.directories[0].check_names(names[: count - 1])


def test_roots_are_read_where_the_issuer_names_them(tmp_path):
    assert opened().roots() is None
    with pytest.raises(
        TlsError,
        match="roots: /nowhere/root.pem does not exist; correct the path, or leave it out for a CA that systems trust",
    ):
        opened(roots="/nowhere/root.pem").roots()
    (tmp_path / "root.pem").write_text("nonsense")
    with pytest.raises(TlsError, match="no PEM certificate|holds no"):
        opened(roots=str(tmp_path / "root.pem")).roots()


def test_the_page_describes_every_setting_and_every_short_name():
    page = PAGE.read_text(encoding="utf-8")
    rows = set(re.findall("`([a-z_]+)`", "\n".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    assert rows >= set(Acme.SETTINGS)
    assert all(f"`{name}`" in page for name in WELL_KNOWN)
