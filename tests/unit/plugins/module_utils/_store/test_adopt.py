# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pairs that people made with openssl: what becomes of them, and the sentences that refuse what nobody may take the place of."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import ADOPTED_FILES
from ansible_collections.evergreen.tls.plugins.module_utils._store import store as store_module
from ansible_collections.evergreen.tls.plugins.module_utils._store.adopt import find_pair, take_in, to_adopt
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW, Authority, key_pem, openssl, some_key

NAMES = ["www.example.org"]
ROOT = Authority("Hand Root CA")
ISSUING = Authority("Hand Issuing CA", above=ROOT)
AGAIN = "correct the paths, or move the files away to have a new pair made"
KEYS = {
    "PKCS #8": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "a curve with its parameters before it": ("ecparam", "-name", "prime256v1", "-genkey"),
    "Ed25519": ("genpkey", "-algorithm", "ED25519"),
}


class Hand:
    """A folder of a server in which somebody puts files by hand."""

    def __init__(self, folder):
        self.folder = folder
        self.key, self.certificate, self.chain = (folder / name for name in ("server.key", "server.pem", "chain.pem"))
        self.request = {
            "name": "web",
            "host": "web1",
            "domains": NAMES,
            "issuer": "local",
            "type": "ECC",
            "curve": "secp256r1",
            "size": 2048,
            "mode": "0600",
            "links": {},
            "adopt": {"key": str(self.key), "certificate": str(self.certificate)},
        }

    def with_chain(self):
        self.request["adopt"]["chain"] = str(self.chain)

    def put(self, key=None, chain=None):
        """Put a key and a chain into their files."""
        key = key or some_key(1)
        self.key.write_bytes(key_pem(key))
        self.key.chmod(0o600)
        self.certificate.write_bytes(to_pem(chain or ISSUING.chain(NAMES, key)))

    def links(self):
        """Return where the files lead that are links."""
        return {path.name: os.readlink(path) for path in self.folder.iterdir() if path.is_symlink()}

    def picture(self):
        """Return the metadata of each file, without access times: reading the files changes those."""
        return {path.name: _metadata(path) for path in self.folder.iterdir()}


def _metadata(path):
    status = path.lstat()
    return {name: getattr(status, name) for name in dir(status) if name.startswith("st_") and "atime" not in name}


@pytest.fixture
def hand(tmp_path):
    folder = tmp_path / "nginx"
    folder.mkdir()
    return Hand(folder)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "evergreen"), "web")


def adopted(store, hand):
    with store.lock():
        return take_in(store, hand.request)


def leading(store, **files):
    return {name.replace("_", "."): f"{store.path}/current/{file}.pem" for name, file in files.items()}


@pytest.mark.parametrize("kind", KEYS)
def test_a_pair_of_openssl_becomes_the_first_version_and_links_take_its_place(store, hand, kind):
    hand.key.write_bytes(subprocess.run(["openssl", *KEYS[kind]], capture_output=True, check=True).stdout)
    hand.key.chmod(0o600)
    subject = ("-subj", "/CN=by hand", "-addext", "subjectAltName=DNS:www.example.org")
    openssl(hand.folder, "req", "-new", "-x509", "-key", "server.key", "-days", "90", "-out", "server.pem", *subject)
    key, certificate = hand.key.read_bytes(), hand.certificate.read_bytes()
    assert to_adopt(store, hand.request) == [str(hand.key), str(hand.certificate)]

    assert adopted(store, hand) == "v0001"
    assert hand.links() == leading(store, server_key="privkey", server_pem="fullchain")
    assert (hand.key.read_bytes(), hand.certificate.read_bytes()) == (key, certificate)
    assert stat.S_IMODE(os.stat(hand.key).st_mode) == 0o600
    public = openssl(hand.folder, "pkey", "-in", "server.key", "-pubout")
    assert openssl(hand.folder, "x509", "-in", "server.pem", "-noout", "-pubkey") == public
    assert sorted(os.listdir(f"{store.path}/v0001")) == ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]
    assert to_adopt(store, hand.request) == []


def test_what_is_adopted_is_due_only_as_its_request_says(store, hand):
    hand.put()
    adopted(store, hand)
    wanted = {**hand.request, "issuer": "another", "renew_before": None}  # nobody knows who issued it
    assert store.why_renew("v0001", wanted, NOW, [ROOT.certificate]) is None
    reason = store.why_renew("v0001", {**wanted, "domains": ["example.org"]}, NOW, None)
    assert reason.startswith("the certificate does not cover example.org and covers www.example.org")
    stranger = Authority("Another root").certificate
    assert "is not a root of the issuer (Another root)" in store.why_renew("v0001", wanted, NOW, [stranger])


def test_a_certificate_that_does_nobody_any_good_is_adopted_all_the_same(store, hand):
    hand.put(chain=[ISSUING.leaf(["old.example.org"], some_key(1), days=(-90, -1))])
    assert adopted(store, hand) == "v0001"
    assert "does not cover www.example.org" in store.why_renew("v0001", hand.request, NOW, None)


def test_notes_that_openssl_leaves_in_a_file_are_no_obstacle(store, hand):
    hand.put()
    text = openssl(hand.folder, "x509", "-in", "server.pem", "-text")
    hand.certificate.write_bytes(b"Bag Attributes\n    friendlyName: www\n" + text + ISSUING.pem)
    adopted(store, hand)
    assert store.file("v0001", "fullchain.pem") == to_pem([store_module.parse_chain(text)[0], ISSUING.certificate])


def test_a_chain_in_a_file_of_its_own_is_served_with_the_certificate(store, hand):
    hand.with_chain()
    key = some_key(1)
    leaf = ISSUING.leaf(NAMES, key)
    hand.put(key, [leaf])
    hand.chain.write_bytes(ROOT.pem + ISSUING.pem)
    adopted(store, hand)
    assert hand.links() == leading(store, server_key="privkey", server_pem="fullchain", chain_pem="chain")
    assert store.file("v0001", "fullchain.pem") == to_pem([leaf, ISSUING.certificate])
    assert store.file("v0001", "chain.pem") == ISSUING.pem


def test_a_chain_of_others_is_refused(store, hand):
    hand.with_chain()
    hand.put(chain=[ISSUING.leaf(NAMES, some_key(1))])
    hand.chain.write_bytes(Authority("Stranger", above=Authority("Strange root")).pem)
    assert refused(store, hand) == (
        f"adopt: {hand.chain} holds Stranger, which is no part of the chain of {hand.certificate}; correct the path, or take that out"
    )


def test_where_nothing_is_there_nothing_is_adopted(store, hand):
    assert to_adopt(store, hand.request) == []


def refused(store, hand):
    """Return the sentence that refuses, once it is sure that nothing was changed."""
    before = hand.picture()
    with pytest.raises(TlsError) as caught:
        find_pair(store, hand.request)
    assert hand.picture() == before
    return str(caught.value)


@pytest.mark.parametrize(("there", "missing"), [("key", "certificate"), ("certificate", "key")])
def test_half_a_pair_is_refused(store, hand, there, missing):
    hand.put()
    getattr(hand, missing).unlink()
    assert refused(store, hand) == (
        f"adopt: {getattr(hand, there)} is there, and {getattr(hand, missing)} is not; {AGAIN}"
    )


def test_a_pair_that_does_not_belong_together_is_refused(store, hand):
    hand.put(some_key(1), ISSUING.chain(NAMES, some_key(2)))
    assert refused(store, hand) == f"adopt: {hand.certificate} does not belong to the key in {hand.key}; {AGAIN}"


def converted(name, *arguments):
    """Return what has openssl write a file in another form."""

    def convert(hand):
        path = getattr(hand, name)
        openssl(hand.folder, *arguments, "-in", path.name, "-out", "new")
        (hand.folder / "new").rename(path)

    return convert


DER_KEY = converted("key", "pkey", "-outform", "der")
ENCRYPTED = converted("key", "pkey", "-aes256", "-passout", "pass:secret")
TRADITIONALLY_ENCRYPTED = converted("key", "ec", "-aes128", "-passout", "pass:secret")


def replaced(name, make):
    def replace(hand):
        path = getattr(hand, name)
        path.unlink()
        make(path)

    return replace


def appended(name, what):
    return lambda hand: getattr(hand, name).write_bytes(getattr(hand, name).read_bytes() + what(hand))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda hand: hand.key.write_bytes(b"garbage"), f"{{key}} holds no private key in PEM that can be read; {AGAIN}. DER becomes PEM "),
        (DER_KEY, f"{{key}} holds no private key in PEM that can be read; {AGAIN}. DER becomes PEM with openssl pkey -inform der"),
        (lambda hand: hand.certificate.write_bytes(b"\n"), "{certificate} holds no certificate that can be read: it is empty; see what "),
        (lambda hand: hand.certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\nMIIB\n"), "{certificate} holds no certificate that can be read: its block "),
        (ENCRYPTED, "{key} is protected by a passphrase; take it off with openssl pkey -in {key} -out NEW, put that in its place, and run"),
        (TRADITIONALLY_ENCRYPTED, "{key} is protected by a passphrase; take it off with openssl pkey -in {key} -out NEW"),
        (appended("key", lambda hand: hand.certificate.read_bytes()), "{key} holds a certificate besides the key, which a link to the key "),
        (
            appended("certificate", lambda hand: hand.key.read_bytes()),
            "{certificate} holds a private key besides the certificate, which a link to that would not; put each into a file of its own",
        ),
        (replaced("key", os.mkdir), "{key} is not a regular file; " + AGAIN),
        (replaced("certificate", os.mkfifo), "{certificate} is not a regular file; " + AGAIN),
        (
            replaced("key", lambda path: path.symlink_to("../real.key")),
            "{key} is a symbolic link to ../real.key; have adopt name that file, and links name {key}",
        ),
        (
            lambda hand: os.link(hand.key, f"{hand.key}.backup"),
            "{key} has other names (hard links), which would keep the old certificate for ever; find them with find / -xdev -samefile {key}",
        ),
    ],
)  # fmt: skip
def test_what_nobody_may_take_the_place_of_is_refused_in_a_sentence(store, hand, change, sentence):
    hand.put()
    change(hand)
    wanted = sentence.format(key=hand.key, certificate=hand.certificate)
    assert refused(store, hand).startswith(f"adopt: {wanted}")


@pytest.mark.parametrize(
    "change",
    [
        converted("certificate", "x509", "-outform", "der"),
        converted("certificate", "x509", "-trustout", "-addtrust", "serverAuth"),
        appended("certificate", lambda hand: b"-----BEGIN CERTIFICATE-----\nMIIB\n"),
    ],
)
def test_the_certificate_may_be_in_any_form(store, hand, change):
    hand.put()
    openssl(hand.folder, "x509", "-in", hand.certificate.name, "-out", "alone")
    (hand.folder / "alone").rename(hand.certificate)
    change(hand)
    assert adopted(store, hand) == "v0001"
    openssl(hand.folder, "x509", "-in", hand.certificate.name, "-noout")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_refused_unless_the_request_says_that_it_is_theirs(store, hand):
    hand.put()
    os.chown(hand.key, 65534, -1)
    assert refused(store, hand) == (
        f"adopt: {hand.key} belongs to nobody, who could put anything there; have a look at it, run chown 0 on it, and run this again; "
        "owner of the request says who will own the key"
    )
    hand.request["owner"] = "nobody"
    adopted(store, hand)
    assert os.stat(hand.key).st_uid == 65534


def test_files_among_the_certificates_themselves_are_refused(store, hand):
    os.makedirs(store.path)
    hand.request["adopt"]["key"] = f"{store.path}/server.key"
    hand.put()
    assert refused(store, hand) == (
        f"adopt: {store.path}/server.key lies among the certificates themselves; choose a path outside"
    )


def test_a_key_that_others_could_read_is_closed_and_known_to_be_exposed_from_then_on(store, hand):
    hand.put()
    hand.key.chmod(0o644)
    adopted(store, hand)
    assert stat.S_IMODE(os.stat(hand.key).st_mode) == 0o600
    wanted = {**hand.request, "renew_before": None}
    said = f"its key could be read by others in {hand.key} (mode 0644)"
    assert Store(os.path.dirname(store.path), "web").why_renew("v0001", wanted, NOW, [ROOT.certificate]) == said


def test_a_key_that_its_group_may_read_is_exposed_only_where_the_request_says_otherwise(store, hand):
    hand.put()
    hand.key.chmod(0o640)
    hand.request["mode"] = "0640"
    assert find_pair(store, hand.request).exposed is None
    hand.request["mode"] = "0600"
    assert find_pair(store, hand.request).exposed == f"its key could be read by others in {hand.key} (mode 0640)"


def test_a_run_that_was_killed_before_its_version_was_in_use_leaves_nothing_to_be_made_twice(store, hand):
    hand.put()
    adopted(store, hand)
    for path in (hand.key, hand.certificate):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        path.chmod(0o600)
    os.unlink(f"{store.path}/current")
    assert adopted(store, hand) == "v0001"
    assert store.versions() == ["v0001"]


def test_a_run_that_was_killed_between_two_links_is_finished(store, hand):
    hand.put()
    certificate = hand.certificate.read_bytes()
    adopted(store, hand)
    hand.certificate.unlink()
    hand.certificate.write_bytes(certificate)
    assert to_adopt(store, hand.request) == [str(hand.certificate)]
    assert find_pair(store, hand.request) is None
    assert adopted(store, hand) == "v0001"
    assert hand.links() == leading(store, server_key="privkey", server_pem="fullchain")


@pytest.mark.parametrize("option", ["key", "certificate"])
def test_what_somebody_puts_there_later_is_not_lost_but_named(store, hand, option):
    hand.put()
    adopted(store, hand)
    for path in (hand.key, hand.certificate):
        path.unlink()
    hand.put(some_key(2))
    os.unlink(hand.key if option == "certificate" else hand.certificate)
    path = getattr(hand, option)
    assert refused(store, hand) == (
        f"adopt: {path} is a file, and not what v0001 of web holds, which is in use; see who puts it there and have them stop, and move it away"
    )


def test_the_options_lead_to_files_that_a_version_has():
    assert ADOPTED_FILES == {"key": "privkey.pem", "certificate": "fullchain.pem", "chain": "chain.pem"}
