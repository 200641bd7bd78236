#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put other things in the place of folders of one's home, and of files in them, as fast as possible.

Run by a user without rights in a folder with the folders of FOLDERS and the folder `ours`, which root made. It ends when the file `end` is there,
and writes into `swaps` how often each thing was in the place of a folder.
"""

import contextlib
import itertools
import os
import random
import time

FOLDERS = ("adopt", "links", "exports", "webroot")
TARGETS = ("/etc/evergreen/bank/v0001", "/root/secrets", "/home/bob", "/etc/cron.d", "/etc/nginx", "/")
FILES = ("linked.pem", ".linked.pem.new", "site.pem", "site.p12", "password", ".well-known")
PAUSES_S = (0.0002, 0.001, 0.005, 0.05)


def name_in(folder):
    """Return a path in a folder at which root reads or writes."""
    return os.path.join(folder, random.choice([*FILES, *os.listdir(folder)]))


def plant(path):
    """Put a link, a pipe, a hard link or a folder in the place of a file; return what it is."""
    with contextlib.suppress(OSError):
        os.rename(path, f"{path}.aside")
    kind = random.choice(("link", "pipe", "hard link", "folder"))
    with contextlib.suppress(OSError):
        if kind == "link":
            os.symlink(os.path.join(random.choice(TARGETS), os.path.basename(path)), path)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "hard link":  # of a file that root has given to this user, and of one that root has not
            os.link(random.choice(("mine", "ours/password", "/etc/evergreen/exported/current/privkey.pem")), path)
        else:
            os.mkdir(path)
    return kind


def unplant(path):
    """Put back what plant() took away."""
    for remove in (os.unlink, os.rmdir):
        with contextlib.suppress(OSError):
            remove(path)
    with contextlib.suppress(OSError):
        os.rename(f"{path}.aside", path)


def swap(folder, number):
    """Put something else in the place of a folder for a moment; return what it is."""
    kind = ("link", "folder of root", "file")[number % 3]
    if kind == "file":
        path = name_in(folder)
        kind = plant(path)
        time.sleep(random.choice(PAUSES_S))
        unplant(path)
        return f"{kind} in the place of a file"
    instead = f"{folder}.link" if kind == "link" else "ours"
    if kind == "link":
        with contextlib.suppress(FileExistsError):
            os.symlink(random.choice(TARGETS), instead)
    os.rename(folder, f"{folder}.aside")
    os.rename(instead, folder)
    time.sleep(random.choice(PAUSES_S))
    os.rename(folder, instead)
    os.rename(f"{folder}.aside", folder)
    if kind == "link":
        os.unlink(instead)
    return kind


def main():
    """Swap one folder after the other until the end."""
    counts = {}
    with open("mine", "w") as stream:
        stream.write("of this user\n")
    for number in itertools.count():
        if os.path.exists("end"):
            break
        kind = swap(random.choice(FOLDERS), number)
        counts[kind] = counts.get(kind, 0) + 1
        time.sleep(random.choice(PAUSES_S))
    with open("swaps", "w") as stream:
        stream.writelines(f"{kind}: {counts[kind]}\n" for kind in sorted(counts))


if __name__ == "__main__":
    main()
