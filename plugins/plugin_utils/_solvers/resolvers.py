# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send one question of DNS to a server, or to resolvers until one of them answers."""

from __future__ import annotations

import functools
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import parse_endpoint
from ansible_collections.evergreen.tls.plugins.plugin_utils._libraries import install_command
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

try:
    import dns.edns
    import dns.exception
    import dns.flags
    import dns.message
    import dns.query
    import dns.rcode
    import dns.resolver
    import dns.rrset
except ImportError:  # said by require_dnspython(), before anything here is called
    HAS_DNSPYTHON = False
else:
    HAS_DNSPYTHON = True

PORT = 53
RESOLVER_TIMEOUT_S = 5.0  # for one question to the resolvers
RESOLVER_TRY_TIMEOUT_S = 2.0  # after which the next resolver is asked, and then the first again
MAX_UDP_BYTES = 1232  # DNS Flag Day 2020: what passes without fragments
MAX_EXTENDED_ERRORS = 3  # that are shown of a response (RFC 8914)
MAX_NOTE_CHARACTERS = 100  # of the text that a resolver adds to such an error


class Question(t.NamedTuple):
    """A question, and how it is to be answered."""

    name: str
    rdatatype: str
    is_recursive: bool = True  # RD: for resolvers
    has_signatures: bool = False  # DO: with the signatures of DNSSEC
    is_unchecked: bool = False  # CD: the resolver does not validate the answer


def require_dnspython() -> None:
    """Raise TlsError if the library dnspython is missing."""
    if not HAS_DNSPYTHON:
        raise TlsError(
            f"DNS has to be asked, and the Python library dnspython is not on the controller; {install_command('dnspython')}"
        )


def send_question(
    question: Question, address: str, port: int, timeout: float, has_edns: bool = True
) -> dns.message.Message:
    """Return the response of a server by UDP, or by TCP where it is too long. Messages that are no response to the question do not count.

    Raises OSError or dns.exception.DNSException, after *timeout* seconds at the latest. has_edns: whether to send an OPT record (RFC 6891).
    """
    query = dns.message.make_query(question.name, question.rdatatype)
    if has_edns or question.has_signatures:
        query.use_edns(0, dns.flags.DO if question.has_signatures else 0, MAX_UDP_BYTES)
    query.flags = (
        (dns.flags.RD | dns.flags.AD if question.is_recursive else 0)  # AD: RFC 6840, section 5.7
        | (dns.flags.CD if question.is_unchecked else 0)
    )
    deadline = time.monotonic() + timeout
    try:
        return dns.query.udp(
            query, address, timeout, port, ignore_unexpected=True, raise_on_truncation=True, ignore_errors=True
        )
    except dns.message.Truncated:
        left = deadline - time.monotonic()
        if left <= 0:
            raise dns.exception.Timeout(timeout=timeout) from None
        return dns.query.tcp(query, address, left, port)


class Resolvers:
    """The resolvers at *texts* (addresses, with or without ports), or those of the controller if there are none."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def __str__(self) -> str:
        return ", ".join(self.texts) or "the resolvers of the controller"

    @functools.cached_property
    def endpoints(self) -> list[tuple[str, int]]:
        """Return addresses and ports. Raises TlsError if there are none."""
        require_dnspython()
        endpoints = [parse_endpoint(text, PORT) for text in self.texts]
        for host, _port in endpoints:
            if not is_ip_address(host):
                raise TlsError(f"the resolver {host} is no address; write one such as 192.0.2.53")
        if endpoints:
            return endpoints
        try:
            return [(str(address), PORT) for address in dns.resolver.Resolver().nameservers]
        except dns.resolver.NoResolverConfiguration as error:
            raise TlsError(
                "the controller has no resolvers in /etc/resolv.conf; name some by the solver's resolvers"
            ) from error

    def ask(self, question: Question, timeout: float = RESOLVER_TIMEOUT_S) -> dns.message.Message:
        """Return the first response with an answer, NXDOMAIN included, or else one with an error.

        Raises TlsError if there is none after *timeout* seconds.
        """
        deadline = time.monotonic() + timeout
        pending, failed, cause, has_edns = list(self.endpoints), None, "no answer in time", True
        while pending and time.monotonic() < deadline:
            for address, port in list(pending):
                seconds = max(0.001, min(deadline - time.monotonic(), RESOLVER_TRY_TIMEOUT_S))
                try:
                    response = send_question(question, address, port, seconds, has_edns)
                    if response.rcode() == dns.rcode.FORMERR and has_edns:  # it does not know EDNS
                        response = send_question(question, address, port, seconds, has_edns=False)
                    if response.flags & dns.flags.TC:  # by TCP as well
                        raise dns.exception.DNSException("the answer is truncated")
                except dns.exception.Timeout:
                    continue
                except (OSError, dns.exception.DNSException) as error:
                    cause = cause_of(error)
                    pending.remove((address, port))
                    continue
                if is_answer(response):
                    return response
                failed = response
                pending.remove((address, port))
            has_edns = False  # there are firewalls that drop what has it
        if failed is None:
            raise self.error(question.name, cause)
        return failed

    def resolve(self, name: str, rdatatype: str, timeout: float = RESOLVER_TIMEOUT_S) -> list[dns.rrset.RRset]:
        """Return the answer, which has aliases alone, or nothing, if there is no such record. Raises TlsError if the resolvers do not know."""
        return self.answer_of(self.ask(Question(name, rdatatype), timeout), name)

    def answer_of(self, response: dns.message.Message, name: str) -> list[dns.rrset.RRset]:
        """Return the answer of a response. Raises TlsError for one that is an error."""
        if not is_answer(response):
            raise self.error(name, status_of(response))
        return list(response.answer)

    def error(self, name: str, cause: str) -> TlsError:
        """Return the error for a name that the resolvers cannot tell about."""
        return TlsError(
            f"{self} cannot find out about {name}: {cause}; see that they run and know the name, or name others by the "
            "solver's resolvers"
        )


# not a parser: a library has parsed it
def is_answer(response: dns.message.Message) -> bool:
    """Say whether a server knows the answer, be it that there is no such name or record."""
    return response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


# not a parser: a library has parsed it
def status_of(response: dns.message.Message) -> str:
    """Return the status of a response, with the causes that resolvers add to an error (RFC 8914), on one line.

    Such as C(SERVFAIL), or C(SERVFAIL, signature expired).
    """
    return ", ".join([dns.rcode.to_text(response.rcode()), *extended_errors(response)])


# not a parser: a library has parsed it
def extended_errors(response: dns.message.Message) -> list[str]:
    """Return the causes that a resolver names for an error (RFC 8914), each in the registered words and its own ones."""
    causes = []
    for option in response.options:
        if isinstance(option, dns.edns.EDEOption):
            words = str(getattr(option.code, "name", f"extended error {int(option.code)}")).replace("_", " ").lower()
            text = shorten(escape_as_one_line(option.text or ""), MAX_NOTE_CHARACTERS)
            causes.append(f"{words} ({text})" if text else words)
    return causes[:MAX_EXTENDED_ERRORS]


def cause_of(error: Exception) -> str:
    """Return why a server gave no response."""
    if isinstance(error, dns.exception.Timeout):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
