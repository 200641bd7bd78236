# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to the files of an appliance: SFTP, or commands of a shell."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.remote_files import RemoteFiles
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import Session
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.shell_files import ShellFiles


def open_files(session: Session, transfer: str) -> RemoteFiles:
    """Return the files of an appliance.

    transfer: C(sftp), C(exec), or C(auto) for SFTP where the appliance has it. Raises TlsError where it has not, and has to.
    """
    if transfer == "exec":
        return ShellFiles(session)
    from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.sftp import open_sftp  # which needs paramiko

    files = open_sftp(session)
    if files is None and transfer == "sftp":
        raise TlsError(
            f"{session.where}: the appliance has no SFTP server; install or enable one, or write transfer: exec for one with a POSIX shell"
        )
    return files or ShellFiles(session)
