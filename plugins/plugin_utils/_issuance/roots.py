# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of roots on the controller."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file


def read_roots(path: str | None) -> bytes | None:
    """Return the roots in a file of the controller, in PEM; None without a path.

    Raises TlsError when the file is missing or malformed.
    """
    if not path:
        return None
    pem = read_file(path)
    if pem is None:
        raise TlsError(f"roots: {path} does not exist; correct the path, or leave it out for a CA that systems trust")
    try:
        parse_chain(pem)
    except TlsError as error:
        raise TlsError(f"roots: {path}: {error}") from error
    return pem
