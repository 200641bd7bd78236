# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses and ports at which clients reach a host."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

# name, name:port, [address], [address]:port, or an address with colons of its own
ENDPOINT = re.compile(r"(?:([^][:\s]+)|\[([\w:.%-]+)\])(?::([0-9]{1,5}))?|([^][\s:]*:[^][\s:]*:[^][\s]*)")


def host_addresses(variables: t.Mapping[str, t.Any], host: str, port: int) -> list[tuple[str, int]]:
    """Return the addresses and ports at which clients reach a host.

    variables: of the host. Its C(certificate_endpoint) is used, or else its C(ansible_host), or else its name.
    port: where the endpoint names none. Raises TlsError for what is no address.

    >>> host_addresses({"certificate_endpoint": ["192.0.2.1", "[2001:db8::1]:8443"]}, "web1", 443)
    [('192.0.2.1', 443), ('2001:db8::1', 8443)]
    """
    value = variables.get("certificate_endpoint") or variables.get("ansible_host") or host
    endpoints = value if isinstance(value, list) else [value]
    for one in endpoints:
        if (
            isinstance(one, (bool, int, float)) or str(one).isdigit()
        ):  # which a resolver takes for an address: 443 is 0.0.1.187
            raise TlsError(
                f"certificate_endpoint, or else ansible_host, is {one!r}, a bare number; write an address, or one with a port: 192.0.2.1:8443"
            )
    return [parse_endpoint(str(text), port, "certificate_endpoint as ") for text in endpoints]


def parse_endpoint(text: str, port: int, what: str = "it as ") -> tuple[str, int]:
    """Return an address or name, and its port.

    port: where the text names none. what: the option, in the error. Raises TlsError for what is no address.

    >>> parse_endpoint("[2001:db8::53]:5353", 53)
    ('2001:db8::53', 5353)
    """
    match = ENDPOINT.fullmatch(text)
    if not match or not 1 <= int(match[3] or port) <= 65535:
        raise TlsError(f"{text!r} is no address; write {what}192.0.2.1, 192.0.2.1:8443 or [2001:db8::1]:8443")
    return match[1] or match[2] or match[4], int(match[3] or port)
