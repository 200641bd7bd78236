# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of C(appliance): how a machine without Python is reached, which files it gets, and which commands it runs."""

from __future__ import annotations

import posixpath
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import (
    Appliance,
    ApplianceCommand,
    ApplianceFile,
    Request,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.exports import KEYSTORE_PASSWORD
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import (
    check_certificate_mode,
    check_key_mode,
    check_names,
    is_printable,
    repeated,
)

FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")  # as ssh-keygen -l prints it
CONTENTS_WITH_KEY = ("key", "combined", "pkcs12")
CONTENTS_WITH_CERTIFICATE = ("fullchain", "cert", "combined", "pkcs12")
MAX_TIMEOUT_S = 600  # of a command
MAX_LOGIN_TIMEOUT_S = 120
# Of IIS, without the characters that a name of a site may not have (applicationHost.config, schema of <site>).
SITE_NAME = re.compile(r"[^\\/?;:@&=+$,|\"<>*]{1,260}")
HOST_NAME = re.compile(r"(?=.{1,253}\Z)(\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")


def check_appliance(request: Request) -> None:
    """Raise TlsError unless a request has C(appliance) exactly where an appliance serves it, and that makes sense."""
    appliance = request["appliance"]
    if request["served_by"] != "appliance":
        if appliance is not None:
            raise TlsError("appliance is for served_by: appliance alone; write that, or leave appliance out")
        return
    if appliance is None:
        raise TlsError(
            "served_by is appliance, and nothing says which one; write appliance: {user: …, key_file: …, preset: …}"
        )
    try:
        _check_login(appliance)
        _check_times(appliance)
        if appliance["preset"] == "iis":
            _check_iis(appliance)
        else:
            _check_files(appliance)
    except TlsError as error:
        raise TlsError(f"appliance: {error}") from error


def _check_login(appliance: Appliance) -> None:
    check_names({"user": appliance["user"], "host": appliance["host"]})
    if not appliance["user"]:
        raise TlsError("user is empty; write the name of the user who logs in")
    if appliance["password"] is None and appliance["key_file"] is None and not appliance["agent"]:
        raise TlsError("nothing says how its user logs in; write key_file, password or agent: true")
    if not 1 <= appliance["port"] <= 65535:
        raise TlsError(f"port is {appliance['port']}, and ports are 1 to 65535; correct it")
    for fingerprint in appliance["host_key"]:
        if not FINGERPRINT.fullmatch(fingerprint):
            raise TlsError(
                f"host_key is {fingerprint!r}, and a fingerprint is SHA256: and 43 characters, as ssh-keygen -lf prints it; correct it"
            )


def _check_times(appliance: Appliance) -> None:
    if not 1 <= appliance["timeout"] <= MAX_LOGIN_TIMEOUT_S:
        raise TlsError(f"timeout is {appliance['timeout']}, and it is 1 to {MAX_LOGIN_TIMEOUT_S} seconds; correct it")
    try:
        parse_duration(appliance["patience"])
    except TlsError as error:
        raise TlsError(f"patience: {error}") from error


def _check_iis(appliance: Appliance) -> None:
    unfit = [name for name in ("files", "verify", "commands") if t.cast(dict[str, t.Any], appliance)[name]]
    if unfit:
        raise TlsError(f"{unfit[0]} is not for preset: iis, which has its own; leave it out")
    if not SITE_NAME.fullmatch(appliance["site"]) or not is_printable(appliance["site"]):
        raise TlsError(f"site is {appliance['site']!r}, which cannot be the name of a site of IIS; correct it")
    for name in appliance["host_names"]:
        if not HOST_NAME.fullmatch(name):
            raise TlsError(
                f"host_names: {name!r} cannot be the host name of a binding; write one such as www.example.org"
            )


def _check_files(appliance: Appliance) -> None:
    files = appliance["files"]
    for file in files:
        _check_file(file)
    shared = repeated(file["path"] for file in files)
    if shared:
        raise TlsError(f"files: {shared} is to be several files; give each a path of its own")
    if files or appliance["preset"] == "none":
        contents = {file["content"] for file in files}
        for kinds, what in ((CONTENTS_WITH_CERTIFICATE, "the certificate"), (CONTENTS_WITH_KEY, "the private key")):
            if contents.isdisjoint(kinds):
                raise TlsError(
                    f"files: none of them holds {what}; write one with content: {' or '.join(kinds)}, or a preset"
                )
    for command in appliance["commands"]:
        _check_command(command)
    if appliance["verify"] is not None:
        _check_command_line("verify", appliance["verify"])


def _check_file(file: ApplianceFile) -> None:
    path, where = file["path"], f"files: {file['path']}: "
    if not posixpath.isabs(path) or posixpath.normpath(path) != path or not is_printable(path) or path == "/":
        raise TlsError(f"files: {path!r} is not an absolute path in its plain form; correct it")
    mode = file["mode"]
    if mode and file["content"] in CONTENTS_WITH_KEY:
        check_key_mode(mode, where)
    elif mode:
        check_certificate_mode(mode, where)
    password = file["password"]
    if file["content"] != "pkcs12":
        if password is not None:
            raise TlsError(f"{where}password is for content: pkcs12 alone; leave it out, or choose that")
    elif password is None:
        raise TlsError(f"{where}a keystore needs a password; write one, from a vault")
    elif not KEYSTORE_PASSWORD.fullmatch(password):
        raise TlsError(f"{where}password is printable ASCII of 1 to 128 characters; choose another one")


def _check_command(command: ApplianceCommand) -> None:
    _check_command_line("commands", command["command"])
    where = f"commands: {command['command']!r}: "
    if not 1 <= command["timeout"] <= MAX_TIMEOUT_S:
        raise TlsError(f"{where}timeout is {command['timeout']}, and it is 1 to {MAX_TIMEOUT_S} seconds; correct it")
    if not command["exit_codes"] or not all(0 <= code <= 255 for code in command["exit_codes"]):
        raise TlsError(f"{where}exit_codes are numbers from 0 to 255, and at least one; correct them")


def _check_command_line(option: str, line: str) -> None:
    if not line.strip() or not is_printable(line):
        raise TlsError(f"{option}: {line!r} is no command line; write one without control characters, such as nginx -t")
