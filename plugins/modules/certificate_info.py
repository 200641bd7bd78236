#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import (
    Module,
    require_cryptography,
    run_module,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import REQUEST_NAME_PATTERN
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/evergreen"},
            "name": {"type": "str"},
        },
        supports_check_mode=True,
    )
    run_module(module, decide)


def decide(module: Module) -> dict[str, t.Any]:
    require_cryptography()
    directory, name = module.params["directory"], module.params["name"]
    names = [name] if name else sorted(certificate_folders(directory))
    now = utc_now().isoformat()
    return {
        "changed": False,
        "now": now,
        "certificates": [read_certificate(Versions(directory, name)) for name in names],
    }


# not a parser: it accepts any text, or raises TlsError
def certificate_folders(directory: str) -> list[str]:
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
def read_certificate(versions: Versions) -> dict[str, t.Any]:
    """Return the files of one certificate, which the controller describes. Of the key, it is the public key alone."""
    version, since = versions.current(), versions.waiting_since()
    certificate: dict[str, t.Any] = {
        "name": os.path.basename(versions.path),
        "path": versions.path,
        "version": version,
        "versions": versions.versions(),
        "waiting_since": since.isoformat() if since else None,
    }
    if version is None:
        return certificate
    for part, file in (("issuer", "issuer"), ("chain", "fullchain.pem")):
        content = versions.file(version, file)
        certificate[part] = content.decode(errors="replace") if content is not None else None
    try:
        key = versions.private_key(version, "its private key file")
        certificate["encrypted"] = versions.passphrase(version) is not None
        certificate["public_key"] = public_pem(key.public_key()).decode()
    except TlsError as error:
        certificate["problem"] = str(error)
    return certificate


if __name__ == "__main__":
    main()
