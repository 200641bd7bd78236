# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The signature of Tencent Cloud API 3.0: TC3-HMAC-SHA256 (https://cloud.tencent.com/document/api/1278/46696)."""

from __future__ import annotations

import hashlib
import hmac
import time
import typing as t

ALGORITHM = "TC3-HMAC-SHA256"
SIGNED_HEADERS = "content-type;host"
CONTENT_TYPE = "application/json"


class Credentials(t.NamedTuple):
    """A key of an account; the token belongs to temporary ones."""

    secret_id: str
    secret_key: str
    token: str | None = None


# not a parser: it encodes what is sent
def signed_headers(host: str, service: str, body: bytes, credentials: Credentials, now: int) -> dict[str, str]:
    """Return the headers that authorize a POST of a body to C(/).

    host: with the port, where there is one. now: seconds since 1970.
    The action is not signed, nor is any other header.
    """
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    scope = f"{day}/{service}/tc3_request"
    canonical = f"POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\n\n{SIGNED_HEADERS}\n{_sha256(body)}"
    text = f"{ALGORITHM}\n{now}\n{scope}\n{_sha256(canonical.encode())}"
    key = f"TC3{credentials.secret_key}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return {
        "Host": host,
        "Content-Type": CONTENT_TYPE,
        "X-TC-Timestamp": str(now),
        **({"X-TC-Token": credentials.token} if credentials.token else {}),
        "Authorization": f"{ALGORITHM} Credential={credentials.secret_id}/{scope}, SignedHeaders={SIGNED_HEADERS}, Signature={signature}",
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
