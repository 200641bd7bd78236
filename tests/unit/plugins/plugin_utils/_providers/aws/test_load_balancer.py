# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listeners of Elastic Load Balancing: the default certificate, those beside it, and the settings."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.installed import upload_prefix
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.acm import AcmCertificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.listener_settings import POLICIES
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.load_balancer import (
    LoadBalancer,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

PREFIX = "evergreen/www.example.org/"
FORWARD = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]


@pytest.fixture
def acm(session):
    return AcmCertificates(session.client("acm"), session.client("resourcegroupstaggingapi"))


@pytest.fixture
def imported(acm, authority):
    """Return a function that imports a certificate for names, and returns its ARN."""

    def upload(names, label, number=0):
        key = some_key(number)
        return acm.upload(authority.chain(names, key), key, label)

    return upload


@pytest.fixture
def person(boto):
    return boto("elbv2")


@pytest.fixture
def balancer(boto, person):
    ec2 = boto("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"eu-central-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    return person.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0]


@pytest.fixture
def listener(person, balancer, imported, cloud):
    """Return the ARN of a listener whose default certificate is for another name."""
    other = imported(["other.example.com"], "made by a person", 9)
    arn = add_listener(person, balancer, 443, "HTTPS", Certificates=[{"CertificateArn": other}])
    cloud.calls.clear()
    return arn


def add_listener(person, balancer, port, protocol, actions=None, **options):
    created = person.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Port=port,
        Protocol=protocol,
        DefaultActions=actions or FORWARD,
        **options,
    )
    return created["Listeners"][0]["ListenerArn"]


@pytest.fixture
def service(session, acm):
    def opened(listener="443", load_balancer="web", domains=("www.example.org",)):
        return LoadBalancer(session.client("elbv2"), acm, load_balancer, listener, list(domains), PREFIX)

    return opened


def certificates(person, listener):
    """Return the default certificate of a listener, and the set of the others."""
    listed = person.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    default = [one["CertificateArn"] for one in listed if one["IsDefault"]]
    assert len(default) == 1
    return default[0], {one["CertificateArn"] for one in listed if not one["IsDefault"]}


def test_a_listener_is_named_by_its_port_or_its_arn(service, balancer, listener):
    for opened in (service(), service(load_balancer=balancer["LoadBalancerArn"]), service(listener, None)):
        (binding,) = opened.bindings()
        assert (binding.resource, binding.certificate, binding.state) == ("web:443", None, "ready")
        assert binding.address == balancer["DNSName"]


def test_a_certificate_for_another_name_stays_the_default_and_ours_is_added(service, person, listener, imported):
    default_before, others_before = certificates(person, listener)
    arn = imported(["www.example.org"], f"{PREFIX}1")
    opened = service()
    opened.bind(opened.bindings()[0], arn)
    assert certificates(person, listener) == (default_before, {*others_before, arn})
    assert opened.bindings()[0].certificate == arn


def test_a_renewed_certificate_is_added_before_the_old_one_is_taken_away(service, person, listener, imported, cloud):
    opened = service()
    first, second = imported(["www.example.org"], f"{PREFIX}1", 1), imported(["www.example.org"], f"{PREFIX}2", 2)
    foreign = imported(["img.example.org"], "evergreen/img.example.org/1", 3)
    person.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": foreign}])
    opened.bind(opened.bindings()[0], first)
    cloud.calls.clear()
    opened.bind(opened.bindings()[0], second)
    assert cloud.changes() == ["AddListenerCertificates", "RemoveListenerCertificates"]
    assert certificates(person, listener)[1] == {foreign, second}
    assert [(one.certificate, one.is_bound) for one in opened.uploads(PREFIX) if one.is_bound] == [(second, True)]


def test_a_run_that_died_with_two_certificates_on_the_listener_is_finished(service, person, listener, imported, cloud):
    opened = service()
    first = imported(["www.example.org"], f"{PREFIX}1", 1)
    second = imported(["www.example.org"], f"{PREFIX}2", 2)
    both = [{"CertificateArn": arn} for arn in (first, second)]
    person.add_listener_certificates(ListenerArn=listener, Certificates=both)
    binding = opened.bindings()[0]
    assert binding.certificate == ", ".join(sorted([first, second]))  # so that the walk binds the one that it has to
    opened.bind(binding, second)
    assert certificates(person, listener)[1] == {second}


def test_a_default_certificate_for_our_name_is_replaced_and_the_others_stay(service, person, balancer, imported, cloud):
    old, other = (
        imported(["www.example.org"], "made by a person", 1),
        imported(["other.example.com"], "made by a person", 2),
    )
    listener = add_listener(person, balancer, 443, "HTTPS", Certificates=[{"CertificateArn": old}])
    person.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": other}])
    arn, opened = imported(["www.example.org"], f"{PREFIX}1", 3), service()
    assert opened.bindings()[0].certificate == old
    opened.bind(opened.bindings()[0], arn)
    assert certificates(person, listener) == (arn, {other})
    cloud.calls.clear()
    opened.bind(opened.bindings()[0], arn)
    assert cloud.changes() == []


def test_a_wildcard_that_is_the_default_covers_our_name(service, person, balancer, imported):
    old = imported(["*.example.org"], "made by a person", 1)
    add_listener(person, balancer, 443, "HTTPS", Certificates=[{"CertificateArn": old}])
    assert service().bindings()[0].certificate == old


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"listener": "8443"},
            "the load balancer web has no listener 8443 (its ports: 443); correct listener in cloud",
        ),
        ({"load_balancer": "nothing"}, "LoadBalancerNotFound"),
        ({"load_balancer": None}, "load_balancer is missing in cloud; write the name of the load balancer"),
    ],
)
def test_what_does_not_exist_is_told(service, listener, options, sentence):
    with pytest.raises(TlsError) as caught:
        service(**options).bindings()
    assert sentence in str(caught.value)


def test_a_listener_without_tls_is_unfit(service, person, balancer):
    add_listener(person, balancer, 80, "HTTP")
    (binding,) = service("80").bindings()
    assert binding.state == "unfit"
    assert binding.reason == "it is a listener for HTTP; name one for HTTPS or TLS by listener in cloud"


def test_versions_of_tls_are_the_security_policy_of_the_listener(service, listener):
    opened = service()
    opened.configure(opened.bindings()[0], {"tls_versions": ["TLSv1.2", "TLSv1.3"]})
    assert opened.bindings()[0].settings["tls_versions"] == ["TLSv1.2", "TLSv1.3"]


@pytest.mark.parametrize("versions", POLICIES, ids="-".join)
def test_each_security_policy_takes_the_versions_it_stands_for(person, versions):
    (policy,) = person.describe_ssl_policies(Names=[POLICIES[versions]])["SslPolicies"]
    assert tuple(sorted(policy["SslProtocols"])) == versions


def test_versions_without_a_policy_are_told(service, listener):
    opened = service()
    with pytest.raises(
        TlsError, match="no security policy of Elastic Load Balancing takes just TLSv1.1; choose one of: TLSv1.3;"
    ):
        opened.configure(opened.bindings()[0], {"tls_versions": ["TLSv1.1"]})


def test_strict_transport_security_is_set_and_taken_away(service, person, listener):
    opened = service()
    assert opened.bindings()[0].settings["hsts"] == 0
    opened.configure(opened.bindings()[0], {"hsts": 86400})
    attributes = person.describe_listener_attributes(ListenerArn=listener)["Attributes"]
    assert {
        "Key": "routing.http.response.strict_transport_security.header_value",
        "Value": "max-age=86400",
    } in attributes
    assert opened.bindings()[0].settings["hsts"] == 86400
    opened.configure(opened.bindings()[0], {"hsts": 0})
    assert opened.bindings()[0].settings["hsts"] == 0


def test_a_listener_that_redirects_is_created_and_deleted(service, person, balancer, listener):
    opened = service()
    assert opened.bindings()[0].settings["redirect"] is False
    opened.configure(opened.bindings()[0], {"redirect": True})
    assert opened.bindings()[0].settings["redirect"] is True
    opened.configure(opened.bindings()[0], {"redirect": False})
    assert opened.bindings()[0].settings["redirect"] is False
    assert len(person.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]) == 1


def test_what_somebody_has_on_port_80_is_not_replaced(service, person, balancer, listener, cloud):
    arn = add_listener(person, balancer, 80, "HTTP")
    opened = service()
    cloud.calls.clear()
    with pytest.raises(TlsError, match=f"the listener {arn} on port 80 does something else than to redirect"):
        opened.configure(opened.bindings()[0], {"redirect": True})
    assert cloud.changes() == []


def test_a_redirect_of_somebody_else_is_seen_and_not_deleted(service, person, balancer, listener, cloud):
    target = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    add_listener(person, balancer, 80, "HTTP", [{"Type": "redirect", "RedirectConfig": target}])
    opened = service()
    assert opened.bindings()[0].settings["redirect"] is True
    with pytest.raises(TlsError, match="redirects, and this collection did not create it"):
        opened.configure(opened.bindings()[0], {"redirect": False})
    assert "DeleteListener" not in cloud.actions()


@pytest.mark.parametrize("host", ["www.example.org", "other"])
@pytest.mark.parametrize("name", ["shop", "*.example.org", f"{'x' * 60}.{'y' * 60}"])
def test_hosts_with_requests_of_one_name_leave_each_other_s_certificates_on_a_listener(
    session, acm, person, listener, imported, name, host
):
    arns = {}
    for number, (one, domain) in enumerate([(host, "www.example.org"), ("balancer", "img.example.org")]):
        prefix = upload_prefix({"name": name}, one)
        opened = LoadBalancer(session.client("elbv2"), acm, "web", "443", [domain], prefix)
        arns[one] = imported([domain], f"{prefix}0123456789abcdef", number)
        (binding,) = opened.bindings()
        assert binding.certificate is None
        opened.bind(binding, arns[one])
        assert opened.bindings()[0].certificate == arns[one]
    assert certificates(person, listener)[1] >= set(arns.values())
