# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work of the module nginx_sites: test, write and load the configuration of sites."""

from __future__ import annotations

import contextlib
import os
import re
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import Module, ModuleResult
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import server_blocks
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config_file import (
    ConfigFile,
    check_written_by_us,
    remove_config,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.included_path import (
    check_config_folder,
    included_path,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import (
    PROGRAM_FOLDERS,
    find_program,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import NginxProcess, missing_nginx
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_certificates import (
    SiteCertificates,
    check_certificates,
    keep_installed_certificates,
    keep_served_names,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_config import (
    HEADER,
    HostSettings,
    check_profiles,
    name_conflicts,
    render_sites,
    site_at_line,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import Session, Site
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.snippets import (
    SiteFiles,
    hidden_path,
    with_snippets,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.surroundings import Surroundings
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import version_text
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import locked, read_file, sync_folder
from ansible_collections.evergreen.tls.plugins.module_utils._system.free_space import check_free_space
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import PathUse, check_folder

LOCK_SUFFIX = "lock"
RELOAD_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.05


class Options(t.TypedDict):
    """The options that reach the host; see OPTIONS in _nginx/site_spec.py."""

    sites: list[Site]
    domains: dict[str, list[str]]  # of each certificate request, by its name
    ports: dict[str, int]  # at which each certificate is proved, by its name
    reject_unknown: bool
    session_timeout: str
    session_cache: str
    session_tickets: bool | None
    ipv6: str  # auto, true or false
    store: str  # the folder of all certificates
    path: str  # of the configuration file
    install: bool  # whether the controller installs nginx where it is missing
    reload: bool
    rehearse: bool
    state: str  # present or absent


class Result(ModuleResult, total=False):
    """What the module returns."""

    path: str
    waiting: list[str]  # names of sites whose certificate is not installed
    fingerprints: dict[str, str]  # SHA-256 of each installed certificate, by its name
    loaded: list[str]  # names of certificates that nginx has loaded in this run
    running: bool
    nginx_version: str | None
    openssl_version: str | None


def decide(module: Module) -> Result:
    """Bring the sites of a host to what the options describe."""
    options = t.cast(Options, module.params)
    sites = options["sites"] if options["state"] == "present" else []
    check_certificates(sites, options["domains"], options["store"])
    nginx = NginxProcess(module) if find_program(module, PROGRAM_FOLDERS) else None
    if nginx:
        path = included_path(options["path"], nginx.config_files(), nginx.build.config_path)
        options = {**options, "path": path}
    check_folder(os.path.dirname(options["path"]), PathUse("path"))  # so nobody but root can exchange anything there
    check_written_by_us(options["path"])
    if not nginx:
        return without_nginx(module, options, sites)
    check_config_folder(options["path"], bool(sites))
    if sites and not module.check_mode:
        check_free_space(os.path.dirname(options["path"]))
    check_profiles(sites, nginx.build)
    lock = hidden_path(options["path"], LOCK_SUFFIX)
    is_first_run = not os.path.lexists(lock)
    has_nothing_to_remove = not sites and not os.path.lexists(options["path"]) and is_first_run
    with contextlib.nullcontext() if module.check_mode or has_nothing_to_remove else locked(lock):
        if is_first_run and os.path.lexists(lock):
            # By the lock the next run knows, even after a power loss, that there is something to sweep.
            sync_folder(os.path.dirname(lock))
        transaction = Transaction(module, options, nginx, sites)
        try:
            return transaction.rehearse() if options["rehearse"] and not module.check_mode else transaction.run()
        except (TlsError, OSError) as error:
            reason = error if isinstance(error, TlsError) else system_error(error)
            raise TlsError(str(reason), **{**reason.details, "warnings": transaction.warnings}) from error


def without_nginx(module: Module, options: Options, sites: list[Site]) -> Result:
    """Return the result for a host on which nginx is not installed."""
    path = options["path"]
    if sites and not module.check_mode:
        raise TlsError(missing_nginx(), missing="nginx")
    is_left_over = not sites and os.path.lexists(path)
    if is_left_over and not module.check_mode:
        remove_config(path)
    is_installed_first = bool(sites) and options["install"]
    would = f"would write {path} with {len(sites)} sites" if sites else f"{path} is not needed" if is_left_over else ""
    return {
        "changed": bool(sites) or is_left_over,
        "msg": ", and ".join(
            part for part in ("would install nginx" if is_installed_first else "nginx is not installed", would) if part
        ),
        "path": path,
        "waiting": [],
        "fingerprints": {},
        "loaded": [],
        "running": False,
        "nginx_version": None,
        "openssl_version": None,
        "warnings": [missing_nginx()] if sites and not is_installed_first else [],
    }


class Transaction:
    """One change of nginx's configuration: tested beside the old one, put in its place, loaded."""

    def __init__(self, module: Module, options: Options, nginx: NginxProcess, sites: list[Site]) -> None:
        self.check_mode = module.check_mode
        self.options = options
        self.nginx = nginx
        self.is_running = nginx.master_pid() is not None
        self.sites = sites
        self.warnings: list[str] = []
        self.listen_warnings: list[str] = []  # about addresses of other server blocks
        self.path = options["path"]
        self.snippets: t.Collection[str] = ()  # paths of those that the sites need
        self.file = ConfigFile(self.path, nginx)
        other_files = {path: text for path, text in self.file.files.items() if path != self.path}
        self.surroundings = Surroundings(sites, other_files, self.file.main, self.is_running, options["ipv6"])
        blocks = [block for block in server_blocks(self.file.files, self.file.main) if block.path == self.path]
        # A dry run comes before the certificates, and shows the sites as they will be.
        self.kept = [] if self.check_mode else keep_installed_certificates(sites, options["store"], blocks)
        if not self.check_mode:
            self.kept += keep_served_names(sites, options["domains"], options["store"], blocks)
        self.certificates = SiteCertificates(options["store"], sites)
        for site in sites:
            passphrase = self.certificates.passphrase_file(site["certificate"])
            site["encrypted"] = site["encrypted"] or os.path.exists(passphrase)

    # not a parser: it reads what the collection has made or checked
    def rehearse(self) -> Result:
        """Raise TlsError for what would keep nginx from having the sites, as far as that is known without new certificates."""
        self.sweep()
        files = self.render(has_all_certificates=True)
        if self.file.is_tested_in_place and os.path.lexists(self.path):
            files = self.render()  # a test of other files would make the file look new
        if not self.is_running:
            self.nginx.check_orphaned_workers()
        if not self.file.is_current(files) or not self.is_running:
            self.surroundings.check_ports()
        try:
            self.check_new_config(files)
        except TlsError as error:
            if f"{self.options['store']}/" not in str(error):  # a certificate that this run may replace
                raise
        return {"changed": False, "msg": f"nginx accepts {self.path}", "path": self.path, "running": self.is_running}

    # not a parser: it reads what the collection has made or checked
    def run(self) -> Result:
        """Bring the file and the running nginx to what the options describe."""
        has_file = os.path.lexists(self.path)
        before = with_snippets(self.path, (read_file(self.path) or b"").decode("utf-8", "replace"))
        files = self.render()
        self.snippets = files.snippets
        # A file that goes is emptied, loaded and then removed, so that a run in between leaves something to compare with.
        is_needed = bool(self.sites) or has_file
        is_rewritten = is_needed and not self.file.is_current(files)
        is_stale = self.is_running and (is_rewritten or self.is_outdated())
        is_reloaded = is_stale and self.options["reload"]
        loaded = self.new_to_nginx() if is_reloaded else []
        is_removed = not self.sites and has_file
        if not self.is_running:
            self.nginx.check_orphaned_workers()
        if is_rewritten or is_reloaded or not self.is_running:
            self.surroundings.check_ports()
        if self.check_mode:
            if self.is_running and is_needed:
                self.check_current_config()
        elif os.path.lexists(hidden_path(self.path, LOCK_SUFFIX)):  # this run made it, or a killed run before it
            self.sweep()
        if is_needed and not self.check_mode:
            self.warnings = self.find_warnings(files.text)
            self.certificates.create_passphrase_files()
            if self.certificates.pending_sites and (is_rewritten or not self.file.is_tested_in_place):
                self.check_new_config(self.render(has_all_certificates=True))  # their certificates are ordered next
            if is_rewritten:
                self.write(files, is_reloaded)
            else:
                self.check_current_config()
            if is_reloaded:
                self.reload()
            if is_reloaded or not is_stale:
                self.certificates.mark_passphrase_files_loaded()
            if is_removed:
                remove_config(self.path)
        return {
            "changed": is_rewritten or is_reloaded or is_removed,
            "msg": self.message(is_rewritten, is_removed, is_stale),
            "path": self.path,
            "waiting": self.certificates.pending_sites,
            "fingerprints": self.certificates.fingerprints(),
            "loaded": loaded,
            "running": self.is_running,
            "nginx_version": version_text(self.nginx.build.version),
            "openssl_version": version_text(self.nginx.build.openssl) or None,
            "warnings": self.warnings,
            "diff": {
                "before_header": self.path,
                "after_header": self.path,
                "before": before,
                "after": with_snippets(self.path, *files) if self.sites else "",
            },
        }

    def render(self, has_all_certificates: bool = False) -> SiteFiles:
        """Return the configuration of the sites. Raises TlsError if nginx would not read the file.

        has_all_certificates: whether it is the one of the time when all certificates are installed, for a test. Certificates that are
        missing have none of their files in it.
        """
        if not self.sites:
            return SiteFiles(HEADER)
        self.file.check_is_included(may_write=not self.check_mode)
        session: Session = {
            "timeout": self.options["session_timeout"],
            "cache": self.options["session_cache"],
            "tickets": self.options["session_tickets"],
        }
        self.surroundings.check_proved_ports(self.options["ports"])
        self.surroundings.check_logs()
        addresses = self.surroundings.addresses()
        reject_unknown = self.options["reject_unknown"]
        self.listen_warnings = [one.warning for one in addresses.values() if one.warning]
        self.listen_warnings += self.surroundings.default_server_warnings(self.path, self.nginx.build, reject_unknown)
        settings = HostSettings(
            nginx=self.nginx.build,
            path=self.path,
            store=self.options["store"],
            session=session,
            has_ipv6=self.surroundings.has_ipv6,
            reject_unknown=reject_unknown,
            taken_ports=self.surroundings.taken_ports,
            shared_ports=self.surroundings.shared_ports(),
            addresses=addresses,
            quic_addresses=self.surroundings.quic_addresses(),
            directives=self.surroundings.directives(),
            untested_certificates=self.certificates.pending_sites if has_all_certificates else (),
        )
        # A dry run shows the sites as they will be, since it comes before their certificates.
        has_all_sites = self.check_mode or has_all_certificates
        return render_sites(self.sites, () if has_all_sites else self.certificates.pending_sites, settings)

    def find_warnings(self, text: str) -> list[str]:
        """Return warnings about a configuration that nginx accepts."""
        sentences = [
            f"the site {name} waits for its certificate, and answers on HTTP only until that is installed"
            for name in self.certificates.pending_sites
        ]
        blocks = server_blocks({**self.file.files, self.path: text}, self.file.main)
        surrounding = self.surroundings.warnings(self.options["reject_unknown"])
        return sentences + self.kept + surrounding + self.listen_warnings + name_conflicts(blocks, self.path)

    def check_current_config(self) -> None:
        """Raise TlsError if nginx refuses its configuration as it is."""
        error = self.nginx.test_error()
        if error:
            raise TlsError(
                f"nginx refuses its configuration as it was before anything was changed: {error}; "
                "repair that, then run this again"
            )

    # not a parser: it reads what the collection has made or checked
    def write(self, files: SiteFiles, is_reloaded: bool) -> None:
        """Replace the configuration once nginx has accepted the new one.

        The old one is kept for restore() if nginx is to load the new one.
        """
        self.check_new_config(files)
        if is_reloaded:
            self.file.keep_loaded()
        self.file.replace(files, self.is_running)
        if not is_reloaded:
            self.file.remove_unused_snippets()

    # not a parser: it reads what the collection has made or checked
    def check_new_config(self, files: SiteFiles) -> None:
        """Raise TlsError if nginx refuses *files* in the place of the file, or its configuration as it is."""
        error = self.file.test_error(files)
        if error:
            self.check_current_config()  # if it was broken before, that is what has to be said
            line = re.search(rf"{re.escape(self.path)}:(\d+)", error)
            site = site_at_line(files.text, int(line.group(1))) if line else None
            raise TlsError(
                f"nginx refuses the new configuration{f' at the site {site}' if site else ''}: {error}; "
                "nothing was changed, correct the sites and run this again"
            )

    def sweep(self) -> None:
        """Remove what a killed run has left."""
        if self.is_running and not self.is_outdated():
            self.file.discard_loaded()
        self.file.sweep()

    def is_outdated(self) -> bool:
        """Return whether the file, a snippet or a certificate of its sites is newer than what nginx runs with."""
        return bool(self.nginx.newer_than_loaded([self.path, *self.snippets])) or bool(self.new_to_nginx())

    def new_to_nginx(self) -> list[str]:
        """Return the names of the certificates that were put in use after nginx loaded its configuration."""
        links = {self.certificates.current_link(name): name for name in self.certificates.names()}
        return [links[link] for link in self.nginx.newer_than_loaded(links)]

    def reload(self) -> None:
        """Have nginx load its configuration. If it does not, restore the old file and raise TlsError."""
        try:
            self.wait_until_loaded()
        except TlsError as error:
            if not self.file.restore():
                raise
            self.file.remove_unused_snippets()
            raise TlsError(f"the content of {self.path} from before is in place again, since {error}") from error

    def wait_until_loaded(self) -> None:
        """Reload nginx, and wait until the age of its workers shows that it has loaded the configuration."""
        end = self.nginx.error_log_size()
        self.nginx.reload()
        deadline = time.monotonic() + self.nginx.reload_timeout(RELOAD_TIMEOUT_S)
        while self.is_outdated():
            time.sleep(POLL_INTERVAL_S)
            is_over = time.monotonic() > deadline
            error = self.nginx.reload_error(end, is_over)
            if error or is_over:
                raise TlsError(
                    f"nginx did not load {self.path}: {error or f'see {self.nginx.error_log_path()}'}; "
                    "remove the cause and run this again"
                )
        self.file.discard_loaded()
        self.file.remove_unused_snippets()

    def message(self, is_rewritten: bool, is_removed: bool, is_stale: bool) -> str:
        """Return one sentence that says what was done, or would be done in check mode."""
        count = f"{len(self.sites)} site{'' if len(self.sites) == 1 else 's'}"
        if is_removed:
            done = [f"{'would remove' if self.check_mode else 'removed'} {self.path}"]
            loaded = "nginx would go on without it" if self.check_mode else "nginx goes on without it"
        else:
            verb = "would write" if self.check_mode else "wrote"
            done = [f"{verb} {self.path} with {count}"] if is_rewritten else []
            loaded = "nginx would load it" if self.check_mode else "nginx has loaded it"
        if is_stale:
            done = done or [f"{self.path} or a certificate of its sites is newer than what nginx runs with"]
            done.append(loaded if self.options["reload"] else "nginx has not loaded that yet")
        if not self.is_running:
            done.append("nginx is not running")
        if not done:
            done = [f"nginx has loaded {self.path} with {count}" if self.sites else f"there is no {self.path}"]
        return ", and ".join(done)
