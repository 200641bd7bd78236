# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # What every module here promises; one that keeps less of it says so itself.
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and tell what it would change, without changing it.
    support: full
  diff_mode:
    description: Shows what has changed, or would be changed in check mode, when in diff mode.
    support: full
  idempotent:
    description:
      - When run twice in a row with the same arguments, outside of check mode, the second run changes nothing.
      - This assumes that the host did not change in between.
    support: full
  platform:
    description: The systems that the host may run.
    support: full
    platforms: linux
"""

    # For what runs on the controller.
    ACTION = r"""
attributes:
  action:
    description: Has an action plugin of the same name, which does its work on the controller.
    support: full
"""
