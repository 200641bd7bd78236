# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what Tencent Cloud answers."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.change import deciding_rule
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.lighthouse import LighthouseFirewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.security_group import SecurityGroup
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import (
    CaaIssuer,
    check_caa,
    find_caa_set,
    refusal_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.https_call import HttpResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.cdn import Cdn
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.certificates import read_bindings
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.clb import LoadBalancer
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.client import read_response
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.credentials import (
    read_metadata,
    read_role,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.dnspod import DnspodZones, DnsRecord
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.edgeone import EdgeOne
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import Call
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.free_certificates import (
    FreeCertificates,
    check_domain,
    read_records,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.inventory import list_certificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.order_pauses import pause_of
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, decode_text, encode_json, parse_json
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW

CALL = Call("main", "ssl", "DescribeCertificates")
DATE = "Mon, 30 Nov 2026 12:00:00 GMT"
EXPIRED = {"Code": "AuthFailure.SignatureExpire", "Message": "The clock is off."}
RECORD = DnsRecord("example.org", "a", "TXT", "v")
ZONE = {
    "DomainInfo": {"Status": "ENABLE", "DnsStatus": ""},
    "RecordId": 1,
    "RecordList": [{"RecordId": 1, "Name": "a", "Type": "TXT", "Value": "v"}],
}
ACCOUNT = Account("main", "tencent", {"secret_id": "a", "secret_key": "b", "region": "ap-guangzhou"})
POLICY = {"PolicyIndex": 0, "Protocol": "TCP", "Port": "80,443-445", "CidrBlock": "0.0.0.0/0", "Action": "ACCEPT"}
RULES = {
    "SecurityGroupPolicySet": {"Version": "1", "Ingress": [POLICY]},
    "FirewallRuleSet": [POLICY],
    "FirewallVersion": 1,
    "SecurityGroupAssociationStatisticsSet": [{"TotalCount": 1}],
}
RESOURCES = {
    "AccelerationDomains": [
        {
            "DomainName": "example.org",
            "DomainStatus": "online",
            "Certificate": {"Mode": "sslcert", "List": [{"CertId": "a", "Alias": "evergreen/a", "Status": "deployed"}]},
        }
    ],
    "Listeners": [
        {
            "ListenerId": "lbl-1",
            "Protocol": "HTTPS",
            "SniSwitch": 1,
            "Rules": [{"Domain": "example.org", "Certificate": {"CertId": "a", "ExtCertIds": []}}],
        }
    ],
    "Certificates": [{"CertificateId": "a", "Alias": "evergreen/a"}],
    "RequestId": "task",
    "Status": 0,
}
ORDERS = {
    "Certificates": [
        {
            "CertificateId": "a",
            "Alias": "evergreen/a",
            "Status": 1,
            "PackageType": "83",
            "Domain": "a.example.org",
            "CertBeginTime": "2026-11-30 12:00:00",
            "CertEndTime": "2027-02-28 12:00:00",
        }
    ],
    "Status": 0,
    "DvAuthDetail": {
        "DvAuths": [{"DvAuthKey": "_dnsauth.example.org", "DvAuthValue": "v", "DvAuthVerifyType": "TXT"}],
    },
    "VerificationResults": [{"Domain": "a.example.org", "LocalCheck": -1, "CaCheck": -1}],
    "RevokeDomainValidateAuths": [{"DomainValidateAuthKey": "_a.example.org", "DomainValidateAuthValue": "v"}],
}
CREDENTIALS = {"TmpSecretId": "AKIDx", "TmpSecretKey": "k", "Token": "t", "ExpiredTime": 1796000000, "Code": "Success"}


def answer_of(content: bytes, date: str = DATE) -> dict[str, t.Any]:
    return read_response(CALL, HttpResponse(200, {"date": date}, content), 1796000000.0)


def read_date(content: bytes) -> None:
    answer_of(encode_json({"Response": {"Error": EXPIRED}})[0], decode_text(content))


def read_pause(content: bytes) -> None:
    pause_of("RequestLimitExceeded", decode_text(content))


class CaaAnswers:
    """A client of DNS that finds one value at a parent."""

    def __init__(self, value: str) -> None:
        self.value = value

    def caa_records(self, name: str) -> list[tuple[int, str, str]]:
        return [(0, "issue", self.value)] if name == "example.org" else []


def read_caa(content: bytes) -> None:
    found = find_caa_set(t.cast(t.Any, CaaAnswers(decode_text(content))), "*.a.example.org")
    refusal_sentence(found, "*.a.example.org", CaaIssuer(("sectigo.com",), ("https://ca.example/1",), "dns-01"), "a CA")
    check_caa(found, "*.a.example.org", ["sectigo.com"], "free certificates")


class Answers:
    """A client that gives the same answer to each call."""

    def __init__(self, answer: t.Any, name: str = "") -> None:
        self.answer, self.name = answer, name

    def call(self, *_call: t.Any) -> dict[str, t.Any]:
        return self.answer if isinstance(self.answer, dict) else {}


def read_zone(value: t.Any) -> None:
    """Read a value as each answer of DNSPod."""
    zones = DnspodZones(Answers(value))
    for read in (lambda: zones.check("example.org"), lambda: zones.add(RECORD), lambda: zones.remove(RECORD)):
        try:
            read()
        except TlsError as error:
            assert ";" in str(error)
    zones.remove(RECORD)


DOMAIN = {
    "Domain": "a.example.org",
    "Status": "online",
    "Cname": "a.cdn.dnsv1.com",
    "AccessPort": [80, 443],
    "Https": {
        "Switch": "on",
        "CertInfo": {"CertId": "x"},
        "Hsts": {"Switch": "on", "MaxAge": 1},
        "TlsVersion": ["TLSv1.2"],
    },
    "ForceRedirect": {"Switch": "on", "RedirectType": "https"},
}
BOUND = {
    "SyncTaskBindResourceResult": [
        {"TaskId": "t", "Status": 1, "BindResourceResult": [{"BindResourceRegionResult": [{"TotalCount": 1}]}]}
    ]
}
REQUEST: t.Any = {"name": "a", "domains": ["a.example.org"], "keep": 1, "cloud": None}


def read_cdn(value: t.Any) -> None:
    """Read a value as each answer about the domains of a request."""
    cdn = Cdn(Account("main", "tencent", {}), REQUEST, "", Answers(value, name="main"))
    for read in (cdn.bindings, lambda: cdn.uploads("evergreen/"), lambda: cdn.remove("x")):
        try:
            read()
        except TlsError as error:
            assert ";" in str(error)
    read_bindings(value if isinstance(value, dict) else {})


def read_rules(value: t.Any) -> None:
    """Read a value as the rules of a security group and of a Lighthouse instance, and judge them."""
    for firewall in (SecurityGroup(ACCOUNT, "sg-1", None), LighthouseFirewall(ACCOUNT, "lhins-1", None)):
        firewall.client = t.cast(t.Any, Answers(value))
        try:
            read = firewall.read()
        except TlsError as error:
            assert ";" in str(error)
            continue
        for access in parse_port_accesses([443], "tcp", []):
            deciding_rule(read.rules, access)
        firewall.instance_count()


def read_resources(value: t.Any) -> None:
    """Read a value as the domains of EdgeOne, and as a listener of a load balancer."""
    for kind, place in (
        (EdgeOne, {"zone": "zone-1"}),
        (LoadBalancer, {"load_balancer": "lb-1", "listener": "lbl-1", "region": "ap-guangzhou"}),
    ):
        request = {"name": "a", "domains": ["example.org"], "keep": 1, "cloud": place}
        service = kind(ACCOUNT, t.cast(t.Any, request), "")
        service.client = service.store.client = t.cast(t.Any, Answers(value, "main"))
        for binding in service.bindings():
            if binding.state == "ready":
                service.bind(binding, "cert")
        service.bindings()


def read_orders(value: t.Any) -> None:
    """Read a value as each answer about free certificates."""
    orders = FreeCertificates(t.cast(t.Any, Answers(value, "main")))
    orders.ours("evergreen/")
    orders.newest_issued("evergreen/")
    list_certificates(orders.client, NOW, True, lambda _seconds: None)
    orders.obstacles("a")
    for read in (
        lambda: orders.check_quota("example.org", 1, utc_now()),
        lambda: read_records(orders.look("a")[1], "www.example.org"),
        lambda: read_records(orders.revoke("a", ""), "www.example.org"),
        lambda: check_domain(["www.example.org"], "ECC", None, None),
    ):
        try:
            read()
        except TlsError as error:
            assert ";" in str(error)


TENCENT_PARSERS = (
    Parser("providers/tencent/order_pauses", "a refusal in words", read_pause, (b"try again in 30 minutes",)),
    Parser(
        "preflight/caa_records",
        "CAA records",
        read_caa,
        (b"sectigo.com; policy=ev", b"sectigo.com; validationmethods=dns-01,http-01", b";"),
    ),
    Parser(
        "providers/tencent/cdn",
        "answers about domains and uploads",
        parse_json(read_cdn),
        encode_json({"Domains": [DOMAIN]}, BOUND, {"Certificates": [{"CertificateId": "x", "Alias": "evergreen/a"}]}),
        "json",
    ),
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
    Parser("providers/tencent/dnspod", "answers about a zone", parse_json(read_zone), encode_json(ZONE), "json"),
    Parser(
        "cloud_firewall/security_group", "rules of Tencent Cloud", parse_json(read_rules), encode_json(RULES), "json"
    ),
    Parser(
        "providers/tencent/edgeone", "domains and listeners", parse_json(read_resources), encode_json(RESOURCES), "json"
    ),
    Parser(
        "providers/tencent/free_certificates",
        "orders and validations",
        parse_json(read_orders),
        encode_json(ORDERS),
        "json",
    ),
    Parser(
        "providers/tencent/credentials",
        "an answer of STS",
        parse_json(lambda value: read_role(value, "STS gives no credentials; try again later")),
        encode_json({"Credentials": CREDENTIALS, "ExpiredTime": 1796000000}),
        "json",
    ),
)
