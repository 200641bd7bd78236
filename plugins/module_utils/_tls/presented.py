# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether clients still get certificates that are about to be removed."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake

MAX_PROBED_DOMAINS = 3  # of a certificate
Probe = tuple[str, int, str]  # address, port and domain


# not a parser: it only passes on foreign input
def find_presented(
    endpoints: t.Iterable[tuple[str, int]], domains: t.Sequence[str], fingerprints: t.Collection[str], timeout: float
) -> Probe | None:
    """Return the first address, port and domain at which a client gets one of the certificates, or None if it gets them nowhere.

    fingerprints: SHA-256. timeout: of each handshake, in seconds.
    """
    for address, port in endpoints:
        for domain in map(probe_name, domains[:MAX_PROBED_DOMAINS]):
            try:
                chain, _protocol = handshake(address, port, domain, timeout=timeout)
            except TlsError as error:
                if error.details.get("failure") == "nothing":
                    break
                continue  # nobody answers to that name
            if fingerprint(chain[0]) in fingerprints:
                return address, port, domain
    return None
