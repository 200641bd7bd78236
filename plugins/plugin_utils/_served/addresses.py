# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that each address of a name presents the same certificate, which clients trust."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    not_after,
    not_before,
)
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import Observation, Served
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.proxies import proxy_headers

SOURCE = "RFC 8305, section 3: clients may use any address"
MAX_PLACES_IN_SENTENCE = 5
MAX_CERTIFICATE_CHARACTERS = 160


def check_addresses(served: Served) -> list[Finding]:
    """Return a finding for each kind of address: without an answer, with another certificate, not trusted, right."""
    findings = []
    if served.dns_error:
        findings.append(Finding("unknown", "served.dns", served.dns_error))
    silent = [one for one in served.observations if not one.chain]
    late = [one for one in silent if one.is_late]
    unrouted = [one for one in silent if one.is_unrouted and not one.is_late]
    others_silent = [one for one in silent if not one.is_unrouted and not one.is_late]
    for places, describe in ((late, _late), (unrouted, _unrouted), (others_silent, _silent)):
        findings += [describe(served, places)] if places else []
    present = [one for one in served.observations if one.chain]
    if not present:
        return findings
    expected = served.subject.fingerprint or _newest(present).fingerprint
    right = [one for one in present if one.fingerprint == expected]
    others: dict[str, list[Observation]] = {}
    for one in present:
        if one.fingerprint != expected:
            others.setdefault(one.fingerprint, []).append(one)
    findings += [_other(served, places, right) for places in others.values()]
    findings += _untrusted(present)
    if right and not others and not any(one.error for one in present):
        which = "the installed certificate" if served.subject.fingerprint else "the same certificate"
        end = format_date(not_after(right[0].chain[0]))
        sentence = (
            f"{shown_places(right)} {_verb(right, 'presents', 'present')} {which} for {served.name} (until {end})"
        )
        findings.append(Finding("fine", "served", sentence, tuple(map(_shown, right)), SOURCE))
    return findings


def _newest(present: list[Observation]) -> Observation:
    return max(present, key=lambda one: not_before(one.chain[0]))


def _late(served: Served, places: list[Observation]) -> Finding:
    sentence = (
        f"{shown_places(places)} did not present a certificate for {served.name} before the time for all checks was over; look at fewer names "
        "at a time"
    )
    return Finding("unknown", "served.late", sentence, tuple(one.error for one in places), SOURCE)


def _unrouted(served: Served, places: list[Observation]) -> Finding:
    sentence = (
        f"this controller has no route to {shown_places(places)}, so that is not checked; see from a machine with IPv6 that "
        f"{served.name} is served there, or remove the AAAA record"
    )
    return Finding("unknown", "served.unrouted", sentence, tuple(one.error for one in places), SOURCE)


def _silent(served: Served, silent: list[Observation]) -> Finding:
    evidence = tuple(one.error for one in silent)
    more = "" if len(silent) == 1 else f", and neither {_verb(silent[1:], 'does', 'do')} {shown_places(silent[1:])}"
    in_dns = "" if all(one.is_in_inventory for one in silent) else ", or remove its DNS record"
    sentence = f"no certificate for {served.name} comes from {silent[0].place}{more}: {silent[0].error}{in_dns}"
    return Finding("blocks", "served.unreachable", sentence, evidence, SOURCE)


def _other(served: Served, places: list[Observation], right: list[Observation]) -> Finding:
    """Return the finding about addresses that present one other certificate."""
    leaf = places[0].chain[0]
    which = "the installed one" if served.subject.fingerprint else "the newest one"
    beside = f", and {shown_places(right)} {which}" if right else f" than {which}"
    sentence = (
        f"{shown_places(places)} {_verb(places, 'presents', 'present')} another certificate for {served.name} "
        f"({shorten(describe_certificate(leaf), MAX_CERTIFICATE_CHARACTERS)}){beside}"
    )
    evidence = tuple(map(_shown, [*places, *right]))
    headers = proxy_headers([one for one in places if not one.is_in_inventory])
    if headers:
        sentence += (
            f"; a CDN or a load balancer stands there ({', '.join(headers)}): have it use the new certificate, with "
            "certificate_cloud of the request or in its settings"
        )
        severity: t.Literal["risk", "blocks"] = "blocks" if any(one.error for one in places) else "risk"
        return Finding(severity, "served.proxy", sentence, (*evidence, *headers), SOURCE)
    sentence += "; see which server has that address, and run evergreen.tls.renew for it, or correct the DNS record"
    return Finding("blocks", "served.other", sentence, evidence, SOURCE)


def _untrusted(present: list[Observation]) -> list[Finding]:
    """Return a finding for each reason why clients do not trust what is presented."""
    by_certificate: dict[str, list[Observation]] = {}
    for one in present:
        if one.error:
            by_certificate.setdefault(one.fingerprint, []).append(one)
    return [
        Finding("blocks", "served.untrusted", places[0].error, tuple(map(_shown, places)), "RFC 5280, section 6")
        for places in by_certificate.values()
    ]


def _shown(one: Observation) -> str:
    end = format_date(not_after(one.chain[0]))
    return f"{one.place}: SHA-256 {one.fingerprint}, until {end}, {one.version}"


def _verb(places: t.Sized, singular: str, plural: str) -> str:
    return singular if len(places) == 1 else plural


def shown_places(places: list[Observation]) -> str:
    """Return a few addresses, and how many more there are."""
    names = [one.place for one in places[:MAX_PLACES_IN_SENTENCE]]
    if len(places) > MAX_PLACES_IN_SENTENCE:
        return f"{', '.join(names)} and {len(places) - MAX_PLACES_IN_SENTENCE} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
