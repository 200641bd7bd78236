#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils.chains import (
    check_chain,
    describe_chain,
    not_after,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.keys import load_key
from ansible_collections.evergreen.tls.plugins.module_utils.names import REQUEST_NAME
from ansible_collections.evergreen.tls.plugins.module_utils.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils.targets import answer, require_cryptography


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/evergreen"},
            "name": {"type": "str"},
        },
        supports_check_mode=True,
    )
    answer(module, decide)


def decide(module):
    require_cryptography()
    directory, name = module.params["directory"], module.params["name"]
    names = [name] if name else sorted(folders(directory))
    return {"changed": False, "certificates": [describe(Store(directory, name)) for name in names]}


def folders(directory):
    """Return the names of the certificates in a directory."""
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        return []
    return [
        entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and REQUEST_NAME.fullmatch(entry.name)
    ]


def describe(store):
    """Return what is there of one certificate."""
    version = store.current()
    description = {
        "name": os.path.basename(store.path),
        "path": store.path,
        "version": version,
        "versions": store.versions(),
        "issuer": None,
        "waiting_since": waiting_since(store),
        "days_left": None,
        "problem": None,
        "certificate": None,
    }
    if version is None:
        return description
    issuer = store.file(version, "issuer")
    description["issuer"] = issuer.decode(errors="replace") if issuer else None
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        chain = parse_chain(store.file(version, "fullchain.pem") or b"")
        description["certificate"] = describe_chain(chain)
        description["days_left"] = round((not_after(chain[0]) - now).total_seconds() / 86400, 3)
        key = load_key(store.file(version, "privkey.pem") or b"", "its private key file")
        check_chain(chain, key.public_key(), description["certificate"]["names"], now)
    except TlsError as error:
        description["problem"] = str(error)
    return description


def waiting_since(store):
    """Return since when a request is waiting, in UTC."""
    try:
        changed = os.stat(os.path.join(store.next, "request.csr")).st_mtime
    except OSError:
        return None
    return datetime.datetime.fromtimestamp(changed, datetime.timezone.utc).isoformat()


if __name__ == "__main__":
    main()
