# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names in their normal form (plugin_utils/_inventory/domains.py), and names of requests."""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

try:
    from cryptography import x509
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

REQUEST_NAME_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def is_ip_address(name: str) -> bool:
    """Say whether a name is an IPv4 or IPv6 address."""
    if isinstance(name, str) and ":" not in name and not name[-1:].isdigit():  # most names, in a tenth of the time
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def address_text(address: str | bytes) -> str:
    """Return an IP address in its normal form (RFC 5952), which is the same with every version of Python.

    Python 3.13 writes IPv4-mapped addresses as ::ffff:192.0.2.1, and those before as ::ffff:c000:201.

    >>> address_text("2001:DB8:0::1"), address_text("::ffff:c000:201"), address_text(bytes([192, 0, 2, 1]))
    ('2001:db8::1', '::ffff:192.0.2.1', '192.0.2.1')
    """
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return parsed.compressed if mapped is None else f"::ffff:{mapped}"


def probe_name(name: str) -> str:
    """Return a name that a client can ask a server for: the name itself, or one that a wildcard covers."""
    return "evergreen-probe" + name[1:] if name.startswith("*.") else name


def check_request_name(name: str) -> str:
    """Return the name of a request, once it is sure to be the name of one folder.

    Raises TlsError for slashes, leading dots, control characters and names of more than 128 characters.
    """
    if not isinstance(name, str) or not REQUEST_NAME_PATTERN.fullmatch(name):
        raise TlsError(
            f"{name!r} cannot name a request, since it names a folder on the host; use letters, digits, dots, "
            "hyphens and underscores, 128 at most, and begin with a letter, digit or underscore"
        )
    return name


def alternative_names(names: x509.SubjectAlternativeName) -> set[str]:
    """Return the names of a subject alternative name (RFC 5280, section 4.2.1.6) in their normal form."""
    return {normal_name(name) for name in names}


def normal_name(name: x509.GeneralName) -> str:
    """Return a name in its normal form. Those that are no DNS names or IP addresses have their type in front."""
    if isinstance(name, x509.DNSName):
        return name.value.lower()
    if isinstance(name, x509.IPAddress):
        return address_text(str(name.value))
    return f"{type(name).__name__}:{name.value}"
