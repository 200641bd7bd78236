#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search for private keys and credentials in all that a scenario has written: search.py FOLDER.

The keys are those in FOLDER/store. They may be in their own files there, and nowhere else.
"""

from __future__ import annotations

import base64
import json
import pathlib
import sys

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

FORMATS = (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    keys = sorted((folder / "store").glob("*/v*/privkey.pem"))
    assert len(keys) >= 4, keys
    secret = json.loads((folder / "cloud.json").read_text(encoding="utf-8"))["secret_key"]
    needles = {secret.encode(): "the secret of the account", b"PRIVATE KEY": "a key"}
    for path in keys:
        needles.update(dict.fromkeys(forms_of(path), f"the key {path}"))
    needles.update({path.read_bytes().strip(): f"{path}" for path in (folder / "store").glob("*/v*/passphrase")})
    needles.pop(b"", None)
    searched = [path for path in sorted(folder.rglob("*")) if path.is_file() and path not in keys]
    searched = [path for path in searched if path.name not in ("passphrase", "cloud.json") and path.parent.name != "ca"]
    assert b"Making request for OperationModel(name=ImportCertificate)" in (folder / "botocore.log").read_bytes()
    assert b"ESTABLISH LOCAL CONNECTION" in (folder / "seen.log").read_bytes(), (
        "the log is not as verbose as it should be"
    )
    # A key that is not encrypted is found in its own file, or the search would find it nowhere.
    plain = [path for path in keys if not path.with_name("passphrase").exists()]
    assert plain and all(any(form in path.read_bytes() for form in forms_of(path)) for path in plain)
    found = [
        f"{what} is in {path}" for path in searched for needle, what in needles.items() if needle in path.read_bytes()
    ]
    sys.stdout.write("\n".join([*found, f"{len(needles)} forms of {len(keys)} keys, {len(searched)} files\n"]))
    sys.exit(1 if found else 0)


def forms_of(path: pathlib.Path) -> set[bytes]:
    """Return the ways in which a key may be written: lines of PEM, and its DER in base64 and hexadecimal digits."""
    passphrase = path.with_name("passphrase")
    secret = passphrase.read_bytes().strip() if passphrase.exists() else b""
    key = load_pem_private_key(path.read_bytes(), secret or None)
    forms = set()
    for kind in FORMATS:
        der = key.private_bytes(Encoding.DER, kind, NoEncryption())
        pem = key.private_bytes(Encoding.PEM, kind, NoEncryption())
        encoded = base64.b64encode(pem)  # as ImportCertificate has it
        forms |= {encoded[start : start + 80] for start in range(0, len(encoded) - 80, 80)}
        lines = pem.splitlines()[2:-1]
        forms |= {base64.b64encode(der), der.hex().encode(), *(line for line in lines if len(line) >= 40)}
    return forms


if __name__ == "__main__":
    main()
