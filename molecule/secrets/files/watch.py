#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a program and keep all that is to be seen of it in a folder: watch.py FOLDER PROGRAM [ARGUMENT …].

What it prints goes to a file of its own, and to whoever runs this. While it runs, the arguments and the environment of every
process of this machine are looked at again and again (those of containers are among them), and all files below the folder
that Ansible makes its temporary ones in.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

PAUSE = 0.02  # seconds between two looks


def main() -> None:
    folder, program = pathlib.Path(sys.argv[1]), sys.argv[2:]
    log = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(folder / "home" / "tmp", log, over))
    watcher.start()
    ended = subprocess.run(
        program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    over.set()
    watcher.join()
    (log / "output").write_bytes(ended.stdout)
    sys.stdout.buffer.write(ended.stdout)
    sys.exit(ended.returncode)


def watch(temporary: pathlib.Path, log: pathlib.Path, over: threading.Event) -> None:
    """Write down whatever shows up for the first time, until it is over."""
    seen: set[bytes] = set()
    looks = 0
    with open(log / "processes", "wb") as processes, open(log / "temporary", "wb") as files:
        while not over.is_set():
            looks += 1
            for path in pathlib.Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    note(path / name, processes, seen)
            for above, _folders, names in os.walk(temporary):  # which passes over folders that are gone by now
                for name in names:
                    note(pathlib.Path(above, name), files, seen)
            time.sleep(PAUSE)
    (log / "looks").write_text(f"{looks}\n")


def note(path: pathlib.Path, stream, seen: set[bytes]) -> None:
    """Write down the content of a file, once."""
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError:  # it is gone
        return
    if content not in seen:
        seen.add(content)
        stream.write(f"\n{path}\n".encode() + content)


if __name__ == "__main__":
    main()
