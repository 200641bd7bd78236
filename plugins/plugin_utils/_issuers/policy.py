# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an issuer demands of requests, and what it fills in where they say nothing, whatever its type.

Demands are checked before there is a key or a signing request: a CA that refuses one days later has cost these days.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import (
    ECC_CURVES,
    KEY_TYPES,
    RSA_KEY_SIZES,
    SUBJECT_FIELDS,
)

# The words of a request that many requests have in common.
SHARED = {
    "type": {"type": "str", "choices": KEY_TYPES},
    "size": {"type": "int", "choices": RSA_KEY_SIZES},
    "curve": {"type": "str", "choices": ECC_CURVES},
    **{field: {"type": "str"} for field in SUBJECT_FIELDS if field != "common_name"},
    "organization": {"type": "str"},
    "challenge_password": {"type": "str", "no_log": True},
    "lifetime": {"type": "str"},
    "renew_before": {"type": "str"},
    "reuse_key": {"type": "bool", "no_log": False},
}

# The settings that issuers of every type have.
POLICY: dict[str, t.Any] = {
    "defaults": {"type": "dict", "options": SHARED},
    "organizations": {"type": "dict"},
    "rules": {"type": "str", "choices": ["public", "private"]},
    "ip_addresses": {"type": "bool"},
    "may_add": {"type": "list", "elements": "str", "choices": ["www", "parent"]},
}


def filled_in(request: dict, settings: dict, defaults: dict) -> dict:
    """Return a request, as somebody wrote it, with what its issuer and its organisation say where it says nothing.

    *settings* are those of the issuer, *defaults* those of its type.
    """
    shared = settings.get("defaults") if isinstance(settings.get("defaults"), dict) else {}
    said = {**defaults, **_spoken(shared or {}), **_spoken(request)}
    said = {**_organization(said.get("organization"), settings), **said}
    added = [name for domain in _texts(request.get("domains")) for name in added_names(domain, settings)]
    if added:
        said["allowed_domains"] = list(dict.fromkeys([*_texts(request.get("allowed_domains")), *added]))
    return {**request, **said}


def added_names(domain: str, settings: dict) -> list[str]:
    """Return the names that an issuer adds to a domain for free, where it is configured to.

    >>> added_names("example.org", {"may_add": ["www", "parent"]})
    ['www.example.org']
    >>> added_names("www.example.org", {"may_add": ["www", "parent"]}), added_names("*.example.org", {"may_add": ["parent"]})
    (['example.org'], ['example.org'])
    """
    ways, domain = _texts(settings.get("may_add")), domain.strip().lower()
    if is_ip_address(domain):
        return []
    first, _dot, parent = domain.partition(".")
    if first in ("www", "*"):
        return [parent] if "parent" in ways and "." in parent else []
    return [f"www.{domain}"] if "www" in ways else []


def check_demands(request: t.Mapping[str, t.Any], settings: dict, defaults: dict) -> None:
    """Make sure that a complete request is one that its issuer can answer."""
    _organization(request.get("organization"), settings)
    rules = settings.get("rules") or defaults.get("rules", "private")
    if not settings.get("ip_addresses", rules == "private"):
        addresses = [name for name in request["domains"] if is_ip_address(name)]
        if addresses:
            raise TlsError(
                f"it asks for the IP address {addresses[0]}, and {request['issuer']} issues for none; leave it out, "
                "or set ip_addresses: true for the issuer if it does"
            )
    if rules == "public":
        _check_public(request)


def _check_public(request: t.Mapping[str, t.Any]) -> None:
    """Make sure that a request keeps the rules for public CAs (Baseline Requirements of the CA/Browser Forum, section 7.1.2.7)."""
    issuer, names = request["issuer"], request["domains"]
    for name in names:
        if "_" in name:
            raise TlsError(
                f"{name} has an underscore, and public CAs issue for letters, digits and hyphens alone; rename it, "
                f"or set rules: private for {issuer} if it is none"
            )
        if "." not in name and not is_ip_address(name):
            raise TlsError(
                f"{name} is the name of a machine in a network of your own, and public CAs issue for full names alone; write "
                f"{name}.example.org, or set rules: private for {issuer} if it is none"
            )
    common_name = request.get("common_name")
    if common_name and common_name.lower() not in names:
        raise TlsError(
            f"the common name {common_name} is not among the domains, which public CAs refuse; add it to them, or leave it out"
        )
    if request["type"] == "Ed25519":
        raise TlsError(
            f"its key is to be Ed25519, which public CAs refuse; write type: RSA or type: ECC, or set rules: private for {issuer}"
        )


def _organization(name: t.Any, settings: dict) -> dict:
    """Return the subject of an organisation that was described once, for many requests."""
    if not name:
        return {}
    there = settings.get("organizations") if isinstance(settings.get("organizations"), dict) else {}
    fields = (there or {}).get(name)
    if not isinstance(fields, dict):
        known = f"only {', '.join(sorted(map(str, there)))}" if there else "none at all"
        raise TlsError(
            f"organization: its issuer knows no organisation {name}, {known}; describe it in organizations of the issuer, or correct the name"
        )
    strangers = sorted(set(map(str, fields)) - (set(SUBJECT_FIELDS) - {"common_name"}))
    if strangers:
        raise TlsError(
            f"organization: {name} has {', '.join(strangers)}, and an organisation has "
            f"{', '.join(field for field in SUBJECT_FIELDS if field != 'common_name')}; correct it"
        )
    return _spoken(fields)


def _spoken(words: dict) -> dict:
    return {word: value for word, value in words.items() if value is not None}


def _texts(value: t.Any) -> list[str]:
    """Return a list of texts as people write one, with commas or as a list."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    return [str(part) for part in parts]
