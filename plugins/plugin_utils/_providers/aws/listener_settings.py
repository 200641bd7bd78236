# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a listener of Elastic Load Balancing has beside its certificate: redirect, Strict-Transport-Security, versions of TLS.

Source: API reference of Elastic Load Balancing 2015-12-01, data types ListenerAttribute, Action and SslPolicy.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Settings
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.client import AwsClient

HSTS_ATTRIBUTE = "routing.http.response.strict_transport_security.header_value"
OWN_TAG = {"Key": "evergreen", "Value": "redirect"}  # of a listener that this collection created
# Security policies by the versions of TLS that they take.
POLICIES = {
    ("TLSv1.3",): "ELBSecurityPolicy-TLS13-1-3-2021-06",
    ("TLSv1.2", "TLSv1.3"): "ELBSecurityPolicy-TLS13-1-2-2021-06",
    ("TLSv1.1", "TLSv1.2", "TLSv1.3"): "ELBSecurityPolicy-TLS13-1-1-2021-06",
    ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"): "ELBSecurityPolicy-TLS13-1-0-2021-06",
    ("TLSv1.2",): "ELBSecurityPolicy-TLS-1-2-2017-01",
    ("TLSv1.1", "TLSv1.2"): "ELBSecurityPolicy-TLS-1-1-2017-01",
    ("TLSv1", "TLSv1.1", "TLSv1.2"): "ELBSecurityPolicy-2016-08",
}
MAX_AGE = re.compile(r"(?i)(?:^|;)\s*max-age\s*=\s*\"?([0-9]{1,12})\"?\s*(?:;|$)")  # RFC 6797, section 6.1.1


class ListenerSettings:
    """The settings of one listener, and of the listener on port 80 beside it."""

    def __init__(self, client: AwsClient, listener: dict[str, t.Any], balancer: dict[str, t.Any]) -> None:
        """Take a listener and its load balancer, as AWS describes them."""
        self.client, self.listener = client, listener
        self.arn = str(listener["ListenerArn"])
        self.balancer_arn = str(listener.get("LoadBalancerArn"))
        self.is_application = balancer.get("Type", "application") == "application"

    def read(self) -> Settings:
        """Return the settings that the listener has. A Network Load Balancer speaks no HTTP, so it has no redirect and no header."""
        settings = Settings()
        policy = self.listener.get("SslPolicy")
        if policy:
            settings["tls_versions"] = self._versions_of(str(policy))
        if self.is_application:
            settings["redirect"] = self._is_redirect(self._http_listener())
            settings["hsts"] = self._hsts()
        return settings

    def write(self, settings: Settings) -> None:
        """Set what stands in the settings, and nothing else."""
        if "tls_versions" in settings:
            self._set_versions(settings["tls_versions"])
        if "hsts" in settings:
            self._set_hsts(settings["hsts"])
        if "redirect" in settings:
            self._set_redirect(settings["redirect"])

    def _versions_of(self, policy: str) -> list[str]:
        policies = self.client.call("DescribeSSLPolicies", "SslPolicies", Names=[policy])
        versions = policies[0].get("SslProtocols") if policies else []
        return sorted(str(version) for version in versions or [])

    def _set_versions(self, versions: list[str]) -> None:
        policy = POLICIES.get(tuple(sorted(set(versions))))
        if policy is None:
            possible = "; ".join(", ".join(one) for one in POLICIES)
            raise TlsError(
                f"no security policy of Elastic Load Balancing takes just {', '.join(versions)}; choose one of: {possible}"
            )
        self.client.call("ModifyListener", ListenerArn=self.arn, SslPolicy=policy)

    # not a parser: one search in a text of botocore, and what does not match is 0
    def _hsts(self) -> int:
        attributes = self.client.call("DescribeListenerAttributes", "Attributes", ListenerArn=self.arn)
        value = next((str(one.get("Value") or "") for one in attributes if one.get("Key") == HSTS_ATTRIBUTE), "")
        match = MAX_AGE.search(value)
        return int(match[1]) if match else 0

    def _set_hsts(self, seconds: int) -> None:
        value = f"max-age={seconds}" if seconds else ""
        self.client.call(
            "ModifyListenerAttributes", ListenerArn=self.arn, Attributes=[{"Key": HSTS_ATTRIBUTE, "Value": value}]
        )

    def _http_listener(self) -> dict[str, t.Any] | None:
        """Return the listener on port 80, or None if there is none."""
        listeners = self.client.items("DescribeListeners", "Listeners", LoadBalancerArn=self.balancer_arn)
        return next((one for one in listeners if one.get("Port") == 80), None)

    def _is_redirect(self, listener: dict[str, t.Any] | None) -> bool:
        """Say whether a listener redirects whatever no rule of it matches to the HTTPS port of this one."""
        actions = (listener or {}).get("DefaultActions") or [{}]
        target = actions[0].get("RedirectConfig") or {}
        return (
            actions[0].get("Type") == "redirect"
            and target.get("Protocol") == "HTTPS"
            and str(target.get("Port")) == str(self.listener.get("Port"))
            and target.get("Host", "#{host}") == "#{host}"
        )

    def _set_redirect(self, redirect: bool) -> None:
        """Create or delete a listener on port 80 that redirects. One that does something else is somebody's decision and stays."""
        current = self._http_listener()
        if self._is_redirect(current) == redirect:
            return
        if current is None:
            target = {"Protocol": "HTTPS", "Port": str(self.listener.get("Port")), "StatusCode": "HTTP_301"}
            self.client.call_once(
                "CreateListener",
                LoadBalancerArn=self.balancer_arn,
                Protocol="HTTP",
                Port=80,
                DefaultActions=[{"Type": "redirect", "RedirectConfig": target}],
                Tags=[OWN_TAG],
            )
            return
        arn = str(current["ListenerArn"])
        if redirect:
            raise TlsError(
                f"the listener {arn} on port 80 does something else than to redirect, which this collection does not replace; change its "
                "default action to redirect to HTTPS in the console, or remove redirect from cloud"
            )
        descriptions = self.client.call("DescribeTags", "TagDescriptions", ResourceArns=[arn])
        if OWN_TAG not in (descriptions[0].get("Tags") if descriptions else []):
            raise TlsError(
                f"the listener {arn} on port 80 redirects, and this collection did not create it; change its default action in the "
                "console, or remove redirect from cloud"
            )
        self.client.call("DeleteListener", ListenerArn=arn)
