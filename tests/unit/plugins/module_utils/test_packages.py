# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of packages by distribution and interpreter."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._packages import (
    CRYPTOGRAPHY_PACKAGES,
    Interpreter,
    cryptography_package,
    install_command,
)

SYSTEM = {"/usr/bin/python3": "/usr/bin/python3.9"}


def package(manager, path, minor, is_virtual=False):
    return cryptography_package(
        Interpreter(path, minor, is_virtual), has_file=[manager].count, real_path=lambda one: SYSTEM.get(one, one)
    )


@pytest.mark.parametrize(
    ("manager", "path", "minor", "expected"),
    [
        ("/usr/bin/apt-get", "/usr/bin/python3", 9, "python3-cryptography"),
        ("/usr/bin/apt-get", "/usr/bin/python3.9", 9, "python3-cryptography"),
        ("/usr/bin/apt-get", "/usr/bin/python3.12", 12, None),
        ("/usr/bin/dnf", "/usr/bin/python3", 9, "python3-cryptography"),
        ("/usr/bin/dnf", "/usr/bin/python3.12", 12, "python3.12-cryptography"),
        ("/usr/bin/yum", "/usr/bin/python3.11", 11, "python3.11-cryptography"),
        ("/usr/bin/zypper", "/usr/bin/python3.11", 11, "python311-cryptography"),
        ("/sbin/apk", "/usr/bin/python3", 12, "py3-cryptography"),
        ("/usr/bin/pacman", "/usr/bin/python3", 13, "python-cryptography"),
        ("/usr/bin/apt-get", "/usr/local/bin/python3", 12, None),
        ("/usr/bin/emerge", "/usr/bin/python3", 12, None),
    ],
)
def test_the_package_of_cryptography_depends_on_the_manager_and_the_interpreter(manager, path, minor, expected):
    assert package(manager, path, minor) == expected
    assert expected is None or expected in CRYPTOGRAPHY_PACKAGES


def test_no_package_reaches_into_a_virtual_environment():
    assert package("/usr/bin/apt-get", "/usr/bin/python3", 9, is_virtual=True) is None


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("/usr/bin/apt-get", "apt install nginx"),
        ("/usr/bin/dnf", "dnf install nginx"),
        ("/usr/bin/zypper", "zypper install nginx"),
        ("/sbin/apk", "apk add nginx"),
        ("/usr/bin/pacman", "pacman -S nginx"),
        ("/usr/bin/emerge", ""),
    ],
)
def test_the_command_that_installs_a_package_is_the_one_of_the_host(manager, command):
    assert install_command("nginx", has_file=[manager].count) == command
