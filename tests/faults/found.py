# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What once broke a parser, as small as it can be, by the name of the parser; each run feeds it again."""

from __future__ import annotations

FOUND: dict[str, list[bytes]] = {}
