# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would keep a host from the use of a certificate, found before one is ordered."""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Export as ExportSpec
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.attributes import (
    group_id,
    has_file_attributes,
    user_id,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.exports import (
    Export,
    MissingFolder,
    check_none_missing,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions
from ansible_collections.evergreen.tls.plugins.module_utils._store.links import check_links, missing_links, path_use
from ansible_collections.evergreen.tls.plugins.module_utils._store.notifications import request_notifications
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import replace_link
from ansible_collections.evergreen.tls.plugins.module_utils._system.free_space import check_free_space
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import trusted_folder

OTHER_FOLDER = "choose a folder on another one, such as ext4 or xfs, with certificate_directory"


def find_obstacles(store: Versions, request: Request) -> list[str]:
    """Return a sentence for each thing on this host that would keep a new certificate from its use. Nothing is changed.

    Exports and the programs that are notified count for the first certificate only: a renewal is served by nginx though one of them fails.
    """
    checks: list[t.Callable[[], None]] = [
        functools.partial(check_free_space, os.path.dirname(store.path)),
        lambda: _check_key_readers(request),
        lambda: check_links(store, request),
        lambda: _check_link_folders(store, request),
    ]
    if store.current() is None:
        present = [spec for spec in request["exports"] if spec["state"] == "present"]
        missing: list[MissingFolder] = []
        checks += [functools.partial(_check_export, store, spec, request["name"], missing) for spec in present]
        checks.append(lambda: check_none_missing(missing))
        checks += [notification.check for notification in request_notifications(request)]
    return list(dict.fromkeys(filter(None, map(_sentence, checks))))


def check_host(store: Store, request: Request) -> None:
    """Raise TlsError for what find_obstacles() finds, and where the store can have no symbolic link."""
    sentences = find_obstacles(store, request)
    if sentences:
        raise TlsError(". ".join(sentences))
    if store.current() is None:
        _check_symbolic_links(store.path)


def check_keeps_modes(store: Store, request: Request) -> None:
    """Raise TlsError, after removing the key that was made, if the file system did not keep its mode and owner."""
    if not has_file_attributes(os.path.join(store.next, "privkey.pem"), request):
        store.remove_version("next")
        raise TlsError(f"the file system of {store.path} does not keep modes and owners of files; {OTHER_FOLDER}")


def _sentence(check: t.Callable[[], None]) -> str | None:
    """Return the sentence of the error that a check raises, or None."""
    try:
        check()
    except TlsError as error:
        return str(error)
    except OSError as error:
        return str(system_error(error))
    return None


# not a parser: it reads what the collection has made or checked
def _check_key_readers(request: Request) -> None:
    """Raise TlsError if the owner or the group of the key does not exist."""
    user_id(request.get("owner"))
    group_id(request.get("group"))


def _check_link_folders(store: Versions, request: Request) -> None:
    """Raise TlsError for the folder of a missing link that cannot be written."""
    with _option_in_errors("links"):
        for folder in dict.fromkeys(map(os.path.dirname, missing_links(store, request))):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # check_links() names it
                with trusted_folder(folder, path_use(request, "links")) as descriptor:
                    check_free_space(folder, descriptor)


def _check_export(store: Versions, spec: ExportSpec, name: str, missing: list[MissingFolder]) -> None:
    """Raise TlsError for an export that cannot be written. Folders that do not exist are added to *missing*."""
    with _option_in_errors("exports"), contextlib.ExitStack() as stack:
        export = Export(spec, name)
        missing_here = export.check_paths(store, stack)
        missing += missing_here
        if not missing_here:
            export.password()
        for path, descriptor in export.folders.items():
            check_free_space(os.path.dirname(path), descriptor)


def _check_symbolic_links(folder: str) -> None:
    """Raise TlsError if the file system of a folder has no symbolic links."""
    path = os.path.join(folder, ".current")
    replace_link("nothing", path)
    os.unlink(path)


@contextlib.contextmanager
def _option_in_errors(option: str) -> t.Iterator[None]:
    """Begin the sentence of each error with the option that it is about."""
    try:
        yield
    except (TlsError, OSError) as error:
        reason = error if isinstance(error, TlsError) else system_error(error)
        begun = str(reason).startswith(f"{option}: ")
        raise TlsError(str(reason) if begun else f"{option}: {reason}") from error
