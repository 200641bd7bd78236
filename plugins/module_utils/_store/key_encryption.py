# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The encryption of private keys in the store, by a passphrase that lies beside them."""

from __future__ import annotations

import re
import secrets
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import write_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

GENERATED_PASSPHRASE = re.compile(rb"[A-Za-z0-9_-]{43}")  # 32 random bytes in base64url


# not a parser: it reads what the collection has made or checked
def key_files(key: PrivateKeyTypes, request: Request) -> dict[str, bytes]:
    """Return the files of a private key, encrypted if the request says so: privkey.pem and passphrase."""
    if not request["encrypt_key"]:
        return {"privkey.pem": write_key(key)}
    passphrase = (request["passphrase"] or secrets.token_urlsafe(32)).encode()
    return {"privkey.pem": write_key(key, passphrase), "passphrase": passphrase + b"\n"}


# not a parser: it reads what the collection has made or checked
def has_requested_encryption(store: Versions, version: str, request: Request) -> bool:
    """Return whether the key of a version is encrypted as the request says.

    That is with its passphrase, with a generated one, or not at all.
    """
    passphrase = store.passphrase(version)
    if not request["encrypt_key"] or passphrase is None:
        return not request["encrypt_key"] and passphrase is None
    if request["passphrase"]:
        return passphrase == request["passphrase"].encode()
    return GENERATED_PASSPHRASE.fullmatch(passphrase) is not None


def check_passphrase_file(store: Versions, request: Request) -> None:
    """Raise TlsError if the key is to be encrypted and the version in use has no passphrase file.

    nginx is not configured to read one then, and could not start.
    """
    current = store.current()
    if current is None or not request["encrypt_key"] or store.file(current, "passphrase"):
        return
    try:
        store.private_key(current)
    except TlsError:  # nor can nginx read it
        return
    path = f"{store.path}/current/passphrase"
    raise TlsError(
        f"the key of {request['name']} is to be encrypted, and nginx has not been told where its passphrase will be; run "
        f"evergreen.tls.deploy, or, where nginx's configuration is your own, put an empty line into {path}, for root alone to read, "
        "and name it there as ssl_password_file"
    )
