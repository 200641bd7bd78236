#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put other things in the place of folders of one's home, and of files in them, as fast as possible.

Run by a user without rights in a folder with the folders of FOLDERS, the folder `ours` of root, and the folder `loose` of this user, in
which root has files. It ends when the file `end` is there, and writes into `swaps` how often each thing was in the place of another.
Then all is where it was, except for what root has put in the place of a file of `loose`.
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


def next_pair():
    """Return the name of the file of a key that the next run of deploy adopts, as far as this user can see."""
    numbers = [int(name[4:-4]) for name in os.listdir("loose") if name.startswith("key-")]
    return f"key-{min([one for one in numbers if not os.path.islink(f'adopt/key-{one}.pem')], default=1)}.pem"


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


def swap_file_of_root():
    """Move a file of root, from a folder of this user, to a path at which root reads; return what it is."""
    folder, name = random.choice((("exports", "password"), ("adopt", next_pair())))
    path, loose = f"{folder}/{name}", f"loose/{name}"
    with contextlib.suppress(OSError):
        inode = os.stat(loose).st_ino
        os.rename(path, f"{path}.aside")
        os.rename(loose, path)
        time.sleep(random.choice(PAUSES_S))
        if os.lstat(path).st_ino == inode:
            os.rename(path, loose)
    with contextlib.suppress(OSError):
        os.rename(f"{path}.aside", path)
    return "file of root"


def swap_file():
    """Put something else in the place of a file for a moment; return what it is."""
    path = name_in(random.choice(FOLDERS))
    kind = plant(path)
    time.sleep(random.choice(PAUSES_S))
    unplant(path)
    return f"{kind} in the place of a file"


def swap_folder(kind):
    """Put a link or a folder of root in the place of a folder for a moment; return what it is."""
    folder = random.choice(FOLDERS)
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
    """Swap one thing after the other until the end."""
    counts = {}
    with open("mine", "w") as stream:
        stream.write("of this user\n")
    swaps = (lambda: swap_folder("link"), lambda: swap_folder("folder of root"), swap_file, swap_file_of_root)
    for swap in itertools.cycle(swaps):
        if os.path.exists("end"):
            break
        kind = swap()
        counts[kind] = counts.get(kind, 0) + 1
        time.sleep(random.choice(PAUSES_S))
    with open("swaps", "w") as stream:
        stream.writelines(f"{kind}: {counts[kind]}\n" for kind in sorted(counts))


if __name__ == "__main__":
    main()
