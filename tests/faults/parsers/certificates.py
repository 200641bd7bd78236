# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of keys, signing requests, certificates, keystores, and of the files of a store."""

from __future__ import annotations

import ipaddress
import os
import tempfile
import types
import typing as t
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ansible_collections.evergreen.tls.plugins.module_utils._certificates import name_constraints, pkcs12
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    parse_certificate,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    check_chain,
    describe_chain,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import (
    csr_difference,
    load_csr,
    requested_names,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    load_key,
    public_bytes,
    public_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import check_request_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import find_trusted_path
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import (
    Installed,
    why_renew,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.strict_clients import strict_warnings
from ansible_collections.evergreen.tls.plugins.module_utils._store import exports, ledger
from ansible_collections.evergreen.tls.plugins.module_utils._store.adopt import take_in
from ansible_collections.evergreen.tls.plugins.module_utils._store.notifications import Notification
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import create_file
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, decode_text, encode_json, signer_of
from ansible_collections.evergreen.tls.tests.faults.parsers.samples import (
    CHAIN,
    CSRS,
    DER,
    ISSUING,
    KEY,
    KEYS,
    NAMES,
    OTHER_KEYS,
    PEM,
    REQUEST,
    ROOT,
)
from ansible_collections.evergreen.tls.tests.unit.chain_factory import certificate_chain
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW, key_pem, named


def read_csr(content: bytes) -> None:
    """Read a signing request, and compare it with one of the inventory."""
    csr = load_csr(content)
    requested_names(csr)
    csr_difference(csr, {"domains": ["www.example.org", "example.org"]})


def read_chain(content: bytes) -> None:
    chain = parse_chain(content)
    assert [one.fingerprint(hashes.SHA256()) for one in parse_chain(to_pem(chain))] == [
        one.fingerprint(hashes.SHA256()) for one in chain
    ]
    describe_chain(chain)
    describe_certificate(chain[0])
    check_chain(chain, KEY.public_key(), NAMES, NOW, [ROOT.certificate])


def read_path(content: bytes) -> None:
    """Validate a path to its last certificate, as clients do, and as stricter ones do."""
    *sent, root = parse_chain(content)
    for certificate in sent[:1]:
        name_constraints.check_name_constraints(certificate, root, is_leaf=True)
    strict_warnings(find_trusted_path(sent, [root], NOW) or sent)


def read_certificate(der: bytes) -> None:
    certificate = parse_certificate(der)
    assert parse_certificate(der).fingerprint(hashes.SHA256()) == certificate.fingerprint(hashes.SHA256())
    describe_certificate(certificate)
    describe_chain([certificate])


def find_due_reason(content: bytes) -> str | None:
    key, _line, chain = content.partition(b"\n\n")
    return why_renew(Installed(key, chain, "local"), {**REQUEST, "host": "web1"}, NOW, [ROOT.certificate])


def read_key(content: bytes) -> None:
    key = load_key(content)
    describe_key(key.public_key())
    assert public_bytes(load_key(key_pem(key)).public_key()) == public_bytes(key.public_key())
    public_pem(key.public_key())


def read_trial(content: bytes) -> t.Any:
    with tempfile.TemporaryDirectory(prefix="evergreen-fed-") as folder:
        store = Store(folder, "web")
        os.mkdir(store.path)
        os.symlink("v0001", os.path.join(store.path, "current"))
        create_file(store.trial, content)
        return store.version_on_trial()


def adopt_pair(content: bytes) -> None:
    """Adopt the key before the first empty line and the chain after it."""
    key, _line, chain = content.partition(b"\n\n")
    with tempfile.TemporaryDirectory(prefix="evergreen-fed-") as folder:
        store = Store(os.path.join(folder, "evergreen"), "web")
        paths = {option: os.path.join(folder, option) for option in ("key", "certificate", "chain")}
        request = {**REQUEST, "host": "web1", "mode": "0600", "links": {}, "adopt": paths}
        for path, part in zip(paths.values(), (key, chain, chain)):
            create_file(path, part, 0o644)
        with store.lock():
            version = take_in(store, request)
        assert store.file(version, "privkey.pem") == key
        assert store.why_renew(version, request, NOW, None)  # since others could read the key, if for nothing else


def read_keystore(content: bytes) -> None:
    for encryption in pkcs12.ENCRYPTIONS:
        pkcs12.keystore_difference(content, KEY, CHAIN, "correct horse", "site", encryption)


def read_ledger(content: bytes) -> None:
    options = {
        "path": "/etc/site.p12",
        "friendly_name": None,
        "restart": ["tomcat10"],
        "reload": [],
        "state": "present",
    }
    export, of_request = exports.Export(options, "site"), [Notification("reload", ("haproxy",))]
    with mock.patch.object(ledger, "read_file", return_value=content):
        record = ledger.Ledger(types.SimpleNamespace(path="/etc/evergreen/site"))
    for notification in record.pending_notifications([export], of_request, "v0001 ab"):
        record.mark_begun(notification)
        record.mark_done(notification, [export], of_request, "v0001 ab")
    assert not record.pending_notifications([export], of_request, "v0001 ab")


def read_password(content: bytes) -> None:
    password = exports.parse_password(content, "/etc/keystore.password")
    assert password and password.isprintable()


KEYSTORES = tuple(
    pkcs12.make_keystore(KEY, CHAIN, "correct horse", "site", encryption) for encryption in pkcs12.ENCRYPTIONS
)
LEDGER = {
    "written": {"/etc/site.p12": "/etc/keystorePass.txt", "/etc/site.pem": None},
    "pending": {"/etc/site.p12": ["reload haproxy"]},
}

CONSTRAINED = x509.NameConstraints(
    [
        x509.DNSName("example.org"),
        x509.IPAddress(ipaddress.ip_network("192.0.2.0/24")),
        x509.IPAddress(ipaddress.ip_network("2001:db8::/32")),
        x509.DirectoryName(named("www.example.org")),
        x509.RFC822Name(".example.org"),
        x509.UniformResourceIdentifier(".example.org"),
    ],
    [x509.DNSName("mail.example.org")],
)
OTHER_NAMES = x509.SubjectAlternativeName(
    [
        x509.RFC822Name("a@mail.example.org"),
        x509.UniformResourceIdentifier("https://www.example.org:443/"),
        x509.DirectoryName(named("www.example.org")),
    ]
)
PATHS = tuple(
    b"".join(one.pem for one in certificate_chain("ECC", change))
    for change in (
        {},
        {0: {"names": ["www.example.org", "192.0.2.1", "2001:db8::1"]}, 1: {"extensions": [(CONSTRAINED, True)]}},
        {0: {"names": None, "extensions": [(OTHER_NAMES, False)]}, 3: {"extensions": [(CONSTRAINED, True)]}},
        {3: {"version": 1}, 1: {"identifiers": False, "usages": None}},
    )
)

CERTIFICATES_PARSERS = (
    Parser("certificates/chain", "a chain", read_chain, (PEM, PEM + ROOT.pem, ROOT.pem), "der", signer_of(ISSUING.key)),
    Parser("certificates/path_validation", "a path to a root", read_path, PATHS, "der"),
    Parser("certificates/certificate", "a certificate", read_certificate, DER, "der", signer_of(ISSUING.key)),
    Parser(
        "certificates/renewal",
        "an installed key and chain",
        find_due_reason,
        (KEYS[0] + b"\n" + PEM,),
        "der",
        signer_of(ISSUING.key),
    ),
    Parser(
        "store/store",
        "the record of a trial",
        read_trial,
        (b'{"version": "v0001", "before": null, "links": {"/a": "b"}}',),
    ),
    Parser(
        *("store/adopt", "a key and a chain to adopt", adopt_pair, (KEYS[0] + b"\n" + PEM,)),
        *("der", signer_of(ISSUING.key)),
    ),
    Parser("certificates/keys", "a private key", read_key, (*KEYS, *OTHER_KEYS), "der"),
    Parser(
        "certificates/csr",
        "a signing request",
        read_csr,
        CSRS,
        "der",
        signer_of(KEY),
    ),
    Parser("certificates/pkcs12", "a keystore", read_keystore, KEYSTORES, "der"),
    Parser("store/ledger", "the record of exports", read_ledger, encode_json(LEDGER), "json"),
    Parser("store/exports", "a password", read_password, (b"correct horse\r\nbattery\n",)),
    Parser(
        "certificates/names",
        "the name of a request",
        lambda content: check_request_name(decode_text(content)),
        (b"www.example.org",),
    ),
)
