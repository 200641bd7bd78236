# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host cannot use a certificate for is found before a CA is asked; full and read-only file systems are real ones."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import subprocess
import types
import typing as t

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.certificate_request import (
    OPTIONS,
    decide,
)
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import EXPORT_SPEC, REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._store import rehearsal
from ansible_collections.evergreen.tls.plugins.module_utils._system import free_space

FREE = re.compile(r"\d+ (?=KiB free|inodes free)")  # the lock and the folder of the certificate take some
NOBODY = "nobody-of-that-name"


class Host:
    """A host whose certificates are in a folder below *folder*."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.store = folder / "evergreen"
        self.folder = folder / "elsewhere"
        self.folder.mkdir()

    def prepare(self, check_mode: bool = False, exports: t.Sequence[dict[str, t.Any]] = (), **changes):
        """Return the result of certificate_request."""
        request = {name: option.get("default") for name, option in REQUEST_SPEC["options"].items()}
        request.update(name="www", domains=["www.example.org"], mode="0600", **changes)
        request["links"] = request["links"] or {}
        defaults = {name: option.get("default") for name, option in EXPORT_SPEC.items()}
        request["exports"] = [{**defaults, **one} for one in exports]
        params = {name: option.get("default") for name, option in OPTIONS.items()}
        params.update(request=request, directory=str(self.store))
        return decide(types.SimpleNamespace(params=params, check_mode=check_mode))

    def refusal(self, **changes) -> str:
        """Return the sentence by which a request is refused before a signing request is made, and foretold in check mode."""
        foretold = self.prepare(check_mode=True, **changes)
        with pytest.raises(TlsError) as caught:
            self.prepare(**changes)
        assert not (self.store / "www/next").exists(), "no key was made"
        foretold_sentences = ". ".join(warning.removeprefix("www: ") for warning in foretold["warnings"])
        assert foretold["due"] and FREE.sub("", foretold_sentences) == FREE.sub("", str(caught.value))
        return str(caught.value)


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@contextlib.contextmanager
def mounted(folder: pathlib.Path, *options: str) -> t.Iterator[None]:
    folder.mkdir(exist_ok=True)
    argv = ["mount", "-t", "tmpfs", "-o", ",".join(("mode=0755", *options)), "tmpfs", str(folder)]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_host_that_can_use_the_certificate_is_asked_for_a_signing_request(host):
    exports = [{"path": str(host.folder / "site.pem"), "format": "pem"}]
    links = {str(host.folder / "site.crt"): "fullchain.pem"}
    assert "warnings" not in host.prepare(check_mode=True, links=links, exports=exports)
    assert "csr" in host.prepare(links=links, exports=exports)
    assert sorted(os.listdir(host.store / "www")) == ["lock", "next"]
    assert os.listdir(host.folder) == []


def test_the_folder_of_a_link_that_does_not_exist_is_named(host):
    path = host.folder / "missing" / "site.crt"
    sentence = f"links: the folder of {path} does not exist; create it or correct the path"
    assert host.refusal(links={str(path): "fullchain.pem"}) == sentence


def test_all_that_is_wrong_is_said_at_once(host):
    links = {str(host.folder / "missing" / "site.crt"): "fullchain.pem"}
    exports = [{"path": str(host.folder / "gone" / "site.p12"), "password": "secret", "owner": None}]
    sentence = host.refusal(links=links, exports=exports, owner=NOBODY)
    assert sentence == (
        f"owner: there is no user {NOBODY} on this host; create it or correct the request. "
        f"links: the folder of {host.folder}/missing/site.crt does not exist; create it or correct the path. "
        f"exports: the folder of {host.folder}/gone/site.p12 does not exist; create it or correct the path"
    )


def test_all_folders_of_exports_that_do_not_exist_are_named_in_one_sentence(host):
    places = {
        kind: str(host.folder / folder) for kind, folder in {"path": "tomcat", "password_file": "secrets"}.items()
    }
    exports = [
        {"path": f"{places['path']}/site.p12", "password_file": f"{places['password_file']}/site.txt", "owner": None},
        {"path": f"{places['path']}/site.pem", "format": "pem"},
        {"path": f"{host.folder}/haproxy/site.pem", "format": "pem"},
    ]
    assert host.refusal(exports=exports) == (
        f"exports: these folders do not exist: {places['path']}, {places['password_file']}, {host.folder}/haproxy; create them or "
        "correct the paths"
    )


def test_a_missing_folder_is_named_beside_another_export_that_cannot_be_written(host):
    exports = [
        {"path": f"{host.folder}/haproxy/site.pem", "format": "pem"},
        {"path": str(host.folder), "format": "pem"},
    ]
    sentence = host.refusal(exports=exports)
    assert "is not a regular file; move it away" in sentence
    assert f"the folder of {host.folder}/haproxy/site.pem does not exist; create it" in sentence


@pytest.mark.parametrize("kind", ["user", "group"])
def test_the_owner_and_the_group_of_key_and_export_have_to_exist(host, kind):
    option = "owner" if kind == "user" else kind
    sentence = f"{option}: there is no {kind} {NOBODY} on this host; create it or correct the request"
    assert host.refusal(**{option: NOBODY}) == sentence
    export = {"path": str(host.folder / "site.pem"), "format": "pem", option: NOBODY}
    assert host.refusal(exports=[export]) == f"exports: {sentence}"


def test_a_password_file_without_a_password_is_named(host):
    (host.folder / "password").write_text("\n")
    sentence = host.refusal(
        exports=[{"path": str(host.folder / "a.p12"), "password_file": str(host.folder / "password")}]
    )
    assert sentence.startswith(f"exports: the first line of {host.folder}/password is no password")


def test_an_export_that_cannot_be_written_stops_no_renewal(host):
    (host.store / "www/v0001").mkdir(parents=True)
    (host.store / "www/current").symlink_to("v0001")
    exports = [{"path": str(host.folder / "gone" / "site.pem"), "format": "pem"}]
    assert "csr" in host.prepare(exports=exports)
    with pytest.raises(TlsError, match="links: the folder of"):
        host.prepare(links={str(host.folder / "gone" / "site.crt"): "cert.pem"})


def test_programs_that_cannot_be_notified_are_named_before_the_first_certificate_and_stop_no_renewal(host, monkeypatch):
    systemctl = host.folder / "systemctl"
    systemctl.write_text("#!/bin/sh\necho LoadState=not-found\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{host.folder}:{os.environ['PATH']}")
    programs = {"reload": ["postfix"], "run_after": [[f"{host.folder}/publish"]]}
    assert host.refusal(**programs) == (
        "there is no unit postfix on this host; correct reload, or install what it belongs to. "
        f"run_after: {host.folder}/publish is not on this host; install it, or correct run_after"
    )
    (host.store / "www/v0001").mkdir(parents=True)
    (host.store / "www/current").symlink_to("v0001")
    assert "csr" in host.prepare(**programs)


@pytest.mark.parametrize("place", ["store", "links", "exports"])
@pytest.mark.parametrize(
    ("options", "problem", "remedy"),
    [
        (["ro"], " is on a read-only file system", "mount that file system writable and run this again"),
        (["size=100k"], " KiB free, and 256 KiB are needed", "free some space there and run this again"),
        (
            ["nr_inodes=20"],
            " inodes free, and 32 are needed",
            "remove files there that nobody needs, and run this again",
        ),
    ],
    ids=["read-only", "without space", "without inodes"],
)
def test_a_file_system_that_has_no_room_is_named(host, place, options, problem, remedy):
    folder = host.store if place == "store" else host.folder
    links = {str(host.folder / "site.crt"): "fullchain.pem"} if place == "links" else {}
    exports = [{"path": str(host.folder / "site.pem"), "format": "pem"}] if place == "exports" else []
    with mounted(folder, *options):
        if place == "store" and options == ["ro"]:  # the folder of the certificate cannot be made
            with pytest.raises(OSError, match="Read-only file system"):
                host.prepare()
            sentence = host.prepare(check_mode=True)["warnings"][0]
        else:
            sentence = host.refusal(links=links, exports=exports)
    assert problem in sentence and sentence.endswith(remedy) and str(folder) in sentence
    assert sentence.startswith(f"{place}: ") is (place != "store")


def test_a_store_on_another_file_system_is_used(host):
    with mounted(host.store):
        assert "csr" in host.prepare()


def test_a_store_whose_file_system_has_no_symbolic_links_is_refused(host, monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(
        TlsError, match=f"the file system of {host.store}/www has no symbolic links; choose a folder on"
    ):
        host.prepare()
    assert not (host.store / "www/next").exists()


def test_a_store_whose_file_system_keeps_no_modes_is_refused(host, monkeypatch):
    monkeypatch.setattr(rehearsal, "has_file_attributes", lambda *_arguments: False)
    with pytest.raises(TlsError, match=f"the file system of {host.store}/www does not keep modes and owners of files"):
        host.prepare()
    assert not (host.store / "www/next").exists()


def test_a_folder_that_cannot_be_written_is_named(host, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_arguments, **_options: False)
    with pytest.raises(
        TlsError, match=f"^{host.folder} cannot be written, by its mode or by its attribute immutable; "
    ):
        free_space.check_free_space(str(host.folder))
