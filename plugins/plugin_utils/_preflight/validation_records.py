# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the DNS records that a CA with people in it wants to see, at all name servers of their zones and at given resolvers."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Validation
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import DnsAnswers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.zone_cuts import (
    Zone,
    find_zone,
    parent_of,
    text_of,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import NameServer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import (
    RESOLVER_TIMEOUT_S,
    Question,
    Resolvers,
    is_answer,
    status_of,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

with contextlib.suppress(ImportError):  # said by require_dnspython(), before anything here is called
    import dns.message
    import dns.name
    import dns.rdatatype

RIGHT, MISSING, OTHER = "right", "missing", "other"
MAX_SERVERS_IN_SENTENCE = 4
MAX_VALUES = 5  # of a record that are shown
MAX_VALUE_CHARACTERS = 100
MAX_EVIDENCE = 10
MAX_NAME_CHARACTERS = 253  # RFC 1035, section 2.3.4
OTHER_RECORD = {"TXT": "CNAME", "CNAME": "TXT"}


class Look(t.NamedTuple):
    """What one server has. state: RIGHT, MISSING, OTHER, or empty if it does not tell."""

    server: str
    state: str
    values: tuple[str, ...] = ()
    ttl: int = 0  # seconds for which a resolver keeps it
    why: str = ""  # it does not tell

    def __str__(self) -> str:
        words = {RIGHT: "as the CA wants it", MISSING: "no such record"}
        shown = ", ".join(
            shorten(escape_as_one_line(value), MAX_VALUE_CHARACTERS) for value in self.values[:MAX_VALUES]
        )
        return f"{self.server}: {words.get(self.state) or (shown if self.state else self.why)}"


def check_record(entry: Validation, answers: DnsAnswers, deadline: float) -> list[Finding]:
    """Return what the name servers of the zone say about a record, and what the resolvers say that were given.

    deadline: by time.monotonic().
    """
    name, record = entry["name"], entry["record"]
    # The record itself may be an alias, which is of another zone.
    owner = parent_of(name) if name.startswith("_") or record == "CNAME" else name
    try:
        zone = find_zone(answers, owner, deadline)
    except TlsError as error:
        return [Finding("unknown", "validation.zone", f"where {name} is in DNS is not known: {error}")]
    looks = map_in_threads(lambda server: _look_at(answers, server, entry, record, name, deadline), list(zone.servers))
    findings = [_judge(entry, zone, looks, lambda: _mistake(entry, zone, answers, deadline))]
    if findings[0].severity == "fine":
        findings += _resolver_findings(entry, answers.resolvers.texts, deadline)
    return findings


def _judge(entry: Validation, zone: Zone, looks: list[Look], mistake: t.Callable[[], str]) -> Finding:
    """Return what the name servers say together. mistake: returns what was typed wrong, if that is seen."""
    title = f"the {entry['record']} record {entry['name']}"
    evidence = tuple(str(look) for look in looks)[:MAX_EVIDENCE]
    by_state = {state: [look.server for look in looks if look.state == state] for state in (RIGHT, MISSING, OTHER, "")}
    wrong = [*by_state[MISSING], *by_state[OTHER]]
    if not by_state[RIGHT] and not wrong:
        why = "; ".join(str(look) for look in looks[:MAX_SERVERS_IN_SENTENCE]) or "none has an address"
        sentence = f"no name server of {zone.title} tells about {title} ({why}); see that they run, and that port 53 can be reached from here"
        return Finding("unknown", "validation.record", sentence, evidence)
    if wrong and by_state[RIGHT]:
        shown = ", ".join(wrong[:MAX_SERVERS_IN_SENTENCE])
        sentence = (
            f"{title} is not on all name servers of {zone.title}: {shown} {'has' if len(wrong) == 1 else 'have'} it not; wait, or see why changes "
            "of the zone do not get there"
        )
        return Finding("risk", "validation.record", sentence, evidence)
    if wrong:
        return Finding("blocks", "validation.record", _wrong_sentence(entry, zone, looks, mistake()), evidence)
    silent = by_state[""]
    more = f"; {', '.join(silent[:MAX_SERVERS_IN_SENTENCE])} did not answer" if silent else ""
    count = len(by_state[RIGHT])
    sentence = f"{title} is as the CA wants it on {count} name server{'s' if count > 1 else ''} of {zone.title}{more}"
    return Finding("fine", "validation.record", sentence, evidence)


def _wrong_sentence(entry: Validation, zone: Zone, looks: list[Look], mistake: str) -> str:
    title = f"the {entry['record']} record {entry['name']}"
    values = list(dict.fromkeys(value for look in looks for value in look.values))
    shown = ", ".join(shorten(escape_as_one_line(value), MAX_VALUE_CHARACTERS) for value in values[:MAX_VALUES])
    if mistake:
        return f"{title} is missing in {zone.title}: {mistake}"
    wanted = shorten(entry["value"], MAX_VALUE_CHARACTERS)
    if values:
        return f"{title} has {shown}, and the CA wants {wanted}; correct it, or correct validation of the request"
    return f"{title} is missing in {zone.title}; add it with the value {wanted}"


def _mistake(entry: Validation, zone: Zone, answers: DnsAnswers, deadline: float) -> str:
    """Return what was typed in place of a record that is missing, or an empty text."""
    if not zone.servers:
        return ""
    server, record = zone.servers[0], entry["record"]
    inner = entry["name"].removesuffix(zone.name).rstrip(".") if zone.name else ""
    doubled = f"{entry['name']}.{zone.name}"
    has_room = bool(zone.name) and len(doubled) <= MAX_NAME_CHARACTERS
    if has_room and _look_at(answers, server, entry, record, doubled, deadline).state == RIGHT:
        return f"it stands at {doubled}, as the zone was typed twice; type {inner or '@'} alone where the provider adds the zone by itself"
    other = OTHER_RECORD[record]
    response = answers.ask_server(server, Question(entry["name"], other, is_recursive=False), deadline)
    values = [] if isinstance(response, str) else [value for value, _ttl in _values(response, entry["name"], other)]
    if values:
        shown = shorten(escape_as_one_line(values[0]), MAX_VALUE_CHARACTERS)
        return f"a {other} record stands there ({shown}); replace it by a {record} record"
    return ""


def _look_at(
    answers: DnsAnswers, server: NameServer, entry: Validation, record: str, name: str, deadline: float
) -> Look:
    response = answers.ask_server(server, Question(name, record, is_recursive=False), deadline)
    if isinstance(response, str):
        return Look(str(server), "", why=response)
    return _look(str(server), response, entry, record, name)


def _look(server: str, response: dns.message.Message, entry: Validation, record: str, name: str) -> Look:
    if not is_answer(response):
        return Look(server, "", why=status_of(response))
    values = _values(response, name, record)
    texts = tuple(value for value, _ttl in values)
    ttl = min((ttl for _value, ttl in values), default=0)
    if any(_is_value(text, entry) for text in texts):
        return Look(server, RIGHT, texts, ttl)
    return Look(server, OTHER if texts else MISSING, texts, ttl)


def _is_value(text: str, entry: Validation) -> bool:
    """Say whether a value is the one that the CA wants. Names are compared without case."""
    return text == entry["value"] if entry["record"] == "TXT" else text.lower() == entry["value"].lower()


# not a parser: a library has parsed it
def _values(response: dns.message.Message, name: str, record: str) -> list[tuple[str, int]]:
    """Return the values of a record and their TTL, in seconds. A TXT record may be behind an alias of the same answer."""
    owners, values = {dns.name.from_text(name)}, []
    for rrset in response.answer:
        if rrset.name not in owners:
            continue
        if rrset.rdtype == dns.rdatatype.CNAME:
            owners.update(one.target for one in rrset)
            if record == "CNAME":
                values += [(text_of(one.target), rrset.ttl) for one in rrset]
        elif rrset.rdtype == dns.rdatatype.TXT and record == "TXT":
            values += [(b"".join(one.strings).decode("utf-8", "replace"), rrset.ttl) for one in rrset]
    return values


def _resolver_findings(entry: Validation, resolvers: t.Sequence[str], deadline: float) -> list[Finding]:
    """Return a finding for the resolvers that do not have the record yet, which others may have cached as well."""

    def look(text: str) -> Look:
        left = min(RESOLVER_TIMEOUT_S, deadline - time.monotonic())
        if left <= 0:
            return Look(text, "", why="no answer in time")
        try:
            response = Resolvers([text]).ask(Question(entry["name"], entry["record"]), left)
        except TlsError as error:
            return Look(text, "", why=str(error))
        return _look(text, response, entry, entry["record"], entry["name"])

    looks = map_in_threads(look, list(resolvers))
    late = [one for one in looks if one.state in (MISSING, OTHER)]
    if not late:
        return []
    shown = ", ".join(f"{one}, for {one.ttl} s more" if one.ttl else str(one) for one in late[:MAX_SERVERS_IN_SENTENCE])
    sentence = f"resolvers do not have the {entry['record']} record {entry['name']} yet ({shown}); wait until what they keep is over: the CA may ask such ones"
    return [Finding("note", "validation.resolvers", sentence, tuple(map(str, looks))[:MAX_EVIDENCE])]
