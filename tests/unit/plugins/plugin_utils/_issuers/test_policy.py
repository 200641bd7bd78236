# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an issuer demands is found before there is a signing request, and what it knows need not be written twice."""

from __future__ import annotations

import subprocess

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import (
    challenge_password,
    load_csr,
    make_csr,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import (
    check_request_for_issuer,
    open_issuer,
    with_defaults,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

CHINESE = {
    "country_name": "CN",
    "state_or_province_name": "北京市",
    "locality_name": "海淀区",
    "organization_name": "例子科技有限公司",
}
ISSUERS = {
    "bought": {
        "type": "manual",
        "defaults": {"organization": "beijing", "reuse_key": True},
        "organizations": {"beijing": CHINESE, "branch": {**CHINESE, "locality_name": "朝阳区"}},
        "may_add": ["www", "parent"],
    },
    "ours": {"type": "manual", "rules": "private", "defaults": {"type": "ECC"}},
    "addresses": {"type": "manual", "ip_addresses": True},
    "program": {"type": "command", "argv": ["sign"]},
    "letsencrypt": {"type": "acme"},
    "caddy": {"type": "acme", "directory": "https://caddy.example.org/directory", "roots": "~/pki/root.pem"},
    "step": {"type": "acme", "directory": "https://ca.example.org/directory", "rules": "private"},
}


def completed(issuer="bought", domains="www.example.org", **words):
    """Return a request as every action completes it."""
    request = with_defaults({"name": "www", "domains": domains, "issuer": issuer, **words}, ISSUERS)
    checked = ArgumentSpecValidator({"request": REQUEST_SPEC}).validate({"request": request})
    assert checked.error_messages == []
    return complete_request(checked.validated_parameters["request"])


@pytest.mark.parametrize("name", ["db.internal", "web1", "my_host.example.org", "10.0.0.7"])
def test_a_ca_whose_roots_are_named_is_private_unless_its_rules_are_given(name):
    check_request_for_issuer(completed("caddy", name), ISSUERS)
    issuers = {"caddy": {**ISSUERS["caddy"], "rules": "public"}}
    with pytest.raises(TlsError, match="certificate request www: "):
        check_request_for_issuer(completed("caddy", name), issuers)


def test_names_with_more_parts_than_acme_cas_accept_are_refused_before_a_key_exists():
    ten, eleven = ("a." * 8 + "example.org", "a." * 9 + "example.org")
    for issuer, name in (("letsencrypt", ten), ("letsencrypt", f"*.{ten}"), ("step", eleven), ("bought", eleven)):
        check_request_for_issuer(completed(issuer, name), ISSUERS)
    with pytest.raises(TlsError) as caught:
        check_request_for_issuer(completed("letsencrypt", eleven), ISSUERS)
    assert (
        f"{eleven} has 11 parts between its dots, and Let's Encrypt accepts 10; shorten it, or set rules: private for letsencrypt"
        in str(caught.value)
    )


def demanded(**words):
    check_request_for_issuer(completed(**words), ISSUERS)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ({}, ("RSA", 2048, "1/2")),
        ({"size": 4096}, ("RSA", 4096, "1/2")),
        ({"type": "ECC", "renew_before": "30d"}, ("ECC", 2048, "30d")),
        ({"issuer": "ours"}, ("ECC", 2048, "1/2")),
        ({"issuer": "program"}, ("ECC", 2048, None)),
        ({"issuer": "local"}, ("ECC", 2048, None)),
    ],
)
def test_options_that_a_request_leaves_out_come_from_its_issuer(words, kind):
    request = with_defaults({"name": "www", "domains": ["a.example"], "issuer": "bought", **words}, ISSUERS)
    checked = (
        ArgumentSpecValidator({"request": REQUEST_SPEC}).validate({"request": request}).validated_parameters["request"]
    )
    assert (checked["type"], checked["size"], checked["renew_before"]) == kind


def test_options_of_a_request_are_not_changed():
    raw = {"name": "www", "domains": "a.example", "issuer": "bought", "organization_name": "Mine"}
    request = with_defaults(raw, ISSUERS)
    assert request["organization_name"] == "Mine" and request["locality_name"] == "海淀区"
    assert raw == {"name": "www", "domains": "a.example", "issuer": "bought", "organization_name": "Mine"}
    assert with_defaults(request, ISSUERS) == request


def test_an_organisation_is_described_once():
    assert {field: completed()[field] for field in CHINESE} == CHINESE
    assert completed(organization="branch")["locality_name"] == "朝阳区"


@pytest.mark.parametrize(
    ("organization", "issuers", "sentence"),
    [
        (
            "bejing",
            ISSUERS,
            "certificate request www: organization: its issuer knows no organisation bejing, only beijing, branch; describe it",
        ),
        (
            "x",
            {"bought": {"type": "manual"}},
            "its issuer knows no organisation x, none at all; describe it in organizations of the issuer",
        ),
        (
            "x",
            {"bought": {"type": "manual", "organizations": {"x": {"name": "X"}}}},
            "organization: x has name, and an organisation has country_name, state_or",
        ),
    ],
)
def test_an_unknown_organisation_is_refused(organization, issuers, sentence):
    with pytest.raises(TlsError) as caught:
        with_defaults({"name": "www", "domains": [], "issuer": "bought", "organization": organization}, issuers)
    assert sentence in str(caught.value)


def test_an_organisation_of_any_script_is_written_into_a_csr(tmp_path):
    request = completed(email_address="ops@example.org")
    (tmp_path / "request.csr").write_bytes(make_csr(some_key(), request["domains"], request))
    argv = ["openssl", "req", "-in", "request.csr", "-noout", "-subject", "-nameopt", "utf8,sep_comma_plus", "-verify"]
    printed = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    for value in (*CHINESE.values(), "ops@example.org", "www.example.org"):
        assert value in printed
    parsed = subprocess.run(
        ["openssl", "asn1parse", "-in", "request.csr"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    strings = [line.split("prim:")[1].split(":")[0].strip() for line in parsed.splitlines() if "STRING" in line]
    assert strings[:6] == ["PRINTABLESTRING", *["UTF8STRING"] * 3, "IA5STRING", "UTF8STRING"]


def test_a_challenge_password_is_in_the_csr_as_openssl_reads_it(tmp_path):
    request = completed(challenge_password="correct horse")
    csr = make_csr(some_key(), request["domains"], request)
    (tmp_path / "request.csr").write_bytes(csr)
    argv = ["openssl", "req", "-in", "request.csr", "-noout", "-text", "-verify"]
    assert (
        "challengePassword        :correct horse"
        in subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    )
    assert challenge_password(load_csr(csr)) == "correct horse"
    assert challenge_password(load_csr(make_csr(some_key(), ["a.example"], {}))) is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            {"domains": "192.0.2.1"},
            "it asks for the IP address 192.0.2.1, and bought issues for none; leave it out, or set ip_addresses: true",
        ),
        (
            {"domains": "my_host.example.org"},
            "my_host.example.org has an underscore, and public CAs issue for letters, digits and hyphens alone",
        ),
        (
            {"domains": "intranet"},
            "intranet is the name of a machine in a network of your own, and public CAs issue for full names alone; write",
        ),
        (
            {"domains": "db.shop.internal"},
            "db.shop.internal is in internal, a domain for which no public CA issues; write a name in a domain of yours that the internet",
        ),
        ({"domains": "*.fritz.local"}, "*.fritz.local is in local, a domain for which no public CA issues; write"),
        (
            {"domains": "1.2.0.192.in-addr.arpa"},
            "1.2.0.192.in-addr.arpa is in in-addr.arpa, a domain for which no public CA issues; write",
        ),
        (
            {"domains": "co.uk"},
            "co.uk is a domain below which anybody can register names, and no public CA issues for that; correct it",
        ),
        (
            {"domains": "*.co.uk"},
            "*.co.uk covers all of co.uk, below which anybody can register names, and no public CA issues for that; correct it",
        ),
        (
            {"domains": "www.example.cmo"},
            "www.example.cmo ends in cmo, which is no top-level domain of the internet, and no public CA issues for that; correct it, run pip install ",
        ),
        (
            {"domains": "ab--cd.example.org"},
            "ab--cd.example.org has the part ab--cd, and public CAs refuse two hyphens in the third and fourth place but in xn--; rename",
        ),
        (
            {"common_name": "Web"},
            "the common name Web is not among the domains, which public CAs refuse; add it to them, or leave it out",
        ),
        ({"type": "Ed25519"}, "its key is to be Ed25519, which public CAs refuse; write type: RSA or type: ECC"),
        (
            {"type": "ECC", "curve": "secp521r1"},
            "its key is to be of the curve secp521r1, which public CAs refuse; write curve: secp256r1 or curve: secp384r1, or set",
        ),
        (
            {"domains": [f"www{number}.example.org" for number in range(101)]},
            "it asks for 101 names, and public CAs put 100 at most into a certificate; make several requests of them, or set rules: ",
        ),
        (
            {"domains": "*.*.example.org"},
            "the asterisk stands alone, in the first place, for one level: *.example.org covers www.example.org, and neither",
        ),
        ({"domains": "a.*.example.org"}, "'a.*.example.org' is no wildcard: the asterisk stands alone"),
        (
            {"organization_name": "例" * 65},
            "organization_name has 65 characters, and 64 are allowed; shorten it",
        ),
        ({"common_name": "a" * 61 + ".org"}, "common_name has 65 bytes, and 64 are allowed"),
        (
            {"challenge_password": "pässword"},
            "challenge_password is text of letters, digits and signs that ASCII has, 255 at most",
        ),
    ],
)
def test_requests_that_a_public_ca_refuses_are_refused_before_there_is_a_csr(words, sentence):
    with pytest.raises(TlsError) as caught:
        demanded(**words)
    assert str(caught.value).startswith("certificate request www: ") and sentence in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        {"domains": ["www.example.org", "*.example.org", "bücher.example"]},
        {
            "domains": ["shop.github.io", "*.github.io", "example.co.uk", "*.example.co.uk", "www.example.test"]
        },  # github.io is no suffix of ICANN
        {"common_name": "WWW.example.org"},
        {"organization_name": "例" * 64},
        {"issuer": "addresses", "domains": "192.0.2.1,2001:db8::1"},
        {
            "issuer": "ours",
            "domains": "intranet,my_host.example.org,192.0.2.1",
            "common_name": "Web",
            "type": "Ed25519",
        },
        {"issuer": "program", "domains": "intranet,192.0.2.1"},
        {"issuer": "local", "domains": "intranet,192.0.2.1"},
    ],
)
def test_requests_that_keep_the_rules_pass(words):
    demanded(**words)


@pytest.mark.parametrize(
    ("domains", "allowed"),
    [
        ("example.org", ["www.example.org"]),
        ("www.example.org", ["example.org"]),
        (["WWW.example.org", "shop.example.org"], ["example.org", "www.shop.example.org"]),
        ("*.example.org", ["example.org"]),
        ("bücher.example", ["www.xn--bcher-kva.example"]),
        ("www.org", []),
    ],
)
def test_names_that_the_ca_adds_are_allowed(domains, allowed):
    assert completed(domains=domains)["allowed_domains"] == allowed
    assert completed(domains=domains, issuer="ours")["allowed_domains"] == []


@pytest.mark.parametrize("settings", [{"defaults": {"typ": "RSA"}}, {"rules": "strict"}, {"may_add": ["mail"]}])
def test_a_typo_in_a_common_setting_is_an_error(settings):
    with pytest.raises(TlsError) as caught:
        open_issuer("local", {"local": {"type": "local_ca", **settings}})
    assert str(caught.value).startswith("issuer local: ") and str(caught.value).endswith(
        "; correct certificate_issuers"
    )


@pytest.mark.parametrize("request_", [None, "www", {}, {"issuer": ["x"]}, {"issuer": "nobody", "domains": {}}])
def test_values_of_a_wrong_type_are_returned_unchanged(request_):
    assert with_defaults(request_, {"nobody": "nothing"}) == request_
