# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work of the module challenge_requests: count the requests of a CA in the access logs of nginx."""

from __future__ import annotations

import re
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import Module, ModuleResult
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.access_logs import plan_logs
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.log_search import LogSearch
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import NginxProcess

TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")  # RFC 8555, section 8.3: base64url, at least 128 bits
MAX_TOKENS = 200
MAX_OBSTACLES = 5  # that are returned

# The one definition of the options of challenge_requests. Described for people in plugins/modules/challenge_requests.yml.
OPTIONS: dict[str, dict[str, t.Any]] = {
    "domains": {"type": "list", "elements": "str", "required": True},
    "tokens": {"type": "list", "elements": "str", "required": True, "no_log": False},
}


class TokenRequests(t.TypedDict):
    """The requests for one token."""

    token: str
    requests: int
    addresses: int  # from which they came
    statuses: list[str]  # of HTTP, the most frequent first


class Result(ModuleResult, total=False):
    """What the module returns."""

    tokens: list[TokenRequests]
    usual_addresses: int  # for tokens of earlier orders; 0 if that is not known
    obstacles: list[str]  # why requests may have been missed


# not a parser: the options are the controller's
def decide(module: Module) -> Result:
    """Count the requests. Nothing is changed."""
    tokens, domains = module.params["tokens"], module.params["domains"]
    malformed = [token for token in tokens if not TOKEN.fullmatch(token)]
    if malformed or not 1 <= len(tokens) <= MAX_TOKENS:
        raise TlsError(
            f"tokens has {repr(malformed[0])[:80] if malformed else f'{len(tokens)} entries'}; write 1 to {MAX_TOKENS} tokens of "
            "challenges, each of 16 to 128 letters, digits, - and _"
        )
    nginx = NginxProcess(module)
    plan = plan_logs(nginx.config_files(), nginx.build.config_path, nginx.build.prefix, nginx.build.access_log, domains)
    search = LogSearch(tokens, time.time())
    for log in plan.logs:
        search.read(log)
    counts = [(token, search.counts[token.encode()]) for token in dict.fromkeys(tokens)]
    return {
        "changed": False,
        "tokens": [
            {
                "token": token,
                "requests": count.requests,
                "addresses": len(count.addresses),
                "statuses": sorted(count.statuses, key=lambda status: -count.statuses[status]),
            }
            for token, count in counts
        ],
        "usual_addresses": search.usual_addresses(),
        "obstacles": [*plan.unlogged, *search.obstacles][:MAX_OBSTACLES],
        "msg": f"{len(plan.logs)} access logs of nginx were searched",
    }
