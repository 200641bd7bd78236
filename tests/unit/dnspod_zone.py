# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DNSPod in front of a zone of the fake internet: what its API adds and removes, name servers on the loopback network have."""

from __future__ import annotations

import dns.rdatatype

from ansible_collections.evergreen.tls.tests.cloud.tencent.dnspod import Dnspod
from ansible_collections.evergreen.tls.tests.unit.fake_internet import name_of


def dnspod_of(zone):
    """Return the service of Tencent Cloud that changes the records of a zone."""

    def values(domain, name, kind):
        return zone.records.setdefault((name_of(f"{name}.{domain}"), dns.rdatatype.from_text(kind)), set())

    def shown(kind, value):
        return f'"{value}"' if kind == "TXT" else value

    return Dnspod(
        zone.name.to_text(omit_final_dot=True),
        added=lambda domain, name, kind, value: values(domain, name, kind).add(shown(kind, value)),
        removed=lambda domain, name, kind, value: values(domain, name, kind).discard(shown(kind, value)),
    )
