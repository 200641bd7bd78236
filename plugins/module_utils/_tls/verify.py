# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proofs: that clients see the very certificate that is installed, and may believe it."""

from __future__ import annotations

import time

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake


# not a parser: it only passes on foreign input
def verify_endpoint(
    address: str, port: int, domain: str, roots: str | None, expected: str | None, timeout: float
) -> dict:
    """Return what a client sees who trusts *roots*, once it is the very certificate with the fingerprint that is *expected*.

    It is told as C(name), C(address), C(port), C(protocol) and C(chain), in PEM. Tries again for
    *timeout* seconds, since workers of nginx that are going away may still answer. Raises TlsError with the last reason.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            chain, protocol = handshake(address, port, domain, roots, trust=True)
            if expected and fingerprint(chain[0]) != expected:
                raise TlsError(
                    f"{probe_name(domain)} at {address} port {port}: the certificate presented is not the installed one: "
                    f"{describe_certificate(chain[0])}; see which server answers there",
                    seen="another",
                )
            return {
                "name": probe_name(domain),
                "address": address,
                "port": port,
                "protocol": protocol,
                "chain": to_pem(chain).decode(),
            }
        except TlsError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.2)


def verify_request(request: dict, places: list, arguments: dict, observer: str, check_mode: bool) -> dict:
    """Return what handshake_verify finds for each domain of a request, as *observer* (controller or host) sees it.

    *places* are the addresses and ports to look at, *arguments* those of the module. Raises TlsError when a domain is not proved, but not in check mode.
    """
    seen, problems, answered = [], [], False
    for address, port in places:
        for domain in request["domains"]:
            timeout = 0 if check_mode or problems else arguments["timeout"]
            try:
                seen.append(
                    verify_endpoint(address, port, domain, arguments["roots"], arguments["fingerprint"], timeout)
                )
            except TlsError as error:
                problems.append(str(error))
                answered = answered or error.details.get("seen") != "nothing"
    result = {
        "changed": False,
        "handshakes": seen,
        "problems": problems,
        "answered": answered,
        "verified_from": observer,
    }
    if problems and not check_mode:
        raise TlsError(f"seen from the {observer}: {'. '.join(problems)}", **result)
    proved = f"{', '.join(dict.fromkeys(handshake['name'] for handshake in seen))} proved from the {observer}"
    return {**result, "msg": f"not served yet: {'. '.join(problems)}" if problems else proved}
