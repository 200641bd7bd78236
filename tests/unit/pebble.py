# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pebble, Let's Encrypt's ACME server for tests, on the loopback address, with a DNS server in which every name leads there."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

from cryptography.hazmat.primitives import serialization

from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import closed_port
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

sys.path.append(str(pathlib.Path(__file__).parents[2] / "dev"))

from lab_faults import Proxy, serve

ROOT = pathlib.Path(__file__).parents[2]
PROGRAMS = ROOT / ".build/acme-servers/usr/bin"
OWN_ROOT = Authority("Root CA of the server itself")
DAY = 86400


class Pebble:
    """A running Pebble. It asks the DNS server *resolver*, or one in which every name leads to the loopback address."""

    def __init__(self, folder, http_port, eab=None, environment=None, resolver=None, **settings):
        subprocess.run([str(ROOT / "dev/acme-servers")], check=True)
        self.folder, self.port, self.management, dns = folder, closed_port(), closed_port(), closed_port()
        self.url = f"https://127.0.0.1:{self.port}/dir"
        self.ca_file = str(folder / "listener-ca.pem")
        (folder / "listener-ca.pem").write_bytes(OWN_ROOT.pem)
        (folder / "cert.pem").write_bytes(
            OWN_ROOT.leaf(["127.0.0.1", "localhost"], some_key()).public_bytes(serialization.Encoding.PEM)
        )
        (folder / "key.pem").write_bytes(key_pem(some_key()))
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(folder / "cert.pem"),
            "privateKey": str(folder / "key.pem"),
            "httpPort": http_port,
            "tlsPort": closed_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": bool(eab),
            "externalAccountMACKeys": eab or {},
            "domainBlocklist": ["blocked.example"],
            "retryAfter": {"authz": 1, "order": 1},
            "keyAlgorithm": "ecdsa",
            "profiles": {"default": {"description": "90 days", "validityPeriod": 90 * DAY}},
            **settings,
        }
        (folder / "config.json").write_text(json.dumps({"pebble": config}))
        environment = {
            **os.environ,
            "GOMAXPROCS": "1",  # see dev/lab_files.py
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_AUTHZREUSE": "0",
            "PEBBLE_WFE_NONCEREJECT": "20",
            **(environment or {}),
        }
        self.names = (
            None
            if resolver
            else subprocess.Popen(
                [
                    PROGRAMS / "pebble-challtestsrv",
                    "-dnsserver",
                    f"127.0.0.1:{dns}",
                    "-management",
                    f"127.0.0.1:{closed_port()}",
                ]
                + ["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""],
                stdout=(folder / "names.log").open("wb"),
                stderr=subprocess.STDOUT,
            )
        )
        self.server = subprocess.Popen(
            [PROGRAMS / "pebble", "-config", folder / "config.json", "-dnsserver", resolver or f"127.0.0.1:{dns}"],
            stdout=(folder / "pebble.log").open("wb"),
            stderr=subprocess.STDOUT,
            env=environment,
        )
        self._wait()

    def stop(self):
        for process in filter(None, (self.server, self.names)):
            process.terminate()
            process.wait()

    def managed(self, path, content=None):
        """Return the response of the management interface."""
        data = json.dumps(content).encode() if content is not None else None
        request = urllib.request.Request(f"https://127.0.0.1:{self.management}/{path}", data=data)
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=self.ca_file)) as response:
            return response.read()

    def root(self, number=0):
        """Return the root of the certificates that are issued."""
        return self.managed(f"roots/{number}")

    def is_revoked(self, certificate):
        """Say whether a certificate is revoked."""
        status = json.loads(self.managed(f"cert-status-by-serial/{certificate.serial_number:x}"))
        return status["Status"] == "Revoked"

    def suggest(self, certificate_pem, start, end, **more):
        """Set the suggested renewal window (RFC 9773)."""
        suggestion = {"suggestedWindow": {"start": start.isoformat(), "end": end.isoformat()}, **more}
        self.managed(
            "set-renewal-info/", {"certificate": certificate_pem.decode(), "ariResponse": json.dumps(suggestion)}
        )

    def count(self, what):
        """Return how often a pattern occurs in the log."""
        return len(re.findall(what, (self.folder / "pebble.log").read_text()))

    def _wait(self):
        end = time.monotonic() + 60
        while True:
            try:
                self.managed("roots/0")
                with socket.create_connection(("127.0.0.1", self.port)):
                    return
            except OSError:
                if time.monotonic() > end or self.server.poll() is not None:
                    raise AssertionError((self.folder / "pebble.log").read_text()) from None
                time.sleep(0.02)


class Hosts:
    """The hosts behind all names. They respond to each http-01 challenge with the thumbprint of one account."""

    def __init__(self):
        hosts = self
        self.thumbprint, self.silent, self.requested_names = "", set(), []

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.headers["Host"].split(":")[0]
                hosts.requested_names.append(name)
                if name in hosts.silent:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(f"{self.path.rsplit('/', 1)[1]}.{hosts.thumbprint}".encode())

            def log_message(self, *_words):
                pass

        self.server = ThreadedServer(Answer).start()
        self.port = self.server.server_address[1]

    def stop(self):
        self.server.stop()


@contextlib.contextmanager
def running_pebble(folder, **settings):
    """Yield a Pebble and the hosts that it connects to."""
    hosts = Hosts()
    try:
        pebble = Pebble(folder, hosts.port, **settings)
        try:
            yield pebble, hosts
        finally:
            pebble.stop()
    finally:
        hosts.stop()


@contextlib.contextmanager
def failing_proxy(pebble):
    """Yield a failing proxy before a Pebble, with the URL of its directory (url) and of its control interface (control)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(pebble.folder / "cert.pem"), str(pebble.folder / "key.pem"))
    trust = ssl.create_default_context(cafile=pebble.ca_file)
    proxy = Proxy(pebble.url, trust)
    servers = serve(proxy, context, "127.0.0.1", (0, 0))
    proxy.url, proxy.control = (f"https://127.0.0.1:{server.server_address[1]}" for server in servers)
    proxy.url += "/dir"
    try:
        yield proxy
    finally:
        proxy.release()
        for server in servers:
            server.shutdown()
            server.server_close()
