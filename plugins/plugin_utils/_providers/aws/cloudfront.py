# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Amazon CloudFront: distributions that present a certificate of ACM in us-east-1.

A configuration is read, one leaf of it is changed, and all of it is written back with the ETag of what was read (If-Match). Source: API
reference of CloudFront 2020-05-31, data type DistributionConfig, and "Requirements for using SSL/TLS certificates with CloudFront".
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding, Settings
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.acm import AcmCertificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.client import AwsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.errors import RefusedCall
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.imported_service import ImportedService

if t.TYPE_CHECKING:
    from cryptography import x509

CERTIFICATE_REGION = "us-east-1"
CURVES = ("secp256r1",)
MAX_TRIES = 3  # of a change, where somebody else changes the same distribution
# The security policies of CloudFront by the oldest version of TLS that each takes; all take the newer ones. The first is set where
# another version is asked for.
POLICIES = {
    "TLSv1": ["TLSv1_2016", "TLSv1", "SSLv3"],
    "TLSv1.1": ["TLSv1.1_2016"],
    "TLSv1.2": ["TLSv1.2_2021", "TLSv1.2_2018", "TLSv1.2_2019", "TLSv1.2_2025"],
    "TLSv1.3": ["TLSv1.3_2025"],
}
VERSIONS = list(POLICIES)
DEFAULT_POLICY = "TLSv1.2_2021"  # for a distribution that had the certificate of *.cloudfront.net
CHANGED_MEANWHILE = ("PreconditionFailed", "InvalidIfMatchVersion")


class CloudFront(ImportedService):
    """The distributions of one certificate request."""

    def __init__(
        self,
        client: AwsClient,
        certificates: AcmCertificates,
        distributions: list[str],
        domains: list[str],
        is_reimporting: bool = False,
    ) -> None:
        """Take the IDs of distributions. Without any, they are those with one of the domains among their aliases.

        is_reimporting: whether a certificate takes the place of the one before under the same ARN.
        """
        super().__init__(certificates, is_reimporting)
        self.client = client
        self.distributions, self.domains = distributions, domains
        self.title = f"CloudFront of the account {client.account}"
        if client.partition != "aws":
            raise TlsError(
                f"{self.title} is in the partition {client.partition}, where CloudFront does not take certificates of ACM, and this "
                "collection knows no other way; bind the certificate by hand there"
            )

    def check(self, chain: list[x509.Certificate]) -> None:
        """Raise TlsError for a type of key that CloudFront refuses."""
        self.certificates.check(chain, CURVES, "CloudFront")

    def bindings(self) -> list[Binding]:
        """Return what each distribution presents, by its ID."""
        return [self._binding(identifier) for identifier in self.distributions or self._distributions_of_domains()]

    def bind(self, binding: Binding, certificate: str) -> None:
        """Have a distribution present a certificate."""

        def change(config: dict[str, t.Any]) -> None:
            before = config.get("ViewerCertificate") or {}
            has_own = bool(before.get("ACMCertificateArn") or before.get("IAMCertificateId"))
            config["ViewerCertificate"] = {
                "ACMCertificateArn": certificate,
                "SSLSupportMethod": (has_own and before.get("SSLSupportMethod")) or "sni-only",
                "MinimumProtocolVersion": (has_own and before.get("MinimumProtocolVersion")) or DEFAULT_POLICY,
            }

        self._update(binding.resource, change)

    def configure(self, binding: Binding, settings: Settings) -> None:
        """Set the redirect of each cache behavior, and the oldest version of TLS."""
        policy = security_policy(settings.get("tls_versions"))
        check_settings(settings)

        def change(config: dict[str, t.Any]) -> None:
            if "redirect" in settings:
                set_redirect(config, settings["redirect"])
            viewer = config.get("ViewerCertificate") or {}
            if policy and _oldest_version(viewer.get("MinimumProtocolVersion")) != _oldest_version(policy):
                viewer["MinimumProtocolVersion"] = policy

        self._update(binding.resource, change)

    def _distributions_of_domains(self) -> list[str]:
        """Return the IDs of the distributions that have the domains among their aliases, each once."""
        by_alias = {
            str(alias).lower(): str(one.get("Id"))
            for one in self.client.items("ListDistributions", "DistributionList.Items")
            for alias in (one.get("Aliases") or {}).get("Items") or []
        }
        missing = [domain for domain in self.domains if domain not in by_alias]
        if missing:
            raise TlsError(
                f"{self.title} has no distribution with the alias {', '.join(missing)}; name its ID by resources in cloud. CloudFront takes "
                "an alias only once a certificate for it is bound, so add it there afterwards"
            )
        return list(dict.fromkeys(by_alias[domain] for domain in self.domains))

    def _binding(self, identifier: str) -> Binding:
        distribution = self.client.call("GetDistribution", "Distribution", Id=identifier)
        config = distribution.get("DistributionConfig") or {}
        viewer = config.get("ViewerCertificate") or {}
        settings = Settings()
        if config.get("DefaultCacheBehavior"):
            settings["redirect"] = has_redirect(config)
        oldest = _oldest_version(viewer.get("MinimumProtocolVersion"))
        if oldest:
            settings["tls_versions"] = VERSIONS[VERSIONS.index(oldest) :]
        is_deployed = distribution.get("Status") == "Deployed"
        state: t.Literal["ready", "busy", "unfit"] = "ready" if is_deployed else "busy"
        reason = "" if is_deployed else f"CloudFront distributes a change of {identifier} to its edges; wait"
        if not config.get("Enabled"):
            state, reason = "unfit", "the distribution is disabled; enable it in the console"
        elif config.get("Staging"):
            state, reason = (
                "unfit",
                "it is a staging distribution, which serves no clients; name the primary one by resources in cloud",
            )
        certificate = viewer.get("ACMCertificateArn") or viewer.get("IAMCertificateId") or None
        return Binding(identifier, certificate, state, reason, settings, distribution.get("DomainName"))

    def _update(self, identifier: str, change: t.Callable[[dict[str, t.Any]], None]) -> None:
        """Read a configuration, change it, and write it unless nothing changed."""
        for tries_left in reversed(range(MAX_TRIES)):
            response = self.client.call("GetDistributionConfig", Id=identifier)
            config, etag = response.get("DistributionConfig"), response.get("ETag")
            if not config or not etag:
                raise TlsError(
                    f"{self.title} answers without a configuration of {identifier}; see the proxy, if there is one"
                )
            before = repr(config)
            change(config)
            if repr(config) == before:
                return
            try:
                self.client.call("UpdateDistribution", Id=identifier, DistributionConfig=config, IfMatch=etag)
                return
            except RefusedCall as error:
                if error.code not in CHANGED_MEANWHILE or not tries_left:
                    raise


# not a parser: botocore has parsed it, and what is missing has a default
def _behaviors(config: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    more = (config.get("CacheBehaviors") or {}).get("Items") or []
    return [behavior for behavior in [config.get("DefaultCacheBehavior"), *more] if behavior]


def has_redirect(config: dict[str, t.Any]) -> bool:
    """Say whether all behaviors redirect HTTP. One that refuses it (https-only) counts, except for the default."""
    policies = [behavior.get("ViewerProtocolPolicy") for behavior in _behaviors(config)]
    return policies[0] == "redirect-to-https" and "allow-all" not in policies


def set_redirect(config: dict[str, t.Any], redirect: bool) -> None:
    """Have the cache behaviors redirect HTTP, or answer it. What refuses it (https-only) stays so, except for the default."""
    for number, behavior in enumerate(_behaviors(config)):
        policy = behavior.get("ViewerProtocolPolicy")
        if redirect and (policy == "allow-all" or number == 0):
            behavior["ViewerProtocolPolicy"] = "redirect-to-https"
        elif not redirect and policy == "redirect-to-https":
            behavior["ViewerProtocolPolicy"] = "allow-all"


def check_settings(settings: Settings) -> None:
    """Raise TlsError for a setting that CloudFront does not have in a distribution."""
    if "hsts" in settings:
        raise TlsError(
            "CloudFront sends Strict-Transport-Security by a response headers policy, which several distributions may share; remove hsts "
            "from cloud, and attach a policy such as the managed SecurityHeadersPolicy to the behaviors of the distribution"
        )
    security_policy(settings.get("tls_versions"))


def security_policy(versions: list[str] | None) -> str | None:
    """Return the security policy that takes these versions of TLS, or None without versions.

    >>> security_policy(["TLSv1.2", "TLSv1.3"])
    'TLSv1.2_2021'
    """
    if not versions:
        return None
    oldest = min(versions, key=VERSIONS.index)
    if set(versions) != set(VERSIONS[VERSIONS.index(oldest) :]):
        raise TlsError(
            f"CloudFront takes {oldest} with all newer versions alone, not {', '.join(versions)}; write "
            f"tls_versions: [{', '.join(VERSIONS[VERSIONS.index(oldest) :])}]"
        )
    return POLICIES[oldest][0]


def _oldest_version(policy: str | None) -> str | None:
    """Return the oldest version of TLS that a security policy takes, or None for one that is not known."""
    return next((version for version, policies in POLICIES.items() if policy in policies), None)
