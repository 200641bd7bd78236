# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts whose certificates a cloud or an appliance presents: their keys are made and kept on the controller."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REMOTE_SERVERS, Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.connection_errors import PLAYBOOK_PYTHON

LOCAL_TRANSPORTS = ("local", "ansible.builtin.local")
NO_CRYPTOGRAPHY = (
    "the Python that Ansible takes on the controller has no cryptography library, and the one of ansible-playbook has; "
    f"{PLAYBOOK_PYTHON}"
)


def is_local(connection: t.Any) -> bool:
    """Say whether a connection leads to the controller itself."""
    return getattr(connection, "transport", "") in LOCAL_TRANSPORTS


def check_local_connection(request: Request, connection: t.Any) -> None:
    """Raise TlsError unless the key of a request is made where this process can read it."""
    if request["served_by"] not in REMOTE_SERVERS:
        return
    transport = getattr(connection, "transport", "local")
    if transport not in LOCAL_TRANSPORTS:
        raise TlsError(
            f"certificate request {request['name']}: with served_by: {request['served_by']} the key is made on the controller, and the "
            f"connection of this host is {transport}; set ansible_connection: local for it"
        )
