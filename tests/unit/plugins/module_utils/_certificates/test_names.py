# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kind of name a name is, and what may name a folder."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import (
    check_request_name,
    is_ip_address,
    probe_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

try:
    from hypothesis import given
    from hypothesis import strategies as some
except ImportError:  # the oldest and the newest Debian are asked without it
    given = None


@pytest.mark.parametrize("name", ["192.0.2.1", "::1", "2001:db8::1"])
def test_an_address_is_one(name):
    assert is_ip_address(name)


@pytest.mark.parametrize("name", ["www.example.org", "*.example.org", "192.0.2", "", "192.0.2.0/24"])
def test_other_names_are_no_addresses(name):
    assert not is_ip_address(name)


def test_a_wildcard_is_asked_for_by_a_name_that_it_covers():
    assert probe_name("*.example.org") == "evergreen-probe.example.org"
    assert probe_name("www.example.org") == "www.example.org"
    assert probe_name("::1") == "::1"


@pytest.mark.parametrize(
    "name", ["www.example.org", "web", "a", "0", "_default", "a..b", "Shop-2_b.example", "n" * 128]
)
def test_the_name_of_a_request_may_name_a_folder(name):
    assert check_request_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".hidden", "-rf", "a/b", "/etc", "../etc", "a b", "a\n", "a\0", "a\x1b[2J", "a;b", "a'b", "ü"),
        *("*.example.org", "n" * 129, None, 7, ["a"]),
    ],
)
def test_a_name_that_cannot_be_a_folder_is_refused(name):
    with pytest.raises(TlsError) as caught:
        check_request_name(name)
    assert str(caught.value) == (
        f"{name!r} cannot name a request, since it names a folder on the host; use letters, digits, dots, "
        "hyphens and underscores, 128 at most, and begin with a letter, digit or underscore"
    )


if given:

    @given(some.text())
    def test_any_name_of_a_request_is_one_folder_or_is_refused(text):
        try:
            name = check_request_name(text)
        except TlsError:
            return
        assert name == text
        assert name not in {"", ".", ".."} and not set(name) & set("/\0\n ")
