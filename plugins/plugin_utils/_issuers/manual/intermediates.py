# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Intermediates that a CA left out: found in a pile, or where the certificate says that they are (AIA)."""

from __future__ import annotations

import datetime
import http.client
import os
import ssl
import time
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    common_name,
    not_after,
    not_before,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    is_authority,
    is_signed_by,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import (
    NO_CROSS_SIGNING,
    CrossSigning,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.file_formats import contents

try:
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

LONGEST = 8  # certificates of a chain
LARGEST_FETCHED = 64 * 1024
PATIENCE = 10.0  # seconds for one intermediate
STORES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def path_up(
    leaf: t.Any, pile: list, roots: list, now: datetime.datetime, cross_signing: CrossSigning = NO_CROSS_SIGNING
) -> list:
    """Return the best way up from a certificate through a pile: one that ends at the preferred root, or at a root, else the longest.

    Intermediates of one name may be several, of which only those count that made the signature; of those that did (a CA that
    others have signed, too), the one below the roots is taken. Roots are left out.
    """
    known = [*roots, *(one for one in pile if one.subject == one.issuer)]

    def is_there(chain: list) -> bool:
        is_trusted = not cross_signing.roots and any(is_signed_by(chain[-1], root) for root in roots)
        return is_trusted or cross_signing.leads(chain[-1], known)

    def ways(chain: list) -> t.Iterator[list]:
        yield chain
        if len(chain) < LONGEST and not is_there(chain):
            for upper in pile:
                is_new = upper not in chain and upper.subject != upper.issuer
                if is_new and is_authority(upper) and is_signed_by(chain[-1], upper):
                    yield from ways([*chain, upper])

    def worth(chain: list) -> tuple[bool, bool, bool, int]:
        trusted = is_complete(chain, roots, pile)
        valid = all(not_before(one) <= now < not_after(one) for one in chain)
        return cross_signing.leads(chain[-1], known), trusted, valid, -len(chain) if trusted else len(chain)

    return max(ways([leaf]), key=worth)


def is_complete(chain: list, roots: list, pile: t.Sequence = ()) -> bool:
    """Say whether a chain leads to a root, maybe before its end; one in the pile counts where no roots are known."""
    trusted = roots or [one for one in pile if one.subject == one.issuer]
    return any(is_signed_by(one, root) or one == root for one in chain for root in trusted)


def fetched(chain: list, roots: list) -> list:
    """Return the intermediates above a chain, from the addresses in its certificates. Raises TlsError where none answers."""
    above: list = []
    last = chain[-1]
    while len(chain) + len(above) < LONGEST and not is_complete([last], roots):
        found = _above(last)
        if found is None or found.subject == found.issuer:
            break
        above.append(found)
        last = found
    return above


def system_roots() -> list:
    """Return the roots that programs on this machine trust; none where no file holds them."""
    for path in (ssl.get_default_verify_paths().cafile, *STORES):
        pem = read_file(path) if path and os.path.isfile(path) else None
        if pem:
            try:
                return parse_chain(pem)
            except TlsError:
                continue
    return []


def _above(certificate: t.Any) -> t.Any:
    """Return the certificate that signed another one, from where that says it is; None where it says nothing."""
    addresses = _addresses(certificate)
    complaints = []
    for address in addresses[:3]:
        try:
            for found in contents(_fetch(address)).certificates:
                if is_authority(found) and is_signed_by(certificate, found):
                    return found
            complaints.append(f"{address} holds no certificate that signed it")
        except (OSError, http.client.HTTPException, ValueError) as error:
            complaints.append(f"{address}: {error}")
    if complaints:
        raise TlsError(
            f"the intermediate {common_name(certificate.issuer)} cannot be had ({'; '.join(complaints)}); put it into the inbox"
        )
    return None


def _addresses(certificate: t.Any) -> list[str]:
    """Return where a certificate says that its issuer's is, by HTTP (RFC 5280, section 4.2.2.1)."""
    try:
        access = certificate.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return []
    places = [
        one.access_location.value
        for one in access
        if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    ]
    return [place for place in places if place.startswith("http://")]


def _fetch(address: str) -> bytes:
    """Return what lies at an address: little, soon, and without being sent elsewhere."""
    parts = urllib.parse.urlsplit(address)
    if not parts.hostname:
        raise ValueError("it names no server")
    deadline = time.monotonic() + PATIENCE
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=PATIENCE)
    try:
        connection.request("GET", urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")))
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"the server answers with {answer.status}")
        content = b""
        while part := answer.read1(8192):
            content += part
            if len(content) > LARGEST_FETCHED or time.monotonic() > deadline:
                raise ValueError("the answer is too long, or takes too long")
        return content
    finally:
        connection.close()
