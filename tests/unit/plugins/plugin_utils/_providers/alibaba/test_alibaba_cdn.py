# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains of Alibaba Cloud's CDN. The judge of the signature is the vendor's SDK, also in the cloud of the tests."""

from __future__ import annotations

import contextlib
import http.server
import json
import types
import urllib.parse

import pytest
from alibabacloud_openapi_util.client import Client as Sdk
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Clock, Pair, deploy_certificate
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba import client as client_module
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.client import VERSIONS, signed_headers
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.registry import open_service
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

AUTHORITY = Authority()
DOMAINS = ["static.example.org", "img.example.org"]
KEY_ID, SECRET = "LTAIexample", "a-secret"
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


def sdk_authorization(headers, body, key_id, secret):
    """Return the header Authorization as the vendor's SDK makes it."""
    request = types.SimpleNamespace(method="POST", pathname="/", query={}, headers=headers)
    payload = Sdk.hex_encode(Sdk.hash(body, "ACS3-HMAC-SHA256"))
    return Sdk.get_authorization(request, "ACS3-HMAC-SHA256", payload, key_id, secret)


@given(WORDS, WORDS, st.none() | WORDS, st.binary(max_size=100), st.integers(0, 4_000_000_000))
def test_a_call_is_signed_as_the_sdk_signs_it(key_id, secret, token, body, now):
    key = (key_id, secret, token)
    headers = signed_headers("cdn.aliyuncs.com", "SetCdnDomainSSLCertificate", "2018-05-10", body, key, now, "nonce")
    authorization = headers.pop("Authorization")
    assert authorization == sdk_authorization(headers, body, key_id, secret)
    assert headers.get("x-acs-security-token") == token


class Cloud:
    """The APIs cas and cdn of one account."""

    def __init__(self):
        self.domains = {name: {"status": "online", "certificate": None, "busy": 0} for name in DOMAINS}
        self.uploads, self.calls, self.refusals = {}, [], {}

    def respond(self, headers, body):
        action = headers["x-acs-action"]
        signed = {
            name: headers[name] for name in headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        }
        if headers["Authorization"] != sdk_authorization(signed, body, KEY_ID, SECRET):
            return 400, {"Code": "SignatureDoesNotMatch", "Message": "The signature does not match.", "RequestId": "r"}
        assert headers["x-acs-version"] in VERSIONS.values()
        parameters = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        self.calls.append((action, parameters))
        code = self.refusals.get(action)
        code = code.pop(0) if isinstance(code, list) and code else code
        if code:
            return 400, {"Code": code, "Message": "Refused.", "RequestId": "r"}
        answer = getattr(self, action)(**parameters)
        return (404 if "Code" in answer else 200), {**answer, "RequestId": "r"}

    def UploadUserCertificate(self, Name, Cert, Key):  # noqa: N802, N803
        assert Key.startswith("-----BEGIN ") and Cert.startswith("-----BEGIN CERTIFICATE")
        self.uploads[len(self.uploads) + 1] = Name
        return {"CertId": len(self.uploads)}

    def ListUserCertificateOrder(self, OrderType, CurrentPage, ShowSize):  # noqa: N802, N803
        assert OrderType == "UPLOAD"
        begin = (int(CurrentPage) - 1) * int(ShowSize)
        rows = [{"CertificateId": number, "Name": name} for number, name in self.uploads.items()]
        return {"CertificateOrderList": rows[begin : begin + int(ShowSize)], "TotalCount": len(rows)}

    def DescribeCdnDomainDetail(self, DomainName):  # noqa: N802, N803
        if DomainName not in self.domains:
            return {"Code": "InvalidDomain.NotFound", "Message": "The domain does not belong to you."}
        one = self.domains[DomainName]
        status = "configuring" if one["busy"] else one["status"]
        one["busy"] = max(0, one["busy"] - 1)
        return {"GetDomainDetailModel": {"DomainStatus": status, "Cname": f"{DomainName}.w.kunluncan.test"}}

    def DescribeDomainCertificateInfo(self, DomainName):  # noqa: N802, N803
        certificate = self.domains[DomainName]["certificate"]
        info = {
            "ServerCertificateStatus": "on" if certificate else "off",
            "CertId": certificate or "",
            "Status": "success",
        }
        return {"CertInfos": {"CertInfo": [info]}}

    def SetCdnDomainSSLCertificate(self, DomainName, CertType, CertId, SSLProtocol):  # noqa: N802, N803
        assert (CertType, SSLProtocol) == ("cas", "on") and int(CertId) in self.uploads
        self.domains[DomainName].update(certificate=CertId, busy=1)
        return {}

    def actions(self):
        return [action for action, _parameters in self.calls]


@pytest.fixture
def cloud(monkeypatch):
    monkeypatch.setattr(client_module.time, "sleep", lambda _seconds: None)
    started = Cloud()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/", "no parameter is in the URL"
            status, answer = started.respond(self.headers, self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments):
            pass

    server = ThreadedServer(Handler).start()
    started.url = f"http://127.0.0.1:{server.server_port}"
    yield started
    server.stop()


def deploy(cloud, pair, settings=None, **changes):
    account = {
        "type": "alibaba",
        "access_key_id": KEY_ID,
        "access_key_secret": SECRET,
        "endpoint": cloud.url,
        **changes,
    }
    request = {"name": "static", "domains": DOMAINS, "keep": 3, "cloud": {"account": None, "resources": []}}
    passed = [0.0]
    clock = Clock(lambda: passed[0], lambda seconds: passed.__setitem__(0, passed[0] + seconds))
    return deploy_certificate(
        open_service(request, {"shop": account}), pair, 900.0, clock=clock, settings=settings or {}
    )


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
