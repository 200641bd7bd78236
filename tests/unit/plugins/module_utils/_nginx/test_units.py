# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stopped nginx has the command line of the unit that will start it."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import Master, main_file
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.units import (
    Unit,
    nginx_units,
    parse_arguments,
    start_options,
)

DEBIAN = """\
[Service]
Type=forking
PIDFile=/run/nginx.pid
ExecStartPre={program} -t -q -g 'daemon on; master_process on;'
ExecStart={program} -g 'daemon on; master_process on;'
ExecReload={program} -g 'daemon on; master_process on;' -s reload
"""
PROCESS = "daemon on; master_process on;"


@pytest.fixture
def program(tmp_path) -> pathlib.Path:
    path = tmp_path / "sbin" / "nginx"
    path.parent.mkdir()
    path.touch()
    return path


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("{program}", Master(0, None, None)),
        ("{program} -c /srv/app/nginx.conf", Master(0, None, "/srv/app/nginx.conf")),
        ("-{program} -c/srv/app/nginx.conf", Master(0, None, "/srv/app/nginx.conf")),
        ("@{program} name -p /srv/app -c nginx.conf", Master(0, "/srv/app", "nginx.conf")),
        ("!!{program} -qc '/srv/my app/nginx.conf'", Master(0, None, "/srv/my app/nginx.conf")),
        ("{program} \\\n    -c /a.conf \\\n    -g 'pid /run/a.pid;'", Master(0, None, "/a.conf", "pid /run/a.pid;")),
        ("/bin/true\nExecStart=\nExecStart={program} -c /b.conf", Master(0, None, "/b.conf")),
        ("/usr/bin/other -c /b.conf", None),
        ("{program} -c $MAIN", None),
        ("{program} 'open", None),
        ("", None),
    ],
)
def test_the_options_of_a_unit_are_those_of_its_command(program, command, options):
    text = f"[Service]\nExecStart={command.format(program=program)}\n"
    assert start_options(text, str(program)) == options


def test_the_unit_of_debian_starts_the_main_file_that_nginx_was_built_with(program):
    assert start_options(DEBIAN.format(program=program), str(program)) == Master(0, None, None, PROCESS)


def test_an_option_without_its_value_is_empty():
    assert parse_arguments(["-c"]) == Master(0, None, "")


class Folders:
    """The folders of units, of which the first one has the last word."""

    def __init__(self, above: pathlib.Path) -> None:
        self.paths = [above / "etc", above / "lib"]
        self.names = [str(path) for path in self.paths]

    def write(self, folder: int, name: str, text: str) -> None:
        path = self.paths[folder] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def enable(self, name: str) -> None:
        link = self.paths[0] / "multi-user.target.wants" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(self.paths[1] / name)


def test_a_drop_in_has_another_main_file(tmp_path, program):
    folders = Folders(tmp_path)
    folders.write(1, "nginx.service", DEBIAN.format(program=program))
    folders.write(0, "nginx.service.d/app.conf", f"[Service]\nExecStart=\nExecStart={program} -c /srv/app/nginx.conf\n")
    folders.write(1, "other.service", "[Service]\nExecStart=/bin/true\n")
    units = [Unit("nginx", Master(0, None, "/srv/app/nginx.conf"), False)]
    assert nginx_units(str(program), folders.names) == units


def test_units_that_are_enabled_come_before_others_and_masked_ones_do_not_count(tmp_path, program):
    folders = Folders(tmp_path)
    folders.write(1, "nginx.service", DEBIAN.format(program=program))
    folders.write(1, "app.service", f"[Service]\nExecStart={program} -c /srv/app/nginx.conf\n")
    folders.write(1, "app@.service", f"[Service]\nExecStart={program} -c /srv/%i/nginx.conf\n")
    names = [unit.name for unit in nginx_units(str(program), folders.names)]
    assert names == ["app", "nginx"]
    folders.enable("app.service")
    assert [unit.name for unit in nginx_units(str(program), folders.names)] == ["app"]
    folders.paths[0].joinpath("app.service").symlink_to("/dev/null")
    assert [unit.name for unit in nginx_units(str(program), folders.names)] == ["nginx"]


def test_several_units_with_other_main_files_are_named():
    with pytest.raises(
        TlsError, match="several units of systemd start nginx on this host, with the main files /a, /b, and"
    ):
        main_file([Master(0, None, "/a"), Master(0, None, "/b")], "/usr/share/nginx", "/etc/nginx/nginx.conf")
