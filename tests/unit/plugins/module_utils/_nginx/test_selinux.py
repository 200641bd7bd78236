# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said where SELinux denies nginx a port or a file."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._nginx.selinux import denial_remedy, file_label

STORE_ERROR = (
    'cannot load certificate "/srv/tls/www/current/fullchain.pem": BIO_new_file() failed (SSL: error:8000000D:system library::'
    "Permission denied:calling fopen(/srv/tls/www/current/fullchain.pem, r))"
)
LOG_ERROR = 'open() "/srv/logs/shop.log" failed (13: Permission denied)'
BIND_ERROR = "bind() to 0.0.0.0:4443 failed (13: Permission denied)"


@pytest.fixture
def enforce(tmp_path):
    path = tmp_path / "enforce"
    path.write_text("1")
    return path


def remedy(error, path):
    return denial_remedy(error, str(path), lambda _path: "system_u:object_r:var_t:s0")


def test_a_port_gets_the_command_that_allows_it(enforce):
    assert remedy(BIND_ERROR, enforce).endswith(": run semanage port -a -t http_port_t -p tcp 4443")


def test_a_store_elsewhere_gets_its_label_and_the_commands_that_change_it(enforce):
    assert remedy(STORE_ERROR, enforce) == (
        ", and SELinux is enforced here, where the label of /srv/tls/www/current/fullchain.pem is system_u:object_r:var_t:s0, and nginx "
        "reads cert_t: run semanage fcontext -a -t cert_t '/srv/tls(/.*)?' and restorecon -R /srv/tls"
    )


def test_another_file_gets_its_label_and_the_command_that_restores_it(enforce):
    assert remedy(LOG_ERROR, enforce) == (
        ", and SELinux is enforced here, where the label of /srv/logs/shop.log is system_u:object_r:var_t:s0: run restorecon -v "
        "/srv/logs/shop.log, or see ausearch -m avc -c nginx"
    )


def test_an_error_without_a_path_names_the_tool_that_lists_denials(enforce):
    assert remedy("setgid(33) failed (13: Permission denied)", enforce).endswith("see ausearch -m avc -c nginx")


@pytest.mark.parametrize("error", [BIND_ERROR, STORE_ERROR, LOG_ERROR])
def test_nothing_is_said_where_selinux_is_not_enforced(tmp_path, enforce, error):
    assert remedy(error, tmp_path / "missing") == ""
    enforce.write_text("0")
    assert remedy(error, enforce) == ""


def test_nothing_is_said_of_other_errors(enforce):
    assert remedy("bind() to 0.0.0.0:443 failed (98: Address already in use)", enforce) == ""


def test_a_file_without_a_label_has_none(tmp_path):
    assert file_label(str(tmp_path / "missing")) is None
