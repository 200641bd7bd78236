# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sites as the controller hands them to hosts, checked."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import normal_site


def site(name="www.example.org", profile="intermediate", domains=None, **options):
    """Return a site that is described by nothing but what is said here."""
    answers = {"root", "proxy_pass", "redirect", "return_code", "extra"} & set(options)
    defaults = {
        "websocket": False,
        "force_https": True,
        "http2": True,
        "http_port": 80,
        "https_port": 443,
        "hsts": False,
    }
    wanted = {**defaults, **({} if answers else {"return_code": 404}), **options, "name": name}
    return normal_site(wanted, profile, domains or {})
