# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls of one service of AWS: each ends in time, and in a dictionary or a sentence."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.errors import AwsCall, failed, refused
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

CALL_TIMEOUT_S = 90.0  # of one call with all its attempts
MAX_ITEMS = 20_000  # of one list; ACM has 2500 certificates by default
# The services that boto3 names otherwise than IAM policies do.
POLICY_PREFIXES = {"elbv2": "elasticloadbalancing", "resourcegroupstaggingapi": "tag"}


class AwsClient:
    """A service of AWS in one region."""

    def __init__(self, account: str, client: t.Any, open_single_try_client: t.Callable[[], t.Any]) -> None:
        """Take a client of boto3, and what opens one that tries each call once."""
        self.account = account
        self._client, self._open_single_try_client = client, open_single_try_client
        service = client.meta.service_model.service_name
        self.service = POLICY_PREFIXES.get(service, service)
        self.region: str = client.meta.region_name
        self.endpoint: str = client.meta.endpoint_url
        self.partition: str = client.meta.partition

    def call(self, action: str, returns: str | None = None, /, **parameters: t.Any) -> t.Any:
        """Return what AWS answers: the whole, or the value of the key *returns*, which has to be there.

        action: as the API reference names it. Raises TlsError, and RefusedCall with the code that AWS answered.
        """
        return self._call(self._client, action, returns, parameters, has_key=False)

    def call_once(self, action: str, returns: str | None = None, /, **parameters: t.Any) -> t.Any:
        """Do as call(), but try once: for what would create something twice, and for what has a private key."""
        return self._call(self._open_single_try_client(), action, returns, parameters, has_key=True)

    def items(self, action: str, key: str, /, **parameters: t.Any) -> list[dict[str, t.Any]]:
        """Return the items of all pages of a list. *key* is where each page has them, with dots between the levels."""
        import botocore

        def read() -> list[dict[str, t.Any]]:
            paginator = self._client.get_paginator(botocore.xform_name(action))
            pages = paginator.paginate(**parameters, PaginationConfig={"MaxItems": MAX_ITEMS})
            return [item for page in pages for item in _value(call, page, key, is_list=True)]

        call = AwsCall(self.account, self.service, action)
        return t.cast("list[dict[str, t.Any]]", self._run(call, read, has_key=False))

    def _call(
        self, client: t.Any, action: str, returns: str | None, parameters: dict[str, t.Any], has_key: bool
    ) -> t.Any:
        import botocore

        method = getattr(client, botocore.xform_name(action))
        call = AwsCall(self.account, self.service, action)
        response = self._run(call, lambda: method(**parameters), has_key)
        return response if returns is None else _value(call, response, returns)

    def _run(self, call: AwsCall, function: t.Callable[[], t.Any], has_key: bool) -> t.Any:
        import botocore.exceptions

        try:
            return run_with_timeout(CALL_TIMEOUT_S, function)
        except botocore.exceptions.ClientError as error:
            raise refused(call, error.response) from None
        except TlsError:
            raise
        except Exception as error:  # botocore raises what it does not document
            # What has the private key has no cause either: a traceback at -vvv shows causes.
            raise failed(call, error, has_key) from (None if has_key else error)


# not a parser: botocore has parsed it
def _value(call: AwsCall, response: t.Any, key: str, is_list: bool = False) -> t.Any:
    """Return a value of a response. botocore returns an empty dictionary for JSON or XML that is something else."""
    value = response
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None and is_list and "." in key and isinstance(response, dict) and key.split(".")[0] in response:
        return []  # CloudFront leaves out Items where there are none
    if value is None:
        raise TlsError(
            f"the answer to {call} has no {key}; see endpoint of the account and the proxy: something other than AWS may answer there"
        )
    return value
