# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines of a CDN: each answers on an address of its own, with the certificate and the redirect that it has by now."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import ssl
import tempfile
import threading

TIMEOUT_S = 5.0
ORDER = ["TLSv1.2", "TLSv1.3"]  # OpenSSL of today speaks no older ones


class Edge:
    """One machine. configuration: returns that of a domain here and now, or None; pair: chain and key in PEM of a certificate."""

    def __init__(self, address, configuration, pair, https_port=443, http_port=80):
        self.configuration, self.pair = configuration, pair
        self.context_of = functools.lru_cache(maxsize=256)(self._context)
        self.https = socket.create_server((address, https_port))
        self.http = socket.create_server((address, http_port))
        for listener, answer in ((self.https, self._answer_https), (self.http, self._answer_http)):
            threading.Thread(target=self._listen, args=(listener, answer), daemon=True).start()

    def _listen(self, listener, answer):
        with contextlib.suppress(OSError):
            while True:
                connection, _client = listener.accept()
                threading.Thread(target=self._serve, args=(connection, answer), daemon=True).start()

    def _serve(self, connection, answer):
        connection.settimeout(TIMEOUT_S)
        with contextlib.suppress(OSError, ssl.SSLError, ValueError), connection:
            answer(connection)

    def _answer_https(self, connection):
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        bare.sni_callback = self._choose
        with bare.wrap_socket(connection, server_side=True) as tls:
            self._respond(tls, "200 OK")

    def _choose(self, tls, name, _context):
        """Take the certificate of a domain; a domain that has none is refused as unrecognized."""
        config = self.configuration(name) if name else None
        if config is None or config["Https"]["Switch"] != "on":
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        versions = [version for version in ORDER if version in config["Https"]["TlsVersion"]]
        tls.context = self.context_of(config["Https"]["CertInfo"]["CertId"], tuple(versions))
        return None

    def _context(self, certificate, versions):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion[versions[0].replace(".", "_")]
        context.maximum_version = ssl.TLSVersion[versions[-1].replace(".", "_")]
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:  # which has mode 0600
            file.write("".join(self.pair(certificate)))
            file.flush()
            os.fsync(file.fileno())
            context.load_cert_chain(file.name)
        return context

    def _answer_http(self, connection):
        head = connection.recv(65536).decode("ascii", "replace")
        host = next((line[5:].strip() for line in head.splitlines() if line.lower().startswith("host:")), "")
        config = self.configuration(host)
        redirect = config["ForceRedirect"] if config else {"Switch": "off"}
        if redirect["Switch"] == "on":
            self._respond(
                connection, f"{redirect['RedirectStatusCode']} Moved", f"Location: https://{host}/\r\n", False
            )
        else:
            self._respond(connection, "200 OK" if config else "404 Not Found", read=False)

    def _respond(self, connection, status, headers="", read=True):
        if read:
            connection.recv(65536)
        connection.sendall(f"HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
