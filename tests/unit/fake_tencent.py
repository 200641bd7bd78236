# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tencent Cloud on the loopback network: it verifies signatures with the vendor's SDK, and each call and answer by the description."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import time

from tencentcloud.common.sign import Sign

from ansible_collections.evergreen.tls.tests.cloud.refused import Refused
from ansible_collections.evergreen.tls.tests.unit.tencent_api import API, Unfit, check_answer, check_call
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

SECRET_ID, SECRET_KEY = "AKIDexample", "a-secret-key"
AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=(\S+)/(\d{4}-\d\d-\d\d)/(\w+)/tc3_request, SignedHeaders=content-type;host, Signature=(\w{64})"
)


class FakeTencent:
    """The API with some services.

    calls: service, action and parameters of each call that was authorized. refusals: a code for an action that is refused, or a list
    of codes for the next calls of it, None for one that is not refused.
    """

    def __init__(self, *services):
        self.services = {one.service: one for one in services}
        self.calls, self.regions, self.refusals = [], [], {}
        self.control = None  # what answers requests to other paths than that of the API, with get() and post()
        self.before = lambda _action, _parameters, _port: None  # called before each action, with the port of the client
        self.server = ThreadedServer(type("Handler", (_Handler,), {"cloud": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def actions(self):
        return [action for _service, action, _parameters in self.calls]

    def changes(self):
        """Return the actions that change something."""
        return [action for action in self.actions() if not action.startswith(("Describe", "Check", "Get"))]

    def account(self, **settings):
        return {"secret_id": SECRET_ID, "secret_key": SECRET_KEY, "endpoint": self.url, **settings}

    def respond(self, headers, body, port=0):
        service = _verify(headers, body)
        action, parameters = headers["X-TC-Action"], json.loads(body)
        check_call(service, action, headers["X-TC-Version"], parameters)
        self.calls.append((service, action, parameters))
        self.regions.append(headers["X-TC-Region"])
        self.before(action, parameters, port)
        code = self.refusals.get(action)
        if isinstance(code, list):
            code = code.pop(0) if code else None
        if code:
            raise Refused(code)
        answer = getattr(self.services[service], action)(**parameters)
        check_answer(service, action, answer)
        return answer


def _verify(headers, body):
    match = AUTHORIZATION.fullmatch(headers["Authorization"] or "")
    if not match:
        raise Refused("AuthFailure.InvalidAuthorization")
    secret_id, day, service, signature = match.groups()
    if secret_id != SECRET_ID:
        raise Refused("AuthFailure.SecretIdNotFound")
    timestamp = int(headers["X-TC-Timestamp"])
    if abs(time.time() - timestamp) > 300 or day != time.strftime("%Y-%m-%d", time.gmtime(timestamp)):
        raise Refused("AuthFailure.SignatureExpire")
    digest = hashlib.sha256(body).hexdigest()
    canonical = (
        f"POST\n/\n\ncontent-type:{headers['Content-Type']}\nhost:{headers['Host']}\n\ncontent-type;host\n{digest}"
    )
    text = (
        f"TC3-HMAC-SHA256\n{timestamp}\n{day}/{service}/tc3_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    )
    if Sign.sign_tc3(SECRET_KEY, day, service, text) != signature:
        raise Refused("AuthFailure.SignatureFailure")
    if service not in API:
        raise Refused("NoSuchProduct")
    return service


class _Handler(http.server.BaseHTTPRequestHandler):
    cloud: FakeTencent

    def do_GET(self):
        self._send(self.cloud.control.get(self.path))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.cloud.control and self.path != "/":
            self._send(self.cloud.control.post(json.loads(body)))
            return
        try:
            answer = self.cloud.respond(self.headers, body, self.client_address[1])
        except (Refused, Unfit) as error:
            answer = {"Error": {"Code": error.code, "Message": error.message}}
        self._send({"Response": {"RequestId": "0c1d-test", **answer}})

    def _send(self, answer):
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def fake_tencent(*services):
    """Start the API, and stop it at the end."""
    cloud = FakeTencent(*services)
    cloud.server.start()
    try:
        yield cloud
    finally:
        cloud.server.stop()
