# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Renewal: whether a certificate is due, and why.

The reasons are worded here. What is wrong with a chain or a key is worded where these are checked: check_chain(), load_key().
"""

from __future__ import annotations

import datetime
import hashlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after, not_before
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    NO_TRUSTED_ROOT,
    check_chain,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    describe_requested_key,
    load_key,
)
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import RenewalAdvice, Request

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

# The share of the lifetime that is left when a certificate becomes due, where the request does not say.
DEFAULT_SHARE = 1 / 3
DEFAULT_SHARE_OF_SHORT = 1 / 2
SHORT_LIFETIME = datetime.timedelta(days=10)

KEY_COMPROMISE = "key_compromise"  # a reason for a revocation (RFC 5280, section 5.3.1), as the inventory writes it
NO_CERTIFICATE = "there is no certificate yet"
NO_KEY = "its private key is missing"
FORCED = "certificate_force is set"
INSPECTED = "its disk is inspected"


class Installed(t.NamedTuple):
    """A certificate on a host, as far as it is there. Key and chain are in PEM."""

    key: bytes | None
    chain: bytes | None
    issuer: str | None = None  # as the inventory names it; None for a pair that was adopted
    passphrase: bytes | None = None
    exposed: str | None = None  # why others may know the key, as why_exposed() said when it was adopted


def renewal_time(
    start: datetime.datetime,
    end: datetime.datetime,
    renew_before: str | None,
    seed: str,
    advised: datetime.datetime | None = None,
) -> datetime.datetime:
    """Return the date from which a certificate that is valid from *start* to *end* is due.

    renew_before: what has to be left, as a share of the lifetime (C(0.25)) or a duration (C(2592000s)). By default, and for a duration
    that is not shorter than the lifetime, it is a third of the lifetime, or half of it if that is less than 10 days.
    seed: host and name. It spreads the renewals of a fleet over a thirtieth of the lifetime before that date, the same for each run.
    advised: the date that the CA suggests (RFC 9773). It takes the place of the spread date. A later one than the latest is ignored.
    """
    lifetime = end - start
    latest = end - _required_rest(renew_before, lifetime)
    chosen = latest - lifetime / 30 * _share_of(seed) if advised is None else min(advised, latest)
    return max(start, chosen)


def first_renewal_time(start: datetime.datetime, end: datetime.datetime, seed: str) -> datetime.datetime:
    """Return the date from which the first certificate of a request is due, where many were issued on one day.

    It is between a half and two thirds of the lifetime, and never after renewal_time() without advice. seed: as there, and the same share comes of it.
    Certificates of less than 10 days are renewed at the half of it, and not earlier here.
    """
    lifetime = end - start
    latest = end - _required_rest(None, lifetime)
    return latest - min(lifetime / 6, latest - (start + lifetime / 2)) * _share_of(seed)


def renewal_time_of(leaf: x509.Certificate, request: Request) -> datetime.datetime:
    """Return the date from which a certificate of a request is due, as renewal_time() does.

    request: as in why_renew(), with its host.
    """
    advice = _advice(leaf, request)
    advised = parse_date(advice["at"]) if advice else None
    seed = f"{request.get('host')}/{request['name']}"
    return renewal_time(not_before(leaf), not_after(leaf), request.get("renew_before"), seed, advised)


def why_renew(
    installed: Installed | None,
    request: Request,
    now: datetime.datetime,
    roots: list[x509.Certificate] | None = None,
    is_forced: bool = False,
) -> str | None:
    """Return why the certificate on a host is due, or None while it is not.

    It is due when there is none, when the user says so, when certificate_install would refuse it, when the request has another key or
    issuer, when less of its lifetime is left than has to be, when the CA advises it, or when others may know its key.

    request: complete, with names in their normal form. Its C(renewals) are what CAs advised, by serial number: the date C(at), and the
    C(reason).
    """
    if installed is None:
        return NO_CERTIFICATE
    if is_forced:
        return FORCED
    if installed.chain is None:
        return NO_CERTIFICATE
    if installed.key is None:
        return NO_KEY
    try:
        chain = parse_chain(installed.chain)
        public_key = load_key(installed.key, "its private key file", installed.passphrase).public_key()
    except TlsError as error:
        return str(error)
    return why_replace(chain, public_key, installed.issuer, request, now, roots) or installed.exposed


def why_replace(
    chain: list[x509.Certificate],
    public_key: PublicKeyTypes,
    issuer: str | None,
    request: Request,
    now: datetime.datetime,
    roots: list[x509.Certificate] | None = None,
    why_untrusted: str | None = None,
) -> str | None:
    """Return why a chain that is installed or served is due, or None while it is not.

    why_untrusted: the reason where the chain does not lead to a root, if it is known better than by the chain.
    """
    revoked = (request.get("revoked") or {}).get(f"{chain[0].serial_number:x}")
    if revoked is not None:
        return f"it is revoked ({revoked.replace('_', ' ')}), serial number {chain[0].serial_number:x}"
    try:
        check_chain(chain, public_key, request["domains"], now, roots, request.get("allowed_domains") or ())
    except TlsError as error:
        has_no_root = error.details.get("failure") == NO_TRUSTED_ROOT
        return why_untrusted if why_untrusted and has_no_root else str(error)
    kind, requested_kind = describe_key(public_key), describe_requested_key(request)
    if kind != requested_kind:
        return f"its key is {kind}, and {requested_kind} is wanted"
    if issuer is not None and issuer != request["issuer"]:
        return f"it was issued by {issuer}, and {request['issuer']} is wanted"
    if now < renewal_time_of(chain[0], request):
        return None
    start, end = not_before(chain[0]), not_after(chain[0])
    advice = _advice(chain[0], request)
    advised = parse_date(advice["at"]) if advice else None
    if advice and advised is not None and now >= advised:
        return advice["reason"]
    return f"it expires on {format_date(end)}, and {(end - now) / (end - start):.0%} of its lifetime is left"


def why_due_regardless(is_forced: bool, is_inspected: bool) -> str | None:
    """Return why all certificates of a host are due by the user's choice, or None if they are not."""
    if is_inspected:
        return INSPECTED
    return FORCED if is_forced else None


def why_ca_wants_renewal(server: str, chosen: datetime.datetime | None, explanation: str | None) -> str:
    """Return the reason of a CA that wants a certificate renewed (RFC 9773).

    chosen: from when on. explanation: the URL of the page that says why.
    """
    when = f" from {format_date(chosen)} on" if chosen else ""
    page = f"; see {explanation}" if explanation else ""
    return f"{server} wants it renewed{when}{page}"


def why_exposed(path: str, mode: int, allowed_mode: int) -> str | None:
    """Return why others may know the key in a file, or None if its mode is within the allowed one."""
    return f"its key could be read by others in {path} (mode {mode:04o})" if mode & 0o077 & ~allowed_mode else None


def _share_of(seed: str) -> float:
    """Return a number from 0 to 1 that a text stands for, the same each time."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**32


def _advice(leaf: x509.Certificate, request: Request) -> RenewalAdvice | None:
    return (request.get("renewals") or {}).get(f"{leaf.serial_number:x}")


def _required_rest(renew_before: str | None, lifetime: datetime.timedelta) -> datetime.timedelta:
    """Return the remaining lifetime at which a certificate is due.

    A duration as long as the lifetime is ignored: the certificate would always be due.
    """
    if renew_before and renew_before.endswith("s"):
        rest = datetime.timedelta(seconds=int(renew_before[:-1]))
        if rest < lifetime:
            return rest
    elif renew_before:
        return lifetime * float(renew_before)
    return lifetime * (DEFAULT_SHARE_OF_SHORT if lifetime < SHORT_LIFETIME else DEFAULT_SHARE)
