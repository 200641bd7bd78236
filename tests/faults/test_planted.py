# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody else has planted among the certificates of a host: nothing of others is touched, and a sentence says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ansible_collections.evergreen.tls.tests.faults import pair_checks
from ansible_collections.evergreen.tls.tests.faults.scenarios import ROOT, Scenario, due, linked, linked_renewal, plain

EVE = 65534
NOT_A_FOLDER = " is not a folder; move it away and run this again"
NOT_OURS = " belongs to somebody else or can be written by others; run chown 0 and chmod 0755 on it, after a look at what is in it"
NOT_A_FILE = " is not a regular file; move it away and run this again"
MOVE_AWAY = ": File exists; move away what stands there and run this again"
ELSEWHERE = "/current leads to {others}/version, and not to a version beside it; remove the link and run this again"
DUE, LINKED = (
    Scenario("planted", "certificate_request", due, plain),
    Scenario("planted", "certificate_request", linked_renewal, linked),
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def symlink(path, target="{others}/version"):
    """Return a function that plants a symbolic link to a path of Eve's."""

    def plant(host):
        clear(place(host, path))
        os.symlink(target.format(others=others(host)), place(host, path))

    return plant


def hard_link(path, target="version/privkey.pem"):
    """Return a function that plants a hard link to a file of Eve's."""

    def plant(host):
        clear(place(host, path))
        os.link(f"{others(host)}/{target}", place(host, path))

    return plant


def made(make, *arguments, path):
    """Return a function that plants what *make* creates."""

    def plant(host):
        clear(place(host, path))
        make(place(host, path), *arguments)

    return plant


def folder(path, owner=EVE, mode=0o755):
    """Return a function that plants a folder with a certificate of Eve's."""

    def plant(host):
        clear(place(host, path))
        shutil.copytree(f"{others(host)}/version", place(host, path))
        os.chown(place(host, path), owner, owner)
        os.chmod(place(host, path), mode)

    return plant


def given(path, owner=EVE, mode=0o755):
    """Return a function that changes owner and mode of an existing path."""

    def plant(host):
        os.chown(place(host, path), owner, owner)
        os.chmod(place(host, path), mode)

    return plant


def both(*plants):
    """Return a function that calls all of these."""
    return lambda host: [plant(host) for plant in plants]


def device(path):
    """Make something that could be read for ever."""
    os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero


def pipe(path):
    """Make something that is read until somebody writes."""
    os.mkfifo(path)


def empty_file(path):
    """Make a file."""
    with open(path, "wb"):
        pass


# What is planted, and what is said of it; nothing is said where it is put right.
PLANTED = {
    "a link in place of next": (symlink("next"), "{store}/next" + NOT_A_FOLDER),
    "a file in place of next": (made(empty_file, path="next"), "{store}/next" + NOT_A_FOLDER),
    "a pipe in place of next": (made(pipe, path="next"), "{store}/next" + NOT_A_FOLDER),
    "a folder of Eve's in place of next": (folder("next"), "{store}/next" + NOT_OURS),
    "a folder that all may write to in place of next": (folder("next", 0, 0o777), "{store}/next" + NOT_OURS),
    "a link in place of a newer version": (symlink("v0002"), "{store}/v0002" + NOT_A_FOLDER),
    "a folder of Eve's in place of a newer version": (folder("v0002"), "{store}/v0002" + NOT_OURS),
    "a file in place of a newer version": (made(empty_file, path="v0002"), "{store}/v0002" + NOT_A_FOLDER),
    "a current that leads to Eve": (symlink("current"), "{store}" + ELSEWHERE),
    "a current that leads out of the store": (
        symlink("current", "../../../others/version"),
        "{store}/current leads to ../../../others/version, and not to a version beside it; remove the link and run this again",
    ),
    "a file in place of current": (
        made(empty_file, path="current"),
        "{store}/current is not a symbolic link; move it away and run this again",
    ),
    "a key that is a link": (
        symlink("v0001/privkey.pem", "{others}/version/privkey.pem"),
        "{store}/v0001/privkey.pem is not a regular file; move it away to have a new key made",
    ),
    "a key that is a pipe": (
        made(pipe, path="v0001/privkey.pem"),
        "{store}/v0001/privkey.pem is not a regular file; move it away to have a new key made",
    ),
    "a chain that is a pipe": (made(pipe, path="v0001/fullchain.pem"), "{store}/v0001/fullchain.pem" + NOT_A_FILE),
    "a chain that never ends": (made(device, path="v0001/fullchain.pem"), "{store}/v0001/fullchain.pem" + NOT_A_FILE),
    "a waiting key that is a link": (
        both(folder("next", 0, 0o700), symlink("next/privkey.pem", "{others}/version/privkey.pem")),
        None,
    ),
    "a waiting key that is a hard link": (both(folder("next", 0, 0o700), hard_link("next/privkey.pem")), None),
    "a waiting request that is a pipe": (
        both(folder("next", 0, 0o700), made(pipe, path="next/request.csr")),
        "{store}/next/request.csr" + NOT_A_FILE,
    ),
    "a link in place of the lock": (
        symlink("lock", "{others}/file"),
        "{store}/lock: Too many levels of symbolic links; remove the symbolic link there and run this again",
    ),
    "a hard link in place of the lock": (hard_link("lock", "file"), None),
    "a pipe in place of the lock": (made(pipe, path="lock"), None),
    "a folder in place of the lock": (
        folder("lock"),
        "{store}/lock: Is a directory; move away the folder that stands in the place of a file and run this again",
    ),
    "a link where current is made": (symlink(".current.new"), None),
    "a file where current is made": (made(empty_file, path=".current.new"), None),
    "a hard link where current is made": (hard_link(".current.new"), None),
    "a folder where current is made": (folder(".current.new"), None),
    "a hidden link": (symlink(".next.01234567"), None),
    "a store that is a link": (symlink("."), "{store}" + NOT_A_FOLDER),
    "a store of Eve's": (given("."), "{store}" + NOT_OURS),
    "a store that all may write to": (given(".", 0, 0o777), "{store}" + NOT_OURS),
    "a store that its group may write to": (given(".", 0, 0o775), "{store}" + NOT_OURS),
    "a folder of all stores that is Eve's": (given(".."), "{directory}" + NOT_OURS),
    "a folder of all stores that all may write to": (given("..", 0, 0o777), "{directory}" + NOT_OURS),
    "a folder of all stores that is like /tmp": (given("..", 0, 0o1777), None),
    "a link where a store is put out of sight": (symlink("../.web.removed"), "{directory}/.web.removed" + NOT_A_FOLDER),
    "a folder of Eve's where a store is put out of sight": (
        folder("../.web.removed"),
        "{directory}/.web.removed" + NOT_OURS,
    ),
    "a link where a store is removed": (symlink("../.web.gone"), "{directory}/.web.gone" + NOT_A_FOLDER),
}
BESIDE_LINKS = {
    "a file in place of a link": (
        made(empty_file, path="../../nginx/server.pem"),
        "links: {links}/server.pem is there and is not a symbolic link; move it away and run this again",
    ),
    "a hard link in place of a link": (
        hard_link("../../nginx/server.pem"),
        "links: {links}/server.pem is there and is not a symbolic link; move it away and run this again",
    ),
    "a link to a folder in place of a link": (
        symlink("../../nginx/server.pem"),
        "links: {links}/server.pem leads to a folder; choose another path, or remove it",
    ),
    "a link to a file of Eve's in place of a link": (symlink("../../nginx/server.pem", "{others}/file"), None),
    "a link where a link is made": (symlink("../../nginx/.server.pem.new", "{others}/file"), None),
}


def others(host):
    """Return Eve's folder."""
    return os.path.join(host.top, "others")


def place(host, path):
    """Return a path in the store."""
    return os.path.normpath(os.path.join(host.store, path))


def clear(path):
    """Remove what is at a path."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def invite_eve(host):
    """Give Eve a folder with a file, and with a certificate that might be ours."""
    os.mkdir(others(host))
    empty_file(f"{others(host)}/file")
    shutil.copytree(f"{host.store}/v0001", f"{others(host)}/version")
    for path, folders, files in os.walk(others(host)):
        for one in (".", *folders, *files):
            os.chown(os.path.join(path, one), EVE, EVE)


def violations_of(host, scenario, title, plants):
    """Plant something and do an ordinary run; return the violations."""
    plant, sentence = plants[title]
    invite_eve(host)
    plant(host)
    before, in_use = pair_checks.snapshot(others(host)), pair_checks.fingerprint_in_use(host.store)
    request = scenario.request(host)
    result = host.converge(request)
    violations = [] if pair_checks.snapshot(others(host)) == before else ["something of Eve's was changed"]
    if sentence is None:
        violations += [f"it fails: {result['msg']}"] if result.get("failed") else []
        broken = pair_checks.why_broken(os.path.join(host.store, "current"), ROOT.pem)
        violations += [f"current: {broken}"] if broken else []
        violations += [] if host.converge(request)["changed"] is False else ["a further run changes something"]
        return violations + pair_checks.open_keys(host.directory)
    words = {"store": host.store, "directory": host.directory, "others": others(host), "links": host.link_folder}
    violations += [] if result.get("msg") == sentence.format(**words) else [f"it says {result}"]
    return violations + (
        [] if pair_checks.fingerprint_in_use(host.store) == in_use else ["another certificate is in use"]
    )


@pytest.mark.parametrize(("scenario", "plants"), [(DUE, PLANTED), (LINKED, BESIDE_LINKS)], ids=["store", "links"])
def test_nothing_of_others_is_touched_whatever_they_plant(scenario, plants, prepare_sandbox, tally):
    sandbox = prepare_sandbox(scenario)
    violations = sandbox.play(lambda host, title: violations_of(host, scenario, title, plants), list(plants))
    tally.add_lies("another user", len(plants))
    assert not violations, "\n".join(violations)


def test_a_key_in_use_that_is_a_hard_link_keeps_the_mode_that_its_other_name_has(prepare_sandbox, tally):
    sandbox = prepare_sandbox(DUE)

    def settle(host, _title):
        host.renew(plain(host))
        invite_eve(host)
        key = f"{host.store}/current/privkey.pem"
        os.link(key, f"{others(host)}/key")
        before = pair_checks.snapshot(others(host))
        result = host.install(plain(host, mode="0640"))
        sentence = f"{host.store}/v0002/privkey.pem is not a regular file of its own, but a link or a device; move it away and run this again"
        violations = [] if result.get("msg") == sentence else [f"it says {result}"]
        return violations + ([] if pair_checks.snapshot(others(host)) == before else ["something of Eve's was changed"])

    violations = sandbox.play(settle, ["a key that is a hard link"])
    tally.add_lies("another user", 1)
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("mounted", ["etc/evergreen", "etc/evergreen/web"])
def test_a_store_on_another_file_system_than_what_is_above_it_is_served_from_as_any_other(
    mounted, prepare_sandbox, tally
):
    sandbox = prepare_sandbox(LINKED)

    def renew(host, _title):
        folder = os.path.join(host.top, mounted)
        os.rename(folder, f"{host.top}/before")
        os.mkdir(folder)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1M,mode=0755,nosuid,nodev,noexec", "tmpfs", folder], check=True
        )
        try:
            subprocess.run(["cp", "-a", f"{host.top}/before/.", folder], check=True)
            before, result = pair_checks.fingerprint_in_use(host.store), host.converge(linked(host))
            violations = [f"it says {result}"] if result.get("failed") else []
            broken = pair_checks.why_broken(os.path.join(host.store, "current"), ROOT.pem)
            violations += [f"current: {broken}"] if broken else []
            violations += ["nothing was renewed"] if pair_checks.fingerprint_in_use(host.store) == before else []
            result = host.install(linked(host), state="absent")
            kept = f"{host.store}: Device or resource busy; unmount what is mounted there, or end what uses it, and run this again"
            if mounted.endswith("web"):
                violations += [] if result.get("msg") == kept else [f"it says {result}"]
            else:
                violations += [] if not os.path.lexists(host.store) else [f"it is still there: {result}"]
            return violations
        finally:
            subprocess.run(["umount", folder], check=True)

    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    violations = sandbox.play(renew, [mounted])
    tally.add_lies("another user", 1)
    assert not violations, "\n".join(violations)
