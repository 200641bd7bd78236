# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign the zones of a lab with dnspython, those whose signatures have to be over or whose DS record has to be wrong among them.

`.build/venv/bin/python dev/lab_signing.py FOLDER` reads FOLDER/unsigned.json (zone to text) and writes the zones' files, and root.key with the
keys that a resolver begins with.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdataset
import dns.rdatatype
import dns.zone
import lab_diagnosis
from cryptography.hazmat.primitives.asymmetric import ec

HOUR_S = 3600
ALGORITHM = dns.dnssectypes.Algorithm.ECDSAP256SHA256
Key = "tuple[ec.EllipticCurvePrivateKey, dns.rdata.Rdata]"


def new_key() -> Key:
    """Return a new key with its DNSKEY record, for all signatures of a zone."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    flags = dns.dnssec.Flag.ZONE | dns.dnssec.Flag.SEP
    return private_key, dns.dnssec.make_dnskey(private_key.public_key(), ALGORITHM, flags)


def signed_zones(texts: dict[str, str], now: float) -> tuple[dict[str, str], str]:
    """Return the texts of all zones, signed as SIGNED_HOURS has it, and the DNSKEY record of the root."""
    keys = {zone: new_key() for zone in lab_diagnosis.SIGNED_HOURS}
    zones = {name: dns.zone.from_text(text, origin_of(name), relativize=False) for name, text in texts.items()}
    for name in [*keys, *lab_diagnosis.WRONG_DS]:
        if name == ".":
            continue
        key = new_key() if name in lab_diagnosis.WRONG_DS else keys[name]
        ds = dns.dnssec.make_ds(origin_of(name), key[1], dns.dnssec.DSDigest.SHA256)
        parent = zones[parent_of(name)]
        parent.replace_rdataset(origin_of(name), dns.rdataset.from_rdata(60, ds))
    for name, key in keys.items():
        end = now + lab_diagnosis.SIGNED_HOURS[name] * HOUR_S
        start = min(now, end) - 2 * HOUR_S
        dns.dnssec.sign_zone(zones[name], keys=[key], inception=start, expiration=end)
    anchor = f". 3600 IN DNSKEY {keys['.'][1].to_text()}\n"
    return {name: zone.to_text(relativize=False) for name, zone in zones.items()}, anchor


def origin_of(zone: str) -> dns.name.Name:
    """Return the name of a zone."""
    return dns.name.from_text(zone)


def parent_of(zone: str) -> str:
    """Return the zone above another of the lab.

    >>> parent_of("signed.test"), parent_of("test")
    ('test', '.')
    """
    return zone.partition(".")[2] or "."


def main(folder: pathlib.Path) -> None:
    """Write the files of the zones."""
    texts = json.loads((folder / "unsigned.json").read_text(encoding="utf-8"))
    zones, anchor = signed_zones(texts, time.time())
    for name, text in zones.items():
        (folder / lab_diagnosis.file_of(name)).write_text(text, encoding="utf-8")
    (folder / "root.key").write_text(anchor, encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
