# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP hosts of a lab, each with one kind of answer to http-01 challenges. Most of them are kinds that CAs refuse.

The right answer is the token of the request, a dot, and the thumbprint of the ACME account, which stands in a file.
"""

from __future__ import annotations

import contextlib
import http.server
import pathlib
import socket
import socketserver
import ssl
import threading
import time
import typing as t

CHALLENGES = "/.well-known/acme-challenge/"
OTHER_THUMBPRINT = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"  # of no account here
LONG_ANSWER_BYTES = 3000
HOLD_TIMEOUT_S = 120.0
BLOCKED_AGENTS = ("let's encrypt", "letsencrypt", "validation server")
LISTEN_PORTS = {"http": 80, "https": 443, "other": 8080}


class Answer(t.NamedTuple):
    """What a host answers a request."""

    status: int = 200
    body: str = ""
    location: str = ""
    server: str = "nginx"


class Request(t.NamedTuple):
    """What a host is asked."""

    scheme: str
    name: str  # of the header Host
    path: str
    user_agent: str
    right: str  # the answer that a CA expects


def _redirect(status: int, url: str) -> t.Callable[[Request], Answer]:
    """Return an answer over http that leads elsewhere; {name} and {path} are those of the request. Over https it is the right one."""

    def answer(request: Request) -> Answer:
        if request.scheme != "http":
            return Answer(body=request.right)
        return Answer(status, location=url.format(name=request.name, path=request.path))

    return answer


def _to_wrong_https(request: Request) -> Answer:
    if request.scheme == "http":
        return Answer(301, location=f"https://{request.name}{request.path}")
    return Answer(body="<html><title>Welcome to the shop</title></html>")


def _see_other(request: Request) -> Answer:
    if request.path.endswith("?seen"):
        return Answer(body=request.right)
    return Answer(303, location=f"http://{request.name}{request.path}?seen")


def _endless(request: Request) -> Answer:
    number = int(request.path.rpartition("?")[2] or 0) if "?" in request.path else 0
    return Answer(302, location=f"http://{request.name}{request.path.partition('?')[0]}?{number + 1}")


def _blocks_agents(request: Request) -> Answer:
    if any(word in request.user_agent.lower() for word in BLOCKED_AGENTS):
        return Answer(403, "<html>Access denied</html>", server="cloudfirewall")
    return Answer(body=request.right)


KINDS: dict[str, t.Callable[[Request], Answer]] = {
    "right": lambda request: Answer(body=request.right),
    "other_account": lambda request: Answer(body=f"{token_of(request.path)}.{OTHER_THUMBPRINT}"),
    "not_found": lambda request: Answer(404, "<html>404 Not Found</html>", server="Apache"),
    "see_other": _see_other,
    "to_https": _redirect(301, "https://{name}{path}"),
    "to_wrong_https": _to_wrong_https,
    "to_other_host": _redirect(302, "http://missing.way.test{path}"),
    "to_metadata": _redirect(302, "http://169.254.169.254{path}"),
    "to_port": _redirect(301, "http://{name}:8080{path}"),
    "circle": _redirect(301, "http://{name}{path}"),
    "endless": _endless,
    "no_slash": _redirect(301, "http://{name}.well-known/acme-challenge/"),
    "changed_path": _redirect(301, "http://{name}/index.html"),
    "blanks": lambda request: Answer(body=f"\n  {request.right}"),
    "long": lambda request: Answer(body=request.right + " " * LONG_ANSWER_BYTES),
    "browser_page": lambda request: Answer(
        body="<html><script>checkYourBrowser()</script>Are you a browser?</html>", server="shield"
    ),
    "firewall_page": lambda request: Answer(403, "<html>Blocked by the web application firewall</html>", server="shield"),
    "blocks_agents": _blocks_agents,
    "escapes": lambda request: Answer(body="\x1b[2J\x1b]0;title\x07<html>", server="ev\x1bil"),
}  # fmt: skip
SILENT, TRICKLE, TLS_ON_80 = "silent", "trickle", "tls_on_80"  # do not get so far as to an answer of their own


def token_of(path: str) -> str:
    """Return the token of a challenge, or an empty text.

    >>> token_of("/.well-known/acme-challenge/abc?seen")
    'abc'
    """
    return path.removeprefix(CHALLENGES).partition("?")[0] if path.startswith(CHALLENGES) else ""


class HostServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A host on one port."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, scheme: str, kind: str, thumbprint: pathlib.Path) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.scheme, self.kind, self.thumbprint = scheme, kind, thumbprint
        self.closing = threading.Event()
        super().__init__((address, port), Handler)

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Say nothing of clients that break off."""


class Handler(http.server.BaseHTTPRequestHandler):
    """A request to a host."""

    server: HostServer
    timeout = 20.0

    def handle(self) -> None:
        """Answer a request, unless the host never does."""
        if self.server.kind == SILENT:
            self.server.closing.wait(HOLD_TIMEOUT_S)
        elif self.server.kind == TRICKLE:
            self._trickle()
        else:
            with contextlib.suppress(OSError):
                super().handle()

    def do_GET(self) -> None:
        """Answer a request."""
        name = (self.headers.get("Host") or "").partition(":")[0]
        request = Request(self.server.scheme, name, self.path, self.headers.get("User-Agent") or "", self._right())
        answer = KINDS.get(self.server.kind, KINDS["right"])(request)
        body = answer.body.encode()
        self.send_response_only(answer.status)
        self.send_header("Server", answer.server)
        if answer.location:
            self.send_header("Location", answer.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: t.Any) -> None:
        """Log nothing."""

    def _right(self) -> str:
        try:
            thumbprint = self.server.thumbprint.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            thumbprint = "none"
        return f"{token_of(self.path)}.{thumbprint}"

    def _trickle(self) -> None:
        deadline = time.monotonic() + HOLD_TIMEOUT_S
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Padding: ")
            while time.monotonic() < deadline and not self.server.closing.wait(1.0):
                self.wfile.write(b"a")


def servers_of(
    address: str, kind: str, thumbprint: pathlib.Path, context: ssl.SSLContext, ports: dict[str, int] | None = None
) -> list[HostServer]:
    """Return the listening servers of a host at an address: plain HTTP, HTTPS, and a further port for redirects."""
    ports = ports or LISTEN_PORTS
    servers = []
    for role, scheme in (("http", "http"), ("https", "https"), ("other", "http")):
        server = HostServer(address, ports[role], scheme, kind, thumbprint)
        if role == "https" or (role == "http" and kind == TLS_ON_80):
            # A client that never shakes hands shall hold a thread of its own, and not the one that accepts.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        servers.append(server)
    return servers
