# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this controller itself sees of names, by the same means as hosts."""

from __future__ import annotations

import secrets
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._network.dns_question import system_resolvers
from ansible_collections.evergreen.tls.plugins.module_utils._network.name_view import NameView, look_at_names

VIEW_TIMEOUT_S = 20.0  # for all names, here and on each host
TOKEN_BYTES = 32


def look_from_here(domains: t.Iterable[str]) -> dict[str, NameView]:
    """Return what this controller sees of names, by name. It asks the resolvers of its system, as hosts do."""
    token, deadline = secrets.token_urlsafe(TOKEN_BYTES), time.monotonic() + VIEW_TIMEOUT_S
    views = look_at_names(list(dict.fromkeys(domains)), token, system_resolvers(), deadline)
    return {view["name"]: view for view in views}
