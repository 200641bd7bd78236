# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the intermediates that a CA did not send: among other certificates, or at the URL that a certificate names (AIA)."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import socket
import time
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    has_issuer,
    is_self_issued,
    issuer_name,
    subject_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import (
    check_path,
    find_trusted_path,
    is_ca,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.certificate_files import read_certificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.chain_order import PathSearch
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import (
    NO_CROSS_SIGNING,
    CrossSigning,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.signatures import (
    MAX_CHAIN_LENGTH,
    SignatureChecks,
    SignedBy,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.inbox import InboxFile
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import (
    escape_as_one_line,
    escape_control_characters,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

try:
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_FETCHED_BYTES = 64 * 1024
MAX_URLS = 3  # of one certificate
FETCH_TIMEOUT_S = 10.0  # for one intermediate, from the name of the server to the last byte
AIA_TIMEOUT_S = 30.0  # for all intermediates of a chain
MAX_PROBLEM_LENGTH = 200  # characters about one URL


def best_chain(
    leaf: x509.Certificate,
    certificates: list[x509.Certificate],
    roots: list[x509.Certificate],
    now: datetime.datetime,
    cross_signing: CrossSigning = NO_CROSS_SIGNING,
) -> list[x509.Certificate]:
    """Return the best chain of a leaf out of other certificates, below the root.

    That is the first that clients accept of those in the order of order_chain(), else the first.
    Raises TlsError where there are too many certificates of the same names.
    """
    search = PathSearch(leaf, certificates, roots, cross_signing)
    chains = search.by_preference()
    for chain in chains:
        with contextlib.suppress(TlsError):
            if find_trusted_path(chain, roots, now) is None:
                check_path(chain, now)
            return chain
    if not chains:
        raise t.cast(TlsError, search.fault)
    return chains[0]


def leads_to_root(
    chain: list[x509.Certificate],
    roots: list[x509.Certificate],
    certificates: t.Sequence[x509.Certificate] = (),
    is_signed_by: SignedBy = is_signed_by,
) -> bool:
    """Say whether a root is in a chain or has signed one of it.

    certificates: their self-signed ones are the roots while *roots* is empty.
    """
    trusted = roots or [one for one in certificates if is_self_issued(one)]
    return any(is_signed_by(one, root) or one == root for one in chain for root in trusted)


def fetch_intermediates(chain: list[x509.Certificate], roots: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the intermediates above a chain, from the URLs in its certificates.

    Raises TlsError when a certificate names URLs and none has its issuer.
    """
    fetched: list[x509.Certificate] = []
    last, deadline = chain[-1], time.monotonic() + AIA_TIMEOUT_S
    while len(chain) + len(fetched) < MAX_CHAIN_LENGTH and not leads_to_root([last], roots):
        upper = _fetch_issuer(last, deadline)
        if upper is None or is_self_issued(upper):
            break
        fetched.append(upper)
        last = upper
    return fetched


def _fetch_issuer(certificate: x509.Certificate, deadline: float) -> x509.Certificate | None:
    """Return the certificate that signed another one, from the URLs in it; None when it has none.

    deadline: by time.monotonic(). Raises TlsError when none of the URLs has it.
    """
    is_signed_by = SignatureChecks()
    problems = []
    for url in ca_issuers_urls(certificate)[:MAX_URLS]:
        try:
            timeout = min(FETCH_TIMEOUT_S, deadline - time.monotonic())
            for candidate in read_certificates(_http_get(url, timeout)).certificates:
                if is_ca(candidate) and is_signed_by(certificate, candidate):
                    return candidate
            problems.append(f"{_shown(url)} holds no certificate that signed it")
        except Exception as error:
            problems.append(_shown(f"{url}: {error}"))
    if problems:
        raise TlsError(
            f"the intermediate {issuer_name(certificate)} cannot be had ({'; '.join(problems)}); put it into the inbox"
        )
    return None


def ca_issuers_urls(certificate: x509.Certificate) -> list[str]:
    """Return the HTTP URLs of a certificate's issuer (RFC 5280, section 4.2.2.1)."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except Exception:  # there is none, or extensions cannot be read
        return []
    urls = [
        one.access_location.value
        for one in access
        if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    ]
    return [url for url in urls if url.startswith("http://")]


def _shown(text: str) -> str:
    return escape_as_one_line(text)[:MAX_PROBLEM_LENGTH]


def _http_get(url: str, timeout: float) -> bytes:
    """Return the body of a response. Redirects are not followed.

    timeout: seconds from the look at the name of the server to the last byte, however slowly bytes come.
    Raises ValueError for another status than 200, and for a response that is too large or too slow; OSError, HTTPException.
    """
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname:
        raise ValueError("it names no server")
    if timeout <= 0:
        raise ValueError("the answers of all servers together take too long")
    connection = http.client.HTTPConnection(parts.hostname, parts.port or http.client.HTTP_PORT, timeout=timeout)
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        return run_with_timeout(timeout, lambda: _body(connection, target))
    except TimeoutError as error:
        raise ValueError("the answer is too long, or takes too long") from error
    finally:
        if connection.sock is not None:
            with contextlib.suppress(OSError):  # ends a read in another thread
                connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()


def _body(connection: http.client.HTTPConnection, target: str) -> bytes:
    """Return the body of the response to a GET. Raises ValueError for another status than 200, and for one that is too large."""
    connection.request("GET", target)
    response = connection.getresponse()
    if response.status != http.client.OK:
        raise ValueError(f"the server answers with {response.status}")
    content = b""
    while part := response.read1(8192):
        content += part
        if len(content) > MAX_FETCHED_BYTES:
            raise ValueError("the answer is too long, or takes too long")
    return content


def missing_intermediate(chain: list[x509.Certificate], files: list[InboxFile], has_roots: bool, has_aia: bool) -> str:
    """Say which intermediate is missing, and whether the inbox has another one of its name."""
    top = chain[-1]
    name = issuer_name(top)
    namesakes = [file.path for file in files for one in file.authorities() if has_issuer(top, one)]
    other = (
        f" ({escape_control_characters(namesakes[0])} has one of that name, but it did not sign this)"
        if namesakes
        else ""
    )
    ways = ["put it into the inbox beside the certificate", "name it in intermediates of the issuer"]
    if not has_aia:
        ways.append("set aia: true to have it fetched")
    if not has_roots:
        ways.append(f"name the root of this CA in roots if {name} is the root itself")
    return f"the chain is not whole: the certificate {name}, which signed {subject_name(top)}, is missing{other}; {', or '.join(ways)}"
