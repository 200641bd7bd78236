# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alibaba Cloud on the loopback network, with its certificate service and its CDN: it verifies signatures with the vendor's SDK."""

from __future__ import annotations

import contextlib
import http.server
import json
import types
import urllib.parse

from alibabacloud_openapi_util.client import Client as Sdk

from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.client import VERSIONS
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

DOMAINS = ("static.example.org", "img.example.org")
KEY_ID, SECRET = "LTAIexample", "a-secret"
PAGE = b"<html><body>Please log in to the network</body></html>"


def sdk_authorization(headers, body, key_id, secret):
    """Return the header Authorization as the vendor's SDK makes it."""
    request = types.SimpleNamespace(method="POST", pathname="/", query={}, headers=headers)
    payload = Sdk.hex_encode(Sdk.hash(body, "ACS3-HMAC-SHA256"))
    return Sdk.get_authorization(request, "ACS3-HMAC-SHA256", payload, key_id, secret)


class Cloud:
    """The APIs cas and cdn of one account, at the URL of a server of their own.

    pages: actions that do nothing, and are answered by a page in HTML. before: called before each action, with its parameters and the
    client's port.
    """

    def __init__(self, domains=DOMAINS):
        self.domains = {name: {"status": "online", "certificate": None, "busy": 0} for name in domains}
        self.uploads, self.pairs, self.calls, self.refusals, self.pages = {}, {}, [], {}, set()
        self.answers = {}  # by action: status and body in the place of its answer
        self.before = lambda _action, _parameters, _port: None
        self.server = ThreadedServer(type("Handler", (_Handler,), {"cloud": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.details, self.bought, self.resources = {}, [], []  # of certificates by identifier, and what presents them

    def served(self, domain):
        """Return the certificate that the machines present for a domain; None where there is none."""
        return self.domains.get(domain, {}).get("certificate")

    def pair(self, certificate):
        """Return chain and key in PEM, for the machines that present them."""
        return self.pairs[int(certificate)]

    def respond(self, headers, body, port=0):
        action = headers["x-acs-action"]
        signed = {
            name: headers[name] for name in headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        }
        if headers["Authorization"] != sdk_authorization(signed, body, KEY_ID, SECRET):
            return 400, {"Code": "SignatureDoesNotMatch", "Message": "The signature does not match.", "RequestId": "r"}
        assert headers["x-acs-version"] in VERSIONS.values()
        parameters = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        self.calls.append((action, parameters))
        self.before(action, parameters, port)
        if action in self.pages:
            return 200, PAGE
        code = self.refusals.get(action)
        code = code.pop(0) if isinstance(code, list) and code else code
        if code:
            return 400, {"Code": code, "Message": "Refused.", "RequestId": "r"}
        answer = getattr(self, action)(**parameters)
        if action in self.answers:  # it has done what it was asked to do
            return self.answers[action]
        return (404 if "Code" in answer else 200), {**answer, "RequestId": "r"}

    def UploadUserCertificate(self, Name, Cert, Key):  # noqa: N802, N803
        assert Key.startswith("-----BEGIN ") and Cert.startswith("-----BEGIN CERTIFICATE")
        if len(Name) > 63 or Name in self.uploads.values():
            return {"Code": "NameRepeat" if len(Name) <= 63 else "InvalidName", "Message": "The name does not fit."}
        number = max(self.uploads, default=0) + 1
        self.uploads[number], self.pairs[number] = Name, (Cert, Key)
        return {"CertId": number}

    def ListUserCertificateOrder(self, OrderType, CurrentPage, ShowSize):  # noqa: N802, N803
        rows = [{"CertificateId": number, "Name": name, "Upload": True} for number, name in self.uploads.items()]
        rows = [{**row, **self.details.get(row["CertificateId"], {})} for row in rows]
        assert OrderType in ("UPLOAD", "CERT")
        rows += self.bought if OrderType == "CERT" else []
        begin = (int(CurrentPage) - 1) * int(ShowSize)
        return {"CertificateOrderList": rows[begin : begin + int(ShowSize)], "TotalCount": len(rows)}

    def DeleteUserCertificate(self, CertId):  # noqa: N802, N803
        assert not any(one["certificate"] == CertId for one in self.domains.values()), "the tests delete none in use"
        del self.uploads[int(CertId)]
        return {}

    def ListCloudResources(self, CloudName, CurrentPage, ShowSize):  # noqa: N802, N803
        assert CloudName == "aliyun"
        begin = (int(CurrentPage) - 1) * int(ShowSize)
        return {"Data": self.resources[begin : begin + int(ShowSize)], "Total": len(self.resources)}

    def DescribeCdnHttpsDomainList(self, PageNumber, PageSize):  # noqa: N802, N803
        rows = [
            {"DomainName": name, "CertName": self.uploads[int(one["certificate"])]}
            for name, one in self.domains.items()
            if one["certificate"]
        ]
        begin = (int(PageNumber) - 1) * int(PageSize)
        return {"CertInfos": {"CertInfo": rows[begin : begin + int(PageSize)]}, "TotalCount": len(rows)}

    def DescribeCdnDomainDetail(self, DomainName):  # noqa: N802, N803
        if DomainName not in self.domains:
            return {"Code": "InvalidDomain.NotFound", "Message": "The domain does not belong to you."}
        one = self.domains[DomainName]
        status = "configuring" if one["busy"] else one["status"]
        one["busy"] = max(0, one["busy"] - 1)
        return {"GetDomainDetailModel": {"DomainStatus": status, "Cname": f"{DomainName}.w.kunluncan.test"}}

    def DescribeDomainCertificateInfo(self, DomainName):  # noqa: N802, N803
        certificate = self.domains[DomainName]["certificate"]
        info = {
            "ServerCertificateStatus": "on" if certificate else "off",
            "CertId": certificate or "",
            "Status": "success",
        }
        return {"CertInfos": {"CertInfo": [info]}}

    def SetCdnDomainSSLCertificate(self, DomainName, CertType, CertId, SSLProtocol):  # noqa: N802, N803
        assert (CertType, SSLProtocol) == ("cas", "on") and int(CertId) in self.uploads
        self.domains[DomainName].update(certificate=CertId, busy=1)
        return {}

    def account(self, **changes):
        keys = {"access_key_id": KEY_ID, "access_key_secret": SECRET, "endpoint": self.url}
        return {"type": "alibaba", **keys, **changes}

    def changes(self):
        """Return the actions that change something."""
        return [action for action in self.actions() if not action.startswith(("Describe", "List"))]

    def actions(self):
        return [action for action, _parameters in self.calls]


class _Handler(http.server.BaseHTTPRequestHandler):
    cloud: Cloud

    def do_POST(self):
        assert self.path == "/", "no parameter is in the URL"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = self.cloud.respond(self.headers, body, self.client_address[1])
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def fake_alibaba():
    """Start such a cloud, and stop it at the end."""
    started = Cloud()
    started.server.start()
    try:
        yield started
    finally:
        started.server.stop()
