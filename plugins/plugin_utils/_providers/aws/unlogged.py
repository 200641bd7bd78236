# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep the bodies of requests and responses out of logs.

At the level DEBUG botocore logs each request with its body, and each response. The body of ImportCertificate holds the private key, and the
response to AssumeRole holds a secret key. Each body is therefore of a type whose text is its length, whatever logs it.
"""

from __future__ import annotations

import logging
import re
import typing as t

TOKEN = re.compile(r"(?i)(x-amz-security-token(?:'|\")?\s*[:=]\s*b?(?:'|\")?)[^\s'\",&]+")
LOGGERS_OF_HEADERS = ("botocore.auth", "botocore.endpoint", "botocore.awsrequest")


class UnloggedBytes(bytes):
    """Bytes that formatting shows by their length."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes that are not logged>"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return repr(self)


class TokenFilter(logging.Filter):
    """Hide the session token in what botocore logs of headers."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if "security-token" in message.lower():
            record.msg, record.args = TOKEN.sub(r"\1(not logged)", message), ()
        return True


TOKEN_FILTER = TokenFilter()


def keep_bodies_out_of_logs(botocore_session: t.Any) -> None:
    """Register this for all clients that the session creates, also for those that botocore creates to get credentials."""
    botocore_session.register("before-call", _hide_request_body)
    botocore_session.register("before-parse", _hide_response_body)
    for name in LOGGERS_OF_HEADERS:
        logging.getLogger(name).addFilter(TOKEN_FILTER)


# not a parser: it takes nothing apart: it is the body of our own request
def _hide_request_body(params: dict[str, t.Any], **_options: t.Any) -> None:
    body = params.get("body")
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, bytes):
        params["body"] = UnloggedBytes(body)


def _hide_response_body(response_dict: dict[str, t.Any], **_options: t.Any) -> None:
    if isinstance(response_dict.get("body"), bytes):
        response_dict["body"] = UnloggedBytes(response_dict["body"])
