# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An appliance that gets its certificate as files, and runs commands that have it used."""

from __future__ import annotations

import contextlib
import posixpath
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import ApplianceCommand
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.content import (
    READABLE_CONTENTS,
    file_content,
    file_mode,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.open_files import open_files
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.placement import (
    accept_new_files,
    has_leftovers,
    place_new_files,
    settle_interrupted,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.presented import ApplianceService
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.remote_files import RemoteFiles, new_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import Session
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

VERIFY_TIMEOUT_S = 30


class FileService(ApplianceService):
    """A CertificateService: an appliance with files and commands."""

    _lying: x509.Certificate | None = (
        None  # in the files of the appliance, where all of them hold the same and no run was interrupted
    )

    def find(self, chain: list[x509.Certificate], label: str) -> str | None:
        """Return the identifier of the certificate if it lies on the appliance, or is presented, else None.

        Files with the private key are not read. Where no other file holds the certificate, it is uploaded again.
        """
        (binding,) = self.bindings()
        expected = self._identifier(chain[0])
        lies_there = self._lying is not None and fingerprint(self._lying) == fingerprint(chain[0])
        return expected if binding.certificate == expected or lies_there else None

    def upload(self, chain: list[x509.Certificate], key: PrivateKeyTypes, label: str) -> str:
        """Upload all files beside those in use. None of them stays where one of them fails."""
        with self._session() as session:
            files = open_files(session, self._options["transfer"])
            uploaded = []
            try:
                for file in self._options["files"]:
                    name = new_name(file["path"])
                    uploaded.append(name)
                    content = file_content(file, chain, key, self._name)
                    files.write_new(name, content, file_mode(file), file["path"])
            except TlsError as error:
                for name in uploaded:
                    with contextlib.suppress(TlsError):
                        files.remove(name)
                raise TlsError(f"{error}. Nothing of the appliance was changed") from error
        return self._identifier(chain[0])

    def bind(self, binding: Binding, certificate: str) -> None:
        """Put the uploaded files into their places, run the commands, and prove that clients get the certificate.

        Where one of these fails, the files of before are put back, and the commands are run again. Without uploaded files, the
        right ones are in their places already, and the commands have yet to be run.
        """
        is_placed, is_verified = False, False
        try:
            with self._session(self._patience_s) as session:
                files = open_files(session, self._options["transfer"])
                if all(files.kind(new_name(path)) is not None for path in self._paths):
                    is_placed = True
                    place_new_files(files, self._paths)
                self._run_verify(session)
                is_verified = True
                self._run_commands(session)
                self._prove()
                accept_new_files(files, self._paths)
        except TlsError as error:
            if not is_placed:
                raise TlsError(
                    f"{error}. The certificate lies on the appliance already; to have all files uploaded anew, run this with "
                    "certificate_force=true"
                ) from error
            raise TlsError(f"{error}. {self._go_back(has_run=is_verified)}") from error

    @property
    def _paths(self) -> list[str]:
        return [file["path"] for file in self._options["files"]]

    def _unpresented(self, current: str | None) -> Binding:
        """Log in, and look at the files."""
        with self._session() as session:
            files = open_files(session, self._options["transfer"])
            reasons = [reason for path in self._paths if (reason := _unfit_reason(files, path))]
            if reasons:
                return Binding(self._resource, current, "unfit", ". ".join(reasons))
            self._lying = None if has_leftovers(files, self._paths) else self._read_certificate(files)
        return Binding(self._resource, current, "ready")

    def _read_certificate(self, files: RemoteFiles) -> x509.Certificate | None:
        """Return the certificate in the files that hold no key; None where there is none, or they differ."""
        leaves = {}
        for file in self._options["files"]:
            if file["content"] not in READABLE_CONTENTS:
                if files.kind(file["path"]) is None:
                    return None
                continue
            try:
                leaf = parse_chain(files.read(file["path"]))[0] if files.kind(file["path"]) else None
            except TlsError:  # a certificate that cannot be read is replaced
                return None
            if leaf is None:
                return None
            leaves[fingerprint(leaf)] = leaf
        return next(iter(leaves.values())) if len(leaves) == 1 else None

    def _session(self, more_s: float = 0.0) -> Session:
        """Return a new session, for all commands twice and so many seconds more."""
        return Session(
            self._options, VERIFY_TIMEOUT_S + sum(one["timeout"] for one in self._options["commands"]) + more_s
        )

    def _run_verify(self, session: Session) -> None:
        verify = self._options["verify"]
        if verify is not None:
            _run(session, {"command": verify, "timeout": VERIFY_TIMEOUT_S, "exit_codes": [0]})

    def _run_commands(self, session: Session) -> None:
        for command in self._options["commands"]:
            _run(session, command)

    def _go_back(self, has_run: bool) -> str:
        """Put the files of before back, and run the commands again where they have run. Return what came of it."""
        try:
            with self._session() as session:
                settle_interrupted(open_files(session, self._options["transfer"]), self._paths)
                if has_run:
                    try:
                        self._run_commands(session)
                    except TlsError as error:
                        return f"The files of before are back, but the commands fail with these as well: {error}"
        except TlsError as error:
            return f"The files of before cannot be put back now, and the next run starts with that: {error}"
        return "The files of before are back" + (", and the commands have run again" if has_run else "")


def _run(session: Session, command: ApplianceCommand) -> None:
    """Run a command. Raises TlsError where it does not end with one of its exit codes, or not in time."""
    result = session.run(command["command"], command["timeout"])
    if result.status not in command["exit_codes"]:
        ended = "ended without an exit code" if result.status < 0 else f"ended with exit code {result.status}"
        raise TlsError(
            f"{session.where}: {command['command']!r} {ended} ({result.errors or 'it says nothing'}); correct what it names, or the command "
            "in the inventory"
        )


def _unfit_reason(files: RemoteFiles, path: str) -> str | None:
    """Return why no file can be put at a path; None where one can."""
    folder = posixpath.dirname(path)
    if files.kind(folder) not in ("folder", "link"):
        return f"the folder {folder} is not there; create it, or correct files of the appliance"
    kind = files.kind(path)
    if kind == "link":
        return f"{path} is a symbolic link, which would be replaced; name the file that it leads to"
    if kind not in ("file", None):
        return f"{path} is there and is not a file; move it away, or correct files of the appliance"
    return None
