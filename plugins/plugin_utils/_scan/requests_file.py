# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write what a host has as requests, to be read before they are used."""

from __future__ import annotations

import json
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file, replace_file
from ansible_collections.evergreen.tls.plugins.module_utils._text import printable, shorten

HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")
HEADER = """# What {host} has, as evergreen.tls.scan found it. Read it, name the issuer, and move the requests into the inventory.
---
"""


def requests_text(host: str, certificates: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Return YAML with the requests of a host. What cannot be adopted, and why, is a comment.

    certificates: as tls_inventory returns them. Each pair of files is one request, however many places name it.
    """
    entries: list[str] = []
    comments: list[str] = []
    names: set[str] = set()
    pairs: set[tuple[str, str]] = set()
    for one in certificates:
        pair = (one.get("key") or "", one["certificate"])
        if one.get("managed") or pair in pairs:
            continue
        pairs.add(pair)
        about = f"{one['place']}, {one['server']}; {'served' if one['served'] else 'not served'}"
        if one.get("not_after"):
            about += f"; ends {one['not_after'][:10]}"
        if one.get("manager"):
            about += f"; {one['manager']} renews it, which has to end"
        if one.get("refusal") or not one.get("domains"):
            why = one.get("refusal") or "the certificate has no names"
            comments.append(f"# {_line(about)}\n#   {_line(one['certificate'])}: {_line(why)}\n")
            continue
        adopt = {name: one[name] for name in ("key", "certificate", "chain") if one.get(name)}
        exposed = (
            f"  # others may read the key ({one['key_mode']}): it is replaced at once" if one.get("exposed") else ""
        )
        entries.append(
            f"  - name: {_quoted(_unused_name(one, names))}  # {_line(about)}\n"
            f"    domains: {_quoted(one['domains'])}\n"
            f"{_type_lines(one.get('key_type') or '')}"
            f"    adopt: {_quoted(adopt)}{exposed}\n"
        )
    requests = "certificate_requests:\n" + "".join(entries) if entries else "certificate_requests: []\n"
    refused = "\n# These cannot be adopted as they are:\n" + "".join(comments) if comments else ""
    return HEADER.format(host=_line(host)) + requests + refused


# not a parser: it accepts any text, or raises TlsError
def write_requests(directory: str, host: str, text: str, is_check: bool) -> tuple[str, bool]:
    """Write the file of a host; return its path, and whether it changes. In check mode nothing is written."""
    if not HOST_NAME.fullmatch(host):
        raise TlsError(
            f"the host {shorten(printable(host))} has a name that no file can have; rename it in the inventory"
        )
    path = os.path.join(directory, f"{host}.yml")
    content = text.encode("utf-8", "replace")
    if read_file(path) == content:
        return path, False
    if not is_check:
        os.makedirs(directory, exist_ok=True)
        replace_file(path, content)
    return path, True


def _quoted(value: t.Any) -> str:
    """Return a value as JSON in ASCII, which is YAML as well. Ansible does not take braces in it for a template of its own."""
    text = json.dumps(value)
    return f"!unsafe {text}" if "{{" in text or "{%" in text else text


def _line(text: str) -> str:
    """Return a text of others as one line of a comment."""
    return printable(shorten(text))


# not a parser: it accepts any text
def _unused_name(one: t.Mapping[str, t.Any], names: set[str]) -> str:
    """Return a name for a request: the first domain, and the type of the key where that name is taken."""
    wide = one["domains"][0].replace("*", "wildcard")
    base = re.sub(r"[^a-z0-9.-]", "-", wide.lower()).strip(".-")[:100] or "certificate"
    kind = str(one.get("key_type") or "").partition(" ")[0].lower()
    candidates = (base, f"{base}-{kind}" if kind else base, *(f"{base}-{number}" for number in range(2, 10_000)))
    name = next(candidate for candidate in candidates if candidate not in names)
    names.add(name)
    return name


# not a parser: it accepts any text
def _type_lines(key_type: str) -> str:
    """Return the options of the type of key, where it is one that a request can have."""
    kind, _space, size = key_type.partition(" ")
    if kind == "RSA" and size in ("2048", "3072", "4096"):
        return f"    type: RSA\n    size: {size}\n"
    if kind == "ECC" and size in ("secp256r1", "secp384r1"):
        return f"    type: ECC\n    curve: {size}\n"
    return "    type: Ed25519\n" if kind == "Ed25519" else ""
