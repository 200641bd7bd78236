#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Be an application at port 8080: a page that speaks with it over WebSocket, and that returns what is posted.

The page loads a picture that is ready once the browser has confirmed a message, so that a browser that prints the loaded page prints
what it received over WebSocket.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import threading

PORT = 8080
CONFIRMATION_TIMEOUT_S = 10
WEBSOCKET_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
PAGE = b"""<!DOCTYPE html>
<html><head><title>Application</title></head><body><p id="answer">nothing yet</p>
<script>
const socket = new WebSocket("wss://" + location.host + "/socket");
socket.onopen = () => socket.send("ping");
socket.onmessage = (event) => {
    document.getElementById("answer").textContent = "received " + event.data + " at " + location.href;
    socket.send("seen");
};
</script>
<img src="/picture" alt="">
</body></html>
"""
confirmed = threading.Event()


class Application(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self.speak()
        elif self.path == "/picture":
            self.respond(200 if confirmed.wait(CONFIRMATION_TIMEOUT_S) else 504, b"")
        else:
            confirmed.clear()
            self.respond(200, PAGE)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.respond(200, b"POST of " + body + b" to " + self.headers["Host"].encode() + b"\n")

    def respond(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def speak(self) -> None:
        """Answer a message over WebSocket in upper case, and wait until it is confirmed."""
        key = self.headers["Sec-WebSocket-Key"] + WEBSOCKET_SUFFIX
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        message = self.receive()
        self.wfile.write(bytes([0x81, len(message)]) + message.upper())
        self.receive()
        confirmed.set()
        self.close_connection = True

    def receive(self) -> bytes:
        """Return a short message of a client, which is masked (RFC 6455, section 5.3)."""
        _opcode, length = self.rfile.read(2)
        mask = self.rfile.read(4)
        return bytes(byte ^ mask[index % 4] for index, byte in enumerate(self.rfile.read(length & 0x7F)))


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Application).serve_forever()
