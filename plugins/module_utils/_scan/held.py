# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the files of a key and a certificate hold, and whether C(adopt) would take them in. Nothing of a key is returned."""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint, not_after
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import issuer_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.file_formats import read_certificate_file
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    load_key,
    public_bytes,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import why_exposed
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._scan.place import COMBINED, KEYSTORE, VARIABLE, Place
from ansible_collections.evergreen.tls.plugins.module_utils._store.adopt import find_pair
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import MAX_FILE_BYTES, read_file
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import user_name

UNUSED_NAME = "_scan-of-this-host"  # no request has this name, so its folder in the store is never there
REFUSED_FORMS = {
    COMBINED: "key and certificate are in one file; put each into a file of its own, and have the server's configuration name both",
    KEYSTORE: "a keystore is no PEM; request the certificate, and have exports write the keystore",
    VARIABLE: "the path is known only while a client connects, or is no file; have the server's configuration name files",
}
# By whom files are managed: parts of the paths that links lead to.
MANAGERS = {
    "certbot": ("/etc/letsencrypt/",),
    "acme.sh": ("/.acme.sh/",),
    "lego": ("/.lego/", "/lego/certificates/"),
    "dehydrated": ("/dehydrated/",),
}


class Held(t.TypedDict, total=False):
    """A place in the configuration, and what its files hold."""

    place: str
    server: str
    names: list[str]  # of the configuration
    ports: list[int]
    certificate: str
    key: str
    chain: str
    form: str
    key_mode: str  # octal digits
    key_owner: str
    matches: bool  # whether key and certificate belong together
    domains: list[str]  # of the certificate
    issuer: str
    not_after: str  # in ISO 8601
    key_type: str
    public_key: str  # SHA-256 of the SubjectPublicKeyInfo, hexadecimal
    fingerprint: str
    served: bool
    managed: bool  # by this collection
    manager: str  # another program
    refusal: str  # why adopt would not take it in, or empty
    exposed: bool  # whether others may read the key


# not a parser: it passes paths on, and reads the files by parsers that have their own inputs
def read_place(place: Place, store: str) -> Held:
    """Return what the files of a place hold. store: the folder of the collection on this host."""
    held: Held = {
        "place": place.place,
        "server": place.server,
        "names": list(place.names),
        "ports": list(place.ports),
        "certificate": place.certificate,
        "key": place.key,
        "chain": place.chain,
        "form": place.form,
        "served": False,
        "managed": False,
        "refusal": REFUSED_FORMS.get(place.form, ""),
    }
    if place.form == VARIABLE:
        return held
    paths = [os.path.realpath(one) for one in (place.certificate, place.key or place.certificate)]
    held["managed"] = all(one.startswith(f"{os.path.realpath(store)}/") for one in paths)
    held["manager"] = manager_of([place.certificate, place.key, *paths])
    if place.form == KEYSTORE:
        return held
    try:
        _read_certificate(held)
        _read_key(held)
        if not held["refusal"] and not held["managed"]:
            adopt = {"key": place.key, "certificate": place.certificate, "chain": place.chain or None}
            find_pair(Store(store, UNUSED_NAME), {"name": UNUSED_NAME, "adopt": adopt, "owner": None, "mode": "0600"})
    except TlsError as error:
        held["refusal"] = held["refusal"] or str(error)
    except OSError as error:
        held["refusal"] = held["refusal"] or str(system_error(error))
    return held


def manager_of(paths: list[str]) -> str:
    """Return the program in whose folders one of the paths lies, or an empty text."""
    return next((name for name, parts in MANAGERS.items() if any(part in path for part in parts for path in paths)), "")


# not a parser: read_certificate_file() reads the content, and is one
def _read_certificate(held: Held) -> None:
    content = read_file(held["certificate"], max_bytes=MAX_FILE_BYTES)
    if content is None:
        raise TlsError(f"{held['certificate']} is not there; correct the server's configuration")
    certificates = read_certificate_file(content).certificates
    if not certificates:
        raise TlsError(f"{held['certificate']} holds no certificate that can be read; put one there")
    leaf = certificates[0]
    spki = public_bytes(leaf.public_key())
    held["domains"] = sorted(names_of(leaf))
    held["issuer"] = issuer_name(leaf)
    held["not_after"] = not_after(leaf).isoformat()
    held["key_type"] = describe_key(leaf.public_key())
    held["public_key"] = hashlib.sha256(spki).hexdigest()
    held["fingerprint"] = fingerprint(leaf)


# not a parser: load_key() reads the content, and is one
def _read_key(held: Held) -> None:
    path = held["key"] or held["certificate"]
    content = read_file(path, max_bytes=MAX_FILE_BYTES)
    if content is None:
        raise TlsError(f"{path} is not there; correct the server's configuration")
    status = os.stat(path)
    mode = stat.S_IMODE(status.st_mode)
    held["key_mode"], held["key_owner"] = f"{mode:04o}", user_name(status.st_uid)
    held["exposed"] = why_exposed(path, mode, 0o600) is not None
    spki = public_bytes(load_key(content, path).public_key())
    held["matches"] = hashlib.sha256(spki).hexdigest() == held["public_key"]
