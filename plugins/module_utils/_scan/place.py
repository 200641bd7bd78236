# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The places at which the configuration of a server names a certificate."""

from __future__ import annotations

import typing as t

PEM = "pem"  # key and certificate in files of their own
COMBINED = "combined"  # key and certificate in one file
KEYSTORE = "keystore"  # PKCS #12 or JKS
VARIABLE = "variable"  # a path that is known only while a client connects

MAX_CONFIG_BYTES = 4 * 1024 * 1024  # of one file of a configuration
MAX_CONFIG_FILES = 10_000  # of one server
Read = t.Callable[[str], t.Optional[bytes]]  # returns the content of a file, or None
Find = t.Callable[[str], list[str]]  # returns the paths that a pattern matches, sorted


class Place(t.NamedTuple):
    """A certificate that the configuration of a server names. Paths are absolute, unless they have a variable."""

    path: str  # of the configuration file
    line: int
    server: str  # nginx, apache, haproxy, tomcat
    names: tuple[str, ...]  # of the server block, as far as the configuration says
    ports: tuple[int, ...]
    certificate: str
    key: str = ""  # empty where the file of the certificate has it
    chain: str = ""
    form: str = PEM

    @property
    def place(self) -> str:
        """Return path and line, such as C(/etc/nginx/conf.d/hand.conf:1)."""
        return f"{self.path}:{self.line}"
