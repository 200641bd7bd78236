# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A CA whose root an older root has signed, too: which clients accept which chain, as openssl says."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import check_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import is_self_issued
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import check_issued_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import (
    NO_CROSS_SIGNING,
    CrossSigning,
    read_cross_signing,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import issue_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW, Authority, some_key

NAMES = ["www.example.org"]
KEY = some_key()
OLD, OTHER = Authority("Old Root"), Authority("Other Root")
NEW = Authority("New Root")
CROSS_SIGNED, CROSS_SIGNED_BY_OTHER = (
    Authority("New Root", above=root, key=NEW.key).certificate for root in (OLD, OTHER)
)
ISSUING = Authority("Issuing CA", above=NEW)
LEAF, MIDDLE = CHAIN = ISSUING.chain(NAMES, KEY)
LONG = [*CHAIN, CROSS_SIGNED]
REQUEST = {"name": "web", "domains": NAMES, "type": "ECC", "size": 2048, "curve": "secp256r1", "lifetime": None}


def accepts(folder, root, chain):
    """Say whether openssl accepts the chain of a server if it trusts one root only."""
    for name, certificates in {"root": [root.certificate], "leaf": chain[:1], "sent": chain[1:]}.items():
        (folder / name).write_bytes(to_pem(certificates))
    argv = ["openssl", "verify", "-x509_strict", "-verify_hostname", NAMES[0], "-trusted", "root", "-untrusted", "sent", "leaf"]  # fmt: skip
    return subprocess.run(argv, cwd=folder, capture_output=True, check=False).returncode == 0


def checked(certificates, cross_signing=NO_CROSS_SIGNING, roots=NEW.pem):
    return check_issued_chain(to_pem(certificates), KEY.public_key(), REQUEST, roots, NOW, cross_signing)


def test_without_a_cross_signed_certificate_old_clients_refuse(tmp_path):
    assert checked([*LONG, NEW.certificate, OLD.certificate]) == CHAIN
    assert (accepts(tmp_path, NEW, CHAIN), accepts(tmp_path, OLD, CHAIN)) == (True, False)


@pytest.mark.parametrize("roots", [NEW.pem, NEW.pem + OLD.pem, None])
def test_with_chain_extra_old_and_new_clients_accept(tmp_path, roots):
    chain = checked(CHAIN, CrossSigning((CROSS_SIGNED,)), roots)
    assert chain == LONG
    assert (accepts(tmp_path, NEW, chain), accepts(tmp_path, OLD, chain)) == (True, True)


def test_certificates_of_chain_extra_that_do_not_fit_are_left_out():
    stranger = Authority("Stranger", above=OLD).certificate
    assert checked(CHAIN, CrossSigning((stranger, CROSS_SIGNED, stranger))) == LONG
    assert checked(CHAIN, CrossSigning((stranger,))) == CHAIN


@pytest.mark.parametrize("roots", [NEW.pem, NEW.pem + OLD.pem + OTHER.pem, None])
@pytest.mark.parametrize(
    ("root", "chain"),
    [("Old Root", LONG), ("Other Root", [*CHAIN, CROSS_SIGNED_BY_OTHER]), ("New Root", CHAIN)],
)
def test_of_several_chains_the_one_to_the_preferred_root_is_chosen(tmp_path, root, chain, roots):
    authority = {"Old Root": OLD, "Other Root": OTHER, "New Root": NEW}[root]
    certificates = [
        OTHER.certificate,
        CROSS_SIGNED_BY_OTHER,
        MIDDLE,
        CROSS_SIGNED,
        NEW.certificate,
        LEAF,
        OLD.certificate,
    ]
    built = checked(certificates, CrossSigning(roots=(root,)), roots)
    assert built == chain and not any(is_self_issued(one) for one in built)
    assert accepts(tmp_path, authority, built) and accepts(tmp_path, NEW, built)
    added = CrossSigning((CROSS_SIGNED, CROSS_SIGNED_BY_OTHER), (root,))
    assert checked(CHAIN, added, roots) == chain
    assert added.why_other_root(chain, []) is None


def test_a_namesake_of_the_preferred_root_does_not_count():
    namesake = Authority("Old Root")
    false = Authority("New Root", above=namesake, key=NEW.key).certificate
    cross_signing = CrossSigning(roots=("Old Root",))
    assert checked([*CHAIN, false, CROSS_SIGNED], cross_signing, NEW.pem + OLD.pem) == LONG
    assert checked([*CHAIN, false], cross_signing, NEW.pem + OLD.pem) == CHAIN


def test_a_chain_that_continues_above_a_trusted_root_is_good():
    check_chain(LONG, KEY.public_key(), NAMES, NOW, [NEW.certificate])
    check_chain(LONG, KEY.public_key(), NAMES, NOW, [OLD.certificate])
    with pytest.raises(TlsError, match="the chain ends at Old Root, which is not a root of the issuer"):
        check_chain(LONG, KEY.public_key(), NAMES, NOW, [OTHER.certificate])


def test_an_expired_cross_signed_certificate_is_refused():
    expired = Authority("New Root", above=OLD, key=NEW.key, days=(-90, -1)).certificate
    with pytest.raises(TlsError, match="the CA New Root expired on .*; have it issued again"):
        checked(CHAIN, CrossSigning((expired,)))


@pytest.fixture
def issuer(tmp_path):
    """Return a function that issues with a program and further settings."""
    (tmp_path / "answer.pem").write_bytes(to_pem(CHAIN))
    (tmp_path / "roots.pem").write_bytes(NEW.pem)
    (tmp_path / "extra.pem").write_bytes(to_pem([CROSS_SIGNED]))

    csr = make_csr(KEY, NAMES, {})

    def issue(**settings):
        command = {
            "type": "command",
            "argv": ["cat", str(tmp_path / "answer.pem")],
            "roots": str(tmp_path / "roots.pem"),
        }
        opened = open_issuer("program", {"program": {**command, "directory": str(tmp_path / "cache"), **settings}})
        return issue_once(opened, {**REQUEST, "issuer": "program"}, csr, "web1")

    return issue


def test_issuers_of_every_type_have_both_settings(issuer, tmp_path):
    assert issuer().chain == CHAIN
    added = issuer(chain_extra=str(tmp_path / "extra.pem"))
    assert (added.chain, added.is_new, added.warnings) == (
        LONG,
        True,
        [],
    )  # and not the chain that was cached for other settings
    again = issuer(chain_extra=str(tmp_path / "extra.pem"))
    assert (again.chain, again.is_new) == (LONG, False)
    assert issuer(chain_extra=str(tmp_path / "extra.pem"), preferred_root="Old Root").chain == LONG
    assert issuer(chain_extra=str(tmp_path / "extra.pem"), preferred_root="New Root").chain == CHAIN


def test_a_preferred_root_that_cannot_be_reached_is_a_warning(issuer):
    issued = issuer(preferred_root="Old Root")
    assert issued.chain == CHAIN
    (warning,) = issued.warnings
    assert warning == (
        "the chain leads to New Root, since nothing in the answer or in chain_extra leads to the preferred_root Old Root; have the CA "
        "give you what that one has signed, and name it in chain_extra, or correct preferred_root"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "chain_extra: {} does not exist; correct the path, or leave it out"),
        (
            b"nonsense",
            "chain_extra: {}: it holds no certificate in any form that is known here; see what it is",
        ),
        (OLD.pem, "chain_extra: {} holds Old Root, which is a root, which clients have or do not believe; take it out"),
        (to_pem([LEAF]), "chain_extra: {} holds www.example.org, which is no certificate of a CA; take it out"),
    ],
)
def test_wrong_files_for_chain_extra_are_refused(tmp_path, content, sentence):
    path = tmp_path / "extra.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TlsError) as caught:
        open_issuer("bought", {"bought": {"type": "local_ca", "directory": str(tmp_path), "chain_extra": str(path)}})
    assert str(caught.value).startswith(f"issuer bought: {sentence.format(path)}")


def test_without_settings_there_is_no_cross_signing():
    assert read_cross_signing({}) == NO_CROSS_SIGNING and NO_CROSS_SIGNING.terms() == {}
    assert read_cross_signing({"preferred_root": "A"}, [None, "B", "A"]).roots == ("A", "B")
