# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains, drawn as people read them: from the server's certificate up to the root, which servers do not send."""

from __future__ import annotations

import datetime

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    common_name,
    fingerprint,
    not_after,
    not_before,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import is_signed_by, names_of
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import describe_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

SHOWN = 6  # names of the server's certificate
SHORT = 16  # digits of a fingerprint


def draw_chain(chain: list, now: datetime.datetime) -> list[str]:
    """Return a chain as lines, each certificate below the one that it has signed."""
    lines = []
    for depth, certificate in enumerate(chain):
        lines.append(_line(depth, f"{_called(certificate, depth)}: {_described(certificate, now)}"))
        upper = chain[depth + 1] if depth + 1 < len(chain) else None
        if upper is not None and not is_signed_by(certificate, upper):
            lines.append(_line(depth + 1, f"(signed by {_name(certificate.issuer)}, and not by what follows)"))
    last = chain[-1]
    if last.subject != last.issuer:
        return [*lines, _line(len(chain), f"{_name(last.issuer)}: root not sent")]
    what = "signed by itself" if len(chain) == 1 else "the root, which need not be sent"
    return [*lines[:-1], f"{lines[-1]}, {what}"]


def _line(depth: int, text: str) -> str:
    return f"{'   ' * (depth - 1)}└─ {text}" if depth else text


def _called(certificate, depth: int) -> str:
    """Return what people call a certificate: a server's by its names, a CA's by its own."""
    try:
        names = sorted(names_of(certificate)) if depth == 0 else []
    except TlsError:  # they cannot be read
        names = []
    if not names:
        return _name(certificate.subject)
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return escape_control_characters(", ".join([*names[:SHOWN], *more]))


def _described(certificate, now: datetime.datetime) -> str:
    begin, end = not_before(certificate), not_after(certificate)
    days = (end - now).total_seconds() / 86400
    left = f"{days:.0f} days left" if days >= 2 else f"{days * 24:.0f} hours left"
    if now < begin:
        left = "not valid yet"
    elif end <= now:
        left = "expired"
    key = describe_key(certificate.public_key())
    return f"{begin:%Y-%m-%d} to {end:%Y-%m-%d}, {left}, {key}, {fingerprint(certificate)[:SHORT]}…"


def _name(name) -> str:
    return escape_control_characters(common_name(name))
