# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks of a name that is served are about."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient

if t.TYPE_CHECKING:
    from cryptography import x509

HTTPS_PORT, HTTP_PORT = 443, 80


class ServedSubject(t.NamedTuple):
    """A name that clients reach, and what is known of it. Only the first three have to be known."""

    domain: str  # a name or a wildcard of a certificate
    dns: DnsClient
    deadline: float  # of all checks, by time.monotonic()
    port: int = HTTPS_PORT
    http_port: int = HTTP_PORT
    endpoints: tuple[tuple[str, int], ...] = ()  # addresses and ports of the inventory, which are looked at as well
    fingerprint: str = ""  # SHA-256 of the installed certificate, in lower case; empty: it is not known
    roots: str | None = None  # PEM of the private CA; None: clients trust the roots of the system
    domains: tuple[str, ...] = ()  # all names of the certificate; empty: the domain alone
    has_http2: bool = False  # whether the inventory has http2 for the site
    has_proxy_protocol: bool = False  # whether connections to the endpoints begin with a header of the PROXY protocol
    subdomains: tuple[str, ...] = ()  # other names of the inventory below the domain, for includeSubDomains of HSTS
    trust_stores: t.Mapping[str, tuple[x509.Certificate, ...]] = {}  # roots by the name that the user gave
    crl_folder: str = ""  # where revocation lists are cached; empty: they are not
    checks_revocation: bool = True
