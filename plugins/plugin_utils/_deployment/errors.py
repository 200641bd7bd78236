# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of services that a deployment acts upon."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError


class Busy(TlsError):
    """Another change of the resource is under way, so that this one is tried again later."""
