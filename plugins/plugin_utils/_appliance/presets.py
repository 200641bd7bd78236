# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Presets: the files and commands of known programs on an appliance."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import (
    Appliance,
    ApplianceCommand,
    ApplianceFile,
)


def with_preset(appliance: Appliance, name: str) -> Appliance:
    """Return the options of an appliance with what its preset says where they say nothing.

    name: of the certificate request, after which files are named.
    """
    preset = PRESETS.get(appliance["preset"])
    if preset is None:
        return appliance
    files, verify, commands = preset
    return {
        **appliance,
        "files": appliance["files"] or [{**file, "path": file["path"].format(name=name)} for file in files],
        "verify": appliance["verify"] if appliance["verify"] is not None else verify,
        "commands": appliance["commands"] or commands,
    }


def _file(path: str, content: str) -> ApplianceFile:
    return {"path": path, "content": content, "mode": None, "password": None, "encryption": "modern"}


def _command(line: str) -> ApplianceCommand:
    return {"command": line, "timeout": 30, "exit_codes": [0]}


# Files, the command that verifies the configuration, and the commands that have the files used. The folders are those of Debian: the
# configuration of its package haproxy has crt-base /etc/ssl/private. A server that does not run yet is started.
PRESETS: dict[str, tuple[list[ApplianceFile], str, list[ApplianceCommand]]] = {
    "nginx": (
        [_file("/etc/ssl/private/{name}.key", "key"), _file("/etc/ssl/certs/{name}.pem", "fullchain")],
        "nginx -t -q",
        [_command("systemctl reload-or-restart nginx")],
    ),
    "haproxy": (
        [_file("/etc/ssl/private/{name}.pem", "combined")],
        "haproxy -c -q -f /etc/haproxy/haproxy.cfg",
        [_command("systemctl reload-or-restart haproxy")],
    ),
}
