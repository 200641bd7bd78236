# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.placement import (
    accept_new_files,
    has_leftovers,
    place_new_files,
    settle_interrupted,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.remote_files import (
    before_name,
    new_name,
    unproved_name,
)

NAMES = ("www.key", "www.pem")
MAX_STEPS = 40


class Killed(BaseException):
    """The run is killed."""


class LocalFiles:
    """Files of this machine, with or without the extensions of OpenSSH, on which only so many steps may be taken."""

    def __init__(self, has_atomic_replace, steps=MAX_STEPS):
        self.has_atomic_replace, self.steps = has_atomic_replace, steps

    def step(self):
        self.steps -= 1
        if self.steps < 0:
            raise Killed

    def kind(self, path):
        return "file" if os.path.lexists(path) else None

    def link(self, path, other):
        assert self.has_atomic_replace
        self.step()
        os.link(path, other)

    def rename(self, path, other):
        self.step()
        assert not os.path.lexists(other)
        os.rename(path, other)

    def replace(self, path, other):
        if self.has_atomic_replace:
            self.step()
            os.replace(path, other)
            return
        self.remove(other)
        self.rename(path, other)

    def write_new(self, path, content, mode, like):
        self.step()
        pathlib.Path(path).write_bytes(content)

    def read(self, path):
        return pathlib.Path(path).read_bytes()

    def remove(self, path):
        if os.path.lexists(path):
            self.step()
            os.remove(path)


@pytest.fixture(params=[True, False], ids=["with extensions", "without extensions"])
def is_atomic(request):
    return request.param


@pytest.fixture
def paths(tmp_path):
    return [str(tmp_path / name) for name in NAMES]


def write(paths, content, name=lambda path: path):
    for path in paths:
        pathlib.Path(name(path)).write_text(content, encoding="utf-8")


def contents(paths):
    return [pathlib.Path(path).read_text(encoding="utf-8") if os.path.exists(path) else None for path in paths]


def deploy(files, paths, content):
    """Upload, put into place, prove."""
    write(paths, content, new_name)
    place_new_files(files, paths)
    accept_new_files(files, paths)


def fail(files, paths, content):
    """Upload, put into place, fail, go back."""
    write(paths, content, new_name)
    place_new_files(files, paths)
    settle_interrupted(files, paths)


def prepare(paths, *contents_before):
    for path in paths:
        for name in (path, new_name(path), before_name(path), unproved_name(path)):
            with contextlib.suppress(FileNotFoundError):
                os.remove(name)
    for content in contents_before:
        write(paths, content)


def test_new_files_take_the_places_of_those_before(paths, is_atomic):
    prepare(paths, "old")
    deploy(LocalFiles(is_atomic), paths, "new")
    assert contents(paths) == ["new", "new"]
    assert not has_leftovers(LocalFiles(is_atomic), paths)


def test_the_files_of_before_come_back(paths, is_atomic):
    prepare(paths, "old")
    fail(LocalFiles(is_atomic), paths, "new")
    assert contents(paths) == ["old", "old"]
    assert not has_leftovers(LocalFiles(is_atomic), paths)


def test_a_file_that_was_not_there_is_removed_again(paths, is_atomic):
    prepare(paths)
    fail(LocalFiles(is_atomic), paths, "new")
    assert contents(paths) == [None, None]


def test_no_file_is_absent_for_a_moment_where_the_server_has_the_extensions(paths):
    prepare(paths, "old")

    class Watched(LocalFiles):
        def step(self):
            assert None not in contents(paths)

    deploy(Watched(True), paths, "new")
    fail(Watched(True), paths, "newer")
    assert contents(paths) == ["new", "new"]


@pytest.mark.parametrize("first", [deploy, fail])
def test_whatever_run_is_killed_at_any_step_the_next_one_succeeds(paths, is_atomic, first):
    killed = 0
    for steps in itertools.count():
        prepare(paths, "old")
        try:
            first(LocalFiles(is_atomic, steps), paths, "new")
        except Killed:
            killed += 1
        else:
            break
        deploy(LocalFiles(is_atomic), paths, "newer")
        assert contents(paths) == ["newer", "newer"], f"killed after {steps} steps"
        assert not has_leftovers(LocalFiles(is_atomic), paths)
    assert killed >= 5


@pytest.mark.parametrize("first", [deploy, fail])
def test_whatever_run_is_killed_at_any_step_the_next_one_goes_back_to_a_whole_pair(paths, is_atomic, first):
    killed = 0
    for steps in itertools.count():
        prepare(paths, "old")
        try:
            first(LocalFiles(is_atomic, steps), paths, "new")
        except Killed:
            killed += 1
        else:
            break
        fail(LocalFiles(is_atomic), paths, "newer")
        assert contents(paths) in (["old", "old"], ["new", "new"]), f"killed after {steps} steps"
    assert killed >= 5


def test_a_run_that_was_killed_twice_still_leaves_a_whole_pair(paths, is_atomic):
    cases = 0
    for first, second in itertools.product(range(10), range(14)):
        prepare(paths, "old")
        with contextlib.suppress(Killed):
            deploy(LocalFiles(is_atomic, first), paths, "new")
        try:
            fail(LocalFiles(is_atomic, second), paths, "newer")
        except Killed:
            cases += 1
        fail(LocalFiles(is_atomic), paths, "newest")
        assert len(set(contents(paths))) == 1, f"killed after {first} and {second} steps: {contents(paths)}"
        assert contents(paths)[0] in ("old", "new", "newer")
    assert cases > 50
