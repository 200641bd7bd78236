# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option hsts of a site as a header."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.hsts import hsts_header


@pytest.mark.parametrize(
    ("value", "header"),
    [
        (False, None),
        (None, None),
        ("false", None),
        (True, "max-age=63072000"),
        (86400, "max-age=86400"),
        ("300", "max-age=300"),
        (0, "max-age=0"),
        (
            {"max_age": 31536000, "include_subdomains": True, "preload": "yes"},
            "max-age=31536000; includeSubDomains; preload",
        ),
        ({}, "max-age=63072000"),
    ],
)
def test_the_header_has_the_directives_of_the_option(value, header):
    assert hsts_header(value) == header


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("1y", "hsts is '1y'; write false, a number of seconds"),
        (-1, "hsts is -1; write false"),
        ('1" always; evil "', "write false, a number of seconds"),
        ({"maxage": 1}, "hsts has no 'maxage'; it takes max_age"),
        ({"max_age": 300, "preload": True}, "needs include_subdomains and a max_age of at least 31536000"),
        ({"preload": True}, "needs include_subdomains"),
        ({"include_subdomains": "perhaps"}, "write true or false"),
    ],
)
def test_a_malformed_option_is_refused(value, sentence):
    with pytest.raises(TlsError, match=sentence):
        hsts_header(value)
