# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Tencent Cloud refuses, as sentences: the error codes of its APIs and what to do about each."""

from __future__ import annotations

import fnmatch
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten

BUSY_CODES = (
    "ResourceInUse.CdnOpInProgress",
    "UnsupportedOperation.FirewallBusy",
    "FailedOperation.ResourceInOperating",
    "ResourceInUse.Processing",
)
# The API was asked too often: it took nothing, so everything may be repeated.
RATE_LIMIT_CODES = (
    "RequestLimitExceeded*",
    "LimitExceeded.RateLimitExceeded",
    "LimitExceeded.CdnHostOpTooOften",
    "LimitExceeded.SslCertRequestLimitExceeded",
    "UnauthorizedOperation.OperationTooOften",
    "InvalidParameter.OperationIsTooFrequent",
)
SERVER_ERROR_CODES = (
    "InternalError*",
    "FailedOperation.InternalError*",
    "*.CdnSystemError",
    "FailedOperation.SystemError",
)

# By the pattern of a code; the first that matches holds. {account}, {service} and {action} are those of the call, {clock} is how far
# the clock of this machine is off.
REMEDIES: tuple[tuple[str, str], ...] = (
    (
        "AuthFailure.SecretIdNotFound",
        "correct secret_id and secret_key of account {account} in cloud_accounts; a key of the international site needs site: international",
    ),
    (
        "AuthFailure.SignatureFailure",
        "correct secret_id and secret_key of account {account} in cloud_accounts; a key of the international site needs site: international",
    ),
    ("AuthFailure.SignatureExpire", "set the clock of this machine{clock}"),
    (
        "AuthFailure.TokenFailure",
        "the token of account {account} has expired or does not fit its key; set role_arn in place of token in cloud_accounts",
    ),
    ("AuthFailure.MFAFailure", "use a key of account {account} that needs no second factor"),
    (
        "AuthFailure.InvalidSecretId",
        "the key of account {account} is not one of the API; take one from the console (CAM, API keys)",
    ),
    (
        "AuthFailure.InvalidAuthorization",
        "report this with the RequestId; the signature of this collection does not fit the API",
    ),
    *((pattern, "run this again later, nothing was changed") for pattern in RATE_LIMIT_CODES),
    (
        "UnauthorizedOperation.CdnUserInvalidCredential",
        "activate the CDN for this account in the console (the identity has to be verified there)",
    ),
    (
        "UnauthorizedOperation.CdnUserIsSuspended",
        "only the console can change this: the CDN of account {account} is suspended (overdue payment, or out of traffic)",
    ),
    (
        "UnauthorizedOperation.CdnUserNoWhitelist",
        "account {account} may not use this function of the CDN; ask Tencent Cloud's support to open it, or leave the option out",
    ),
    ("UnauthorizedOperation.CdnHostIsUsedByOther", "the domain belongs to another account's CDN; name that account"),
    (
        "*UnauthorizedOperation*",
        "allow {service}:{action} to the key of account {account}; the policy is in docs/cloud.md",
    ),
    (
        "*CdnCamUnauthorized*",
        "allow {service}:{action} to the key of account {account}; the policy is in docs/cloud.md",
    ),
    (
        "FailedOperation.CAMRoleUnauthorized",
        "allow {service}:{action} to the key of account {account}; the policy is in docs/cloud.md",
    ),
    ("ResourceNotFound.CdnHostNotExists", "add the domain to the CDN first; this collection makes no domains"),
    (
        "ResourceNotFound.CdnUserNotExists",
        "activate the CDN, or, where account {account} is in EdgeOne by now, set service: teo and the zone",
    ),
    ("InvalidParameter.CdnHostExistsInEdgeOne", "the domain is in EdgeOne by now; set service: teo and the zone"),
    ("OperationDenied.ProductUpgraded", "account {account} is in EdgeOne by now; set service: teo and the zone"),
    (
        "OperationDenied.ProductUpdating",
        "account {account} is being moved to EdgeOne; run this again afterwards, with service: teo and the zone",
    ),
    (
        "OperationDenied.UserMigrating",
        "account {account} is being moved to EdgeOne; run this again afterwards, with service: teo and the zone",
    ),
    ("ResourceUnavailable.CdnHostIsLocked", "only the console can change this: the CDN has locked the domain"),
    (
        "ResourceUnavailable.CdnHostIsMalicious",
        "only the console can change this: the CDN has blocked the domain as malicious",
    ),
    ("ResourceUnavailable.CdnHostIsNotOnline", "put the domain online in the console of the CDN, and run this again"),
    ("*.CdnHostInvalidStatus", "put the domain online in the console of the CDN, and run this again"),
    ("*.CDNStatusInvalidDomain", "put the domain online in the console of the CDN, and run this again"),
    (
        "*.CdnHostIsCosDefaultAccess",
        "a default domain of Cloud Object Storage takes no certificate; use a domain of your own",
    ),
    ("*.AccessPortOpenedHttps", "open port 443 in the access ports of the domain, in the console of the CDN"),
    ("*.CdnCertInfoNotFound", "run this again; the certificate is uploaded again if it is gone"),
    ("FailedOperation.SslCertNotFound", "run this again; the certificate is uploaded again if it is gone"),
    ("FailedOperation.CertificateNotFound", "run this again; the certificate is uploaded again if it is gone"),
    (
        "FailedOperation.CertificateParseError",
        "report this with the RequestId; the certificate was checked before it was sent",
    ),
    (
        "FailedOperation.CertificateMatchError",
        "report this with the RequestId; the certificate was checked before it was sent",
    ),
    (
        "FailedOperation.CertificateMismatch",
        "report this with the RequestId; the certificate was checked before it was sent",
    ),
    (
        "FailedOperation.CertificateChainError",
        "report this with the RequestId; the certificate was checked before it was sent",
    ),
    (
        "FailedOperation.CertificateInvalid",
        "report this with the RequestId; the certificate was checked before it was sent",
    ),
    (
        "InvalidParameter.CertificatesNumberExceeded",
        "delete uploaded certificates that nothing uses; evergreen.tls.cloud_certificate_info lists them",
    ),
    (
        "FailedOperation.RevokeResourceFailed",
        "unbind the certificate first; evergreen.tls.cloud_certificate_info says what it is bound to",
    ),
    (
        "FailedOperation.DeleteResourceFailed",
        "unbind the certificate first; evergreen.tls.cloud_certificate_info says what it is bound to",
    ),
    (
        "FailedOperation.CannotBeDeletedWithinHour",
        "run this again in an hour; a free certificate cannot be deleted before",
    ),
    (
        "FailedOperation.ExceedsFreeLimit",
        "the free certificates of account {account} are all in use; revoke one that is not needed, or take an issuer of type acme",
    ),
    (
        "FailedOperation.MainDomainCertificateCountLimit",
        "revoking does not help, and certificates of other accounts count too: wait until one of them ends, or take an issuer of type acme",
    ),
    ("FailedOperation.NoRealNameAuth", "verify the identity of account {account} in the console first"),
    (
        "InvalidParameterValue.CertificateDomainMaxLengthInvalid",
        "free certificates are for names of up to 64 characters; take an issuer of type acme",
    ),
    (
        "InvalidParameter.CertNotMatchDomain",
        "the certificate does not cover the domain; add it to the domains of the request",
    ),
    ("InvalidParameter.CertToExpire", "renew the certificate first; EdgeOne takes none that ends soon"),
    ("FailedOperation.CertificateHasExpired", "renew the certificate first; EdgeOne takes none that has ended"),
    ("*SecurityGroup*NotFound*", "correct security_group, and the region of account {account}"),
    ("InvalidSecurityGroupID*", "correct security_group, and the region of account {account}"),
    (
        "UnsupportedOperation.VersionMismatch",
        "something else changes the rules at the same time; see what does, and run this again",
    ),
    (
        "UnsupportedOperation.FirewallVersionMismatch",
        "something else changes the rules at the same time; see what does, and run this again",
    ),
    ("UnsupportedOperation.FirewallBusy", "run this again; another change of the firewall has not ended yet"),
    (
        "LimitExceeded.SecurityGroupPolicySet",
        "remove rules of the security group that are not needed; it takes no more",
    ),
    ("LimitExceeded.FirewallRulesLimitExceeded", "remove rules of the firewall that are not needed; it takes no more"),
    ("ResourceNotFound.InstanceIdNotFound", "correct instance, and the region of account {account}"),
    ("InvalidParameterValue.InstanceIdMalformed", "correct instance; it is written lhins-…"),
    ("ResourceNotFound.ZoneNotFound", "correct zone; it is written zone-…, as in the console of EdgeOne"),
    ("*.RecordTtlLimit", "set the solver's ttl to what the plan of the domain allows"),
    ("InvalidParameterValue.DomainNotExists", "add the domain to DNSPod, or name the account that has it"),
    ("ResourceNotFound.NoDataOfDomain", "add the domain to DNSPod, or name the account that has it"),
    ("FailedOperation.DomainIsLocked", "unlock the domain in the console of DNSPod"),
    ("*DomainIsSpam", "only the console can change this: DNSPod has blocked the domain"),
    ("FailedOperation.DomainIsNotAllowed*", "only the console can change this: DNSPod has blocked the domain"),
    ("ResourceInUse.CdnOpInProgress", "run this again; a change of the domain has not ended yet"),
    ("FailedOperation.ResourceInOperating", "run this again; a change of the load balancer has not ended yet"),
    ("InvalidParameter.LBIdNotFound", "correct cloud.load_balancer, and the region"),
    ("OperationDenied.NoPermissionToOperateDomain", "the domain is with another account; name that account"),
    ("NoSuchProduct", "correct site and endpoint of account {account} in cloud_accounts"),
    ("UnsupportedRegion", "correct the region of account {account} in cloud_accounts"),
    ("InvalidParameterValue.RegionNotFound", "correct the region of account {account} in cloud_accounts"),
    *(
        (pattern, "try again later; if it stays, report it to Tencent Cloud with the RequestId")
        for pattern in SERVER_ERROR_CODES
    ),
)
OTHER_REMEDY = "look the code up in the documentation of {service}:{action}, or report this with the RequestId"


class TencentError(TlsError):
    """A refusal of Tencent Cloud."""

    def __init__(self, sentence: str, code: str, request_id: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.request_id = request_id


class Call(t.NamedTuple):
    """What was called, for the texts of errors."""

    account: str
    service: str
    action: str


def matches(code: str, patterns: t.Iterable[str]) -> bool:
    """Say whether a code is one of those that the patterns name."""
    return any(fnmatch.fnmatchcase(code, pattern) for pattern in patterns)


def refusal(call: Call, code: str, message: str, request_id: str, clock_offset: float | None = None) -> TencentError:
    """Return an error code of the API as an error with what to do.

    clock_offset: seconds by which the clock of this machine is ahead of the one of the API, or None where that is not known.
    """
    clock = (
        ""
        if clock_offset is None
        else f" (it is {abs(clock_offset):.0f} s {'ahead' if clock_offset > 0 else 'behind'})"
    )
    text = next((text for pattern, text in REMEDIES if fnmatch.fnmatchcase(code, pattern)), OTHER_REMEDY)
    remedy = text.format(account=call.account, service=call.service, action=call.action, clock=clock)
    return TencentError(
        f"Tencent Cloud refuses {call.service}:{call.action} for account {call.account}: {shorten(message)} "
        f"({shorten(code, 100)}, RequestId {shorten(request_id, 100)}); {remedy}",
        code,
        request_id,
    )
