# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe as findings what a CA meets at the addresses of a domain over HTTP."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.internal_addresses import internal_kind

SOURCE = "RFC 8555, section 8.3"
MAX_WRONG_ADDRESSES = 5  # of a domain that are findings of their own
UNROUTED, UNREACHABLE = "unrouted", "unreachable"  # codes of an AddressResult
UNCHECKED = Finding(
    "note", "http.off", "the way of the challenge is not checked: the solver has check: false", (), SOURCE
)


class AddressResult(t.NamedTuple):
    """What one address of a domain gave."""

    address: str
    sentence: str = ""  # what is wrong there; empty where the host responds as it has to
    code: str = ""  # of what is wrong
    hops: tuple[str, ...] = ()  # each request with its response
    is_late: bool = False  # whether it was left since the time of all was over

    @property
    def is_unrouted(self) -> bool:
        """Say whether the controller has no route to the address."""
        return self.code == UNROUTED


def host_title(domain: str, address: str) -> str:
    """Return a domain and the address at which it was asked."""
    return domain if domain == address else f"{domain} at {address}"


def describe_results(domain: str, results: t.Sequence[AddressResult], is_public_ca: bool = False) -> list[Finding]:
    """Return the findings about one domain, IPv6 addresses first as CAs ask them."""
    results = sorted(results, key=lambda result: ":" not in result.address)
    right = [result for result in results if not result.sentence]
    unrouted = [result for result in results if result.is_unrouted]
    wrong = [result for result in results if result.sentence and not result.is_unrouted]
    if not right and not wrong:  # the order is not placed then
        wrong, unrouted = unrouted[:1], []
    findings = [
        Finding(
            "unknown" if one.is_late else "blocks",
            f"http.{one.code}",
            f"{one.sentence}{_comparison(one, right)}",
            _evidence([one]),
            SOURCE,
        )
        for one in wrong[:MAX_WRONG_ADDRESSES]
    ]
    if len(wrong) > MAX_WRONG_ADDRESSES:
        more = f"{len(wrong) - MAX_WRONG_ADDRESSES} more addresses of {domain} respond wrongly; correct its A and AAAA records first"
        findings.append(Finding("blocks", "http.answer", more, _evidence(wrong[MAX_WRONG_ADDRESSES:]), SOURCE))
    if unrouted:
        sentence = unrouted_sentence([host_title(domain, one.address) for one in unrouted])
        findings.append(Finding("unknown", f"http.{UNROUTED}", sentence, (), SOURCE))
    kinds = [(one.address, internal_kind(one.address)) for one in right]
    internal = [f"{host_title(domain, address)}, {kind}" for address, kind in kinds if kind and is_public_ca]
    if internal:
        findings.append(Finding("risk", "http.internal", internal_sentence(internal), (), SOURCE))
    if right and not wrong and not internal:
        addresses = shorten(", ".join(one.address for one in right), 120)
        sentence = f"http-01 requests for {domain} get the expected response at {addresses}"
        findings.append(Finding("fine", "http", sentence, _evidence(right), SOURCE))
    return findings


def unrouted_sentence(hosts: list[str]) -> str:
    """Return the sentence about hosts to which the controller has no route."""
    return (
        f"this controller has no route to {_listed(hosts)}, so that is not checked, and CAs ask IPv6 addresses first; see from a machine with "
        "IPv6 that the host answers there, or remove the AAAA record"
    )


def internal_sentence(hosts: list[str]) -> str:
    """Return the sentence about hosts that a public CA cannot reach."""
    return (
        f"the CA cannot reach {_listed(hosts)}; correct the DNS record, or set resolvers in the solver to some that give the addresses that the "
        "internet sees"
    )


def _listed(hosts: list[str]) -> str:
    return shorten(" · ".join(dict.fromkeys(hosts)))


def _comparison(wrong: AddressResult, right: list[AddressResult]) -> str:
    """Return the end of a sentence about an address, where others respond as they have to."""
    if not right:
        return ""
    others = shorten(", ".join(one.address for one in right), 120)
    text = f"; the response of {others} is right"
    if ":" in wrong.address and any(":" not in one.address for one in right):
        text += ", but CAs ask IPv6 addresses first: correct the AAAA record, or remove it"
    return text


def _evidence(results: t.Iterable[AddressResult]) -> tuple[str, ...]:
    return tuple(shorten(" → ".join((one.address, *one.hops))) for one in results)
