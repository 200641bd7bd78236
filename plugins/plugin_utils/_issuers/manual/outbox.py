# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outbox: what a person hands in to a CA. For each request a CSR, and who asks for what and why, for machines and for tickets."""

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

BUNDLE = "requests.zip"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that ZIP knows, so that the same requests give the same archive
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
    """A folder of the controller."""

    def __init__(self, directory: str, inbox: str, bundles: bool) -> None:
        self.directory = directory
        self.inbox = inbox
        self.bundles = bundles

    def put(self, record: dict[str, t.Any]) -> None:
        """Write what a person hands in for a request. It is not written again: who took it away has taken it."""
        os.makedirs(self.directory, exist_ok=True)
        for name, content in files_of(record, self.inbox).items():
            replace_file(os.path.join(self.directory, name), content)

    def remove(self, record: dict[str, t.Any]) -> None:
        """Remove what there is for a request that nobody shall hand in any longer."""
        for name in files_of(record, self.inbox):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, name))

    def bundle(self, records: list[dict[str, t.Any]]) -> None:
        """Have all that waits in one archive, where that is wanted; none when nothing waits."""
        path = os.path.join(self.directory, BUNDLE)
        if not self.bundles or not records:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        replace_file(path, bundle_of(records, self.inbox))


def stem_of(request: str, host: str, key: str, taken: t.Collection[str]) -> str:
    """Return a telling name for the files of a request, without what file systems and shells stumble over.

    >>> stem_of("www.example.org", "web 1", "0" * 64, [])
    'www.example.org_web_1'
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", f"{request}_{host}").lstrip(".-")[:150]
    return f"{stem}-{key[:8]}" if stem.lower() in {name.lower() for name in taken} else stem


# not a parser: it reads what the collection has made or checked
def files_of(record: dict[str, t.Any], inbox: str) -> dict[str, bytes]:
    """Return the files of a request by their names: CSR, manifest, and the page for a ticket."""
    told = manifest(record, inbox)
    text = yaml.safe_dump(told, allow_unicode=True, sort_keys=False, width=120)
    stem = record["stem"]
    return {
        f"{stem}.csr": record["csr"].encode(),
        f"{stem}.yml": f"---\n{text}".encode(),
        f"{stem}.html": page(told, record["csr"]).encode(),
    }


def manifest(record: dict[str, t.Any], inbox: str) -> dict[str, t.Any]:
    """Return what people and their programs want to know of a request."""
    return {
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


def page(told: dict[str, t.Any], csr: str) -> str:
    """Return the manifest as a page that stands for itself."""
    rows = [
        f"<tr><th>{label}</th><td>{'<br>'.join(html.escape(text) for text in _lines(told[word]))}</td></tr>"
        for word, label in ROWS
    ]
    wildcards = [WILDCARD.format(name[2:]) for name in told["names"] if name.startswith("*.")]
    notes = [f"<li>{html.escape(note)}</li>" for note in (*NOTES, *wildcards)]
    title = html.escape(f"Certificate for {told['names'][0]}")
    return PAGE.format(title=title, rows="\n".join(rows), notes="\n".join(notes), csr=html.escape(csr))


def bundle_of(records: list[dict[str, t.Any]], inbox: str) -> bytes:
    """Return an archive with the files of all requests, the same for the same requests."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for record in records:
            for name, content in files_of(record, inbox).items():
                member = zipfile.ZipInfo(name, EPOCH)
                member.external_attr = 0o644 << 16
                archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _lines(value: t.Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value or "-")]
