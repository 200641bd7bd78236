# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._served.hsts import Policy, parse_policy
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import PROBE_PATH
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key
from ansible_collections.evergreen.tls.tests.unit.served_sites import NAME

HEADER = "Strict-Transport-Security"
YEAR = "max-age=31536000"


def codes(findings):
    return [(one.severity, one.code) for one in findings]


# Clients without SNI, and ALPN


def test_another_certificate_for_clients_without_sni_is_a_risk(site):
    site.present("127.0.0.1", nameless=site.authority.chain(["default.invalid"], some_key()))
    (finding,) = site.check("served.sni")
    assert (finding.severity, finding.code) == ("risk", "served.sni")
    assert (
        f"get another certificate from 127.0.0.1 port {site.port} than that of {NAME} (default.invalid"
        in finding.sentence
    )


def test_a_server_that_refuses_clients_without_sni_is_a_note(site):
    site.present("127.0.0.1", nameless=False)
    (finding,) = site.check("served.sni")
    assert (finding.severity, finding.code) == ("note", "served.sni.refused")


def test_the_same_certificate_without_sni_is_nothing_to_tell(site):
    site.present("127.0.0.1")
    assert site.check("served.sni") == []


@pytest.mark.parametrize(
    ("has_http2", "protocols", "expected"),
    [
        (True, ("h2", "http/1.1"), [("fine", "served.alpn")]),
        (True, ("http/1.1",), [("risk", "served.alpn")]),
        (True, (), [("risk", "served.alpn")]),
        (False, (), []),
    ],
)
def test_http2_is_expected_where_the_inventory_has_it(site, has_http2, protocols, expected):
    site.present("127.0.0.1", protocols=protocols)
    findings = site.check("served.alpn", has_http2=has_http2)
    assert codes(findings) == expected
    if ("risk", "served.alpn") in expected:
        assert "run evergreen.tls.deploy" in findings[0].sentence and "chose" in findings[0].evidence[0]


# HSTS


@pytest.mark.parametrize(
    ("values", "code", "sentence"),
    [
        ([YEAR], "served.hsts", "is right"),
        (["max-age=0"], "served.hsts.zero", "with which browsers forget HSTS"),
        (["includeSubDomains"], "served.hsts.malformed", "it has no max-age in seconds"),
        (["max-age=1; max-age=2"], "served.hsts.malformed", "or a directive twice"),
        (["max-age=31536000, includeSubDomains"], "served.hsts.malformed", "write it as max-age=63072000"),
        ([YEAR, YEAR], "served.hsts.twice", "one is enough"),
        (["max-age=60", YEAR], "served.hsts.twice", "the first one counts (max-age=60), and the others are ignored"),
        ([f"{YEAR}; preload"], "served.hsts.preload", "includeSubDomains is missing; they take registered domains only, here example.org"),
        (["max-age=300; includeSubDomains; preload"], "served.hsts.preload", "max-age is less than 31536000 (a year)"),
    ],
)  # fmt: skip
def test_a_mistake_in_hsts_is_named(site, values, code, sentence):
    site.present("127.0.0.1", headers=[(HEADER, value) for value in values])
    (finding,) = site.check("served.hsts")
    assert (finding.code, finding.severity) == (code, "fine" if code == "served.hsts" else "risk")
    assert sentence in finding.sentence and finding.evidence == tuple(values) and finding.source


def test_the_first_header_counts_even_if_it_is_void(site):
    site.present("127.0.0.1", headers=[(HEADER, "nonsense"), (HEADER, YEAR)])
    assert codes(site.check("served.hsts")) == [("risk", "served.hsts.twice"), ("risk", "served.hsts.malformed")]


def test_names_below_without_https_are_locked_out_by_include_subdomains(site):
    site.present("127.0.0.1", headers=[(HEADER, f"{YEAR}; includeSubDomains")])
    site.dns.by_name[f"old.{NAME}"] = ["127.0.0.9"]
    site.dns.by_name[f"untrusted.{NAME}"] = ["127.0.0.1"]
    names = (f"old.{NAME}", f"untrusted.{NAME}", f"gone.{NAME}", f"*.{NAME}", "other.example.net")
    (finding,) = site.check("served.hsts", subdomains=names)
    assert (finding.severity, finding.code) == ("risk", "served.hsts.subdomains")
    assert f"browsers will not reach old.{NAME}, untrusted.{NAME}, which have no HTTPS" in finding.sentence


def test_hsts_over_http_is_void(site):
    site.present("127.0.0.1")
    site.redirect("127.0.0.1", lambda name, path: (301, [(HEADER, YEAR), ("Location", "https://x/")], b""))
    (finding,) = site.check("served.hsts")
    assert (finding.severity, finding.code) == ("risk", "served.hsts.http")


def test_a_site_without_hsts_has_no_mistake(site):
    site.present("127.0.0.1")
    assert site.check("served.hsts") == []


@pytest.mark.parametrize(
    ("value", "policy"),
    [
        ("MAX-AGE=5 ;; INCLUDESUBDOMAINS ; preload", Policy(5, True, True)),
        ('max-age="5"; other="a"', Policy(5, False, False)),
        ("max-age=-5", None),
        ("max-age=" + "9" * 21, None),
        ("", None),
        ("\x1b[31m", None),
    ],
)
def test_a_header_is_read_as_browsers_do(value, policy):
    assert parse_policy(value) == policy


# The redirect from HTTP


@pytest.mark.parametrize(
    ("status", "location", "code", "severity"),
    [
        (301, "https://{name}:{port}{path}", "", "fine"),
        (308, "https://{name}:{port}{path}", "", "fine"),
        (302, "https://{name}:{port}{path}", ".temporary", "note"),
        (301, "https://{name}:{port}/", ".path", "risk"),
        (301, "https://{name}:{port}/evergreen-probe", ".path", "risk"),
        (301, "https://other.example.org:{port}{path}", ".name", "note"),
        (301, "http://{name}/login", ".hops", "risk"),
        (301, "http://[::1", ".hops", "risk"),
        (301, "javascript:alert(1)", ".hops", "risk"),
        (200, "", ".plain", "risk"),
        (404, "", ".none", "note"),
    ],
)
def test_the_redirect_from_http_is_judged(site, status, location, code, severity):
    site.present("127.0.0.1")
    target = location.format(name=NAME, port=site.port, path=PROBE_PATH)
    site.redirect("127.0.0.1", lambda name, path: (status, [("Location", target)] if target else [], b"hello"))
    (finding,) = site.check("served.redirect")
    assert (finding.severity, finding.code) == (severity, f"served.redirect{code}")
    assert "{" not in finding.sentence and "127.0.0.1" in finding.sentence
    assert severity == "fine" or ";" in finding.sentence


def test_addresses_that_redirect_differently_are_told_apart(site):
    for address in ("127.0.0.1", "127.0.0.2"):
        site.present(address)
    site.redirect("127.0.0.1", lambda name, path: (301, [("Location", f"https://{name}:{site.port}{path}")], b""))
    site.redirect("127.0.0.2", lambda _name, _path: (200, [], b"hello"))
    assert codes(site.check("served.redirect")) == [("fine", "served.redirect"), ("risk", "served.redirect.plain")]
