# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of Tencent Cloud API 3.0: signed calls of one account.

The vendor's SDK is not used: it logs whole bodies, takes some errors for successes, and has no deadline.
"""

from __future__ import annotations

import email.utils
import json
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.https_call import (
    CallFailed,
    Endpoint,
    HttpResponse,
    Timeouts,
    parse_endpoint,
    send,
    trust,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.credentials import (
    CredentialSource,
    credential_source,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import (
    RATE_LIMIT_CODES,
    SERVER_ERROR_CODES,
    Call,
    TencentError,
    matches,
    refusal,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.signature import signed_headers
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import MALFORMED_INPUT_ERRORS

VERSIONS = {  # of each service, by api.json
    "ssl": "2019-12-05",
    "cdn": "2018-06-06",
    "teo": "2022-09-01",
    "clb": "2018-03-17",
    "vpc": "2017-03-12",
    "lighthouse": "2020-03-24",
    "dnspod": "2021-03-23",
    "sts": "2018-08-13",
}
DOMAINS = {"china": "tencentcloudapi.com", "international": "intl.tencentcloudapi.com"}
REGIONAL_SERVICES = ("clb", "vpc", "lighthouse", "sts")
STS_REGIONS = {"china": "ap-guangzhou", "international": "ap-singapore"}  # any of them gives the same credentials
RETRY_DELAYS_S = (0.5, 2.0, 5.0)  # after a lost connection, or a failure of the server
RATE_LIMIT_DELAYS_S = (1.0, 2.0, 4.0)
# What makes something new, and so is not repeated where the first try may have been carried out.
CREATING_ACTIONS = ("Create", "Upload", "Apply", "Replace")


class TencentClient:
    """Calls the APIs of one account."""

    def __init__(
        self,
        name: str,
        secret_id: str | None = None,
        secret_key: str | None = None,
        token: str | None = None,
        role_arn: str | None = None,
        cvm_role: str | None = None,
        site: str = "china",
        region: str | None = None,
        ca_file: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        """Take the settings of an account; send nothing. Raises TlsError.

        name: the key of cloud_accounts. endpoint: a URL in place of the hosts of Tencent Cloud, for all services.
        """
        self.name = name
        self.site = site
        self.region = region
        self.endpoint = parse_endpoint(endpoint) if endpoint else None
        self.context = trust(ca_file)
        self.timeouts = Timeouts()
        self.credentials: CredentialSource = credential_source(
            name, secret_id, secret_key, token, role_arn, cvm_role, self._call_with
        )

    def call(
        self, service: str, action: str, parameters: dict[str, t.Any] | None = None, region: str | None = None
    ) -> dict[str, t.Any]:
        """Return the response of an action, without its envelope.

        region: in place of that of the account, for services that have regions.
        Raises TencentError where the API refuses, and TlsError where it does not answer.
        """
        return self._call_with(self.credentials, service, action, parameters or {}, region)

    # not a parser: it encodes what is sent
    def _call_with(
        self,
        credentials: CredentialSource,
        service: str,
        action: str,
        parameters: dict[str, t.Any],
        region: str | None = None,
    ) -> dict[str, t.Any]:
        call = Call(self.name, service, action)
        body = json.dumps(parameters).encode()
        headers = {
            "X-TC-Action": action,
            "X-TC-Version": VERSIONS[service],
            "X-TC-Language": "en-US",
            "Accept": "application/json",
            **self._region_header(service, region),
        }
        may_repeat = not action.startswith(CREATING_ACTIONS)
        lost, limited = iter(RETRY_DELAYS_S), iter(RATE_LIMIT_DELAYS_S)
        while True:
            try:
                return self._try(credentials, call, headers, body)
            except CallFailed as error:
                delay = next(lost, None) if may_repeat or not error.was_sent else None
                failure: TlsError = TlsError(f"account {self.name}, {service}:{action}: {error}")
                cause: TlsError = error
            except TencentError as error:
                if matches(error.code, RATE_LIMIT_CODES):
                    delay = next(limited, None)
                elif matches(error.code, SERVER_ERROR_CODES) and may_repeat:
                    delay = next(lost, None)
                else:
                    raise
                failure = cause = error
            if delay is None:
                raise failure from cause
            time.sleep(delay)

    def _region_header(self, service: str, region: str | None) -> dict[str, str]:
        if service not in REGIONAL_SERVICES:
            return {}
        value = region or self.region or (STS_REGIONS[self.site] if service == "sts" else None)
        if not value:
            raise TlsError(
                f"account {self.name} has no region, which {service} needs; write for example region: ap-guangzhou at the account in "
                "cloud_accounts"
            )
        return {"X-TC-Region": value}

    # not a parser: read_response is fed
    def _try(self, credentials: CredentialSource, call: Call, headers: dict[str, str], body: bytes) -> dict[str, t.Any]:
        endpoint = self.endpoint or Endpoint(True, f"{call.service}.{DOMAINS[self.site]}", 443, "/")
        now = time.time()
        signed = signed_headers(endpoint.authority, call.service, body, credentials.current(), int(now))
        response = send("POST", endpoint, "/", {**headers, **signed}, body, self.context, self.timeouts)
        return read_response(call, response, now)


def read_response(call: Call, response: HttpResponse, now: float) -> dict[str, t.Any]:
    """Return what the API answers within its envelope. Raises TencentError where it refuses, whatever its status and media type.

    now: the time by which the request was signed.
    """
    content = _content_of(response)
    if content is None:
        kind = shorten(response.headers.get("content-type", "without Content-Type"), 100)
        raise _unexpected(call, response, f"answers with status {response.status}, {kind}, {len(response.body)} bytes")
    error = content.get("Error")
    if error is None and response.status == 200:
        return content
    details = error if isinstance(error, dict) else {}
    code, message = details.get("Code"), details.get("Message")
    if not isinstance(code, str) or not code:
        raise _unexpected(call, response, f"answers with status {response.status}, an error without a code")
    offset = _clock_offset(response, now) if code == "AuthFailure.SignatureExpire" else None
    return _raise(refusal(call, code, message if isinstance(message, str) else "", _request_id(content), offset))


def _content_of(response: HttpResponse) -> dict[str, t.Any] | None:
    """Return the envelope's content; None unless the body is an object in JSON with one."""
    try:
        content = json.loads(response.body.decode("utf-8-sig"))["Response"]
    except MALFORMED_INPUT_ERRORS:
        return None
    return content if isinstance(content, dict) else None


def _request_id(content: dict[str, t.Any]) -> str:
    value = content.get("RequestId")
    return value if isinstance(value, str) and value else "missing"


def _clock_offset(response: HttpResponse, now: float) -> float | None:
    """Return how many seconds this machine is ahead of the header Date, or None."""
    try:
        return now - email.utils.parsedate_to_datetime(response.headers["date"]).timestamp()
    except (*MALFORMED_INPUT_ERRORS, OSError):
        return None


def _unexpected(call: Call, response: HttpResponse, what: str) -> TlsError:
    """Return the error for an answer that is none of the API."""
    where = (
        "it leads elsewhere, as the API never does" if 300 <= response.status < 400 else "this is no answer of the API"
    )
    sentence = f"the API {what}: {where}; see whether a proxy answers in its place, or try again later"
    if response.status >= 500 or response.status == 200:
        return CallFailed(sentence, was_sent=True)
    return TlsError(f"account {call.account}, {call.service}:{call.action}: {sentence}")


def _raise(error: TlsError) -> t.NoReturn:
    raise error
