# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record that deploy put a certificate on a host: C(deployed.json) in the folder of the certificate.

Only what has such a record is ever removed because the inventory no longer has it.
"""

from __future__ import annotations

import json
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import REQUEST_NAME_PATTERN
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    MAX_FILE_BYTES,
    read_file,
    remove_temporary_files,
    replace_file,
)

RECORD_NAME = "deployed.json"
LEFT_BY_REMOVAL = re.compile(r"\.(.+)\.(?:removed|gone)")  # the folder of a certificate while it is removed


class Deployed(t.NamedTuple):
    """What deploy knew about a certificate when the inventory had a request for it."""

    host: str  # its name in the inventory
    domains: list[str]
    links: dict[str, str]  # the file that each leads to, by path
    owner: str | None
    port: int
    unused_since: int | None = None  # seconds since 1970, once the inventory no longer has the request


def record_path(versions: Versions) -> str:
    """Return the path of the record of a certificate."""
    return os.path.join(versions.path, RECORD_NAME)


def read_deployed(versions: Versions) -> Deployed | None:
    """Return the record of a certificate, or None if there is none, or one that cannot be read."""
    content = read_file(record_path(versions), max_bytes=MAX_FILE_BYTES)
    try:
        return None if content is None else _parse_deployed(content)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


# not a parser: it reads what the collection has made or checked
def write_deployed(versions: Versions, record: Deployed) -> None:
    """Write the record of a certificate, unless it is written."""
    if read_deployed(versions) == record:
        return
    path = record_path(versions)
    remove_temporary_files(path)
    replace_file(path, json.dumps(record._asdict(), indent=1, sort_keys=True).encode() + b"\n", 0o600)


# not a parser: it reads what the collection has made or checked
def installed_names(directory: str) -> list[str]:
    """Return the names of the certificates in the folder of all certificates, in ascending order.

    Folders without a lock or a version are no certificates, and links are none.
    """
    names = []
    for name in _entries(directory):
        folder = os.path.join(directory, name)
        if REQUEST_NAME_PATTERN.fullmatch(name) and os.path.isdir(folder) and not os.path.islink(folder):
            is_ours = os.path.lexists(os.path.join(folder, "lock")) and Versions(directory, name).versions()
            names += [name] if is_ours or os.path.lexists(os.path.join(folder, RECORD_NAME)) else []
    return names


# not a parser: it reads what the collection has made or checked
def half_removed_names(directory: str) -> list[str]:
    """Return the names of the certificates whose removal was killed."""
    matches = filter(None, map(LEFT_BY_REMOVAL.fullmatch, _entries(directory)))
    return sorted({match[1] for match in matches if REQUEST_NAME_PATTERN.fullmatch(match[1])})


def _entries(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


# not a parser: it reads what the collection has made or checked
def _parse_deployed(content: bytes) -> Deployed:
    """Return a record. Raises ValueError, TypeError or KeyError for anything else."""
    values = json.loads(content)
    record = Deployed(**{name: values[name] for name in Deployed._fields})
    is_text = all(isinstance(one, str) for one in (record.host, *record.domains, *record.links, *record.links.values()))
    is_whole = isinstance(record.port, int) and isinstance(record.unused_since, (int, type(None)))
    if not (is_text and is_whole and isinstance(record.owner, (str, type(None)))):
        raise ValueError(values)
    return record._replace(domains=list(record.domains), links=dict(record.links))
