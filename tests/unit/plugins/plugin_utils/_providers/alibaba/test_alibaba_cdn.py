# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains of Alibaba Cloud's CDN. The judge of the signature is the vendor's SDK, also in the cloud of the tests."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.settle import remove_old_uploads
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Clock, Pair, deploy_certificate
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba import client as client_module
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.client import signed_headers
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.registry import open_service
from ansible_collections.evergreen.tls.tests.unit.fake_alibaba import DOMAINS, fake_alibaba, sdk_authorization
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

AUTHORITY = Authority()
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(WORDS, WORDS, st.none() | WORDS, st.binary(max_size=100), st.integers(0, 4_000_000_000))
def test_a_call_is_signed_as_the_sdk_signs_it(key_id, secret, token, body, now):
    key = (key_id, secret, token)
    headers = signed_headers("cdn.aliyuncs.com", "SetCdnDomainSSLCertificate", "2018-05-10", body, key, now, "nonce")
    authorization = headers.pop("Authorization")
    assert authorization == sdk_authorization(headers, body, key_id, secret)
    assert headers.get("x-acs-security-token") == token


@pytest.fixture
def cloud(monkeypatch):
    monkeypatch.setattr(client_module.time, "sleep", lambda _seconds: None)
    with fake_alibaba() as started:
        yield started


def deploy(cloud, pair, settings=None, **changes):
    request = {"name": "static", "domains": DOMAINS, "keep": 3, "cloud": {"account": None, "resources": []}}
    passed = [0.0]
    clock = Clock(lambda: passed[0], lambda seconds: passed.__setitem__(0, passed[0] + seconds))
    return deploy_certificate(
        open_service(request, {"shop": cloud.account(**changes)}, "evergreen/static/"),
        pair,
        900.0,
        clock=clock,
        settings=settings or {},
    )


def service_of(cloud, keep=1, name="static"):
    request = {"name": name, "domains": DOMAINS, "keep": keep, "cloud": {"account": None, "resources": []}}
    return open_service(request, {"shop": cloud.account()}, "evergreen/static/")


def clean(cloud, keep=1):
    """Remove the old uploads of the request; return their identifiers, and warnings."""
    service = service_of(cloud, keep)
    current = service.bindings()[0].certificate
    return remove_old_uploads(service, "evergreen/static/", current, keep)


def pair(number=1, kind="ECC"):
    key = some_key(number, kind)
    return Pair([*AUTHORITY.chain(DOMAINS, key)], lambda: key, f"evergreen/static/{number}", contextlib.nullcontext)


@pytest.mark.parametrize("kind", ["ECC", "RSA"])
def test_a_certificate_is_uploaded_once_and_bound(cloud, kind):
    done = deploy(cloud, pair(kind=kind))
    assert [one["certificate"] for one in cloud.domains.values()] == [done.certificate] * 2
    assert {binding.address for binding in done.bindings} == {f"{name}.w.kunluncan.test" for name in DOMAINS}
    cloud.calls.clear()
    assert not deploy(cloud, pair(kind=kind)).is_changed
    assert {action for action in cloud.actions() if not action.startswith(("Describe", "List"))} == set()


def test_an_upload_is_found_beyond_the_first_page(cloud):
    deploy(cloud, pair())
    cloud.uploads = {**{number: f"other-{number}" for number in range(100, 180)}, **cloud.uploads}
    assert not deploy(cloud, pair()).is_changed


def test_another_change_is_waited_for(cloud):
    cloud.refusals["SetCdnDomainSSLCertificate"] = ["DomainInProcess"]
    assert deploy(cloud, pair()).pending == []


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "InvalidAccessKeyId.NotFound",
            "; correct access_key_id and access_key_secret of account shop in cloud_accounts",
        ),
        ("InvalidTimeStamp.Expired", "; set the clock of this machine"),
        ("Forbidden.RAM", "; allow cdn:DescribeCdnDomainDetail to the key of account shop"),
        ("Throttling.User", "; run this again later, nothing was changed"),
        ("InternalError", "; try again later; if it stays, report it to Alibaba Cloud with the RequestId"),
        ("Other", "; look the code up in the documentation of cdn:DescribeCdnDomainDetail, or report this"),
    ],
)
def test_a_code_is_a_sentence_that_ends_in_what_to_do(cloud, code, sentence):
    cloud.refusals["DescribeCdnDomainDetail"] = code
    with pytest.raises(
        TlsError, match=rf"^Alibaba Cloud refuses cdn:DescribeCdnDomainDetail for account shop: .*{sentence}"
    ):
        deploy(cloud, pair())
    assert "UploadUserCertificate" not in cloud.actions()


def test_a_missing_permission_is_named_as_policies_name_it(cloud):
    cloud.refusals["ListUserCertificateOrder"] = "NoPermission"
    with pytest.raises(TlsError, match="; allow yundun-cert:ListUserCertificateOrder to the key of account shop"):
        deploy(cloud, pair())


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b"<html>Welcome to the proxy</html>"),
        (200, b""),
        (200, b'{"Data": '),
        (503, b""),
        (200, b"[]"),
        (400, b'{"Code": 1}'),
    ],
)
def test_what_is_no_answer_of_the_api_is_said_and_nothing_is_uploaded(cloud, status, content):
    cloud.answers["DescribeCdnDomainDetail"] = status, content
    sentence = f"the API answers with status {status} and {len(content)} bytes: this is no answer of the API; see whether a proxy answers"
    with pytest.raises(TlsError, match=f"^account shop, cdn:DescribeCdnDomainDetail: {sentence}"):
        deploy(cloud, pair())
    assert cloud.changes() == []
    assert cloud.actions().count("DescribeCdnDomainDetail") == 4, "a look is repeated"


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"CertId": '])
def test_an_upload_whose_answer_was_lost_is_found_and_not_sent_again(cloud, content):
    cloud.answers["UploadUserCertificate"] = 200, content
    done = deploy(cloud, pair())
    assert done.certificate == "1" and cloud.actions().count("UploadUserCertificate") == 1
    assert [one["certificate"] for one in cloud.domains.values()] == ["1", "1"]


def test_a_removal_that_is_refused_is_a_warning(cloud):
    for number in range(1, 4):
        deploy(cloud, pair(number))
    cloud.refusals["DeleteUserCertificate"] = "CertificateInUse"
    removed, warnings = clean(cloud)
    assert removed == [] and len(cloud.uploads) == 3
    assert warnings[0].startswith(
        "1 (evergreen/static/1) is not removed: Alibaba Cloud refuses cas:DeleteUserCertificate"
    )


def test_a_wrong_secret_is_said(cloud):
    with pytest.raises(TlsError, match="SignatureDoesNotMatch.*; correct access_key_id"):
        deploy(cloud, pair(), access_key_secret="other")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"access_key_secret": None}, "account shop has no access_key_id and access_key_secret; write both"),
        ({"role_arn": "acs:ram::1:role/a"}, "role_arn, which is not there for Alibaba Cloud; give it a security_token"),
    ],
)
def test_accounts_that_do_not_fit_are_said(cloud, changes, sentence):
    with pytest.raises(TlsError, match=sentence):
        deploy(cloud, pair(), **changes)


def test_domains_and_keys_that_do_not_fit_are_said_before_the_upload(cloud):
    with pytest.raises(TlsError, match="takes RSA of 2048 bits or more and secp256r1; correct type, size or curve"):
        deploy(cloud, pair(kind="Ed25519"))
    with pytest.raises(TlsError, match="has no setting redirect that can be changed here"):
        deploy(cloud, pair(), settings={"redirect": True})
    cloud.domains[DOMAINS[0]]["status"] = "offline"
    with pytest.raises(TlsError, match="its status is offline; put it online in the console of the CDN"):
        deploy(cloud, pair())
    del cloud.domains[DOMAINS[0]]
    with pytest.raises(TlsError, match="it is not in the CDN; add it there first, as this collection makes no domains"):
        deploy(cloud, pair())
    assert "UploadUserCertificate" not in cloud.actions()


def test_old_uploads_are_removed_and_the_newest_ones_stay_for_the_way_back(cloud):
    for number in range(1, 5):
        deploy(cloud, pair(number))
    assert clean(cloud) == (["2", "1"], [])
    assert list(cloud.uploads.values()) == ["evergreen/static/3", "evergreen/static/4"]
    cloud.calls.clear()
    assert clean(cloud) == ([], [])
    assert cloud.changes() == []
    assert "ListCloudResources" not in cloud.actions(), "there is none for which it has to be known"
    assert not deploy(cloud, pair(3)).is_uploaded, "the way back uploads nothing"


@pytest.mark.parametrize("service", ["SLB", "cdn", "DCDN"])
def test_what_another_service_presents_stays(cloud, service):
    for number in range(1, 5):
        deploy(cloud, pair(number))
    cloud.resources = [{"CertId": 1, "CloudProduct": service, "InstanceId": "lb-1", "Domain": "other.example.net"}]
    assert clean(cloud) == (["2"], [])
    assert 1 in cloud.uploads


def test_what_another_domain_of_the_cdn_presents_stays_although_the_list_of_resources_is_late(cloud):
    for number in range(1, 5):
        deploy(cloud, pair(number))
    cloud.domains["other.example.org"] = {"status": "online", "certificate": "2", "busy": 0}
    assert clean(cloud) == (["1"], [])


@pytest.mark.parametrize("action", ["ListCloudResources", "DescribeCdnHttpsDomainList"])
def test_without_permission_to_look_nothing_is_removed(cloud, action):
    for number in range(1, 4):
        deploy(cloud, pair(number))
    cloud.refusals[action] = "NoPermission"
    removed, warnings = clean(cloud)
    assert removed == [] and len(cloud.uploads) == 3
    assert warnings == [
        "1 (evergreen/static/1) stays in the CDN of account shop, as it is not known whether something is bound to it"
    ]


def test_uploads_of_other_requests_and_people_stay(cloud):
    others = ["by hand", "evergreen/static/img/1", "evergreen/static-img/1", "evergreen/static2/1"]
    cloud.uploads = dict(enumerate(others, 1))
    for number in range(1, 5):
        deploy(cloud, pair(number))
    assert clean(cloud, keep=0)[0] == ["7", "6", "5"]
    assert list(cloud.uploads.values()) == [*others, "evergreen/static/4"]


def test_a_long_name_is_shortened_to_what_the_api_takes_and_found_again(cloud):
    labels = [f"evergreen/{'a' * 60}{end}/0123456789abcdef" for end in "xy"]
    for label in labels:
        assert deploy(cloud, pair()._replace(label=label)).is_uploaded
        assert not deploy(cloud, pair()._replace(label=label)).is_uploaded
    assert len(cloud.uploads) == 2 and {len(name) for name in cloud.uploads.values()} == {63}


def test_a_page_in_place_of_an_answer_is_said_and_the_next_run_uploads_nothing_again(cloud):
    cloud.pages = {"SetCdnDomainSSLCertificate"}
    sentence = "account shop, cdn:SetCdnDomainSSLCertificate: .*this is no answer of the API; see whether a proxy"
    with pytest.raises(TlsError, match=sentence):
        deploy(cloud, pair())
    cloud.pages = set()
    deploy(cloud, pair())
    assert cloud.changes().count("UploadUserCertificate") == 1
