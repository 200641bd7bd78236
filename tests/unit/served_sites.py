# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A name with several addresses of the loopback network, at each of which a web server presents what a test chooses."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import time

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.subject import ServedSubject
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key
from ansible_collections.evergreen.tls.tests.unit.fake_internet import free_port
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

NAME = "www.example.org"
CHECK_TIMEOUT_S = 20.0


class KnownAddresses:
    """The resolver of a test. Names that it does not know have no address."""

    def __init__(self, **addresses):
        self.by_name = dict(addresses)

    def addresses(self, name, *_timeout):
        if not self.by_name.get(name):
            raise TlsError(f"{name} has no address in DNS; create an A or AAAA record")
        return self.by_name[name]


class IPv6Server(ThreadedServer):
    address_family = socket.AF_INET6


class Site:
    """The web servers of one name, with one port for HTTP and one for HTTPS."""

    def __init__(self, stack, folder):
        self.stack, self.folder = stack, folder
        self.port, self.http_port = free_port(), free_port()
        self.authority = Authority()
        self.dns = KnownAddresses()

    def present(self, address, chain=None, key=None, nameless=None, protocols=(), headers=(), version=None):
        """Present a chain at an address, and add the address to DNS.

        nameless: the chain for clients without SNI, or False to refuse them. headers: of each response, as pairs.
        """
        context = self.context(chain or self.authority.chain([NAME], some_key()), key, protocols)
        if version:
            context.maximum_version = version
        other = self.context(nameless, key, protocols) if nameless else None

        def choose(connection, name, _context):
            if name is None and nameless is False:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            if name is None and other:
                connection.context = other
            return None

        context.sni_callback = choose
        server = self.serve(address, self.port, lambda _name, _path: (200, headers, b"hello"), context)
        self.dns.by_name.setdefault(NAME, []).append(address)
        return server

    def context(self, chain, key=None, protocols=()):
        """Return the context of a server that presents a chain."""
        path = self.folder / f"{time.monotonic_ns()}.pem"
        path.write_bytes(to_pem(chain) + key_pem(key or some_key()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def serve(self, address, port, respond, context=None):
        """Start a web server. respond: a function of host name and path that returns status, headers as pairs, and body."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def setup(self):
                if context:
                    self.request.settimeout(CHECK_TIMEOUT_S)
                    self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def do_GET(self):
                status, headers, body = respond(self.headers["Host"], self.path)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def send_header(self, keyword, value):  # without its own header Server where a test has one
                if keyword == "Server" and value == self.version_string():
                    return
                super().send_header(keyword, value)

            def log_message(self, *_arguments):
                pass

        kind = IPv6Server if ":" in address else ThreadedServer
        server = kind(Handler, (address, port))
        server.handle_error = lambda *_arguments: None  # a client has refused a certificate
        self.stack.callback(server.start().stop)
        return server

    def redirect(self, address, respond):
        """Have a web server answer over HTTP. respond: as that of serve()."""
        return self.serve(address, self.http_port, respond)

    def subject(self, **known):
        """Return the subject of the checks. The private CA of the test is trusted."""
        values = {
            "domain": NAME,
            "dns": self.dns,
            "deadline": time.monotonic() + CHECK_TIMEOUT_S,
            "port": self.port,
            "http_port": self.http_port,
            "roots": self.authority.pem.decode(),
            "checks_revocation": False,
        }
        return ServedSubject(**{**values, **known})

    def check(self, prefix="", **known):
        """Return the findings whose codes begin so."""
        # not at the top: it needs ansible-core, which the host with the browser does not have
        from ansible_collections.evergreen.tls.plugins.plugin_utils._served.checks import check_served

        return [one for one in check_served(self.subject(**known)) if one.code.startswith(prefix)]


@contextlib.contextmanager
def served_site(folder):
    """Yield a site without addresses; stop its servers in the end."""
    with contextlib.ExitStack() as stack:
        yield Site(stack, folder)


def fingerprint_of(chain):
    """Return the fingerprint of the leaf of a chain."""
    return fingerprint(chain[0])
