# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that are validated by the options that they have come out as the validator of the whole spec returns them."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.request_validation import validated_requests

WHOLE_SPEC = {"request": {**REQUEST_SPEC, "required": False}}
SMALLEST = {"name": "www", "domains": ["www.example.org"]}
FITTING = [
    {},
    {"domains": "www.example.org,example.org"},
    {"port": "8443", "keep": 2, "reuse_key": "yes", "issuer": None},
    {"adopt": {"key": "/etc/ssl/key.pem", "certificate": "/etc/ssl/cert.pem"}},
    {"exports": [{"path": "/etc/a.p12", "format": "pkcs12"}], "links": {"/etc/ssl/a.pem": "cert.pem"}},
    {"cloud": {"resources": "cdn.example.org"}, "run_after": [["/bin/true"]]},
    {"type": "RSA", "size": "4096", "key_passphrase": "correct horse", "restart": "nginx"},
    {"organization": "Example", "common_name": 7, "lifetime": "90d"},
]
REFUSED = [{"port": "x"}, {"prot": 443}, {"type": "ecc"}, {"adopt": {"key": "/k"}}, {"domains": None}, {"keep": []}]


def by_whole_spec(request):
    return ArgumentSpecValidator(WHOLE_SPEC).validate({"request": request})


@pytest.mark.parametrize("options", FITTING)
def test_a_request_is_completed_as_by_the_whole_spec(options):
    request = {**SMALLEST, **options}
    whole = by_whole_spec(request)
    assert whole.error_messages == [], "it is a case that fits"
    assert validated_requests([request, SMALLEST]) == [
        whole.validated_parameters["request"],
        by_whole_spec(SMALLEST).validated_parameters["request"],
    ]


@pytest.mark.parametrize("options", REFUSED)
def test_a_request_that_does_not_fit_is_left_to_the_whole_spec(options):
    request = {**SMALLEST, **options}
    assert by_whole_spec(request).error_messages
    assert validated_requests([SMALLEST, request]) is None


@pytest.mark.parametrize("request_of_other_type", [{}, None, "www", {"name": "www"}, {1: 2, **SMALLEST}])
def test_what_is_no_request_is_left_to_the_whole_spec(request_of_other_type):
    assert validated_requests([request_of_other_type]) is None


def test_requests_share_no_lists_or_dictionaries():
    first, second = validated_requests([SMALLEST, SMALLEST])
    first["links"]["/etc/a.pem"] = "cert.pem"
    first["exports"].append({})
    first["domains"].append("example.org")
    assert (second["links"], second["exports"], second["domains"]) == ({}, [], ["www.example.org"])
    assert validated_requests([SMALLEST])[0]["links"] == {}
