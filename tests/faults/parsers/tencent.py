# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what Tencent Cloud answers."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.https_call import HttpResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.client import read_response
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.credentials import (
    read_metadata,
    read_role,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import Call
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, decode_text, encode_json, parse_json

CALL = Call("main", "ssl", "DescribeCertificates")
DATE = "Mon, 30 Nov 2026 12:00:00 GMT"
EXPIRED = {"Code": "AuthFailure.SignatureExpire", "Message": "The clock is off."}
CREDENTIALS = {"TmpSecretId": "AKIDx", "TmpSecretKey": "k", "Token": "t", "ExpiredTime": 1796000000, "Code": "Success"}


def answer_of(content: bytes, date: str = DATE) -> dict[str, t.Any]:
    return read_response(CALL, HttpResponse(200, {"date": date}, content), 1796000000.0)


def read_date(content: bytes) -> None:
    answer_of(encode_json({"Response": {"Error": EXPIRED}})[0], decode_text(content))


TENCENT_PARSERS = (
    Parser(
        "providers/tencent/client",
        "an answer of the API",
        answer_of,
        encode_json(
            {"Response": {"TotalCount": 0, "Certificates": [], "RequestId": "r"}},
            {"Response": {"Error": EXPIRED, "RequestId": "r"}},
        ),
    ),
    Parser("providers/tencent/client", "the header Date", read_date, (DATE.encode(),)),
    Parser(
        "providers/tencent/credentials",
        "an answer of the metadata service",
        lambda content: read_metadata(content, "account main", "run this on a CVM instance"),
        encode_json(CREDENTIALS),
    ),
    Parser(
        "providers/tencent/credentials",
        "an answer of STS",
        parse_json(lambda value: read_role(value, "STS gives no credentials; try again later")),
        encode_json({"Credentials": CREDENTIALS, "ExpiredTime": 1796000000}),
        "json",
    ),
)
