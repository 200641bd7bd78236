# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An account of type aws: credentials as users of amazon.aws know them, and clients of its services.

boto3 is imported only when an account of this type is used. Source of the order of credentials: the guide "Credentials" of boto3.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._libraries import install_command
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.bounded_responses import limit_responses
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.client import AwsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.errors import AwsCall, failed
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.unlogged import keep_bodies_out_of_logs

CONNECT_TIMEOUT_S, SILENCE_TIMEOUT_S = 10, 30
MAX_ATTEMPTS = 4  # of one call, the first included, with exponential pauses
ROLE_DURATION_S = 3600  # the longest that a role may be assumed from another role
ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}")


def require_boto3() -> None:
    """Raise TlsError if the library boto3 is missing."""
    try:
        import boto3  # noqa: F401
    except ImportError as error:
        raise TlsError(
            f"accounts of type aws need the Python library boto3 on the controller; {install_command('boto3')}"
        ) from error


class AwsSession:
    """The credentials of an account, and clients that use them. Each has time limits and a number of attempts."""

    def __init__(self, account: str, settings: t.Mapping[str, t.Any]) -> None:
        """Take the name of the account and its settings in cloud_accounts; send nothing.

        Raises TlsError if the settings contradict each other, or boto3 is missing.
        """
        self.account = account
        self._settings = dict(settings)
        self._check()
        require_boto3()
        self._session = self._open()

    def __repr__(self) -> str:
        """Leave the settings out, which hold secrets."""
        return f"AwsSession({self.account!r})"

    @property
    def region(self) -> str | None:
        """Return the region of the account or of its profile."""
        region = self._session.region_name
        return region if isinstance(region, str) else None

    def client(self, service: str, region: str | None = None) -> AwsClient:
        """Return a client of a service, as boto3 names it. *region* is in the place of that of the account."""
        return self._client(self._session, service, region)

    def _client(self, session: t.Any, service: str, region: str | None) -> AwsClient:
        import botocore.config

        def open_client(attempts: int) -> t.Any:
            config = botocore.config.Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=SILENCE_TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": attempts},
                user_agent_extra="evergreen.tls",
            )
            return session.client(
                service,
                region_name=region,
                endpoint_url=self._settings.get("endpoint"),
                verify=self._settings.get("ca_file"),
                config=config,
            )

        try:
            client = AwsClient(self.account, open_client(MAX_ATTEMPTS), lambda: open_client(1))
        except Exception as error:  # botocore raises what it does not document
            raise failed(AwsCall(self.account, service, "(no action yet)"), error, has_key=False) from error
        # The environment and profiles may name an endpoint, too.
        _check_endpoint(client.endpoint, f"the account {self.account}")
        return client

    # not a parser: the inventory has it
    def _check(self) -> None:
        """Raise TlsError if the settings contradict each other, or are malformed."""
        where = f"the account {self.account}"
        access_key, secret_key, profile = (self._settings.get(key) for key in ("access_key", "secret_key", "profile"))
        if bool(access_key) != bool(secret_key):
            missing = "secret_key" if access_key else "access_key"
            raise TlsError(f"{where} has no {missing}; give it both access_key and secret_key, or neither")
        if self._settings.get("session_token") and not access_key:
            raise TlsError(f"{where} has a session_token without access_key; give it the keys that belong to the token")
        if profile and access_key:
            raise TlsError(f"{where} has both profile and access_key; remove one of them")
        role = self._settings.get("role_arn")
        if role and not ROLE_ARN.fullmatch(role):
            raise TlsError(
                f"{where} has the role_arn {role!r}, which is none; write it like arn:aws:iam::123456789012:role/evergreen"
            )
        _check_endpoint(self._settings.get("endpoint"), where)
        bundle = self._settings.get("ca_file")
        if bundle and not os.access(bundle, os.R_OK):
            raise TlsError(f"{where} names the file {bundle} with roots, which cannot be read; correct ca_bundle")

    def _open(self) -> t.Any:
        """Return a session of boto3 with the credentials of the account."""
        import boto3

        inner = _botocore_session()
        try:
            session = boto3.Session(
                aws_access_key_id=self._settings.get("access_key"),
                aws_secret_access_key=self._settings.get("secret_key"),
                aws_session_token=self._settings.get("session_token"),
                profile_name=self._settings.get("profile"),
                region_name=self._settings.get("region"),
                botocore_session=inner,
            )
            inner.get_scoped_config()  # raises ProfileNotFound
            role = self._settings.get("role_arn")
            return self._with_role(session, role) if role else session
        except TlsError:
            raise
        except Exception as error:  # botocore raises what it does not document
            raise failed(AwsCall(self.account, "credentials", "load"), error, has_key=False) from error

    def _with_role(self, session: t.Any, role: str) -> t.Any:
        """Return a session whose credentials are those of a role. They are asked for when they are first used, and renewed."""
        import boto3
        import botocore.credentials

        def assume() -> dict[str, t.Any]:
            optional = {"ExternalId": self._settings.get("external_id")}
            result = sts.call(
                "AssumeRole",
                "Credentials",
                RoleArn=role,
                RoleSessionName="evergreen.tls",
                DurationSeconds=ROLE_DURATION_S,
                **{key: value for key, value in optional.items() if value},
            )
            return {
                "access_key": result["AccessKeyId"],
                "secret_key": result["SecretAccessKey"],
                "token": result["SessionToken"],
                "expiry_time": result["Expiration"].isoformat(),
            }

        class RoleProvider(botocore.credentials.CredentialProvider):
            METHOD = CANONICAL_NAME = "evergreen-assume-role"

            def load(self) -> t.Any:
                return botocore.credentials.DeferredRefreshableCredentials(assume, self.METHOD)

        sts = self._client(session, "sts", session.region_name or "us-east-1")
        inner = _botocore_session()
        inner.register_component("credential_provider", botocore.credentials.CredentialResolver([RoleProvider()]))
        return boto3.Session(region_name=session.region_name, botocore_session=inner)


@functools.cache
def _loader() -> t.Any:
    """Return what reads the descriptions of services, which takes longer than a call: all sessions of a process share it."""
    import botocore.loaders

    return botocore.loaders.create_loader()


def _botocore_session() -> t.Any:
    import botocore.session

    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    keep_bodies_out_of_logs(session)
    limit_responses(session)
    return session


# not a parser: the inventory has it
def _check_endpoint(endpoint: str | None, where: str) -> None:
    """Raise TlsError unless the endpoint is a URL to which keys may be sent: https, or http on the loopback address."""
    if endpoint is None:
        return
    url = urllib.parse.urlsplit(endpoint)
    is_loopback = url.hostname == "localhost" or (
        url.hostname is not None and is_ip_address(url.hostname) and ipaddress.ip_address(url.hostname).is_loopback
    )
    if not url.hostname or not (url.scheme == "https" or (url.scheme == "http" and is_loopback)):
        raise TlsError(f"{where} has the endpoint {endpoint!r}, to which no key may be sent; write one with https://")
