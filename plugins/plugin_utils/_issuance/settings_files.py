# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of certificates that settings of issuers name, in any form: C(roots), C(chain_extra), C(intermediates), C(root)."""

from __future__ import annotations

import errno
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.file_formats import FileContents
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.certificate_files import read_certificates

SETTINGS = ("roots", "chain_extra", "intermediates")
MAX_PATH_IN_SENTENCE = 200  # characters
PEM = "-----BEGIN "


def read_setting(name: str, value: str, alternative: str = "leave it out") -> FileContents:
    """Return the certificates of a setting: a path on the controller, or the text of PEM itself.

    alternative: what else to do where the file does not exist.
    Raises TlsError when there is no file, or no certificate in it that can be read.
    """
    try:
        content = value.encode() if PEM in value else read_file(value)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        content = None
    if content is None:
        shown = shorten(value, MAX_PATH_IN_SENTENCE)
        raise TlsError(f"{name}: {shown} does not exist; correct the path, or {alternative}")
    contents = read_certificates(content)
    if not contents.certificates:
        raise TlsError(
            f"{name}: {setting_label(value)}: {' '.join(contents.messages) or 'it holds a private key alone; name the certificate'}"
        )
    return contents


def unreadable_messages(settings: t.Mapping[str, t.Any]) -> list[str]:
    """Return a sentence for each certificate that was passed over in the files that the settings of an issuer name."""
    messages = []
    for name in SETTINGS:
        value = settings.get(name)
        try:
            contents = read_setting(name, value) if value else None
        except TlsError:  # whoever needs it says so
            continue
        except OSError as error:
            messages.append(f"{name}: {system_error(error)}")
            continue
        messages += (
            [f"{name}: {setting_label(t.cast(str, value))}: {message}" for message in contents.messages]
            if contents
            else []
        )
    return messages


def setting_label(value: str) -> str:
    """Return how errors call the file that a setting names."""
    return "the text" if PEM in value else value
