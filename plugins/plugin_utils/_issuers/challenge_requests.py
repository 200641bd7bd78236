# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the access logs of a host say about the requests of a CA that has refused a name."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import FailedChallenge
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

CODES_IN_LOGS = ("connection", "unauthorized", "incorrectResponse")  # RFC 8555, section 6.7
MAX_TOKENS = 50  # about which a host is asked
MAX_SENTENCES = 5  # about the names of one order
MAX_OBSTACLE_CHARACTERS = 150
OK_STATUS = "200"


class TokenRequests(t.TypedDict):
    """What a host returns about one token."""

    token: str
    requests: int
    addresses: int
    statuses: list[str]  # the most frequent first


class LogResult(t.TypedDict, total=False):
    """What the module challenge_requests returns."""

    tokens: list[TokenRequests]
    usual_addresses: int  # 0 if that is not known
    obstacles: list[str]  # why requests may have been missed


def challenges_in_logs(error: BaseException) -> list[FailedChallenge]:
    """Return the challenges of a refusal about which the access logs of hosts can tell."""
    failed: list[FailedChallenge] = getattr(error, "failed_challenges", [])
    return [one for one in failed if one.code in CODES_IN_LOGS][:MAX_TOKENS]


# not a parser: the result of the host was validated
def log_sentences(host: str, challenges: t.Sequence[FailedChallenge], result: LogResult) -> list[str]:
    """Return what the logs of a host say about each name, one sentence for all names with the same answer."""
    counts = {one["token"]: one for one in result.get("tokens") or []}
    names: dict[str, list[str]] = {}
    for challenge in challenges:
        count = counts.get(challenge.token)
        if count is not None:
            names.setdefault(_sentence(host, count, result), []).append(challenge.domain)
    return [f"{', '.join(domains[:3])}{' …' if len(domains) > 3 else ''}: {text}" for text, domains in names.items()][
        :MAX_SENTENCES
    ]


def _sentence(host: str, count: TokenRequests, result: LogResult) -> str:
    requests, addresses, usual = count["requests"], count["addresses"], result.get("usual_addresses") or 0
    nginx = f"nginx of {host}"
    if requests <= 0:
        obstacles = result.get("obstacles") or []
        if obstacles:
            why = shorten(escape_as_one_line(obstacles[0]), MAX_OBSTACLE_CHARACTERS)
            return f"whether {nginx} was asked is not known: {why}"
        return (
            f"{nginx} was never asked for it, so the CA came to another machine or to none: see where DNS leads from the internet, and which "
            "firewalls, proxies and NAT are on the way"
        )
    times = "once" if requests == 1 else f"{requests} times"
    asked = f"{nginx} was asked {times} from {_counted(addresses)}"
    statuses = [status for status in count["statuses"] if status.isdigit()][:3]
    others = [status for status in statuses if status != OK_STATUS]
    if others:
        return (
            f"{asked}, and answered {', '.join(others)}: the way is right, and nginx has no answer; see which server block and location have "
            "that name on port 80, and run evergreen.tls.deploy"
        )
    if usual > addresses > 0:
        return (
            f"{asked}, fewer than the {usual} from which CAs usually ask: something blocks the others by country or source; let port 80 in "
            "from everywhere"
        )
    answered = f", and answered {OK_STATUS}" if statuses else ""
    return f"{asked}{answered}: requests arrive, so see whether all that the CA sends do, and whether a proxy changes the answers"


def _counted(addresses: int) -> str:
    return "1 address" if addresses == 1 else f"{addresses or 'unknown'} addresses"
