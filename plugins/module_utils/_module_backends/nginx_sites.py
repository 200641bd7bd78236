# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One change of nginx's configuration on its host: tested beside the old one, put in its place, loaded."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import ssl
import time
from itertools import filterfalse

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import (
    http_includes,
    is_included,
    rehearsal,
    servers,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import FOLDERS, Master
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_config import (
    HEADER,
    Host,
    check_profiles,
    conflicts,
    foreign_defaults,
    render,
    site_at,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import dotted
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    create_file,
    locked,
    path_in_errors,
    read_file,
    remove_temporary_files,
    replace_file,
    sync_folder,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import foreign_holder, listening_sockets

LOCK = "lock"
TEST = "evergreen-test"  # how the files end that nginx tests before they go live
RELOAD_PATIENCE = 30.0


def decide(module):
    params = module.params
    sites = params["sites"] if params["state"] == "present" else []
    check_certificates(sites, params["domains"], params["store"])
    check_file(params["path"])
    if not module.get_bin_path("nginx", opt_dirs=FOLDERS):
        return without_nginx(module, sites)
    master = Master(module)
    check_profiles(sites, master.nginx)
    lock = hidden(params["path"], LOCK)
    is_first = not os.path.lexists(lock)
    nobody_was_here = not sites and not os.path.lexists(params["path"]) and is_first
    with contextlib.nullcontext() if module.check_mode or nobody_was_here else locked(lock):
        if is_first and os.path.lexists(lock):
            sync_folder(
                os.path.dirname(lock)
            )  # by it the next run knows, even after a power loss, that there is something to sweep
        transaction = Transaction(module, master, sites)
        try:
            return transaction.converge()
        except (TlsError, OSError) as error:
            told = error if isinstance(error, TlsError) else system_error(error)
            raise TlsError(str(told), **{**told.details, "warnings": transaction.warnings}) from error


def check_certificates(sites, domains, store):
    """Make sure that each site has a certificate, or a request for one, so that no slip of the pen takes a site off HTTPS."""
    for site in sites:
        name = site["certificate"]
        if domains and name not in domains and not os.path.lexists(os.path.join(store, name)):
            raise TlsError(
                f"the site {site['name']} has no certificate: there is no certificate request named {name}, only "
                f"{', '.join(sorted(domains))}; correct the name, or say which certificate it has"
            )


# not a parser: it accepts any text, or raises TlsError
def check_file(path):
    """Make sure that no file of somebody else is replaced or removed."""
    content = read_file(path)
    if content and not content.startswith(HEADER.encode()):
        raise TlsError(
            f"{path} was not written by evergreen.tls, and is left as it is; let path name another file, or move it away"
        )


def without_nginx(module, sites):
    """Say what follows from nginx not being installed."""
    path = module.params["path"]
    if sites and not module.check_mode:
        raise TlsError("nginx is not installed on this host; install it, then run this again")
    is_left_over = not sites and os.path.lexists(path)
    if is_left_over and not module.check_mode:
        remove_file(path)
    would = f"would write {path} with {len(sites)} sites" if sites else f"{path} is not needed" if is_left_over else ""
    return {
        "changed": bool(sites) or is_left_over,
        "msg": ", and ".join(part for part in ("nginx is not installed", would) if part),
        "path": path,
        "waiting": [],
        "fingerprints": {},
        "loaded": [],
        "running": False,
        "nginx_version": None,
        "openssl_version": None,
    }


class Transaction:
    """One change of nginx's configuration: tested beside the old one, put in its place, loaded."""

    def __init__(self, module, master, sites):
        self.module = module
        self.master = master
        self.nginx = master.nginx
        self.process = master.process()
        self.sites = sites
        self.warnings = []
        self.path = module.params["path"]
        self.loaded = hidden(self.path, "loaded")  # what nginx runs with, until it has loaded what is new
        self.main = master.nginx.configuration
        self.files = master.files()
        if self.main not in self.files:
            raise TlsError(
                f"{self.main} does not exist, so nginx has no configuration; install nginx again and run this again"
            )
        self.strangers = servers({path: text for path, text in self.files.items() if path != self.path}, self.main)
        self.defaults = foreign_defaults(sites, self.strangers)
        self.waiting = waiting_sites(sites, module.params["store"])
        for site in sites:
            site["encrypted"] = site["encrypted"] or os.path.exists(self.passphrase(site["certificate"]))
        self.has_ipv6 = has_ipv6(module.params["ipv6"])

    # not a parser: it reads what the collection has made or checked
    def converge(self):
        """Bring the file and the running nginx to what is described; return what came of that."""
        before = read_file(self.path)
        text = self.wanted_text()
        # A file that goes is emptied, loaded and then removed, so that a run in between leaves something to compare with.
        after = text.encode() if self.sites or before is not None else None
        rewritten = after != before
        stale = bool(self.process and (rewritten or self.is_outdated()))
        reloaded = stale and self.module.params["reload"]
        loaded = [name for name in self.certificates() if reloaded and self.master.is_newer(self.current(name))]
        removed = not self.sites and before is not None
        if not self.process:
            self.master.check_orphans()
        if rewritten or reloaded or not self.process:
            check_ports(self.sites, self.has_ipv6)
        if self.module.check_mode:
            if self.process and after is not None:
                self.test()
        elif os.path.lexists(hidden(self.path, LOCK)):  # this run made it, or one before that was killed
            self.sweep()
        if after is not None and not self.module.check_mode:
            self.warnings = self.surprises(text)
            self.make_passphrases()
            if rewritten:
                self.write(text, reloaded)
            else:
                self.test()
            if reloaded:
                self.reload()
            if reloaded or not stale:
                self.announce_passphrases()
            if removed:
                remove_file(self.path)
        return {
            "changed": rewritten or reloaded or removed,
            "msg": self.message(rewritten, removed, stale),
            "path": self.path,
            "waiting": self.waiting,
            "fingerprints": self.fingerprints(),
            "loaded": loaded,
            "running": self.process is not None,
            "nginx_version": dotted(self.nginx.version),
            "openssl_version": dotted(self.nginx.openssl) or None,
            "warnings": self.warnings,
            "diff": {
                "before_header": self.path,
                "after_header": self.path,
                "before": (before or b"").decode("utf-8", "replace"),
                "after": text if self.sites else "",
            },
        }

    def wanted_text(self):
        """Return the configuration of the sites, once it is sure that nginx would read it."""
        if not self.sites:
            return HEADER
        if not is_included(self.files, self.main, self.path):
            included = ", ".join(http_includes(self.files, self.main)) or "nothing"
            raise TlsError(
                f"nginx does not read {self.path}: the http block of {self.main} includes {included}; add "
                f"'include {os.path.dirname(self.path)}/*.conf;' to it, or let path name a file that it includes"
            )
        params = self.module.params
        session = {name: params[f"session_{name}"] for name in ("timeout", "cache", "tickets")}
        host = Host(
            nginx=self.nginx,
            store=params["store"],
            session=session,
            has_ipv6=self.has_ipv6,
            reject_unknown=params["reject_unknown"],
            taken_ports=self.defaults,
        )
        # A dry run shows the sites as they will be, since it comes before their certificates.
        return render(self.sites, () if self.module.check_mode else self.waiting, host)

    def surprises(self, text):
        """Return what is not an error but will surprise."""
        sentences = [
            f"the site {name} waits for its certificate, and answers on HTTP only until that is installed"
            for name in self.waiting
        ]
        if self.module.params["reject_unknown"]:
            sentences += [
                f"unknown names on port {port} are not rejected, since {place} is the default server there; "
                "take default_server away there to have them rejected"
                for port, place in self.defaults.items()
            ]
        return sentences + conflicts(servers({**self.files, self.path: text}, self.main), self.path)

    def make_passphrases(self):
        """Have the files of passphrases there that the configuration is to name; those that are missing are empty until it does."""
        for path in filterfalse(os.path.lexists, self.passphrases()):
            create_file(path, b"", mode=0o600)
            sync_folder(os.path.dirname(path))

    def announce_passphrases(self):
        """Let it be known that nginx finds a passphrase in each of the files: from now on its key may have one."""
        for path in self.passphrases():
            if not os.path.getsize(path):
                remove_temporary_files(path)
                replace_file(path, b"\n", mode=0o600)

    def test(self):
        """Make sure that nginx accepts its configuration as it is."""
        refused = self.master.complaint()
        if refused:
            raise TlsError(
                f"nginx refuses its configuration as it was before anything was changed: {refused}; "
                "repair that, then run this again"
            )

    # not a parser: it reads what the collection has made or checked
    def write(self, text, reloaded):
        """Put the configuration in its place, once nginx has accepted it there; keep what was there if it is *reloaded*."""
        refused = self.rehearse(text)
        if refused:
            self.test()  # if it was broken before, that is what has to be said
            line = re.search(rf"{re.escape(self.path)}:(\d+)", refused)
            site = site_at(text, int(line.group(1))) if line else None
            raise TlsError(
                f"nginx refuses the new configuration{f' at the site {site}' if site else ''}: {refused}; "
                "nothing was changed, correct the sites and run this again"
            )
        if reloaded:
            self.remember()
        replace_file(self.path, text.encode())
        if self.process:
            # The kernel rounds the start of a process down to 10 ms: a worker that comes now must not look older than the file.
            time.sleep(0.05)

    def sweep(self):
        """Remove what a run that was killed has left: nobody else can be here, since this one holds the lock."""
        for path in {self.path, *self.files}:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(hidden(path, TEST))
        remove_temporary_files(self.path)
        if self.process and not self.is_outdated():
            self.forget()

    def remember(self):
        """Keep what nginx runs with, for restore(): of this run, or of one that follows because this one was killed."""
        if os.path.lexists(self.loaded):
            return
        if os.path.lexists(self.path):
            with path_in_errors(self.loaded):
                os.link(self.path, self.loaded)
        else:
            create_file(self.loaded, b"")
        sync_folder(os.path.dirname(self.path))

    def restore(self):
        """Put back what remember() has kept, which takes no space; say whether there was something."""
        if not os.path.lexists(self.loaded):
            return False
        if os.path.getsize(self.loaded):
            os.rename(self.loaded, self.path)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        sync_folder(os.path.dirname(self.path))
        self.forget()
        return True

    def forget(self):
        """Do without what remember() has kept."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.loaded)

    # not a parser: it reads what the collection has made or checked
    def rehearse(self, text):
        """Return what nginx has against *text* in the place of the file, or None."""
        staged = hidden(self.path, TEST)
        copies = rehearsal(self.files, self.main, self.path, staged, lambda path: hidden(path, TEST))
        if not copies:  # nginx does not read the file
            return None
        try:
            for path, content in {staged: text, **copies}.items():
                create_file(path, content.encode("utf-8", "surrogateescape"), mode=0o600)
            refused = self.master.complaint(hidden(self.main, TEST))
        finally:
            for path in (staged, *copies):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        for path in (self.path, *self.files):
            refused = refused and refused.replace(hidden(path, TEST), path)
        return refused

    def is_outdated(self):
        """Say whether nginx runs with workers from before the file was written, or a certificate of its sites was put in use."""
        return self.master.is_newer(self.path) or any(map(self.master.is_newer, map(self.current, self.certificates())))

    def current(self, name):
        """Return the link that says which version of a certificate is in use."""
        return os.path.join(self.module.params["store"], name, "current")

    def passphrase(self, name):
        """Return the file of the passphrase of a certificate's key; in its version, whatever is put in use meanwhile."""
        return os.path.join(os.path.realpath(self.current(name)), "passphrase")

    def passphrases(self):
        """Return the files of passphrases that the configuration names."""
        encrypted = {site["certificate"] for site in self.sites if site["encrypted"]}
        return [self.passphrase(name) for name in self.certificates() if name in encrypted]

    def certificates(self):
        """Return the names of the certificates of the sites that have them."""
        return sorted({site["certificate"] for site in self.sites if site["name"] not in self.waiting})

    def fingerprints(self):
        """Return the SHA-256 fingerprint of each certificate that the sites use."""
        return {name: leaf_fingerprint(os.path.join(self.module.params["store"], name)) for name in self.certificates()}

    def reload(self):
        """Have nginx load its configuration; where it cannot, put back what it had loaded.

        The age of the workers tells when it has done so.
        """
        try:
            self.have_loaded()
        except TlsError as error:
            if not self.restore():
                raise
            raise TlsError(f"the content of {self.path} from before is in place again, since {error}") from error

    def have_loaded(self):
        """Have nginx load its configuration; raise TlsError where it does not."""
        end = self.master.log_end()
        self.master.reload()
        deadline = time.monotonic() + self.master.patience(RELOAD_PATIENCE)
        while self.is_outdated():
            time.sleep(0.05)
            is_over = time.monotonic() > deadline
            error = self.master.refusal(end, is_over)
            if error or is_over:
                raise TlsError(
                    f"nginx did not load {self.path}: {error or f'see {self.master.error_log()}'}; remove the cause and run this again"
                )
        self.forget()

    def message(self, rewritten, removed, stale):
        """Say in one sentence what was done, or would be."""
        check_mode = self.module.check_mode
        count = f"{len(self.sites)} site{'' if len(self.sites) == 1 else 's'}"
        if removed:
            done = [f"{'would remove' if check_mode else 'removed'} {self.path}"]
            loaded = "nginx would go on without it" if check_mode else "nginx goes on without it"
        else:
            done = [f"{'would write' if check_mode else 'wrote'} {self.path} with {count}"] if rewritten else []
            loaded = "nginx would load it" if check_mode else "nginx has loaded it"
        if stale:
            done = done or [f"{self.path} or a certificate of its sites is newer than what nginx runs with"]
            done.append(loaded if self.module.params["reload"] else "nginx has not loaded that yet")
        if not self.process:
            done.append("nginx is not running")
        if not done:
            done = [f"nginx has loaded {self.path} with {count}" if self.sites else f"there is no {self.path}"]
        return ", and ".join(done)


def waiting_sites(sites, store):
    """Return the names of the sites whose certificate is not installed."""
    return [
        site["name"]
        for site in sites
        if not all(
            os.path.exists(os.path.join(store, site["certificate"], "current", name))
            for name in ("fullchain.pem", "privkey.pem")
        )
    ]


def leaf_fingerprint(folder):
    """Return the SHA-256 fingerprint of the certificate in use, or nothing where it cannot be read."""
    pem = (read_file(os.path.join(folder, "current", "cert.pem")) or b"").decode(errors="replace")
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except ValueError:
        return ""


def has_ipv6(wanted):
    """Say whether to listen on IPv6."""
    return os.path.exists("/proc/net/if_inet6") if wanted == "auto" else wanted == "true"


def check_ports(sites, ipv6):
    """Make sure that no other program has a port of the sites: nginx -t does not look, and a reload fails."""
    wanted = {site[option]: option for site in sites for option in ("http_port", "https_port")}
    for listener in listening_sockets():
        if listener.port in wanted and (ipv6 or ":" not in listener.address or listener.address == "::"):
            who = foreign_holder(listener, "nginx")
            if who:
                raise TlsError(
                    f"port {listener.port} is already taken by {who}; stop it, or choose another {wanted[listener.port]}"
                )


# not a parser: it reads what the collection has made or checked
def hidden(path, suffix):
    """Return a name beside *path* that no include with an asterisk finds."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{suffix}")


def remove_file(path):
    """Remove a file, for good."""
    os.unlink(path)
    sync_folder(os.path.dirname(path))
