# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of the subject of a certificate request: what a CA refuses, or nobody could read."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import SUBJECT_FIELDS, Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import is_printable

# RFC 5280, appendix A.1, in characters; email addresses as in RFC 5321. UTF-8 takes more bytes, which is no matter.
MAX_FIELD_CHARACTERS = {
    "state_or_province_name": 128,
    "locality_name": 128,
    "organization_name": 64,
    "organizational_unit_name": 64,
    "email_address": 254,
}
MAX_COMMON_NAME_BYTES = 64  # RFC 5280, appendix A.1, ub-common-name
MAX_CHALLENGE_PASSWORD_CHARACTERS = 255  # RFC 2985, pkcs-9-ub-challengePassword


def check_subject(request: Request) -> None:
    """Raise TlsError for a subject field, or a challenge password, that does not fit a signing request."""
    fields = t.cast("t.Mapping[str, str | None]", request)
    for field in SUBJECT_FIELDS:
        value = fields.get(field)
        if value is not None and not (value.strip() and is_printable(value)):
            raise TlsError(
                f"{field} is {value!r}, and a subject field holds printable text; correct it or leave it out"
            )
    for field, most in MAX_FIELD_CHARACTERS.items():
        length = len(fields.get(field) or "")
        if length > most:
            raise TlsError(f"{field} has {length} characters, and {most} are allowed; shorten it")
    _check_challenge_password(request.get("challenge_password") or "")
    _check_common_name(request.get("common_name") or "")
    _check_email_address(request.get("email_address") or "")
    _check_country_name(request.get("country_name"))


def _check_challenge_password(password: str) -> None:
    is_ascii = all(" " <= character <= "~" for character in password)
    if len(password) > MAX_CHALLENGE_PASSWORD_CHARACTERS or not is_ascii:
        raise TlsError(
            "challenge_password is text of letters, digits and signs that ASCII has, 255 at most; have the CA give you another one"
        )


def _check_common_name(name: str) -> None:
    if is_ip_address(name.strip()):
        raise TlsError(
            f"common_name is the IP address {name}, and a common name is a DNS name or text; leave it out: the address is in domains"
        )
    size = len(name.encode())
    if size > MAX_COMMON_NAME_BYTES:
        raise TlsError(
            f"common_name has {size} bytes, and {MAX_COMMON_NAME_BYTES} are allowed; "
            "shorten it, or leave it out: clients look at domains alone"
        )


def _check_email_address(address: str) -> None:
    if not address.isascii():
        raise TlsError(f"email_address is {address!r}, and certificates hold it in ASCII; correct it or leave it out")
    if address and not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address):
        raise TlsError(
            f"email_address is {address!r}, and an email address is like ops@example.org; correct it or leave it out"
        )


def _check_country_name(name: str | None) -> None:
    if name is not None and not re.fullmatch("[A-Za-z]{2}", name):
        raise TlsError(f"country_name is {name!r}, and a country has two letters (ISO 3166); correct it")
