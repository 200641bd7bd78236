# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that servers choose HTTP/2 by ALPN where the inventory has it (RFC 7301; RFC 9113, section 3.2)."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.addresses import shown_places
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import Served

HTTP2 = "h2"
SOURCE = "RFC 7301; RFC 9113, section 3.2"


def check_application_protocol(served: Served) -> list[Finding]:
    """Return a finding about the addresses that do not choose HTTP/2, though http2 is set for the site."""
    present = [one for one in served.observations if one.chain]
    if not served.subject.has_http2 or not present:
        return []
    without = [one for one in present if one.application_protocol != HTTP2]
    evidence = tuple(f"{one.place} chose {one.application_protocol or 'no protocol'}" for one in without or present)
    if not without:
        return [Finding("fine", "served.alpn", f"{shown_places(present)} speaks HTTP/2", evidence, SOURCE)]
    sentence = (
        f"browsers get no HTTP/2 for {served.name} from {shown_places(without)}, though http2 is set for the site; run "
        "evergreen.tls.deploy, or see what answers there"
    )
    return [Finding("risk", "served.alpn", sentence, evidence, SOURCE)]
