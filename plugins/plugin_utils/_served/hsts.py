# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the header Strict-Transport-Security (HSTS, RFC 6797) for what browsers ignore, and for what locks people out."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.hsts import MIN_PRELOAD_MAX_AGE_S
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.public_suffixes import registered_domain
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.addresses import shown_places
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import (
    Observation,
    Served,
    seconds_left,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import HttpResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads

HEADER = "Strict-Transport-Security"
MAX_SUBDOMAINS = 20  # that are looked at
MAX_HEADER_CHARACTERS = 100  # in a sentence
SOURCE = "RFC 6797, section {}"
PRELOAD_SOURCE = "https://hstspreload.org/#submission-requirements"
# RFC 6797, section 6.1: a directive, and a value that may be quoted
DIRECTIVE = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*(?:\"([^\"]*)\"|([^\s\";,]*))\s*)?")


class Policy(t.NamedTuple):
    """What a header tells browsers."""

    max_age_s: int
    has_subdomains: bool
    has_preload: bool


def check_hsts(served: Served) -> list[Finding]:
    """Return the mistakes in the headers of all addresses; a site without the header has none."""
    groups: dict[tuple[str, ...], list[Observation]] = {}
    for one in served.observations:
        if one.https and _values(one.https):
            groups.setdefault(_values(one.https), []).append(one)
    findings = [finding for values, places in groups.items() for finding in _judge(served, values, places)]
    over_http = [one for one in served.observations if one.http and _values(one.http)]
    if over_http:
        sentence = f"{shown_places(over_http)} sends {HEADER} over HTTP, where browsers ignore it; redirect to HTTPS there, and send it over HTTPS"
        if not groups:
            findings.append(Finding("risk", "served.hsts.http", sentence, (), SOURCE.format("7.2")))
        else:
            findings.append(Finding("note", "served.hsts.http", sentence, (), SOURCE.format("7.2")))
    return findings


# not a parser: http.client has taken the headers apart
def _values(response: HttpResponse) -> tuple[str, ...]:
    return tuple(map(str, response.headers.get_all(HEADER) or ()))


def _judge(served: Served, values: tuple[str, ...], places: list[Observation]) -> list[Finding]:
    """Return the findings about the headers of addresses that send the same ones."""
    name, where, findings = served.name, shown_places(places), []

    def add(severity: t.Literal["risk", "fine"], code: str, sentence: str, source: str) -> None:
        findings.append(Finding(severity, f"served.hsts{code}", sentence, values, source))

    if len(values) > 1:
        more = "the others are ignored" if len(set(values)) > 1 else "one is enough"
        add(
            "risk",
            ".twice",
            f"{where} sends {HEADER} {len(values)} times for {name}; the first one counts ({shorten(values[0], MAX_HEADER_CHARACTERS)}), and "
            f"{more}: send it in one place only, nginx or the application",
            SOURCE.format("8.1"),
        )
    policy = parse_policy(values[0])
    if policy is None:
        add(
            "risk",
            ".malformed",
            f"browsers ignore {HEADER} of {name} at {where} ({shorten(values[0], MAX_HEADER_CHARACTERS)}): it has no max-age in seconds, or a "
            "directive twice; write it as max-age=63072000",
            SOURCE.format("6.1"),
        )
        return findings
    if policy.max_age_s == 0:
        add(
            "risk",
            ".zero",
            f"{HEADER} of {name} at {where} has max-age=0, with which browsers forget HSTS; set hsts of the site to true, or remove the "
            "header once all browsers have seen it",
            SOURCE.format("6.1.1"),
        )
    if policy.has_subdomains and policy.max_age_s:
        without = _names_without_https(served)
        if without:
            add(
                "risk",
                ".subdomains",
                f"{HEADER} of {name} at {where} has includeSubDomains, and browsers will not reach {', '.join(without)}, which have no "
                "HTTPS that clients trust; have certificates for them, or leave out include_subdomains",
                SOURCE.format("6.1.2"),
            )
    if policy.has_preload:
        missing = _missing_for_preload(served, policy)
        if missing:
            add(
                "risk",
                ".preload",
                f"{HEADER} of {name} at {where} has preload, and the preload lists refuse it: {'; '.join(missing)}. Correct that, or leave out "
                "preload",
                PRELOAD_SOURCE,
            )
    if not findings:
        add("fine", "", f"{HEADER} of {name} at {where} is right", SOURCE.format("6.1"))
    return findings


def parse_policy(value: str) -> Policy | None:
    """Return what the value of a header tells browsers; None for one that they ignore.

    >>> parse_policy('max-age="31536000"; includeSubDomains')
    Policy(max_age_s=31536000, has_subdomains=True, has_preload=False)
    """
    directives: dict[str, str] = {}
    for part in value.split(";"):
        if not part.strip():
            continue
        match = DIRECTIVE.fullmatch(part)
        if not match or match[1].lower() in directives:
            return None
        directives[match[1].lower()] = match[2] if match[2] is not None else match[3] or ""
    max_age = directives.get("max-age", "")
    if not re.fullmatch("[0-9]{1,20}", max_age):
        return None
    return Policy(int(max_age), "includesubdomains" in directives, "preload" in directives)


def _names_without_https(served: Served) -> list[str]:
    """Return the names of the inventory below a name that have an address, and no handshake that clients trust."""
    below = f".{served.name}"
    names = [name for name in served.subject.subdomains if name.endswith(below) and "*" not in name][:MAX_SUBDOMAINS]
    return [
        name
        for name, is_without in zip(names, map_in_threads(lambda name: _has_no_https(served, name), names))
        if is_without
    ]


def _has_no_https(served: Served, name: str) -> bool:
    subject = served.subject
    try:
        address = subject.dns.addresses(name)[0]
    except TlsError:
        return False  # nobody reaches it anyway
    try:
        handshake(address, subject.port, name, subject.roots, True, seconds_left(subject.deadline))
    except TlsError:
        return True
    return False


def _missing_for_preload(served: Served, policy: Policy) -> list[str]:
    missing = []
    if policy.max_age_s < MIN_PRELOAD_MAX_AGE_S:
        missing.append(f"max-age is less than {MIN_PRELOAD_MAX_AGE_S} (a year)")
    if not policy.has_subdomains:
        missing.append("includeSubDomains is missing")
    domain = None if is_ip_address(served.name) else registered_domain(served.name)
    if domain and domain != served.name:
        missing.append(f"they take registered domains only, here {domain}")
    return missing
