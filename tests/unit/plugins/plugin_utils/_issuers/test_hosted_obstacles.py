# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A diagnosis of a certificate that a cloud makes looks at what the CA of the cloud will see."""

from __future__ import annotations

import time
import types

from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis import diagnose
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER

DOMAIN = "static.example.org"


def test_caa_records_and_validation_of_a_certificate_that_a_cloud_makes_are_checked(here):
    here.zone("org")
    here.zone("example.org", ("example.org", "CAA", '0 issue "letsencrypt.org"'), (f"_26a5.{DOMAIN}", "TXT", "2025"))
    validation = {"type": "dns", "name": f"_26a5.{DOMAIN}", "record": "TXT", "value": "2026"}
    request = {"name": "static", "issuer": "le", "cloud": {"hosted": True}, "validation": [validation]}
    name = types.SimpleNamespace(request=request, issuer=object(), host="cdn1")
    client = DnsClient([f"{RESOLVER}:{here.port}"])
    caa, record = diagnose._check_order(name, (DOMAIN,), client, time.monotonic() + 5)
    assert (caa.severity, caa.code) == ("blocks", "caa.ca") and "sectigo.com" in caa.sentence
    assert record.severity == "blocks" and "has 2025, and the CA wants 2026" in record.sentence
