# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks before an order find."""

from __future__ import annotations

import typing as t

# blocks: the CA will refuse. risk: some CAs or some clients will. unknown: it cannot be seen from here.
# Nothing that is inferred blocks.
Severity = t.Literal["blocks", "risk", "note", "fine", "unknown"]


class Finding(t.NamedTuple):
    """One result of a check."""

    severity: Severity
    code: str  # the check, and what it found: caa, caa.account
    sentence: str  # which ends in what to do, unless it is fine
    evidence: tuple[str, ...] = ()  # such as records, printable and short
    source: str = ""  # the section of an RFC, or a documentation
    seen_from: str = ""  # the host that looked; empty for the controller
