# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mode, owner and group of the files of a certificate."""

from __future__ import annotations

import grp
import os
import pwd
import stat

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request, key_mode


def file_attributes(name: str, request: Request) -> tuple[int, int, int]:
    """Return mode, owner and group of a file of a version; -1 for an owner or group that stays as it is.

    The request names who can read the key. Its passphrase is for root alone, and all other files are for everybody.
    """
    if name == "passphrase":
        return 0o600, os.geteuid(), -1
    if name != "privkey.pem":
        return 0o644, -1, -1
    return key_mode(request), user_id(request.get("owner")), group_id(request.get("group"))


def has_file_attributes(path: str, request: Request) -> bool:
    """Return whether a file of a version has its file_attributes(), or does not exist."""
    mode, owner, group = file_attributes(os.path.basename(path), request)
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return True
    return (
        stat.S_IMODE(status.st_mode) == mode
        and (owner == -1 or status.st_uid == owner)
        and (group == -1 or status.st_gid == group)
    )


def user_id(name: str | None) -> int:
    """Return the number of a user, or -1 for None. Raises TlsError if there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid if name else -1
    except KeyError as error:
        raise TlsError(f"owner: there is no user {name} on this host; create it or correct the request") from error


def group_id(name: str | None) -> int:
    """Return the number of a group, or -1 for None. Raises TlsError if there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid if name else -1
    except KeyError as error:
        raise TlsError(f"group: there is no group {name} on this host; create it or correct the request") from error
