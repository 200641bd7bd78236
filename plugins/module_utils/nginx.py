# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nginx of a host, as C(nginx -V) describes it, and the TLS directives that it understands.

The directives follow the guideline 6.0 of Mozilla's server side TLS (https://ssl-config.mozilla.org/guidelines/).
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError

OLDEST = (1, 18)
INTERMEDIATE_CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
    )
)
CURVES = "X25519:prime256v1:secp384r1"
ERROR = re.compile(r"^(?:nginx:|\d{4}/\S+ \S+) \[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(.*)$", re.MULTILINE)


class Nginx(t.NamedTuple):
    """What decides how a configuration is written: versions, paths and parts."""

    version: tuple[int, ...]
    openssl: tuple[int, ...]  # empty when nginx does not say, or uses another library
    prefix: str
    configuration: str
    pid_path: str
    error_log: str
    has_tls: bool
    has_http2: bool

    @property
    def rejects_handshakes(self) -> bool:
        """Say whether ssl_reject_handshake is known."""
        return self.version >= (1, 19, 4)

    @property
    def switches_http2_by_site(self) -> bool:
        """Say whether HTTP/2 is a directive of a site, and no longer a word of its listen directive."""
        return self.version >= (1, 25, 1)

    @property
    def keeps_protocols_by_site(self) -> bool:
        """Say whether each site has protocols of its own; before, the default server speaks for its whole port."""
        return self.version >= (1, 29, 2) and self.openssl >= (1, 1, 1)


def parse_nginx(text: str) -> Nginx:
    """Return what C(nginx -V) says about itself.

    The OpenSSL that counts is the one it runs with, which may be newer or older than the one it was built with.
    """
    version = re.search(r"^nginx version: \S+?/(\d+(?:\.\d+)+)", text, re.MULTILINE)
    if not version:
        raise TlsError(
            f"nginx -V does not tell a version, but says {text[:200]!r}; install nginx from your distribution"
        )
    prefix = _argument(text, "prefix", "/usr/local/nginx")
    nginx = Nginx(
        version=_numbers(version.group(1)),
        openssl=_openssl(text),
        prefix=prefix,
        configuration=os.path.join(prefix, _argument(text, "conf-path", "conf/nginx.conf")),
        pid_path=_argument(text, "pid-path", "logs/nginx.pid"),
        error_log=_argument(text, "error-log-path", "logs/error.log"),
        has_tls="--with-http_ssl_module" in text,
        has_http2="--with-http_v2_module" in text,
    )
    if nginx.version < OLDEST:
        raise TlsError(
            f"nginx {dotted(nginx.version)} is older than {dotted(OLDEST)}, the oldest that can be configured here; upgrade it"
        )
    if not nginx.has_tls:
        raise TlsError("this nginx was built without TLS (--with-http_ssl_module); install one that has it")
    return nginx


def dotted(version: tuple[int, ...]) -> str:
    """Return a version as people write it.

    >>> dotted((1, 22, 1))
    '1.22.1'
    """
    return ".".join(str(number) for number in version)


def first_error(output: str) -> str | None:
    """Return the first thing that kept nginx from a configuration, from what it printed or wrote into its log."""
    found = ERROR.search(output)
    return found.group(1) if found else None


def tls_directives(nginx: Nginx, profile: str, session: dict) -> list[str]:
    """Return the TLS directives of a profile, V(modern) or V(intermediate), for one server block.

    *session* has the keys C(timeout), C(cache) and C(tickets); tickets are C(None) to follow the guideline.
    """
    return [
        f"ssl_protocols {' '.join(_protocols(nginx, profile))};",
        *([f"ssl_ciphers {INTERMEDIATE_CIPHERS};"] if profile == "intermediate" else []),
        f"ssl_ecdh_curve {_curves(nginx)};",
        "ssl_prefer_server_ciphers off;",
        f"ssl_session_timeout {session['timeout']};",
        f"ssl_session_cache {session['cache']};",
        *_session_tickets(nginx, session["tickets"]),
    ]


def _protocols(nginx: Nginx, profile: str) -> list[str]:
    # An unknown library gets TLS 1.3 in its list: nginx leaves out what the library does not have.
    has_tls13 = not nginx.openssl or nginx.openssl >= (1, 1, 1)
    if profile == "modern" and not has_tls13:
        raise TlsError(
            f"the profile modern needs TLS 1.3, and OpenSSL {dotted(nginx.openssl)} does not have it; "
            "upgrade OpenSSL to 1.1.1 or later, or use the profile intermediate"
        )
    return [*(["TLSv1.2"] if profile == "intermediate" else []), *(["TLSv1.3"] if has_tls13 else [])]


def _curves(nginx: Nginx) -> str:
    # nginx does not start with a group that its OpenSSL does not know.
    return f"X25519MLKEM768:{CURVES}" if nginx.openssl >= (3, 5) else CURVES


def _session_tickets(nginx: Nginx, wanted: bool | None) -> list[str]:
    if wanted is None:
        # Until 1.23.2 the key of the tickets stays the same for as long as nginx runs.
        return ["ssl_session_tickets off;"] if nginx.version < (1, 23, 2) else []
    return [f"ssl_session_tickets {'on' if wanted else 'off'};"]


def _openssl(text: str) -> tuple[int, ...]:
    for words in ("running with", "built with"):
        found = re.search(rf"{words} OpenSSL (\d+(?:\.\d+)+)", text)
        if found:
            return _numbers(found.group(1))
    return ()


def _argument(text: str, name: str, default: str) -> str:
    found = re.search(rf"--{name}=(\S+)", text)
    return found.group(1) if found else default


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
