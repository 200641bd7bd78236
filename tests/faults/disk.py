# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A model of what a disk may contain after a power loss, built from recorded system calls.

It promises no more than POSIX does, less than any file system of today keeps:

- What is written to a file, and its mode and owner, are on the disk once the file was synced; until then all, half, nothing or
  zeros of it may be there.
- A name in a folder (made, renamed, removed) is on the disk once the folder was synced. Syncing a file does not bring its name
  there, and syncing a folder not what its files hold.
- What was not synced may be there or not, each step on its own and in any order, but for two things: a rename is there as a
  whole or not at all, and a step about a name is there only if the steps before it about that name are.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import stat
import typing as t

from ansible_collections.evergreen.tls.tests.faults.syscalls import Call

UMASK = 0o022
ALL_SUBSETS = 9  # up to so many steps that were not synced, every choice of survivors is rebuilt
VARIANTS = ("all", "nothing", "half", "zeros")


@dataclasses.dataclass(frozen=True)
class Step:
    """One change of names in a folder, of the content, mode or owner of a file, or one sync."""

    kind: str
    inode: int
    change: tuple = ()
    description: str = ""

    @property
    def names(self) -> set[tuple[int, str]]:
        return {(folder, name) for folder, name, _inode in self.change} if self.kind == "names" else set()


@dataclasses.dataclass
class Inode:
    """A file, a folder (its content maps names to numbers of inodes) or a symbolic link (its content is the target)."""

    kind: str
    content: t.Any
    mode: int
    owner: tuple[int, int]

    def copy(self) -> Inode:
        content = dict(self.content) if self.kind == "folder" else self.content
        return Inode(self.kind, content, self.mode, self.owner)


class DiskHistory:
    """The changes of a run to a disk, step by step, from a base on which all is synced."""

    def __init__(self, base: str, recorded: str, calls: list[Call]) -> None:
        self.recorded = recorded
        self.inodes: dict[int, Inode] = {}
        self.base = self._read(base, base)
        self.names = {number: dict(inode.content) for number, inode in self.inodes.items() if inode.kind == "folder"}
        self.data: dict[int, bytes] = {}
        self.steps: list[Step] = []
        for call in calls:
            if call.error is None and call.touches(recorded):
                self._play(call)

    def states(self, without: int | None = None) -> t.Iterator[tuple[frozenset[int], dict[int, str], bool]]:
        """Return each state that a crash may leave, once: surviving steps, variants of contents, and whether it is the end.

        *without* is the number of a sync that is left out.
        """
        known_states = set()
        for end in range(len(self.steps) + 1):
            steps = [step for number, step in enumerate(self.steps[:end]) if number != without]
            numbers = [number for number in range(end) if number != without]
            loose = [
                number
                for number in numbers
                if self.steps[number].kind != "sync" and not self._is_synced(number, numbers)
            ]
            last = end == len(self.steps)
            if steps and steps[-1].kind == "sync" and not last:
                continue  # each state after it was one before it
            kept = frozenset(number for number in numbers if self.steps[number].kind != "sync") - set(loose)
            for survivors in self._choices(loose):
                for variants in self._variants(survivors):
                    state = (kept | survivors, tuple(sorted(variants.items())))
                    if state not in known_states or last:
                        known_states.add(state)
                        yield kept | survivors, variants, last

    def build(self, survivors: frozenset[int], variants: dict[int, str], top: str, known_as: str = "") -> None:
        """Create a state of the disk in a new folder. known_as: the path of that folder in the targets of links."""
        inodes = {number: inode.copy() for number, inode in self.inodes.items()}
        for number in sorted(survivors):
            step = self.steps[number]
            if step.kind == "names":
                for folder, name, inode in step.change:
                    if inode is None:
                        inodes[folder].content.pop(name, None)
                    else:
                        inodes[folder].content[name] = inode
            elif step.kind == "data":
                inodes[step.inode].content = _damaged(step.change[0], variants.get(number, "all"))
            elif step.kind == "mode":
                inodes[step.inode].mode = step.change[0]
            else:
                inodes[step.inode].owner = step.change
        self._make(inodes, self.base, top, known_as or top, {})

    def describe(self, survivors: frozenset[int], variants: dict[int, str]) -> str:
        """Return a state as text: the last step that survived, and the steps before it that are lost."""
        end = max(survivors, default=-1)
        lost = [
            self.steps[number].description
            for number in range(end)
            if number not in survivors and self.steps[number].kind != "sync"
        ]
        halves = [
            f"{variant} of {self.steps[number].description}" for number, variant in variants.items() if variant != "all"
        ]
        last = self.steps[end].description if survivors else "nothing"
        return f"power lost after {last}; lost: {', '.join(lost + halves) or 'nothing else'}"

    def _is_synced(self, number: int, numbers: list[int]) -> bool:
        step = self.steps[number]
        holders = {folder for folder, _name, _inode in step.change} if step.kind == "names" else {step.inode}
        synced = {self.steps[later].inode for later in numbers if later > number and self.steps[later].kind == "sync"}
        return holders <= synced

    def _choices(self, loose: list[int]) -> t.Iterator[frozenset[int]]:
        if len(loose) <= ALL_SUBSETS:
            choices = (
                frozenset(some) for size in range(len(loose) + 1) for some in itertools.combinations(loose, size)
            )
        else:
            choices = itertools.chain(
                (frozenset(loose[:end]) for end in range(len(loose) + 1)),
                (frozenset(loose) - {one} for one in loose),
                (frozenset({one}) for one in loose),
            )
        return (choice for choice in choices if self._is_in_order(choice, loose))

    def _is_in_order(self, survivors: frozenset[int], loose: list[int]) -> bool:
        return all(
            earlier in survivors or not self._needs(later, earlier)
            for later in survivors
            for earlier in loose
            if earlier < later
        )

    def _needs(self, later: int, earlier: int) -> bool:
        one, other = self.steps[later], self.steps[earlier]
        if one.kind == "data":
            return other.kind == "data" and one.inode == other.inode
        return bool(one.names & other.names)

    def _variants(self, survivors: frozenset[int]) -> t.Iterator[dict[int, str]]:
        data = [number for number in survivors if self.steps[number].kind == "data"]
        return (dict(zip(data, chosen)) for chosen in itertools.product(VARIANTS, repeat=len(data)))

    def _play(self, call: Call) -> None:
        description = call.describe(self.recorded)
        if call.name in ("fsync", "fdatasync"):
            self._add("sync", self._find(call.paths[0]), (), description)
        elif call.name == "write":
            inode = self._find(call.paths[0])
            self.data[inode] = self.data.get(inode, b"") + call.data(1)
            self._add("data", inode, (self.data[inode],), description)
        elif call.name in ("chmod", "fchmod", "fchmodat", "fchmodat2"):
            mode = call.mode(2 if call.name.startswith("fchmodat") else 1)
            self._add("mode", self._find(call.paths[0]), (mode,), description)
        elif call.name in ("chown", "lchown", "fchown"):
            owner = tuple(int(number) for number in call.arguments[1:3])
            self._add("owner", self._find(call.paths[0]), owner, description)
        elif call.name in ("rename", "renameat", "renameat2"):
            (old, old_name), (new, new_name) = map(self._place, call.paths)
            self._rename(((old, old_name, None), (new, new_name, self.names[old][old_name])), description)
        elif call.name in ("unlink", "rmdir", "unlinkat"):
            self._rename(((*self._place(call.paths[0]), None),), description)
        elif call.name in ("link", "linkat"):
            (old, old_name), (new, new_name) = map(self._place, call.paths)
            self._rename(((new, new_name, self.names[old][old_name]),), description)
        elif call.name in ("mkdir", "mkdirat"):
            mode = call.mode(2 if call.name == "mkdirat" else 1)
            self._new(call.paths[0], Inode("folder", {}, mode & ~UMASK, (-1, -1)), description)
        elif call.name in ("symlink", "symlinkat"):
            self._new(call.paths[0], Inode("link", call.string(0), 0o777, (-1, -1)), description)
        elif call.makes_file:
            folder, name = self._place(call.paths[0])
            if name not in self.names[folder]:
                self._new(call.paths[0], Inode("file", b"", call.mode(3) & ~UMASK, (-1, -1)), description)
        else:
            assert call.name in ("openat", "flock"), f"the model does not know {call.name}"

    def _add(self, kind: str, inode: int, change: tuple, description: str) -> None:
        self.steps.append(Step(kind, inode, change, description))

    def _new(self, path: str, inode: Inode, description: str) -> None:
        number = len(self.inodes)
        self.inodes[number] = inode
        if inode.kind == "folder":
            self.names[number] = {}
        self._rename(((*self._place(path), number),), description)

    def _rename(self, changes: tuple, description: str) -> None:
        for folder, name, inode in changes:
            if inode is None:
                del self.names[folder][name]
            else:
                self.names[folder][name] = inode
        self._add("names", changes[0][0], changes, description)

    def _place(self, path: str) -> tuple[int, str]:
        folder, name = os.path.split(path)
        return self._find(folder), name

    def _find(self, path: str) -> int:
        number = self.base
        for name in os.path.relpath(path, self.recorded).split("/"):
            number = number if name == "." else self.names[number][name]
        return number

    def _read(self, path: str, top: str) -> int:
        number = len(self.inodes)
        status = os.lstat(path)
        mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
        if stat.S_ISLNK(status.st_mode):
            self.inodes[number] = Inode("link", os.readlink(path).replace(top, self.recorded), mode, owner)
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as stream:
                self.inodes[number] = Inode("file", stream.read(), mode, owner)
        else:
            self.inodes[number] = Inode("folder", {}, mode, owner)
            self.inodes[number].content = {name: self._read(os.path.join(path, name), top) for name in os.listdir(path)}
        return number

    def _make(self, inodes: dict[int, Inode], number: int, path: str, known_as: str, made: dict[int, str]) -> None:
        inode = inodes[number]
        if inode.kind == "link":
            os.symlink(inode.content.replace(self.recorded, known_as), path)
            return
        if number in made:
            os.link(made[number], path)
            return
        if inode.kind == "file":
            made[number] = path
            with open(path, "wb") as stream:
                stream.write(inode.content)
        else:
            os.mkdir(path)
            for name, inside in inode.content.items():
                self._make(inodes, inside, os.path.join(path, name), known_as, made)
        if inode.owner != (-1, -1):
            os.chown(path, *inode.owner)
        os.chmod(path, inode.mode)


def _damaged(content: bytes, variant: str) -> bytes:
    return {"all": content, "nothing": b"", "half": content[: len(content) // 2], "zeros": bytes(len(content))}[variant]
