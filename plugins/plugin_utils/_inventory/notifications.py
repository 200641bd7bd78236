# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of C(restart), C(reload) and C(run_after): how programs are notified that they have to read a certificate again."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import check_path, is_printable

UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,254}")  # systemd.unit(5)
PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
PLACEHOLDERS = ("{name}", "{folder}", "{fingerprint}")  # _store/notifications.py fills them in
COMMAND_EXAMPLE = 'run_after: [[/usr/local/sbin/publish-certificate, "{name}"]]'


def check_units(units: t.Iterable[str], where: str = "") -> None:
    """Raise TlsError for a name that no unit of systemd has. where: the beginning of the message."""
    for unit in units:
        if not UNIT_NAME.fullmatch(unit):
            raise TlsError(f"{where}{unit!r} cannot be a unit of systemd; write its name, such as tomcat10")


def check_notifications(request: Request) -> None:
    """Raise TlsError for a unit or command of a request that cannot be one."""
    for option, units in (("restart", request["restart"]), ("reload", request["reload"])):
        check_units(units, f"{option}: ")
    for words in request["run_after"]:
        _check_command(words)


def _check_command(words: list[t.Any]) -> None:
    """Raise TlsError unless a command is a list of texts, of which the first is an absolute path."""
    if not words or not all(isinstance(word, str) and is_printable(word) for word in words):
        raise TlsError(
            f"run_after: {words!r} is not a command, which is a list of words without control characters; write {COMMAND_EXAMPLE}, "
            "with numbers in quotes"
        )
    if not words[0].startswith("/") or (len(words) == 1 and " " in words[0]):
        raise TlsError(
            f"run_after: {words[0]!r} is not the absolute path of a program. Each command is a list of its own, and no shell runs it; "
            f"write {COMMAND_EXAMPLE}"
        )
    check_path("run_after", words[0])
    unknown = [one for word in words for one in PLACEHOLDER.findall(word) if one not in PLACEHOLDERS]
    if unknown:
        raise TlsError(
            f"run_after: {unknown[0]} is not known; write one of {', '.join(PLACEHOLDERS)}, or have the program read its EVERGREEN_ variables"
        )
