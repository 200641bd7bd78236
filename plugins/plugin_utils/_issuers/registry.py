# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of issuers, and how an issuer is opened by its name. A further type is one file, and one line in ISSUERS."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import RenewalAdvice, Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.misspellings import closest_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import (
    listed,
    spec_errors,
    validate_arguments,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.words import REQUEST_TEXTS, check_words
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import (
    CROSS_SIGNING_SETTINGS,
    read_cross_signing,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.settings_files import SETTINGS
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.issuer import Acme
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import AcmeIssuer, Issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.command import Command
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.issuer import Manual
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.policy import (
    POLICY_SETTINGS,
    check_policy,
    fill_in,
    rules_of,
)

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass


ISSUERS: dict[str, type[Issuer]] = {
    "acme": Acme,
    "command": Command,
    "local_ca": LocalCa,
    "manual": Manual,
}

# Issuers that exist without being configured.
BUILT_IN = {"local": {"type": "local_ca"}}


def check_issuer_name(name: str, issuers: t.Mapping[str, t.Any]) -> None:
    """Raise TlsError when there is no issuer of this name. issuers: the value of certificate_issuers."""
    configured = {**BUILT_IN, **issuers}
    if name not in configured:
        meant = closest_name(str(name), configured)
        known = f" (did you mean {meant}?)" if meant else f", only {listed(sorted(configured))}"
        raise TlsError(f"there is no issuer named {name}{known}; add it to certificate_issuers or correct the request")


def open_issuer(name: str, issuers: dict[str, dict[str, t.Any]]) -> Issuer:
    """Return the issuer of this name.

    issuers: the value of certificate_issuers. Raises TlsError when there is no such issuer, or its settings are wrong.
    """
    check_issuer_name(name, issuers)
    settings = {**BUILT_IN, **issuers}[name]
    if not isinstance(settings, dict):
        raise TlsError(
            f"issuer {name}: its settings are no dictionary; write {name}: {{type: local_ca}} in certificate_issuers"
        )
    if str(settings.get("type")) not in ISSUERS:
        raise TlsError(
            f"issuer {name}: there is no type {settings.get('type')!r}, only {', '.join(sorted(ISSUERS))}; correct certificate_issuers"
        )
    kind = ISSUERS[settings["type"]]
    spec = {**POLICY_SETTINGS, **CROSS_SIGNING_SETTINGS, **kind.SETTINGS}
    explicit = {key: value for key, value in settings.items() if key != "type"}
    try:
        checked = validate_arguments(ArgumentSpecValidator(spec), {**kind.settings_of_name(name), **explicit}, SETTINGS)
    except TlsError as error:
        raise TlsError(f"issuer {name}: {error}") from error
    if checked.error_messages:
        raise TlsError(f"issuer {name}: {spec_errors(checked)}; correct certificate_issuers")
    complete = checked.validated_parameters
    try:
        issuer = kind(**{key: value for key, value in complete.items() if key in kind.SETTINGS})
        if isinstance(issuer, LocalCa):
            issuer.issuer = name
        further_roots = issuer.preferred_roots if isinstance(issuer, AcmeIssuer) else ()
        issuer.may_add_subject = "subject" in (complete["may_add"] or ())
        issuer.certificate_files = {name: complete[name] for name in SETTINGS if complete.get(name)}
        issuer.is_public = rules_of(complete, kind.DEFAULTS) == "public"
        issuer.cross_signing = read_cross_signing(complete, further_roots)
    except TlsError as error:
        raise TlsError(f"issuer {name}: {error}", **error.details) from error
    return issuer


def advice(
    issuer: Issuer, host: str, request: Request, leaf: x509.Certificate | None = None
) -> dict[str, RenewalAdvice]:
    """Return when the CA wants the certificates of a request renewed, by serial number.

    Nothing where it cannot be asked. leaf: a certificate that was seen on the host.
    """
    if not isinstance(issuer, AcmeIssuer):
        return {}
    try:
        return issuer.advice(host, request["name"], leaf, not request.get("renew_before"))
    except Exception:
        return {}


def revocation(issuer: Issuer, host: str, request: str, serial_number: str) -> str | None:
    """Return the reason for which a certificate is revoked, by the records of its issuer; None where they do not say so.

    The revocation list of a private CA is read whole; the records of others by host and request alone.
    """
    try:
        reason = issuer.revoked(host, request).get(serial_number)
        return issuer.revocation(serial_number) if reason is None and isinstance(issuer, LocalCa) else reason
    except (TlsError, OSError, AttributeError):
        return None


def with_defaults(request: t.Any, issuers: t.Any) -> t.Any:
    """Return a request with the options that it leaves out from its issuer.

    request, issuers: as in the inventory, unchecked. Values of a wrong type are returned as they are: the argument spec refuses them.
    Raises TlsError for an unknown organization.
    """
    if not isinstance(request, dict):
        return request
    settings, defaults = _settings_and_defaults(
        request.get("issuer") or "local", issuers if isinstance(issuers, dict) else {}
    )
    try:
        filled = fill_in(request, settings, {key: value for key, value in defaults.items() if key != "rules"})
        check_words(filled, REQUEST_TEXTS)
        return filled
    except TlsError as error:
        raise TlsError(f"certificate request {request.get('name')}: {error}") from error


def check_request_for_issuer(request: Request, issuers: dict[str, dict[str, t.Any]]) -> None:
    """Raise TlsError if a complete request breaks the rules of its issuer."""
    settings, defaults = _settings_and_defaults(request["issuer"], issuers)
    try:
        check_policy(request, settings, defaults)
    except TlsError as error:
        raise TlsError(f"certificate request {request['name']}: {error}") from error


def _settings_and_defaults(name: t.Any, issuers: dict[str, t.Any]) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """Return the settings of an issuer and the defaults of its type, both empty for an unknown issuer."""
    settings = {**BUILT_IN, **issuers}.get(str(name))
    if not isinstance(settings, dict):
        return {}, {}
    kind = ISSUERS.get(str(settings.get("type")))
    return settings, kind.DEFAULTS if kind else {}
