# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The domains below which anybody can register names, by the Public Suffix List (https://publicsuffix.org).

The list comes with the library publicsuffixlist. It takes 0.1 s to read, so it is read only where a public CA issues.
"""

from __future__ import annotations

import functools

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.plugin_utils._libraries import install_command

try:
    from publicsuffixlist import PublicSuffixList
except ImportError:  # said by install_command(), where somebody needs the list
    HAS_LIST = False
else:
    HAS_LIST = True

LIBRARY = "publicsuffixlist"
# Top-level domains for tests and documentation (RFC 2606, section 2). A CA that is asked for one is a test server.
TEST_DOMAINS = ("test", "example", "invalid", "localhost")


# not a parser: names of the inventory are in their normal form
def public_suffix(name: str) -> str | None:
    """Return the public suffix of a domain in its normal form by the ICANN part of the list, None where its top-level domain is unknown.

    Public CAs go by that part alone (Boulder, policy/pa.go).

    >>> public_suffix("www.example.co.uk"), public_suffix("co.uk"), public_suffix("shop.github.io"), public_suffix("www.example.test")
    ('co.uk', 'co.uk', 'io', None)
    """
    suffix: str | None = _list(only_icann=True).publicsuffix(name)
    return suffix


# not a parser: any text will do
def is_public_suffix(name: str) -> bool:
    """Say whether anybody can register names below a domain, by the ICANN part of the list. The root is one as well.

    Without the library only the root and top-level domains are known.

    >>> is_public_suffix("co.uk"), is_public_suffix("example.co.uk"), is_public_suffix("")
    (True, False, True)
    """
    return "." not in name or (HAS_LIST and public_suffix(name) == name)


# not a parser: names of the inventory are in their normal form
def suffix_error(name: str) -> str | None:
    """Return why no public CA issues for a name in its normal form, as the beginning of a sentence; None where the list does not say so.

    Without the library nothing is known.

    >>> suffix_error("*.co.uk")
    '*.co.uk covers all of co.uk, below which anybody can register names'
    """
    host = name.removeprefix("*.")
    if not HAS_LIST or is_ip_address(host):
        return None
    top_level = host.rsplit(".", 1)[-1]
    suffix = public_suffix(host)
    if suffix is None:
        return (
            None
            if top_level in TEST_DOMAINS
            else f"{name} ends in {top_level}, which is no top-level domain of the internet"
        )
    if suffix != host:
        return None
    if name != host:
        return f"{name} covers all of {host}, below which anybody can register names"
    return f"{name} is a domain below which anybody can register names"


# not a parser: names of the inventory are in their normal form
def registered_domain(name: str) -> str | None:
    """Return the domain that was registered for a name in its normal form, by the whole list; None without the library.

    A public suffix stands for itself, and below an unknown top-level domain two labels count.

    >>> registered_domain("*.www.example.co.uk"), registered_domain("shop.github.io"), registered_domain("co.uk"), registered_domain("a.b.test")
    ('example.co.uk', 'shop.github.io', 'co.uk', 'b.test')
    """
    if not HAS_LIST:
        return None
    host = name.removeprefix("*.")
    domain: str | None = _list(only_icann=False).privatesuffix(host)
    suffix = _list(only_icann=False).publicsuffix(host)
    return domain or (suffix or ".".join(host.split(".")[-2:]))


def list_remedy() -> str:
    """Return how to get a newer list, for a top-level domain that is new."""
    return install_command(LIBRARY).replace("pip install", "pip install --upgrade")


@functools.cache
def _list(only_icann: bool) -> PublicSuffixList:
    return PublicSuffixList(only_icann=only_icann, accept_unknown=False)
