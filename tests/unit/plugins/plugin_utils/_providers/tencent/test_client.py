# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls of the client against servers on the loopback network that misbehave as clouds and proxies do."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import io
import json
import logging
import socket
import threading
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers import https_call
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.https_call import Timeouts
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent import client as client_module
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent import credentials
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.client import TencentClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import (
    REMEDIES,
    Call,
    matches,
    refusal,
)

KEY = "-----BEGIN PRIVATE KEY----- of a test"


def envelope(**fields):
    return json.dumps({"Response": {**fields, "RequestId": "r-1"}}).encode()


def error(code, message="the words of the API"):
    return envelope(Error={"Code": code, "Message": message})


def http_answer(body, status=200, content_type="application/json", **headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class RawServer:
    """A server that answers each connection as the next of *answers* says: bytes, or a function of the socket."""

    def __init__(self, stack, answers):
        self.answers, self.requests = list(answers), []
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads, self.connections = [threading.Thread(target=self._run, daemon=True)], []
        self.threads[0].start()
        stack.callback(self._stop)

    def _stop(self):
        with contextlib.suppress(OSError):  # a test has closed it
            self.listener.shutdown(socket.SHUT_RDWR)  # ends accept(), as close() does not
        self.threads[0].join()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self.listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self.threads.append(thread)
                self.connections.append(connection)
                thread.start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            stream = connection.makefile("rb")
            line = stream.readline()
            headers = http.client.parse_headers(stream)
            body = stream.read(int(headers["Content-Length"] or 0))
            self.requests.append((line.decode().split()[1], headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if callable(answer):
                answer(connection)
            else:
                connection.sendall(answer)


@pytest.fixture
def start(monkeypatch):
    monkeypatch.setattr(client_module, "RETRY_DELAYS_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr(client_module, "RATE_LIMIT_DELAYS_S", (0.01, 0.01, 0.01))
    with contextlib.ExitStack() as stack:

        def run(*answers, **settings):
            server = RawServer(stack, answers)
            client = TencentClient(
                "main", **{"secret_id": "AKIDtest", "secret_key": "sk", "endpoint": server.url, **settings}
            )
            client.timeouts = Timeouts(connect=1, silence=0.5, call=1)
            return client, server

        yield run


def test_an_action_is_called_with_its_version_and_in_english(start):
    client, server = start(http_answer(envelope(TotalCount=0)))
    assert client.call("ssl", "DescribeCertificates", {"Limit": 1}) == {"TotalCount": 0, "RequestId": "r-1"}
    ((path, headers, body),) = server.requests
    assert path == "/"
    assert json.loads(body) == {"Limit": 1}
    assert headers["X-TC-Action"] == "DescribeCertificates"
    assert headers["X-TC-Version"] == "2019-12-05"
    assert headers["X-TC-Language"] == "en-US"
    assert "X-TC-Region" not in headers
    assert headers.get_all("Host") == [server.url.removeprefix("http://")]
    assert headers.get_all("Content-Type") == ["application/json"]


def test_a_token_goes_with_the_call(start):
    client, server = start(http_answer(envelope()), token="temporary")
    client.call("ssl", "DescribeCertificates")
    assert server.requests[0][1]["X-TC-Token"] == "temporary"


def test_a_regional_service_takes_the_region_of_the_account(start):
    client, server = start(http_answer(envelope()), region="ap-guangzhou")
    client.call("vpc", "DescribeSecurityGroups")
    client.call("vpc", "DescribeSecurityGroups", region="ap-shanghai")
    assert [headers["X-TC-Region"] for _path, headers, _body in server.requests] == ["ap-guangzhou", "ap-shanghai"]


def test_a_regional_service_without_a_region_says_what_to_write(start):
    client, server = start(http_answer(envelope()))
    with pytest.raises(TlsError, match=r"main has no region, which vpc needs; write for example region: ap-guangzhou"):
        client.call("vpc", "DescribeSecurityGroups")
    assert server.requests == []


@pytest.mark.parametrize(
    ("site", "host"),
    [("china", "ssl.tencentcloudapi.com"), ("international", "ssl.intl.tencentcloudapi.com")],
)
def test_the_site_decides_the_host(monkeypatch, site, host):
    hosts = []

    def send(method, endpoint, *_more):
        hosts.append(endpoint)
        return https_call.HttpResponse(200, {}, envelope())

    monkeypatch.setattr(client_module, "send", send)
    TencentClient("main", secret_id="a", secret_key="b", site=site).call("ssl", "DescribeCertificates")
    assert hosts == [https_call.Endpoint(True, host, 443, "/")]


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/plain", "application/json"])
def test_an_error_is_one_whatever_its_media_type(start, content_type):
    client, _server = start(http_answer(error("InvalidParameter"), content_type=content_type))
    with pytest.raises(TlsError, match=r"refuses ssl:DescribeCertificates .*\(InvalidParameter, RequestId r-1\)"):
        client.call("ssl", "DescribeCertificates")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (http_answer(b"<html>login</html>", content_type="text/html"), "answers with status 200, text/html, 18 bytes"),
        (http_answer(b'{"Response": {"Cert'), "answers with status 200, application/json, 19 bytes"),
        (http_answer(b""), "answers with status 200, application/json, 0 bytes"),
        (http_answer(b"[]"), "this is no answer of the API; see whether a proxy"),
        (http_answer(b'{"Response": 1}'), "this is no answer of the API"),
        (http_answer(b"[" * 100_000), "this is no answer of the API"),
        (http_answer(b"down", 502, "text/html"), "answers with status 502"),
        (http_answer(b"", 302, Location="https://elsewhere.example/"), "it leads elsewhere, as the API never does"),
        (http_answer(b"no", 404, "text/html"), "answers with status 404"),
        (http_answer(envelope(Error="no")), "an error without a code"),
        (http_answer(envelope(), 500), "an error without a code"),
        (http_answer(envelope(Certificates=[]))[:-5], "its answer is cut off"),
        (b"", "its answer is cut off"),
        (b"\0\1\2\r\n\r\n", "its answer is cut off"),
        (http_answer(b"x" * 2000)[:100], "its answer is cut off"),
    ],
)
def test_what_is_no_answer_of_the_api_is_said(start, answer, sentence):
    client, _server = start(answer)
    with pytest.raises(TlsError) as caught:
        client.call("ssl", "DescribeCertificates", {"SearchKey": KEY})
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("account main, ssl:DescribeCertificates: ")
    assert ";" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_redirect_is_not_followed(start):
    other, elsewhere = start(http_answer(envelope()))
    client, _server = start(http_answer(b"", 307, Location=elsewhere.url))
    with pytest.raises(TlsError, match="leads elsewhere"):
        client.call("ssl", "DescribeCertificates")
    assert elsewhere.requests == []
    assert other.name == "main"


def trickle(connection):
    for byte in http_answer(envelope(Text="x" * 1000)):
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def trickle_headers(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    trickle(connection)


def keep_silent(connection):
    connection.recv(1)  # until the client is gone


@pytest.mark.parametrize("answer", [trickle, trickle_headers, keep_silent])
def test_a_slow_answer_has_one_deadline(start, monkeypatch, answer):
    monkeypatch.setattr(client_module, "RETRY_DELAYS_S", ())
    client, _server = start(answer)
    begin = time.monotonic()
    with pytest.raises(TlsError, match=r"does not answer in time \(1 s to connect, 0.5 s of silence, 1 s in all\)"):
        client.call("ssl", "DescribeCertificates")
    assert time.monotonic() - begin < 2


def test_an_endless_answer_has_a_limit(start, monkeypatch):
    monkeypatch.setattr(https_call, "MAX_RESPONSE_BYTES", 100_000)
    monkeypatch.setattr(client_module, "RETRY_DELAYS_S", ())

    def endless(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    client, _server = start(endless)
    with pytest.raises(TlsError, match="sends more than 100000 bytes"):
        client.call("ssl", "DescribeCertificates")


@pytest.mark.parametrize("answer", [b"", http_answer(b"", 503), http_answer(error("InternalError"))])
def test_a_look_is_repeated_after_a_failure(start, answer):
    client, server = start(answer, answer, http_answer(envelope(TotalCount=2)))
    assert client.call("ssl", "DescribeCertificates")["TotalCount"] == 2
    assert len(server.requests) == 3


@pytest.mark.parametrize("action", ["UploadCertificate", "ApplyCertificate", "CreateTXTRecord", "ReplaceCertificate"])
@pytest.mark.parametrize("answer", [b"", http_answer(b"", 503), http_answer(error("InternalError"))])
def test_what_makes_something_is_sent_once(start, action, answer):
    client, server = start(answer)
    service = "dnspod" if "TXT" in action else "ssl"
    with pytest.raises(TlsError):
        client.call(service, action)
    assert len(server.requests) == 1


def test_what_was_never_sent_is_repeated(start, monkeypatch):
    client, server = start(http_answer(envelope()))
    server.listener.shutdown(socket.SHUT_RDWR)  # ends the accept() in another thread, which would serve one more
    server.listener.close()
    delays = []
    monkeypatch.setattr(client_module.time, "sleep", delays.append)
    with pytest.raises(TlsError, match="cannot be reached"):
        client.call("ssl", "UploadCertificate")
    assert delays.count(0.01) == 3  # others are of threads that poll


def test_a_rate_limit_is_waited_for(start):
    limited = http_answer(error("RequestLimitExceeded"))
    client, server = start(limited, limited, http_answer(envelope(CertificateId="c")))
    assert client.call("ssl", "UploadCertificate")["CertificateId"] == "c"
    assert len(server.requests) == 3


def test_a_rate_limit_that_stays_is_said(start):
    client, server = start(http_answer(error("RequestLimitExceeded")))
    with pytest.raises(TlsError, match="RequestLimitExceeded.*; run this again later, nothing was changed"):
        client.call("ssl", "UploadCertificate")
    assert len(server.requests) == 4


@pytest.mark.parametrize(("offset", "words"), [(400, "400 s behind"), (-400, "400 s ahead")])
def test_a_clock_that_is_off_is_told_by_how_much(start, offset, words):
    date = email.utils.formatdate(time.time() + offset, usegmt=True)
    client, _server = start(http_answer(error("AuthFailure.SignatureExpire"), Date=date))
    with pytest.raises(TlsError) as caught:
        client.call("ssl", "DescribeCertificates")
    shown = str(caught.value)
    assert "; set the clock of this machine (it is " in shown
    assert abs(int(shown.partition("(it is ")[2].split()[0]) - 400) <= 2
    assert words.split()[-1] in shown


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (
            "AuthFailure.SecretIdNotFound",
            "correct secret_id and secret_key of account main in cloud_accounts; a key of the",
        ),
        ("AuthFailure.SignatureFailure", "a key of the international site needs site: international"),
        ("AuthFailure.SignatureExpire", "set the clock of this machine"),
        ("AuthFailure.TokenFailure", "set role_arn in place of token"),
        ("AuthFailure.MFAFailure", "use a key of account main that needs no second factor"),
        ("OperationDenied.ProductUpdating", "is being moved to EdgeOne; run this again afterwards"),
        ("InvalidParameter.CdnHostInvalidStatus", "put the domain online in the console of the CDN"),
        ("InvalidParameter.AccessPortOpenedHttps", "open port 443 in the access ports of the domain"),
        (
            "UnauthorizedOperation.CdnUserIsSuspended",
            "only the console can change this: the CDN of account main is suspended",
        ),
        ("FailedOperation.CannotBeDeletedWithinHour", "run this again in an hour"),
        ("InvalidParameter.OperationIsTooFrequent", "run this again later, nothing was changed"),
        ("UnsupportedRegion", "correct the region of account main in cloud_accounts"),
        (
            "AuthFailure.UnauthorizedOperation",
            "allow ssl:UploadCertificate to the key of account main; the policy is in",
        ),
        ("UnauthorizedOperation.CamNoAuth", "allow ssl:UploadCertificate to the key of account main; the policy is in"),
        ("UnauthorizedOperation.CdnCamUnauthorized", "allow ssl:UploadCertificate"),
        ("ResourceNotFound.CdnHostNotExists", "add the domain to the CDN first; this collection makes no domains"),
        ("ResourceNotFound.CdnUserNotExists", "set service: teo and the zone"),
        ("OperationDenied.ProductUpgraded", "account main is in EdgeOne by now; set service: teo and the zone"),
        ("OperationDenied.UserMigrating", "is being moved to EdgeOne"),
        ("ResourceUnavailable.CdnHostIsLocked", "only the console can change this"),
        ("FailedOperation.CertificateParseError", "report this with the RequestId"),
        ("FailedOperation.CertificateMatchError", "report this with the RequestId"),
        ("FailedOperation.CertificateChainError", "report this with the RequestId"),
        ("FailedOperation.RevokeResourceFailed", "unbind the certificate first"),
        ("FailedOperation.DeleteResourceFailed", "unbind the certificate first"),
        ("FailedOperation.ExceedsFreeLimit", "revoke one that is not needed"),
        ("FailedOperation.MainDomainCertificateCountLimit", "revoking does not help"),
        ("RequestLimitExceeded", "run this again later, nothing was changed"),
        ("LimitExceeded.CdnHostOpTooOften", "run this again later, nothing was changed"),
        ("UnauthorizedOperation.OperationTooOften", "run this again later, nothing was changed"),
        (
            "InternalError.BackendResponseError",
            "try again later; if it stays, report it to Tencent Cloud with the RequestId",
        ),
        ("InvalidParameter.CdnHostExistsInEdgeOne", "set service: teo"),
        ("InvalidParameter.CdnHostIsCosDefaultAccess", "use a domain of your own"),
        ("Something.Else", "look the code up in the documentation of ssl:UploadCertificate"),
    ],
)
def test_a_code_is_a_sentence_that_ends_in_what_to_do(code, remedy):
    shown = refusal(Call("main", "ssl", "UploadCertificate"), code, "words " * 1000, "r-1")
    assert str(shown).startswith("Tencent Cloud refuses ssl:UploadCertificate for account main: words")
    assert f"({code}, RequestId r-1); " in str(shown)
    assert remedy in str(shown).partition("RequestId r-1); ")[2]
    assert len(str(shown)) < 800
    assert shown.code == code


def test_no_remedy_is_hidden_by_a_pattern_before_it():
    assert len(REMEDIES) > 50
    for pattern, text in REMEDIES:
        code = pattern.replace("*", "X")
        first = next(remedy for earlier, remedy in REMEDIES if matches(code, [earlier]))
        assert first == text, f"{pattern} is told another remedy"


def test_each_remedy_can_be_written():
    assert len(REMEDIES) > 50
    for pattern, _text in REMEDIES:
        assert ";" in str(refusal(Call("main", "cdn", "X"), pattern.replace("*", "A"), "", ""))


def test_no_body_is_logged_or_raised(start, capfd, monkeypatch):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    try:
        client, server = start(http_answer(error("FailedOperation.CertificateParseError")))
        with pytest.raises(TlsError) as caught:
            client.call("ssl", "UploadCertificate", {"CertificatePrivateKey": KEY})
    finally:
        logging.getLogger().removeHandler(handler)
    assert KEY.encode() in server.requests[0][2]
    printed = capfd.readouterr()
    for text in (stream.getvalue(), printed.out, printed.err, str(caught.value), repr(caught.value.__cause__)):
        assert "PRIVATE KEY" not in text
        assert "sk" not in text.split()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://api.example.org", "would send credentials and keys without encryption"),
        ("http://127.0.0.1.example.org", "without encryption"),
        ("ftp://api.example.org", "is no URL"),
        ("https://", "is no URL"),
        ("https://a:b@c.example", "is no URL"),
        ("https://c.example:99999", "is no URL"),
    ],
)
def test_an_endpoint_is_https(url, sentence):
    with pytest.raises(TlsError, match=sentence):
        TencentClient("main", secret_id="a", secret_key="b", endpoint=url)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "account main has no credentials; write secret_id and secret_key, or cvm_role"),
        ({"secret_id": "a"}, "account main has no secret_key; secret_id and secret_key belong together"),
        ({"secret_key": "a"}, "account main has no secret_id"),
        ({"secret_id": "a", "secret_key": "b", "cvm_role": "c"}, "has both secret_id and cvm_role"),
        ({"secret_id": "a", "secret_key": "b c"}, "have blanks, line breaks or letters that are not ASCII"),
        ({"secret_id": "a", "secret_key": "b", "ca_file": "/nowhere.pem"}, "ca_file /nowhere.pem does not exist"),
    ],
)
def test_settings_that_do_not_fit_are_said(monkeypatch, settings, sentence):
    for name in credentials.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TlsError, match=sentence):
        TencentClient("main", **settings)


def test_the_environment_has_a_key(monkeypatch):
    for name, value in zip(credentials.ENVIRONMENT, ("id", "key", "token"), strict=True):
        monkeypatch.setenv(name, value)
    assert TencentClient("main").credentials.current() == ("id", "key", "token")


def assumed(end, number=1):
    fields = {"TmpSecretId": f"tmp{number}", "TmpSecretKey": "k", "Token": "t"}
    return http_answer(envelope(Credentials=fields, ExpiredTime=end))


def test_a_role_is_assumed_once_and_again_before_it_ends(start):
    soon, late = int(time.time()) + 100, int(time.time()) + 7200
    done = http_answer(envelope())
    client, server = start(assumed(soon), done, assumed(late, 2), done, done, role_arn="qcs::cam::uin/1:roleName/tls")
    for _time in range(3):
        client.call("ssl", "DescribeCertificates")
    actions = [headers["X-TC-Action"] for _path, headers, _body in server.requests]
    assert actions == ["AssumeRole", "DescribeCertificates", "AssumeRole", *["DescribeCertificates"] * 2]
    assert server.requests[0][1]["X-TC-Region"] == "ap-guangzhou"
    assert "Credential=AKIDtest/" in server.requests[2][1]["Authorization"]
    assert "Credential=tmp2/" in server.requests[4][1]["Authorization"]
    assert server.requests[4][1]["X-TC-Token"] == "t"


def test_a_role_without_credentials_is_said(start):
    client, _server = start(http_answer(envelope(Credentials={})), role_arn="role")
    with pytest.raises(TlsError, match="sts:AssumeRole gives no credentials for role"):
        client.call("ssl", "DescribeCertificates")


def metadata_server(stack, monkeypatch, answer):
    server = RawServer(stack, [answer])
    endpoint = https_call.parse_endpoint(server.url)
    monkeypatch.setattr(credentials, "METADATA_ENDPOINT", endpoint)
    monkeypatch.setattr(credentials, "METADATA_TIMEOUTS", Timeouts(1, 0.3, 0.5))
    return server


def test_a_machine_of_the_cloud_has_a_role(monkeypatch):
    fields = {
        "TmpSecretId": "i",
        "TmpSecretKey": "k",
        "Token": "t",
        "ExpiredTime": time.time() + 7200,
        "Code": "Success",
    }
    with contextlib.ExitStack() as stack:
        server = metadata_server(stack, monkeypatch, http_answer(json.dumps(fields).encode()))
        source = TencentClient("main", cvm_role="tls").credentials
        assert [source.current(), source.current()] == [("i", "k", "t")] * 2
        assert [path for path, _headers, _body in server.requests] == [credentials.METADATA_PATH + "tls"]


@pytest.mark.parametrize(
    "answer", [lambda _connection: time.sleep(3), b"", http_answer(b"<html>"), http_answer(b"", 404)]
)
def test_a_machine_without_a_role_is_told_soon(monkeypatch, answer):
    with contextlib.ExitStack() as stack:
        metadata_server(stack, monkeypatch, answer)
        begin = time.monotonic()
        with pytest.raises(TlsError, match="; run this on a CVM instance with that role, or correct cvm_role"):
            TencentClient("main", cvm_role="tls").credentials.current()
        assert time.monotonic() - begin < 2
