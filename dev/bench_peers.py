# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collections of others that the benchmark compares with."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
import zipfile

from bench_runs import BUILD, program, say, short


def version_of_peer(peers: pathlib.Path) -> str:
    """Return the version of community.crypto in a folder."""
    crypto = json.loads((peers / "ansible_collections/community/crypto/MANIFEST.json").read_text(encoding="utf-8"))
    return crypto["collection_info"]["version"]


def collection_of_peers(core: str) -> pathlib.Path:
    """Return a folder with community.crypto, as the package ansible for this version of ansible-core brings it."""
    package = f"ansible=={int(core.split('.')[1]) - 7}.*"  # ansible 12 is made for ansible-core 2.19
    folder = BUILD / "peers" / package.strip(".*").replace("==", "-")
    if not folder.is_dir():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            say(f"Downloading {package} from PyPI, 54 MB, to take community.crypto out of it into {short(folder)}")
            program("pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", f"--dest={temporary}", package)
            with zipfile.ZipFile(next(pathlib.Path(temporary).glob("*.whl"))) as wheel:
                names = [name for name in wheel.namelist() if name.startswith("ansible_collections/community/crypto/")]
                wheel.extractall(f"{temporary}/collections", names)
            os.rename(f"{temporary}/collections", folder)
    return folder
