# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outbox: the files that a person hands in to a CA. For each request a CSR, a manifest in YAML, and a page for a ticket."""

from __future__ import annotations

import contextlib
import html
import io
import os
import re
import typing as t
import zipfile

import yaml

from ansible_collections.evergreen.tls.plugins.module_utils._system.files import replace_file
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.queue import QueueRecord
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters, escape_value

BUNDLE = "requests.zip"
MAX_STEM_LENGTH = 150
ZIP_EPOCH = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the first date of ZIP; a constant one, so that the same requests give the same archive
ROWS = (
    ("names", "Names"),
    ("organization", "Subject"),
    ("key", "Key"),
    ("why", "Why it is due"),
    ("answer_by", "Answer needed by"),
    ("asked_by", "Asked by"),
    ("asked_at", "Asked on"),
    ("host", "For the server"),
    ("request", "Name of the request"),
    ("signing_request", "To be handed in"),
    ("validation", "The CA wants to see"),
    ("put_answer_into", "Put the answer into"),
    ("public_key_sha256", "Public key (SHA-256)"),
)
NOTES = (
    "Hand in the signing request below, as it is. It holds no secret; the private key stays on the server.",
    "Have the CA sign this request. Do not let it make a key: a key that was ever in a mail or on a web page is refused.",
    "Whatever comes back goes into the folder above as it is: any file name, any form, the intermediates with it or beside it.",
)
WILDCARD = "*.{0} covers one level: www.{0}, and neither {0} itself nor www.shop.{0}."
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; max-width: 50em; margin: 2em auto; }}
th {{ text-align: left; vertical-align: top; padding-right: 2em; white-space: nowrap; }}
td {{ overflow-wrap: anywhere; }}
pre {{ background: #eee; padding: 1em; overflow: auto; }}
</style>
</head>
<body>
<h1>{title}</h1>
<table>
{rows}
</table>
<ul>
{notes}
</ul>
<pre>
{csr}</pre>
</body>
</html>
"""


class Outbox:
    """The outbox in a folder of the controller.

    inbox: the folder that its files name. has_bundle: whether there is an archive of all pending requests.
    """

    def __init__(self, directory: str, inbox: str, has_bundle: bool) -> None:
        self.directory = directory
        self.inbox = inbox
        self.has_bundle = has_bundle

    def put(self, record: QueueRecord) -> None:
        """Write the files of a request. Call it once: files that a person has moved away must not come back."""
        os.makedirs(self.directory, exist_ok=True)
        for name, content in request_files(record, self.inbox).items():
            replace_file(os.path.join(self.directory, name), content)

    def update(self, record: QueueRecord) -> None:
        """Write the files of a request again, but for those that a person has moved away."""
        for name, content in request_files(record, self.inbox).items():
            path = os.path.join(self.directory, name)
            if os.path.isfile(path):
                replace_file(path, content)

    def remove(self, record: QueueRecord) -> None:
        """Remove the files of a request that is not pending any more."""
        for name in request_files(record, self.inbox):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, name))

    def write_bundle(self, records: list[QueueRecord]) -> None:
        """Write the archive of all pending requests, if the issuer has one; remove it when there are none."""
        path = os.path.join(self.directory, BUNDLE)
        if not self.has_bundle or not records:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        replace_file(path, bundle(records, self.inbox))


def file_stem(request: str, host: str, key: str, used: t.Collection[str]) -> str:
    """Return the name without extension for the files of a request, safe for file systems and shells.

    key: digest of the public key, of which a part is added when the name is already in use.

    >>> file_stem("www.example.org", "web 1", "0" * 64, [])
    'www.example.org_web_1'
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", f"{request}_{host}").lstrip(".-")[:MAX_STEM_LENGTH]
    return f"{stem}-{key[:8]}" if stem.lower() in {name.lower() for name in used} else stem


# not a parser: it reads what the collection has made or checked
def request_files(record: QueueRecord, inbox: str) -> dict[str, bytes]:
    """Return the files of a request by their names: CSR, manifest, and the page for a ticket."""
    content = manifest(record, inbox)
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=120)
    stem = record["stem"]
    return {
        f"{stem}.csr": record["csr"].encode(),
        f"{stem}.yml": f"---\n{text}".encode(),
        f"{stem}.html": page(content, record["csr"]).encode(),
    }


def manifest(record: QueueRecord, inbox: str) -> dict[str, t.Any]:
    """Return the manifest of a request, with the keys of ROWS."""
    content = {
        "names": record["names"],
        "organization": record["subject"],
        "key": record["kind"],
        "why": record["reason"],
        "answer_by": record["by"] or "as soon as possible: nothing is served meanwhile",
        "asked_by": record["asked_by"],
        "asked_at": record["handed_in"],
        "host": record["host"],
        "request": record["request"],
        "signing_request": f"{record['stem']}.csr",
        "put_answer_into": inbox,
        "public_key_sha256": record["key"],
    }
    if record.get("validation"):
        content["validation"] = record["validation"]
    texts = {key: shorten(str(content[key])) for key in ("organization", "why") if content[key]}
    return t.cast("dict[str, t.Any]", escape_value({**content, **texts}))


def page(content: dict[str, t.Any], csr: str) -> str:
    """Return a manifest and its CSR as an HTML page without references to other files."""
    rows = [
        f"<tr><th>{label}</th><td>{'<br>'.join(html.escape(text) for text in _lines(content[key]))}</td></tr>"
        for key, label in ROWS
        if key in content
    ]
    wildcards = [WILDCARD.format(name[2:]) for name in content["names"] if name.startswith("*.")]
    notes = [f"<li>{html.escape(note)}</li>" for note in (*NOTES, *wildcards)]
    title = html.escape(f"Certificate for {content['names'][0]}")
    return PAGE.format(
        title=title,
        rows="\n".join(rows),
        notes="\n".join(notes),
        csr=html.escape(escape_control_characters(csr, keep_line_breaks=True)),
    )


def bundle(records: list[QueueRecord], inbox: str) -> bytes:
    """Return a ZIP archive with the files of all requests, byte for byte the same for the same requests."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for record in records:
            for name, content in request_files(record, inbox).items():
                member = zipfile.ZipInfo(name, ZIP_EPOCH)
                member.external_attr = 0o644 << 16
                archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _lines(value: t.Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value or "-")]
