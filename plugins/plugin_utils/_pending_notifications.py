# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's record of hosts whose programs have not read a certificate yet.

A program that reads a certificate cannot be seen from outside. So a record is written before a certificate is installed, and removed
once all of its exports are written and its programs are notified. While there is one, a run logs in to the host although nothing is
due there. What has to be done is known on the host (module_utils/_store/ledger.py).
"""

from __future__ import annotations

import os
import secrets
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name

FOLDER = "~/.evergreen/notifications"


def has_programs(request: t.Mapping[str, t.Any]) -> bool:
    """Return whether a request names programs that are to be notified of its certificate."""
    return any(request.get(option) for option in ("restart", "reload", "run_after"))


def has_readers(request: t.Mapping[str, t.Any]) -> bool:
    """Return whether programs are notified of the certificate of a request, or exports are made of it."""
    return bool(request.get("exports")) or has_programs(request)


def add_pending(host: str, request_name: str) -> None:
    """Record that the programs of a host are about to have another certificate to read. Raises OSError."""
    _records().write(
        file_name(host, request_name), {"host": host, "request": request_name, "token": secrets.token_hex(8)}
    )


def pending_token(host: str, request_name: str) -> str | None:
    """Return a text that stands for the record of a request, None where nothing is pending."""
    record = _records().read(file_name(host, request_name))
    return str(record.get("token")) if record else None


def why_pending(host: str, request: Request) -> str | None:
    """Return why a run has to log in to a host for the programs that read the certificate of a request, or None."""
    if not has_readers(request) or not os.path.lexists(_records().path_of(file_name(host, request["name"]))):
        return None
    commands, files = [words[0] for words in request["run_after"]], [export["path"] for export in request["exports"]]
    readers = ", ".join(dict.fromkeys([*request["restart"], *request["reload"], *commands, *files]))
    return shorten(f"{readers} may not have read the certificate in use yet, since a run could not finish that")


def remove_pending(host: str, request_name: str, token: str) -> None:
    """Remove the record of a request, unless another run has written it anew since its token was read. Raises OSError."""
    if pending_token(host, request_name) == token:
        _records().remove(file_name(host, request_name))


def _records() -> JsonRecords:
    return JsonRecords(os.path.expanduser(FOLDER))
