# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open clients, accounts, orders and the solver for the directories of an issuer.

The libraries of ACME and DNS are loaded here when they are needed, and not for a survey of certificates that are fine.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import AccountKeys, thumbprint
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import CaLimits
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import (
    WELL_KNOWN,
    Directory,
    preflight_mode,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.due_renewals import due_renewals
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.limit_records import LimitRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import RateLimits
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_info import RenewalRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount, Solver

if t.TYPE_CHECKING:
    from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account import Account
    from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.client import Client
    from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.orders import Orders


class Servers:
    """The servers of an issuer's directories."""

    def __init__(self, settings: dict[str, t.Any], folder: JsonRecords, keys: AccountKeys) -> None:
        """Take the settings of the issuer, its folder and its keys; open nothing yet."""
        self.settings, self.folder, self.keys = settings, folder, keys
        self._opening = threading.Lock()
        self._reachable: list[Client] | None = None

    def client(self, directory: Directory, is_single_try: bool = False) -> Client:
        """Return a client, as Client describes it."""
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.client import (
            Client,
            require_libraries,
        )

        require_libraries()
        limits = RateLimits(self.folder.subfolder("limits"), directory.url)
        return Client(directory.url, limits, directory.ca_file, is_single_try)

    def account(self, directory: Directory, is_single_try: bool = False) -> Account:
        """Return the account at a directory. It is created when it signs something for the first time."""
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account import Account, Registration

        registration = Registration(
            tuple(self.settings["email"]),
            self.settings["terms_of_service_agreed"],
            directory.eab_kid,
            directory.eab_hmac,
        )
        return Account(
            self.folder.subfolder("accounts"), self.keys, self.client(directory, is_single_try), registration
        )

    def orders(self, directory: Directory, records: JsonRecords, timeout: float) -> Orders:
        """Return the orders of the account at a directory. *timeout* is in seconds, for each order."""
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.orders import Orders

        account = self.account(directory)
        counts = self.counts(directory)
        preflight = preflight_mode(self.settings["preflight"], directory.url)
        return Orders(records, account, self.solver_for(account), counts, timeout, preflight)

    def counts(self, directory: Directory) -> LimitRecords:
        """Return what is counted for the limits of a directory."""
        renewals = RenewalRecords(self.folder.subfolder("certificates"))
        limits = CaLimits(directory.url, directory.limits)
        return LimitRecords(
            self.folder.subfolder("counts"), limits, functools.partial(due_renewals, renewals, directory.url)
        )

    def solver(self) -> Solver:
        """Return the solver without an account. It must not check or present anything."""
        return self._open_solver(AcmeAccount(thumbprint(self.keys.current())))

    def solver_for(self, account: Account) -> Solver:
        """Return the solver for an account, which is not created for that: hosts are looked at first."""
        is_public = account.client.url in WELL_KNOWN.values()
        return self._open_solver(
            AcmeAccount(thumbprint(account.key()), account.url, account.client.directory_meta, is_public)
        )

    def find_obstacles(self, directory: Directory, domains: list[str], deadline: float) -> list[Finding]:
        """Return what an order from a directory meets. No key is generated and no account is created for that."""
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.preflight import find_obstacles

        account = self.account(directory, is_single_try=True)
        known = AcmeAccount(
            thumbprint(account.key()) if self.keys.has_key() else "",
            lambda: account.known_url() or "",
            account.client.directory_meta,
            account.client.url in WELL_KNOWN.values(),
        )
        return find_obstacles(account, self._open_solver(known), domains, directory.profile, deadline)

    def reachable_clients(self, directories: list[Directory]) -> list[Client]:
        """Return clients for the directories that are reachable, for requests that can wait for the next run."""
        with self._opening:
            if self._reachable is None:
                self._reachable = []
                for directory in directories:
                    with contextlib.suppress(TlsError):
                        client = self.client(directory, is_single_try=True)
                        client.directory()
                        self._reachable.append(client)
        return self._reachable

    def _open_solver(self, account: AcmeAccount) -> Solver:
        from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver

        return open_solver(self.settings["solver"], account)
