# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nginx of a host, as C(nginx -V) describes it."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

OLDEST = (1, 18)
DOTTED = r"[0-9]{1,9}(?:\.[0-9]{1,9})+"
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
    version = re.search(rf"^nginx version: \S+?/({DOTTED})", text, re.MULTILINE)
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


def load_error(log: str, master: int) -> str | None:
    """Return the first thing that kept a master process from its configuration, from what its error log has gained.

    Workers write there too, about clients. A port that is taken is tried five times; only then does nginx give up.
    """
    found = re.findall(rf"^\d{{4}}/\S+ \S+ \[emerg\] {master}#\d+: (.*)$", log, re.MULTILINE)
    return found[0] if any(not error.startswith("bind() to ") for error in found) else None


def taken_port(error: str) -> int | None:
    """Return the port that nginx could not have, where that is the error."""
    found = re.match(r"bind\(\) to \S+:([0-9]{1,5}) failed \(98: ", error)
    return int(found.group(1)) if found else None


def _openssl(text: str) -> tuple[int, ...]:
    for words in ("running with", "built with"):
        found = re.search(rf"{words} OpenSSL ({DOTTED})", text)
        if found:
            return _numbers(found.group(1))
    return ()


def _argument(text: str, name: str, default: str) -> str:
    found = re.search(rf"--{name}=(\S+)", text)
    return found.group(1) if found else default


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
