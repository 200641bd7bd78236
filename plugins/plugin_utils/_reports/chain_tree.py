# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains as trees of text: from the server's certificate up to the root, which servers do not send."""

from __future__ import annotations

import datetime

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    fingerprint,
    not_after,
    not_before,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    is_self_issued,
    issuer_name,
    subject_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import describe_key
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_NAMES = 6  # of the server's certificate
MAX_FINGERPRINT_DIGITS = 16


def chain_tree(chain: list[x509.Certificate], now: datetime.datetime) -> list[str]:
    """Return a chain as lines of text, each certificate below the one that it has signed."""
    lines = []
    for depth, certificate in enumerate(chain):
        lines.append(_line(depth, f"{_display_name(certificate, depth)}: {_described(certificate, now)}"))
        upper = chain[depth + 1] if depth + 1 < len(chain) else None
        if upper is not None and not is_signed_by(certificate, upper):
            lines.append(
                _line(
                    depth + 1,
                    f"(signed by {escape_control_characters(issuer_name(certificate))}, and not by what follows)",
                )
            )
    last = chain[-1]
    if not is_self_issued(last):
        return [*lines, _line(len(chain), f"{escape_control_characters(issuer_name(last))}: root not sent")]
    remark = "signed by itself" if len(chain) == 1 else "the root, which need not be sent"
    return [*lines[:-1], f"{lines[-1]}, {remark}"]


def _line(depth: int, text: str) -> str:
    return f"{'   ' * (depth - 1)}└─ {text}" if depth else text


def _display_name(certificate: x509.Certificate, depth: int) -> str:
    """Return the names of a server's certificate, which is at depth 0, and the common name of any other."""
    try:
        names = sorted(names_of(certificate)) if depth == 0 else []
    except TlsError:  # they cannot be read
        names = []
    if not names:
        return escape_control_characters(subject_name(certificate))
    more = [f"{len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else []
    return escape_control_characters(", ".join([*names[:MAX_NAMES], *more]))


def _described(certificate: x509.Certificate, now: datetime.datetime) -> str:
    start, end = not_before(certificate), not_after(certificate)
    days = (end - now) / datetime.timedelta(days=1)
    left = f"{days:.0f} days left" if days >= 2 else f"{days * 24:.0f} hours left"
    if now < start:
        left = "not valid yet"
    elif end <= now:
        left = "expired"
    key = describe_key(certificate.public_key())
    digits = fingerprint(certificate)[:MAX_FINGERPRINT_DIGITS]
    return f"{start:%Y-%m-%d} to {end:%Y-%m-%d}, {left}, {key}, {digits}…"
