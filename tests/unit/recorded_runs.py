# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables that surveys and runs leave for the report."""

from __future__ import annotations

OLD, NEW = "2026-12-04T10:00:00+00:00", "2027-02-19T12:30:05+00:00"
WHY = "it expires on 2026-12-04 10:00:00 UTC, and 14% of its lifetime is left"
UNPROVED = "www at 192.0.2.7 port 443: another certificate is presented; see which server block answers"
FINE = {"name": "www", "changed": False, "failed": False, "due": False, "msg": "www is in use"}
SERVED = {"name": "www", "changed": False, "failed": False, "msg": "www proved from the controller"}
ISSUED = {**FINE, "changed": True, "due": True, "reason": WHY, "certificate": {"not_after": NEW}}


def row(host="web1", request="www", state="due", not_after=OLD):
    """Return an endpoint as the survey reports it."""
    certificate = {"not_after": not_after} if not_after else None
    return {"host": host, "state": state, "reason": WHY, "request": request, "certificate": certificate}


def looked_at(*items):
    return {"certificate_obtained": {"certificates": list(items), "changed": True}}


def dealt_with(obtained, served):
    """Return the variables of a host after its certificates were obtained and verified."""
    return {**looked_at(*obtained), "certificate_served": {"certificates": list(served)}}
