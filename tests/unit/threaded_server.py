# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server that ends with its test, however many clients keep their connections open."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading

POLL_INTERVAL_S = 0.01  # stop() waits for so long


class ThreadedServer(http.server.ThreadingHTTPServer):
    """A web server on the loopback address, with a thread for each connection. It runs once start() is called."""

    daemon_threads = False  # so that server_close() waits for them

    def __init__(self, handler, address=("127.0.0.1", 0)):
        super().__init__(address, handler)
        self.open_connections = set()
        self.thread = threading.Thread(target=self.serve_forever, args=(POLL_INTERVAL_S,), daemon=True)

    def start(self):
        """Serve in a thread of its own; return the server."""
        self.thread.start()
        return self

    def process_request(self, request, client_address):
        self.open_connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.open_connections.discard(request)
        super().shutdown_request(request)

    def stop(self):
        """Close all connections and the port; wait for all threads."""
        if self.thread.is_alive():
            self.shutdown()
            self.thread.join()
        for connection in list(self.open_connections):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # below TLS, which another thread is reading
        self.server_close()
