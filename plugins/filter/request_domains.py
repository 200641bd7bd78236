# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import check_distinct_requests
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import normal_names


def request_domains(requests: t.Any) -> dict[str, list[str]]:
    """Return the domains of each request in their normal form, by its name.

    A request that makes no sense has none: certificate_request says what is wrong with it.
    Raises AnsibleFilterError where two requests share a name, a link or an export.
    """
    try:
        check_distinct_requests(requests)
    except TlsError as error:
        raise AnsibleFilterError(str(error)) from error
    return {request["name"]: _domains(request) for request in requests if isinstance(request.get("name"), str)}


def _domains(request: dict[str, t.Any]) -> list[str]:
    try:
        return normal_names(request["domains"])
    except (TlsError, KeyError, TypeError):  # certificate_request says what is wrong with it
        return []


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"request_domains": request_domains}
