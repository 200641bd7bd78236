# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration file that the collection writes, with its snippets: test, replace and restore it."""

from __future__ import annotations

import contextlib
import os
import time

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import (
    copies_for_test,
    http_includes,
    is_included,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import NginxProcess
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_config import HEADER
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.snippets import (
    TEST_SUFFIX,
    SiteFiles,
    hidden_path,
    path_for_test,
    remove_unused_snippets,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    create_file,
    path_in_errors,
    read_file,
    remove_temporary_files,
    replace_file,
    sync_folder,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import PathUse, check_folder

LOADED_SUFFIX = "loaded"  # of the content that nginx runs with, until it has loaded the new one


class ConfigFile:
    """The file *path*. Whoever changes it holds the lock of hidden_path(path, "lock")."""

    def __init__(self, path: str, nginx: NginxProcess) -> None:
        self.path = path
        self.nginx = nginx
        self.main = nginx.build.config_path
        self.loaded = hidden_path(path, LOADED_SUFFIX)
        self.files = nginx.config_files()
        self.is_tested_in_place = False  # where nginx alone knows by which include it reads the file
        if self.main not in self.files:
            raise TlsError(
                f"{self.main} does not exist, so nginx has no configuration; install nginx again and run this again"
            )

    def check_is_included(self, may_write: bool) -> None:
        """Raise TlsError if nginx does not read the file.

        may_write: whether nginx may be asked, with a file that has a comment only.
        """
        if is_included(self.files, self.main, self.path):
            return
        if may_write and self._is_read_by_nginx():
            self.is_tested_in_place = True
            return
        patterns = http_includes(self.files, self.main)
        folders = [os.path.dirname(pattern) for pattern in patterns if os.path.basename(pattern) in ("*", "*.conf")]
        example = f", such as {os.path.join(folders[0], os.path.basename(self.path))}" if folders else ""
        raise TlsError(
            f"nginx does not read {self.path}: the http block of {self.main} includes {', '.join(patterns) or 'nothing'}; add "
            f"'include {os.path.dirname(self.path)}/*.conf;' to it, or let path (nginx_path of the role) name a file that it "
            f"includes{example}"
        )

    # not a parser: it reads what the collection has made or checked
    def test_error(self, files: SiteFiles) -> str | None:
        """Return the error of nginx if it read *files* in the place of the file and its snippets, or None.

        nginx tests copies beside the files, so the files themselves stay as they are.
        """
        staged = hidden_path(self.path, TEST_SUFFIX)
        copies = copies_for_test(self.files, self.main, self.path, staged, lambda path: hidden_path(path, TEST_SUFFIX))
        if not copies:
            return self._error_in_place(files) if self.is_tested_in_place else None
        for folder in {os.path.dirname(path) for path in (staged, *copies)}:
            check_folder(folder, PathUse("include"))  # so nobody but root can exchange anything there
        tested = files.for_test()
        copies = {staged: tested.text, **tested.snippets, **copies}
        try:
            for path, content in copies.items():
                create_file(path, content.encode("utf-8", "surrogateescape"), mode=0o600)
            error = self.nginx.test_error(hidden_path(self.main, TEST_SUFFIX))
        finally:
            for path in copies:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        names = {hidden_path(path, TEST_SUFFIX): path for path in (self.path, *self.files)}
        names.update({path_for_test(path): path for path in files.snippets})
        for copy, path in names.items():
            error = error and error.replace(copy, path)
        return error

    # not a parser: it accepts any text
    def _is_read_by_nginx(self) -> bool:
        """Return whether nginx itself names the file among those that it reads."""
        if os.path.lexists(self.path):
            return self.path in self.nginx.read_paths()
        create_file(self.path, HEADER.encode())
        try:
            return self.path in self.nginx.read_paths()
        finally:
            os.unlink(self.path)

    # not a parser: it reads what the collection has made or checked
    def _error_in_place(self, files: SiteFiles) -> str | None:
        """Return the error of nginx if it read *files*, or None. The file is exchanged for the time of the test."""
        if self.is_current(files):
            return self.nginx.test_error()
        self.keep_loaded()
        try:
            self.replace(files, is_running=False)
            return self.nginx.test_error()
        finally:
            self.restore()
            self.remove_unused_snippets()

    # not a parser: it reads what the collection has made or checked
    def replace(self, files: SiteFiles, is_running: bool) -> None:
        """Put a new content in the place of the old one. Its snippets are there before, and those of the old one stay."""
        files.write_snippets()
        # Also with the same content: a file that is linked at the path of keep_loaded() would look new when that link goes.
        replace_file(self.path, files.text.encode())
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

    # not a parser: it reads what the collection has made or checked
    def is_current(self, files: SiteFiles) -> bool:
        """Return whether the file and its snippets have this content."""
        return read_file(self.path) == files.text.encode() and files.has_snippets()

    def remove_unused_snippets(self) -> None:
        """Remove the snippets that neither the file nor the content kept for restore() includes."""
        remove_unused_snippets(self.path, (self.path, self.loaded))

    def sweep(self) -> None:
        """Remove the files that a killed run has left: with the lock held, no other run can use them."""
        self.remove_unused_snippets()
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


def remove_config(path: str) -> None:
    """Remove the file of sites, so that it stays removed after a power loss, and its snippets."""
    os.unlink(path)
    sync_folder(os.path.dirname(path))
    remove_unused_snippets(path, ())
