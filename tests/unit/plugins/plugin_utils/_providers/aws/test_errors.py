# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each error code of AWS is a sentence that names the call, the code and the request, and ends in what to do."""

from __future__ import annotations

import botocore.session
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.errors import (
    DENIED,
    REMEDIES,
    AwsCall,
    refused,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession
from ansible_collections.evergreen.tls.tests.cloud.aws.server import Refusal

CREDENTIALS = "correct access_key and secret_key of the account in cloud_accounts, or the profile that it names"
LATER = "see https://health.aws.amazon.com/health/status, and run this again later"
MEANWHILE = "somebody else changed it at the same time; run this again"
QUOTA = "have the quota raised in the console (Service Quotas)"

# By code: what the sentence ends in.
ENDS = {
    "AuthFailure": CREDENTIALS,
    "IncompleteSignature": CREDENTIALS,
    "IncompleteSignatureException": CREDENTIALS,
    "InvalidAccessKeyId": CREDENTIALS,
    "InvalidClientTokenId": CREDENTIALS,
    "InvalidSignatureException": CREDENTIALS,
    "MissingAuthenticationToken": CREDENTIALS,
    "MissingAuthenticationTokenException": CREDENTIALS,
    "SignatureDoesNotMatch": CREDENTIALS,
    "UnrecognizedClientException": CREDENTIALS,
    "RequestExpired": "set the clock of this machine",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "ExpiredToken": "give the account a role_arn, for which tokens are renewed by themselves",
    "ExpiredTokenException": "give the account a role_arn, for which tokens are renewed by themselves",
    "TokenRefreshRequired": "give the account a role_arn, for which tokens are renewed by themselves",
    "AccessDenied": "allow acm:ImportCertificate to this key or role; the policy for what this collection does is in docs/aws.md",
    "AccessDeniedException": "allow acm:ImportCertificate to this key or role; the policy for what this collection does is in docs/aws.md",
    "UnauthorizedAccess": "allow acm:ImportCertificate to this key or role; the policy for what this collection does is in docs/aws.md",
    "UnauthorizedOperation": "allow acm:ImportCertificate to this key or role; the policy for what this collection does is in docs/aws.md",
    "ConflictException": "nothing is wrong here; run this again later",
    "PriorRequestNotComplete": "nothing is wrong here; run this again later",
    "RequestLimitExceeded": "nothing is wrong here; run this again later",
    "RequestThrottled": "nothing is wrong here; run this again later",
    "SlowDown": "nothing is wrong here; run this again later",
    "ThrottledException": "nothing is wrong here; run this again later",
    "Throttling": "nothing is wrong here; run this again later",
    "ThrottlingException": "nothing is wrong here; run this again later",
    "TooManyRequestsException": "nothing is wrong here; run this again later",
    "InternalError": LATER,
    "InternalFailure": LATER,
    "InternalServerError": LATER,
    "InternalServiceException": LATER,
    "ServiceUnavailable": LATER,
    "Unavailable": LATER,
    "CertificateNotFound": "write the region of the account in cloud_accounts",
    "DuplicateListener": MEANWHILE,
    "IllegalUpdate": "change that by hand in the console",
    "InvalidChangeBatch": MEANWHILE,
    "InvalidConfigurationRequest": "change that by hand in the console",
    "InvalidGroup.NotFound": "correct security_group, and see that the account has the region of the group",
    "InvalidGroupId.Malformed": "write security_group as AWS names it, like sg-0123456789abcdef0",
    "InvalidIfMatchVersion": MEANWHILE,
    "InvalidParameterException": "report this with the request ID; the certificate was checked before it was sent",
    "InvalidTagException": "allow the tag evergreen with the name of the request as its value in the tag policy of the organization",
    "InvalidViewerCertificate": "see that the certificate is in us-east-1, covers all aliases of the distribution and has not expired",
    "LimitExceededException": QUOTA,
    "ListenerNotFound": "correct listener in cloud, and see that the account has the region of the load balancer",
    "LoadBalancerNotFound": "correct load_balancer in cloud, and see that the account has the region of the load balancer",
    "NoSuchDistribution": "correct resources in cloud: each is the ID of a distribution, like E2EXAMPLE1DIST",
    "NoSuchHostedZone": "correct hosted_zone of the solver: it is an ID, like Z08EXAMPLE1ZONE",
    "OperationNotPermitted": "change that by hand in the console",
    "OptInRequired": "activate the service for this account in the console",
    "PreconditionFailed": MEANWHILE,
    "RegionDisabledException": "activate the region in the console (Account, AWS Regions)",
    "RequestInProgressException": "nothing is wrong here; run this again later",
    "ResourceInUse": "remove it from what it is bound to first",
    "ResourceInUseException": "remove it from what it is bound to first",
    "ResourceNotFoundException": "see that the account has the right region, and that nobody deleted it",
    "RulesPerSecurityGroupLimitExceeded": QUOTA,
    "SSLPolicyNotFound": "update the collection, or set the policy of the listener by hand",
    "SubscriptionRequiredException": "activate the service for this account in the console",
    "TagPolicyException": "allow the tag evergreen with the name of the request as its value in the tag policy of the organization",
    "TooManyCertificates": f"remove certificates that nobody needs from the listener, or {QUOTA}",
    "TooManyListeners": f"remove listeners of the load balancer that nobody needs, or {QUOTA}",
    "TooManyTagsException": "remove tags of the certificate",
}
# The calls of this collection whose errors botocore describes.
CALLS = {
    "acm": ["ImportCertificate", "AddTagsToCertificate", "DeleteCertificate", "GetCertificate", "DescribeCertificate"],
    "elbv2": [
        *("DescribeLoadBalancers", "DescribeListeners", "AddListenerCertificates", "RemoveListenerCertificates"),
        *("ModifyListener", "CreateListener", "DeleteListener", "ModifyListenerAttributes"),
    ],
    "resourcegroupstaggingapi": ["GetResources"],
    "sts": ["AssumeRole"],
}
# Errors of what this collection never sends. They end in looking the code up.
OF_OTHER_OPTIONS = {
    *(
        "ALPNPolicyNotFound",
        "IncompatibleProtocols",
        "InvalidArnException",
        "InvalidContextAssertion",
    ),
    *(
        "InvalidLoadBalancerAction",
        "MalformedPolicyDocument",
        "PackedPolicyTooLarge",
        "PaginationTokenExpiredException",
    ),
    *(
        "TargetGroupAssociationLimit",
        "TargetGroupNotFound",
        "TooManyActions",
        "TooManyRegistrationsForTargetId",
        "TooManyTags",
    ),
    *("TooManyTargets", "TooManyUniqueTargetGroupsPerLoadBalancer", "TrustStoreNotFound", "TrustStoreNotReady"),
    *("UnsupportedProtocol", "ValidationException"),
}


@pytest.mark.parametrize("code", sorted({*REMEDIES, *DENIED}))
def test_each_code_is_a_sentence_that_ends_in_what_to_do(code):
    response = {"Error": {"Code": code, "Message": "the words of AWS"}, "ResponseMetadata": {"RequestId": "11-22"}}
    error = refused(AwsCall("shop", "acm", "ImportCertificate"), response)
    start = f"AWS refuses acm:ImportCertificate of the account shop: {code} (the words of AWS), request ID 11-22; "
    assert str(error).startswith(start)
    assert str(error).endswith(ENDS[code])
    assert error.code == code


def test_no_other_code_is_in_the_table():
    assert set(ENDS) == {*REMEDIES, *DENIED}


def test_what_botocore_describes_for_the_calls_is_in_the_table():
    session, codes = botocore.session.get_session(), set()
    for service, operations in CALLS.items():
        model = session.get_service_model(service)
        shapes = [shape for operation in operations for shape in model.operation_model(operation).error_shapes]
        assert shapes, service
        codes |= {(shape.metadata.get("error") or {}).get("code") or shape.name for shape in shapes}
    assert codes - set(ENDS) == OF_OTHER_OPTIONS


# What a service answers, in the form of its API, to a call.
ANSWERS = [
    ("acm", "ImportCertificate", {"Certificate": b"x", "PrivateKey": b"x"}, "LimitExceededException", 400),
    (
        "acm",
        "DeleteCertificate",
        {"CertificateArn": f"arn:aws:acm:eu-central-1:{'1' * 12}:certificate/x"},
        "AccessDeniedException",
        400,
    ),
    ("cloudfront", "GetDistributionConfig", {"Id": "E1"}, "NoSuchDistribution", 404),
    ("cloudfront", "GetDistributionConfig", {"Id": "E1"}, "AccessDenied", 403),
    ("cloudfront", "GetDistribution", {"Id": "E1"}, "ExpiredToken", 403),
    ("elbv2", "DescribeLoadBalancers", {"Names": ["web"]}, "LoadBalancerNotFound", 400),
    (
        "elbv2",
        "AddListenerCertificates",
        {"ListenerArn": "a", "Certificates": [{"CertificateArn": "b"}]},
        "TooManyCertificates",
        400,
    ),
    ("elbv2", "DescribeListeners", {"LoadBalancerArn": "a"}, "InvalidClientTokenId", 403),
    ("ec2", "DescribeSecurityGroups", {}, "AuthFailure", 401),
    ("ec2", "DescribeSecurityGroups", {}, "RequestExpired", 400),
    ("route53", "ListHostedZonesByName", {}, "InvalidClientTokenId", 403),
    ("route53", "ListResourceRecordSets", {"HostedZoneId": "Z1"}, "NoSuchHostedZone", 404),
]


@pytest.mark.parametrize(("service", "action", "arguments", "code", "status"), ANSWERS)
def test_a_code_is_read_in_the_form_of_each_api(cloud, settings, monkeypatch, service, action, arguments, code, status):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    cloud.refusals[action] = Refusal(code, "the words of AWS", status)
    with pytest.raises(TlsError) as caught:
        AwsSession("shop", settings).client(service).call(action, **arguments)
    text = str(caught.value)
    assert f":{action} of the account shop: {code} (the words of AWS), request ID " in text
    assert text.endswith(ENDS[code].replace("acm:ImportCertificate", f"{service}:{action}"))
