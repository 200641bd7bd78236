# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small ACME server whose next responses a test can choose.

What Pebble does is tested with Pebble. This one is for what servers do on bad days. Otherwise it is honest: nonces hold once,
signatures are verified, and certificates are signed for the key and the names of an order. It believes every name.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import http.server
import json
import secrets
import ssl
import time

import josepy
from acme import jws
from cryptography import x509

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import requested_names
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

OWN_ROOT = Authority("Root CA of the server itself")
ERROR = "urn:ietf:params:acme:error:"
TRICKLE_PAUSE_S = 0.05
LOST = object()  # a response that does not arrive


class AcmeServer:
    """An ACME server. requested_paths: the path of each request. orders: the orders that were placed."""

    def __init__(self, folder):
        self.authority = Authority("ACME Issuing CA", above=Authority("ACME Root CA"))
        self.requested_paths, self.orders, self.certificates = [], [], []
        self.nonces, self.accounts, self.next_responses = set(), {}, collections.defaultdict(list)
        self.status, self.challenges, self.meta, self.extra = "valid", ["http-01"], {}, {}
        self.renewal, self.silent, self.trickled = None, 0, {}
        self.ca_file = str(folder / "acme-ca.pem")
        (folder / "acme-ca.pem").write_bytes(OWN_ROOT.pem)
        (folder / "acme.pem").write_bytes(to_pem([OWN_ROOT.leaf(["127.0.0.1"], some_key())]) + key_pem(some_key()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(folder / "acme.pem"))
        self.listener = ThreadedServer(handler(self))
        self.listener.verify_request = lambda *_of_whom: not self.is_silent()
        self.listener.socket = context.wrap_socket(
            self.listener.socket, server_side=True, do_handshake_on_connect=False
        )
        self.base = f"https://127.0.0.1:{self.listener.server_address[1]}"
        self.url = f"{self.base}/directory"
        self.listener.start()

    def answer(self, path, status=200, content=None, headers=None, times=1):
        """Set the response to the next requests to a path; the status 0 closes the connection instead."""
        self.next_responses[path] += [(status, content if content is not None else {}, headers or {})] * times

    def lose(self, path):
        """Process the next request to a path, and close the connection without a response."""
        self.next_responses[path].append(LOST)

    def trickle(self, path, is_whole=False):
        """Have all responses to a path come one byte at a time: the body, or *is_whole* the headers as well."""
        self.trickled[path] = is_whole

    def hang_up(self, times):
        """Close the next connections before the handshake."""
        self.silent = times

    def refuse(self, path, code, detail="no", status=400, headers=None, times=1, **more):
        """Respond to the next requests to a path with a problem document."""
        problem = {"type": ERROR + code, "detail": detail, **more}
        self.answer(path, status, problem, {"Content-Type": "application/problem+json", **(headers or {})}, times)

    def suggest(self, start, end, **more):
        """Set the suggested renewal window (RFC 9773)."""
        self.extra = {"renewalInfo": f"{self.base}/renewal"}
        self.renewal = {"suggestedWindow": {"start": start.isoformat(), "end": end.isoformat()}, **more}

    def count(self, path):
        """Return the number of requests to a path; one that ends in a slash includes what is below it."""
        return sum(
            requested == path or (path.endswith("/") and requested.startswith(path))
            for requested in self.requested_paths
        )

    def is_silent(self):
        self.silent -= 1
        return self.silent >= 0

    def nonce(self):
        nonce = secrets.token_urlsafe(16)
        self.nonces.add(nonce)
        return nonce

    def respond(self, method, path, body):
        """Return status, headers and content of a response."""
        if path == "/directory":
            names = {
                "newNonce": "nonce",
                "newAccount": "account",
                "newOrder": "order",
                "revokeCert": "revoke",
                "keyChange": "key",
            }
            return (
                200,
                {},
                {**{name: f"{self.base}/{at}" for name, at in names.items()}, **self.extra, "meta": self.meta},
            )
        if path.startswith("/renewal/") and self.renewal:
            return 200, {"Retry-After": "21600"}, self.renewal
        if path == "/nonce":
            return 200, {}, b""
        if method == "GET":
            return 404, {}, {"type": ERROR + "malformed", "detail": "nothing is there"}
        payload, refusal = self.verified(path, body)
        return refusal or self.act(path, payload)

    def verified(self, path, body):
        """Return the payload of a signed request, or None and the refusal."""
        signed = jws.JWS.from_json(json.loads(body))
        header = signed.signature.combined
        nonce = josepy.b64encode(header.nonce or b"").decode()
        if nonce not in self.nonces:
            return None, (400, {}, {"type": ERROR + "badNonce", "detail": "the nonce is used up"})
        self.nonces.remove(nonce)
        key = header.jwk if header.kid is None else self.accounts[header.kid]
        if header.url != self.base + path or not signed.verify(key):
            return None, (403, {}, {"type": ERROR + "unauthorized", "detail": "the signature is wrong"})
        if path == "/account":
            self.accounts[f"{self.base}/account/1"] = key
        return json.loads(signed.payload or b"null"), None

    def act(self, path, payload):
        kind, _slash, number = path[1:].partition("/")
        if kind == "account":
            return 201, {"Location": f"{self.base}/account/1"}, {"status": "valid"}
        if kind == "order" and not number:
            names = [one["value"] for one in payload["identifiers"]]
            self.orders.append(
                {**payload, "names": names, "status": "pending", "authorizations": ["pending"] * len(names)}
            )
            location = f"{self.base}/order/{len(self.orders) - 1}"
            return 201, {"Location": location}, self.order(len(self.orders) - 1)
        first, _dot, second = number.partition(".")
        order = self.orders[int(first)]
        if kind == "order":
            return 200, {}, self.order(int(first))
        if kind == "authorization":
            return 200, {}, self.authorization(int(first), int(second))
        if kind == "challenge":
            order["authorizations"][int(second)] = self.status
            if set(order["authorizations"]) == {"valid"}:
                order["status"] = "ready"
            return 200, {}, {"type": "http-01", "url": f"{self.base}{path}", "status": "processing"}
        if kind == "finalize":
            csr = x509.load_der_x509_csr(josepy.b64decode(payload["csr"]))
            assert requested_names(csr) == set(order["names"])
            order["chain"] = to_pem(self.authority.chain(order["names"], csr))
            self.certificates.append(order["chain"])
            order["status"] = "valid"
            return 200, {}, self.order(int(first))
        assert kind == "certificate"
        return 200, {"Content-Type": "application/pem-certificate-chain"}, order["chain"]

    def order(self, number):
        order = self.orders[number]
        return {
            "status": order["status"],
            "identifiers": order["identifiers"],
            "authorizations": [f"{self.base}/authorization/{number}.{one}" for one in range(len(order["names"]))],
            "finalize": f"{self.base}/finalize/{number}",
            "certificate": f"{self.base}/certificate/{number}",
        }

    def authorization(self, number, one):
        order = self.orders[number]
        status = order["authorizations"][one]
        token = base64.urlsafe_b64encode(f"token {number} {one}".encode()).decode().rstrip("=")
        url = f"{self.base}/challenge/{number}.{one}"
        challenges = [{"type": kind, "url": url, "token": token, "status": "pending"} for kind in self.challenges]
        return {"status": status, "identifier": order["identifiers"][one], "challenges": challenges}


def handler(server):
    """Return the request handler of a server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.requested_paths.append(self.path)
            next_response = server.next_responses[self.path].pop(0) if server.next_responses[self.path] else None
            if next_response and next_response is not LOST:
                status, content, headers = next_response
            else:
                status, headers, content = server.respond(self.command, self.path, body)
            if not status or next_response is LOST:
                self.close_connection = True
                return
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            if server.trickled.get(self.path):
                self.write_slowly(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"a" * 1000)
                return
            self.send_response(status)
            nonce = {} if self.path == "/directory" else {"Replay-Nonce": server.nonce()}
            for name, value in {**nonce, **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD" and self.path in server.trickled:
                self.write_slowly(content)
            elif self.command != "HEAD":
                self.wfile.write(content)

        def write_slowly(self, content):
            """Write a byte every TRICKLE_PAUSE_S, until the client has gone."""
            self.close_connection = True
            with contextlib.suppress(OSError):
                for number in range(len(content)):
                    self.wfile.write(content[number : number + 1])
                    time.sleep(TRICKLE_PAUSE_S)

        def do_GET(self):
            self.answer()

        def do_POST(self):
            self.answer()

        def do_HEAD(self):
            self.answer()

        def log_message(self, *_words):
            pass

    return Handler


@contextlib.contextmanager
def running_acme_server(folder):
    """Yield a server; stop it in the end."""
    server = AcmeServer(folder)
    try:
        yield server
    finally:
        server.listener.stop()
