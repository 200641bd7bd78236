# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Subject and extended key usage of an issued certificate: a CA may leave fields out, and adds none that the inventory does not have."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    COMMON_NAME,
    Attribute,
    attribute_name,
    dotted,
    subject_name,
    subject_of,
    text_of,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.extensions import extended_key_usages
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import address_text
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import (
    SERVER_AUTH,
    USAGE_NAMES,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import SUBJECT_FIELDS, Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

try:
    from cryptography import x509
    from cryptography.x509.oid import NameOID
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_VALUE_LENGTH = 100  # characters of what a CA wrote, in an error

# What public CAs wrote beside serverAuth, until root programs forbade it in 2026: TLS clients, and two forgotten ones of browsers.
CLIENT_USAGES = {
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.4.1.311.10.3.3": "Microsoft Server Gated Crypto",
    "2.16.840.1.113730.4.1": "Netscape Server Gated Crypto",
}


def check_leaf(leaf: x509.Certificate, request: Request) -> None:
    """Raise TlsError if an issued certificate has a subject or a usage that the request does not have.

    With C(may_add_subject), the CA may write fields into the subject beside the common name.
    """
    for attribute in subject_of(leaf).attributes:
        if attribute.oid == COMMON_NAME:
            _check_common_name(attribute, request)
        elif not request.get("may_add_subject"):
            _check_field(attribute, request)
    usages = extended_key_usages(leaf) or []
    refused = [oid for oid in usages if oid != SERVER_AUTH and oid not in CLIENT_USAGES]
    if refused:
        raise TlsError(
            f"the certificate is for {', '.join(USAGE_NAMES.get(oid, oid) for oid in refused[:5])} besides, and a server needs serverAuth alone; "
            "have it issued for a server, with a profile of the CA that has nothing else"
        )


def usage_warning(leaf: x509.Certificate) -> str | None:
    """Return a warning about a certificate that clients may use too, else None."""
    names = [CLIENT_USAGES[oid] for oid in extended_key_usages(leaf) or [] if oid in CLIENT_USAGES]
    if not names:
        return None
    return (
        f"the certificate of {escape_as_one_line(subject_name(leaf))[:MAX_VALUE_LENGTH]} is for {', '.join(names)} "
        "beside serverAuth: whoever trusts its CA for logins accepts this server as a client; have the CA issue for servers alone"
    )


def _check_common_name(attribute: Attribute, request: Request) -> None:
    names = [*request["domains"], *(request.get("allowed_domains") or ()), request.get("common_name") or ""]
    if _normalized(text_of(attribute)) not in {_normalized(name) for name in names if name}:
        raise TlsError(
            f"the common name of the certificate is {_shown(text_of(attribute))}, which is none of its names; "
            f"have it issued for {', '.join(request['domains'])}"
        )


def _check_field(attribute: Attribute, request: Request) -> None:
    kind = dotted(attribute.oid)
    field = next((field for field, oid in SUBJECT_FIELDS.items() if getattr(NameOID, oid).dotted_string == kind), None)
    expected = t.cast("dict[str, t.Any]", request).get(field) if field else None
    if expected and _normalized(text_of(attribute)) == _normalized(expected):
        return
    name = field or attribute_name(attribute.oid)
    inventory = f"{name}: {expected}" if expected else "nothing of that"
    remedy = f"write {name} into the request or the defaults of its issuer, " if field else ""
    raise TlsError(
        f"the subject of the certificate has {name} {_shown(text_of(attribute))}, and the inventory says {inventory}; "
        f"have it issued without that, or, if it is right, {remedy}{'or ' if remedy else ''}set may_add: [subject] for the issuer"
    )


def _normalized(value: t.Any) -> str:
    """Return text without differences that RFC 5280, section 7.1, ignores: case and spaces. Addresses are in their short form."""
    text = " ".join(str(value).split()).casefold()
    try:
        return address_text(text)
    except ValueError:
        return text


def _shown(value: t.Any) -> str:
    return escape_as_one_line(str(value))[:MAX_VALUE_LENGTH]
