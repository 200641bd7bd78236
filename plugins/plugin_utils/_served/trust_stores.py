# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that clients which know only older roots trust what is served, by roots that the user gives."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import issuer_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import find_trusted_path
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import Served

if t.TYPE_CHECKING:
    from cryptography import x509

MAX_STORE_BYTES = 5_000_000  # Mozilla's 150 roots take 0.2 MB
BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
SOURCE = "RFC 5280, section 6"
OPTION = "diagnose_trust_stores"


def read_trust_stores(paths: t.Any) -> dict[str, tuple[x509.Certificate, ...]]:
    """Return the roots in each file, by the name of the store. paths: PEM files by name.

    Raises TlsError for a file without certificates. Certificates in it that cannot be read are left out.
    """
    if not isinstance(paths, dict):
        raise TlsError(f"{OPTION} is {paths!r}; write a dictionary such as {{windows7: /etc/ssl/windows7.pem}}")
    return {str(name): _read_store(str(name), path) for name, path in paths.items()}


# not a parser: parse_chain() reads the certificates
def _read_store(name: str, path: t.Any) -> tuple[x509.Certificate, ...]:
    try:
        content = read_file(str(path), max_bytes=MAX_STORE_BYTES)
    except OSError as error:
        raise TlsError(f"{OPTION} {name}: {system_error(error)}") from error
    if content is None:
        raise TlsError(f"{OPTION} {name}: there is no file {path} on this controller; correct the path")
    roots = []
    for block in content.split(BEGIN)[1:]:
        try:
            roots += parse_chain(BEGIN + block.partition(END)[0] + END + b"\n")
        except TlsError:
            continue
    if not roots:
        raise TlsError(
            f"{OPTION} {name}: {path} holds no certificate in PEM; write the path of a file with the roots of those clients"
        )
    return tuple(roots)


def check_trust_stores(served: Served) -> list[Finding]:
    """Return a finding for each store and certificate."""
    return [
        _judge(served, name, roots, chain)
        for name, roots in served.subject.trust_stores.items()
        for chain in served.chains()
    ]


def _judge(
    served: Served, name: str, roots: tuple[x509.Certificate, ...], chain: tuple[x509.Certificate, ...]
) -> Finding:
    why = ""
    try:
        path = find_trusted_path(list(chain), list(roots), utc_now())
    except TlsError as error:
        path, why = None, f": {error}"
    evidence = tuple(f"{number}: issued by {issuer_name(one)}" for number, one in enumerate(chain))
    if path:
        return Finding(
            "fine", "served.trust", f"clients with the roots of {name} trust {served.name}", evidence, SOURCE
        )
    top = shorten(issuer_name(chain[-1]), 100)
    sentence = (
        f"clients with the roots of {name} do not trust {served.name}: the chain ends at {top}{why}; set preferred_root to a root that "
        "they know, and give its cross-signed certificate by chain_extra"
    )
    return Finding("risk", "served.trust", sentence, evidence, SOURCE)
