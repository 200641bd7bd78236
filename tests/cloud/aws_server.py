# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS as a program, for scenarios of molecule: a distribution and a load balancer that answer by TLS on addresses of their own.

python -m ansible_collections.evergreen.tls.tests.cloud.aws_server FILE SPREAD_S EDGE,EDGE,… BALANCER ALIAS

It listens on the loopback network, writes its URL and the keys of a user into FILE as JSON, and ends when FILE is gone. The user has the
policy of docs/aws.md, and moto checks signatures and that policy. The addresses have ports 443 and 80. Beside the API:

GET  /state   the calls since the last POST that cleared them, the imports, and what is bound
POST /state   {stubborn: true} has the edges follow no change from now on, {refuse: {ACTION: CODE}} has actions refused, {kill: [[ACTION, TEXT]…]}
              kills the clients that make these calls, before anything is done, and {clear: true} clears the calls
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import sys
import time

import boto3
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.evergreen.tls.tests.cloud.aws.server import AwsCloud, Refusal, distribution_config
from ansible_collections.evergreen.tls.tests.cloud.edges import Edge
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem

MAX_LIFETIME_S = 1800
REGION = "eu-central-1"
PAGE = pathlib.Path(__file__).parents[2] / "docs/aws.md"
OLDEST_VERSIONS = {"TLSv1.3_2025": ["TLSv1.3"]}  # by security policy; all others take TLS 1.2
VERSIONS = ["TLSv1.2", "TLSv1.3"]


class Controlled:
    """The cloud with what a person made in it, and what tests may do to it."""

    def __init__(self, cloud, edges, balancer, alias):
        self.cloud = cloud
        cloud.control = self
        self.distribution = self._client("cloudfront").create_distribution(
            DistributionConfig=distribution_config(alias)
        )
        self.distribution = self.distribution["Distribution"]["Id"]
        self.group, self.listener = self._create_load_balancer()
        self.keys = self._create_user()
        self.edges = [Edge(address, self._at_cloudfront, self._pair) for address in edges]
        self.edges.append(Edge(balancer, self._at_load_balancer, self._pair))
        cloud.settle()
        cloud.calls.clear()
        cloud.check_policies(0)

    def _client(self, service):
        keys = {"aws_access_key_id": "AKIAPERSON", "aws_secret_access_key": "secret"}
        return boto3.client(service, region_name=REGION, endpoint_url=self.cloud.url, **keys)

    def _create_load_balancer(self):
        ec2, elb = self._client("ec2"), self._client("elbv2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
                "SubnetId"
            ]
            for number, zone in enumerate("ab")
        ]
        group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = Authority().leaf(["other.example.com"], key)
        other = self._client("acm").import_certificate(
            Certificate=certificate.public_bytes(Encoding.PEM), PrivateKey=key_pem(key)
        )["CertificateArn"]
        arn = elb.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        created = elb.create_listener(
            LoadBalancerArn=arn,
            Port=443,
            Protocol="HTTPS",
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
            Certificates=[{"CertificateArn": other}],
        )
        return group, created["Listeners"][0]["ListenerArn"]

    def _create_user(self):
        iam = self._client("iam")
        policy = re.search("```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
        iam.create_user(UserName="automation")
        iam.put_user_policy(UserName="automation", PolicyName="evergreen", PolicyDocument=policy)
        created = iam.create_access_key(UserName="automation")["AccessKey"]
        return {"access_key": created["AccessKeyId"], "secret_key": created["SecretAccessKey"]}

    def _at_cloudfront(self, name):
        """Return what an edge does for a name, or None for a name that it does not know."""
        self.cloud.settle()
        config = self.cloud.distributions()[self.distribution].distribution_config
        if name not in config.Aliases["Items"]:
            return None
        certificate = self.cloud.served.get(self.distribution)
        policy = config.ViewerCertificate.minimum_protocol_version
        redirect = config.DefaultCacheBehavior.viewer_protocol_policy == "redirect-to-https"
        return _configuration(certificate, OLDEST_VERSIONS.get(policy, VERSIONS), redirect)

    def _at_load_balancer(self, name):
        """Return what the listener does for a name. Of several certificates for it, the one that was added first is presented."""
        listeners = self.cloud.listeners(REGION)
        arns = listeners[self.listener].certificates
        matching = [arn for arn in arns if name in self.cloud.certificates(REGION)[arn].sans]
        ports = {str(one.port) for one in listeners.values()}
        return _configuration((matching or arns)[0], VERSIONS, "80" in ports)

    def _pair(self, arn):
        bundle = self.cloud.certificates(arn.split(":")[3])[arn]
        return bundle.cert.decode() + self.cloud.chains[arn], bundle.key.decode()

    def get(self):
        imports = {region: len(self.cloud.certificates(region)) for region in ("us-east-1", REGION)}
        return {
            "actions": self.cloud.actions(),
            "changes": self.cloud.changes(),
            "imports": imports,
            "bound": self.cloud.bound(self.distribution),
            "listener": len(self.cloud.listeners(REGION)[self.listener].certificates),
            "killed": self.cloud.killer.killed,
        }

    def post(self, orders):
        self.cloud.is_stubborn = orders.get("stubborn", self.cloud.is_stubborn)
        if "kill" in orders:
            self.cloud.killer.expect(orders["kill"])
        self.cloud.refusals.update(
            {action: Refusal(code, "refused for a test") for action, code in orders.get("refuse", {}).items()}
        )
        if orders.get("clear"):
            self.cloud.calls.clear()
        return {}


def _configuration(certificate, versions, redirect):
    """Return a configuration as edges read it."""
    return {
        "Https": {
            "Switch": "on" if certificate else "off",
            "CertInfo": {"CertId": certificate},
            "TlsVersion": versions,
        },
        "ForceRedirect": {"Switch": "on" if redirect else "off", "RedirectStatusCode": 301},
    }


def main():
    path = pathlib.Path(sys.argv[1])
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    with AwsCloud(float(sys.argv[2])) as cloud:
        controlled = Controlled(cloud, sys.argv[3].split(","), *sys.argv[4:])
        known = {"url": cloud.url, "security_group": controlled.group, "distribution": controlled.distribution}
        partial = path.with_suffix(".new")
        partial.write_text(json.dumps({**known, **controlled.keys}), encoding="utf-8")
        partial.rename(path)
        end = time.monotonic() + MAX_LIFETIME_S
        while path.exists() and time.monotonic() < end:
            time.sleep(0.5)


if __name__ == "__main__":
    main()
