# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe as findings what a CA meets on the way of dns-01: the place of a record, who may change it, and what is there."""

from __future__ import annotations

import secrets
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import (
    DnsClient,
    RecordLocation,
    TextAnswer,
    questions_until,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

SOURCE = "RFC 8555, section 8.4"
WILDCARD_SOURCE = "RFC 4592, section 3.3.1"
SIZE_SOURCE = "https://letsencrypt.org/docs/challenge-types/"
VALUE_BYTES = 56  # of a TXT record with our value in an answer: 12 for the header, and 44 for the digest
MAX_UDP_BYTES = 1232  # which resolvers of CAs take by UDP (dnsflagday.net/2020)
MAX_SHOWN_VALUES = 5
MIN_TIMEOUT_S = 0.1
MAX_VALUE_CHARACTERS = 60


class DnsWay(t.NamedTuple):
    """The record of one domain, and how a solver gets it there. Its functions raise TlsError."""

    record_name: str
    value_count: int  # of ours
    locate: t.Callable[[], RecordLocation]
    check_permission: t.Callable[[RecordLocation], None]


def look_at_record(dns: DnsClient, way: DnsWay, deadline: float) -> list[Finding]:
    """Return the findings about one record. deadline: of all questions, by time.monotonic()."""
    with questions_until(deadline):
        try:
            location = way.locate()
        except TlsError as error:
            return [_place_finding(dns, way.record_name, error, deadline)]
        findings = []
        if location.name != way.record_name:
            sentence = f"the TXT record belongs to {location.name} by the CNAME {way.record_name}; see that the solver may write in the zone {location.zone}"
            findings.append(Finding("note", "txt.alias", sentence, (), SOURCE))
        try:
            run_with_timeout(max(MIN_TIMEOUT_S, deadline - time.monotonic()), lambda: way.check_permission(location))
        except TimeoutError:
            sentence = f"it is not known in time whether the solver may add records in the zone {location.zone}; run this again"
            findings.append(Finding("unknown", "txt.permission", sentence, (location.name,), SOURCE))
        except TlsError as error:
            findings.append(Finding("blocks", "txt.permission", str(error), (location.name,), SOURCE))
        try:
            findings += _value_findings(dns, way, location)
        except TlsError as error:
            findings.append(Finding("unknown", "txt.values", str(error), (location.name,), SOURCE))
    if not findings:
        sentence = f"the TXT record has its place: {location.name} in the zone {location.zone}"
        findings.append(Finding("fine", "txt", sentence, tuple(str(one) for one in location.servers[:5]), SOURCE))
    return findings


def _place_finding(dns: DnsClient, record_name: str, error: TlsError, deadline: float) -> Finding:
    """Return the finding about a record that has no place."""
    if time.monotonic() >= deadline:
        return Finding("unknown", "txt.permission", str(error), (), SOURCE)
    target = dns.alias_target(record_name)
    if target is None:
        return Finding("blocks", "txt.permission", str(error), (record_name,), SOURCE)
    shown = shorten(escape_as_one_line(target), 80)
    sentence = f"{record_name} leads by a CNAME record to {shown}, where no record can be added: {error}; correct or remove the CNAME record"
    return Finding("blocks", "txt.alias", sentence, (f"{record_name} CNAME {shown}",), SOURCE)


# not a parser: it shows texts that dnspython has read
def _value_findings(dns: DnsClient, way: DnsWay, location: RecordLocation) -> list[Finding]:
    """Return what is to be said of the TXT records that are there now. Raises TlsError where no name server answers."""
    findings = []
    parent = location.name.partition(".")[2]
    others = dns.text_answer(location, f"{secrets.token_hex(8)}.{parent}").texts
    present = dns.text_answer(location, location.name)
    if others:
        sentence = (
            f"any name in {parent} has TXT records, by a wildcard ({_shown(others)}); a CA gets them where {location.name} has none, so remove the "
            "wildcard if validation fails"
        )
        findings.append(Finding("risk", "txt.wildcard", sentence, _evidence(others), WILDCARD_SOURCE))
    elif present.texts:
        count = f"{len(present.texts)} TXT record{'s' if len(present.texts) > 1 else ''}"
        sentence = (
            f"{location.name} has {count} already ({_shown(present.texts)}); remove those of finished orders, since CAs refuse answers that are too "
            "long"
        )
        findings.append(Finding("note", "txt.values", sentence, _evidence(present.texts), SOURCE))
    size = _size_with(present, way.value_count)
    if size > MAX_UDP_BYTES:
        sentence = (
            f"the answer about {location.name} has {size} bytes with ours in it, and more than {MAX_UDP_BYTES} reach a CA by TCP alone; remove the "
            "TXT records of old orders"
        )
        findings.append(Finding("risk", "txt.size", sentence, (), SIZE_SOURCE))
    doubled = f"{location.name}.{location.zone}"
    texts = dns.text_answer(location, doubled).texts if len(doubled) <= 253 and not others else []
    if texts:
        sentence = (
            f"a TXT record stands at {doubled}, as if the zone was typed twice; write the name without .{location.zone} in the form of the DNS "
            "provider"
        )
        findings.append(Finding("risk", "txt.doubled", sentence, _evidence(texts), SOURCE))
    return findings


def _size_with(answer: TextAnswer, count: int) -> int:
    return answer.size + count * VALUE_BYTES


# not a parser: it shows texts that dnspython has read
def _evidence(texts: list[str]) -> tuple[str, ...]:
    return tuple(_value(text) for text in texts[:MAX_SHOWN_VALUES])


# not a parser: it shows texts that dnspython has read
def _shown(texts: list[str]) -> str:
    more = len(texts) - MAX_SHOWN_VALUES
    shown = ", ".join(f'"{_value(text)}"' for text in texts[:MAX_SHOWN_VALUES])
    return shorten(shown, 200) + (f" and {more} more" if more > 0 else "")


def _value(text: str) -> str:
    return shorten(escape_as_one_line(text), MAX_VALUE_CHARACTERS)
