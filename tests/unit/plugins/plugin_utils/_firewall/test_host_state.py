# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host answers, and what is no answer to what it was asked."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import Transcript


def test_answers_are_told_as_they_came():
    transcript = Transcript([[["has", "nft"], True], [["run", "nft"], [1, "Ã¼"]], [["read", "/x"], {"/x": "y"}]])
    assert transcript.has("nft") is True
    assert transcript.run(["nft"]) == (1, "ü")
    assert transcript.read("/x") == "y"


@pytest.mark.parametrize(
    "answers",
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
def test_what_is_no_answer_is_refused(answers):
    with pytest.raises(TlsError, match="^the host does not say what it was asked; look at what it is doing$"):
        Transcript(answers)
