# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Name constraints of CAs (RFC 5280, section 4.2.1.10), as OpenSSL applies them (crypto/x509/v3_ncons.c)."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    COMMON_NAME,
    EMAIL_ADDRESS,
    subject_name,
    subject_of,
    text_of,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.extensions import (
    DIRECTORY,
    DNS,
    EMAIL,
    IP_ADDRESS,
    NAME_TYPES,
    URI,
    GeneralName,
    NameConstraints,
    general_names_of,
    name_constraints,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten

if t.TYPE_CHECKING:
    from cryptography import x509

LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
HOST_NAME = re.compile(rf"{LABEL}(?:\.{LABEL})+")
MAX_COMPARISONS = 1 << 18  # of names with constraints, for one CA; OpenSSL has a limit of this kind too


def check_name_constraints(certificate: x509.Certificate, ca: x509.Certificate, is_leaf: bool) -> None:
    """Raise TlsError if a name of a certificate is outside the name constraints of a CA above it."""
    constraints = name_constraints(ca)
    if constraints is None:
        return
    about = f"the CA {subject_name(ca)}"
    if constraints.has_distances:
        raise TlsError(
            f"{about} has nameConstraints with a minimum or maximum, which clients refuse; have it issued again"
        )
    names = _names(certificate, is_leaf)
    if len(names) * (len(constraints.permitted) + len(constraints.excluded)) > MAX_COMPARISONS:
        raise TlsError(f"{about} has so many nameConstraints that clients refuse it; have it issued again")
    for name in names:
        fault = _fault(name, constraints)
        if fault:
            raise TlsError(
                f"{about} {fault} {shorten(_shown(name))}, a name of {subject_name(certificate)}; "
                "have a CA issue it whose nameConstraints allow the name"
            )


def _names(certificate: x509.Certificate, is_leaf: bool) -> list[GeneralName]:
    """Return all names that constraints apply to: subject, its e-mail addresses, alternative names, and without DNS names there the common name."""
    subject = subject_of(certificate)
    alternative = general_names_of(certificate)
    names = list(alternative)
    if subject.attributes:
        names.append(GeneralName(DIRECTORY, subject.der))
    names += [GeneralName(EMAIL, one.value) for one in subject.attributes if one.oid == EMAIL_ADDRESS]
    if is_leaf and not any(one.tag == DNS for one in alternative):
        names += [
            GeneralName(DNS, text_of(one).encode())
            for one in subject.attributes
            if one.oid == COMMON_NAME and _is_host_name(text_of(one))
        ]
    return names


def _fault(name: GeneralName, constraints: NameConstraints) -> str | None:
    """Return in which way a name breaks constraints, None if it does not."""
    permitted = [one for one in constraints.permitted if one.tag == name.tag]
    excluded = [one for one in constraints.excluded if one.tag == name.tag]
    try:
        if permitted and not any(_is_within(name, base) for base in permitted):
            return "does not permit"
        if any(_is_within(name, base) for base in excluded):
            return "excludes"
    except ValueError:
        return "has nameConstraints that cannot be compared with"
    return None


def _is_within(name: GeneralName, base: GeneralName) -> bool:
    """Say whether a name is in the subtree of a base of the same type. Raises ValueError where that cannot be said."""
    if base.tag == DNS:
        return _is_subdomain(name.value.lower(), base.value.lower())
    if base.tag == IP_ADDRESS:
        return _is_in_network(name.value, base.value)
    if base.tag == DIRECTORY:
        prefix, path = base.directory_name, name.directory_name
        return path[: len(prefix)] == prefix
    if base.tag == EMAIL:
        return _is_mailbox_within(name.value, base.value)
    if base.tag == URI:
        return _is_uri_within(name.value, base.value)
    raise ValueError(NAME_TYPES.get(base.tag, base.tag))


def _is_subdomain(name: bytes, base: bytes) -> bool:
    """Say whether a DNS name is a base or below it. A base with a leading dot stands for names below it alone."""
    if not base or name == base:
        return True
    return name.endswith(base) and (base.startswith(b".") or name[-len(base) - 1 : -len(base)] == b".")


def _is_in_network(address: bytes, network: bytes) -> bool:
    """Say whether an IP address is in a network, of address and mask. Raises ValueError for other lengths."""
    if len(network) not in (8, 32):
        raise ValueError(len(network))
    if len(address) * 2 != len(network):
        return False
    base, mask = network[: len(address)], network[len(address) :]
    return all(one & bits == other & bits for one, other, bits in zip(address, base, mask))


def _is_mailbox_within(mailbox: bytes, base: bytes) -> bool:
    """Say whether a mailbox is a base, at its host, or with a leading dot at hosts below it. Raises ValueError without a host."""
    local, name_at, host = mailbox.rpartition(b"@")
    base_local, at, base_host = base.rpartition(b"@")
    if not name_at:
        raise ValueError("no host")
    if not at and base.startswith(b"."):
        return len(mailbox) > len(base) and mailbox.lower().endswith(base.lower())
    return (not base_local or local == base_local) and host.lower() == base_host.lower()


def _is_uri_within(uri: bytes, base: bytes) -> bool:
    """Say whether the host of a URI is a base, or with a leading dot below it. Raises ValueError without a host."""
    _scheme, slashes, rest = uri.partition(b"://")
    host = rest.split(b"/")[0].split(b":")[0].lower()
    if not slashes or not host:
        raise ValueError("no host")
    return host.endswith(base.lower()) if base.startswith(b".") else host == base.lower()


def _is_host_name(text: str) -> bool:
    """Say whether a common name is a DNS name, which is checked where no alternative name is one (cn2dnsid of OpenSSL)."""
    return HOST_NAME.fullmatch(text) is not None


def _shown(name: GeneralName) -> str:
    if name.tag == DIRECTORY:
        return "the subject"
    return name.text
