# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the private CA signs keeps to the profile of RFC 5280. The judge is pkilint."""

from __future__ import annotations

import datetime
import json
import pathlib
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    check_chain,
    names_of,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.leaf import check_leaf
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca_certificates import ca_name
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

PROGRAMS = pathlib.Path(sys.executable).parent
FULL_SUBJECT = {
    "country_name": "de",
    "state_or_province_name": "Baden-Württemberg",
    "locality_name": "北京",
    "organization_name": "常青有限公司",
    "organizational_unit_name": "R&D",
    "email_address": "ops@example.org",
    "common_name": "Shop",
}


@pytest.fixture
def ca(tmp_path):
    return LocalCa(str(tmp_path / "pki"), "Beispiel AG", "90d", None, "http://crl.example.org/crl.pem")


def issue(ca, kind="ECC", **changes):
    """Have a certificate issued; return the leaf."""
    request = {"name": "web", "domains": ["www.example.org", "192.0.2.1", "2001:db8::1"], "lifetime": None, **changes}
    csr = make_csr(some_key(kind=kind), request["domains"], {})
    chain = parse_chain(ca.issue(request, csr, "web1"))
    ca.record(request, chain, "web1")
    return chain[0]


def findings(program, path, *options):
    """Return the codes of the findings of a linter that are above notices."""
    command = [PROGRAMS / program, "lint", *options, "--severity", "WARNING", "--format", "JSON", path]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not ended.stderr
    return [
        (one["node_path"], code["code"])
        for one in json.loads(ended.stdout)["results"]
        for code in one["finding_descriptions"]
    ]


def test_the_linter_finds_faults(ca, tmp_path):
    """A judge that accepts everything would prove nothing."""
    path = tmp_path / "leaf.pem"
    path.write_bytes(to_pem([issue(ca, domains=["*.example.org"])]))
    (finding,) = findings("lint_pkix_cert", path)
    assert finding[1] == "pkix.invalid_domain_name_syntax", "RFC 5280 leaves wildcards to others (RFC 9525)"


@pytest.mark.parametrize("kind", ["ECC", "RSA", "Ed25519"])
def test_root_issuing_ca_leaf_and_revocation_list_keep_to_the_profile(ca, tmp_path, kind):
    leaf = issue(ca, kind)
    issue(ca, kind)
    assert ca.revoke(f"{leaf.serial_number:x}", "key_compromise")
    folder = tmp_path / "pki"
    (folder / "leaf.pem").write_bytes(to_pem([leaf]))
    for name in ("root.pem", "issuing.pem", "leaf.pem"):
        assert findings("lint_pkix_cert", folder / name) == [], name
    assert findings("lint_crl", folder / "crl.pem", "--type", "CRL", "--profile", "PKIX") == []


@pytest.mark.parametrize(
    "changes",
    [
        FULL_SUBJECT,
        {"domains": ["192.0.2.1"]},
        {"domains": ["a" * 63 + ".example.org"]},
        {"domains": ["xn--bcher-kva.example"]},
        {"lifetime": "1h"},
        {"lifetime": "3000d"},
    ],
)
def test_leaves_of_many_kinds_keep_to_the_profile(ca, tmp_path, changes):
    path = tmp_path / "leaf.pem"
    path.write_bytes(to_pem([issue(ca, **changes)]))
    assert findings("lint_pkix_cert", path) == []


def test_an_empty_revocation_list_keeps_to_the_profile(ca, tmp_path):
    ca.make()
    assert findings("lint_crl", tmp_path / "pki" / "crl.pem", "--type", "CRL", "--profile", "PKIX") == []


def test_the_email_address_stands_in_the_alternative_names_and_is_no_name_of_the_server(ca):
    leaf = issue(ca, email_address="Ops@example.org")
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == ["Ops@example.org"]
    domains = ["www.example.org", "192.0.2.1", "2001:db8::1"]
    assert names_of(leaf) == set(domains)
    check_chain([leaf], some_key().public_key(), domains, utc_now())
    check_leaf(leaf, {"domains": domains, "email_address": "Ops@example.org"})
    with pytest.raises(TlsError, match="the subject of the certificate has email_address"):
        check_leaf(leaf, {"domains": domains})


@pytest.mark.parametrize("subject", [[], [x509.NameAttribute(NameOID.EMAIL_ADDRESS, "ops@example.org")]])
def test_an_email_address_that_the_subject_lacks_is_a_name_that_nobody_asked_for(subject):
    key, now = some_key(), utc_now()
    names = [x509.DNSName("www.example.org"), x509.RFC822Name("ops@bank.example")]
    builder = x509.CertificateBuilder().subject_name(x509.Name(subject)).issuer_name(x509.Name([])).serial_number(1)
    dated = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).public_key(key.public_key())
    leaf = dated.add_extension(x509.SubjectAlternativeName(names), critical=True).sign(key, hashes.SHA256())
    assert names_of(leaf) == {"www.example.org", "RFC822Name:ops@bank.example"}


@pytest.mark.parametrize("country", ["de", "De", "DE"])
def test_a_country_has_capital_letters(ca, country):
    assert issue(ca, country_name=country).subject.rfc4514_string() == "CN=www.example.org,C=DE"


@pytest.mark.parametrize("lifetime", ["90d", "397d", "824d"])
def test_a_lifetime_that_all_clients_accept_has_no_warning(ca, lifetime):
    ca.make()
    ca.remarks.clear()
    issue(ca, lifetime=lifetime)
    assert ca.remarks == []


@pytest.mark.parametrize(("lifetime", "days"), [("825d", "825.0"), ("826d", "826.0"), ("900d", "900.0")])
def test_a_lifetime_that_apple_refuses_has_a_warning(ca, lifetime, days):
    ca.make()
    ca.remarks.clear()
    issue(ca, lifetime=lifetime)
    (remark,) = ca.remarks
    assert remark.startswith(f"the certificate of the request web is valid for {days} days, and iOS, iPadOS and macOS")
    assert remark.endswith(
        "refuse server certificates of more than 825 days, of private CAs, too; set lifetime to 824d or less"
    )


@pytest.mark.parametrize("name", ["A", "a name of forty-two bytes, as many as fit."])
def test_two_cas_of_one_name_and_day_have_different_names(name):
    now = datetime.datetime(2026, 11, 30, tzinfo=datetime.timezone.utc)
    keys = [some_key(number).public_key() for number in range(3)]
    names = {ca_name(name, role, now, key) for key in keys for role in ("Root CA", "Issuing CA")}
    assert len(names) == 6
    assert all(isinstance(one, x509.Name) for one in names)
