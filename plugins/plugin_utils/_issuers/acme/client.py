# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP client for an ACME server: signed requests, nonces, and retries (RFC 8555, section 6).

The signatures are those of the library C(acme). Its own client does not keep what a fleet needs: Retry-After, the kind of a conflict,
and that a nonce may be refused more than once.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.http_session import (
    is_cut_off,
    open_session,
    why,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    Unreachable,
    problem,
    words_of_ca,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import (
    MAX_WAIT_S,
    RateLimits,
    retry_after,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import DirectoryObject

try:
    import josepy
    import requests
    import requests.utils
    from acme import jws
except ImportError as import_error:  # said by require_libraries(), before anything here is called
    MISSING_LIBRARY = import_error.name
else:
    MISSING_LIBRARY = None

JOSE_MEDIA_TYPE = "application/jose+json"
MAX_RESPONSE_BYTES = 1024 * 1024  # real ones have a few thousand
MAX_QUOTED_BYTES = 60  # of a response that is no JSON, in an error
READ_TIMEOUT_S = 30.0  # without a byte
CONNECT_TIMEOUT_S = 10.0
SINGLE_TRY_TIMEOUT_S = 5.0
RESPONSE_TIMEOUT_S = 90.0  # for a whole response
MAX_NONCES = 10  # that are kept
NONCE_TRIES = 10  # of a request whose nonce is refused; test servers refuse every twentieth, and more
RETRY_DELAYS_S = (0.5, 2.0, 5.0)  # after a lost connection, or a failure of the server
RATE_LIMIT_STATUSES = (429, 503)
SERVER_ERROR_STATUSES = (500, 502, 504)  # a proxy before a server that is gone sends them, too


def require_libraries() -> None:
    """Raise TlsError if a library is missing that ACME needs."""
    if MISSING_LIBRARY:
        raise TlsError(
            f"the issuer type acme needs the Python library {MISSING_LIBRARY} on the controller; pip install -r requirements.txt"
        )


class Response(t.NamedTuple):
    """The response of an ACME server."""

    url: str
    status: int
    headers: t.Mapping[str, str]
    body: bytes
    links: dict[str, list[str]]  # relation: URLs (RFC 8288)

    def json(self) -> dict[str, t.Any]:
        """Return the JSON object in the body. Raises TlsError if it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise TlsError(
                f"{self.url} does not answer as an ACME server does, but with "
                f"{words_of_ca(self.body[:MAX_QUOTED_BYTES].decode(errors='replace'))!r}; "
                "see that directory is the address of an ACME directory, and that no proxy answers in its place"
            )
        return value

    def retry_after(self) -> float | None:
        """Return the seconds after which the server accepts the next request, if it says so."""
        return retry_after(self.headers, utc_now())


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
        self.retry_delays: tuple[float, ...] = () if is_single_try else RETRY_DELAYS_S  # seconds
        self.read_timeout = SINGLE_TRY_TIMEOUT_S if is_single_try else READ_TIMEOUT_S
        self.max_wait = 0.0 if is_single_try else MAX_WAIT_S
        self._connection = CONNECTIONS.setdefault((os.getpid(), url, ca_file), Connection())

    def directory(self) -> DirectoryObject:
        """Return the directory (RFC 8555, section 7.1.1).

        Raises TlsError if the URL is that of something else.
        """
        if self._connection.directory is None:
            directory = self.get(self.url, f"asking {self.url} what it offers").json()
            if not isinstance(directory.get("newOrder"), str) or not isinstance(directory.get("newNonce"), str):
                raise TlsError(
                    f"{self.url} is no ACME directory: it names no newOrder and newNonce; correct the directory of the issuer"
                )
            self._connection.directory = t.cast(DirectoryObject, directory)
        return self._connection.directory

    def directory_meta(self) -> dict[str, t.Any]:
        """Return C(meta) of the directory, or an empty dictionary."""
        meta = self.directory().get("meta")
        return meta if isinstance(meta, dict) else {}

    def meta(self, name: str) -> t.Any:
        """Return a value in C(meta) of the directory, or None."""
        return self.directory_meta().get(name)

    def resource_url(self, name: str) -> str:
        """Return the URL of a resource in the directory, such as C(newOrder).

        Raises TlsError if there is none.
        """
        url = self.directory().get(name)
        if not isinstance(url, str):
            raise TlsError(f"{self.url} does not offer {name}; choose another directory for the issuer")
        return url

    def get(self, url: str, subject: str) -> Response:
        """Return the response to an unsigned request. *subject* begins its errors."""
        return self._with_retries(lambda: self._send("GET", url), subject, ())

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

        return self._with_retries(attempt, subject, names)

    def _nonce(self) -> str | Response:
        """Return the newest unused nonce, or the response of a server that has none for the moment."""
        while True:
            with contextlib.suppress(IndexError):  # also if another order was faster
                return self._connection.nonces.pop()
            response = self._send("HEAD", self.resource_url("newNonce"))
            if not response.headers.get("Replay-Nonce"):
                if response.status in (*RATE_LIMIT_STATUSES, *SERVER_ERROR_STATUSES):
                    return response
                raise TlsError(
                    f"{response.url} answers with HTTP {response.status} and without a nonce; see that directory is the address of an ACME "
                    "directory, and the status page of the CA"
                )

    def _with_retries(self, attempt: t.Callable[[], Response], subject: str, names: t.Sequence[str]) -> Response:
        """Return the first response that is no error. Raises Problem.

        After a rate limit, the request is repeated within max_wait; after a server error, after each of retry_delays, and with
        another nonce, since the server may have used up the first one.
        """
        deadline, delays = time.monotonic() + self.max_wait, iter(self.retry_delays)
        while True:
            self.limits.wait(names, max(0.0, deadline - time.monotonic()))
            response = attempt()
            if response.status < 400:
                return response
            refusal = problem(
                subject,
                _json_value(response),
                response.status,
                response.retry_after(),
                _first(response.links.get("help")),
            )
            delay = next(delays, None) if response.status in SERVER_ERROR_STATUSES else None
            if delay is not None:
                time.sleep(delay)
                continue
            if response.status not in RATE_LIMIT_STATUSES:
                raise refusal
            refusal = self.limits.record(refusal, names)
            if (refusal.retry_after or 0) > deadline - time.monotonic():
                raise refusal

    def _send(
        self, method: str, url: str, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Return the response to one request, which is repeated if the connection is lost. Raises Unreachable."""
        for delay in (*self.retry_delays, None):
            try:
                response = self._exchange(method, url, content, headers or {})
                break
            except (
                requests.exceptions.InvalidURL,
                requests.exceptions.InvalidSchema,
                requests.exceptions.MissingSchema,
            ) as error:
                raise TlsError(
                    f"{words_of_ca(url)!r} is no address of an ACME server; correct the directory of the issuer"
                ) from error
            except requests.exceptions.RequestException as error:
                if isinstance(error, requests.exceptions.SSLError) and not is_cut_off(error):
                    raise Unreachable(
                        f"the TLS of {url} cannot be trusted: {why(error)}; correct directory, or name the root of the CA's own server "
                        "in ca_file of the issuer"
                    ) from error
                if delay is None:
                    sentence = f"{url} cannot be reached: {why(error)}; see that the CA runs, and that this machine may connect to it"
                    if self.retry_delays:
                        self.limits.record_unreachable(sentence)
                    raise Unreachable(sentence) from error
                time.sleep(delay)
        if nonce := response.headers.get("Replay-Nonce"):
            self._connection.nonces.append(nonce)
        return response

    def _exchange(self, method: str, url: str, content: bytes | None, headers: dict[str, str]) -> Response:
        deadline = time.monotonic() + RESPONSE_TIMEOUT_S
        with self._session().request(
            method,
            url,
            data=content,
            headers=headers,
            timeout=(min(self.read_timeout, CONNECT_TIMEOUT_S), self.read_timeout),
            allow_redirects=method == "GET",
            stream=True,
            proxies=requests.utils.get_environ_proxies(url),
        ) as response:
            body = b""
            for part in response.iter_content(65536):
                body += part
                if len(body) > MAX_RESPONSE_BYTES:
                    raise TlsError(
                        f"{url} answers with more than {MAX_RESPONSE_BYTES} bytes; see what answers in place of the CA"
                    )
                if time.monotonic() > deadline:
                    raise requests.exceptions.ReadTimeout(
                        f"no end of the answer within {RESPONSE_TIMEOUT_S:.0f} seconds"
                    )
            links: dict[str, list[str]] = {}
            for link in requests.utils.parse_header_links(response.headers.get("Link", "")):
                if "rel" in link and "url" in link:
                    links.setdefault(link["rel"], []).append(requests.compat.urljoin(url, link["url"]))
            return Response(url, response.status_code, response.headers, body, links)

    def _session(self) -> requests.Session:
        """Return the session, which all requests of this process share."""
        if self._connection.session is None:
            self._connection.session = open_session(self.ca_file)
        return self._connection.session


def signature_algorithm(key: josepy.JWK) -> t.Any:
    """Return the algorithm with which a key signs (RFC 7518, section 3.1)."""
    if isinstance(key, josepy.JWKRSA):
        return josepy.RS256
    return {256: josepy.ES256, 384: josepy.ES384, 521: josepy.ES512}[key.key.key_size]


def _json_value(response: Response) -> t.Any:
    """Return the JSON in the body of a response, or an empty dictionary if it is none."""
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return {}


def _is_bad_nonce(response: Response) -> bool:
    document = _json_value(response) if response.status == 400 else {}
    return isinstance(document, dict) and str(document.get("type", "")).endswith(":badNonce")


def _first(items: list[str] | None) -> str | None:
    return items[0] if items else None
