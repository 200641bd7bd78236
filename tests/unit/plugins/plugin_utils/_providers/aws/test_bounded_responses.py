# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers in place of AWS that never end, are too large, or are cut off: each ends in time, in little memory, and in a sentence."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws import bounded_responses, session
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

CHUNK = b"x" * 65536


class Endpoint:
    """An endpoint whose body a test chooses: chunks, and seconds between two of them."""

    def __init__(self, chunks, pause_s=0.0, length=None):
        self.chunks, self.pause_s, self.length = chunks, pause_s, length
        self.requests, self.sent, self.is_over = 0, 0, threading.Event()
        handler = type("Handler", (_Handler,), {"endpoint": self})
        self.server = ThreadedServer(handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.endpoint.requests += 1
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Connection", "close")
        length = self.endpoint.length
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):
            for chunk in self.endpoint.chunks():
                self.wfile.write(chunk if length is not None else b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.endpoint.sent += len(chunk)
                if self.endpoint.is_over.wait(self.endpoint.pause_s):
                    return

    def log_message(self, *_arguments):
        pass


def without_end():
    while True:
        yield CHUNK


def drops():
    while True:
        yield b" "


@contextlib.contextmanager
def running(endpoint):
    endpoint.server.start()
    try:
        yield endpoint
    finally:
        endpoint.is_over.set()
        endpoint.server.stop()


def error_of(endpoint):
    settings = {"access_key": "A", "secret_key": "B", "region": "eu-central-1", "endpoint": endpoint.url}
    with pytest.raises(TlsError) as caught:
        AwsSession("shop", settings).client("acm").call("ListCertificates")
    return str(caught.value)


def test_an_answer_without_end_is_read_up_to_the_limit_and_asked_for_once():
    with running(Endpoint(without_end)) as endpoint:
        assert error_of(endpoint) == (
            "acm:ListCertificates of the account shop failed (ResponseTooLarge: more than 8388608 bytes); something other than AWS answers "
            "there; see endpoint of the account, and the proxy"
        )
        assert endpoint.requests == 1
        assert endpoint.sent < 3 * bounded_responses.MAX_RESPONSE_BYTES, "what the buffers of the network hold is more"


def test_an_answer_that_drips_without_end_ends_at_the_deadline(monkeypatch):
    monkeypatch.setattr(bounded_responses, "CALL_TIMEOUT_S", 0.3)
    began = time.monotonic()
    with running(Endpoint(drops, pause_s=0.02)) as endpoint:
        assert error_of(endpoint) == (
            "acm:ListCertificates of the account shop did not end in time; see that the endpoint can be reached from the controller"
        )
        assert endpoint.requests == 1
    assert time.monotonic() - began < 5


def test_an_answer_that_falls_silent_is_told_and_asked_for_again(monkeypatch):
    monkeypatch.setattr(session, "SILENCE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(session, "MAX_ATTEMPTS", 2)
    with running(Endpoint(drops, pause_s=60.0)) as endpoint:
        assert "failed (ReadTimeoutError" in error_of(endpoint)
        assert endpoint.requests == 2


def test_an_answer_that_is_as_large_as_allowed_is_read():
    body = b'{"CertificateSummaryList": []' + b" " * (bounded_responses.MAX_RESPONSE_BYTES - 30) + b"}"
    with running(Endpoint(lambda: [body], length=len(body))) as endpoint:
        settings = {"access_key": "A", "secret_key": "B", "region": "eu-central-1", "endpoint": endpoint.url}
        answer = AwsSession("shop", settings).client("acm").call("ListCertificates", "CertificateSummaryList")
        assert answer == []


def test_an_answer_that_is_cut_off_is_told(monkeypatch):
    monkeypatch.setattr(session, "MAX_ATTEMPTS", 2)
    with running(Endpoint(lambda: [b'{"CertificateSummaryList": ['])) as endpoint:
        text = error_of(endpoint)
        assert text.startswith("acm:ListCertificates of the account shop failed (ConnectionClosedError")
        assert "see that the endpoint can be reached from the controller" in text
        assert endpoint.requests == 2


def test_the_clients_that_botocore_opens_for_credentials_have_limits_too():
    inner = session._botocore_session()
    inner.set_credentials("A", "B")
    client = inner.create_client("sso", region_name="eu-central-1")
    assert type(client._endpoint.http_session).__name__ == "_SessionWithLimits"
