# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificate that the store on the controller has in use, and the label under which it is uploaded."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import check_chain, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Pair

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

LABEL_PREFIX = "evergreen"
MAX_LABEL_CHARACTERS = 100  # which every cloud takes
FINGERPRINT_CHARACTERS = 16


def installed_pair(directory: str, request: Request, host: str) -> Pair | None:
    """Return the certificate that is in use, None where there is none yet.

    Its key is read from the disk, and decrypted in memory, when it is asked for. Raises TlsError for a chain that clients would refuse.
    """
    store = Store(directory, request["name"])
    with _readable(store.path):
        current = store.current()
        content = store.file(current, "fullchain.pem") if current is not None else None
    if current is None:
        return None
    where = f"{store.path}/{current}/fullchain.pem"
    try:
        chain = parse_chain(content or b"")
    except TlsError as error:
        raise TlsError(f"{where}: {error}") from error
    label = upload_prefix(request, host) + fingerprint(chain[0])[:FINGERPRINT_CHARACTERS]
    return Pair(chain, functools.partial(_key_of, store, current, chain, request), label, store.lock)


# not a parser: it reads what the collection has made or checked
def _key_of(store: Store, version: str, chain: list[x509.Certificate], request: Request) -> PrivateKeyTypes:
    """Return the private key of a version. Raises TlsError unless it is the one of the chain, and the chain is good."""
    with _readable(store.path):
        key = store.private_key(version, f"{store.path}/{version}/privkey.pem")
    if public_bytes(key.public_key()) != public_bytes(chain[0].public_key()):
        raise TlsError(
            f"{store.path}/{version}: privkey.pem is not the key of fullchain.pem; have a new pair made with certificate_force: true"
        )
    check_chain(chain, key.public_key(), request["domains"], utc_now())
    return key


@contextlib.contextmanager
def _readable(path: str) -> t.Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise TlsError(
            f"{error.filename or path} cannot be read by the user of ansible-playbook, which reads the keys for clouds and appliances itself; "
            "set ansible_become: false for this host, and a certificate_directory of this user, such as ~/.evergreen/certificates"
        ) from error


def has_prefix(label: str, prefix: str) -> bool:
    """Say whether a label, or the alias of an order, is one of the request with this prefix. It may be a whole label, too.

    >>> has_prefix("evergreen/static/5f0c", "evergreen/static/"), has_prefix("evergreen/static/img/5f0c", "evergreen/static/")
    (True, False)
    """
    return label.startswith(prefix) and "/" not in label[len(prefix) :]


# not a parser: it reads what the inventory says
def upload_prefix(request: Request, host: str) -> str:
    """Return what the labels of all uploads of a request begin with. The host is in it where the request has another name.

    >>> upload_prefix({"name": "static"}, "cdn1"), upload_prefix({"name": "static"}, "static")
    ('evergreen/cdn1/static/', 'evergreen/static/')
    """
    name = request["name"]
    middle = name if host in ("", name) else f"{host}/{name}"
    room = MAX_LABEL_CHARACTERS - FINGERPRINT_CHARACTERS - len(f"{LABEL_PREFIX}//")
    if len(middle) > room:
        middle = f"{middle[: room - 17]}-{hashlib.sha256(middle.encode()).hexdigest()[:16]}"
    return f"{LABEL_PREFIX}/{middle}/"
