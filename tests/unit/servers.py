# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS servers on the loopback address: a correct one, and some with one fault each."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.tests.unit.fake_ca import key_pem, some_key

BACKLOG = 512  # connections that wait to be accepted: above the handshakes of a survey at a time, since the kernel drops others
STOP_TIMEOUT_S = 10.0


class Server:
    """A server on a port of the loopback address, whose chain may be changed while it runs."""

    def __init__(self, folder, listener, answer):
        self.folder, self.listener, self.answer = folder, listener, answer
        self.port = listener.getsockname()[1]
        self.server_names = []
        self.reject = set()
        self.connections = 0
        self.connection = self.context = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        """End the server, and wait until it has closed what it opened."""
        self.listener.shutdown(socket.SHUT_RDWR)  # ends accept(), as close() does not
        with contextlib.suppress(OSError):
            if self.connection:
                self.connection.shutdown(socket.SHUT_RDWR)
        self.thread.join(STOP_TIMEOUT_S)
        assert not self.thread.is_alive(), f"{self.answer.__name__} does not end: a client keeps its connection open"

    def present(self, chain, key=None):
        """Present this chain in new connections."""
        return self.present_pem(to_pem(chain), key)

    def present_pem(self, chain, key=None):
        """Present this chain in PEM in new connections; only its leaf needs to be valid."""
        (self.folder / "server.pem").write_bytes(chain + key_pem(key or some_key()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")  # whatever it is told to present
        context.load_cert_chain(str(self.folder / "server.pem"))
        context.sni_callback = self.choose
        self.context = context
        return self

    def choose(self, _socket, name, _context):
        self.server_names.append(name)
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if name in self.reject else None

    def run(self):
        while True:
            try:
                connection, _address = self.listener.accept()
            except OSError:  # the test is over
                return
            self.connections += 1
            self.connection = connection
            with connection, contextlib.suppress(OSError):
                self.answer(self, connection)


def handshake(server, connection):
    if server.context is None:  # it has nothing to present
        return
    with server.context.wrap_socket(connection, server_side=True) as tls:
        tls.recv(1)


def plain_http(_server, connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def hang_up(_server, connection):
    connection.recv(65536)


def keep_silent(_server, connection):
    while connection.recv(65536):
        pass


def drip(_server, connection):
    """Send a large message of the handshake in single bytes, and something else in the end."""
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")  # the header of a ServerHello of 16 KiB
    for _number in range(100):
        time.sleep(0.05)
        connection.sendall(b"\x03")


def answer_together(count):
    """Return a function that holds connections until there are *count* of them, and then closes all.

    It sets C(others) of the server to whether there was one more connection.
    """
    waiting = []

    def answer(server, connection):
        waiting.append(connection.dup())
        if len(waiting) == count:
            server.others = bool(select.select([server.listener], [], [], 0.2)[0])
            while waiting:
                with waiting.pop() as one:
                    one.shutdown(socket.SHUT_RDWR)

    return answer


def reset(_server, connection):
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def send_garbage(_server, connection):
    connection.recv(65536)
    connection.sendall(bytes(range(256)) * 64)
    keep_silent(_server, connection)


@contextlib.contextmanager
def servers(folder):
    """Yield a function that starts a server; stop all servers in the end."""
    with contextlib.ExitStack() as stack:

        def started(answer=handshake, family=socket.AF_INET):
            listener = stack.enter_context(socket.socket(family))
            listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
            listener.listen(BACKLOG)
            server = Server(folder, listener, answer)
            stack.callback(server.stop)
            return server

        yield started


@contextlib.contextmanager
def answering_port(answer):
    """Yield a port on which each connection is passed to a function, in a thread of its own; in the end close all of them."""
    connections, threads = [], []

    def run(connection):
        with connection, contextlib.suppress(OSError):
            answer(connection)

    def accept():
        with contextlib.suppress(OSError):  # the test is over
            while True:
                connections.append(listener.accept()[0])
                threads.append(threading.Thread(target=run, args=(connections[-1],), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(STOP_TIMEOUT_S)
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(STOP_TIMEOUT_S)
            assert not [thread for thread in (accepting, *threads) if thread.is_alive()], "an answer does not end"


@contextlib.contextmanager
def full_port():
    """Yield a port that neither accepts nor refuses connections, as behind a firewall."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _number in range(3):  # one more than there is room for
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def closed_port():
    """Return a port of the loopback address on which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]
