# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units of systemd that have read a file, and have to read it again."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command

SYSTEMCTL = "systemctl"
STOPPED = ("inactive", "deactivating")
DOWN = ("failed", "activating")  # the latter also between two of the starts that systemd tries by itself


def refresh_unit(verb: str, unit: str) -> str:
    """Have a unit restarted or reloaded, as *verb* says; return what became of it, as the end of a sentence about it.

    What somebody has stopped stays so, and what has failed, perhaps for want of the file, is started.
    Raises TlsError where that does not succeed.
    """
    asked = [SYSTEMCTL, "show", "--property=LoadState,ActiveState,CanReload", unit]
    status, output = run_command(asked)
    if status:
        raise TlsError(
            f"systemd cannot be asked for {unit}: {output}; leave out {verb} where there is no systemd, "
            "and have what reads the export loaded again by yourself"
        )
    state = dict(line.partition("=")[::2] for line in output.splitlines())
    if state.get("LoadState") == "not-found":
        raise TlsError(f"there is no unit {unit} on this host; correct {verb}, or install what it belongs to")
    if state.get("ActiveState") in STOPPED:
        return "is stopped, and reads it once it is started"
    is_down = state.get("ActiveState") in DOWN
    if verb == "reload" and not is_down and state.get("CanReload") == "no":
        raise TlsError(f"{unit} cannot be reloaded; write restart in the place of reload")
    if is_down:
        run_command([SYSTEMCTL, "reset-failed", unit])  # or systemd may refuse one more start after so many
    status, output = run_command(
        [SYSTEMCTL, "reload-or-restart" if verb == "reload" and not is_down else "restart", unit]
    )
    if status:
        raise TlsError(
            f"{unit} could not be {verb}ed: {output.splitlines()[0] if output else status}; see journalctl --unit {unit} for why"
        )
    return "was started, since it did not run" if is_down else f"was {verb}ed"
