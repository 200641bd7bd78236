#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import (
    Module,
    ModuleResult,
    require_cryptography,
    run_module,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import REQUEST_NAME_PATTERN
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions, number
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import (
    PathUse,
    check_folder,
    check_status,
)


class Installed(t.TypedDict, total=False):
    """A certificate in the store of a host."""

    name: str
    path: str  # of its folder
    version: str | None  # the one in use
    versions: list[str]
    waiting_since: str | None  # the date of its signing request, in ISO 8601
    issuer: str | None
    chain: str | None  # PEM
    chain_before: str | None  # of the version before, in PEM
    encrypted: bool  # whether the private key is
    public_key: str  # PEM
    problem: str  # why the private key, or the whole folder, cannot be read


class Result(ModuleResult, total=False):
    """What the module returns."""

    now: str  # the clock of the host, in ISO 8601
    certificates: list[Installed]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/evergreen"},
            "name": {"type": "str"},
        },
        supports_check_mode=True,
    )
    run_module(module, decide)


def decide(module: Module) -> Result:
    """Return what is installed in a directory, of all certificates or of one."""
    require_cryptography()
    directory, name = module.params["directory"], module.params["name"]
    check_folder(directory, PathUse("directory"))
    names = [name] if name else sorted(certificate_names(directory))
    now = utc_now().isoformat()
    return {
        "changed": False,
        "now": now,
        "certificates": [read_or_explain(Versions(directory, name)) for name in names],
    }


# not a parser: it accepts any text, or raises TlsError
def certificate_names(directory: str) -> list[str]:
    """Return the names of the certificates in a directory."""
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        return []
    return [
        entry.name
        for entry in entries
        if entry.is_dir(follow_symlinks=False) and REQUEST_NAME_PATTERN.fullmatch(entry.name)
    ]


# not a parser: it only passes on foreign input
def read_or_explain(versions: Versions) -> Installed:
    """Return the files of a certificate, or why they cannot be read, which says nothing about the others."""
    try:
        check_folders(versions)
        return read_installed(versions)
    except (TlsError, OSError) as error:
        return {
            "name": os.path.basename(versions.path),
            "path": versions.path,
            "version": None,
            "versions": [],
            "problem": str(error if isinstance(error, TlsError) else system_error(error)),
        }


def check_folders(versions: Versions) -> None:
    """Raise TlsError if somebody else can exchange the files of a certificate: root would read other files in their place."""
    inner = (os.path.join(versions.path, name) for name in ("next", *versions.versions()))
    for path in filter(os.path.lexists, (versions.path, *inner)):
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode):
            raise TlsError(f"{path} is not a folder; move it away and run this again")
        check_status(status, path, PathUse("directory"))


# not a parser: it only passes on foreign input
def read_installed(versions: Versions) -> Installed:
    """Return the files of a certificate, and only the public part of its key."""
    version, since = versions.current(), versions.waiting_since()
    installed: Installed = {
        "name": os.path.basename(versions.path),
        "path": versions.path,
        "version": version,
        "versions": versions.versions(),
        "waiting_since": since.isoformat() if since else None,
    }
    if version is None:
        return installed
    installed["issuer"] = _text(versions.file(version, "issuer"))
    installed["chain"] = _text(versions.file(version, "fullchain.pem"))
    earlier = [one for one in versions.versions() if number(one) < number(version)]
    installed["chain_before"] = _text(versions.file(earlier[-1], "fullchain.pem")) if earlier else None
    try:
        key = versions.private_key(version, "its private key file")
        installed["encrypted"] = versions.passphrase(version) is not None
        installed["public_key"] = public_pem(key.public_key()).decode()
    except TlsError as error:
        installed["problem"] = str(error)
    return installed


# not a parser: it accepts any text
def _text(content: bytes | None) -> str | None:
    return content.decode(errors="replace") if content is not None else None


if __name__ == "__main__":
    main()
