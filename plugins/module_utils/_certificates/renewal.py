# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Renewal: whether a certificate is due, and why."""

from __future__ import annotations

import datetime
import hashlib

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after, not_before
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import check_chain, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    describe_requested_key,
    load_key,
)
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

# The share of the lifetime that has to be left, where the request does not say.
DEFAULT = 1 / 3
DEFAULT_OF_SHORT = 1 / 2
SHORT = datetime.timedelta(days=10)


def renewal_time(
    start: datetime.datetime,
    end: datetime.datetime,
    renew_before: str | None,
    seed: str,
    advised: datetime.datetime | None = None,
) -> datetime.datetime:
    """Return the moment from which a certificate that lives from *start* to *end* is due.

    *renew_before* is what has to be left: a share of the lifetime (C(0.25)) or a duration (C(2592000s)). By default,
    and for a duration that is no shorter than the lifetime, a third of the lifetime, or half of it for certificates that live
    less than 10 days. *seed* (host and name) spreads
    the renewals of a fleet over a thirtieth of the lifetime before that moment, the same for each run. Where the CA *advised* an
    instant (RFC 9773), which spreads them as well, that one takes its place; but nothing that a CA says is later than that moment.
    """
    lifetime = end - start
    latest = end - _left(renew_before, lifetime)
    spread = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**32
    chosen = latest - lifetime / 30 * spread if advised is None else min(advised, latest)
    return max(start, chosen)


def why_renew(
    key: bytes | None,
    chain: bytes | None,
    issuer: str | None,
    wanted: dict,
    now: datetime.datetime,
    roots: list | None = None,
    passphrase: bytes | None = None,
) -> str | None:
    """Say why the certificate in *chain* with the private *key* (both PEM) is due, or return None while it is not.

    It is due when certificate_install would refuse it, when the request wants another key or issuer, when less of its lifetime is
    left than it should be, or when the CA wants it renewed. *wanted* is a complete request with names in their normal form; its
    C(renewals) are what CAs said, by serial number: C(at) an instant, and the C(reason).
    """
    if chain is None:
        return "there is no certificate yet"
    if key is None:
        return "its private key is missing"
    try:
        certificates = parse_chain(chain)
        public_key = load_key(key, "its private key file", passphrase).public_key()
    except TlsError as error:
        return str(error)
    return why_replace(certificates, public_key, issuer, wanted, now, roots)


def why_replace(
    chain: list, public_key, issuer: str | None, wanted: dict, now: datetime.datetime, roots: list | None = None
) -> str | None:
    """Say why a chain that is installed beside *public_key*, or served, is due, or return None while it is not."""
    try:
        check_chain(chain, public_key, wanted["domains"], now, roots, wanted.get("allowed_domains") or ())
    except TlsError as error:
        return str(error)
    if describe_key(public_key) != describe_requested_key(wanted):
        return f"its key is {describe_key(public_key)}, and {describe_requested_key(wanted)} is wanted"
    if issuer is not None and issuer != wanted["issuer"]:
        return f"it was issued by {issuer}, and {wanted['issuer']} is wanted"
    start, end = not_before(chain[0]), not_after(chain[0])
    said = (wanted.get("renewals") or {}).get(f"{chain[0].serial_number:x}")
    advised = parse_date(said["at"]) if said else None
    seed = f"{wanted.get('host')}/{wanted['name']}"
    if now >= renewal_time(start, end, wanted.get("renew_before"), seed, advised):
        if advised is not None and now >= advised:
            return said["reason"]
        return f"it expires on {format_date(end)}, and {(end - now) / (end - start):.0%} of its lifetime is left"
    return None


def _left(renew_before: str | None, lifetime: datetime.timedelta) -> datetime.timedelta:
    """Return what has to be left of a certificate of this lifetime; as long as it, and it would be due for ever."""
    if renew_before and renew_before.endswith("s"):
        wanted = datetime.timedelta(seconds=int(renew_before[:-1]))
        if wanted < lifetime:
            return wanted
    elif renew_before:
        return lifetime * float(renew_before)
    return lifetime * (DEFAULT_OF_SHORT if lifetime < SHORT else DEFAULT)
