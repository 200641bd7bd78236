# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine sees of names: their addresses, TXT and CAA records, and the answer to a URL of challenges."""

from __future__ import annotations

import contextlib
import functools
import http.client
import ipaddress
import socket
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._deadline import run_until
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._metadata_addresses import is_metadata_address
from ansible_collections.evergreen.tls.plugins.module_utils._network.dns_message import CAA, TXT
from ansible_collections.evergreen.tls.plugins.module_utils._network.dns_question import Resolver, ask_records
from ansible_collections.evergreen.tls.plugins.module_utils._text import MAX_TEXT_CHARACTERS, printable, shorten

KINDS = ("addresses", "txt", "caa", "http")  # what is looked at
CHALLENGE_PATH = "/.well-known/acme-challenge/"  # RFC 8555, section 8.3
CHALLENGE_LABEL = "_acme-challenge"  # RFC 8555, section 8.4
TOKEN_WORD = "TOKEN"  # stands in answers for the token that was asked for, so that answers to two tokens compare
USER_AGENT = "evergreen.tls"
HTTP_PORT = 80
CONNECT_TIMEOUT_S = 4.0  # for one address, and for each wait for its bytes
MAX_ADDRESSES = 50  # of a name
MAX_TRIED = 3  # addresses that are asked, until one answers
MAX_RECORDS = 20  # of a name that are returned
MAX_BODY_BYTES = 200
MAX_THREADS = 40

Records = t.Callable[[str, int], list[str]]  # the records of a name by their type; raises TlsError


class HttpView(t.TypedDict):
    """The answer to a URL."""

    status: int
    location: str  # of a redirect, which is not followed; empty without one
    body: str  # its first bytes, as printable text


class NameView(t.TypedDict, total=False):
    """What a machine sees of a name. Each of KINDS has its value or its error; neither where the time was over."""

    name: str
    addresses: list[str]
    txt: list[str]  # of _acme-challenge.NAME
    caa: list[str]  # of the name or of the nearest domain above it that has some (RFC 8659, section 3)
    http: HttpView
    errors: dict[str, str]  # why there is no value, by kind


def look_at_names(
    names: t.Sequence[str],
    token: str,
    resolvers: t.Sequence[Resolver],
    deadline: float,
    progress: t.Callable[[int, int], None] = lambda _done, _total: None,
) -> list[NameView]:
    """Return what this machine sees of each name until a deadline by time.monotonic(). No redirect is followed.

    A wildcard has no addresses of its own, and an IP address no records.
    """
    ask = _shared(functools.partial(ask_records, resolvers=resolvers, deadline=deadline))
    looks: list[tuple[int, str, t.Callable[[], t.Any]]] = []
    for number, name in enumerate(names):
        looks += [(number, kind, look) for kind, look in _looks(name, token, ask).items()]
    tasks = [functools.partial(_value_or_error, look) for _number, _kind, look in looks]
    views: list[NameView] = [{"name": name, "errors": {}} for name in names]
    for (number, kind, _look), ended in zip(looks, run_until(deadline, tasks, MAX_THREADS, progress)):
        if ended is not None and ended[1]:
            views[number]["errors"][kind] = shorten(printable(ended[1]), MAX_TEXT_CHARACTERS)
        elif ended is not None:
            t.cast("dict[str, t.Any]", views[number])[kind] = ended[0]
    return views


def _looks(name: str, token: str, ask: Records) -> dict[str, t.Callable[[], t.Any]]:
    """Return what is to be done for a name, by kind."""
    base = name[2:] if name.startswith("*.") else name
    looks: dict[str, t.Callable[[], t.Any]] = {}
    if not _is_address(name):
        looks["txt"] = lambda: _bounded(ask(f"{CHALLENGE_LABEL}.{base}", TXT))
        looks["caa"] = lambda: _bounded(_climb(base, ask))
    if base == name:
        looks["addresses"] = lambda: addresses_of(name)
        looks["http"] = lambda: get_challenge(name, token)
    return looks


def _value_or_error(look: t.Callable[[], t.Any]) -> tuple[t.Any, str]:
    try:
        return look(), ""
    except TlsError as error:
        return None, str(error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return None, text or type(error).__name__
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _shared(ask: Records) -> Records:
    """Return a function that asks each question once, but for those that are asked at the same time."""
    known: dict[tuple[str, int], list[str]] = {}

    def asked(name: str, record_type: int) -> list[str]:
        key = (name, record_type)
        if key not in known:
            known[key] = ask(name, record_type)
        return known[key]

    return asked


# not a parser: the names are the controller's
def _climb(name: str, ask: Records) -> list[str]:
    """Return the CAA records that count for a name: its own, or those of the nearest domain above (RFC 8659, section 3)."""
    labels = name.split(".")
    for number in range(len(labels)):
        records = ask(".".join(labels[number:]), CAA)
        if records:
            return records
    return []


def _bounded(records: t.Sequence[str]) -> list[str]:
    return [shorten(record, MAX_TEXT_CHARACTERS) for record in records[:MAX_RECORDS]]


# not a parser: the names are the controller's, and others are no address
def _is_address(text: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(text)
        return True
    return False


def addresses_of(name: str) -> list[str]:
    """Return the addresses of a name as programs of this machine get them, sorted; none if it has none.

    Raises OSError if the resolvers do not answer.
    """
    return sorted(_resolve(name))


def _resolve(name: str) -> list[str]:
    """Return the addresses in the order in which programs try them."""
    try:
        found = socket.getaddrinfo(name, HTTP_PORT, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            return []
        raise
    return [str(one[4][0]) for one in found][:MAX_ADDRESSES]


def get_challenge(name: str, token: str, timeout: float = CONNECT_TIMEOUT_S) -> HttpView:
    """Return the answer of a name to the URL of a challenge, from the first of its addresses that answers.

    timeout: seconds for the connection, and for each wait for bytes. Raises TlsError or OSError if none answers.
    """
    addresses = _resolve(name)
    if not addresses:
        raise TlsError(f"{name} has no address; create an A or AAAA record")
    why: Exception = TlsError(
        f"{name} leads to the metadata service of a cloud, which is never asked; correct its records"
    )
    for address in [one for one in addresses if not is_metadata_address(one.partition("%")[0])][:MAX_TRIED]:
        try:
            return _get(address, name, token, timeout)
        except (OSError, http.client.HTTPException) as error:
            why = error
    raise why


def _get(address: str, name: str, token: str, timeout: float) -> HttpView:
    connection = http.client.HTTPConnection(address, HTTP_PORT, timeout=timeout)
    host = f"[{name}]" if ":" in name else name
    try:
        connection.request("GET", CHALLENGE_PATH + token, headers={"Host": host, "User-Agent": USER_AGENT})
        response = connection.getresponse()
        body = response.read(MAX_BODY_BYTES).decode("ascii", "replace")
        location = response.getheader("Location") or ""
        return {
            "status": response.status,
            "location": shorten(printable(location.replace(token, TOKEN_WORD)), MAX_TEXT_CHARACTERS),
            "body": shorten(printable(body.replace(token, TOKEN_WORD)), MAX_TEXT_CHARACTERS),
        }
    finally:
        connection.close()
