# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change the folder of one certificate on a host; layout.py describes and reads it."""

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
    left_over_links,
    missing_links,
    read_links,
    remove_left_over_links,
    restore_links,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.revoked import COMPROMISED_KEY, unusable_versions
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    create_file,
    is_closed_folder,
    locked,
    make_folder,
    open_folder,
    read_file,
    remove_folder,
    replace_file,
    replace_link,
    set_attributes,
    sync_folder,
    write_file,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import PathUse, check_folder

if t.TYPE_CHECKING:
    from cryptography import x509


class Store(Versions):
    """The folder of one certificate, and all changes of it.

    Methods that read need no lock. Methods that change something are called within lock().
    """

    def __init__(self, directory: str, name: str) -> None:
        super().__init__(directory, name)
        self.trial = os.path.join(
            self.path, "trial"
        )  # exists while the option validate may still refuse the version in use
        self.hidden = os.path.join(
            directory, f".{name}.removed"
        )  # the folder while validate may still refuse its removal
        self.gone = os.path.join(directory, f".{name}.gone")  # the folder while its files are removed

    def check_folders(self) -> None:
        """Raise TlsError if another user can change the folders or those above them, or redirect them by a link.

        So nobody else can exchange anything here, and whatever is done in the folder is done by its path.
        """
        above = os.path.dirname(self.path)
        if os.path.exists(above):
            status = os.stat(above)
            is_shared = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX  # /tmp has the sticky bit
            if is_shared or status.st_uid not in (0, os.geteuid()):
                raise TlsError(_not_ours(above))
        check_folder(above, PathUse("directory"))
        versions = self.versions() if os.path.isdir(self.path) else []
        inner = [os.path.join(self.path, name) for name in ("next", *versions)]
        for path in filter(os.path.lexists, (self.path, self.hidden, self.gone, *inner)):
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode):
                raise TlsError(f"{path} is not a folder; move it away and run this again")
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                raise TlsError(_not_ours(path))

    @contextlib.contextmanager
    def lock(self) -> t.Iterator[None]:
        """Create the folder if it is missing, and hold its lock."""
        self._make_folders()
        with locked(os.path.join(self.path, "lock")):
            yield

    def why_renew(
        self,
        version: str | None,
        request: Request,
        now: datetime.datetime,
        roots: list[x509.Certificate] | None,
        is_forced: bool = False,
    ) -> str | None:
        """Return why a version is due for renewal, or None; a version of None is due as well."""
        reason = why_renew(self.installed(version) if version else None, request, now, roots, is_forced)
        if reason is None and version in unusable_versions(self, request.get("revoked")):
            return COMPROMISED_KEY
        return reason

    def installed(self, version: str) -> Installed:
        """Return the files of a version, as why_renew() takes them."""
        issuer = self.file(version, "issuer")
        return Installed(
            key=self.file(version, "privkey.pem"),
            chain=self.file(version, "fullchain.pem"),
            issuer=issuer.decode(errors="replace").strip() if issuer is not None else None,
            passphrase=self.passphrase(version),
            exposed=self.why_exposed(version),
        )

    def why_exposed(self, version: str) -> str | None:
        """Return why others may know the key of an adopted version, or None."""
        exposed = self.file(version, "exposed")
        return exposed.decode(errors="replace") if exposed is not None else None

    def find_ready(self, request: Request, now: datetime.datetime, roots: list[x509.Certificate] | None) -> str | None:
        """Return a version that a killed run left ready, or None.

        That is a newer version than the current one, or C(next) with its chain, if it is not due.
        """
        current = self.current()
        newer = [version for version in self.versions() if current is None or number(version) > number(current)]
        for version in [*reversed(newer), "next"]:
            is_whole = self.file(version, "cert.pem") and self.file(version, "chain.pem") is not None
            if is_whole and self.why_renew(version, request, now, roots) is None:
                return version
        return None

    def previous(self, now: datetime.datetime, unusable: t.Collection[str] = ()) -> str | None:
        """Return the newest version before the current one that is valid and not among the unusable ones, or None."""
        current = self.current()
        for version in reversed(self.versions()):
            is_older = current is not None and number(version) < number(current)
            if is_older and version not in unusable and self._is_whole(version, now):
                return version
        return None

    def check_key_mode(self, version: str, request: Request) -> None:
        """Raise TlsError if the file of a private key has a wider mode than the request allows."""
        path = os.path.join(self.path, version, "privkey.pem")
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(status.st_mode):
            raise TlsError(f"{path} is not a regular file; move it away to have a new key made")
        if stat.S_IMODE(status.st_mode) & 0o077 & ~key_mode(request):
            raise TlsError(
                f"{path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}): whoever did may hold a copy of the key. "
                f"Have a new key made with certificate_force: true, or run chmod {request['mode']} on it if nobody else was on this host"
            )

    def prepare_next(self, files: dict[str, bytes], request: Request) -> None:
        """Replace C(next) by these files, in one rename."""
        with self._staged("next", files, request) as staged:
            self.remove_version("next")
            os.rename(staged, self.next)
        sync_folder(self.path)

    def add_version(self, files: dict[str, bytes], request: Request) -> str:
        """Add a version with these files, in one rename; return its name."""
        version = self._new_version()
        with self._staged(version, files, request) as staged:
            os.chmod(staged, 0o755)
            os.rename(staged, os.path.join(self.path, version))
        sync_folder(self.path)
        return version

    def complete_next(self, chain: list[x509.Certificate], request: Request) -> str:
        """Write the chain beside the key in C(next), and make both a version; return its name."""
        for name, certificates in (("cert.pem", chain[:1]), ("chain.pem", chain[1:]), ("fullchain.pem", chain)):
            write_file(os.path.join(self.next, name), to_pem(certificates), *file_attributes(name, request))
        return self.promote_next(request)

    def promote_next(self, request: Request) -> str:
        """Make C(next), which has key and chain, a version; return its name."""
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
        """Put a version in use; with None, no version is in use.

        If the version before has a passphrase file, this one gets one as well: configurations of nginx may name it.
        """
        path, before = os.path.join(self.path, "current"), self.current()
        if version is not None:
            passphrase = self.file(before, "passphrase") if before is not None else None
            if passphrase is not None and self.file(version, "passphrase") is None:
                create_file(os.path.join(self.path, version, "passphrase"), b"\n" if passphrase else b"", 0o600)
                sync_folder(os.path.join(self.path, version))
            replace_link(version, path)
        else:
            os.unlink(path)
            sync_folder(self.path)

    # not a parser: it reads what the collection has made or checked
    def begin_trial(self, version: str, request: Request) -> None:
        """Record what go_back() restores, before a switch to a version that the option validate may refuse."""
        trial = {"version": version, "before": self.current(), "links": read_links(request)}
        replace_file(self.trial, json.dumps(trial).encode())

    def version_on_trial(self) -> str | None:
        """Return the current version if its trial has not ended, as after a killed run, or None."""
        version = self._trial()[0] if os.path.lexists(self.trial) else None
        return version if version == self.current() else None

    def end_trial(self) -> None:
        """Keep the current version."""
        os.unlink(self.trial)

    def go_back(self, request: Request) -> str | None:
        """Restore the links and the version from before the trial; return its name."""
        _version, before, links = self._trial()
        earlier = before if before in self.versions() else None
        try:
            restore_links(links, request)  # first, as they may lead elsewhere, and there may be nothing to switch to
        except TlsError:  # whoever owns the folder of a link does not keep a version in use that was refused
            self.switch(earlier)
            raise
        self.switch(earlier)
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
        """Remove versions older than the current one; return their names.

        keep: how many of them stay, the newest ones.
        """
        current = self.current()
        older = [version for version in self.versions() if current is not None and number(version) < number(current)]
        removed = older[: max(0, len(older) - keep)]
        for version in removed:
            self.remove_version(version)
        return removed

    def remove_version(self, version: str) -> None:
        """Remove a version, or C(next): rename it to a hidden name, then remove its files."""
        hidden = self._hidden(version)
        with contextlib.suppress(FileNotFoundError):
            os.rename(os.path.join(self.path, version), hidden)
            sync_folder(self.path)  # or half of it may be there under its name after a power loss
            remove_folder(hidden)

    def hide(self) -> None:
        """Rename the folder to a hidden name, so that the option validate can be tried without it."""
        os.rename(self.path, self.hidden)
        sync_folder(os.path.dirname(self.path))

    def unhide_left_over(self) -> None:
        """Undo hide() of a killed run; wait for a run that still holds the lock."""
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
        """Remove the folder that hide() renamed, or what a killed run has left of it."""
        with contextlib.suppress(FileNotFoundError):
            remove_folder(self.gone)
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.hidden, self.gone)
            sync_folder(os.path.dirname(self.path))
            remove_folder(self.gone)

    def remove_left_over(self, request: Request) -> None:
        """Remove the temporary files and folders of killed runs."""
        remove_left_over_links(request)
        for path in self._left_over_here():
            if os.path.isdir(path) and not os.path.islink(path):
                remove_folder(path)
            else:
                os.unlink(path)

    def left_over(self, request: Request) -> list[str]:
        """Return the temporary files, folders and links of killed runs."""
        return [*self._left_over_here(), *left_over_links(request)]

    def paths_to_correct(self, version: str, request: Request) -> list[str]:
        """Return the paths that differ from the request.

        These are links, key files with a wrong mode or owner, folders that a umask has closed, and what killed runs have left.
        """
        paths = missing_links(self, request)
        trial = [self.trial] if os.path.lexists(self.trial) else []
        wrong = [*self._wrong_key_files(version, request), *self._closed_folders()]
        return [*paths, *wrong, *trial, *self.left_over(request)]

    def correct_paths(self, version: str, request: Request) -> None:
        """Correct the paths that paths_to_correct() returns."""
        self.remove_left_over(request)
        create_links(self, request)
        for path in self._wrong_key_files(version, request):
            set_attributes(path, *file_attributes(os.path.basename(path), request))
        for path in self._closed_folders():
            open_folder(path)

    def _left_over_here(self) -> list[str]:
        """Return the temporary files and folders of killed runs in the folders of the certificate."""
        hidden = [os.path.join(self.path, name) for name in os.listdir(self.path) if name.startswith(".")]
        return [*hidden, *filter(os.path.isdir, [self.gone])]

    def _wrong_key_files(self, version: str, request: Request) -> list[str]:
        """Return the files of the private key and its passphrase whose mode or owner is wrong."""
        paths = [os.path.join(self.path, version, name) for name in ("privkey.pem", "passphrase")]
        return [path for path in paths if not has_file_attributes(path, request)]

    def _closed_folders(self) -> list[str]:
        """Return the folders that the readers of keys and links have to pass, and cannot."""
        return [path for path in (os.path.dirname(self.path), self.path) if is_closed_folder(path)]

    # not a parser: it only passes on foreign input
    def _is_whole(self, version: str, now: datetime.datetime) -> bool:
        """Return whether a version has a key and a valid chain for it, whatever its names."""
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
        """Create a hidden folder with these files, which the caller renames to *name*; remove it on errors."""
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
