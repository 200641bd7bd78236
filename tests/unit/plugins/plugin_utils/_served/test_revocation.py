# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import subprocess
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._served import crl_fetch
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.crl_fetch import fetch_crl
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.stapling import staple_error
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, key_pem, some_key
from ansible_collections.evergreen.tls.tests.unit.fake_internet import free_port
from ansible_collections.evergreen.tls.tests.unit.served_sites import NAME, KnownAddresses

DER = serialization.Encoding.DER
HOUR = datetime.timedelta(hours=1)


class Lists:
    """A site whose certificate has a distribution point, and the server of the list."""

    def __init__(self, site):
        self.site, self.port, self.requests = site, free_port(), 0
        self.url = f"http://crl.example.org:{self.port}/ca.crl"
        site.dns.by_name["crl.example.org"] = ["127.0.0.1"]
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(self.url)], None, None, None)
        self.chain = site.authority.chain([NAME], some_key(), extensions=[x509.CRLDistributionPoints([point])])
        self.leaf = self.chain[0]
        site.present("127.0.0.1", self.chain)

    def publish(self, content, status=200, headers=()):
        def respond(_name, _path):
            self.requests += 1
            return status, headers, content

        self.site.serve("127.0.0.1", self.port, respond)
        return self

    def crl(self, *serials, authority=None, ends=HOUR, reason=None, scope=None):
        authority = authority or self.site.authority
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.certificate.subject)
            .last_update(NOW - DAY)
            .next_update(NOW + ends)
        )
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - HOUR)
            if reason:
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        if scope:
            builder = builder.add_extension(scope, critical=True)
        return builder.sign(authority.key, hashes.SHA256())

    def check(self, **known):
        (finding,) = [
            one
            for one in self.site.check(checks_revocation=True, **known)
            if one.code.startswith(("served.crl", "served.revoked"))
        ]
        return finding


@pytest.fixture
def lists(site):
    return Lists(site)


def test_a_certificate_that_is_not_on_the_list_is_fine(lists):
    finding = lists.publish(lists.crl(1, 2).public_bytes(DER)).check()
    assert (finding.severity, finding.code) == ("fine", "served.crl")
    assert lists.url in finding.evidence[1]


def test_a_list_in_pem_is_read_as_well(lists):
    pem = lists.crl(1).public_bytes(serialization.Encoding.PEM)
    assert lists.publish(b"\n" + pem).check().severity == "fine"


def test_a_revoked_certificate_blocks(lists):
    crl = lists.crl(1, lists.leaf.serial_number, reason=x509.ReasonFlags.key_compromise)
    finding = lists.publish(crl.public_bytes(DER)).check()
    assert (finding.severity, finding.code) == ("blocks", "served.revoked")
    assert ", keyCompromise; replace it: run evergreen.tls.renew with certificate_force=true" in finding.sentence
    assert f"serial number {lists.leaf.serial_number:x}" in finding.evidence


def test_an_expired_list_is_a_risk_and_still_tells_who_is_revoked(lists):
    ended = lists.crl(1, ends=-HOUR)
    finding = lists.publish(ended.public_bytes(DER)).check()
    assert (finding.severity, finding.code) == ("risk", "served.crl.ended")
    assert "have the CA publish a new list" in finding.sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is no revocation list that can be read"),
        (b"<html>\x1b[2J</html>", "it is no revocation list that can be read"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "it is no revocation list that can be read"),
    ],
)
def test_what_is_no_list_leaves_the_answer_unknown(lists, content, sentence):
    finding = lists.publish(content).check()
    assert (finding.severity, finding.code) == ("unknown", "served.crl")
    assert sentence in finding.sentence


def test_a_list_that_another_ca_has_signed_does_not_count(lists):
    foreign = Authority(key=some_key(1))  # of the same name
    finding = lists.publish(lists.crl(lists.leaf.serial_number, authority=foreign).public_bytes(DER)).check()
    assert finding.severity == "unknown" and "is not signed by the issuer of the certificate" in finding.sentence


@pytest.mark.parametrize(
    "scope",
    [
        {"only_contains_ca_certs": True},
        {"indirect_crl": True},
        {"full_name": [x509.UniformResourceIdentifier("http://crl.example.org/other.crl")]},
    ],
)
def test_a_list_about_other_certificates_does_not_count(lists, scope):
    values = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    crl = lists.crl(1, scope=x509.IssuingDistributionPoint(**{**values, **scope}))
    finding = lists.publish(crl.public_bytes(DER)).check()
    assert finding.severity == "unknown" and "is about other certificates" in finding.sentence


@pytest.mark.parametrize(("status", "headers"), [(404, ()), (302, [("Location", "http://127.0.0.1/")])])
def test_only_a_list_is_taken_and_no_redirect_followed(lists, status, headers):
    finding = lists.publish(b"", status, headers).check()
    assert finding.severity == "unknown" and f"answers {status}" in finding.sentence


def test_a_list_that_is_too_large_is_not_read(lists, monkeypatch):
    monkeypatch.setattr(crl_fetch, "MAX_CRL_BYTES", 1000)
    finding = lists.publish(b"0" * 2000).check()
    assert finding.severity == "unknown" and "has more than 1000 bytes" in finding.sentence


def test_a_server_of_lists_that_trickles_costs_no_more_than_the_deadline(lists, monkeypatch):
    released = threading.Event()

    def wait(_name, _path):
        released.wait(10)
        return 200, [], b""

    lists.site.serve("127.0.0.1", lists.port, wait)
    monkeypatch.setattr(crl_fetch, "FETCH_TIMEOUT_S", 0.3)
    start = time.monotonic()
    finding = lists.check()
    released.set()
    assert time.monotonic() - start < 3
    assert finding.severity == "unknown" and "no answer in time" in finding.sentence


def test_a_list_of_50000_entries_by_openssl_is_read_fast(lists, tmp_path):
    (tmp_path / "ca.pem").write_bytes(lists.site.authority.pem + key_pem(lists.site.authority.key))
    entries = [
        f"R\t{NOW + DAY:%y%m%d%H%M%SZ}\t{NOW - DAY:%y%m%d%H%M%SZ}\t{number:08X}\tunknown\t/CN=x\n"
        for number in range(1, 50000)
    ]
    own = f"{lists.leaf.serial_number:X}"
    entries.append(
        f"R\t{NOW + DAY:%y%m%d%H%M%SZ}\t{NOW - DAY:%y%m%d%H%M%SZ},superseded\t{'0' * (len(own) % 2)}{own}\tunknown\t/CN=y\n"
    )
    (tmp_path / "index.txt").write_text("".join(entries))
    (tmp_path / "ca.conf").write_text(
        f"[ca]\ndefault_ca = own\n[own]\ndatabase = {tmp_path}/index.txt\ndefault_md = sha256\ndefault_crl_days = 1\n"
    )
    pem, der = tmp_path / "ca.crl", tmp_path / "der.crl"
    for words in (
        [
            "ca",
            "-gencrl",
            "-config",
            tmp_path / "ca.conf",
            "-cert",
            tmp_path / "ca.pem",
            "-keyfile",
            tmp_path / "ca.pem",
            "-out",
            pem,
        ],
        ["crl", "-in", pem, "-outform", "DER", "-out", der],
    ):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
    lists.publish(der.read_bytes())
    start = time.monotonic()
    finding = lists.check()
    assert time.monotonic() - start < 2
    assert finding.code == "served.revoked" and ", superseded; " in finding.sentence


def test_lists_are_fetched_once_and_cached_until_they_end(lists, tmp_path):
    lists.publish(lists.crl(1, ends=HOUR).public_bytes(DER))
    folder = str(tmp_path / "lists")
    assert [lists.check(crl_folder=folder).severity for _number in range(2)] == ["fine"] * 2
    assert lists.requests == 2  # there is no such folder
    (tmp_path / "lists").mkdir()
    lists.requests = 0
    assert [lists.check(crl_folder=folder).severity for _number in range(3)] == ["fine"] * 3
    assert lists.requests == 1
    (path,) = (tmp_path / "lists").iterdir()
    path.write_bytes(lists.crl(1, ends=-HOUR).public_bytes(DER))  # one that has ended is not used
    assert lists.check(crl_folder=folder).severity == "fine" and lists.requests == 2
    path.write_bytes(b"spoilt")
    assert lists.check(crl_folder=folder).severity == "fine" and lists.requests == 3


@pytest.mark.parametrize(
    ("url", "addresses", "sentence"),
    [
        ("http://crl.example.org/a", ["127.0.0.1"], "leads to 127.0.0.1, a loopback address, and is not fetched"),
        ("http://crl.example.org/a", ["169.254.169.254"], "leads to 169.254.169.254, a link-local address"),
        ("http://crl.example.org/a", ["10.0.0.7"], "a private address"),
        ("http://[::ffff:127.0.0.1]/a", [], "a loopback address"),
        ("http://192.168.1.1/a", [], "a private address"),
        ("http://crl.example.org:25/a", ["192.0.2.1"], "has another port than 80"),
        ("http://crl.example.org:x/a", [], "is no URL"),
        ("http:///a", [], "is no URL of a revocation list"),
        ("http://crl.example.org/a\r\nHost: x", ["192.0.2.1"], "see with the CA"),
    ],
)
def test_a_foreign_certificate_cannot_choose_what_the_controller_asks_inside(url, addresses, sentence):
    dns = KnownAddresses(**{"crl.example.org": addresses})
    with pytest.raises(TlsError, match=sentence):
        fetch_crl(url, dns, False, "", 1.0)


def test_a_certificate_that_clients_do_not_trust_has_no_list_fetched(lists):
    lists.publish(lists.crl(1).public_bytes(DER))
    codes = [one.code for one in lists.site.check(checks_revocation=True, roots=Authority("Other").pem.decode())]
    assert "served.untrusted" in codes and "served.crl" not in codes and lists.requests == 0


# Staples


def staple(authority, leaf, status=ocsp.OCSPCertStatus.GOOD, ends=HOUR):
    revoked = NOW - DAY if status is ocsp.OCSPCertStatus.REVOKED else None
    builder = ocsp.OCSPResponseBuilder().add_response(
        leaf, authority.certificate, hashes.SHA256(), status, NOW - DAY, NOW + ends, revoked, None
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(DER)


def test_a_response_is_good_only_for_its_certificate_and_time(site):
    leaf, other = (site.authority.leaf([NAME], some_key()) for _number in range(2))
    assert staple_error(staple(site.authority, leaf), leaf) is None
    assert "of another certificate" in staple_error(staple(site.authority, other), leaf)
    assert "ended on" in staple_error(staple(site.authority, leaf, ends=-HOUR), leaf)
    assert "says revoked" in staple_error(staple(site.authority, leaf, ocsp.OCSPCertStatus.REVOKED), leaf)
    assert "cannot be read" in staple_error(b"\x30\x00", leaf)


def test_must_staple_without_a_staple_blocks(site):
    feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
    site.present("127.0.0.1", site.authority.chain([NAME], some_key(), extensions=[feature]))
    (finding,) = site.check("served.staple")
    assert (finding.severity, finding.code) == ("blocks", "served.staple")
    assert f"127.0.0.1 port {site.port} sends no OCSP response" in finding.sentence


def test_must_staple_with_a_staple_of_openssl_is_fine(site, tmp_path):
    feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
    chain = site.authority.chain([NAME], some_key(), extensions=[feature])
    site.context(chain)
    (pem,) = tmp_path.glob("*.pem")
    (tmp_path / "staple.der").write_bytes(staple(site.authority, chain[0]))
    server = subprocess.Popen(
        ["openssl", "s_server", "-www", "-accept", f"127.0.0.1:{site.port}", "-cert", str(pem), "-key", str(pem), "-status_file",
         str(tmp_path / "staple.der")],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        site.dns.by_name[NAME] = ["127.0.0.1"]
        for _number in range(50):
            findings = site.check("served.staple", deadline=time.monotonic() + 10)
            if findings:
                break
            time.sleep(0.05)
    finally:
        server.kill()
        server.communicate()
    (finding,) = findings
    assert (finding.severity, finding.code) == ("fine", "served.staple")


def test_a_certificate_without_must_staple_needs_none(site):
    site.present("127.0.0.1")
    assert site.check("served.staple") == []
