# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judge of the signature is the vendor's SDK."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from tencentcloud.common import abstract_client, common_client, credential

from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.signature import (
    Credentials,
    signed_headers,
)

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def sdk_headers(service, parameters, credentials, now):
    """Return the headers and the body of the vendor's SDK."""
    client = common_client.CommonClient(service, "2019-12-05", credential.Credential(*credentials), "")
    request = abstract_client.RequestInternal(client._get_endpoint(), "POST", "/", header={})
    clock = abstract_client.time
    try:
        abstract_client.time = type("Clock", (), {"time": staticmethod(lambda: now)})
        client._build_req_with_tc3_signature("DescribeCertificates", parameters, request, {})
    finally:
        abstract_client.time = clock
    return request.header, request.data, client._get_endpoint()


@given(
    st.sampled_from(["ssl", "cdn", "teo", "dnspod", "sts"]),
    st.dictionaries(st.text(min_size=1), JSON, max_size=4),
    st.builds(Credentials, WORDS, WORDS, st.none() | WORDS),
    st.integers(0, 4_000_000_000),
)
def test_a_call_is_signed_as_the_sdk_signs_it(service, parameters, credentials, now):
    theirs, data, host = sdk_headers(service, parameters, credentials, now)
    body = data if isinstance(data, bytes) else data.encode()
    assert json.loads(body) == parameters
    ours = signed_headers(host, service, body, credentials, now)
    assert ours["Authorization"] == theirs["Authorization"]
    assert ours["X-TC-Timestamp"] == theirs["X-TC-Timestamp"]
    assert ours.get("X-TC-Token") == theirs.get("X-TC-Token")
    assert ours["Host"] == theirs["Host"]


def test_each_part_changes_the_signature():
    base = ("ssl.tencentcloudapi.com", "ssl", b"{}", Credentials("AKID", "secret"), 1_700_000_000)
    others = [
        ("ssl.tencentcloudapi.com:8443", *base[1:]),
        (base[0], "cdn", *base[2:]),
        (*base[:2], b"{ }", *base[3:]),
        (*base[:3], Credentials("AKID", "other"), base[4]),
        (*base[:4], base[4] + 1),
    ]
    signatures = {signed_headers(*one)["Authorization"].rpartition("=")[2] for one in [base, *others]}
    assert len(signatures) == 1 + len(others)


def test_the_secret_is_in_no_header():
    headers = signed_headers("h", "ssl", b"{}", Credentials("AKID", "the-secret", "the-token"), 1)
    assert "the-secret" not in str(headers)
