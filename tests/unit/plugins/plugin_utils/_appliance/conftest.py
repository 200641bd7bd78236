# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for the tests of appliances."""

from __future__ import annotations

import functools

import paramiko
import pytest

from ansible_collections.evergreen.tls.tests.unit.ssh_appliance import ssh_appliances


@functools.cache
def host_key(kind, number=0):
    """Return a host key, the same one for the same kind and number."""
    if kind == "rsa":
        return paramiko.RSAKey.generate(2048)
    return paramiko.ECDSAKey.generate(bits={"nistp256": 256, "nistp384": 384}[kind])


@pytest.fixture
def appliance():
    """Return a function that starts an SSH server with these host keys."""
    with ssh_appliances() as started:

        def start_appliance(*keys, **options):
            return started(*(keys or [host_key("nistp256")]), **options)

        yield start_appliance
