# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Which account with a cloud is meant.
    DOCUMENTATION = r"""
options:
  account:
    description: The account, a key of O(accounts). It may be left out where there is only one.
    type: str
  accounts:
    description: The accounts, in the form of C(cloud_accounts), whose value is the default.
    type: dict
"""

    # For modules whose request names the account.
    ACCOUNTS = r"""
options:
  accounts:
    description: The accounts, in the form of C(cloud_accounts), whose value is the default.
    type: dict
"""
