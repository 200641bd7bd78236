# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of Alibaba Cloud's RPC APIs: calls with the signature V3, ACS3-HMAC-SHA256.

Source: https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature. Parameters are sent in the body, and never in
the URL, which others may log.
"""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import json
import secrets
import time
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.https_call import (
    CallFailed,
    Endpoint,
    HttpResponse,
    parse_endpoint,
    send,
    trust,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import MALFORMED_INPUT_ERRORS

ALGORITHM = "ACS3-HMAC-SHA256"
FORM = "application/x-www-form-urlencoded"
VERSIONS = {"cas": "2020-04-07", "cdn": "2018-05-10"}
POLICY_PREFIXES = {"cas": "yundun-cert"}  # of actions in policies of RAM, where it is not the service
RETRY_DELAYS_S = (0.5, 2.0, 5.0)
CREATING_ACTIONS = ("Upload", "Create")
THROTTLED_CODES = ("Throttling*",)
# By the pattern of a code; the first that matches holds.
REMEDIES = (
    ("InvalidAccessKeyId*", "correct access_key_id and access_key_secret of account {account} in cloud_accounts"),
    ("SignatureDoesNotMatch", "correct access_key_id and access_key_secret of account {account} in cloud_accounts"),
    ("InvalidTimeStamp*", "set the clock of this machine"),
    ("InvalidSecurityToken*", "the security_token of account {account} has expired; take a new one"),
    ("Forbidden*", "allow {policy}:{action} to the key of account {account}"),
    ("NoPermission*", "allow {policy}:{action} to the key of account {account}"),
    ("Throttling*", "run this again later, nothing was changed"),
    ("InvalidDomain.NotFound", "add the domain to the CDN first; this collection makes no domains"),
    ("DomainInProcess", "run this again; a change of the domain has not ended yet"),
    ("InternalError", "try again later; if it stays, report it to Alibaba Cloud with the RequestId"),
    ("ServiceUnavailable*", "try again later; if it stays, report it to Alibaba Cloud with the RequestId"),
)
OTHER_REMEDY = "look the code up in the documentation of {service}:{action}, or report this with the RequestId"


class AlibabaError(TlsError):
    """A refusal of Alibaba Cloud."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


# not a parser: it encodes what is sent
def signed_headers(
    host: str, action: str, version: str, body: bytes, key: tuple[str, str, str | None], now: float, nonce: str
) -> dict[str, str]:
    """Return the headers that authorize a POST of a form to C(/). key: the identifier, the secret, and the token or None."""
    key_id, secret, token = key
    headers = {
        "host": host,
        "content-type": FORM,
        "x-acs-action": action,
        "x-acs-version": version,
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "x-acs-signature-nonce": nonce,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        **({"x-acs-security-token": token} if token else {}),
    }
    names = ";".join(sorted(headers))
    listed = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    canonical = f"POST\n/\n\n{listed}\n{names}\n{headers['x-acs-content-sha256']}"
    text = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(secret.encode(), text.encode(), "sha256").hex()
    return {**headers, "Authorization": f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"}


class AlibabaClient:
    """Calls the APIs of one account."""

    def __init__(
        self,
        name: str,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        security_token: str | None = None,
        endpoint: str | None = None,
        ca_file: str | None = None,
        region: str | None = None,
        role_arn: str | None = None,
    ) -> None:
        """Take the settings of an account; send nothing. Raises TlsError. Certificates and CDN have no regions."""
        if not access_key_id or not access_key_secret:
            raise TlsError(f"account {name} has no access_key_id and access_key_secret; write both in cloud_accounts")
        if role_arn:
            raise TlsError(
                f"account {name} has role_arn, which is not there for Alibaba Cloud; give it a security_token of that role instead"
            )
        self.name = name
        self.key = (access_key_id, access_key_secret, security_token)
        self.endpoint = parse_endpoint(endpoint) if endpoint else None
        self.context = trust(ca_file)

    def call(self, service: str, action: str, parameters: dict[str, str]) -> dict[str, t.Any]:
        """Return the answer of an action. Raises AlibabaError where the API refuses, and TlsError where it does not answer."""
        may_repeat = not action.startswith(CREATING_ACTIONS)
        delays = iter(RETRY_DELAYS_S)
        while True:
            failure: TlsError
            try:
                return self._try(service, action, parameters)
            except CallFailed as error:
                delay = next(delays, None) if may_repeat or not error.was_sent else None
                failure = TlsError(f"account {self.name}, {service}:{action}: {error}")
            except AlibabaError as error:
                is_throttled = any(fnmatch.fnmatchcase(error.code, pattern) for pattern in THROTTLED_CODES)
                delay = next(delays, None) if is_throttled else None
                failure = error
            if delay is None:
                raise failure
            time.sleep(delay)

    # not a parser: read_response() is fed
    def _try(self, service: str, action: str, parameters: dict[str, str]) -> dict[str, t.Any]:
        body = urllib.parse.urlencode(parameters, quote_via=urllib.parse.quote).encode()
        endpoint = self.endpoint or Endpoint(True, f"{service}.aliyuncs.com", 443, "/")
        nonce = secrets.token_hex(16)
        headers = signed_headers(endpoint.authority, action, VERSIONS[service], body, self.key, time.time(), nonce)
        response = send("POST", endpoint, "/", {**headers, "Accept": "application/json"}, body, self.context)
        return read_response(response, self.name, service, action)


def read_response(response: HttpResponse, account: str, service: str, action: str) -> dict[str, t.Any]:
    """Return what the API answers. Raises AlibabaError for a refusal, and TlsError for what is no answer of the API."""
    try:
        content = json.loads(response.body)
    except MALFORMED_INPUT_ERRORS:
        content = None
    code = content.get("Code") if isinstance(content, dict) else None
    if response.status == 200 and isinstance(content, dict) and not code:
        return content
    if not isinstance(content, dict) or not isinstance(code, str):
        sentence = (
            f"the API answers with status {response.status} and {len(response.body)} bytes: this is no answer of the API; see whether a proxy "
            "answers in its place, or try again later"
        )
        raise CallFailed(sentence, was_sent=True)
    policy = POLICY_PREFIXES.get(service, service)
    text = next((text for pattern, text in REMEDIES if fnmatch.fnmatchcase(code, pattern)), OTHER_REMEDY)
    raise AlibabaError(
        f"Alibaba Cloud refuses {service}:{action} for account {account}: {shorten(str(content.get('Message')))} ({shorten(code, 100)}, RequestId "
        f"{shorten(str(content.get('RequestId')), 100)}); {text.format(account=account, service=service, action=action, policy=policy)}",
        code,
    )
