# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports into ACM: found by content, sent once, labelled, and deleted only if nothing uses them."""

from __future__ import annotations

import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.acm import AcmCertificates
from ansible_collections.evergreen.tls.tests.cloud.aws.server import Refusal
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

LABEL = "evergreen/www.example.org/0123456789abcdef"


@pytest.fixture
def acm(session):
    return AcmCertificates(session.client("acm"), session.client("resourcegroupstaggingapi"))


def imported(acm, chain, key, label=LABEL):
    return acm.upload(chain, key, label)


@pytest.mark.parametrize("kind", ["RSA", "ECC"])
def test_an_import_is_found_by_its_content_and_not_imported_twice(acm, authority, cloud, boto, kind):
    key = some_key(kind=kind)
    chain = authority.chain(["www.example.org"], key)
    assert acm.find(chain) is None
    arn = imported(acm, chain, key)
    assert acm.find(chain) == arn
    assert cloud.changes() == ["ImportCertificate"]
    stored = boto("acm").get_certificate(CertificateArn=arn)
    assert stored["Certificate"].encode() == to_pem(chain[:1])
    assert stored.get("CertificateChain", "").encode() == to_pem(chain[1:])
    assert boto("acm").list_tags_for_certificate(CertificateArn=arn)["Tags"] == [{"Key": "evergreen", "Value": LABEL}]


def test_another_certificate_with_the_same_names_and_dates_is_not_taken_for_it(acm, authority):
    key = some_key()
    first, second = (authority.chain(["www.example.org"], key) for _number in range(2))
    arn = imported(acm, first, key)
    assert acm.find(second) is None
    assert acm.find(first) == arn


def test_the_same_certificate_with_another_chain_is_not_taken_for_it(acm):
    root = Authority()
    middle = Authority("Middle CA", above=root)
    key = some_key()
    leaf = middle.chain(["www.example.org"], key)[0]
    arn = imported(acm, [leaf, middle.certificate], key)
    assert acm.find([leaf]) is None
    assert acm.find([leaf, middle.certificate]) == arn


def test_an_import_of_somebody_else_is_found_but_is_no_upload_of_ours(acm, authority, boto):
    key = some_key()
    chain = authority.chain(["www.example.org"], key)
    arn = boto("acm").import_certificate(Certificate=to_pem(chain[:1]), PrivateKey=key_pem(key))["CertificateArn"]
    assert acm.find(chain[:1]) == arn
    assert acm.uploads("evergreen/") == []


def test_uploads_are_those_of_the_label_newest_first(acm, authority, cloud):
    key = some_key()
    labels = ["evergreen/www.example.org/1", "evergreen/www.example.org/2", "evergreen/www.example.org.other/1"]
    labels.append("evergreen/www.example.org/img/1")  # of another request, on a host with the name of this one
    arns = []
    for number, label in enumerate(labels):
        arns.append(imported(acm, authority.chain(["www.example.org"], key), key, label))
        cloud.certificates("eu-central-1")[arns[-1]].created_at = datetime.datetime.fromisoformat(
            f"2026-01-0{1 + number}"
        )
    assert [upload.certificate for upload in acm.uploads("evergreen/www.example.org/")] == [arns[1], arns[0]]
    assert [upload.is_bound for upload in acm.uploads("evergreen/www.example.org/")] == [False, False]


def test_a_label_with_characters_that_tags_do_not_have_is_found_again(acm, authority, boto):
    key = some_key()
    arn = imported(acm, authority.chain(["*.example.org"], key), key, "evergreen/*.example.org/1")
    assert boto("acm").list_tags_for_certificate(CertificateArn=arn)["Tags"][0]["Value"] == "evergreen/_.example.org/1"
    assert [upload.certificate for upload in acm.uploads("evergreen/*.example.org/")] == [arn]


def test_an_import_that_is_in_use_is_not_deleted(acm, authority, cloud):
    key = some_key()
    arn = imported(acm, authority.chain(["www.example.org"], key), key)
    cloud.users_of = lambda _arn: ["arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1DIST"]
    with pytest.raises(TlsError) as caught:
        acm.remove(arn)
    assert f"{arn} is in use by arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1DIST; bind another" in str(
        caught.value
    )
    assert [upload.is_bound for upload in acm.uploads(f"{LABEL.rpartition('/')[0]}/")] == [True]


def test_an_import_is_deleted_and_deleting_it_again_is_no_error(acm, authority, cloud):
    key = some_key()
    arn = imported(acm, authority.chain(["www.example.org"], key), key)
    acm.remove(arn)
    acm.remove(arn)
    assert cloud.certificates("eu-central-1") == {}


def test_a_reimport_keeps_the_arn_and_the_label_is_the_new_one(acm, authority, boto):
    key, other = some_key(1), some_key(2)
    before, after = authority.chain(["www.example.org"], key), authority.chain(["www.example.org"], other)
    arn = imported(acm, before, key, "evergreen/www.example.org/1")
    assert acm.upload(after, other, "evergreen/www.example.org/2", replaces=arn) == arn
    assert acm.find(after) == arn and acm.find(before) is None
    assert (
        boto("acm").list_tags_for_certificate(CertificateArn=arn)["Tags"][0]["Value"] == "evergreen/www.example.org/2"
    )


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())],
    ids=["Ed25519", "secp256k1"],
)
def test_a_key_that_acm_refuses_is_refused_before_anything_is_sent(acm, cloud, key):
    chain = Authority().chain(["www.example.org"], key)
    with pytest.raises(TlsError) as caught:
        acm.check(chain)
    assert "and ACM takes RSA with 1024, 2048, 3072, 4096 bits and the curves secp256r1, secp384r1, secp521r1" in str(
        caught.value
    )
    assert cloud.calls == []


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 3072),
    ],
    ids=["P-384", "P-521", "RSA 3072"],
)
def test_a_key_that_acm_takes_passes_the_check_and_the_cloud(acm, key, authority):
    chain = authority.chain(["www.example.org"], key)
    acm.check(chain)
    arn = imported(acm, chain, key)
    assert acm.find(chain) == arn  # though lists leave it out unless its type is named


def test_a_full_account_is_told(acm, authority, cloud):
    cloud.refusals["ImportCertificate"] = Refusal(
        "LimitExceededException", "You have reached the maximum of 2500 certificates"
    )
    with pytest.raises(TlsError, match="delete certificates that nobody needs, or have the quota raised"):
        imported(acm, authority.chain(["www.example.org"], some_key()), some_key())
