# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server for QUIC on this machine, which presents what a test gives it."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from aioquic.asyncio import serve
from aioquic.quic.configuration import QuicConfiguration


@contextlib.contextmanager
def quic_server(chain, key, protocol="h3", port=0):
    """Yield the port of a server that presents a chain and speaks one protocol (ALPN)."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=[protocol])
    configuration.certificate, configuration.certificate_chain, configuration.private_key = chain[0], chain[1:], key
    started, ports, loops = threading.Event(), [], []

    async def run():
        ended = asyncio.Event()
        server = await serve("127.0.0.1", port, configuration=configuration)
        loops.append((asyncio.get_running_loop(), ended))
        ports.append(server._transport.get_extra_info("sockname")[1])
        started.set()
        await ended.wait()
        server.close()
        await asyncio.sleep(0.05)  # for the transport to close its socket

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert started.wait(10)
        yield ports[0]
    finally:
        loop, ended = loops[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join()
