# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notify the programs that read a certificate: restart or reload units of systemd, and run commands.

_store/ledger.py records who has been notified of which version.
"""

from __future__ import annotations

import json
import os
import shlex
import stat
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Export, Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions
from ansible_collections.evergreen.tls.plugins.module_utils._system.limited_command import run_limited
from ansible_collections.evergreen.tls.plugins.module_utils._system.systemd import check_unit, refresh_unit
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import (
    WRITABLE_BY_OTHERS,
    PathUse,
    is_trusted,
    resolved_file,
    trusted_folder,
    user_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._text import printable

if t.TYPE_CHECKING:
    from cryptography import x509

COMMAND_TIMEOUT_S = 120.0
# Whatever the environment of this process: a task may have passwords in its variables.
COMMAND_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}


class Subject(t.NamedTuple):
    """The certificate in use, of which programs are notified."""

    name: str  # of the request
    folder: str  # with privkey.pem, cert.pem, chain.pem and fullchain.pem
    version: str  # such as v0003
    fingerprint: str  # SHA-256
    domains: list[str]

    @property
    def state(self) -> str:
        """Return what a program was notified of. A version may have the certificate of another one, and a new form of its key."""
        return f"{self.version} {self.fingerprint}"


class Notification(t.NamedTuple):
    """A way to notify a program. verb: C(restart), C(reload) or C(run_after). words: the unit, or the command."""

    verb: str
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """Return the name of this in the ledger."""
        return f"{self.verb} {json.dumps(self.words) if self.is_command else self.words[0]}"

    @property
    def label(self) -> str:
        """Return the unit or the command as people write it."""
        return printable(" ".join(map(shlex.quote, self.words)))

    @property
    def is_command(self) -> bool:
        """Return whether it is a command of the option run_after."""
        return self.verb == "run_after"

    @property
    def prediction(self) -> str:
        """Return what would be done, as the predicate of a sentence."""
        return "would be run" if self.is_command else f"would be {self.verb}ed"

    def check(self) -> None:
        """Raise TlsError for a unit that does not exist, or a command that must not or cannot be run."""
        if self.is_command:
            check_program(self.words[0])
        else:
            check_unit(self.verb, self.words[0])

    def send(self, subject: Subject) -> str:
        """Notify the program. Return the result, as the predicate of a sentence. Raises TlsError if that fails."""
        if self.is_command:
            return run_command_after(self.words, subject)
        return refresh_unit(self.verb, self.words[0])


def unit_notifications(options: Request | Export) -> list[Notification]:
    """Return the notifications of the options C(restart) and C(reload)."""
    restarts = [Notification("restart", (unit,)) for unit in options["restart"] or []]
    reloads = [Notification("reload", (unit,)) for unit in options["reload"] or []]
    return list(dict.fromkeys([*restarts, *reloads]))


def request_notifications(request: Request) -> list[Notification]:
    """Return the notifications of a request, without those of its exports. Commands come last."""
    commands = [Notification("run_after", tuple(words)) for words in request["run_after"]]
    return list(dict.fromkeys([*unit_notifications(request), *commands]))


def subject_of(store: Versions, version: str, chain: list[x509.Certificate]) -> Subject:
    """Return what programs are notified of: a version, which is in use, with its chain."""
    domains = [printable(name) for name in sorted(names_of(chain[0]))]
    folder = os.path.join(store.path, "current")
    return Subject(os.path.basename(store.path), folder, version, fingerprint(chain[0]), domains)


def run_command_after(words: tuple[str, ...], subject: Subject) -> str:
    """Run a command of the option run_after. Return the result, as the predicate of a sentence.

    Raises TlsError if it must not be run, fails, or takes too long.
    """
    check_program(words[0])
    argv = [with_values(word, subject) for word in words]
    environment = {
        **COMMAND_ENVIRONMENT,
        "EVERGREEN_NAME": subject.name,
        "EVERGREEN_FOLDER": subject.folder,
        "EVERGREEN_VERSION": subject.version,
        "EVERGREEN_FINGERPRINT": subject.fingerprint,
        "EVERGREEN_DOMAINS": " ".join(subject.domains),
    }
    ended = run_limited(argv, COMMAND_TIMEOUT_S, environment)
    if ended.status == 0:
        return "was run"
    command = Notification("run_after", words).label
    if ended.status is None:
        raise TlsError(
            f"run_after: {command} was ended after {COMMAND_TIMEOUT_S:g} s: {ended.words or 'it printed nothing'}; "
            "have it start what takes longer in the background, or as a unit of systemd"
        )
    status = f"exit status {ended.status}" if ended.status > 0 else f"ended by signal {-ended.status}"
    raise TlsError(
        f"run_after: {command} failed ({status}): {ended.words or 'it printed nothing'}; put right what it says, or correct run_after"
    )


def with_values(word: str, subject: Subject) -> str:
    """Return a word of a command with values in the place of C({name}), C({folder}) and C({fingerprint})."""
    values = {"{name}": subject.name, "{folder}": subject.folder, "{fingerprint}": subject.fingerprint}
    for placeholder, value in values.items():
        word = word.replace(placeholder, value)
    return word


def check_program(path: str) -> None:
    """Raise TlsError unless a program can be run, and nobody but root could have put another in its place."""
    use = PathUse("run_after")
    try:
        target = resolved_file(path, use)
        with trusted_folder(os.path.dirname(target), use) as folder:
            status = os.stat(os.path.basename(target), dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TlsError(f"run_after: {path} is not on this host; install it, or correct run_after") from error
    if not stat.S_ISREG(status.st_mode):
        raise TlsError(f"run_after: {path} is not a program; correct run_after")
    if not is_trusted(status):
        raise TlsError(
            f"run_after: {path} belongs to {user_name(status.st_uid)}, who could have root run anything; run chown {os.geteuid()} on it "
            "after a look at what it does"
        )
    if status.st_mode & WRITABLE_BY_OTHERS:
        raise TlsError(
            f"run_after: {path} can be written by others, who could have root run anything; run chmod go-w on it after a look at what it does"
        )
    if not status.st_mode & stat.S_IXUSR:
        raise TlsError(f"run_after: {path} cannot be executed; run chmod u+x on it")
