# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what Alibaba Cloud answers."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.cdn import AlibabaCdn
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.client import read_response
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.https_call import HttpResponse
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, encode_json, parse_json

ACCOUNT = Account("shop", "alibaba", {"access_key_id": "a", "access_key_secret": "b"})
DOMAIN = {
    "GetDomainDetailModel": {"DomainStatus": "online", "Cname": "a.test"},
    "CertInfos": {"CertInfo": [{"ServerCertificateStatus": "on", "CertId": "1", "Status": "success"}]},
    "CertificateOrderList": [{"CertificateId": 1, "Name": "evergreen/a/1", "Sans": "a.test", "EndDate": "2026-11-30"}],
    "Data": [{"CertId": 1, "CloudProduct": "CDN", "RegionId": "cn-hangzhou", "Domain": "a.test"}],
}


class Answers:
    """A client that gives the same answer to each call."""

    def __init__(self, answer: t.Any) -> None:
        self.answer = answer

    def call(self, *_call: t.Any) -> dict[str, t.Any]:
        return self.answer if isinstance(self.answer, dict) else {}


def read_domains(value: t.Any) -> None:
    request = {"name": "a", "domains": ["example.org"], "keep": 3, "cloud": {}}
    service = AlibabaCdn(ACCOUNT, t.cast(t.Any, request), "")
    service.client = service.certificates.client = t.cast(t.Any, Answers(value))
    service.bindings()
    service.uploads("evergreen/a/")
    service.certificates.uploads("evergreen/a/", 0)
    service.certificates.list_all(datetime.datetime.now(datetime.timezone.utc), has_bindings=True)


ALIBABA_PARSERS = (
    Parser(
        "providers/alibaba/client",
        "an answer of the API",
        lambda content: read_response(HttpResponse(400, {}, content), "shop", "cdn", "DescribeCdnDomainDetail"),
        encode_json({"Code": "Forbidden", "Message": "No.", "RequestId": "r"}),
    ),
    Parser("providers/alibaba/cdn", "domains and uploads", parse_json(read_domains), encode_json(DOMAIN), "json"),
)
