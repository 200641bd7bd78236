# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restart and reload units of systemd."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.limited_command import Ended, run_limited

SYSTEMCTL = "systemctl"
STOPPED_STATES = ("inactive", "deactivating")  # of the property ActiveState (systemctl(1))
FAILED_STATES = ("failed", "activating")  # the latter also between two automatic restarts
QUERY_TIMEOUT_S = 30.0
JOB_TIMEOUT_S = 240.0  # TimeoutStopSec= and TimeoutStartSec= are 90 s each by default (systemd-system.conf(5))


def check_unit(verb: str, unit: str) -> None:
    """Raise TlsError if there is no systemd, or if it does not have the unit or cannot reload it. See refresh_unit()."""
    _checked_state(verb, unit)


def refresh_unit(verb: str, unit: str) -> str:
    """Restart or reload a unit. Return the result, as the predicate of a sentence about the unit.

    verb: C(restart) or C(reload).

    A unit that was stopped remains stopped. One that has failed, perhaps because the file was missing, is started.
    Raises TlsError if that fails.
    """
    active_state = _checked_state(verb, unit)
    if active_state in STOPPED_STATES:
        return "is stopped, and reads it once it is started"
    has_failed = active_state in FAILED_STATES
    if has_failed:
        # else systemd may refuse to start it once more (StartLimitBurst=)
        run_limited([SYSTEMCTL, "reset-failed", "--", unit], QUERY_TIMEOUT_S)
    action = "reload-or-restart" if verb == "reload" and not has_failed else "restart"
    ended = run_limited([SYSTEMCTL, action, "--", unit], JOB_TIMEOUT_S)
    if ended.status != 0:
        raise TlsError(f"{unit} could not be {verb}ed: {_reason(ended)}; see journalctl --unit {unit} for why")
    return "was started, since it did not run" if has_failed else f"was {verb}ed"


def _checked_state(verb: str, unit: str) -> str | None:
    """Return the ActiveState of a unit, after the checks of check_unit()."""
    ended = run_limited([SYSTEMCTL, "show", "--property=LoadState,ActiveState,CanReload", "--", unit], QUERY_TIMEOUT_S)
    if ended.status != 0:
        raise TlsError(
            f"systemd cannot be asked for {unit}: {_reason(ended)}; leave out {verb} where there is no systemd, "
            "and have its program read the certificate again with run_after of the request, or by yourself"
        )
    state = dict(line.partition("=")[::2] for line in ended.output.splitlines())
    if state.get("LoadState") == "not-found":
        raise TlsError(f"there is no unit {unit} on this host; correct {verb}, or install what it belongs to")
    active_state = state.get("ActiveState")
    is_idle = active_state in (*STOPPED_STATES, *FAILED_STATES)
    if verb == "reload" and not is_idle and state.get("CanReload") == "no":
        raise TlsError(f"{unit} cannot be reloaded; write restart in the place of reload")
    return active_state


def _reason(ended: Ended) -> str:
    """Return why a call of systemctl failed."""
    if ended.status is None:
        return "systemctl did not end in time"
    return ended.words or f"exit status {ended.status}"
