# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version, paths and modules of the nginx of a host, as C(nginx -V) prints them."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

OLDEST_VERSION = (1, 18)
ANGIE_BASE = (1, 25, 3)  # Angie counts its own versions, and is built from this version of nginx or a later one
DOTTED = r"[0-9]{1,9}(?:\.[0-9]{1,9})+"
ERROR = re.compile(r"^(?:(?:nginx|angie):|\d{4}/\S+ \S+) \[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(.*)$", re.MULTILINE)


class NginxBuild(t.NamedTuple):
    """The versions, paths and modules that decide how a configuration is written."""

    version: tuple[int, ...]
    openssl: tuple[int, ...]  # empty if nginx does not say, or uses another library
    prefix: str
    config_path: str
    pid_path: str
    error_log: str
    has_tls: bool
    has_http2: bool
    has_http3: bool = False
    access_log: str = "logs/access.log"  # of an http block without a directive

    @property
    def rejects_handshakes(self) -> bool:
        """Return whether nginx knows ssl_reject_handshake."""
        return self.version >= (1, 19, 4)

    @property
    def switches_http2_by_site(self) -> bool:
        """Return whether HTTP/2 is a directive of a site, and no longer a parameter of listen."""
        return self.version >= (1, 25, 1)

    @property
    def keeps_protocols_by_site(self) -> bool:
        """Return whether each site has its own protocols.

        Before nginx 1.29.2, those of the default server hold for its whole port.
        """
        return self.version >= (1, 29, 2) and self.openssl >= (1, 1, 1)

    @property
    def default_protocols(self) -> tuple[str, ...]:
        """Return the protocols of a server without ssl_protocols (https://nginx.org/en/docs/http/ngx_http_ssl_module.html)."""
        old = ("TLSv1", "TLSv1.1") if self.version < (1, 27, 3) else ()
        return (*old, "TLSv1.2", *(("TLSv1.3",) if self.version >= (1, 23, 4) else ()))


def parse_build(text: str) -> NginxBuild:
    """Parse the output of C(nginx -V). Raises TlsError if this nginx is too old, or has no TLS.

    The version of OpenSSL is that of the library in use, which may be newer or older than the one nginx was built with.
    """
    version = re.search(rf"^(?:nginx|Angie) version: \S+?/({DOTTED})", text, re.MULTILINE)
    if not version:
        raise TlsError(
            f"nginx -V does not tell a version, but says {text[:200]!r}; install nginx from your distribution"
        )
    prefix = _argument(text, "prefix", "/usr/local/nginx")
    nginx = NginxBuild(
        version=ANGIE_BASE if version.group(0).startswith("Angie") else _numbers(version.group(1)),
        openssl=_openssl(text),
        prefix=prefix,
        config_path=os.path.join(prefix, _argument(text, "conf-path", "conf/nginx.conf")),
        pid_path=_argument(text, "pid-path", "logs/nginx.pid"),
        error_log=_argument(text, "error-log-path", "logs/error.log"),
        access_log=_argument(text, "http-log-path", "logs/access.log"),
        has_tls="--with-http_ssl_module" in text,
        has_http2="--with-http_v2_module" in text,
        has_http3="--with-http_v3_module" in text,
    )
    if nginx.version < OLDEST_VERSION:
        raise TlsError(
            f"nginx {version_text(nginx.version)} is older than {version_text(OLDEST_VERSION)}, the oldest that can be configured here; upgrade it"
        )
    if not nginx.has_tls:
        raise TlsError("this nginx was built without TLS (--with-http_ssl_module); install one that has it")
    return nginx


def version_text(version: tuple[int, ...]) -> str:
    """Return a version with dots.

    >>> version_text((1, 22, 1))
    '1.22.1'
    """
    return ".".join(str(number) for number in version)


def first_error(output: str) -> str | None:
    """Return the first error in the output or the log of nginx, or None."""
    match = ERROR.search(output)
    return match.group(1) if match else None


def load_error(log: str, master: int) -> str | None:
    """Return the first error that kept the process *master* from loading its configuration, or None.

    log: the new part of the error log, in which workers write about clients, too. nginx tries five times to bind a port that is
    taken; only then does it give up.
    """
    errors = re.findall(rf"^\d{{4}}/\S+ \S+ \[emerg\] {master}#\d+: (.*)$", log, re.MULTILINE)
    return errors[0] if any(not error.startswith("bind() to ") for error in errors) else None


def taken_port(error: str) -> int | None:
    """Return the port that nginx could not bind, or None for another error."""
    match = re.match(r"bind\(\) to \S+:([0-9]{1,5}) failed \(98: ", error)
    return int(match.group(1)) if match else None


def _openssl(text: str) -> tuple[int, ...]:
    for words in ("running with", "built with"):
        match = re.search(rf"{words} OpenSSL ({DOTTED})", text)
        if match:
            return _numbers(match.group(1))
    return ()


def _argument(text: str, name: str, default: str) -> str:
    match = re.search(rf"--{name}=(\S+)", text)
    return match.group(1) if match else default


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
