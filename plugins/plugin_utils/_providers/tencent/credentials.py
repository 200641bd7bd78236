# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the key of an account comes from: the inventory, a role (STS), or the machine it runs on (CVM). Roles are kept in memory only."""

from __future__ import annotations

import json
import os
import re
import threading
import time
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.https_call import (
    CallFailed,
    Endpoint,
    Timeouts,
    send,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.signature import Credentials
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

METADATA_ENDPOINT = Endpoint(False, "metadata.tencentyun.com", 80, "/")
METADATA_PATH = "/latest/meta-data/cam/security-credentials/"
METADATA_TIMEOUTS = Timeouts(connect=2.0, silence=3.0, call=5.0)
SESSION_NAME = "evergreen.tls"
SESSION_S = 7200  # the default of STS
REFRESH_BEFORE_S = 300  # before temporary credentials end
ENVIRONMENT = ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_TOKEN")

CallWith = t.Callable[..., dict[str, t.Any]]  # credential source, service, action, parameters


class CredentialSource(t.Protocol):
    """What returns credentials that are valid now."""

    def current(self) -> Credentials:
        """Return credentials. Raises TlsError."""


class FixedCredentials:
    """A key that was given."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials

    def current(self) -> Credentials:
        """Return the key."""
        return self.credentials


class TemporaryCredentials:
    """Credentials that end. They are fetched when they are first needed, and again before they end."""

    def __init__(self, fetch: t.Callable[[], tuple[Credentials, float]]) -> None:
        """Take the function that returns credentials and the time at which they end, in seconds since 1970."""
        self._fetch = fetch
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._end = 0.0

    def current(self) -> Credentials:
        """Return credentials with REFRESH_BEFORE_S left, or newly fetched ones."""
        with self._lock:
            if self._credentials is None or time.time() > self._end - REFRESH_BEFORE_S:
                self._credentials, self._end = self._fetch()
            return self._credentials


def credential_source(
    account: str,
    secret_id: str | None,
    secret_key: str | None,
    token: str | None,
    role_arn: str | None,
    cvm_role: str | None,
    call_with: CallWith,
) -> CredentialSource:
    """Return where the credentials of an account come from. Raises TlsError where there are none, or too many."""
    if cvm_role and (secret_id or secret_key):
        raise TlsError(f"account {account} has both secret_id and cvm_role; leave one of them out in cloud_accounts")
    if bool(secret_id) != bool(secret_key):
        missing = "secret_key" if secret_id else "secret_id"
        raise TlsError(
            f"account {account} has no {missing}; secret_id and secret_key belong together in cloud_accounts"
        )
    source: CredentialSource
    if cvm_role:
        source = TemporaryCredentials(lambda: _from_metadata(account, cvm_role))
    elif secret_id and secret_key:
        source = FixedCredentials(_given(account, secret_id, secret_key, token))
    else:
        source = FixedCredentials(_from_environment(account))
    if not role_arn:
        return source
    return TemporaryCredentials(lambda: _assume_role(account, role_arn, source, call_with))


def _from_environment(account: str) -> Credentials:
    """Return the key of the environment, in the variables of the vendor's SDK."""
    secret_id, secret_key, token = (os.environ.get(name) for name in ENVIRONMENT)
    if not secret_id or not secret_key:
        raise TlsError(
            f"account {account} has no credentials; write secret_id and secret_key, or cvm_role, in cloud_accounts, or set "
            f"{ENVIRONMENT[0]} and {ENVIRONMENT[1]}"
        )
    return _given(account, secret_id, secret_key, token)


def _given(account: str, secret_id: str, secret_key: str, token: str | None) -> Credentials:
    """Return a key that people wrote. Raises TlsError where it cannot be one."""
    with reject_malformed_input(
        f"the credentials of account {account} have blanks, line breaks or letters that are not ASCII; copy them again from the console"
    ):
        return _credentials(secret_id.strip(), secret_key.strip(), token.strip() if token else None)


def _assume_role(
    account: str, role_arn: str, source: CredentialSource, call_with: CallWith
) -> tuple[Credentials, float]:
    parameters = {"RoleArn": role_arn, "RoleSessionName": SESSION_NAME, "DurationSeconds": SESSION_S}
    answer = call_with(source, "sts", "AssumeRole", parameters)
    return read_role(answer, f"account {account}: sts:AssumeRole gives no credentials for {role_arn}; try again later")


def read_role(answer: dict[str, t.Any], message: str) -> tuple[Credentials, float]:
    """Return the credentials of an answer of STS, and their end in seconds since 1970. Raises TlsError(message)."""
    with reject_malformed_input(message):
        fields = answer["Credentials"]
        return _credentials(fields["TmpSecretId"], fields["TmpSecretKey"], str(fields["Token"])), float(
            answer["ExpiredTime"]
        )


def _from_metadata(account: str, role: str) -> tuple[Credentials, float]:
    """Return the credentials of the role of this machine (https://cloud.tencent.com/document/product/213/4934)."""
    advice = "run this on a CVM instance with that role, or correct cvm_role in cloud_accounts"
    path = METADATA_PATH + urllib.parse.quote(role, safe="")
    try:
        response = send(
            "GET", METADATA_ENDPOINT, path, {"Host": METADATA_ENDPOINT.authority}, b"", None, METADATA_TIMEOUTS
        )
    except CallFailed as error:
        raise TlsError(
            f"account {account}: the metadata service does not give the role {role}: {error}; {advice}"
        ) from error
    return read_metadata(response.body if response.status == 200 else b"", f"account {account}, role {role}", advice)


def read_metadata(body: bytes, subject: str, advice: str) -> tuple[Credentials, float]:
    """Return the credentials of an answer of the metadata service, and their end in seconds since 1970. Raises TlsError."""
    with reject_malformed_input(f"{subject}: the metadata service gives no credentials; {advice}"):
        fields = json.loads(body)
        if fields["Code"] != "Success":
            raise ValueError
        return _credentials(fields["TmpSecretId"], fields["TmpSecretKey"], fields["Token"]), float(
            fields["ExpiredTime"]
        )


def _credentials(secret_id: t.Any, secret_key: t.Any, token: t.Any) -> Credentials:
    """Return credentials. Raises ValueError unless they can stand in a header."""
    for value in (secret_id, secret_key, *([] if token is None else [token])):
        if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
            raise ValueError
    return Credentials(secret_id, secret_key, token)
