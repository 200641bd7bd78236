# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration file that the collection writes: test, replace and restore it."""

from __future__ import annotations

import contextlib
import os
import time

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import copies_for_test
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import NginxProcess
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_config import HEADER
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    create_file,
    path_in_errors,
    read_file,
    remove_temporary_files,
    replace_file,
    sync_folder,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import PathUse, check_folder

TEST_SUFFIX = "evergreen-test"  # of the files that nginx tests
LOADED_SUFFIX = "loaded"  # of the content that nginx runs with, until it has loaded the new one


class ConfigFile:
    """The file *path*. Whoever changes it holds the lock of hidden_path(path, "lock")."""

    def __init__(self, path: str, nginx: NginxProcess) -> None:
        self.path = path
        self.nginx = nginx
        self.main = nginx.build.config_path
        self.loaded = hidden_path(path, LOADED_SUFFIX)
        self.files = nginx.config_files()
        if self.main not in self.files:
            raise TlsError(
                f"{self.main} does not exist, so nginx has no configuration; install nginx again and run this again"
            )

    # not a parser: it reads what the collection has made or checked
    def test_error(self, text: str) -> str | None:
        """Return the error of nginx if it read *text* in the place of the file, or None.

        nginx tests a copy beside the file, so the file itself stays as it is.
        """
        staged = hidden_path(self.path, TEST_SUFFIX)
        copies = copies_for_test(self.files, self.main, self.path, staged, lambda path: hidden_path(path, TEST_SUFFIX))
        if not copies:  # nginx does not read the file
            return None
        for folder in {os.path.dirname(path) for path in (staged, *copies)}:
            check_folder(folder, PathUse("include"))  # so nobody but root can exchange anything there
        try:
            for path, content in {staged: text, **copies}.items():
                create_file(path, content.encode("utf-8", "surrogateescape"), mode=0o600)
            error = self.nginx.test_error(hidden_path(self.main, TEST_SUFFIX))
        finally:
            for path in (staged, *copies):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        for path in (self.path, *self.files):
            error = error and error.replace(hidden_path(path, TEST_SUFFIX), path)
        return error

    # not a parser: it reads what the collection has made or checked
    def replace(self, text: str, is_running: bool) -> None:
        """Put a new content in the place of the old one."""
        replace_file(self.path, text.encode())
        if is_running:
            # The kernel rounds the start of a process down to 10 ms: a worker that comes now must not look older than the file.
            time.sleep(0.05)

    def keep_loaded(self) -> None:
        """Keep the content that nginx runs with for restore(), unless a killed run has kept it."""
        if os.path.lexists(self.loaded):
            return
        if os.path.lexists(self.path):
            with path_in_errors(self.loaded):
                os.link(self.path, self.loaded)
        else:
            create_file(self.loaded, b"")
        sync_folder(os.path.dirname(self.path))

    def restore(self) -> bool:
        """Put back the content that keep_loaded() kept, which takes no space; return whether there was any."""
        if not os.path.lexists(self.loaded):
            return False
        if os.path.getsize(self.loaded):
            os.rename(self.loaded, self.path)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        sync_folder(os.path.dirname(self.path))
        self.discard_loaded()
        return True

    def discard_loaded(self) -> None:
        """Remove the content that keep_loaded() kept."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.loaded)

    def sweep(self) -> None:
        """Remove the files that a killed run has left: with the lock held, no other run can use them."""
        for path in {self.path, *self.files}:
            with contextlib.suppress(FileNotFoundError, TlsError):  # in a folder of somebody else there are none
                check_folder(os.path.dirname(path), PathUse("include"))
                os.unlink(hidden_path(path, TEST_SUFFIX))
        remove_temporary_files(self.path)


# not a parser: it accepts any text, or raises TlsError
def check_written_by_us(path: str) -> None:
    """Raise TlsError if the file exists and was not written by this collection."""
    content = read_file(path)
    if content and not content.startswith(HEADER.encode()):
        raise TlsError(
            f"{path} was not written by evergreen.tls, and is left as it is; let path name another file, or move it away"
        )


# not a parser: it reads what the collection has made or checked
def hidden_path(path: str, suffix: str) -> str:
    """Return a path beside *path* that no include with an asterisk matches."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{suffix}")


def remove_file(path: str) -> None:
    """Remove a file, so that it stays removed after a power loss."""
    os.unlink(path)
    sync_folder(os.path.dirname(path))
