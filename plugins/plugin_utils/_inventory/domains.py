# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The normal form of DNS names and IP addresses, in which certificates and nginx hold them.

Every comparison is between normal forms. A certificate whose names never compare equal would be renewed on every run.
"""

from __future__ import annotations

import re

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import address_text, is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

try:
    import idna
except ImportError:  # only needed for names that are not ASCII
    idna = None  # type: ignore[assignment]  # a module that is missing

DOTS = (".", "\u3002", "\uff0e", "\uff61")  # RFC 3490, section 3.1
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
LAST_NUMBER = re.compile(
    r"[0-9]+|0x[0-9a-f]*"
)  # which makes an IPv4 address of a host for browsers (URL standard, section 3.5)
MAX_NAMES = 1000  # of a certificate: clients refuse what has more than 100 KB, and public CAs take 100 names
MAX_NAME_CHARACTERS = 253  # RFC 1035, section 2.3.4, in text without the last dot
MAX_LABEL_CHARACTERS = 63
MAX_CHARACTERS_IN_ERROR = 320
# Domains of networks of one's own (RFC 6761, RFC 6762, RFC 8375; ICANN board resolution 2024.07.29.06), and names of addresses, for which
# public CAs do not issue (Baseline Requirements, section 4.2.2).
INTERNAL_DOMAINS = (
    *("local", "localhost", "internal", "lan", "home", "corp", "intranet", "private"),
    *("home.arpa", "in-addr.arpa", "ip6.arpa"),
)


def normal_name(text: str) -> str:
    """Return a DNS name, wildcard or IP address in its normal form (RFC 5890 A-labels, RFC 5952).

    Raises TlsError for anything else.

    >>> normal_name("WWW.Example.org."), normal_name("bücher.example"), normal_name("2001:DB8:0::1")
    ('www.example.org', 'xn--bcher-kva.example', '2001:db8::1')
    """
    if not isinstance(text, str) or not text.strip():
        raise TlsError(f"{_quoted(text)} is not a name; write a DNS name such as www.example.org or an IP address")
    name = text.strip()
    if is_ip_address(name):
        if "%" in name:
            raise TlsError(
                f"{_quoted(text)} is an address of one link only, and certificates hold no interfaces; leave out the interface"
            )
        return address_text(name)
    name = name[:-1] if name.endswith(DOTS) else name
    wildcard, host = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    host = host.lower() if host.isascii() else _to_a_labels(text, host)
    if "*" in host:
        raise TlsError(
            f"{text!r} is no wildcard: the asterisk stands alone, in the first place, for one level: *.example.org covers "
            "www.example.org, and neither example.org nor www.shop.example.org; write each that is needed"
        )
    for label in host.split("."):
        if not LABEL.fullmatch(label):
            raise TlsError(f"{_quoted(text)} is not a DNS name: {_label_error(label)}; {_surplus(name)}correct it")
        if label.startswith("xn--"):
            _check_a_label(text, label)
    if wildcard and "." not in host:
        raise TlsError(f"{_quoted(text)} would cover a whole top-level domain; write a wildcard such as *.example.org")
    if LAST_NUMBER.fullmatch(host.rsplit(".", 1)[-1]):
        raise TlsError(
            f"{_quoted(text)} is neither an IP address nor a DNS name, since it ends in a number; correct it"
        )
    if len(wildcard + host) > MAX_NAME_CHARACTERS:
        raise TlsError(
            f"{_quoted(text)} has {len(wildcard + host)} characters, and a DNS name has {MAX_NAME_CHARACTERS} at most; shorten it"
        )
    return wildcard + host


def internal_domain(name: str) -> str | None:
    """Return the domain that a name in its normal form is in and that is in no public DNS; None for other names and addresses.

    A name of one label is its own domain.

    >>> internal_domain("db.internal"), internal_domain("web1"), internal_domain("www.example.org"), internal_domain("192.0.2.1")
    ('internal', 'web1', None, None)
    """
    if is_ip_address(name):
        return None
    if "." not in name:
        return name
    return next((domain for domain in INTERNAL_DOMAINS if name.endswith(f".{domain}")), None)


def normal_names(texts: list[str] | str) -> list[str]:
    """Return the names in their normal form and their order, each once.

    texts: a list, or text with commas, which Ansible takes for one everywhere. Raises TlsError where there is no name.
    """
    if isinstance(texts, str):  # as Ansible reads a list that is written as one string
        texts = texts.split(",")
    if not texts:
        raise TlsError("the list of domains is empty; name at least one DNS name or IP address")
    if len(texts) > MAX_NAMES:
        raise TlsError(
            f"there are {len(texts)} domains, and a certificate holds {MAX_NAMES} at most (that of a public CA 100); "
            "make several requests of them"
        )
    return list(dict.fromkeys(normal_name(text) for text in texts))


def _quoted(text: object) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= MAX_CHARACTERS_IN_ERROR else f"{quoted[:MAX_CHARACTERS_IN_ERROR]}…"


def _to_a_labels(text: str, host: str) -> str:
    """Return a host that is not ASCII in A-labels (RFC 5890, with the mapping of UTS 46)."""
    if idna is None:
        raise TlsError(
            f"{_quoted(text)} is not ASCII, and Python's idna library is not here; install python3-idna or write it as xn--…"
        )
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError as error:
        raise TlsError(f"{_quoted(text)} is not an internationalised DNS name: {error}; correct it") from error


def _check_a_label(text: str, label: str) -> None:
    """Raise TlsError unless an A-label stands for a U-label (RFC 5890, section 2.3.2.1), or for symbols that browsers accept (UTS 46).

    Without the library nothing is checked.
    """
    if idna is None:
        return
    try:
        idna.ulabel(label)
    except (idna.IDNAError, UnicodeError) as error:
        if isinstance(error, idna.InvalidCodepoint) and _has_symbols(label):
            return
        raise TlsError(
            f"{_quoted(text)} is not an internationalised DNS name: {label} stands for no word ({error}); write the word itself, or correct it"
        ) from error


# not a parser: names come from the inventory
def _has_symbols(label: str) -> bool:
    """Say whether an A-label stands for text with symbols, such as emoji, that UTS 46 leaves as it is."""
    try:
        word = label.removeprefix("xn--").encode().decode("punycode")
        return idna.uts46_remap(word) == word and word.encode("punycode").decode() == label.removeprefix("xn--")
    except (idna.IDNAError, UnicodeError):
        return False


def _label_error(label: str) -> str:
    if not label:
        return "a part between its dots is empty"
    if len(label) > MAX_LABEL_CHARACTERS:
        return f"the part {label[:20]}… has {len(label)} characters, and {MAX_LABEL_CHARACTERS} are allowed"
    if label.startswith("-") or label.endswith("-"):
        return f"the part {label!r} begins or ends with a hyphen"
    return f"the part {label!r} has characters other than letters, digits, hyphens and underscores"


def _surplus(name: str) -> str:
    """Return which parts of what may be a URL, an address with a port or a mailbox are to be left out, as the beginning of a remedy."""
    if "://" in name or "/" in name:
        return "a name has no scheme, path or prefix: leave them out, or "
    if "@" in name:
        return "a name has no user: leave out what stands before the @, or "
    if ":" in name or "[" in name:
        return "a name has no port, and an address no brackets: leave them out, or "
    return ""
