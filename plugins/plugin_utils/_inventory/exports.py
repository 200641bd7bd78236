# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of C(exports): the further files that a request has made of its certificate."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Export
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.notifications import check_units
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import (
    check_certificate_mode,
    check_key_mode,
    check_names,
    check_path,
    is_printable,
    repeated,
)

KEYSTORE_PASSWORD = re.compile("[ -~]{1,128}")
MAX_FRIENDLY_NAME_CHARACTERS = 64


def check_exports(exports: list[Export], links: t.Iterable[str]) -> None:
    """Raise TlsError for an export that cannot be written, or whose path is that of another or of a link."""
    for export in exports:
        _check_export(export, f"exports: {export['path']}: ")
    password_files = {file for export in exports if (file := export["password_file"])}  # which several may share
    shared = repeated([*(export["path"] for export in exports), *password_files, *links])
    if shared:
        raise TlsError(f"exports: {shared} is to be several files; give each a path of its own")


def _check_export(export: Export, where: str) -> None:
    for path in filter(None, (export["path"], export["password_file"])):
        check_path("exports", path)
    if export["state"] == "present":
        _check_keystore_options(export, where)
    mode = export["mode"]
    if mode and export["format"] == "der":
        check_certificate_mode(mode, where)
    elif mode:
        check_key_mode(mode, where)
    check_names({"owner": export["owner"], "group": export["group"]})
    check_units((*export["restart"], *export["reload"]), where)


def _check_keystore_options(export: Export, where: str) -> None:
    """Raise TlsError unless a keystore, and no other format, has one password and at most one name."""
    options = {name: export[name] for name in ("password", "password_file", "friendly_name")}
    if export["format"] != "pkcs12":
        unfit = [name for name, value in options.items() if value is not None]
        if unfit:
            raise TlsError(f"{where}{unfit[0]} is for format: pkcs12 alone; leave it out, or choose that")
        return
    password, name = export["password"], export["friendly_name"]
    if (password is None) == (export["password_file"] is None):
        raise TlsError(f"{where}a keystore needs either password or password_file; write one of them")
    if password is not None and not KEYSTORE_PASSWORD.fullmatch(password):
        raise TlsError(
            f"{where}password is text of letters, digits and signs that ASCII has, 128 at most, since programs do not agree on others; "
            "choose another one"
        )
    if name is not None and not _is_friendly_name(name):
        raise TlsError(
            f"{where}friendly_name is {name!r}, and it is printable text of 64 characters at most; correct it"
        )


def _is_friendly_name(name: str) -> bool:
    return 0 < len(name) <= MAX_FRIENDLY_NAME_CHARACTERS and name == name.strip() and is_printable(name)
