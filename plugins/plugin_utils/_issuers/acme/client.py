# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP client for an ACME server: signed requests and nonces (RFC 8555, section 6).

The signatures are those of the library C(acme). Its own client does not keep what a fleet needs: Retry-After, the kind of a conflict,
and that a nonce may be refused more than once.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import http.client
import json
import os
import re
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, error_text
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    Unreachable,
    words_of_ca,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import (
    RateLimits,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import (
    DIRECTORY_URLS,
    DirectoryObject,
    is_url,
    origin_of,
    read_directory,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.response import Response
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.retries import (
    CONNECT_TIMEOUT_S,
    NONCE_TRIES,
    RATE_LIMIT_STATUSES,
    SERVER_ERROR_STATUSES,
    Retries,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.time_limit import (
    is_over,
    receive_until,
    run_until_deadline,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.tls_session import (
    is_cut_off,
    open_session,
    trust_remedy,
    why,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._libraries import install_command
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import MALFORMED_INPUT_ERRORS

try:
    import josepy
    import requests
    import requests.utils
    import urllib3.exceptions
    from acme import jws
except ImportError as import_error:  # said by require_libraries(), before anything here is called
    MISSING_LIBRARY = import_error.name
else:
    MISSING_LIBRARY = None

JOSE_MEDIA_TYPE = "application/jose+json"
MAX_RESPONSE_BYTES = 1024 * 1024  # real ones have a few thousand
MAX_REDIRECTS = 5
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
MAX_NONCES = 10  # that are kept
MAX_NONCE_CHARACTERS = 1000
MAX_LINKS = 20  # of one response


def require_libraries() -> None:
    """Raise TlsError if a library is missing that ACME needs."""
    if MISSING_LIBRARY:
        raise TlsError(
            f"the issuer type acme needs the Python library {MISSING_LIBRARY} on the controller; {install_command('acme')}"
        )


class Signer(t.NamedTuple):
    """What signs requests: a key, and the URL of its account if there is one already."""

    key: josepy.JWK
    account_url: str | None = None

    # not a parser: it reads what the collection has made or checked
    def sign(self, payload: bytes, url: str, nonce: bytes | None) -> bytes:
        """Return the payload as a JSON web signature."""
        signed = jws.JWS.sign(payload, self.key, signature_algorithm(self.key), nonce, url, self.account_url)
        return signed.json_dumps().encode()


class Connection:
    """What all orders of a process share: open connections to a server, its directory, and nonces."""

    def __init__(self) -> None:
        self.session: requests.Session | None = None
        self.directory: DirectoryObject | None = None
        self.nonces: collections.deque[str] = collections.deque(maxlen=MAX_NONCES)


CONNECTIONS: dict[tuple[int, str, str | None], Connection] = {}  # by process ID, directory URL and ca_file


class Client:
    """The client for the server of one directory."""

    def __init__(self, url: str, limits: RateLimits, ca_file: str | None = None, is_single_try: bool = False) -> None:
        """Take the URL of the directory; send nothing yet.

        is_single_try: give up at the first failure, for requests that can wait for the next run.
        """
        self.url, self.limits, self.ca_file = url, limits, ca_file
        self.retries = Retries(limits, is_single_try)
        self._connection = CONNECTIONS.setdefault((os.getpid(), url, ca_file), Connection())

    def directory(self) -> DirectoryObject:
        """Return the directory (RFC 8555, section 7.1.1).

        Raises TlsError if the URL is that of something else.
        """
        if self._connection.directory is None:
            self._connection.directory = read_directory(
                self.get(self.url, f"asking {self.url} what it offers").json(), self.url
            )
        return self._connection.directory

    def directory_meta(self) -> dict[str, t.Any]:
        """Return C(meta) of the directory, or an empty dictionary."""
        return self.directory().get("meta", {})

    def meta(self, name: str) -> t.Any:
        """Return a value in C(meta) of the directory, or None."""
        return self.directory_meta().get(name)

    def resource_url(self, name: str) -> str:
        """Return the URL of a resource in the directory, such as C(newOrder).

        Raises TlsError if there is none.
        """
        url = t.cast("str | None", self.directory().get(name))
        if url is None:
            raise TlsError(f"{self.url} does not offer {name}; choose another directory for the issuer")
        return url

    def get(self, url: str, subject: str) -> Response:
        """Return the response to an unsigned request. *subject* begins its errors."""
        return self.retries.first_success(lambda: self._send("GET", url), subject, ())

    # not a parser: it reads what the collection has made or checked
    def post(
        self,
        url: str,
        payload: t.Any,
        signer: Signer,
        subject: str,
        names: t.Sequence[str] = (),
        accept: str | None = None,
    ) -> Response:
        """Return the response to a signed request.

        payload: for JSON; None for POST-as-GET (RFC 8555, section 6.3). subject: begins its errors.
        names: what it is about, for rate limits. accept: a media type.
        """
        self._check_origin(url, subject)
        content = b"" if payload is None else json.dumps(payload).encode()

        def attempt() -> Response:
            for number in range(NONCE_TRIES):
                nonce = self._nonce()
                if isinstance(nonce, Response):
                    return nonce
                headers = {"Content-Type": JOSE_MEDIA_TYPE, **({"Accept": accept} if accept else {})}
                response = self._send("POST", url, signer.sign(content, url, josepy.b64decode(nonce)), headers)
                if number == NONCE_TRIES - 1 or not _is_bad_nonce(response):
                    return response
            raise AssertionError

        return self.retries.first_success(attempt, subject, names)

    def _check_origin(self, url: str, subject: str) -> None:
        """Raise TlsError for a server that the directory does not name: it gets nothing that is signed with the key of the account."""
        directory = self.directory()
        named = [one for one in (self.url, *(directory.get(name) for name in DIRECTORY_URLS)) if isinstance(one, str)]
        if origin_of(url) not in {origin_of(one) for one in named}:
            raise TlsError(
                f"{subject}: the CA leads to {words_of_ca(url)}, on a server that its directory {self.url} does not name; nothing is sent there. "
                "See the status page of the CA"
            )

    def _nonce(self) -> str | Response:
        """Return the newest unused nonce, or the response of a server that has none for the moment."""
        while True:
            with contextlib.suppress(IndexError):  # also if another order was faster
                return self._connection.nonces.pop()
            response = self._send("HEAD", self.resource_url("newNonce"))
            if not nonce_of(response):
                if response.status in (*RATE_LIMIT_STATUSES, *SERVER_ERROR_STATUSES):
                    return response
                nonce = response.headers.get("Replay-Nonce")
                what = f"with {words_of_ca(nonce)!r}, which is no nonce" if nonce else "without a nonce"
                raise TlsError(
                    f"{response.url} answers with HTTP {response.status} and {what}; see that directory is the address of an ACME "
                    "directory, and the status page of the CA"
                )

    def _send(
        self, method: str, url: str, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Return the response to one request, which is repeated if the connection is lost. Raises Unreachable."""
        for delay in (*self.retries.delays, None):
            deadline = time.monotonic() + self.retries.response_timeout
            try:
                with receive_until(deadline):
                    response = run_until_deadline(
                        functools.partial(self._follow_redirects, method, url, content, headers or {}, deadline)
                    )
                break
            except (
                requests.exceptions.InvalidURL,
                requests.exceptions.InvalidSchema,
                requests.exceptions.MissingSchema,
            ) as error:
                raise TlsError(
                    f"{words_of_ca(url)!r} is no address of an ACME server; correct the directory of the issuer"
                ) from error
            except (requests.exceptions.RequestException, TimeoutError) as error:
                if isinstance(error, requests.exceptions.SSLError) and not is_cut_off(error):
                    raise Unreachable(
                        f"the TLS of {url} cannot be trusted: {why(error)}; {trust_remedy(error)}"
                    ) from error
                if delay is None or is_over() or time.monotonic() >= deadline:
                    sentence = f"{url} cannot be reached: {why(error)}; see that the CA runs, and that this machine may connect to it"
                    if self.retries.delays:
                        self.limits.record_unreachable(sentence)
                    raise Unreachable(sentence) from error
                time.sleep(delay)
            except (*MALFORMED_INPUT_ERRORS, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
                raise TlsError(
                    f"{url} does not answer as an ACME server does ({words_of_ca(error_text(error))}); see that directory is the address of "
                    "an ACME directory, and that no proxy answers in its place"
                ) from error
        if nonce := nonce_of(response):
            self._connection.nonces.append(nonce)
        return response

    def _follow_redirects(
        self, method: str, url: str, content: bytes | None, headers: dict[str, str], deadline: float
    ) -> Response:
        """Return the response to one request. Only GET is sent where a redirect leads; what comes with one is read within limits, too."""
        for _redirect in range(MAX_REDIRECTS):
            response = self._exchange(method, url, content, headers, deadline)
            target = response.headers.get("Location")
            if method != "GET" or response.status not in REDIRECT_STATUSES or not target:
                return response
            url = requests.compat.urljoin(url, target)
            if not is_url(url):
                raise requests.exceptions.InvalidURL(url)
        raise TlsError(
            f"{words_of_ca(url)!r} is the last of {MAX_REDIRECTS} redirects; correct the directory of the issuer"
        )

    def _exchange(
        self, method: str, url: str, content: bytes | None, headers: dict[str, str], deadline: float
    ) -> Response:
        with self._session().request(
            method,
            url,
            data=content,
            headers=headers,
            timeout=(min(self.retries.read_timeout, CONNECT_TIMEOUT_S), self.retries.read_timeout),
            allow_redirects=False,
            stream=True,
            proxies=requests.utils.get_environ_proxies(url),
        ) as response:
            if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
                raise TlsError(f"{url} sends its answer compressed, unasked; see what answers in place of the CA")
            body = b""
            for part in response.iter_content(65536):
                body += part
                if len(body) > MAX_RESPONSE_BYTES:
                    raise TlsError(
                        f"{url} answers with more than {MAX_RESPONSE_BYTES} bytes; see what answers in place of the CA"
                    )
                if time.monotonic() > deadline:
                    raise requests.exceptions.ReadTimeout(
                        f"no end of the answer within {self.retries.response_timeout:.0f} seconds"
                    )
            return Response(url, response.status_code, response.headers, body, links_of(url, response.headers))

    def _session(self) -> requests.Session:
        """Return the session, which all requests of this process share."""
        if self._connection.session is None:
            self._connection.session = open_session(self.ca_file)
        return self._connection.session


def links_of(url: str, headers: t.Mapping[str, str]) -> dict[str, list[str]]:
    """Return the URLs in the header Link (RFC 8288) by their relation, MAX_LINKS at most, and none that is malformed."""
    links: dict[str, list[str]] = {}
    for link in requests.utils.parse_header_links(headers.get("Link", ""))[:MAX_LINKS]:
        with contextlib.suppress(ValueError):
            target = requests.compat.urljoin(url, link.get("url", ""))
            if "rel" in link and is_url(target):
                links.setdefault(link["rel"], []).append(target)
    return links


def nonce_of(response: Response) -> str | None:
    """Return the nonce in a response, None for one that clients have to ignore (RFC 8555, section 6.5.1)."""
    nonce = response.headers.get("Replay-Nonce", "")
    is_base64url = re.fullmatch("[A-Za-z0-9_-]+", nonce) and len(nonce) % 4 != 1
    return nonce if is_base64url and len(nonce) <= MAX_NONCE_CHARACTERS else None


def signature_algorithm(key: josepy.JWK) -> t.Any:
    """Return the algorithm with which a key signs (RFC 7518, section 3.1)."""
    if isinstance(key, josepy.JWKRSA):
        return josepy.RS256
    return {256: josepy.ES256, 384: josepy.ES384, 521: josepy.ES512}[key.key.key_size]


def _is_bad_nonce(response: Response) -> bool:
    document = response.json_or_empty() if response.status == 400 else {}
    return isinstance(document, dict) and str(document.get("type", "")).endswith(":badNonce")
