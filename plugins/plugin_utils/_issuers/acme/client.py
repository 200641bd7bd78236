# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Talking to an ACME server: signed requests, nonces, and what is done when it or the way to it fails (RFC 8555, section 6).

The signatures are those of the library C(acme). Its own client forgets what a fleet needs: for how long the server wants to be
left alone, which kind of conflict there is, and that a nonce may be refused more than once.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import ssl
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    Unreachable,
    problem,
    words_of_ca,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import (
    PATIENCE,
    Limits,
    retry_after,
)

try:
    import josepy
    import requests
    import requests.adapters
    import requests.utils
    from acme import jws
except ImportError as error:  # said by require_libraries(), before anything here is called
    MISSING = error.name
else:
    MISSING = None

USER_AGENT = "evergreen.tls"
JOSE = "application/jose+json"
LARGEST = 1024 * 1024  # bytes of an answer; honest ones have a few thousand
SILENCE = 30.0  # seconds without a byte
CONNECTING = 10.0  # seconds for a connection
HURRY = 5.0
LONGEST = 90.0  # seconds for one answer
KEPT = 10  # nonces
CONNECTIONS = 50  # of a process that are kept open
TRIES = 10  # of a request whose nonce is refused; servers under test refuse every twentieth, and more
DELAYS = (0.5, 2.0, 5.0)  # seconds before a connection that was lost, or a server that failed, is tried again
MOMENTARY = (429, 503)
FAILED = (500, 502, 504)  # also what stands before a server says when that is gone


def require_libraries() -> None:
    """Make sure that the libraries are here that ACME needs."""
    if MISSING:
        raise TlsError(
            f"the issuer type acme needs the Python library {MISSING} on the controller; pip install -r requirements.txt"
        )


class Reply(t.NamedTuple):
    """What a server answered."""

    url: str
    status: int
    headers: t.Mapping[str, str]
    body: bytes
    links: dict[str, list[str]]

    def json(self) -> dict[str, t.Any]:
        """Return the object that was answered. Raises TlsError where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise TlsError(
                f"{self.url} does not answer as an ACME server does, but with {words_of_ca(self.body[:60].decode(errors='replace'))!r}; "
                "see that directory is the address of an ACME directory, and that no proxy answers in its place"
            )
        return found

    def wait(self) -> float | None:
        """Return for how many seconds the server wants to be left alone."""
        return retry_after(self.headers, utc_now())


class Signer(t.NamedTuple):
    """Who signs requests: a key, and the address of the account that it belongs to, where there is one already."""

    key: t.Any
    account: str | None = None

    # not a parser: it reads what the collection has made or checked
    def sign(self, content: bytes, url: str, nonce: bytes | None) -> bytes:
        """Return the content as a JSON web signature."""
        signed = jws.JWS.sign(content, self.key, algorithm(self.key), nonce, url, self.account)
        return signed.json_dumps().encode()


class Line:
    """What all orders of a process share on their way to a server: open connections, what it offers, and nonces."""

    def __init__(self) -> None:
        self.session: t.Any = None
        self.directory: dict[str, t.Any] | None = None
        self.nonces: collections.deque[str] = collections.deque(maxlen=KEPT)


LINES: dict[tuple[int, str, str | None], Line] = {}  # by process, address and file of roots


class Network:
    """The way to an ACME server, which is kept open between requests."""

    def __init__(self, url: str, limits: Limits, ca_file: str | None = None, is_hurried: bool = False) -> None:
        """Be ready to talk. One that *is_hurried* gives up at the first failure, for questions that can wait for the next run."""
        self.url, self.limits, self.ca_file = url, limits, ca_file
        self.delays, self.silence, self.patience = ((), HURRY, 0.0) if is_hurried else (DELAYS, SILENCE, PATIENCE)
        self._line = LINES.setdefault((os.getpid(), url, ca_file), Line())

    def directory(self) -> dict[str, t.Any]:
        """Return what the server offers, and where."""
        if self._line.directory is None:
            found = self.get(self.url, f"asking {self.url} what it offers").json()
            if not isinstance(found.get("newOrder"), str) or not isinstance(found.get("newNonce"), str):
                raise TlsError(
                    f"{self.url} is no ACME directory: it names no newOrder and newNonce; correct the directory of the issuer"
                )
            self._line.directory = found
        return self._line.directory

    def meta(self, name: str) -> t.Any:
        """Return what the directory says about the server itself."""
        meta = self.directory().get("meta")
        return meta.get(name) if isinstance(meta, dict) else None

    def address(self, name: str) -> str:
        """Return where the server offers something."""
        url = self.directory().get(name)
        if not isinstance(url, str):
            raise TlsError(f"{self.url} does not offer {name}; choose another directory for the issuer")
        return url

    def get(self, url: str, what: str) -> Reply:
        """Return what anybody gets from an address. *what* says in an error what was being done."""
        return self._patiently(lambda: self._send("GET", url), what, ())

    # not a parser: it reads what the collection has made or checked
    def post(
        self,
        url: str,
        content: t.Any,
        signer: Signer,
        what: str,
        names: t.Sequence[str] = (),
        accept: str | None = None,
    ) -> Reply:
        """Return the answer to a signed request; with no *content* (None) it only asks. *names* are what it is about."""
        payload = b"" if content is None else json.dumps(content).encode()

        def attempt() -> Reply:
            for number in range(TRIES):
                nonce = self._nonce()
                if isinstance(nonce, Reply):
                    return nonce
                headers = {"Content-Type": JOSE, **({"Accept": accept} if accept else {})}
                reply = self._send("POST", url, signer.sign(payload, url, josepy.b64decode(nonce)), headers)
                if number == TRIES - 1 or not _is_bad_nonce(reply):
                    return reply
            raise AssertionError

        return self._patiently(attempt, what, names)

    def _nonce(self) -> str | Reply:
        """Return the newest nonce that has not been used, or the answer of a server that has none for the moment."""
        while True:
            with contextlib.suppress(IndexError):  # also where another order was faster
                return self._line.nonces.pop()
            reply = self._send("HEAD", self.address("newNonce"))
            if not reply.headers.get("Replay-Nonce"):
                if reply.status in (*MOMENTARY, *FAILED):
                    return reply
                raise TlsError(
                    f"{reply.url} answers with HTTP {reply.status} and without a nonce; see that directory is the address of an ACME "
                    "directory, and the status page of the CA"
                )

    def _patiently(self, attempt: t.Callable[[], Reply], what: str, names: t.Sequence[str]) -> Reply:
        """Return an answer that is none of the refusals for the moment, which are waited for as long as patience lasts.

        A server that fails is asked again, with another nonce: it may have taken the first one.
        """
        deadline, delays = time.monotonic() + self.patience, iter(self.delays)
        while True:
            self.limits.respect(names, max(0.0, deadline - time.monotonic()))
            reply = attempt()
            if reply.status < 400:
                return reply
            refusal = problem(what, _document(reply), reply.status, reply.wait(), _first(reply.links.get("help")))
            delay = next(delays, None) if reply.status in FAILED else None
            if delay is not None:
                time.sleep(delay)
                continue
            if reply.status not in MOMENTARY:
                raise refusal
            refusal = self.limits.remember(refusal, names)
            if (refusal.wait or 0) > deadline - time.monotonic():
                raise refusal

    def _send(self, method: str, url: str, content: bytes | None = None, headers: dict | None = None) -> Reply:
        """Return the answer to one request, however often it takes to get one. Raises Unreachable where that is never."""
        for delay in (*self.delays, None):
            try:
                reply = self._exchange(method, url, content, headers or {})
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
                if isinstance(error, requests.exceptions.SSLError) and not _is_cut_off(error):
                    raise Unreachable(
                        f"the TLS of {url} cannot be trusted: {_why(error)}; correct directory, or name the root of the CA's own server "
                        "in ca_file of the issuer"
                    ) from error
                if delay is None:
                    sentence = f"{url} cannot be reached: {_why(error)}; see that the CA runs, and that this machine may connect to it"
                    if self.delays:
                        self.limits.leave(sentence)
                    raise Unreachable(sentence) from error
                time.sleep(delay)
        if nonce := reply.headers.get("Replay-Nonce"):
            self._line.nonces.append(nonce)
        return reply

    def _exchange(self, method: str, url: str, content: bytes | None, headers: dict) -> Reply:
        session = self._opened()
        end = time.monotonic() + LONGEST
        with session.request(
            method,
            url,
            data=content,
            headers=headers,
            timeout=(min(self.silence, CONNECTING), self.silence),
            allow_redirects=method == "GET",
            stream=True,
            proxies=requests.utils.get_environ_proxies(url),
        ) as response:
            body = b""
            for part in response.iter_content(65536):
                body += part
                if len(body) > LARGEST:
                    raise TlsError(f"{url} answers with more than {LARGEST} bytes; see what answers in place of the CA")
                if time.monotonic() > end:
                    raise requests.exceptions.ReadTimeout(f"no end of the answer within {LONGEST:.0f} seconds")
            links: dict[str, list[str]] = {}
            for link in requests.utils.parse_header_links(response.headers.get("Link", "")):
                if "rel" in link and "url" in link:
                    links.setdefault(link["rel"], []).append(requests.compat.urljoin(url, link["url"]))
            return Reply(url, response.status_code, response.headers, body, links)

    def _opened(self) -> t.Any:
        """Return a session that trusts whom OpenSSL trusts, as everything else here does, or C(ca_file) alone."""
        if self._line.session is None:
            session = requests.Session()
            session.trust_env = False  # REQUESTS_CA_BUNDLE and ~/.netrc; proxies are looked up for each request
            session.headers["User-Agent"] = USER_AGENT
            session.mount("https://", _adapter(self._trust()))
            self._line.session = session
        return self._line.session

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except FileNotFoundError as error:
            raise TlsError(f"ca_file {self.ca_file} does not exist; correct the issuer") from error
        except ssl.SSLError as error:
            raise TlsError(f"ca_file {self.ca_file} holds no certificate in PEM; correct the issuer") from error


def _adapter(context: ssl.SSLContext) -> t.Any:
    """Return what makes connections under one TLS context, to which nothing is added."""

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *arguments: t.Any, **options: t.Any) -> None:
            super().init_poolmanager(*arguments, **options, ssl_context=context)

        def proxy_manager_for(self, proxy: t.Any, **options: t.Any) -> t.Any:
            return super().proxy_manager_for(proxy, **options, ssl_context=context)

        def cert_verify(self, conn: t.Any, url: t.Any, verify: t.Any, cert: t.Any) -> None:
            """Leave the connection as the context has it; the library would add a bundle of its own."""

    return Adapter(pool_maxsize=CONNECTIONS)


def algorithm(key: t.Any) -> t.Any:
    """Return how a key signs."""
    if isinstance(key, josepy.JWKRSA):
        return josepy.RS256
    return {256: josepy.ES256, 384: josepy.ES384, 521: josepy.ES512}[key.key.key_size]


def _document(reply: Reply) -> t.Any:
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}


def _is_bad_nonce(reply: Reply) -> bool:
    document = _document(reply) if reply.status == 400 else {}
    return isinstance(document, dict) and str(document.get("type", "")).endswith(":badNonce")


def _first(items: list[str] | None) -> str | None:
    return items[0] if items else None


def _is_cut_off(error: BaseException) -> bool:
    """Say whether a connection ended within its handshake, which tells nothing about whom it was to."""
    return isinstance(_cause(error), (ssl.SSLEOFError, ssl.SSLZeroReturnError))


def _why(error: BaseException) -> str:
    """Return the cause at the bottom of a pile of exceptions, in words."""
    reason = _cause(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return reason.verify_message
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    words = words_of_ca(reason.args[-1] if getattr(reason, "args", ()) else reason)
    return re.sub(r"^.*(\[Errno -?[0-9]+\] |\): )", "", words).rstrip(")")


def _cause(error: BaseException) -> t.Any:
    """Return what is at the bottom of a pile of exceptions."""
    while True:
        below = getattr(error, "reason", None) or (error.args[0] if getattr(error, "args", ()) else None)
        if not isinstance(below, BaseException):
            return error
        error = below
