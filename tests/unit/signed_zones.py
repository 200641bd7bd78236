# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signs zones of the small DNS for tests, rightly and wrongly (DNSSEC)."""

from __future__ import annotations

import datetime

import dns.dnssec
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.evergreen.tls.tests.unit.fake_internet import TTL, name_of

DAY = datetime.timedelta(days=1)


def sign(zone, begin=-DAY, end=30 * DAY):
    """Sign a zone with a new key; return the DS record for the zone above. begin, end: of the signatures, from now."""
    private = ec.generate_private_key(ec.SECP256R1())
    key = dns.dnssec.make_dnskey(private.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257)
    signed = dns.zone.Zone(zone.name, relativize=False)
    for (owner, kind), values in zone.records.items():
        if kind != dns.rdatatype.DNSKEY:
            rrset = dns.rrset.from_text_list(owner, TTL, "IN", dns.rdatatype.to_text(kind), sorted(values))
            signed.find_rdataset(owner, kind, create=True).update(rrset)
    now = datetime.datetime.now(datetime.timezone.utc)
    dns.dnssec.sign_zone(signed, keys=[(private, key)], dnskey_ttl=TTL, inception=now + begin, expiration=now + end)
    zone.records[zone.name, dns.rdatatype.DNSKEY] = {key.to_text()}
    zone.signatures = {
        (owner, rdataset.covers): dns.rrset.from_rdata_list(owner, TTL, list(rdataset))
        for owner, rdataset in signed.iterate_rdatasets()
        if rdataset.rdtype == dns.rdatatype.RRSIG
    }
    return dns.dnssec.make_ds(zone.name, key, "SHA256").to_text()


def sign_chain(*zones, **words):
    """Sign zones, the lowest first, so that each has the DS record of the one before. *words* are for the lowest alone."""
    ds, below = None, None
    for zone in zones:
        if ds:
            zone.records[below.name, dns.rdatatype.DS] = {ds}
        ds, below = sign(zone, **(words if below is None else {})), zone


def validate(internet, broken=(), option=None):
    """Let the resolver of the tests validate: all names in *broken* zones fail, with an *option* of EDNS that says why."""
    answer = internet.resolver.answer

    def checked(wire):
        query, response = dns.message.from_wire(wire), dns.message.from_wire(answer(wire))
        name = query.question[0].name
        if not query.flags & dns.flags.CD:
            if any(name.is_subdomain(name_of(zone)) for zone in broken):
                response = dns.message.make_response(query)
                response.set_rcode(dns.rcode.SERVFAIL)
                response.use_edns(0, options=[option] if option else [])
            elif internet.resolver.zone_of(name).signatures:
                response.flags |= dns.flags.AD
        return response.to_wire(max_size=65535)

    internet.resolver.answer = checked
