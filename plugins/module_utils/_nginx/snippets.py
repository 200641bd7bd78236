# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snippets: directives that many sites share, in files beside the file of the sites, which includes them.

The name of a snippet ends in a hash of its content, so each file of sites finds the content it was written for. Neither an upgrade nor
the way back to the old file of sites exchanges a snippet. The names begin with a dot, so that no include with an asterisk matches them.
"""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    read_file,
    remove_file,
    replace_file,
    sync_folder,
)

TEST_SUFFIX = "evergreen-test"  # of the files that nginx tests
HASH_CHARACTERS = 8
SNIPPET_HEADER = "# Written by evergreen.tls for the sites in {}; changes are overwritten.\n"


class SiteFiles(t.NamedTuple):
    """The content of the file of sites, and of the snippets that it includes, by path."""

    text: str
    snippets: t.Mapping[str, str] = {}

    # not a parser: it reads what the collection has made or checked
    def for_test(self) -> SiteFiles:
        """Return the same files with other paths of the snippets."""
        text = self.text
        for path in self.snippets:
            text = text.replace(path, path_for_test(path))
        return SiteFiles(text, {path_for_test(path): content for path, content in self.snippets.items()})

    # not a parser: it reads what the collection has made or checked
    def has_snippets(self) -> bool:
        """Return whether the snippets are there with this content."""
        return all(read_file(path) == content.encode() for path, content in self.snippets.items())

    # not a parser: it reads what the collection has made or checked
    def write_snippets(self) -> None:
        """Write the snippets that are missing or have another content."""
        for path, content in self.snippets.items():
            if read_file(path) != content.encode():
                replace_file(path, content.encode())


class SnippetCollection:
    """The snippets of the file of sites *path*, by path. They are collected while that file is rendered."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.contents: dict[str, str] = {}

    # not a parser: it reads what the collection has made or checked
    def include(self, name: str, directives: t.Iterable[str]) -> str:
        """Return the directive that includes a snippet."""
        content = SNIPPET_HEADER.format(self.path) + "".join(f"{directive}\n" for directive in directives)
        digest = hashlib.sha256(content.encode()).hexdigest()[:HASH_CHARACTERS]
        path = hidden_path(self.path, f"{name}-{digest}")
        self.contents[path] = content
        return f"include {path};"


def path_for_test(path: str) -> str:
    """Return the path of the copy of a snippet that nginx tests."""
    return f"{path}.{TEST_SUFFIX}"


# not a parser: it accepts any text
def remove_unused_snippets(path: str, users: t.Iterable[str]) -> None:
    """Remove the snippets of the file of sites *path* that none of the files *users* names.

    With them go those that a killed run has written for a test, and temporary files.
    """
    users_text = b"".join(read_file(user) or b"" for user in users)
    folder, name = os.path.split(path)
    pattern = re.compile(
        rf"\.?\.{re.escape(name)}\.(?:[a-z0-9]+-)+[0-9a-f]{{{HASH_CHARACTERS}}}(?:\.{TEST_SUFFIX}|\.[0-9a-f]{{8}})?"
    )
    snippets = [os.path.join(folder, entry) for entry in filter(pattern.fullmatch, os.listdir(folder))]
    unused = [snippet for snippet in snippets if f"include {snippet};".encode() not in users_text]
    if unused:
        sync_folder(folder)  # a power loss must not bring back a file that includes them
    for snippet in unused:
        remove_file(snippet)


# not a parser: it reads what the collection has made or checked
def with_snippets(path: str, text: str, snippets: t.Mapping[str, str] | None = None) -> str:
    """Return the content of the file of sites *path* for people, followed by that of each snippet that it includes.

    snippets: their content by path, by default that of the files.
    """
    pattern = rf"^ +include ({re.escape(hidden_path(path, ''))}[a-z0-9-]+-[0-9a-f]{{{HASH_CHARACTERS}}});$"
    parts = [text]
    for snippet in sorted(set(re.findall(pattern, text, re.MULTILINE))):
        content = (read_file(snippet) or b"").decode("utf-8", "replace") if snippets is None else snippets.get(snippet)
        parts.append(f"\n# {snippet}\n{content or ''}")
    return "".join(parts)


# not a parser: it reads what the collection has made or checked
def hidden_path(path: str, suffix: str) -> str:
    """Return a path beside *path* that no include with an asterisk matches."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{suffix}")
