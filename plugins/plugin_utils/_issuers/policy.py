# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of issuers of every type: defaults for requests, organizations, and rules that requests have to keep.

The rules are checked before there is a key or a CSR, since a CA may take days to refuse one.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import (
    CERTIFICATE_KINDS,
    ECC_CURVES,
    KEY_TYPES,
    RSA_KEY_SIZES,
    SUBJECT_FIELDS,
    Request,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.cloud import is_hosted
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.public_names import (
    NameProblem,
    acme_name_problem,
    public_name_problem,
)

# The options of a request that C(defaults) may have.
SHARED_OPTIONS = {
    "type": {"type": "str", "choices": KEY_TYPES},
    "size": {"type": "int", "choices": RSA_KEY_SIZES},
    "curve": {"type": "str", "choices": ECC_CURVES},
    **{field: {"type": "str"} for field in SUBJECT_FIELDS if field != "common_name"},
    "organization": {"type": "str"},
    "kind": {"type": "str", "choices": CERTIFICATE_KINDS},
    "challenge_password": {"type": "str", "no_log": True},
    "lifetime": {"type": "str"},
    "renew_before": {"type": "str"},
    "reuse_key": {"type": "bool", "no_log": False},
}

MAX_PUBLIC_NAMES = 100  # Let's Encrypt, ZeroSSL and Google Trust Services
PUBLIC_CURVES = ("secp256r1", "secp384r1")  # CA/Browser Forum, Baseline Requirements, section 6.1.5
PHONE = "phone"  # of an organization; it is in no subject
SHORT_LIVED = "shortlived"  # the profile of Let's Encrypt in which it issues for IP addresses
ADDRESS_REMEDIES = {"acme": f"profile: {SHORT_LIVED} (Let's Encrypt) or ip_addresses: true"}

# The settings that issuers of every type have.
POLICY_SETTINGS: dict[str, t.Any] = {
    "defaults": {"type": "dict", "options": SHARED_OPTIONS},
    "organizations": {"type": "dict"},
    "rules": {"type": "str", "choices": ["public", "private"]},
    "ip_addresses": {"type": "bool"},
    "may_add": {"type": "list", "elements": "str", "choices": ["www", "parent", "subject"]},
}


def fill_in(request: dict[str, t.Any], settings: dict[str, t.Any], defaults: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a request with the options that it leaves out from its issuer and its organization.

    request, settings: as in the inventory, unchecked. settings: of the issuer. defaults: of the issuer's type.
    Raises TlsError for an unknown or malformed organization.
    """
    shared = settings.get("defaults") if isinstance(settings.get("defaults"), dict) else {}
    filled = {**defaults, **_without_none(shared or {}), **_without_none(request)}
    filled = {**_organization_subject(filled.get("organization"), settings), **filled}
    added = [name for domain in _as_list(request.get("domains")) for name in added_names(domain, settings)]
    if added:
        filled["allowed_domains"] = list(dict.fromkeys([*_as_list(request.get("allowed_domains")), *added]))
    return {**request, **filled}


def added_names(domain: str, settings: dict[str, t.Any]) -> list[str]:
    """Return the names that the CA adds to a domain by itself, by the setting C(may_add).

    >>> added_names("example.org", {"may_add": ["www", "parent"]})
    ['www.example.org']
    >>> added_names("www.example.org", {"may_add": ["www", "parent"]}), added_names("*.example.org", {"may_add": ["parent"]})
    (['example.org'], ['example.org'])
    """
    may_add, domain = _as_list(settings.get("may_add")), domain.strip().lower()
    if is_ip_address(domain):
        return []
    first, _dot, parent = domain.partition(".")
    if first in ("www", "*"):
        return [parent] if "parent" in may_add and "." in parent else []
    return [f"www.{domain}"] if "www" in may_add else []


def rules_of(settings: t.Mapping[str, t.Any], defaults: t.Mapping[str, t.Any]) -> str:
    """Return the rules of an issuer: C(public) or C(private). A CA whose C(roots) are named is one that systems do not know.

    defaults: of its type.
    """
    by_type = "private" if settings.get("roots") else defaults.get("rules", "private")
    return str(settings.get("rules") or by_type)


def check_policy(request: Request, settings: dict[str, t.Any], defaults: dict[str, t.Any]) -> None:
    """Raise TlsError if a complete request breaks the rules of its issuer.

    settings: of the issuer. defaults: of its type.
    """
    _organization_subject(request.get("organization"), settings)
    _check_validation(request, settings)
    rules = rules_of(settings, defaults)
    if rules == "public":
        _check_phone(request, settings)
    issues_for_addresses = rules == "private" or settings.get("profile") == SHORT_LIVED
    if not settings.get("ip_addresses", issues_for_addresses):
        addresses = [name for name in request["domains"] if is_ip_address(name)]
        if addresses:
            raise TlsError(
                f"it asks for the IP address {addresses[0]}, and {request['issuer']} issues for none; leave it out, "
                f"or set {ADDRESS_REMEDIES.get(str(settings.get('type')), 'ip_addresses: true')} for the issuer if it does"
            )
    if rules == "public":
        _check_public(request)
        if settings.get("type") == "acme":
            for name in request["domains"]:
                _refuse(acme_name_problem(name), f"{request['issuer']} if it is another CA")


def _check_validation(request: Request, settings: dict[str, t.Any]) -> None:
    """Raise TlsError for C(validation) where no person has to show anything to the CA."""
    if request.get("validation") and settings.get("type") != "manual" and not is_hosted(request):
        raise TlsError(
            f"validation is for issuers of type manual and for certificates that a cloud makes, and {request['issuer']} is of type "
            f"{settings.get('type', 'local_ca')}; leave it out"
        )


def _check_phone(request: Request, settings: dict[str, t.Any]) -> None:
    """Raise TlsError where a public CA validates an organization that has no phone: it calls back there."""
    name, kind = request.get("organization"), request.get("kind")
    fields = (settings.get("organizations") or {}).get(name) if name else None
    if kind in ("OV", "EV") and isinstance(fields, dict) and not str(fields.get(PHONE) or "").strip():
        raise TlsError(
            f"the organisation {name} has no {PHONE}, and public CAs call the company for kind: {kind}; add for example "
            f'{PHONE}: "+44 20 7946 0000" to it in organizations of {request["issuer"]}'
        )


# not a parser: names of the inventory are in their normal form
def _check_public(request: Request) -> None:
    """Raise TlsError if a request breaks the rules for public CAs.

    CA/Browser Forum, Baseline Requirements, section 7.1.2.7.
    """
    issuer, names = request["issuer"], request["domains"]
    for name in names:
        _refuse(public_name_problem(name), f"{issuer} if it is none")
    common_name = request.get("common_name")
    if common_name and common_name.lower() not in names:
        raise TlsError(
            f"the common name {common_name} is not among the domains, which public CAs refuse; add it to them, or leave it out"
        )
    if len(names) > MAX_PUBLIC_NAMES:
        raise TlsError(
            f"it asks for {len(names)} names, and public CAs put {MAX_PUBLIC_NAMES} at most into a certificate; make several requests "
            f"of them, or set rules: private for {issuer} if it is none"
        )
    if request["type"] == "Ed25519":
        raise TlsError(
            f"its key is to be Ed25519, which public CAs refuse; write type: RSA or type: ECC, or set rules: private for {issuer}"
        )
    if request["type"] == "ECC" and request["curve"] not in PUBLIC_CURVES:
        raise TlsError(
            f"its key is to be of the curve {request['curve']}, which public CAs refuse; write curve: {' or curve: '.join(PUBLIC_CURVES)}, "
            f"or set rules: private for {issuer}"
        )


def _refuse(problem: NameProblem | None, exception: str) -> None:
    """Raise TlsError for a problem. exception: the end of a sentence about whose rules are to be private."""
    if problem:
        raise TlsError(f"{problem.fact}; {problem.remedy}, or set rules: private for {exception}")


def _organization_subject(name: t.Any, settings: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the subject options of an organization; nothing without a name.

    Raises TlsError when the organization is unknown or malformed.
    """
    if not name:
        return {}
    organizations = settings.get("organizations") if isinstance(settings.get("organizations"), dict) else {}
    fields = (organizations or {}).get(name)
    if not isinstance(fields, dict):
        known = f"only {', '.join(sorted(map(str, organizations)))}" if organizations else "none at all"
        raise TlsError(
            f"organization: its issuer knows no organisation {name}, {known}; describe it in organizations of the issuer, or correct the name"
        )
    unknown = sorted(set(map(str, fields)) - (set(SUBJECT_FIELDS) - {"common_name"}) - {PHONE})
    if unknown:
        raise TlsError(
            f"organization: {name} has {', '.join(unknown)}, and an organisation has "
            f"{', '.join(field for field in SUBJECT_FIELDS if field != 'common_name')}, {PHONE}; correct it"
        )
    return _without_none({field: value for field, value in fields.items() if field != PHONE})


def _without_none(options: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in options.items() if value is not None}


def _as_list(value: t.Any) -> list[str]:
    """Return the strings of a list, or of a string with commas; nothing for anything else."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    return [str(part) for part in parts]
