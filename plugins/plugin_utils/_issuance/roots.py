# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of roots on the controller: those that an issuer names, and the store of the system."""

from __future__ import annotations

import functools
import os
import ssl
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.file_formats import read_certificate_file
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.settings_files import read_setting

if t.TYPE_CHECKING:
    from cryptography import x509

STORES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def read_roots(path: str | None) -> bytes | None:
    """Return the roots of the setting C(roots) in PEM; None without it. Raises TlsError when there is none."""
    if not path:
        return None
    return to_pem(read_setting("roots", path, "leave it out for a CA that systems trust").certificates)


def system_roots() -> list[x509.Certificate]:
    """Return the roots that programs on this machine trust, without those that cannot be read; none when there is no file of them."""
    for path in (ssl.get_default_verify_paths().cafile, *STORES):
        pem = read_file(path) if path and os.path.isfile(path) else None
        roots = _readable(pem) if pem else ()
        if roots:
            return list(roots)
    return []


@functools.lru_cache(maxsize=4)
def _readable(content: bytes) -> tuple[x509.Certificate, ...]:
    return tuple(read_certificate_file(content).certificates)
