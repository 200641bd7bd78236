# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the way of an order, as far as the names alone tell it."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding


class NameChecks:
    """An issuer of which only the names of a request are checked."""

    is_public: bool

    def find_obstacles(self, request: Request, host: str, deadline: float) -> list[Finding]:
        """Return what public CAs say about the names. A private CA issues for all names that the inventory has."""
        # Not above: these load dnspython, which a survey does not need.
        from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.names import check_names
        from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
        from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient

        subject = Subject(
            request["domains"], request["issuer"], DnsClient(), None, deadline, is_public_ca=self.is_public
        )
        if subject.is_public_ca:
            return check_names(subject)
        return [Finding("fine", "names", f"{request['issuer']} has rules of its own for names")]
