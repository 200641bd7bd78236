# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The survey document: what survey_path holds, and what every report is made of.

All times are texts in ISO 8601 with the offset of UTC, in whole seconds. docs/schema/survey.json describes the same.
"""

from __future__ import annotations

import typing as t

FORMAT = 2  # a field that is added does not change it
KIND = "evergreen.survey"
STATES = ("expired", "unknown", "due", "fine")  # of an endpoint, the worst first
# Words that programs group by, where the reason is for people. None where the state is fine.
CODES = (
    *("lifetime", "advised", "names", "key", "issuer", "chain", "expired", "untrusted", "revoked", "forced"),
    *("unreachable", "refused", "silent", "no_tls", "no_such_name", "proxy", "misread", "variables", "authority"),
    *("notification", "inspection"),
)


class CertificateEntry(t.TypedDict):
    """The certificate that an endpoint presented."""

    common_name: str | None
    names: list[str]
    issuer: str
    chain: list[str]  # the subjects, leaf first
    chain_not_after: str  # the earliest end in the chain
    key: str  # such as "ECC secp256r1" or "RSA 2048"
    signature: str
    serial_number: str  # hexadecimal digits
    fingerprint: str  # SHA-256, hexadecimal digits
    not_before: str
    not_after: str


class EndpointEntry(t.TypedDict):
    """An endpoint, a request or a host as a whole."""

    host: str  # of the inventory; nothing for an endpoint of others (certificate_watch)
    request: str  # its name; nothing for a host as a whole and for an endpoint of others
    name: str  # the domain that was asked for
    address: str
    port: int
    state: str  # one of STATES
    code: str | None  # one of CODES
    reason: str  # nothing where the state is fine
    since: str  # from when on the endpoint has this state and code
    contact: list[str]  # mail addresses, and names of receivers
    issuer: str  # the name of the issuer in the inventory
    managed: bool  # whether the collection renews it; false for certificate_watch
    renew_at: str | None
    protocol: str | None
    accepts: list[str] | None  # the versions of TLS that the server accepts; None where nothing asked
    days_left: float | None
    life_left: float | None  # the share of the lifetime, negative after the end
    certificate: CertificateEntry | None


class SurveyDocument(t.TypedDict):
    """The document as a whole."""

    format: int
    kind: str
    collection: str  # its version
    controller: str  # the name of the machine
    limit: str | None  # of ansible-playbook
    query: str | None  # survey_query, of which endpoints is the result
    started: str
    finished: str
    counts: dict[str, int]  # endpoints by state
    hosts: int
    certificates: int  # distinct ones
    endpoints: list[EndpointEntry]
