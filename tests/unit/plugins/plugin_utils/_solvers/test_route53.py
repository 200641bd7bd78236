# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TXT records in hosted zones of Route 53. What the cloud of the tests has is what name servers on the loopback network answer."""

from __future__ import annotations

import boto3
import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws import route53
from ansible_collections.evergreen.tls.tests.cloud.aws.server import Refusal, aws_cloud
from ansible_collections.evergreen.tls.tests.unit.cloud_solver import cloud_solver, error_text, response
from ansible_collections.evergreen.tls.tests.unit.fake_internet import name_of

RECORD = "_acme-challenge.example.org"


@pytest.fixture
def zone(here):
    return here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))


@pytest.fixture
def cloud(zone, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(route53, "PAUSE_S", 0.01)
    with aws_cloud() as started:

        def publish():
            values, _ttl = started.record_sets(started.zone_id).get((RECORD, "TXT"), ([], 0))
            zone.records[name_of(RECORD), dns.rdatatype.TXT] = set(values)

        started.after["ChangeResourceRecordSets"] = publish
        started.zone_id = hosted_zone(started)
        started.calls.clear()
        yield started


def person(cloud):
    """Return the hand of a person who changes the zone, too."""
    keys = {"aws_access_key_id": "AKIAPERSON", "aws_secret_access_key": "secret"}
    return boto3.client("route53", region_name="us-east-1", endpoint_url=cloud.url, **keys)


def hosted_zone(cloud, name="example.org", **options):
    created = person(cloud).create_hosted_zone(Name=name, CallerReference=f"{len(cloud.calls)}", **options)
    return created["HostedZone"]["Id"].rpartition("/")[2]


def write(cloud, *values, action="UPSERT", ttl=300):
    record_set = {
        "Name": RECORD,
        "Type": "TXT",
        "TTL": ttl,
        "ResourceRecords": [{"Value": f'"{value}"'} for value in values],
    }
    changes = [{"Action": action, "ResourceRecordSet": record_set}]
    person(cloud).change_resource_record_sets(HostedZoneId=cloud.zone_id, ChangeBatch={"Changes": changes})


def record(cloud):
    """Return the values of the record and its TTL, or None."""
    return cloud.record_sets(cloud.zone_id).get((RECORD, "TXT"))


def solver(here, cloud, **settings):
    accounts = {
        "main": {"type": "aws", "access_key": "AKIAEXAMPLE", "secret_key": "secret", "endpoint": cloud.url},
        "china": {"type": "tencent"},
    }
    return cloud_solver(here, "route53", accounts, **settings)


def test_a_name_and_its_wildcard_have_their_values_side_by_side(here, cloud):
    opened = solver(here, cloud)
    opened.check(["example.org", "*.example.org"])
    assert record(cloud) is None
    opened.present([response("one"), response("two")])
    assert record(cloud) == (['"one"', '"two"'], 60)
    opened.clean_up([response("one"), response("two")])
    assert record(cloud) is None


def test_values_of_others_and_their_ttl_are_kept(here, cloud):
    write(cloud, "of others", ttl=5)
    opened = solver(here, cloud, ttl=30)
    opened.present([response("mine")])
    assert record(cloud) == (['"mine"', '"of others"'], 5)
    opened.clean_up([response("mine")])
    assert record(cloud) == (['"of others"'], 5)


def test_a_value_of_an_earlier_run_is_taken_over_and_removed(here, cloud):
    write(cloud, "mine", "of others", ttl=1)
    opened = solver(here, cloud)
    cloud.calls.clear()
    opened.present([response("mine")])
    assert cloud.changes() == []
    opened.clean_up([response("mine")])
    assert record(cloud) == (['"of others"'], 1)


def test_values_that_were_never_added_are_no_error(here, cloud):
    solver(here, cloud).clean_up([response("never")])
    assert cloud.changes() == []


@pytest.mark.parametrize("before", [[], ["of others"]], ids=["a new record", "a record of others"])
def test_what_somebody_adds_at_the_same_time_is_kept(here, cloud, before):
    if before:
        write(cloud, *before, ttl=1)

    def interfere():
        cloud.before.pop("ChangeResourceRecordSets")
        write(cloud, *before, "in between", ttl=1)

    opened = solver(here, cloud)
    cloud.before["ChangeResourceRecordSets"] = interfere
    opened.present([response("mine")])
    assert record(cloud)[0] == sorted(f'"{value}"' for value in [*before, "in between", "mine"])


def test_changes_of_others_without_end_are_told(here, cloud):
    cloud.refusals["ChangeResourceRecordSets"] = Refusal("InvalidChangeBatch", "the values do not match")
    sentence = error_text(lambda: solver(here, cloud).present([response("mine")]))
    assert "InvalidChangeBatch" in sentence and "somebody else changed it at the same time; run this again" in sentence
    assert cloud.changes() == ["ChangeResourceRecordSets"] * 5


def test_it_waits_until_all_name_servers_of_route_53_have_the_change(here, cloud):
    cloud.looks_until_insync = 3
    solver(here, cloud).present([response("mine")])
    assert cloud.actions().count("GetChange") == 4


def test_a_missing_permission_is_told_before_the_order(here, cloud):
    cloud.refusals["ChangeResourceRecordSets"] = Refusal("AccessDenied", "is not authorized", 403)
    sentence = error_text(lambda: solver(here, cloud).check(["example.org"]))
    assert "allow route53:ChangeResourceRecordSets to this key or role" in sentence


def test_a_zone_of_another_account_is_told_before_the_order(here, cloud):
    here.zone("example.net")
    sentence = error_text(lambda: solver(here, cloud).check(["example.net"]))
    assert sentence.endswith(
        "the account main has no public hosted zone example.net in Route 53; name the account that has it, or another solver"
    )


def test_a_private_zone_of_the_same_name_is_not_taken(here, cloud):
    options = {"VPC": {"VPCRegion": "eu-central-1", "VPCId": "vpc-1"}, "HostedZoneConfig": {"PrivateZone": True}}
    hosted_zone(cloud, **options)
    opened = solver(here, cloud)
    opened.present([response("mine")])
    assert record(cloud) is not None


def test_of_several_public_zones_one_has_to_be_named(here, cloud):
    other = hosted_zone(cloud)
    sentence = error_text(lambda: solver(here, cloud).check(["example.org"]))
    assert other in sentence and "name the one that the domain is delegated to by hosted_zone of the solver" in sentence
    opened = solver(here, cloud, hosted_zone=cloud.zone_id)
    opened.present([response("mine")])
    assert record(cloud) == (['"mine"'], 60)


def test_a_record_with_a_routing_policy_is_left_alone(here, cloud):
    record_set = {
        "Name": RECORD,
        "Type": "TXT",
        "TTL": 60,
        "ResourceRecords": [{"Value": '"x"'}],
        "SetIdentifier": "a",
        "Weight": 1,
    }
    changes = [{"Action": "CREATE", "ResourceRecordSet": record_set}]
    person(cloud).change_resource_record_sets(HostedZoneId=cloud.zone_id, ChangeBatch={"Changes": changes})
    cloud.calls.clear()
    sentence = error_text(lambda: solver(here, cloud).present([response("mine")]))
    assert f"the TXT record {RECORD} in Route 53 has a routing policy or is an alias" in sentence
    assert cloud.changes() == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"access_key": "AKIA"}, "there are both account and access_key; leave one of them out"),
        (
            {"account": "china"},
            "account china is of type tencent, and this solver needs one of type aws; name another account",
        ),
        ({"ttl": 0}, "ttl is 0, and has to be 1 to 86400 seconds; correct it"),
        (
            {"account": None, "access_key": "AKIA"},
            "has no secret_key; give it both access_key and secret_key, or neither",
        ),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(here, cloud, settings, sentence):
    assert sentence in error_text(lambda: solver(here, cloud, **settings))


def test_keys_may_be_those_of_the_solver_alone(here, cloud):
    own = {"account": None, "access_key": "AKIA", "secret_key": "secret", "endpoint_url": cloud.url}
    opened = solver(here, cloud, **own)
    opened.present([response("mine")])
    assert record(cloud) is not None
