# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sizes of the waves of a renewal."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.waves import DEFAULT_WAVES, wave_sizes


@pytest.mark.parametrize(
    ("value", "sizes"),
    [
        ("1,10%", [1, "10%"]),
        ("1, 10% ,100%", [1, "10%", "100%"]),
        ("5", [5]),
        (5, [5]),
        ([1, "25%"], [1, "25%"]),
        (["3"], [3]),
        (list(DEFAULT_WAVES), list(DEFAULT_WAVES)),
    ],
)
def test_sizes_may_be_a_list_a_number_or_a_text(value, sizes):
    assert wave_sizes(value) == sizes


@pytest.mark.parametrize("value", ["1,many", "", [], 0, "0%", "110%", -1, "1,,2", True, {"a": 1}, [[1]], 1.5, "٣"])
def test_what_is_no_size_is_refused_with_an_example(value):
    with pytest.raises(
        TlsError, match="a wave is a number of hosts or a share such as 10%; write a list such as"
    ) as raised:
        wave_sizes(value)
    assert len(str(raised.value)) <= 300
