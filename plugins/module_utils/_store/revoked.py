# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions that are revoked, or have a compromised key: they are not used again, and such a key is removed.

The controller says what is revoked, from the records of its issuers: the reasons (RFC 5280, section 5.3.1) by serial number.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import KEY_COMPROMISE
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import sync_folder

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

COMPROMISED_KEY = "its key was compromised: a certificate for it is revoked"


# not a parser: it only passes on foreign input
def unusable_versions(versions: Versions, revoked: dict[str, str] | None) -> set[str]:
    """Return the versions, and C(next), whose certificate is revoked, or whose key was compromised."""
    return {
        name
        for name, leaf in _leaves(versions, revoked).items()
        if _serial(leaf) in (revoked or {}) or is_compromised(versions, leaf.public_key(), revoked)
    }


def is_compromised(versions: Versions, key: PublicKeyTypes, revoked: dict[str, str] | None) -> bool:
    """Return whether a certificate for a key is revoked since the key was compromised."""
    leaves = _leaves(versions, revoked).values()
    keys = [leaf.public_key() for leaf in leaves if (revoked or {}).get(_serial(leaf)) == KEY_COMPROMISE]
    return public_bytes(key) in map(public_bytes, keys)


# not a parser: it only passes on foreign input
def remove_compromised_keys(versions: Versions, revoked: dict[str, str] | None, check_mode: bool) -> list[str]:
    """Remove the compromised keys of versions that are not in use; return the names of these versions."""
    current, names = versions.current(), []
    for name, leaf in sorted(_leaves(versions, revoked).items()):
        path = os.path.join(versions.path, name, "privkey.pem")
        if (
            name not in (current, "next")
            and os.path.lexists(path)
            and is_compromised(versions, leaf.public_key(), revoked)
        ):
            names.append(name)
            if not check_mode:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                sync_folder(os.path.dirname(path))
    return names


def _leaves(versions: Versions, revoked: dict[str, str] | None) -> dict[str, x509.Certificate]:
    """Return the certificates of all versions that can be read; nothing is read where nothing is revoked."""
    leaves = {}
    for name in [*versions.versions(), "next"] if revoked else []:
        with contextlib.suppress(TlsError):
            leaves[name] = parse_chain(versions.file(name, "cert.pem") or versions.file(name, "fullchain.pem") or b"")[
                0
            ]
    return leaves


def _serial(leaf: x509.Certificate) -> str:
    return f"{leaf.serial_number:x}"
