# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetch revocation lists from the URLs in certificates, which are foreign, and cache them."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import http.client
import os
import threading
import time
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file, replace_file
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.crl import MAX_CRL_BYTES, has_ended, read_crl
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import PLAIN_USER_AGENT, get
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.internal_addresses import internal_kind
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

FETCH_TIMEOUT_S = 10.0  # for one list, from the name of its server to the last byte
MAX_CACHED_AGE_S = 12 * 3600  # CAs publish lists earlier than these say
MAX_URL_CHARACTERS = 100  # in a sentence
HTTP_PORT = 80

_locks: collections.defaultdict[str, threading.Lock] = collections.defaultdict(threading.Lock)  # by path of the cache
_locks_lock = threading.Lock()


# not a parser: read_crl() takes the list apart
def fetch_crl(url: str, dns: DnsClient, is_own: bool, folder: str, seconds: float) -> bytes:
    """Return the bytes of a list, from the cache if it is new enough. Certificates of one CA share a list, so one thread fetches it.

    is_own: whether the issuer is one of the inventory. Only its lists may be at internal addresses. folder: of the cache, which is not
    made; may be empty. Raises TlsError where there is no list.
    """
    if not folder:
        return _fetch(url, dns, is_own, seconds)
    path = os.path.join(folder, hashlib.sha256(f"{is_own} {url}".encode()).hexdigest() + ".crl")
    with _locks_lock:
        lock = _locks[path]
    if not lock.acquire(timeout=seconds):
        raise TlsError(f"{_shown(url)} does not come in time; see that the controller reaches it")
    try:
        cached = _read_cached(path)
        if cached is not None:
            return cached
        content = _fetch(url, dns, is_own, seconds)
        read_crl(content)
        with contextlib.suppress(OSError):  # the next one fetches it again
            replace_file(path, content)
        return content
    finally:
        lock.release()


def _read_cached(path: str) -> bytes | None:
    """Return a list of the cache that counts still."""
    try:
        content = read_file(path, max_bytes=MAX_CRL_BYTES)
        if content is None or time.time() - os.stat(path).st_mtime > MAX_CACHED_AGE_S:
            return None
        return None if has_ended(read_crl(content), utc_now()) else content
    except (OSError, TlsError):
        return None


# not a parser: the standard library takes the URL apart, and http.client the response
def _fetch(url: str, dns: DnsClient, is_own: bool, seconds: float) -> bytes:
    """Return what a URL has. The server is reached at the address that was checked, and no redirect is followed."""
    shown = _shown(url)
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port or HTTP_PORT
    except ValueError as error:
        raise TlsError(f"{shown} is no URL; see with the CA") from error
    if parts.scheme != "http" or not host or not _is_plain(f"{host}{parts.path}{parts.query}"):
        raise TlsError(f"{shown} is no URL of a revocation list; see with the CA")
    if port != HTTP_PORT and not is_own:
        raise TlsError(f"{shown} has another port than {HTTP_PORT}, and is not fetched; see with the CA")
    deadline = time.monotonic() + min(seconds, FETCH_TIMEOUT_S)
    address = _address(host, dns, deadline)
    kind = internal_kind(address)
    if kind and not is_own:
        raise TlsError(
            f"{shown} leads to {address}, {kind}, and is not fetched; see with the CA, or with your resolvers"
        )
    try:
        path = f"{parts.path or '/'}?{parts.query}".removesuffix("?")
        left = max(0.001, deadline - time.monotonic())
        response = get("http", address, host, path, left, PLAIN_USER_AGENT, port, MAX_CRL_BYTES + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise TlsError(f"{shown} cannot be had ({shorten(why, 100)}); see that the controller reaches it") from error
    if response.status != http.client.OK:
        raise TlsError(f"{shown} answers {response.status}; see with the CA")
    if len(response.body) > MAX_CRL_BYTES:
        raise TlsError(f"{shown} has more than {MAX_CRL_BYTES} bytes; see with the CA")
    return response.body


def _address(host: str, dns: DnsClient, deadline: float) -> str:
    if is_ip_address(host):
        return host
    try:
        return run_with_timeout(max(0.001, deadline - time.monotonic()), lambda: dns.addresses(host))[0]
    except TimeoutError as error:
        raise TlsError(
            f"the resolvers do not say the addresses of {host} in time; see that they run, or name others by resolvers"
        ) from error


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _shown(url: t.Any) -> str:
    return shorten(str(url), MAX_URL_CHARACTERS)
