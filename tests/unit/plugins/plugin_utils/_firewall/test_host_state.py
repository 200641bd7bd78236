# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of queries, and malformed results."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState


def test_results_are_those_of_the_host():
    host = HostState([[["has", "nft"], True], [["run", "nft"], [1, "Ã¼"]], [["read", "/x"], {"/x": "y"}]])
    assert host.has_program("nft") is True
    assert host.command_result(["nft"]) == (1, "ü")
    assert host.file_text("/x") == "y"


@pytest.mark.parametrize(
    "results",
    [
        None,
        [1],
        [[[], True]],
        [[["has", "nft"], "yes"]],
        [[["run", "nft"], 0]],
        [[["run", "nft"], ["0", ""]]],
        [[["run", "nft"], [0, "€"]]],
        [[["run", "€"], [0, ""]]],
        [[["read", "/x"], []]],
        [[["read", "/x"], {"/x": None}]],
    ],
)
def test_malformed_results_are_refused(results):
    with pytest.raises(TlsError, match="^the host does not say what it was asked; look at what it is doing$"):
        HostState(results)
