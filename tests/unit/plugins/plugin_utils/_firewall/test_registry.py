# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new backend takes: a file, a line in BACKENDS, and the choices in two documentations."""

from __future__ import annotations

import pathlib

import pytest
import yaml

from ansible_collections.evergreen.tls.plugins.modules import firewall_port
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall import registry
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import Firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.detect import initial_queries
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.registry import BACKENDS
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import HTTPS_FROM_ANYWHERE, detect_firewall
from ansible_collections.evergreen.tls.tests.unit.transcripts import RecordedHost

ROLE = pathlib.Path(__file__).parents[5] / "roles" / "firewall" / "meta" / "argument_specs.yml"
CHOICES = ["auto", *BACKENDS, "none"]


@pytest.mark.parametrize("name", BACKENDS)
def test_each_backend_has_a_file_of_its_name(name):
    assert BACKENDS[name].__module__.rpartition(".")[2] == name


def test_documentation_names_each_backend():
    module = yaml.safe_load(firewall_port.DOCUMENTATION)["options"]["backend"]
    role = yaml.safe_load(ROLE.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]["firewall_backend"]
    assert module["choices"] == role["choices"] == CHOICES


@pytest.mark.parametrize("is_frontend", [True, False])
def test_a_new_backend_takes_nothing_except_a_line(is_frontend, monkeypatch):
    class Pf(Firewall):
        name = "pf"
        program = "pfctl"
        queries = (("run", "pfctl", "-s", "rules"),)

        @classmethod
        def from_host_state(cls, host, accesses, zone=None):
            return cls([])

        def is_denying(self, accesses):
            return True

    monkeypatch.setattr(Pf, "is_frontend", is_frontend)
    monkeypatch.setitem(registry.BACKENDS, "pf", Pf)
    host = RecordedHost(prints={"pfctl -s rules": "block all"})
    assert (detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE).name, host.visits) == ("pf", 1)
    assert detect_firewall(host, "pf", HTTPS_FROM_ANYWHERE).name == "pf"
    assert initial_queries("pf")[0].conditions == (("has", "pfctl"),)
