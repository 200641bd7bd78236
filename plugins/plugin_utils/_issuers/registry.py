# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Issuers: whatever turns a signing request into a chain. A further one is one file, and one line in ISSUERS."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.arguments import validated
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import complaints
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import (
    CROSSING,
    Crossing,
    read_crossing,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import Waiting
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.issuer import Acme
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.command import Command
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.issuer import Manual
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.policy import POLICY, check_demands, filled_in


class Issuer(t.Protocol):
    """A CA, as it is configured in the inventory.

    One that keeps requests while people think about them is a Patient (waiting.py), too. DEFAULTS, where an issuer has them,
    are what requests say by default, and C(rules), as policies.py knows them. What it notices beside its answer is in
    C(remarks) after issue(), as sentences.
    """

    SETTINGS: dict[str, t.Any]  # the argument spec of the settings
    answers: str  # the folder of the controller in which its answers are kept (answers.py)
    crossing: Crossing  # which way its chains are to take; set by open_issuer()

    def __init__(self, **settings: t.Any) -> None:
        """Be ready to work; nothing is asked or made yet."""

    def roots(self) -> bytes | None:
        """Return the roots that clients of this issuer trust, in PEM; None for those of the system, or not known yet."""

    def terms(self, request: dict) -> dict[str, t.Any]:
        """Return what decides on the certificate beside the CSR, for JSON: an answer is given again on the same terms only."""

    def issue(self, request: dict, csr: bytes, host: str) -> bytes | Waiting:
        """Return what the CA answers to a signing request, in PEM. The request is complete, and the CSR was checked against it.

        Beside what somebody wrote, the request says why it is due (C(reason)), since when the CSR waits on its host (C(since)),
        and which certificate is in use there (C(in_use), its fingerprint) and from when to when it is valid (C(valid)).
        Nobody else is busy with this CSR meanwhile, and no answer to it is kept that would do.
        """

    def record(self, request: dict, chain: list, host: str) -> None:
        """Write down, where the issuer has such a habit, that a certificate was issued.

        Called once its chain is kept and before it is used; once more for each time that it is asked for again.
        """

    def revoke(self, serial_number: str, reason: str, pretend: bool = False) -> bool:
        """Have a certificate revoked, for one of the reasons of RFC 5280, section 5.3.1; say whether that is new."""


def advice(issuer: t.Any, host: str, request: str, leaf: t.Any = None) -> dict[str, dict[str, str]]:
    """Return when the CA wants the certificates of a request renewed: by serial number, C(at) which instant and the C(reason).

    *leaf* is one that was seen on the host. Most CAs want nothing; who cannot be asked does not keep anybody from a renewal.
    """
    ask = getattr(issuer, "advice", None)
    try:
        return ask(host, request, leaf) if ask else {}
    except (TlsError, OSError):
        return {}


ISSUERS: dict[str, type[Issuer]] = {
    "acme": Acme,
    "command": Command,
    "local_ca": LocalCa,
    "manual": Manual,
}

# What is there without being configured.
PRESENT = {"local": {"type": "local_ca"}}


def open_issuer(name: str, issuers: dict[str, dict[str, t.Any]]) -> Issuer:
    """Return the issuer of this name, once its settings make sense."""
    configured = {**PRESENT, **issuers}
    if name not in configured:
        raise TlsError(
            f"there is no issuer named {name}, only {', '.join(sorted(configured))}; add it to certificate_issuers or correct the request"
        )
    settings = configured[name]
    if not isinstance(settings, dict):
        raise TlsError(
            f"issuer {name}: its settings are no dictionary; write {name}: {{type: local_ca}} in certificate_issuers"
        )
    if str(settings.get("type")) not in ISSUERS:
        raise TlsError(
            f"issuer {name}: there is no type {settings.get('type')!r}, only {', '.join(sorted(ISSUERS))}; correct certificate_issuers"
        )
    issuer = ISSUERS[settings["type"]]
    spec, implied = {**POLICY, **CROSSING, **issuer.SETTINGS}, getattr(issuer, "named", lambda _name: {})(name)
    said = {key: value for key, value in settings.items() if key != "type"}
    checked = validated(ArgumentSpecValidator(spec), {**implied, **said})
    if checked.error_messages:
        raise TlsError(f"issuer {name}: {complaints(checked)}; correct certificate_issuers")
    try:
        said = checked.validated_parameters
        opened = issuer(**{key: value for key, value in said.items() if key in issuer.SETTINGS})
        opened.crossing = read_crossing(said, getattr(opened, "preferred_roots", ()))
        return opened
    except TlsError as error:
        raise TlsError(f"issuer {name}: {error}", **error.details) from error


def with_defaults(request: t.Any, issuers: t.Any) -> t.Any:
    """Return a request, as somebody wrote it, with what its issuer says where it says nothing.

    What makes no sense is left as it is: it is for others to complain about.
    """
    if not isinstance(request, dict):
        return request
    settings, defaults = _words_of(request.get("issuer") or "local", issuers if isinstance(issuers, dict) else {})
    try:
        return filled_in(request, settings, {word: value for word, value in defaults.items() if word != "rules"})
    except TlsError as error:
        raise TlsError(f"certificate request {request.get('name')}: {error}") from error


def check_request_for_issuer(request: dict, issuers: dict[str, dict[str, t.Any]]) -> None:
    """Make sure that a complete request is one that its issuer can answer, before there is a signing request."""
    settings, defaults = _words_of(request["issuer"], issuers)
    try:
        check_demands(request, settings, defaults)
    except TlsError as error:
        raise TlsError(f"certificate request {request['name']}: {error}") from error


def _words_of(name: t.Any, issuers: dict) -> tuple[dict, dict]:
    """Return the settings of an issuer and the defaults of its type, both empty where there is no such issuer."""
    settings = {**PRESENT, **issuers}.get(str(name))
    if not isinstance(settings, dict):
        return {}, {}
    return settings, getattr(ISSUERS.get(str(settings.get("type"))), "DEFAULTS", {})
