# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configurations of the servers of this host. They are read where the servers have them; no server is asked."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import read_config
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import (
    PROGRAM_FOLDERS,
    ProgramFinder,
    find_program,
    main_files,
    running_masters,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import find_paths
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import parse_build
from ansible_collections.evergreen.tls.plugins.module_utils._scan.apache_places import apache_places
from ansible_collections.evergreen.tls.plugins.module_utils._scan.haproxy_places import haproxy_places
from ansible_collections.evergreen.tls.plugins.module_utils._scan.nginx_places import nginx_places
from ansible_collections.evergreen.tls.plugins.module_utils._scan.place import MAX_CONFIG_BYTES, Place
from ansible_collections.evergreen.tls.plugins.module_utils._scan.tomcat_places import tomcat_places
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file

APACHE_FILES = ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf", "/etc/apache2/httpd.conf")
APACHE_VARIABLES = "/etc/apache2/envvars"
EXPORT = re.compile(r"^export ([A-Z_]{1,60})=([^\s$]{1,300})$", re.MULTILINE)
HAPROXY_PATTERNS = ("/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d/*.cfg")
TOMCAT_PATTERNS = ("/var/lib/tomcat*/conf/server.xml", "/etc/tomcat*/server.xml", "/opt/tomcat*/conf/server.xml")


class Configured(t.NamedTuple):
    """The places of all servers, and what cannot be read."""

    places: list[Place]
    problems: list[str]


# not a parser: each configuration has its own
def configured_places(finder: ProgramFinder) -> Configured:
    """Return the places that the configurations of this host name. What cannot be read of one server hides no other."""
    places: list[Place] = []
    problems: list[str] = []
    readers = (lambda: _nginx(finder), _apache, _haproxy, lambda: _tomcat(problems))
    for read in readers:
        try:
            places += read()
        except TlsError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{error.filename}: {error.strerror}; run this as a user who may read it")
    return Configured(list(dict.fromkeys(places)), problems)


# not a parser: the configuration has a parser of its own
def _nginx(finder: ProgramFinder) -> list[Place]:
    program = find_program(finder, PROGRAM_FOLDERS)
    if not program:
        return []
    build = parse_build(run_command([program, "-V"])[1])
    places = []
    for main in main_files(running_masters(program), build.prefix, build.config_path):
        places += nginx_places(read_config(main, _read, find_paths), main)
    return places


# not a parser: the configuration has a parser of its own
def _apache() -> list[Place]:
    main = next(filter(os.path.isfile, APACHE_FILES), "")
    if not main:
        return []
    exported = (_read(APACHE_VARIABLES) or b"").decode("utf-8", "replace")
    root = os.path.dirname(os.path.dirname(main)) if main.startswith("/etc/httpd") else os.path.dirname(main)
    return apache_places(main, _read, _included, root, dict(EXPORT.findall(exported)))


# not a parser: the configuration has a parser of its own
def _haproxy() -> list[Place]:
    return [
        place
        for pattern in HAPROXY_PATTERNS
        for path in find_paths(pattern)
        for place in haproxy_places(path, _read, find_paths)
    ]


# not a parser: the configuration has a parser of its own
def _tomcat(problems: list[str]) -> list[Place]:
    places: dict[str, list[Place]] = {}
    for path in (path for pattern in TOMCAT_PATTERNS for path in find_paths(pattern)):
        real = os.path.realpath(path)
        if real in places:
            continue
        places[real] = []
        try:
            base = (
                os.path.dirname(os.path.dirname(path)) if path.endswith("/conf/server.xml") else os.path.dirname(path)
            )
            places[real] = tomcat_places(path, base, _read(path) or b"")
        except TlsError as error:
            problems.append(str(error))
    return [place for ones in places.values() for place in ones]


# not a parser: it accepts any text
def _included(pattern: str) -> list[str]:
    """Return the files that an Include of Apache names; of a folder, all files in it."""
    return find_paths(os.path.join(pattern, "*")) if os.path.isdir(pattern) else find_paths(pattern)


# not a parser: it accepts any text
def _read(path: str) -> bytes | None:
    """Return the content of a regular file, or None. Raises TlsError for a huge one."""
    return read_file(path, max_bytes=MAX_CONFIG_BYTES) if os.path.isfile(path) else None
