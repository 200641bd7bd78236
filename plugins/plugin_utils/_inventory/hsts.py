# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The header Strict-Transport-Security (RFC 6797), out of the option C(hsts) of a site."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

RECOMMENDED_MAX_AGE_S = 63072000  # of Mozilla: two years
MIN_PRELOAD_MAX_AGE_S = 31536000  # a year, https://hstspreload.org/#deployment-recommendations
OPTIONS = {"max_age", "include_subdomains", "preload"}


def hsts_header(hsts: t.Any) -> str | None:
    """Return the value of the header, or None where a site has none.

    hsts: true, false, a number of seconds, or a dictionary with max_age, include_subdomains and preload. Raises TlsError for anything else.

    >>> hsts_header({"max_age": 31536000, "include_subdomains": True})
    'max-age=31536000; includeSubDomains'
    """
    options = hsts if isinstance(hsts, dict) else {"max_age": hsts}
    unknown = sorted(map(str, set(options) - OPTIONS))
    if unknown:
        raise TlsError(f"hsts has no {unknown[0]!r}; it takes max_age, include_subdomains and preload")
    max_age = _parse_max_age(options.get("max_age", RECOMMENDED_MAX_AGE_S))
    if max_age is None:
        return None
    has_subdomains, has_preload = _parse_boolean(options, "include_subdomains"), _parse_boolean(options, "preload")
    if has_preload and (max_age < MIN_PRELOAD_MAX_AGE_S or not has_subdomains):
        raise TlsError(
            f"hsts with preload needs include_subdomains and a max_age of at least {MIN_PRELOAD_MAX_AGE_S}, "
            "or the preload lists refuse it; add these or leave out preload"
        )
    directives = [
        f"max-age={max_age}",
        *(["includeSubDomains"] if has_subdomains else []),
        *(["preload"] if has_preload else []),
    ]
    return "; ".join(directives)


def _parse_max_age(value: t.Any) -> int | None:
    """Return a number of seconds: the recommended one for true, and None for false."""
    text = str(value).strip().lower()
    if value is None or text in ("false", "no", "off", ""):
        return None
    if text in ("true", "yes", "on"):
        return RECOMMENDED_MAX_AGE_S
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise TlsError(f"hsts is {value!r}; write false, a number of seconds, or a dictionary with max_age")
    return int(text)


def _parse_boolean(options: dict[str, t.Any], option: str) -> bool:
    text = str(options.get(option, False)).strip().lower()
    if text not in ("true", "yes", "on", "1", "false", "no", "off", "0", "none"):
        raise TlsError(f"{option} of hsts is {options[option]!r}; write true or false")
    return text in ("true", "yes", "on", "1")
