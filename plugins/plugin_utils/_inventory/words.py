# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words of an inventory that YAML reads otherwise: NO is false, and 007 is 7."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import SUBJECT_FIELDS

# The options that hold a text, by what they belong to. Others, such as times, may be numbers.
REQUEST_TEXTS = ("name", "domains", "allowed_domains", "issuer", "organization", *SUBJECT_FIELDS)
SITE_TEXTS = ("name", "certificate", "server_names")
BOOLEAN_WORDS = {True: "yes, on, y or true", False: "NO, off, n or false"}


def check_words(options: t.Mapping[str, t.Any], texts: t.Iterable[str]) -> None:
    """Raise TlsError where an option that holds a text, or an item of its list, is a boolean, a number, a date or nothing.

    options: as in the inventory, unchecked. texts: the options that hold texts.
    """
    for option in texts:
        value = options.get(option)
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(one, bool):
                raise TlsError(
                    f'{option}: {str(one).lower()} is no text: YAML reads {BOOLEAN_WORDS[one]} so; write the word in quotes, as in {option}: "no"'
                )
            if isinstance(one, (int, float)):
                raise TlsError(
                    f"{option}: {one} is a number, and a text belongs there; write it in quotes, as in {option}: "
                    f'"{one}", or, as YAML reads 007, 0x10 and 12:30 as numbers, too, what was meant'
                )
            if isinstance(one, datetime.date):  # also a datetime
                raise TlsError(
                    f'{option}: {one} is a date, and a text belongs there; write it in quotes, as in {option}: "{one}"'
                )
            if one is None and isinstance(value, (list, tuple)):
                raise TlsError(
                    f"{option} has an item without text: YAML reads null, ~ and nothing so; remove the item, or write the word in quotes, "
                    f'as in {option}: ["null"]'
                )


def check_site_words(sites: t.Any) -> None:
    """Raise TlsError, with the name of the site, for a boolean or a number where a text belongs. sites: of any shape, unchecked."""
    for site in sites if isinstance(sites, list) else []:
        if isinstance(site, dict):
            try:
                check_words(site, SITE_TEXTS)
            except TlsError as error:
                raise TlsError(f"the site {site.get('name')} cannot be configured: {error}") from error
