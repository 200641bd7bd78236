# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recognise what answers in the place of nginx: a firewall, another program, another file."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import HttpResponse

# Words of pages that firewalls, and services in front of a host, show to clients that they take for programs.
FIREWALL_WORDS = re.compile(
    rb"captcha|web application firewall|just a moment|checking your browser|attention required|are you (a )?(human|robot)|verify you are human"
    rb"|access denied|request blocked|blocked by|cf-chl|_incapsula_|ddos|mod_security|not acceptable!",
    re.IGNORECASE,
)
FIREWALL_STATUSES = (200, 403, 406, 429, 503)
KEY_AUTHORIZATION = re.compile(rb"[A-Za-z0-9_-]{20,100}\.[A-Za-z0-9_-]{43}\s*")
PASS_CHALLENGES = "have it pass /.well-known/acme-challenge/ for every client"


class Page(t.NamedTuple):
    """What a wrong response is. remedy: empty where it does not say more than that of the solver."""

    title: str
    remedy: str = ""


# not a parser: it looks for words, and any bytes will do
def recognise_page(response: HttpResponse) -> Page | None:
    """Return what answers with a wrong response; None where that is not known."""
    if response.status in FIREWALL_STATUSES and FIREWALL_WORDS.search(response.body):
        return Page("this is the page of a firewall or a service in front of the host", PASS_CHALLENGES)
    if response.status == 200 and KEY_AUTHORIZATION.fullmatch(response.body):
        return Page("this is the key authorization of another challenge, as an old file or a cache has it")
    server = (response.headers.get("Server") or "").strip().lower()
    if server and not server.startswith(("nginx", "openresty", "tengine", "angie")):
        return Page("this is another program than nginx")
    return None
