# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare what hosts of the fleet see of names with what the controller sees: CAs look from several places at once."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._network.name_view import CHALLENGE_PATH, HttpView, NameView
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.result import Diagnosis, with_findings
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import HTTP_01
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

SOURCE = "CA/Browser Forum, Baseline Requirements, section 3.2.2.9"
MAX_SHOWN = 3  # addresses or records in a sentence
MAX_VALUE_CHARACTERS = 100
OK_STATUS = 200
NO_ANSWER = "no answer"
TITLES = {"addresses": "the addresses", "txt": "the TXT records", "caa": "the CAA records", "http": "the answer"}
REMEDIES = {
    "addresses": "see that all name servers answer alike, unless each region has addresses of its own by intent",
    "txt": "see that all name servers have the same TXT records before the CA looks",
    "caa": "see that all name servers have the same CAA records",
    "http": "see whether a firewall, a proxy or DNS treats networks or countries apart, and let port 80 in from everywhere",
}


class HostView(t.NamedTuple):
    """What a host sees."""

    host: str
    names: t.Mapping[str, NameView]  # by name
    failure: str = ""  # why the host did not look; ends in what to do


# not a parser: the results were validated where the hosts returned them
def host_views(hosts: t.Sequence[str], results: t.Iterable[t.Mapping[str, t.Any]]) -> list[HostView]:
    """Return what each host sees, from the results of the task that asked them.

    results: as diagnose_view returns them, and each with the key item, the host, where that task failed.
    """
    by_host = {str(one.get("host") or one.get("item")): one for one in results}
    return [_host_view(host, by_host.get(host, {})) for host in dict.fromkeys(hosts)]


# not a parser: the results were validated where the hosts returned them
def _host_view(host: str, result: t.Mapping[str, t.Any]) -> HostView:
    names = result.get("names")
    if isinstance(names, list) and not result.get("failure"):
        views = [t.cast(NameView, one) for one in names if isinstance(one, dict) and "name" in one]
        return HostView(host, {view["name"]: view for view in views})
    why = result.get("failure") or result.get("msg") or "it was not asked; use the playbook diagnose"
    return HostView(host, {}, escape_as_one_line(str(why)))


def compare_all(
    diagnoses: t.Iterable[Diagnosis], here: t.Mapping[str, NameView], views: t.Sequence[HostView]
) -> list[Diagnosis]:
    """Return the diagnoses with what hosts see otherwise than the controller. here: what the controller sees, by name."""
    return [
        with_findings(one, compare_views(one.domain, one.challenge, here.get(one.domain, {}), views))
        if one.domain and views
        else one
        for one in diagnoses
    ]


def compare_views(domain: str, challenge: str, here: NameView, views: t.Sequence[HostView]) -> list[Finding]:
    """Return the differences between what hosts and the controller see of a name, and one finding about the hosts without any.

    challenge: its type decides whether TXT records or the URL matter; empty: both do.
    """
    findings: list[Finding] = []
    same: list[str] = []
    for view in views:
        found = _compare(domain, challenge, here, view)
        findings += found
        if not found:
            same.append(view.host)
    if same:
        sentence = f"{_listed(same)} {'sees' if len(same) == 1 else 'see'} {domain} as this controller does"
        findings.append(Finding("fine", "view", sentence))
    return findings


def _compare(domain: str, challenge: str, here: NameView, view: HostView) -> list[Finding]:
    """Return the differences between one host and the controller."""
    if view.failure or domain not in view.names:
        why = view.failure or "it did not look at this name; diagnose fewer names at a time"
        return [Finding("unknown", "view.failed", f"{view.host} does not say what it sees: {why}", seen_from=view.host)]
    there = view.names[domain]
    if _is_own_name(there) and not _is_own_name(here):
        sentence = (
            f"{domain} is {_shown(there['addresses'])} on {view.host} itself, as /etc/hosts says there, so its addresses and its URL are not "
            "compared; have another host look"
        )
        own = [Finding("note", "view.own", sentence, seen_from=view.host)]
        kinds = [kind for kind in _kinds_of(challenge) if kind not in ("addresses", "http")]
    else:
        own, kinds = [], _kinds_of(challenge)
    return own + [one for kind in kinds for one in _compare_kind(kind, domain, here, there, view.host)]


def _kinds_of(challenge: str) -> list[str]:
    """Return what matters for a type of challenge."""
    if not challenge:
        return ["addresses", "caa", "txt", "http"]
    return ["addresses", "caa", "http" if challenge == HTTP_01 else "txt"]


def _compare_kind(kind: str, domain: str, here: NameView, there: NameView, host: str) -> list[Finding]:
    mine, theirs = _value(kind, here), _value(kind, there)
    if theirs is None:
        error = (there.get("errors") or {}).get(kind)
        if not error:  # a wildcard has no addresses; and what this machine could not see either is not compared
            return [] if mine is None else [_late(kind, domain, host)]
        sentence = f"{host} does not see {TITLES[kind]} of {domain}: {error}"
        return [Finding("unknown", "view.failed", sentence, seen_from=host)]
    if mine is None or mine == theirs:
        return []
    sentence = f"{_seen(kind, host, domain, theirs)}, and this controller {_shown(mine)}; CAs look from several places: {REMEDIES[kind]}"
    evidence = tuple(
        escape_as_one_line(shorten(f"{who}: {', '.join(value)}", 300))
        for who, value in ((host, theirs), ("controller", mine))
    )
    return [Finding("risk", f"view.{kind}", sentence, evidence, SOURCE, host)]


def _late(kind: str, domain: str, host: str) -> Finding:
    sentence = (
        f"{host} had no time left to look at {TITLES[kind]} of {domain}; diagnose fewer names at a time, with diagnose_requests or "
        "diagnose_domains"
    )
    return Finding("unknown", "view.failed", sentence, seen_from=host)


def _seen(kind: str, host: str, domain: str, value: list[str]) -> str:
    if kind == "http":
        return f"http://{domain}{CHALLENGE_PATH} gives {host} {_shown(value)}"
    return f"{host} has {_shown(value)} as {TITLES[kind]} of {domain}"


def _value(kind: str, view: NameView) -> list[str] | None:
    """Return what is compared, as texts; None where it is not known. That nothing answers over HTTP is known."""
    if kind != "http":
        value = t.cast("dict[str, t.Any]", view).get(kind)
        return None if value is None else sorted(value)
    response = view.get("http")
    if response:
        return _response(response)
    return [NO_ANSWER] if (view.get("errors") or {}).get("http") else None


def _response(response: HttpView) -> list[str]:
    """Return what has to be the same in two answers to a URL. The text of an error page may differ each time."""
    status, location, body = response["status"], response.get("location"), response.get("body")
    return [
        f"status {status}",
        *([f"a redirect to {location}"] if location else []),
        *([f"the text {body}"] if body and status == OK_STATUS else []),
    ]


def _is_own_name(view: NameView) -> bool:
    """Say whether a name leads to the machine itself, as with the name of a host in its own /etc/hosts."""
    addresses = view.get("addresses") or []
    return bool(addresses) and all(_is_loopback(one) for one in addresses)


# not a parser: addresses of the host were validated as texts, and others are no loopback
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _shown(values: t.Sequence[str]) -> str:
    more = f" and {len(values) - MAX_SHOWN} more" if len(values) > MAX_SHOWN else ""
    shown = ", ".join(shorten(escape_as_one_line(value), MAX_VALUE_CHARACTERS) for value in values[:MAX_SHOWN])
    return f"{shown}{more}" if shown else "none"


def _listed(hosts: t.Sequence[str]) -> str:
    return hosts[0] if len(hosts) == 1 else f"{', '.join(hosts[:-1])} and {hosts[-1]}"
