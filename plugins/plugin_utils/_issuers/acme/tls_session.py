# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTPS session of the ACME client, and why a connection failed, in words."""

from __future__ import annotations

import re
import ssl
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import words_of_ca
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.time_limit import LimitedSocket

try:
    import requests
    import requests.adapters
except ImportError:  # said by require_libraries(), before anything here is called
    pass

USER_AGENT = "evergreen.tls"
DATE_VERIFY_CODES = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
MAX_POOL_CONNECTIONS = 50  # that one process keeps open


def open_session(ca_file: str | None) -> requests.Session:
    """Return a session that trusts the roots of OpenSSL, or those in *ca_file* alone. Raises TlsError."""
    session = requests.Session()
    session.trust_env = False  # REQUESTS_CA_BUNDLE and ~/.netrc; proxies are looked up for each request
    session.headers["User-Agent"] = USER_AGENT
    session.headers["Accept-Encoding"] = "identity"  # what is compressed may be a thousand times as large as it seems
    session.mount("https://", _adapter(_ssl_context(ca_file)))
    del session.adapters["http://"]  # to which no redirect may lead (RFC 8555, section 6.1)
    return session


def _ssl_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except FileNotFoundError as error:
        raise TlsError(f"ca_file {ca_file} does not exist; correct the issuer") from error
    except ssl.SSLError as error:
        raise TlsError(f"ca_file {ca_file} holds no certificate in PEM; correct the issuer") from error
    context.sslsocket_class = LimitedSocket
    return context


def _adapter(context: ssl.SSLContext) -> requests.adapters.HTTPAdapter:
    """Return an adapter that makes connections with this TLS context, and adds nothing to it."""

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *arguments: t.Any, **options: t.Any) -> None:
            super().init_poolmanager(*arguments, **options, ssl_context=context)

        def proxy_manager_for(self, proxy: t.Any, **options: t.Any) -> t.Any:
            return super().proxy_manager_for(proxy, **options, ssl_context=context)

        def cert_verify(self, conn: t.Any, url: t.Any, verify: t.Any, cert: t.Any) -> None:
            """Do nothing, so that the library does not add its own bundle of roots."""

    return Adapter(pool_maxsize=MAX_POOL_CONNECTIONS)


def is_cut_off(error: BaseException) -> bool:
    """Say whether the connection ended within the handshake. That says nothing about the server."""
    return isinstance(_root_cause(error), (ssl.SSLEOFError, ssl.SSLZeroReturnError))


def trust_remedy(error: BaseException) -> str:
    """Return what to do about a server that cannot be trusted. Where only dates are wrong, the clock of this machine may be."""
    if getattr(_root_cause(error), "verify_code", 0) in DATE_VERIFY_CODES:
        now = format_date(utc_now(), "minutes")
        return f"see that the clock of this controller is right ({now}), and the status page of the CA"
    return "correct directory, or name the root of the CA's own server in ca_file of the issuer"


def why(error: BaseException) -> str:
    """Return the root cause of an exception in words."""
    cause = _root_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    words = words_of_ca(cause.args[-1] if getattr(cause, "args", ()) else cause)
    return re.sub(r"^.*(\[Errno -?[0-9]+\] |\): )", "", words).rstrip(")")


def _root_cause(error: BaseException) -> BaseException:
    """Return the exception inside of all others, as urllib3 and requests wrap them."""
    while True:
        inner = getattr(error, "reason", None) or (error.args[0] if getattr(error, "args", ()) else None)
        if not isinstance(inner, BaseException):
            return error
        error = inner
