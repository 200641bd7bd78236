# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the records of all issuers of an inventory have for a request of a host. They decide about revocations, and no host does."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import Issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import BUILT_IN, open_issuer


class RecordedCertificate(t.NamedTuple):
    """A certificate that was issued for a request of a host, and has not expired."""

    issuer: str  # its name in the inventory
    serial_number: str  # lower-case hexadecimal digits
    not_after: str  # ISO 8601
    revoked: str | None  # the reason


def recorded_certificates(
    host: str, request: str, issuer: str, issuers: dict[str, t.Any]
) -> tuple[list[RecordedCertificate], list[str]]:
    """Return what the records have for a request of a host, the oldest first, and why records of some issuers cannot be read.

    issuer: the one of the request, which is looked at first. An issuer of before may have issued what is in use.
    """
    found: dict[str, tuple[str, RecordedCertificate]] = {}
    problems: list[str] = []
    for name, opened in _open_issuers(issuer, issuers, problems):
        try:
            for one in opened.issued(host, request):
                end = parse_date(one.not_after)
                if end is not None and end > utc_now():
                    certificate = RecordedCertificate(name, one.serial_number, one.not_after, one.revoked)
                    found.setdefault(one.serial_number, (one.issued_at, certificate))
            problems += [f"issuer {name}: {sentence}" for sentence in opened.unreadable_records()]
        except BaseException as error:
            problems.append(f"issuer {name}: {failure_sentence(error)}")
    return [certificate for _issued_at, certificate in sorted(found.values())], problems


def revoked_certificates(host: str, request: str, issuer: str, issuers: dict[str, t.Any]) -> dict[str, str]:
    """Return the reasons for what is revoked of a request of a host, by serial number. Records that cannot be read are passed over."""
    reasons: dict[str, str] = {}
    for _name, opened in _open_issuers(issuer, issuers, []):
        try:
            reasons.update(opened.revoked(host, request))
        except (TlsError, OSError, AttributeError):
            continue
    return reasons


def _open_issuers(first: str, issuers: dict[str, t.Any], problems: list[str]) -> t.Iterator[tuple[str, Issuer]]:
    for name in dict.fromkeys([first, *issuers, *BUILT_IN]):
        try:
            yield name, open_issuer(name, issuers)
        except TlsError as error:
            problems.append(str(error))
