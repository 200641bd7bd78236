# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that the configuration of nginx names, in http, stream and mail blocks."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import (
    Statement,
    inside_blocks,
    parse_listen,
    statements_in,
)
from ansible_collections.evergreen.tls.plugins.module_utils._scan.place import PEM, VARIABLE, Place

BLOCKS = ("http", "stream", "mail")
SCHEMES = ("data:", "engine:", "store:")  # a key or certificate that is in no file


def nginx_places(files: dict[str, str], main: str) -> list[Place]:
    """Return the certificates of server blocks with TLS: each pair of the block, or of the block above it.

    nginx pairs the first ssl_certificate with the first ssl_certificate_key, and so on; a block that has one of the directives
    inherits none of that directive (ngx_http_ssl_module.c, ngx_conf_merge_ptr_value).
    """
    places = []
    for block in BLOCKS:
        statements = list(inside_blocks(files, main, block))
        above = [statement for _path, statement in statements]
        for path, statement in statements:
            if statement.words[0] == "server":
                inner = [one for _path, one in statements_in(files, main, path, statement)]
                places += _places_of_block(main, path, statement.line, inner, above)
    return places


def _places_of_block(
    main: str, path: str, line: int, inner: t.Sequence[Statement], above: t.Sequence[Statement]
) -> list[Place]:
    listens = [listen for words in _arguments(inner, "listen") for listen in parse_listen(words)]
    tls_ports = {one.port for one in listens if one.is_quic or "ssl" in one.parameters}
    if _is_on(inner, above):
        tls_ports |= {one.port for one in listens}
    if not tls_ports:
        return []
    certificates = _first_arguments(inner, "ssl_certificate") or _first_arguments(above, "ssl_certificate")
    keys = _first_arguments(inner, "ssl_certificate_key") or _first_arguments(above, "ssl_certificate_key")
    names = tuple(dict.fromkeys(name.lower() for words in _arguments(inner, "server_name") for name in words if name))
    places = []
    for certificate, key in zip(certificates, keys):
        is_known = not any("$" in one or one.startswith(SCHEMES) for one in (certificate, key))
        paths = [os.path.normpath(os.path.join(os.path.dirname(main), one)) for one in (certificate, key)]
        certificate, key = paths if is_known else (certificate, key)
        form = PEM if is_known else VARIABLE
        places.append(Place(path, line, "nginx", names, tuple(sorted(tls_ports)), certificate, key, form=form))
    return places


def _arguments(statements: t.Iterable[Statement], directive: str) -> list[list[str]]:
    return [one.words[1:] for one in statements if one.words[0] == directive and len(one.words) > 1]


def _first_arguments(statements: t.Iterable[Statement], directive: str) -> list[str]:
    return [words[0] for words in _arguments(statements, directive)]


def _is_on(inner: t.Sequence[Statement], above: t.Sequence[Statement]) -> bool:
    """Return the value of the directive ssl, which nginx had before 1.25.1."""
    values = _first_arguments(inner, "ssl") or _first_arguments(above, "ssl")
    return values[-1:] == ["on"]
