# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Adopt pairs that were made by hand: they become a version, and links replace their files.

At any instant the old paths lead to the same pair: links come once the version that they lead to is on the disk and in use, and a
renewal comes once all of them are there. A file is given up only where the version in use is seen to hold what is in it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    is_self_issued,
    subject_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.file_formats import read_certificate_file
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import load_key, public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import why_exposed
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import ADOPTED_FILES, Request, key_mode
from ansible_collections.evergreen.tls.plugins.module_utils._store.attributes import user_id
from ansible_collections.evergreen.tls.plugins.module_utils._store.links import (
    check_outside,
    is_link_to,
    link_target,
    path_use,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    read_file_in,
    read_link,
    replace_link,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import (
    is_trusted,
    other_writers,
    trusted_folder,
    user_name,
    whose_folder,
    whose_folder_in,
)

if t.TYPE_CHECKING:
    from cryptography import x509

AGAIN = "correct the paths, or move the files away to have a new pair made"


class Pair(t.NamedTuple):
    """A key as its file holds it, its chain, and why others may know the key, or None."""

    key: bytes
    chain: list[x509.Certificate]
    exposed: str | None


def to_adopt(store: Store, request: Request) -> list[str]:
    """Return the paths of C(adopt) that exist and are not links into the store."""
    return [
        path for path, file in _paths(request).items() if os.path.lexists(path) and not is_link_to(store, path, file)
    ]


def find_pair(store: Store, request: Request) -> Pair | None:
    """Return the pair to adopt, or None if a version is in use.

    Raises TlsError for files that must not be replaced, such as those that the version in use does not hold.
    """
    paths = t.cast("dict[str, str]", request["adopt"])
    current = store.current()
    if current is not None:
        for path in to_adopt(store, request):
            with _folder_of(path, request) as folder:
                _check_held(store, current, path, request, folder)
        return None
    for path, file in _paths(request).items():
        check_outside(store, path, "adopt")
        if not os.path.lexists(path) or is_link_to(store, path, file):
            others = " and ".join(to_adopt(store, request))
            if not others:
                raise TlsError(f"adopt: {path} is not there any more{_whose_folder(path, request)}; {AGAIN}")
            raise TlsError(f"adopt: {others} is there, and {path} is not{_whose_folder(path, request)}; {AGAIN}")
    with _folder_of(paths["key"], request) as folder:
        key, status = _read_key(paths["key"], request, folder)
    with _folder_of(paths["certificate"], request) as folder:
        chain = _read_certificates(paths["certificate"], request, folder)
    if public_bytes(chain[0].public_key()) != public_bytes(load_key(key).public_key()):
        raise TlsError(f"adopt: {paths['certificate']} does not belong to the key in {paths['key']}; {AGAIN}")
    if paths.get("chain"):
        with _folder_of(paths["chain"], request) as folder:
            chain = _continued(chain, _read_certificates(paths["chain"], request, folder), paths)
    return Pair(key, chain, _why_exposed(paths["key"], status, request))


def take_in(store: Store, request: Request) -> str:
    """Adopt the pair of find_pair(), or finish the adoption of a killed run; return the version."""
    pair = find_pair(store, request)
    store.remove_left_over(request)
    if pair is not None:
        version = _holding(store, pair)  # since a killed run may have come as far as that
        if version is None:
            exposed = {"exposed": pair.exposed.encode()} if pair.exposed else {}
            parts = {"cert.pem": pair.chain[:1], "chain.pem": pair.chain[1:], "fullchain.pem": pair.chain}
            files = {name: to_pem(certificates) for name, certificates in parts.items()}
            version = store.add_version({"privkey.pem": pair.key, **files, **exposed}, request)
        store.switch(version)
    current = store.require_current()
    for path in to_adopt(store, request):
        with _folder_of(path, request) as folder:
            _check_held(store, current, path, request, folder)
            replace_link(link_target(store, _paths(request)[path]), path, folder)
    return current


def _paths(request: Request) -> dict[str, str]:
    """Return the paths of C(adopt), each with the file of a version that replaces it."""
    adopt = request.get("adopt") or {}
    return {path: file for option, file in ADOPTED_FILES.items() if (path := adopt.get(option))}


def _holding(store: Store, pair: Pair) -> str | None:
    """Return the version that holds this pair, as after a killed run, or None."""
    for version in reversed(store.versions()):
        same_chain = store.file(version, "fullchain.pem") == to_pem(pair.chain)
        if same_chain and store.file(version, "privkey.pem") == pair.key:
            return version
    return None


def _folder_of(path: str, request: Request) -> contextlib.AbstractContextManager[int]:
    """Open the folder of a path of C(adopt), in which the file is read and replaced."""
    return trusted_folder(os.path.dirname(path), path_use(request, "adopt"))


def _whose_folder(path: str, request: Request) -> str:
    """Return the clause of whose_folder() for a path whose file, or folder, is missing."""
    try:
        with _folder_of(path, request) as folder:
            return whose_folder(path, folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        return whose_folder_in(error)


def _check_held(store: Store, version: str, path: str, request: Request, folder: int) -> None:
    """Raise TlsError unless the version in use holds all that is in a file, so that a link can replace it."""
    file = _paths(request)[path]
    if file == "privkey.pem":
        key, _status = _read_key(path, request, folder)
        held = store.private_key(version, f"{store.path}/{version}/{file}")
        is_held = public_bytes(load_key(key).public_key()) == public_bytes(held.public_key())
    else:
        chain = parse_chain(store.file(version, "fullchain.pem") or b"")
        certificates = _read_certificates(path, request, folder)
        is_held = all(
            certificate in chain or (file == "chain.pem" and _is_root(certificate)) for certificate in certificates
        )
    if not is_held:
        raise TlsError(
            f"adopt: {path} is a file, and not what {version} of {os.path.basename(store.path)} holds, which is in use; see who puts it "
            "there and have them stop, and move it away"
        )


def _read(path: str, request: Request, folder: int) -> tuple[bytes, os.stat_result]:
    """Return content and status of a file. Raises TlsError for a file that a link must not replace."""
    whose = whose_folder(path, folder)
    target = read_link(path, folder)
    if target is not None and whose:
        raise TlsError(
            f"adopt: {path} is a symbolic link to {target}{whose}; put the file itself there, or correct the path"
        )
    if target is not None:
        raise TlsError(
            f"adopt: {path} is a symbolic link to {target}; have adopt name that file, and links name {path}"
        )
    statuses: list[os.stat_result] = []

    def check(status: os.stat_result) -> None:
        _check_file(path, status, request, folder)
        statuses.append(status)

    try:
        content = read_file_in(path, folder, check)
    except TlsError as error:
        if str(error).startswith("adopt: "):
            raise
        raise TlsError(f"adopt: {str(error).partition(';')[0]}{whose}; {AGAIN}") from error
    if content is None:
        raise TlsError(f"adopt: {path} is not there any more{whose}; {AGAIN}")
    return content, statuses[0]


def _check_file(path: str, status: os.stat_result, request: Request, folder: int) -> None:
    """Raise TlsError for a file of this status in a folder that a link must not replace."""
    whose, owner = whose_folder(path, folder), os.fstat(folder).st_uid
    if status.st_nlink > 1:
        raise TlsError(
            f"adopt: {path} has other names (hard links){whose}, which would keep the old certificate for ever; find them with "
            f"find / -xdev -samefile {path}, make them symbolic links to it, and run this again"
        )
    if not is_trusted(status) and status.st_uid != user_id(request.get("owner")):
        raise TlsError(
            f"adopt: {path} belongs to {user_name(status.st_uid)}{whose}, who could put anything there; have a look at it, run "
            f"chown {os.geteuid()} on it, and run this again; owner of the request says who will own the key"
        )
    others = other_writers(os.fstat(folder))
    if others and is_trusted(status):
        raise TlsError(
            f"adopt: {path} belongs to {user_name(status.st_uid)}, in a folder that {others} can write to, and may be a secret that was moved "
            "there; have a look at it, move it to a folder that others cannot write to, and have adopt name that file"
        )
    if whose and status.st_uid != owner:
        raise TlsError(
            f"adopt: {path} belongs to {user_name(status.st_uid)}{whose}, who could move another file there; have a look at it, run "
            f"chown {user_name(owner)} on it, and run this again"
        )


def _read_key(path: str, request: Request, folder: int) -> tuple[bytes, os.stat_result]:
    """Return the content of the file of a private key, and its status."""
    content, status = _read(path, request, folder)
    if b"-----BEGIN CERTIFICATE" in content:
        raise TlsError(
            f"adopt: {path} holds a certificate besides the key, which a link to the key would not; {_SPLIT}"
        )
    if b"ENCRYPTED" in content:
        raise TlsError(
            f"adopt: {path} is protected by a passphrase; take it off with openssl pkey -in {path} -out NEW, put that in its place, and "
            "run this again"
        )
    try:
        load_key(content)
    except TlsError as error:
        raise TlsError(
            f"adopt: {path} holds no private key in PEM that can be read; {AGAIN}. DER becomes PEM with openssl pkey -inform der"
        ) from error
    return content, status


def _read_certificates(path: str, request: Request, folder: int) -> list[x509.Certificate]:
    """Return the certificates in a file."""
    content, _status = _read(path, request, folder)
    contents = read_certificate_file(content)
    if contents.has_private_key:
        raise TlsError(
            f"adopt: {path} holds a private key besides the certificate, which a link to that would not; {_SPLIT}"
        )
    if not contents.certificates:
        raise TlsError(
            f"adopt: {path} holds no certificate that can be read: {'. '.join(contents.messages)}. Then {AGAIN}"
        )
    return contents.certificates


_SPLIT = "put each into a file of its own, have the server's configuration name both, and run this again"


def _continued(
    chain: list[x509.Certificate], further: list[x509.Certificate], paths: t.Mapping[str, str]
) -> list[x509.Certificate]:
    """Return a chain extended by the certificates of *further*, without the root.

    Raises TlsError for a certificate that does not continue the chain.
    """
    chain = list(chain)
    rest = [certificate for certificate in further if certificate not in chain and not _is_root(certificate)]
    while rest:
        upper = next((one for one in rest if is_signed_by(chain[-1], one)), None)
        if upper is None:
            raise TlsError(
                f"adopt: {paths['chain']} holds {subject_name(rest[0])}, which is no part of the chain of {paths['certificate']}; "
                "correct the path, or take that out"
            )
        rest.remove(upper)
        chain.append(upper)
    return chain


def _is_root(certificate: x509.Certificate) -> bool:
    return is_self_issued(certificate)


def _why_exposed(path: str, status: os.stat_result, request: Request) -> str | None:
    return why_exposed(path, stat.S_IMODE(status.st_mode), key_mode(request))
