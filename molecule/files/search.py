#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search for private keys and secrets in all that a scenario has written.

search.py FOLDER KEYS LOG=TEXT… -- SECRET…

The keys are those in FOLDER/store, at least KEYS of them. They may be in their own files there, and nowhere else. Each file LOG in FOLDER
has to have TEXT in it, or it would not be as verbose as it should be. What a cloud of the tests has to know is in files named cloud*. A
SECRET may be FILE#FIELD, for what a file of JSON has.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import sys

SEARCH = pathlib.Path(__file__).parents[1] / "secrets/files/search.py"
SPEC = importlib.util.spec_from_file_location("search_hosts", SEARCH)
assert SPEC and SPEC.loader
search = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(search)


def main() -> None:
    folder, number = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    split = sys.argv.index("--")
    keys = sorted((folder / "store").glob("*/v*/privkey.pem"))
    assert len(keys) >= number, keys
    for name, text in (argument.split("=", 1) for argument in sys.argv[3:split]):
        assert text.encode() in (folder / name).read_bytes(), f"{name} is not as verbose as it should be"
    needles = {secret_of(folder, argument): "a secret of an account" for argument in sys.argv[split + 1 :]}
    assert needles
    for path in keys:
        passphrase = path.with_name("passphrase")
        secret = passphrase.read_bytes().strip() if passphrase.exists() else None
        forms = [needle for _form, needle in search.of_key(path.read_bytes(), secret or None)]
        # A key that is not encrypted is found in its own file, or the search would find it nowhere.
        assert secret or any(form in path.read_bytes() for form in forms), path
        needles.update(dict.fromkeys(forms, f"the key {path}"))
        needles.update({secret: f"the passphrase {passphrase}"} if secret else {})
    own = {*keys, *(path.with_name("passphrase") for path in keys)}
    searched = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path not in own and path.parent.name != "ca" and not path.name.startswith("cloud")
    ]
    found = []
    for path in searched:
        content = path.read_bytes()
        found += [f"{what} is in {path}" for needle, what in needles.items() if needle in content]
        found += [f"a key is in {path}"] if b"PRIVATE KEY-----" in content else []
    sys.stdout.write("\n".join([*found, f"{len(needles)} forms of {len(keys)} keys, {len(searched)} files\n"]))
    sys.exit(1 if found else 0)


def secret_of(folder: pathlib.Path, argument: str) -> bytes:
    name, _separator, field = argument.partition("#")
    return json.loads((folder / name).read_text(encoding="utf-8"))[field].encode() if field else name.encode()


if __name__ == "__main__":
    main()
