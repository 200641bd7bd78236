# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess

import pytest
from cryptography import x509

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import Observation, Served
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.transparency import check_transparency
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.trust_stores import read_trust_stores
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, der_element, some_key
from ansible_collections.evergreen.tls.tests.unit.served_sites import NAME

PROOFS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def proofs_of(logs):
    """Return the extension with a proof of each log, as RFC 6962, section 3.3, writes it. The signatures are no real ones."""
    entries = b""
    for log in logs:
        proof = bytes([0]) + bytes([log]) * 32 + (1_700_000_000_000).to_bytes(8, "big") + b"\0\0" + b"\4\3\0\1\0"
        entries += len(proof).to_bytes(2, "big") + proof
    return x509.UnrecognizedExtension(PROOFS, der_element(0x04, len(entries).to_bytes(2, "big") + entries))


def certified(site, days, *extensions):
    return site.authority.chain([NAME], some_key(), days=(-1, days - 1), extensions=extensions)


def served(site, chain, roots=None, error=""):
    subject = site.subject(roots=roots)
    return Served(subject, (Observation("192.0.2.1", 443, chain=tuple(chain), error=error),))


@pytest.mark.parametrize(
    ("days", "logs", "severity"),
    [(180, [1, 2], "fine"), (180, [1], "risk"), (90, [], "risk"), (181, [1, 2], "risk"), (181, [1, 2, 3], "fine"), (90, [1, 1], "risk")],
)  # fmt: skip
def test_a_public_certificate_needs_proofs_of_enough_logs(site, days, logs, severity):
    chain = certified(site, days, proofs_of(logs))
    printed = subprocess.run(
        ["openssl", "x509", "-noout", "-text"], input=to_pem(chain[:1]), capture_output=True, check=True
    )
    assert printed.stdout.count(b"Signed Certificate Timestamp:") == len(logs)  # the extension is well formed
    (finding,) = check_transparency(served(site, chain))
    assert (finding.severity, finding.code) == (severity, "served.sct")
    assert f"proofs of {len(set(logs))} logs" in finding.evidence[0]


def test_a_malformed_extension_holds_no_proofs(site):
    chain = certified(site, 90, x509.UnrecognizedExtension(PROOFS, b"\4\3\0\5\0"))
    (finding,) = check_transparency(served(site, chain))
    assert finding.severity == "risk" and "proofs (SCTs) of 0" in finding.sentence


def test_private_and_untrusted_certificates_need_no_proofs(site):
    chain = certified(site, 90)
    assert check_transparency(served(site, chain, roots=site.authority.pem.decode())) == []
    assert check_transparency(served(site, chain, error="the certificate has expired")) == []


def test_an_old_trust_store_without_the_root_is_a_risk(site, tmp_path):
    site.present("127.0.0.1")
    (tmp_path / "old.pem").write_bytes(b"# roots\n" + Authority("Old Root").pem)
    (tmp_path / "new.pem").write_bytes(
        Authority("Old Root").pem + b"-----BEGIN CERTIFICATE-----\nnone\n" + site.authority.pem
    )
    stores = read_trust_stores({"windows7": str(tmp_path / "old.pem"), "windows11": str(tmp_path / "new.pem")})
    old, new = site.check("served.trust", trust_stores=stores)
    assert (old.severity, new.severity) == ("risk", "fine")
    assert old.sentence == (
        f"clients with the roots of windows7 do not trust {NAME}: the chain ends at Test Root CA; set preferred_root to a root that they "
        "know, and give its cross-signed certificate by chain_extra"
    )


@pytest.mark.parametrize(
    ("stores", "sentence"),
    [
        ("/old.pem", "write a dictionary such as"),
        ({"old": "{folder}/missing.pem"}, "diagnose_trust_stores old: "),
        (
            {"old": "{folder}/empty.pem"},
            "holds no certificate in PEM; write the path of a file with the roots of those clients",
        ),
        ({"old": 7}, "diagnose_trust_stores old: "),
    ],
)
def test_a_trust_store_that_cannot_be_read_is_refused(tmp_path, stores, sentence):
    (tmp_path / "empty.pem").write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    if isinstance(stores, dict):
        stores = {name: str(path).format(folder=tmp_path) for name, path in stores.items()}
    with pytest.raises(TlsError, match=sentence):
        read_trust_stores(stores)
