# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Web servers on the loopback network, whose responses each test chooses."""

from __future__ import annotations

import http.server
import ssl

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key
from ansible_collections.evergreen.tls.tests.unit.fake_internet import free_port
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer


class Web:
    """Web servers, one for each address, with one port for HTTP and one for HTTPS.

    requests: a tuple of scheme, address, host name and path for each. user_agents: of each.
    """

    def __init__(self, stack, folder):
        self.stack, self.folder = stack, folder
        self.ports = {"http": free_port(), "https": free_port()}
        self.requests, self.user_agents = [], []

    def host(self, address, respond, scheme="http"):
        """Start a server at an address.

        respond: a function of the host name and the path that returns status, headers and body.
        """
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                web.requests.append((scheme, address, self.headers["Host"], self.path))
                web.user_agents.append(self.headers["User-Agent"])
                status, headers, body = respond(self.headers["Host"], self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                pass

        server = ThreadedServer(Handler, (address, self.ports[scheme]))
        if scheme == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            pem = self.folder / "expired.pem"
            key = some_key()
            leaf = Authority().leaf(["somebody.else.example"], key, days=(-90, -1))
            pem.write_bytes(to_pem([leaf]) + key_pem(key))
            context.load_cert_chain(str(pem))
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self.stack.callback(server.start().stop)
