# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write what a playbook has found as JSON, for other programs."""

from __future__ import annotations

import json
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._system.files import replace_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters, escape_value

display = Display()


# not a parser: it writes what the collection has made or checked
def write_document(path: str, document: t.Any, title: str, option: str) -> None:
    """Write a document in one piece. Where that fails, warn: what was found counts without its file.

    title: of the document, and option: of its path, in the warning.
    """
    try:
        replace_file(path, json.dumps(escape_value(document), indent=2).encode() + b"\n")
    except OSError as error:
        display.warning(
            escape_control_characters(f"{title} is not written to {path}: {error.strerror}; correct {option}")
        )
