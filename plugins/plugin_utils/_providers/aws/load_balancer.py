# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Elastic Load Balancing: a listener of an Application or Network Load Balancer that presents a certificate of ACM.

A listener has one default certificate, and others that it presents to clients that ask for their names (SNI). A certificate takes the place
of the default if that covers a domain of the request. Otherwise it is added beside the others. Source: API reference of Elastic Load
Balancing 2015-12-01, and "Listener certificates" in its user guides.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding, Settings
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import is_covered
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.acm import AcmCertificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.client import AwsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.imported_service import ImportedService
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.listener_settings import ListenerSettings

if t.TYPE_CHECKING:
    from cryptography import x509

TLS_PROTOCOLS = ("HTTPS", "TLS")


class LoadBalancer(ImportedService):
    """The listener of one certificate request."""

    def __init__(
        self,
        client: AwsClient,
        certificates: AcmCertificates,
        load_balancer: str | None,
        listener: str,
        domains: list[str],
        prefix: str,
        is_reimporting: bool = False,
    ) -> None:
        """Take the name or ARN of a load balancer with the port of its listener, or the ARN of a listener alone.

        domains: those of the certificate request. prefix: what the labels of its uploads begin with, see upload_prefix().
        is_reimporting: whether a certificate takes the place of the one before under the same ARN.
        """
        super().__init__(certificates, is_reimporting)
        self.client = client
        self.load_balancer, self.listener = load_balancer, listener
        self.domains, self.prefix = domains, prefix
        self.title = f"Elastic Load Balancing of the account {client.account}"

    def check(self, chain: list[x509.Certificate]) -> None:
        """Raise TlsError for a type of key that ACM refuses."""
        self.certificates.check(chain)

    def bindings(self) -> list[Binding]:
        """Return what the listener presents for the domains of the request."""
        listener = self._listener()
        arn, protocol = str(listener["ListenerArn"]), str(listener.get("Protocol"))
        name = f"{_load_balancer_name(arn)}:{listener.get('Port')}"
        if protocol not in TLS_PROTOCOLS:
            reason = f"it is a listener for {protocol}; name one for {' or '.join(TLS_PROTOCOLS)} by listener in cloud"
            return [Binding(name, None, "unfit", reason, details={"listener": listener})]
        balancer = self._load_balancer_of(listener)
        status = balancer.get("State") or {}
        state: t.Literal["ready", "busy", "unfit"] = "ready"
        reason = ""
        if status.get("Code") == "provisioning":
            state, reason = "busy", "AWS still sets up the load balancer; wait"
        elif status.get("Code") == "failed":
            state, reason = "unfit", "AWS could not set up the load balancer; look at it in the console"
        default, own = self._own_certificates(arn)
        # With two of ours, after a run that was killed, either may be presented. Both together are no certificate that is bound already.
        certificate = ", ".join([*([default] if default else []), *own]) or None
        details = {"listener": listener, "balancer": balancer}
        settings = ListenerSettings(self.client, listener, balancer).read()
        return [Binding(name, certificate, state, reason, settings, balancer.get("DNSName"), details)]

    def bind(self, binding: Binding, certificate: str) -> None:
        """Have the listener present a certificate for the domains of the request, and no earlier one of this request."""
        listener = binding.details["listener"]
        arn = str(listener["ListenerArn"])
        default, own = self._own_certificates(arn)
        if default:
            if default != certificate:
                self.client.call("ModifyListener", ListenerArn=arn, Certificates=[{"CertificateArn": certificate}])
        elif certificate not in own:
            self.client.call("AddListenerCertificates", ListenerArn=arn, Certificates=[{"CertificateArn": certificate}])
        superseded = [one for one in own if one != certificate]
        if superseded:
            self.client.call(
                "RemoveListenerCertificates",
                ListenerArn=arn,
                Certificates=[{"CertificateArn": one} for one in superseded],
            )

    def configure(self, binding: Binding, settings: Settings) -> None:
        """Set the redirect of port 80, the header Strict-Transport-Security, and the versions of TLS."""
        ListenerSettings(self.client, binding.details["listener"], binding.details["balancer"]).write(settings)

    def _listener(self) -> dict[str, t.Any]:
        if self.listener.startswith("arn:"):
            listeners = self.client.call("DescribeListeners", "Listeners", ListenerArns=[self.listener])
        else:
            listeners = self.client.items("DescribeListeners", "Listeners", LoadBalancerArn=self._load_balancer_arn())
        matches = [
            one
            for one in listeners
            if self.listener in (one.get("ListenerArn"), str(one.get("Port"))) and one.get("ListenerArn")
        ]
        if not matches:
            ports = ", ".join(sorted(str(one.get("Port")) for one in listeners)) or "none"
            raise TlsError(
                f"{self.title}: the load balancer {self.load_balancer} has no listener {self.listener} (its ports: {ports}); correct "
                "listener in cloud, or add one in the console"
            )
        return t.cast("dict[str, t.Any]", matches[0])

    def _load_balancer_arn(self) -> str:
        name = self.load_balancer
        if not name:
            raise TlsError(
                f"{self.title}: load_balancer is missing in cloud; write the name of the load balancer, or the ARN of a listener as listener"
            )
        if name.startswith("arn:"):
            return name
        balancers = self.client.call("DescribeLoadBalancers", "LoadBalancers", Names=[name])
        if not balancers:
            raise TlsError(f"{self.title}: there is no load balancer {name}; correct load_balancer or region in cloud")
        return str(balancers[0]["LoadBalancerArn"])

    def _load_balancer_of(self, listener: dict[str, t.Any]) -> dict[str, t.Any]:
        arns = [str(listener.get("LoadBalancerArn"))]
        balancers = self.client.call("DescribeLoadBalancers", "LoadBalancers", LoadBalancerArns=arns)
        return t.cast("dict[str, t.Any]", balancers[0] if balancers else {})

    def _own_certificates(self, listener_arn: str) -> tuple[str | None, list[str]]:
        """Return the default certificate if it covers a domain of the request, and the others that have this request's label.

        Certificates of IAM are never of this request.
        """
        listed = self.client.call("DescribeListenerCertificates", "Certificates", ListenerArn=listener_arn)
        default = next((str(one["CertificateArn"]) for one in listed if one.get("IsDefault")), None)
        others = [str(one["CertificateArn"]) for one in listed if not one.get("IsDefault")]
        labels = self.certificates.labels_of_request(self.prefix) if others else {}
        own = sorted(arn for arn in others if arn in labels)
        has_own_default = default is not None and ":acm:" in default and self._covers_a_domain(default)
        return default if has_own_default else None, own

    def _covers_a_domain(self, arn: str) -> bool:
        names = sorted(self.certificates.names_of(arn))
        return any(is_covered(domain, names) for domain in self.domains)


# not a parser: any text will do
def _load_balancer_name(listener_arn: str) -> str:
    """Return the name of a load balancer out of the ARN of its listener.

    >>> _load_balancer_name("arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2")
    'web'
    """
    parts = listener_arn.split("/")
    return parts[2] if len(parts) > 3 else listener_arn
