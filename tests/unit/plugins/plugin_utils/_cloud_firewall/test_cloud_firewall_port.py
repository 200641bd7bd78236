# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports in security groups and firewalls of Tencent Cloud. The cloud of the tests judges packets in code of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.change import deciding_rule, set_ports
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.registry import open_firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.tencent_rules import read_rule
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.tests.cloud.tencent.firewalls import Lighthouse, SecurityGroups, _matches, _Rules
from ansible_collections.evergreen.tls.tests.unit.fake_tencent import fake_tencent

SSH = {"Protocol": "TCP", "Port": "22", "CidrBlock": "10.0.0.0/8", "Action": "ACCEPT"}
HTTPS = {"Protocol": "TCP", "Port": "443", "CidrBlock": "0.0.0.0/0", "Action": "ACCEPT"}
HTTPS6 = {"Protocol": "TCP", "Port": "443", "Ipv6CidrBlock": "::/0", "Action": "ACCEPT"}
DROP_ALL = {"Protocol": "ALL", "Port": "ALL", "CidrBlock": "0.0.0.0/0", "Action": "DROP"}
KINDS = ["security_group", "instance"]


@pytest.fixture(params=KINDS)
def place(request):
    """A firewall with rules that a test gives, of each kind."""
    with fake_tencent(SecurityGroups(sg_1=[[]]), Lighthouse(lhins_1=[[]])) as cloud:
        yield Place(cloud, request.param)


class Place:
    def __init__(self, cloud, kind):
        self.cloud, self.kind = cloud, kind
        self.name = {"security_group": "sg-1", "instance": "lhins-1"}[kind]
        self.service = cloud.services[{"security_group": "vpc", "instance": "lighthouse"}[kind]]
        self.rules = (self.service.groups if kind == "security_group" else self.service.instances)[self.name]

    def has(self, *rules):
        self.rules.rules = [dict(rule) for rule in rules]
        return self

    def open(self, *ports, state="open", sources=(), check_mode=False, **arguments):
        accounts = {"main": {"type": "tencent", **self.cloud.account(region="ap-guangzhou")}}
        firewall = open_firewall({"account": None, self.kind: self.name, **arguments}, accounts)
        spec = {"ports": list(ports or [443]), "protocol": "tcp", "sources": list(sources), "state": state}
        return set_ports(firewall, spec, check_mode)

    def error(self, *ports, **options):
        with pytest.raises(TlsError) as caught:
            self.open(*ports, **options)
        return str(caught.value)


def test_rules_by_source_that_keep_cas_away_are_warned_of(place):
    drop = {"Protocol": "TCP", "Port": "ALL", "CidrBlock": "203.0.113.0/24", "Action": "DROP"}
    (warning,) = place.has(drop, HTTPS, HTTPS6).open()["warnings"]
    assert warning.startswith("The ") and "refuses tcp 443 from 203.0.113.0/24; CAs look from addresses" in warning
    office = {"Protocol": "TCP", "Port": "443", "CidrBlock": "203.0.113.0/24", "Action": "ACCEPT"}
    assert place.has(office, HTTPS, HTTPS6).open()["warnings"] == []
    assert place.has(office).open(state="closed")["warnings"] == []


def test_a_closed_port_is_opened_by_ipv4_and_ipv6_and_nothing_else(place):
    result = place.has(SSH).open()
    assert result["changed"] and result["opened"] == [443]
    assert place.rules.admits("tcp", 443, "192.0.2.1") and place.rules.admits("tcp", 443, "2001:db8::1")
    assert not place.rules.admits("tcp", 444, "192.0.2.1") and not place.rules.admits("udp", 443, "192.0.2.1")
    assert place.rules.rules[0] == SSH and len(place.rules.rules) == 3
    assert result["diff"]["before"] == ""
    assert result["diff"]["after"] == "ACCEPT TCP 443 from 0.0.0.0/0\nACCEPT TCP 443 from ::/0\n"
    descriptions = {
        rule.get("PolicyDescription") or rule.get("FirewallRuleDescription") for rule in place.rules.rules[1:]
    }
    assert descriptions == {"evergreen.tls"}


def test_udp_is_opened_with_tcp_and_closed_alone(place):
    result = place.has(SSH, HTTPS, HTTPS6).open(443, "443/udp")
    assert (result["opened"], "Opened tcp 443 and udp 443 to everybody in " in result["msg"]) == (["443/udp"], True)
    for address in ("192.0.2.1", "2001:db8::1"):
        assert place.rules.admits("udp", 443, address) and not place.rules.admits("udp", 80, address)
    assert not place.open(443, "443/udp")["changed"]
    assert place.open("443/udp", state="closed")["closed"] == ["443/udp"]
    assert place.rules.rules == [SSH, HTTPS, HTTPS6]


def test_a_second_run_only_looks(place):
    place.open()
    place.cloud.calls.clear()
    result = place.open()
    assert not result["changed"] and " already in " in result["msg"]
    assert place.cloud.changes() == [] and len(place.cloud.calls) == 1


def test_a_rule_that_accepts_more_is_enough(place):
    wide = {"Protocol": "TCP", "Port": "80,400-500", "CidrBlock": "0.0.0.0/0", "Action": "ACCEPT"}
    assert not place.has(wide, {**wide, "CidrBlock": "", "Ipv6CidrBlock": "::/0", "Port": "ALL"}).open(443, 80)[
        "changed"
    ]


def test_a_rule_for_a_part_of_the_sources_is_not_enough(place):
    assert place.has({**HTTPS, "CidrBlock": "10.0.0.0/8"}, HTTPS6).open()["changed"]
    assert place.rules.admits("tcp", 443, "192.0.2.1")


def test_sources_are_opened_alone(place):
    place.open(sources=["192.0.2.0/24"])
    assert place.rules.admits("tcp", 443, "192.0.2.1") and not place.rules.admits("tcp", 443, "198.51.100.1")


def test_a_rule_before_that_refuses_is_named(place):
    sentence = place.has(SSH, DROP_ALL, HTTPS).error()
    number = 1 if place.kind == "security_group" else 2
    assert f"refuses tcp 443 from 0.0.0.0/0 by its rule {number} (DROP ALL ALL from 0.0.0.0/0)" in sentence
    assert sentence.endswith("; remove or narrow that rule, or leave this port out")
    assert place.cloud.changes() == []


def test_a_rule_that_refuses_some_addresses_keeps_its_effect(place):
    blocked = {**DROP_ALL, "CidrBlock": "198.51.100.0/24"}
    assert place.has(blocked).open()["changed"]
    assert place.rules.admits("tcp", 443, "192.0.2.1") and not place.rules.admits("tcp", 443, "198.51.100.7")


def test_a_rule_behind_the_one_that_accepts_has_no_say(place):
    assert not place.has(HTTPS, HTTPS6, DROP_ALL).open()["changed"]


def test_check_mode_changes_nothing_and_shows_the_same(place):
    shown = place.open(check_mode=True)
    assert shown["changed"] and "Would open tcp 443 to everybody in " in shown["msg"]
    assert place.cloud.changes() == [] and place.rules.rules == []
    done = place.open()
    assert {key: shown[key] for key in ("diff", "opened", "closed")} == {
        key: done[key] for key in ("diff", "opened", "closed")
    }


def test_closed_removes_what_opens_just_this(place):
    wide = {**HTTPS, "Port": "80,443"}
    result = place.has(SSH, HTTPS, wide, HTTPS6).open(state="closed")
    assert result["closed"] == [443]
    assert [rule["Port"] for rule in place.rules.rules] == ["22", "80,443"]
    assert "Some of it still comes in by `ACCEPT TCP 80,443 from 0.0.0.0/0`." in result["msg"]
    assert not place.open(state="closed")["changed"]


def test_somebody_else_who_is_faster_is_seen(place):
    changes = iter([lambda: place.rules.rules.insert(0, dict(SSH)), lambda: place.rules.rules.append(dict(HTTPS))])

    def change():
        if (other := next(changes, None)) is not None:
            other()
            place.rules.version += 1

    place.service.before_change = change
    assert place.open()["changed"]
    assert [rule.get("CidrBlock") or rule["Ipv6CidrBlock"] for rule in place.rules.rules] == [
        "10.0.0.0/8",
        "0.0.0.0/0",
        "::/0",
    ]


def test_somebody_who_never_stops_is_said(place):
    def change():
        place.rules.version += 1

    place.service.before_change = change
    assert "was changed by something else 3 times while its rules were read; see what changes it" in place.error()
    assert place.rules.rules == []


def test_a_cloud_that_lies_about_a_change_is_caught(place):
    place.service.CreateSecurityGroupPolicies = place.service.CreateFirewallRules = lambda **_parameters: {}
    assert "took the change, but its rules do not show it; look at them in the console" in place.error()


def test_the_region_can_be_named(place):
    place.open(region="ap-shanghai")
    assert set(place.cloud.regions) == {"ap-shanghai"}


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "UnauthorizedOperation",
            "; allow vpc:DescribeSecurityGroupPolicies to the key of account main; the policy is in docs/cloud.md",
        ),
        ("InvalidSecurityGroupID.NotFound", "; correct security_group, and the region of account main"),
        (
            "LimitExceeded.SecurityGroupPolicySet",
            "; remove rules of the security group that are not needed; it takes no more",
        ),
    ],
)
def test_what_a_group_refuses_is_said(code, sentence):
    with fake_tencent(SecurityGroups(sg_1=[[]])) as cloud:
        action = "CreateSecurityGroupPolicies" if "Limit" in code else "DescribeSecurityGroupPolicies"
        cloud.refusals[action] = code
        assert Place(cloud, "security_group").error().endswith(sentence)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("ResourceNotFound.InstanceIdNotFound", "; correct instance, and the region of account main"),
        ("UnsupportedOperation.FirewallBusy", "; run this again; another change of the firewall has not ended yet"),
        (
            "LimitExceeded.FirewallRulesLimitExceeded",
            "; remove rules of the firewall that are not needed; it takes no more",
        ),
    ],
)
def test_what_a_lighthouse_refuses_is_said(code, sentence):
    with fake_tencent(Lighthouse(lhins_1=[[]])) as cloud:
        action = "DescribeFirewallRules" if "NotFound" in code else "CreateFirewallRules"
        cloud.refusals[action] = code
        assert Place(cloud, "instance").error().endswith(sentence)


def test_a_group_of_several_instances_is_a_warning():
    with fake_tencent(SecurityGroups(sg_1=[[], 3])) as cloud:
        result = Place(cloud, "security_group").open()
    assert result["instances"] == 3
    assert result["warnings"] == [
        "The change is for all 3 instances that the security group sg-1 of account main is bound to."
    ]


def test_statistics_that_are_not_allowed_are_no_error():
    with fake_tencent(SecurityGroups(sg_1=[[], 3])) as cloud:
        cloud.refusals["DescribeSecurityGroupAssociationStatistics"] = "UnauthorizedOperation"
        result = Place(cloud, "security_group").open()
    assert result["changed"] and result["instances"] is None and result["warnings"] == []


TEMPLATE = {"Protocol": "TCP", "Port": "443", "AddressTemplate": {"AddressId": "ipm-1"}}


def test_a_template_that_accepts_is_not_counted():
    with fake_tencent(SecurityGroups(sg_1=[[{**TEMPLATE, "Action": "ACCEPT"}]])) as cloud:
        result = Place(cloud, "security_group").open()
    assert result["changed"] and result["warnings"] == []


@pytest.mark.parametrize(
    "source",
    [
        {"AddressTemplate": {"AddressId": "ipm-1"}},
        {"SecurityGroupId": "sg-2"},
        {"ServiceTemplate": {"ServiceId": "ppm-1"}},
    ],
)
def test_a_template_that_refuses_is_a_warning(source):
    with fake_tencent(SecurityGroups(sg_1=[[{"Protocol": "TCP", "Port": "443", "Action": "DROP", **source}]])) as cloud:
        result = Place(cloud, "security_group").open()
    (warning,) = result["warnings"]
    assert warning.startswith("Rule 0 of the security group sg-1 of account main (DROP ")
    assert warning.endswith(" cannot be judged here: who is behind it is not known.")


def test_a_rule_of_a_lighthouse_without_a_source_is_for_all_of_ipv4():
    with fake_tencent(Lighthouse(lhins_1=[[{"Protocol": "TCP", "Port": "443", "Action": "ACCEPT"}]])) as cloud:
        place = Place(cloud, "instance")
        assert place.open()["diff"]["after"] == "ACCEPT TCP 443 from 0.0.0.0/0\nACCEPT TCP 443 from ::/0\n"
        assert len(place.rules.rules) == 2


def test_all_pages_of_a_lighthouse_are_read():
    rules = [{**HTTPS, "Port": str(port)} for port in range(1000, 1150)]
    with fake_tencent(Lighthouse(lhins_1=[[*rules, HTTPS, HTTPS6]])) as cloud:
        assert not Place(cloud, "instance").open()["changed"]
        assert len(cloud.calls) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"account": "main"},
            "none is given, and an account of type tencent takes one of security_group, instance; name just one",
        ),
        ({"account": "main", "security_group": "a", "instance": "b"}, "security_group, instance is given"),
        ({"account": "gone", "security_group": "a"}, "there is no account named gone"),
    ],
)
def test_arguments_that_do_not_fit_are_said(arguments, sentence):
    accounts = {"main": {"type": "tencent", "secret_id": "a", "secret_key": "b"}}
    with pytest.raises(TlsError, match=sentence):
        open_firewall(arguments, accounts)


PORT_WORDS = st.sampled_from(["ALL", "443", "80,443", "400-500", "1-442", "22", "444-65535"])
BLOCKS = st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3", "192.0.2.0/24", "192.0.2.0/25"])
RULES = st.builds(
    lambda protocol, port, block, action: {"Protocol": protocol, "Port": port, "CidrBlock": block, "Action": action},
    st.sampled_from(["TCP", "UDP", "ALL", "ICMP"]),
    PORT_WORDS,
    BLOCKS,
    st.sampled_from(["ACCEPT", "DROP"]),
)


@given(
    st.lists(RULES, max_size=6),
    st.sampled_from(["10.1.2.3", "192.0.2.7", "198.51.100.1"]),
    st.sampled_from([443, 80, 22]),
)
def test_single_addresses_are_judged_as_the_cloud_judges_packets(policies, address, port):
    rules = [read_rule(policy, number, has_default_source=False) for number, policy in enumerate(policies)]
    (access,) = parse_port_accesses([port], "tcp", [address])
    rule = deciding_rule(rules, access)
    judged = rule is not None and rule.verdict == "accept"
    firewall = _Rules(policies)
    assert judged == firewall.admits("tcp", port, address)
    assert _matches(HTTPS, "TCP", 443, access.network[0])
