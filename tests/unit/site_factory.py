# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sites as the controller passes them to hosts."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import normal_site


def site(name="www.example.org", profile="intermediate", domains=None, **options):
    """Return a site with these options and defaults; without content, it returns 404."""
    content = {"root", "proxy_pass", "redirect", "return_code", "extra"} & set(options)
    defaults = {
        "websocket": False,
        "force_https": True,
        "http2": True,
        "http_port": 80,
        "https_port": 443,
        "hsts": False,
    }
    site_options = {**defaults, **({} if content else {"return_code": 404}), **options, "name": name}
    return normal_site(site_options, profile, domains or {})
