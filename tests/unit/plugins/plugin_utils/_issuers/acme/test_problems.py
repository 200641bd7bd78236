# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of a problem document, whatever a server writes into it."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._text import MAX_TEXT_CHARACTERS
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    ERROR_PREFIX,
    REMEDIES,
    problem,
)

SEE = "see the documentation of the CA"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"type": ERROR_PREFIX + "dns", "detail": "NXDOMAIN."}, f"it: NXDOMAIN (dns); {REMEDIES['dns']}"),
        ({"type": ERROR_PREFIX + "new", "detail": "something new"}, f"it: something new (new); {SEE}"),
        ({"type": "about:blank", "title": "Bad Request"}, f"it: Bad Request (HTTP 400); {SEE}"),
        ({"type": "https://ca.example/odd", "detail": "odd"}, f"it: odd (https://ca.example/odd); {SEE}"),
        ({}, f"it: the CA gives no reason (HTTP 400); {SEE}"),
        (None, f"it: the CA gives no reason (HTTP 400); {SEE}"),
        (["odd"], f"it: the CA gives no reason (HTTP 400); {SEE}"),
        ({"detail": ["a", 1]}, f"it: ['a', 1] (HTTP 400); {SEE}"),
        ({"type": 5, "detail": "odd"}, f"it: odd (5); {SEE}"),
        ({"detail": "one\ntwo\x1b[31m  three"}, f"it: one two [31m three (HTTP 400); {SEE}"),
        ({"detail": "odd", "subproblems": "none"}, f"it: odd (HTTP 400); {SEE}"),
        ({"detail": "odd", "subproblems": [1, {"identifier": "x"}, {"detail": "y"}]}, f"it: odd (HTTP 400); y; {SEE}"),
        (
            {
                "type": ERROR_PREFIX + "malformed",
                "detail": "some",
                "subproblems": [{"detail": "no", "identifier": {"value": "a.example"}}],
            },
            f"it: some (malformed); a.example: no; {REMEDIES['malformed']}",
        ),
    ],
)
def test_the_words_of_the_ca_are_shown_with_what_to_do(document, sentence):
    assert str(problem("it", document, 400)) == sentence


def test_words_without_end_are_shortened():
    assert len(str(problem("it", {"detail": "x" * 5000}, 400))) < MAX_TEXT_CHARACTERS + 100


def test_subproblems_without_end_are_counted():
    parts = [{"type": f"{ERROR_PREFIX}caa", "identifier": {"value": f"{number}.example.org"}} for number in range(9999)]
    sentence = str(problem("it", {"type": f"{ERROR_PREFIX}compound", "subproblems": parts}, 400))
    assert "19.example.org" in sentence and "and 9979 more" in sentence and len(sentence) < 2000


def test_the_kind_of_a_refusal_is_that_of_the_part_that_tells_what_to_do():
    parts = [{"type": ERROR_PREFIX + "odd"}, {"type": ERROR_PREFIX + "caa"}]
    assert problem("it", {"type": ERROR_PREFIX + "compound", "subproblems": parts}).code == "caa"


def test_other_advice_takes_the_place_of_the_first():
    refusal = problem(
        "making an account", {"type": ERROR_PREFIX + "unauthorized", "detail": "an account"}, 401
    ).with_remedy("do this")
    assert str(refusal) == "making an account: an account (unauthorized); do this"
    assert (refusal.code, refusal.status) == ("unauthorized", 401)
