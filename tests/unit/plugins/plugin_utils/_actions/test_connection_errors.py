# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a host cannot be reached, with the remedy."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.connection_errors import why_lost


@pytest.mark.parametrize(
    ("complaint", "sentence"),
    [
        (
            (
                "Failed to create temporary directory. Failed command was: mkdir, exited with result 1, mkdir: cannot create directory "
                "'/root/.ansible/tmp': No space left on device"
            ),
            "the host has no space left for what Ansible puts there; free some, and run this again",
        ),
        (
            "Failed to create temporary directory.\nmkdir: cannot create directory '/srv': Permission denied",
            (
                "Ansible cannot make its folder on the host: mkdir: cannot create directory '/srv': Permission denied; "
                "see who may write to remote_tmp there"
            ),
        ),
        (
            "",
            "the host cannot be reached: no reason given; see that it runs, and that ansible_host is right, and run this again",
        ),
        (
            'Data could not be sent to remote host "192.0.2.1". Make sure this host can be reached over ssh: ',
            (
                "the host cannot be reached: the connection broke off; "
                "see that it runs, and that ansible_host is right, and run this again"
            ),
        ),
        (
            'Data could not be sent to remote host "192.0.2.1". Make sure this host can be reached over ssh: Broken pipe\n',
            (
                "the host cannot be reached: Broken pipe; "
                "see that it runs, and that ansible_host is right, and run this again"
            ),
        ),
    ],
)
def test_what_keeps_ansible_from_a_host_is_told_with_its_remedy(complaint, sentence):
    assert why_lost(complaint) == sentence
