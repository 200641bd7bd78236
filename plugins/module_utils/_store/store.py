# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may become of the folder of one certificate on a host (versions.py)."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import secrets
import shutil
import stat
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    check_chain,
    names_of,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import Installed, why_renew
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request, key_mode
from ansible_collections.evergreen.tls.plugins.module_utils._store.attributes import (
    file_attributes,
    has_file_attributes,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions, number
from ansible_collections.evergreen.tls.plugins.module_utils._store.links import (
    create_links,
    missing_links,
    read_links,
    restore_links,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    create_file,
    locked,
    make_folder,
    read_file,
    remove_folder,
    replace_file,
    replace_link,
    set_attributes,
    sync_folder,
    temporary_link,
    write_file,
)


class Store(Versions):
    """What is there of one certificate, and the few ways in which it may change.

    Reading needs no lock; whatever changes something is called within lock().
    """

    def __init__(self, directory: str, name: str) -> None:
        super().__init__(directory, name)
        self.trial = os.path.join(self.path, "trial")  # there while it is found out whether a version is refused
        self.hidden = os.path.join(directory, f".{name}.removed")  # while it is found out whether it may be removed
        self.gone = os.path.join(directory, f".{name}.gone")

    def check_folders(self) -> None:
        """Make sure, before anything is read or written, that nobody else can change what is here, or lead us elsewhere."""
        above = os.path.dirname(self.path)
        if os.path.exists(above):
            found = os.stat(above)
            is_shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX  # as /tmp, where each has his own
            if is_shared or found.st_uid not in (0, os.geteuid()):
                raise TlsError(_not_ours(above))
        versions = self.versions() if os.path.isdir(self.path) else []
        inner = [os.path.join(self.path, name) for name in ("next", *versions)]
        for path in filter(os.path.lexists, (self.path, self.hidden, self.gone, *inner)):
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode):
                raise TlsError(f"{path} is not a folder; move it away and run this again")
            if found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise TlsError(_not_ours(path))

    @contextlib.contextmanager
    def lock(self) -> t.Iterator[None]:
        """Make the folder where it is missing, and be the only process that works on it."""
        self._make_folders()
        with locked(os.path.join(self.path, "lock")):
            yield

    def why_renew(
        self,
        version: str | None,
        wanted: Request,
        now: datetime.datetime,
        roots: list | None,
        is_forced: bool = False,
    ) -> str | None:
        """Say why this version does not do, or return None when it does."""
        return why_renew(self.installed(version) if version else None, wanted, now, roots, is_forced)

    def installed(self, version: str) -> Installed:
        """Return what there is of a version."""
        issuer = self.file(version, "issuer")
        return Installed(
            key=self.file(version, "privkey.pem"),
            chain=self.file(version, "fullchain.pem"),
            issuer=issuer.decode(errors="replace").strip() if issuer is not None else None,
            passphrase=self.passphrase(version),
            exposed=self.why_exposed(version),
        )

    def why_exposed(self, version: str) -> str | None:
        """Say why others may know the key of a version that was made by hand, or return None where they do not."""
        exposed = self.file(version, "exposed")
        return exposed.decode(errors="replace") if exposed is not None else None

    def find_ready(self, wanted: Request, now: datetime.datetime, roots: list | None) -> str | None:
        """Return what a run that was killed left ready: a newer version than the current one, or C(next) with its chain."""
        current = self.current()
        newer = [version for version in self.versions() if current is None or number(version) > number(current)]
        for version in [*reversed(newer), "next"]:
            whole = self.file(version, "cert.pem") and self.file(version, "chain.pem") is not None
            if whole and self.why_renew(version, wanted, now, roots) is None:
                return version
        return None

    def previous(self, now: datetime.datetime) -> str | None:
        """Return the newest version before the current one that can still be served."""
        current = self.current()
        for version in reversed(self.versions()):
            if current is not None and number(version) < number(current) and self._is_whole(version, now):
                return version
        return None

    def check_key_mode(self, version: str, request: Request) -> None:
        """Make sure that nobody but those whom the request names can read the private key of a version."""
        path = os.path.join(self.path, version, "privkey.pem")
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(found.st_mode):
            raise TlsError(f"{path} is not a regular file; move it away to have a new key made")
        if stat.S_IMODE(found.st_mode) & 0o077 & ~key_mode(request):
            raise TlsError(
                f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}): whoever did may hold a copy of the key. "
                f"Have a new key made with certificate_force: true, or run chmod {request['mode']} on it if nobody else was on this host"
            )

    def prepare_next(self, files: dict[str, bytes], request: Request) -> None:
        """Put a new key and its request into C(next), in one rename, in the place of what was waiting there."""
        with self._staged("next", files, request) as staged:
            self.remove_version("next")
            os.rename(staged, self.next)
        sync_folder(self.path)

    def add_version(self, files: dict[str, bytes], request: Request) -> str:
        """Make files a version, in one rename; return its name."""
        version = self._new_version()
        with self._staged(version, files, request) as staged:
            os.chmod(staged, 0o755)
            os.rename(staged, os.path.join(self.path, version))
        sync_folder(self.path)
        return version

    def complete_next(self, chain: list, request: Request) -> str:
        """Put the chain beside the key in C(next), and make both a version; return its name."""
        for name, certificates in (("cert.pem", chain[:1]), ("chain.pem", chain[1:]), ("fullchain.pem", chain)):
            write_file(os.path.join(self.next, name), to_pem(certificates), *file_attributes(name, request))
        return self.promote_next(request)

    def promote_next(self, request: Request) -> str:
        """Make C(next), which is complete, a version; return its name."""
        version = self._new_version()
        for name in os.listdir(self.next):
            if name == "request.csr" or name.startswith("."):  # what a killed run left half written
                os.unlink(os.path.join(self.next, name))
        os.chmod(self.next, 0o755)
        sync_folder(self.next)
        os.rename(self.next, os.path.join(self.path, version))
        sync_folder(self.path)
        return version

    def switch(self, version: str | None) -> None:
        """Make a version the current one; with None, let there be no current one.

        What names the passphrase of the one before has to find such a file in this one too.
        """
        path, before = os.path.join(self.path, "current"), self.current()
        if version is not None:
            looked_for = self.file(before, "passphrase") if before is not None else None
            if looked_for is not None and self.file(version, "passphrase") is None:
                create_file(os.path.join(self.path, version, "passphrase"), b"\n" if looked_for else b"", 0o600)
                sync_folder(os.path.join(self.path, version))
            replace_link(version, path)
        else:
            os.unlink(path)
            sync_folder(self.path)

    # not a parser: it reads what the collection has made or checked
    def begin_trial(self, version: str, request: Request) -> None:
        """Write down, before a version is switched to, what to go back to if the command of the request refuses it."""
        trial = {"version": version, "before": self.current(), "links": read_links(request)}
        replace_file(self.trial, json.dumps(trial).encode())

    def version_on_trial(self) -> str | None:
        """Return the current version if nobody knows yet whether it is refused: its trial goes on, or its run was killed."""
        version = self._trial()[0] if os.path.lexists(self.trial) else None
        return version if version == self.current() else None

    def end_trial(self) -> None:
        """Keep the current version for good."""
        os.unlink(self.trial)

    def go_back(self) -> str | None:
        """Switch to what was in use before the trial, and return its name."""
        _version, before, links = self._trial()
        restore_links(links)  # first, as they may lead elsewhere, and there may be nothing to switch back to
        self.switch(before if before in self.versions() else None)
        self.end_trial()
        return before

    def _trial(self) -> tuple[str, str | None, dict[str, str | None]]:
        try:
            trial = json.loads(read_file(self.trial) or b"")
            return trial["version"], trial["before"], dict(trial["links"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise TlsError(
                f"{self.trial} does not say which version was tried, and what was in use before; remove it and run this again"
            ) from error

    def prune(self, keep: int) -> list[str]:
        """Remove versions older than the current one, but for the *keep* newest of them; return their names."""
        current = self.current()
        older = [version for version in self.versions() if current is not None and number(version) < number(current)]
        gone = older[: max(0, len(older) - keep)]
        for version in gone:
            self.remove_version(version)
        return gone

    def remove_version(self, version: str) -> None:
        """Remove a version, or C(next): out of sight in one rename, then file by file."""
        hidden = self._hidden(version)
        with contextlib.suppress(FileNotFoundError):
            os.rename(os.path.join(self.path, version), hidden)
            sync_folder(self.path)  # or half of it may be there under its name after a power loss
            remove_folder(hidden)

    def hide(self) -> None:
        """Put it all out of sight, to find out whether everything else can do without it."""
        os.rename(self.path, self.hidden)
        sync_folder(os.path.dirname(self.path))

    def unhide_left_over(self) -> None:
        """Undo hide(), also for a run that was killed before it found out; one that is still at it is waited for."""
        if os.path.lexists(self.path) or not os.path.isdir(self.hidden):
            return
        with contextlib.suppress(FileNotFoundError):
            with locked(os.path.join(self.hidden, "lock")):
                self.unhide()

    def unhide(self) -> None:
        """Undo hide()."""
        os.rename(self.hidden, self.path)
        sync_folder(os.path.dirname(self.path))

    def remove(self) -> None:
        """Remove for good what hide() put out of sight, or what a killed run has left of that."""
        with contextlib.suppress(FileNotFoundError):
            remove_folder(self.gone)
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.hidden, self.gone)
            sync_folder(os.path.dirname(self.path))
            remove_folder(self.gone)

    def remove_left_over(self, request: Request) -> None:
        """Remove what killed runs left half made."""
        for path in self.left_over(request):
            if os.path.isdir(path) and not os.path.islink(path):
                remove_folder(path)
            else:
                os.unlink(path)

    def left_over(self, request: Request) -> list[str]:
        """Return what killed runs left half made: hidden folders and files, and links without their final name."""
        hidden = [os.path.join(self.path, name) for name in os.listdir(self.path) if name.startswith(".")]
        links = filter(os.path.islink, map(temporary_link, request["links"]))
        return [*hidden, *links, *filter(os.path.isdir, [self.gone])]

    def paths_to_correct(self, version: str, request: Request) -> list[str]:
        """Return the paths around a version that are not as the request wants them.

        These are its links, the files of the private key and its passphrase, and what killed runs have left.
        """
        paths = missing_links(self, request)
        trial = [self.trial] if os.path.lexists(self.trial) else []
        return [*paths, *self._open(version, request), *trial, *self.left_over(request)]

    def correct_paths(self, version: str, request: Request) -> None:
        """Make what paths_to_correct() names as the request wants it."""
        self.remove_left_over(request)
        create_links(self, request)
        for path in self._open(version, request):
            set_attributes(path, *file_attributes(os.path.basename(path), request))

    def _open(self, version: str, request: Request) -> list[str]:
        """Return the files of a private key and its passphrase that do not have the mode and owner that they are to have."""
        paths = [os.path.join(self.path, version, name) for name in ("privkey.pem", "passphrase")]
        return [path for path in paths if not has_file_attributes(path, request)]

    # not a parser: it only passes on foreign input
    def _is_whole(self, version: str, now: datetime.datetime) -> bool:
        """Say whether a version holds a pair that belongs together and has not expired, for whatever names."""
        try:
            chain = parse_chain(self.file(version, "fullchain.pem") or b"")
            check_chain(chain, self.private_key(version).public_key(), sorted(names_of(chain[0])), now)
        except TlsError:
            return False
        return True

    def _make_folders(self) -> None:
        if not os.path.lexists(os.path.join(self.path, "lock")):  # which is made once the folders are on the disk
            if os.path.isdir(os.path.dirname(self.path)):
                make_folder(os.path.dirname(self.path))
            make_folder(self.path)
        self.check_folders()

    def _new_version(self) -> str:
        return f"v{max([number(name) for name in self.versions()], default=0) + 1:04d}"

    @contextlib.contextmanager
    def _staged(self, name: str, files: dict[str, bytes], request: Request) -> t.Iterator[str]:
        """Put files into a hidden folder, for whoever renames it to *name*."""
        staged = self._hidden(name)
        os.mkdir(staged, 0o700)
        try:
            for file, content in files.items():
                create_file(os.path.join(staged, file), content, *file_attributes(file, request))
            sync_folder(staged)
            yield staged
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise

    def _hidden(self, name: str) -> str:
        return os.path.join(self.path, f".{name}.{secrets.token_hex(4)}")


def _not_ours(path: str) -> str:
    return (
        f"{path} belongs to somebody else or can be written by others; run chown {os.geteuid()} and chmod 0755 on it, "
        "after a look at what is in it"
    )
