# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limit the size of what AWS answers, and the time in which an answer has to be there as a whole.

botocore has no option for either: it reads a body until its end, and its C(read_timeout) is for silence alone.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.https_call import (
    CALL_TIMEOUT_S,
    MAX_RESPONSE_BYTES,
)


class ResponseTooLarge(Exception):
    """A response is larger than MAX_RESPONSE_BYTES. botocore does not repeat a call that ends in it."""


def limit_responses(botocore_session: t.Any) -> None:
    """Limit the responses to all clients that the session creates, also to those that botocore creates to get credentials."""
    botocore_session.register("creating-client-class", _add_limits)


def _add_limits(base_classes: list[type], **_options: t.Any) -> None:
    base_classes.insert(0, _ClientWithLimits)


class _ClientWithLimits:
    """A base class of clients, before that of botocore."""

    def __init__(self, *arguments: t.Any, **more: t.Any) -> None:
        super().__init__(*arguments, **more)
        endpoint = self._endpoint  # type: ignore[attr-defined]  # the base class of botocore has it
        endpoint.http_session = _SessionWithLimits(endpoint.http_session)


class _SessionWithLimits:
    """An HTTP session of botocore whose responses have limits."""

    def __init__(self, session: t.Any) -> None:
        self._session = session

    def send(self, request: t.Any) -> t.Any:
        """Return the response to a request, with a body that is read. Raises what botocore raises, ResponseTooLarge and TimeoutError."""
        import botocore.awsrequest

        deadline = time.monotonic() + CALL_TIMEOUT_S
        request.stream_output = True  # so that the session leaves the body to read_body()
        response = self._session.send(request)
        body = _ReadBody(read_body(request, response.raw, deadline))
        return botocore.awsrequest.AWSResponse(response.url, response.status_code, response.headers, body)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class _ReadBody:
    """A body that is read already, in the form in which botocore reads one."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> t.Iterator[bytes]:
        """Return the body in one piece."""
        yield self._content


# not a parser: it reads bytes and takes nothing apart
def read_body(request: t.Any, raw: t.Any, deadline: float) -> bytes:
    """Return the body of a response of urllib3. Its errors become those that botocore raises, so that calls are repeated as ever.

    deadline: in seconds of the monotonic clock. Raises ResponseTooLarge, and TimeoutError at the deadline.
    """
    import botocore.exceptions
    import urllib3.exceptions

    content = bytearray()
    try:
        for chunk in raw.stream():
            content += chunk
            if len(content) > MAX_RESPONSE_BYTES:
                raise ResponseTooLarge(f"more than {MAX_RESPONSE_BYTES} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError
    except urllib3.exceptions.ReadTimeoutError as error:
        raise botocore.exceptions.ReadTimeoutError(endpoint_url=request.url, error=error) from error
    except urllib3.exceptions.HTTPError as error:
        raise botocore.exceptions.ConnectionClosedError(
            error=error, request=request, endpoint_url=request.url
        ) from error
    except BaseException:
        raw.close()
        raise
    return bytes(content)
