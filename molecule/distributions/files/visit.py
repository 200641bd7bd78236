# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Visit servers with the context that Python makes by default, which is strict since 3.13.

visit.py ROOT ADDRESS/PORT/NAME…    accept each of them with that root, and neither another name nor another root
"""

from __future__ import annotations

import socket
import ssl
import sys


def visit(site: str, context: ssl.SSLContext, other_name: str | None = None) -> None:
    """Shake hands with a server, asking for its name or for another."""
    address, port, name = site.split("/")
    with socket.create_connection((address, int(port)), timeout=10) as connection:
        context.wrap_socket(connection, server_hostname=other_name or name).close()


def refuse(site: str, context: ssl.SSLContext, other_name: str | None = None) -> None:
    """Make sure that a server cannot be visited."""
    try:
        visit(site, context, other_name)
    except ssl.SSLError:
        return
    sys.exit(f"{site} was accepted as {other_name}" if other_name else f"{site} was accepted without its root")


def main() -> None:
    """Visit all of them."""
    root, *sites = sys.argv[1:]
    context = ssl.create_default_context(cafile=root)
    if not context.verify_flags & ssl.VERIFY_X509_STRICT:
        sys.exit(f"Python {sys.version.split()[0]} is not strict by default")
    for site in sites:
        visit(site, context)
        refuse(site, context, "wrong.example.test")
        refuse(site, ssl.create_default_context())


if __name__ == "__main__":
    main()
