# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""C(validation) of a request: the record or the file that a CA with people in it wants to see, checked and completed."""

from __future__ import annotations

import re
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Validation
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.misspellings import closest_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import is_printable

KEYS = {"dns": ("name", "record", "value"), "file": ("url", "content")}  # by type
RECORDS = ("CNAME", "TXT")
PORTS = {"http": 80, "https": 443}
EXAMPLE_BY_TYPE = {
    "dns": "{type: dns, name: _26a5.example.org, record: CNAME, value: x.sectigo.com}",
    "file": "{type: file, url: http://example.org/.well-known/pki-validation/fileauth.txt, content: …}",
}
HOST_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAX_VALIDATIONS = 100
MAX_VALUE_CHARACTERS = 1000
MAX_CONTENT_BYTES = 4000
MAX_PATH_CHARACTERS = 1000


def completed_validation(value: t.Any, domains: t.Sequence[str]) -> list[Validation]:
    """Return C(validation) as a list, with its names in their normal form.

    value: a dictionary, a list of them, or None. domains: of the request. Raises TlsError with one sentence for the first mistake.
    """
    items = [] if value is None else value if isinstance(value, list) else [value]
    if len(items) > MAX_VALIDATIONS:
        raise TlsError(f"validation has {len(items)} items, and {MAX_VALIDATIONS} are enough; take some out")
    return [
        _completed(item, f"validation[{number}]" if len(items) > 1 else "validation", domains)
        for number, item in enumerate(items)
    ]


def _completed(item: t.Any, where: str, domains: t.Sequence[str]) -> Validation:
    if not isinstance(item, dict):
        raise TlsError(f"{where} is {_shown(item)}, and it is a dictionary; write for example {EXAMPLE_BY_TYPE['dns']}")
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in KEYS:
        raise TlsError(
            f"{where}.type is {_shown(kind)}, and it is dns or file; write for example {EXAMPLE_BY_TYPE['dns']}"
        )
    for key in item:
        if key not in ("type", *KEYS[kind]):
            closest = closest_name(str(key), KEYS[kind])
            meant = f"did you mean {closest}? " if closest else ""
            raise TlsError(
                f"{where} has {_shown(key)}, and a validation of the type {kind} has {', '.join(KEYS[kind])}; {meant}Write for "
                f"example {EXAMPLE_BY_TYPE[kind]}"
            )
    texts = {"record": "TXT", **item} if kind == "dns" else dict(item)
    for key in KEYS[kind]:
        if not isinstance(texts.get(key), str) or not texts[key].strip():
            raise TlsError(
                f"{where}.{key} is {_shown(texts.get(key))}, and a text belongs there, in quotes if YAML reads it otherwise; write for example "
                f"{EXAMPLE_BY_TYPE[kind]}"
            )
    texts = {key: str(texts[key]).strip() for key in KEYS[kind]}
    return _record(texts, where, domains) if kind == "dns" else _file(texts, where, domains)


def _record(texts: dict[str, str], where: str, domains: t.Sequence[str]) -> Validation:
    name, record, value = texts["name"].lower().removesuffix("."), texts["record"].upper(), texts["value"]
    if record not in RECORDS:
        raise TlsError(f"{where}.record is {_shown(texts['record'])}, and CAs ask for CNAME or TXT; correct it")
    if not HOST_NAME.fullmatch(name) or not _is_around(name, domains):
        raise TlsError(
            f"{where}.name is {_shown(texts['name'])}, which is not in a domain of the request; write the full name, such as "
            f"{name.partition('.')[0][:63]}.{domains[0].removeprefix('*.')}"
        )
    if len(value) > MAX_VALUE_CHARACTERS or not is_printable(value):
        raise TlsError(
            f"{where}.value has control characters or more than {MAX_VALUE_CHARACTERS} characters; copy it from the CA again"
        )
    if record == "CNAME":
        value = value.lower().removesuffix(".")
        if not HOST_NAME.fullmatch(value):
            raise TlsError(
                f"{where}.value is {_shown(value)}, and a CNAME record leads to a name; write the one of the CA"
            )
        if value == name:
            raise TlsError(
                f"{where}.value is the name of the record itself; write the name to which the CA wants it to lead"
            )
    return {"type": "dns", "name": name, "record": record, "value": value}


def _file(texts: dict[str, str], where: str, domains: t.Sequence[str]) -> Validation:
    url, content = texts["url"], texts["content"]
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        parts, host, port = urllib.parse.urlsplit(""), "", None
    is_plain = is_printable(url) and url.isascii() and " " not in url and len(url) <= MAX_PATH_CHARACTERS
    if (
        not is_plain
        or parts.scheme not in PORTS
        or not host
        or parts.path in ("", "/")
        or parts.username
        or parts.fragment
    ):
        raise TlsError(
            f"{where}.url is {_shown(url)}, and it is the URL of a file; write for example {EXAMPLE_BY_TYPE['file']}"
        )
    if port not in (None, PORTS[parts.scheme]):
        raise TlsError(f"{where}.url has the port {port}, and CAs ask the ports 80 and 443 alone; leave it out")
    wildcards = [domain for domain in domains if domain.startswith("*.")]
    if wildcards:
        raise TlsError(
            f"{where} is a file, and CAs validate {wildcards[0]} by DNS alone; have the CA give you a record"
        )
    if not any(domain == host or domain.endswith(f".{host}") for domain in domains):
        raise TlsError(f"{where}.url is on {host}, which is none of the domains of the request; correct it")
    if len(content.encode("utf-8", "replace")) > MAX_CONTENT_BYTES or not is_printable(
        re.sub(r"[\r\n\t]", "", content)
    ):
        raise TlsError(
            f"{where}.content has control characters or more than {MAX_CONTENT_BYTES} bytes; copy it from the CA again"
        )
    return {"type": "file", "url": url, "content": content}


def _is_around(name: str, domains: t.Sequence[str]) -> bool:
    """Say whether a name is a domain of the request, or below one of them or of its parents with two labels or more."""
    for domain in domains:
        labels = domain.removeprefix("*.").split(".")
        parents = [".".join(labels[start:]) for start in range(len(labels) - 1)]
        if any(name == parent or name.endswith(f".{parent}") for parent in parents):
            return True
    return False


def _shown(value: t.Any) -> str:
    """Return a value of the inventory for a sentence."""
    return "missing" if value is None else shorten(repr(value), 80)
