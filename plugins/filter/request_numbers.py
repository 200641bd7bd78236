# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleFilterError

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.requests import check_distinct


def request_numbers(requests):
    """Return 0, 1, … for the requests of a host, or say which of them share a name."""
    try:
        check_distinct(requests)
    except TlsError as error:
        raise AnsibleFilterError(str(error)) from error
    return list(range(len(requests)))


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self):
        """Return the filters by name."""
        return {"request_numbers": request_numbers}
