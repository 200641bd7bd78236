# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible has against settings, in our words."""

from __future__ import annotations

import typing as t

from ansible.module_utils.errors import UnsupportedError


def complaints(checked: t.Any) -> str:
    """Return what an ArgumentSpecValidator found, in words."""
    said = []
    for error in checked.errors:
        if isinstance(error, UnsupportedError):
            words = [word if isinstance(word, str) else ".".join(word) for word in checked.unsupported_parameters]
            said.append(
                f"there is no {', '.join(sorted(words))}, but {str(error).partition('include: ')[2].rstrip('.')}"
            )
        else:
            said.append(str(error).rstrip(". "))
    return "; ".join(said)
