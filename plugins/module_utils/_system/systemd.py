# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restart and reload units of systemd."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command

SYSTEMCTL = "systemctl"
STOPPED_STATES = ("inactive", "deactivating")  # of the property ActiveState (systemctl(1))
FAILED_STATES = ("failed", "activating")  # the latter also between two automatic restarts


def refresh_unit(verb: str, unit: str) -> str:
    """Restart or reload a unit. Return the result, as the predicate of a sentence about the unit.

    verb: C(restart) or C(reload).

    A unit that was stopped remains stopped. One that has failed, perhaps because the file was missing, is started.
    Raises TlsError if that fails.
    """
    status, output = run_command([SYSTEMCTL, "show", "--property=LoadState,ActiveState,CanReload", unit])
    if status:
        raise TlsError(
            f"systemd cannot be asked for {unit}: {output}; leave out {verb} where there is no systemd, "
            "and have what reads the export loaded again by yourself"
        )
    state = dict(line.partition("=")[::2] for line in output.splitlines())
    if state.get("LoadState") == "not-found":
        raise TlsError(f"there is no unit {unit} on this host; correct {verb}, or install what it belongs to")
    if state.get("ActiveState") in STOPPED_STATES:
        return "is stopped, and reads it once it is started"
    has_failed = state.get("ActiveState") in FAILED_STATES
    if verb == "reload" and not has_failed and state.get("CanReload") == "no":
        raise TlsError(f"{unit} cannot be reloaded; write restart in the place of reload")
    if has_failed:
        run_command(
            [SYSTEMCTL, "reset-failed", unit]
        )  # else systemd may refuse to start it once more (StartLimitBurst=)
    status, output = run_command(
        [SYSTEMCTL, "reload-or-restart" if verb == "reload" and not has_failed else "restart", unit]
    )
    if status:
        raise TlsError(
            f"{unit} could not be {verb}ed: {output.splitlines()[0] if output else status}; see journalctl --unit {unit} for why"
        )
    return "was started, since it did not run" if has_failed else f"was {verb}ed"
