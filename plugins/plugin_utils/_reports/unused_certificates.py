# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates of a host that the inventory no longer has: what the host is asked, and whether clients still get them."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REMOTE_SERVERS
from ansible_collections.evergreen.tls.plugins.module_utils._tls.presented import (
    MAX_PROBED_DOMAINS,
    Probe,
    find_presented,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import normal_names
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration

NO_GRACE = ("0", "0s", "0d")
NEVER = "never"
HANDSHAKE_TIMEOUT_S = 5.0
MAX_REMOVED = 20  # certificates of a host in one run
MAX_WARNINGS = 10


# not a parser: it reads the inventory, and leaves the rest to parse_duration()
def parse_grace(text: str) -> int | None:
    """Return the grace time in seconds, or None where nothing is to be removed. Raises TlsError for anything else.

    >>> parse_grace("7d"), parse_grace("0"), parse_grace("never")
    (604800, 0, None)
    """
    text = str(text).strip()
    if text == NEVER:
        return None
    if text in NO_GRACE:
        return 0
    try:
        return int(parse_duration(text).total_seconds())
    except TlsError as error:
        raise TlsError(
            f"certificate_removal_grace: {error}; 0 removes at once, and never removes and lists nothing"
        ) from error


def removal_arguments(requests: t.Sequence[dict[str, t.Any]], invalid: t.Iterable[str]) -> dict[str, t.Any]:
    """Return the arguments of certificate_remove about the requests of a host, with those that make no sense among the kept ones."""
    recorded, kept = [], list(invalid)
    for request in requests:
        try:
            completed = complete_request(request)
        except TlsError:
            kept.append(request["name"])
            continue
        if completed["served_by"] in REMOTE_SERVERS:
            kept.append(request["name"])
        else:
            recorded.append({option: completed[option] for option in ("name", "domains", "links", "owner", "port")})
    return {"requests": recorded, "kept": kept}


def due_certificates(result: t.Mapping[str, t.Any], requested: t.Collection[str]) -> list[dict[str, t.Any]]:
    """Return the certificates that the host would remove, from the result of certificate_remove. None of them is requested."""
    unused = result.get("unused") or []
    return [one for one in unused if one["state"] == "due" and one["name"] not in requested][:MAX_REMOVED]


def first_answer(
    certificate: t.Mapping[str, t.Any], addresses_at: t.Callable[[int], list[tuple[str, int]]]
) -> Probe | None:
    """Return the address, port and domain at which a client gets a certificate, or None if it gets it nowhere.

    addresses_at: returns the addresses and ports of the host, given the port of the request.
    """
    endpoints = addresses_at(_valid_port(certificate.get("port")))
    domains = _valid_domains(certificate.get("domains") or ())
    return find_presented(endpoints, domains, set(certificate.get("fingerprints") or ()), HANDSHAKE_TIMEOUT_S)


def served_sentence(name: str, probe: Probe) -> str:
    """Return why a certificate stays that a client still gets."""
    address, port, domain = probe
    return (
        f"{name} is not removed: {domain} at {address} port {port} is still answered with it; take it out of the configuration of what "
        "answers there, and run evergreen.tls.deploy again"
    )


def with_removal(result: dict[str, t.Any], removal: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the result of certificate_obtain with that of the removal. What stays is a warning."""
    unused = removal.get("unused") or []
    unknown = [one["name"] for one in unused if one["state"] == "unknown"]
    sentences = [one["sentence"] for one in unused if one["state"] not in ("unknown", "removed")]
    if unknown:
        sentences.append(
            f"no request of this host names these certificates, and deploy has no record of them: {', '.join(unknown[:MAX_WARNINGS])}; they "
            "stay. If nobody needs one, remove it with certificate_install and state=absent"
        )
    messages = [removal["msg"]] if removal.get("msg") and (unused or removal.get("failed")) else []
    shown = {
        "diff": [*result.get("diff", []), *removal.get("diff", [])],
        "warnings": [*result.get("warnings", []), *removal.get("warnings", []), *sentences[:MAX_WARNINGS]],
    }
    return {
        **result,
        "changed": result["changed"] or bool(removal.get("changed")),
        "failed": bool(result.get("failed") or removal.get("failed")),
        "msg": " · ".join(filter(None, [result.get("msg"), *messages])),
        "unused": [{key: one.get(key) for key in ("name", "state", "sentence", "remove_after")} for one in unused],
        **{key: items for key, items in shown.items() if items},
    }


def merged_calls(calls: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Return the results of several calls of certificate_remove as one; the last one says what there is."""
    last = calls[-1]
    return {
        **last,
        "changed": any(call.get("changed") for call in calls),
        "diff": [call["diff"] for call in calls if call.get("diff")],
        "warnings": [warning for call in calls for warning in call.get("warnings") or ()],
    }


def _valid_port(port: t.Any) -> int:
    return port if isinstance(port, int) and 1 <= port <= 65535 else 443


def _valid_domains(domains: t.Iterable[str]) -> list[str]:
    """Return the first domains of a certificate, as far as a client may ask for them. A host names them."""
    valid = []
    for domain in list(domains)[:MAX_PROBED_DOMAINS]:
        try:
            valid += normal_names([domain])
        except TlsError:
            continue
    return valid
