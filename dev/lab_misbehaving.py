# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The container of a lab that holds wrong name servers and HTTP hosts, each at an address of its own.

/lab/misbehaving.json says what is where (lab_diagnosis.py), and /lab/thumbprint what right answers end in.
"""

from __future__ import annotations

import json
import pathlib
import socketserver
import ssl
import subprocess
import sys
import threading

sys.dont_write_bytecode = True

import lab_http_hosts  # noqa: E402
import lab_name_servers  # noqa: E402

HOME = pathlib.Path("/lab")
INTERFACE = "eth0"
DROP = "add table inet lab; add chain inet lab input {{ type filter hook input priority 0; }}; add rule inet lab input ip daddr {} drop"


def main() -> None:
    """Take the addresses, and serve for ever."""
    settings = json.loads((HOME / "misbehaving.json").read_text(encoding="utf-8"))
    for address in settings["addresses"]:
        run("ip", "address", "replace", f"{address}/24", "dev", INTERFACE)
    run("ip", "address", "replace", f"{settings['ipv6']}/64", "dev", INTERFACE, "nodad")
    run("nft", DROP.format(settings["dropping"]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(HOME / "misbehaving.pem", HOME / "misbehaving.key")
    servers: list[socketserver.BaseServer] = []
    for host in settings["hosts"]:
        servers += lab_http_hosts.servers_of(host["address"], host["kind"], HOME / "thumbprint", context)
    for server in settings["name_servers"]:
        zone = lab_name_servers.Zone(server["zone"], server["host"], server["address"], tuple(server["labels"]))
        servers += lab_name_servers.servers_of(server["address"], server["kind"], zone)
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    print(f"{len(servers)} servers listen", flush=True)
    for thread in threads:
        thread.join()


def run(*argv: str) -> None:
    """Run a program that has to succeed."""
    subprocess.run(argv, check=True)


if __name__ == "__main__":
    main()
