# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains of Tencent Cloud's CDN, against a cloud that verifies each signature, and each call by the public description."""

from __future__ import annotations

import contextlib
import pathlib

import pytest
from cryptography import x509

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.settle import remove_old_uploads, settle
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Clock, Pair, deploy_certificate
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.registry import open_service
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent import certificates, client
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.cdn import read_domain
from ansible_collections.evergreen.tls.tests.cloud.tencent.cdn import Cdn as FakeCdn
from ansible_collections.evergreen.tls.tests.cloud.tencent.certificate_service import Ssl
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.fake_tencent import fake_tencent

AUTHORITY = Authority()
DOMAINS = ("static.example.org", "img.example.org")


class World:
    """An account with a CDN, and a clock that moves by waiting."""

    def __init__(self, cloud, cdn, ssl, passed):
        self.cloud, self.cdn, self.ssl, self.passed = cloud, cdn, ssl, passed

    def service(self, keep=1, **options):
        cloud = {"account": None, "service": None, "resources": [], "keep": keep, "patience": "15m", **options}
        request = {"name": "static", "domains": [*DOMAINS], "keep": 3, "cloud": cloud}
        return open_service(request, {"main": {"type": "tencent", **self.cloud.account()}}, "evergreen/static/")

    @property
    def clock(self):
        return Clock(lambda: self.passed[0], self.wait)

    def wait(self, seconds):
        self.passed[0] += seconds

    def deploy(self, pair, **options):
        return deploy_certificate(self.service(**options), pair, 900.0, clock=self.clock)

    def settle(self, settings):
        return settle(self.service(), settings, lambda _binding: None, 900.0, clock=self.clock)

    def https(self, domain=DOMAINS[0]):
        return self.cdn.domains[domain]["now"]["Https"]


@pytest.fixture
def world(monkeypatch):
    passed = [0.0]
    ssl = Ssl()
    cdn = FakeCdn(ssl, *DOMAINS, machines=3, spread_s=30.0, clock=lambda: passed[0])
    monkeypatch.setattr(client.time, "sleep", lambda _seconds: None)
    with fake_tencent(ssl, cdn) as cloud:
        yield World(cloud, cdn, ssl, passed)


def pair(number=1, kind="ECC", names=DOMAINS):
    key = some_key(number, kind)
    chain = [*AUTHORITY.chain([*names], key)]
    return Pair(chain, lambda: key, f"evergreen/static/{number}", contextlib.nullcontext)


@pytest.mark.parametrize("kind", ["ECC", "RSA"])
def test_a_first_certificate_turns_https_on_and_leaves_the_rest_as_it_was(world, kind):
    before = {key: value for key, value in world.https().items() if key not in ("Switch", "CertInfo", "SslStatus")}
    done = world.deploy(pair(kind=kind))
    assert world.cloud.changes() == ["UploadCertificate", "UpdateDomainConfig", "UpdateDomainConfig"]
    assert (done.pending, world.https()["CertInfo"]["CertId"], world.https()["Switch"]) == ([], "cert0001", "on")
    assert {key: world.https()[key] for key in before} == before
    assert {one.address for one in done.bindings} == {f"{domain}.cdn.dnsv1.test" for domain in DOMAINS}


# Of the data type Origin: own servers, buckets, and what stands for several servers.
@pytest.mark.parametrize(
    "origin",
    ["ip", "ipv6", "ip_ipv6", "domain", "ip_domain", "ipv6_domain", "ip_ipv6_domain", "cos", "third_party", "igtm"],
)
def test_an_origin_of_any_type_will_do_and_stays(world, origin):
    origins = {"OriginType": origin, "Origins": ["origin.example.test"]}
    for domain in DOMAINS:
        world.cdn.domains[domain]["now"]["Origin"] = dict(origins)
    done = world.deploy(pair())
    assert (done.pending, [one.state for one in done.bindings]) == ([], ["ready"] * 2)
    assert [world.cdn.domains[domain]["now"]["Origin"] for domain in DOMAINS] == [origins] * 2


def test_the_leaf_and_the_intermediates_are_sent_in_one_text_without_the_root(world):
    issuing = Authority("CDN Issuing CA", above=AUTHORITY)
    key = some_key()
    chain = issuing.chain([*DOMAINS], key)
    world.deploy(Pair(chain, lambda: key, "evergreen/static/1", contextlib.nullcontext))
    (sent,) = [parameters for _service, action, parameters in world.cloud.calls if action == "UploadCertificate"]
    certificates = x509.load_pem_x509_certificates(sent["CertificatePublicKey"].encode())
    assert certificates == [chain[0], issuing.certificate]
    assert AUTHORITY.certificate not in certificates
    assert sent["CertificatePublicKey"].startswith("-----BEGIN") and "\n\n" not in sent["CertificatePublicKey"]


def test_a_renewal_changes_one_leaf_of_the_configuration(world):
    world.deploy(pair(1))
    world.https().update({"Http2": "off", "OcspStapling": "on", "Hsts": {"Switch": "on", "MaxAge": 60}})
    before = {**world.https()}
    world.cloud.calls.clear()
    world.deploy(pair(2))
    assert world.cloud.changes() == ["UploadCertificate", "ModifyDomainConfig", "ModifyDomainConfig"]
    assert world.cloud.calls[3][2] == {
        "Domain": DOMAINS[0],
        "Route": "Https.CertInfo.CertId",
        "Value": '{"update":"cert0002"}',
    }
    assert {**world.https(), "CertInfo": None} == {**before, "CertInfo": None}


def test_a_second_run_changes_nothing(world):
    same = pair()
    world.deploy(same)
    world.cloud.calls.clear()
    assert not world.deploy(same).is_changed
    assert world.cloud.actions() == ["DescribeDomainsConfig", "CheckCertificateExist"]


def test_the_key_is_sent_once_and_never_asked_for(world):
    same = pair()
    world.deploy(same)
    world.deploy(same)
    with_key = [action for _service, action, parameters in world.cloud.calls if "PRIVATE KEY" in str(parameters)]
    assert with_key == ["UploadCertificate"]


def test_a_busy_domain_is_waited_for(world):
    world.deploy(pair(1))
    world.passed[0] += 100
    world.cdn.domains[DOMAINS[0]]["until"] = [world.passed[0] + 60] * 3
    assert world.deploy(pair(2)).pending == []
    assert len([action for action in world.cloud.actions() if action == "UploadCertificate"]) == 2


def test_an_upload_whose_answer_was_lost_is_found_and_not_sent_again(world, monkeypatch):
    upload = world.ssl.UploadCertificate

    def lose(**parameters):
        upload(**parameters)
        raise ConnectionError("the connection is cut")

    monkeypatch.setattr(world.ssl, "UploadCertificate", lose)
    assert world.deploy(pair()).certificate == "cert0001"
    assert world.cloud.actions().count("UploadCertificate") == 1


def test_an_upload_that_was_refused_is_not_looked_for(world):
    world.cloud.refusals["UploadCertificate"] = "InvalidParameter.CertificatesNumberExceeded"
    with pytest.raises(
        TlsError, match="ssl:UploadCertificate for account main.*CertificatesNumberExceeded.*delete uploaded"
    ):
        world.deploy(pair())
    assert world.cloud.actions().count("CheckCertificateExist") == 1


def test_a_certificate_is_found_by_its_label_where_looking_by_content_is_not_allowed(world):
    world.deploy(pair(1))
    world.cloud.refusals["CheckCertificateExist"] = "UnauthorizedOperation"
    world.cloud.calls.clear()
    assert not world.deploy(pair(1)).is_changed
    assert world.deploy(pair(2)).is_uploaded


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Disable": "overdue"}, r"the CDN has it disabled \(overdue\); only the console"),
        *(
            ({"Disable": why}, rf"the CDN has it disabled \({why}\); only the console")
            for why in ("malicious", "ddos", "idle", "unlicensed", "capping", "readonly")
        ),
        *(({"Readonly": place}, rf"it is locked \({place}\); only") for place in ("mainland", "overseas", "global")),
        ({"HttpsBilling": {"Switch": "off"}}, "requests by HTTPS are blocked, since their billing is off"),
        ({"AccessPort": [80, 8080]}, "port 443 is not among its access ports"),
        ({"Status": "offline"}, "its status is offline; put it online in the console of the CDN"),
        ({"Status": "rejected"}, "its status is rejected"),
        ({"Status": "closing"}, "its status is closing"),
    ],
)
def test_an_unfit_domain_is_refused_before_anything_is_uploaded(world, change, words):
    world.cdn.domains[DOMAINS[1]]["now"].update(change)
    with pytest.raises(TlsError, match=f"the CDN of account main: img.example.org: {words}"):
        world.deploy(pair())
    assert world.cloud.changes() == []


def test_a_domain_that_is_not_in_the_cdn_is_refused_before_anything_is_uploaded(world):
    del world.cdn.domains[DOMAINS[1]]
    with pytest.raises(TlsError, match="img.example.org: it is not in the CDN; add it there first"):
        world.deploy(pair())
    assert world.cloud.changes() == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ResourceNotFound.CdnUserNotExists", "set service: teo and the zone"),
        ("OperationDenied.ProductUpgraded", "account main is in EdgeOne by now; set service: teo"),
        ("UnauthorizedOperation.CdnCamUnauthorized", "allow cdn:DescribeDomainsConfig to the key of account main"),
        ("AuthFailure.SignatureFailure", "correct secret_id and secret_key of account main"),
    ],
)
def test_a_refusal_says_what_to_do(world, code, words):
    world.cloud.refusals["DescribeDomainsConfig"] = code
    with pytest.raises(TlsError, match=words):
        world.deploy(pair())


@pytest.mark.parametrize(
    ("names", "kind", "options", "words"),
    [
        (DOMAINS, "Ed25519", {}, "a key of type Ed25519, and Tencent Cloud takes RSA of 2048 bits or more, secp256r1"),
        (["static.example.org"], "ECC", {}, "the certificate does not cover img.example.org; add it to the domains"),
        (["a.file.myqcloud.com"], "ECC", {"resources": ["a.file.myqcloud.com"]}, "takes no certificate; add a domain"),
    ],
)
def test_a_certificate_that_the_cdn_cannot_present_is_refused_before_any_call(world, names, kind, options, words):
    with pytest.raises(TlsError, match=words):
        world.deploy(pair(kind=kind, names=names), **options)
    assert world.cloud.calls == []


def test_a_wildcard_covers_the_resources_that_are_named(world):
    wild = pair(names=["*.example.org"])
    assert world.deploy(wild, resources=["static.example.org"]).pending == []
    assert world.https(DOMAINS[1])["Switch"] == "off"


def test_a_deployment_that_the_cdn_says_has_failed_is_a_failure(world):
    world.cdn.failing.add(DOMAINS[0])
    with pytest.raises(
        TlsError, match=r"could not deploy the certificate \(deployment failed\); look at it in the con"
    ):
        world.deploy(pair())


def test_the_settings_are_set_one_by_one_and_keep_what_is_beside_them(world):
    world.deploy(pair())
    world.https()["Hsts"]["IncludeSubDomains"] = "on"
    world.cloud.calls.clear()
    world.settle({"redirect": True, "hsts": 300, "tls_versions": ["TLSv1.2", "TLSv1.3"]})
    now = world.cdn.domains[DOMAINS[0]]["now"]
    assert now["ForceRedirect"] == {
        "Switch": "on",
        "RedirectType": "https",
        "RedirectStatusCode": 302,
        "CarryHeaders": None,
    }
    assert now["Https"]["Hsts"] == {"Switch": "on", "MaxAge": 300, "IncludeSubDomains": "on"}
    assert now["Https"]["TlsVersion"] == ["TLSv1.2", "TLSv1.3"]
    world.cloud.calls.clear()
    assert world.settle({"redirect": True, "hsts": 300}).changes == []
    assert world.cloud.changes() == []
    world.settle({"redirect": False, "hsts": 0})
    assert (now["Https"]["Hsts"]["MaxAge"], world.https()["Hsts"]["Switch"]) == (300, "off")


def test_old_uploads_are_removed_unless_they_are_bound(world):
    for number in range(1, 6):
        world.deploy(pair(number))
        world.ssl.certificates[f"cert000{number}"]["at"] = f"2026-01-0{number}"
    world.cdn.add("other.example.org")
    other = world.cdn.domains["other.example.org"]["now"]["Https"]
    other["CertInfo"] = {"CertId": "cert0002"}
    removed, warnings = remove_old_uploads(world.service(keep=1), "evergreen/static/", "cert0005", keep=1)
    assert (sorted(removed), warnings) == (["cert0001", "cert0003"], [])
    assert (sorted(world.ssl.certificates), world.ssl.deleted_while_bound) == (["cert0002", "cert0004", "cert0005"], [])


def test_uploads_of_another_request_of_a_host_with_the_same_name_stay(world):
    for number in range(1, 5):
        world.deploy(pair(number))
        world.ssl.certificates[f"cert000{number}"]["at"] = f"2026-01-0{number}"
    world.ssl.certificates["cert0001"]["alias"] = "evergreen/static/img/5f0c9a1be2d37748"
    removed, warnings = remove_old_uploads(world.service(keep=1), "evergreen/static/", "cert0004", keep=1)
    assert (removed, warnings) == (["cert0002"], [])


def test_old_uploads_stay_where_their_bindings_may_not_be_looked_up(world):
    for number in range(1, 4):
        world.deploy(pair(number))
    world.cloud.refusals["CreateCertificateBindResourceSyncTask"] = "FailedOperation.CAMRoleUnauthorized"
    removed, warnings = remove_old_uploads(world.service(keep=1), "evergreen/static/", "cert0003", keep=1)
    assert (removed, len(warnings)) == ([], 1)
    assert len(world.ssl.certificates) == 3


def test_nothing_is_looked_up_where_no_upload_is_too_many(world):
    world.deploy(pair())
    world.cloud.calls.clear()
    assert remove_old_uploads(world.service(), "evergreen/static/", "cert0001", keep=1) == ([], [])
    assert world.cloud.actions() == ["DescribeCertificates"]


def test_bindings_that_an_answer_leaves_open_are_not_known():
    running = {"TaskId": "a", "Status": 0}
    failed = {"TaskId": "b", "Status": 2, "BindResourceResult": None}
    partly = {
        "TaskId": "c",
        "Status": 1,
        "BindResourceResult": [{"BindResourceRegionResult": [{"TotalCount": 0}, {"TotalCount": 0, "Error": "no"}]}],
    }
    free = {"TaskId": "d", "Status": 1, "BindResourceResult": [{"BindResourceRegionResult": [{"TotalCount": 0}]}]}
    answer = {"SyncTaskBindResourceResult": [running, failed, partly, free, None]}
    assert certificates.read_bindings(answer) == {"b": None, "c": None, "d": False}


@pytest.mark.parametrize("detail", [{}, {"Status": 7, "Https": [], "ForceRedirect": "x", "Disable": "a\x1bb"}])
def test_a_domain_of_another_form_is_unfit(detail):
    binding = read_domain("a.example.org", detail)
    assert (binding.certificate, binding.state) == (None, "unfit")
    assert "\x1b" not in binding.reason


def test_no_file_of_the_collection_names_an_action_that_returns_keys():
    plugins = pathlib.Path(certificates.__file__).resolve().parents[3]
    files = [path for path in plugins.rglob("*.py") if "tencent" in path.read_text(encoding="utf-8").lower()]
    assert len(files) > 5
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "DescribeCertificateDetail" not in text and "DownloadCertificate" not in text, path
