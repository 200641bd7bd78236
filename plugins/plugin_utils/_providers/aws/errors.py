# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of AWS and of botocore as sentences that end in what to do."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, error_text
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten

MAX_MESSAGE_CHARACTERS = 300
POLICY = "the policy for what this collection does is in docs/aws.md"

CREDENTIALS = "correct access_key and secret_key of the account in cloud_accounts, or the profile that it names"
CLOCK = "set the clock of this machine"
EXPIRED = "the session token is over; get a new one, or give the account a role_arn, for which tokens are renewed by themselves"
TOO_OFTEN = "nothing is wrong here; run this again later"
LATER = "see https://health.aws.amazon.com/health/status, and run this again later"
IN_USE = "remove it from what it is bound to first"
TAG_POLICY = "allow the tag evergreen with the name of the request as its value in the tag policy of the organization"
CHANGED_MEANWHILE = "somebody else changed it at the same time; run this again"

# Source: the page "Errors" of each action in the API references of AWS, and "Common error types".
REMEDIES = {
    **dict.fromkeys(
        (
            "AuthFailure",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
        CREDENTIALS,
    ),
    **dict.fromkeys(("InvalidTagException", "TagPolicyException"), TAG_POLICY),
    **dict.fromkeys(("RequestExpired", "RequestTimeTooSkewed"), CLOCK),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"), EXPIRED),
    **dict.fromkeys(
        (
            "ConflictException",
            "PriorRequestNotComplete",
            "RequestInProgressException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "SlowDown",
            "ThrottledException",
        )
        + ("Throttling", "ThrottlingException", "TooManyRequestsException"),
        TOO_OFTEN,
    ),
    **dict.fromkeys(
        ("InternalError", "InternalFailure", "InternalServerError", "InternalServiceException", "ServiceUnavailable")
        + ("Unavailable",),
        LATER,
    ),
    "CertificateNotFound": "import it into the region of the load balancer; write the region of the account in cloud_accounts",
    "DuplicateListener": CHANGED_MEANWHILE,
    "IllegalUpdate": "change that by hand in the console",
    "InvalidChangeBatch": CHANGED_MEANWHILE,
    "InvalidConfigurationRequest": "change that by hand in the console",
    "InvalidGroup.NotFound": "correct security_group, and see that the account has the region of the group",
    "InvalidGroupId.Malformed": "write security_group as AWS names it, like sg-0123456789abcdef0",
    "InvalidIfMatchVersion": CHANGED_MEANWHILE,
    "InvalidParameterException": "report this with the request ID; the certificate was checked before it was sent",
    "InvalidViewerCertificate": "see that the certificate is in us-east-1, covers all aliases of the distribution and has not expired",
    "LimitExceededException": "delete certificates that nobody needs, or have the quota raised in the console (Service Quotas)",
    "ListenerNotFound": "correct listener in cloud, and see that the account has the region of the load balancer",
    "LoadBalancerNotFound": "correct load_balancer in cloud, and see that the account has the region of the load balancer",
    "NoSuchDistribution": "correct resources in cloud: each is the ID of a distribution, like E2EXAMPLE1DIST",
    "NoSuchHostedZone": "correct hosted_zone of the solver: it is an ID, like Z08EXAMPLE1ZONE",
    "OperationNotPermitted": "change that by hand in the console",
    "OptInRequired": "activate the service for this account in the console",
    "PreconditionFailed": CHANGED_MEANWHILE,
    "RegionDisabledException": "activate the region in the console (Account, AWS Regions)",
    "ResourceInUse": IN_USE,
    "ResourceInUseException": IN_USE,
    "ResourceNotFoundException": "see that the account has the right region, and that nobody deleted it",
    "RulesPerSecurityGroupLimitExceeded": "remove rules of the group that nobody needs, or have the quota raised in the console (Service Quotas)",
    "SSLPolicyNotFound": "update the collection, or set the policy of the listener by hand",
    "SubscriptionRequiredException": "activate the service for this account in the console",
    "TooManyCertificates": "remove certificates that nobody needs from the listener, or have the quota raised in the console (Service Quotas)",
    "TooManyListeners": "remove listeners of the load balancer that nobody needs, or have the quota raised in the console (Service Quotas)",
    "TooManyTagsException": "remove tags of the certificate",
}
ENCODED = re.compile("[A-Za-z0-9+/=]{60,}")  # a message may quote what was sent
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedAccess", "UnauthorizedOperation")


class AwsCall(t.NamedTuple):
    """A call, for sentences about it."""

    account: str  # its name in cloud_accounts
    service: str  # the prefix of actions in IAM policies, such as cloudfront
    action: str

    def __str__(self) -> str:
        return f"{self.service}:{self.action} of the account {self.account}"


class RefusedCall(TlsError):
    """An error that AWS answered. *code* is its code, such as ResourceInUseException."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


# not a parser: botocore has parsed it, and what is missing has a default
def refused(call: AwsCall, response: t.Any) -> RefusedCall:
    """Return the error for a botocore ClientError.

    response: its attribute of this name.
    """
    response = response if isinstance(response, dict) else {}
    error, metadata = (_dictionary(response.get(key)) for key in ("Error", "ResponseMetadata"))
    code, status = str(error.get("Code") or "no code"), metadata.get("HTTPStatusCode")
    message = ENCODED.sub("(not shown)", " ".join(str(error.get("Message") or "").split()))
    message = shorten(message, MAX_MESSAGE_CHARACTERS)
    request_id = shorten(str(metadata.get("RequestId") or "none"), 80)
    return RefusedCall(
        f"AWS refuses {call}: {shorten(code, 80)}{message and f' ({message})'}, request ID {request_id}; "
        + _remedy(call, code, message, status),
        code,
    )


def _dictionary(value: t.Any) -> dict[str, t.Any]:
    return value if isinstance(value, dict) else {}


def _remedy(call: AwsCall, code: str, message: str, status: t.Any) -> str:
    if "Signature expired" in message or "Signature not yet current" in message:
        return CLOCK
    if code in DENIED:
        return f"allow {call.service}:{call.action} to this key or role; {POLICY}"
    if code in REMEDIES:
        return REMEDIES[code]
    if isinstance(status, int) and status >= 500:
        return LATER
    return "look the code up in the API reference of the service; if the call itself is wrong, report it with the request ID"


def failed(call: AwsCall, error: BaseException, has_key: bool) -> TlsError:
    """Return the sentence for an exception of botocore that is not an answer of AWS.

    has_key: the call has the private key, so no text of the exception is shown.
    """
    remedy = FAILURES.get(type(error).__name__)
    if isinstance(error, TimeoutError):
        return TlsError(f"{call} did not end in time; see that the endpoint can be reached from the controller")
    text = type(error).__name__ if has_key else error_text(error)
    return TlsError(f"{call} failed ({text}); {remedy or 'run this again, and report what it says if that stays'}")


NETWORK = "see that the endpoint can be reached from the controller, by its proxy if there is one (HTTPS_PROXY)"
NO_CREDENTIALS = (
    "give the account access_key and secret_key or a profile in cloud_accounts, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run "
    "the controller with an instance role"
)
# Source: botocore/exceptions.py.
FAILURES = {
    **dict.fromkeys(
        (
            "ConnectTimeoutError",
            "ConnectionClosedError",
            "ConnectionError",
            "EndpointConnectionError",
            "HTTPClientError",
        )
        + ("ProxyConnectionError", "ReadTimeoutError", "ResponseStreamingError", "IncompleteReadError"),
        NETWORK,
    ),
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError"), NO_CREDENTIALS),
    **dict.fromkeys(
        ("CredentialRetrievalError", "MetadataRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError")
        + ("TokenRetrievalError", "InfiniteLoopConfigError", "InvalidConfigError", "ConfigParseError"),
        "see that `aws sts get-caller-identity` works with this profile for the user who runs Ansible",
    ),
    "SSLError": "the certificate of the endpoint does not verify; name the roots of your proxy or endpoint by ca_bundle of the account",
    **dict.fromkeys(
        # The last three are what botocore runs into where JSON or XML has another shape.
        ("ResponseParserError", "PaginationError", "ResponseTooLarge", "AttributeError", "KeyError", "TypeError"),
        "something other than AWS answers there; see endpoint of the account, and the proxy",
    ),
    "ProfileNotFound": "correct profile of the account in cloud_accounts; `aws configure list-profiles` lists them",
    "NoRegionError": "write the region of the account in cloud_accounts, as in region: eu-central-1",
    "InvalidRegionError": "correct the region of the account in cloud_accounts, as in region: eu-central-1",
}
