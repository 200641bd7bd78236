# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What SELinux keeps nginx from, and the commands that allow it.

A test of the configuration by C(nginx -t) runs unconfined and passes. The nginx that systemd started is confined, and its reload fails.
"""

from __future__ import annotations

import os
import re
import shlex
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file

ENFORCE_PATH = "/sys/fs/selinux/enforce"
LABEL_ATTRIBUTE = "security.selinux"
DENIED = "Permission denied"
BIND = re.compile(r"bind\(\) to \S+:([0-9]{1,5}) failed")
QUOTED_PATH = re.compile(r'"(/[^"]+)"')


# not a parser: it decodes a label, and accepts any bytes
def file_label(path: str) -> str | None:
    """Return the SELinux label of a file, such as system_u:object_r:var_t:s0, or None where it has none that can be read."""
    try:
        return os.getxattr(path, LABEL_ATTRIBUTE).rstrip(b"\0").decode("ascii", "replace")
    except (OSError, AttributeError):
        return None


# not a parser: it searches a line of nginx, and accepts any text
def denial_remedy(
    error: str, enforce_path: str = ENFORCE_PATH, label_of: t.Callable[[str], str | None] = file_label
) -> str:
    """Return what an error of nginx has to do with SELinux, with the command that allows it, as the end of a sentence.

    Empty unless permission was denied and SELinux enforces its policy.
    """
    if DENIED not in error or (read_file(enforce_path) or b"").strip() != b"1":
        return ""
    port = BIND.search(error)
    if port:
        return (
            f", and SELinux is enforced here, which lets nginx listen on ports of http_port_t only: run semanage port -a -t http_port_t -p tcp "
            f"{port[1]}"
        )
    path = QUOTED_PATH.search(error)
    if not path:
        return ", and SELinux is enforced here: see ausearch -m avc -c nginx"
    where = f", and SELinux is enforced here, where the label of {path[1]} is {label_of(path[1]) or 'not known'}"
    request_folder, current, _file = path[1].partition("/current/")
    if not current:
        return f"{where}: run restorecon -v {shlex.quote(path[1])}, or see ausearch -m avc -c nginx"
    store = os.path.dirname(request_folder)
    return (
        f"{where}, and nginx reads cert_t: run semanage fcontext -a -t cert_t {shlex.quote(store + '(/.*)?')} and restorecon -R "
        f"{shlex.quote(store)}"
    )
