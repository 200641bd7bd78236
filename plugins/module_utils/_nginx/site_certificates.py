# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates of sites: links to the version in use, and files of passphrases."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import ssl
import typing as t
from itertools import filterfalse

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import ServerBlock
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import Site
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    MAX_FILE_BYTES,
    create_file,
    read_file,
    remove_temporary_files,
    replace_file,
    sync_folder,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import PathUse, check_folder


class SiteCertificates:
    """The certificates of *sites* in the folder *store*."""

    def __init__(self, store: str, sites: t.Sequence[Site]) -> None:
        self.store = store
        self.sites = sites
        self.pending_sites = [site["name"] for site in sites if not is_installed(store, site["certificate"])]

    def names(self) -> list[str]:
        """Return the names of the installed certificates that the sites use."""
        return sorted({site["certificate"] for site in self.sites if site["name"] not in self.pending_sites})

    def current_link(self, name: str) -> str:
        """Return the symbolic link to the version of a certificate that is in use."""
        return os.path.join(self.store, name, "current")

    def passphrase_file(self, name: str) -> str:
        """Return the path of the passphrase of a certificate's key, in the version that is in use now."""
        return os.path.join(os.path.realpath(self.current_link(name)), "passphrase")

    def fingerprints(self) -> dict[str, str]:
        """Return the SHA-256 fingerprint of each installed certificate that the sites use."""
        return {name: leaf_fingerprint(os.path.join(self.store, name)) for name in self.names()}

    def create_passphrase_files(self) -> None:
        """Create the passphrase files that the configuration names and that are missing.

        They stay empty until nginx has loaded a configuration that names them.
        """
        for path in filterfalse(os.path.lexists, self._passphrase_files()):
            check_folder(os.path.dirname(path), PathUse("store"))
            create_file(path, b"", mode=0o600)
            sync_folder(os.path.dirname(path))

    def mark_passphrase_files_loaded(self) -> None:
        """Write a blank line into empty passphrase files.

        nginx reads them now, so the keys may be encrypted from now on.
        """
        for path in self._passphrase_files():
            if not os.path.getsize(path):
                check_folder(os.path.dirname(path), PathUse("store"))
                remove_temporary_files(path)
                replace_file(path, b"\n", mode=0o600)

    def _passphrase_files(self) -> list[str]:
        """Return the passphrase files that the configuration names."""
        encrypted = {site["certificate"] for site in self.sites if site["encrypted"]}
        return [self.passphrase_file(name) for name in self.names() if name in encrypted]


def keep_installed_certificates(sites: t.Sequence[Site], store: str, blocks: t.Iterable[ServerBlock]) -> list[str]:
    """Let sites go on with the certificates that they have until those of other names, as of a renamed request, are installed.

    blocks: the server blocks that the collection wrote for the sites before. Return a sentence for each such site.
    """
    installed = [(set(block.names), name) for block in blocks for name in _names_in_store(block, store)]
    sentences = []
    for site in sites:
        if is_installed(store, site["certificate"]):
            continue
        names = {name.lower() for name in site["server_names"]}
        before = next((name for have, name in installed if have == names and is_installed(store, name)), None)
        if before:
            sentences.append(
                f"the site {site['name']} goes on with the certificate {before} until {site['certificate']} is installed"
            )
            site["certificate"] = before
    return sentences


# not a parser: it reads what the collection has made or checked
def keep_served_names(
    sites: t.Sequence[Site], domains: t.Mapping[str, list[str]], store: str, blocks: t.Sequence[ServerBlock]
) -> list[str]:
    """Let sites answer to the names that they had until the certificate for the names of their request is installed.

    domains: of each certificate request, by its name. blocks: the server blocks that the collection wrote for the sites before.
    Return a sentence for each such site.
    """
    named = {name.lower() for site in sites for name in site["server_names"]}
    sentences = []
    for site in sites:
        certificate = site["certificate"]
        covered = _certificate_names(os.path.join(store, certificate, "current", "fullchain.pem"))
        if not covered or covered.issuperset(domains.get(certificate, ())):
            continue
        before = {name for block in blocks if certificate in _names_in_store(block, store) for name in block.names}
        kept = sorted(name for name in before - named if name in covered or f"*.{name.partition('.')[2]}" in covered)
        if kept:
            site["server_names"] = [*site["server_names"], *kept]
            sentences.append(
                f"the site {site['name']} goes on to answer to {', '.join(kept)} until a certificate with the names of its request is installed"
            )
    return sentences


# not a parser: it reads what the collection has made or checked
def _certificate_names(path: str) -> set[str]:
    """Return the names of the certificate in a file; none where it cannot be read."""
    pem = read_file(path, max_bytes=MAX_FILE_BYTES)
    if pem is None or importlib.util.find_spec("cryptography") is None:
        return set()
    try:
        return names_of(parse_chain(pem)[0])
    except TlsError:
        return set()


def is_installed(store: str, name: str) -> bool:
    """Return whether a version of a certificate is in use, with its key."""
    return all(os.path.exists(os.path.join(store, name, "current", file)) for file in ("fullchain.pem", "privkey.pem"))


# not a parser: it reads what the collection has made or checked
def _names_in_store(block: ServerBlock, store: str) -> list[str]:
    """Return the names of the certificates of a server block that lie in the folder of all certificates."""
    relative = (os.path.relpath(path, store).split("/") for path in block.certificates if os.path.isabs(path))
    return [parts[0] for parts in relative if parts[1:] == ["current", "fullchain.pem"]]


def leaf_fingerprint(folder: str) -> str:
    """Return the SHA-256 fingerprint of the certificate in use, or an empty text if it cannot be read.

    folder: that of the certificate, such as /etc/evergreen/NAME.
    """
    pem = (read_file(os.path.join(folder, "current", "cert.pem"), max_bytes=MAX_FILE_BYTES) or b"").decode(
        errors="replace"
    )
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except ValueError:
        return ""


def check_certificates(sites: list[Site], domains: dict[str, list[str]], store: str) -> None:
    """Raise TlsError for a site that has neither a certificate nor a request for one.

    A misspelled name would take the site off HTTPS.
    """
    for site in sites:
        name = site["certificate"]
        if domains and name not in domains and not os.path.lexists(os.path.join(store, name)):
            raise TlsError(
                f"the site {site['name']} has no certificate: there is no certificate request named {name}, only "
                f"{', '.join(sorted(domains))}; correct the name, or say which certificate it has"
            )
