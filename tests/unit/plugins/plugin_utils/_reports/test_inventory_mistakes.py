# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes that the controller sees in the variables of a host."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.inventory_mistakes import (
    MAX_MISTAKES,
    MAX_SENTENCE_CHARACTERS,
    mistakes_of_host,
)

REQUEST = {"name": "www", "domains": ["www.example.org"]}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"certificate_requests": [REQUEST], "nginx_sites": [{"name": "www"}]},
        {"certificate_requests": [REQUEST], "nginx_sites": [{"name": "shop", "certificate": "www"}]},
        # The host may have these certificates.
        {"certificate_requests": [REQUEST], "nginx_sites": [{"name": "other"}]},
        {"certificate_requests": [REQUEST], "nginx_sites": [{"name": "www"}, {"name": "www2"}]},
        {"nginx_sites": [{"name": "www"}]},
        # The collection writes no sites.
        {"certificate_requests": [REQUEST], "nginx_sites": [{"name": "wwww"}], "nginx_manage": False},
        {"certificate_requests": [REQUEST], "nginx_sites": [{"name": "wwww"}], "nginx_state": "absent"},
        # Other checks tell of these.
        {"certificate_requests": "www", "certificate_issuers": [], "nginx_sites": 7},
        {"certificate_requests": [7, {"name": 7}, {**REQUEST, "issuer": []}], "nginx_sites": [{"name": None}]},
    ],
)
def test_what_may_be_right_is_no_mistake(variables):
    assert mistakes_of_host("web1", variables) == []


def test_a_host_has_a_few_short_sentences_each_with_its_name():
    requests = [{**REQUEST, "name": f"{number}" + "n" * 400, "issuer": "x\n" * 400} for number in range(5)]
    sentences = mistakes_of_host("web1", {"certificate_requests": requests})
    assert len(sentences) == MAX_MISTAKES
    assert all(one.startswith("web1: ") and len(one) <= MAX_SENTENCE_CHARACTERS for one in sentences)
    assert not any("\n" in one for one in sentences)


def test_variables_that_cannot_be_read_are_no_mistake_here():
    class Unreadable(dict):
        def get(self, *_arguments):
            raise RuntimeError("no such template")

    assert mistakes_of_host("web1", Unreadable()) == []
