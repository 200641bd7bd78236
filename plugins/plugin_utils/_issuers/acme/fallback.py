# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Try the directories of an issuer one after the other, until one of them does not refuse an order."""

from __future__ import annotations

import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import Directory
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    PREFLIGHT_REFUSAL,
    Problem,
    Unreachable,
    error_code,
    is_server_failure,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_info import RenewalRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.servers import Servers
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

if t.TYPE_CHECKING:  # it needs the libraries of ACME, which a survey does not load
    from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.orders import Orders, OrderSpec

display = Display()
Result = t.TypeVar("Result")
OrderStep = t.Callable[["Orders", "OrderSpec"], Result]

# Refusals after which another CA may issue. A CA that cannot reach a host is not among them: others cannot reach it either.
OTHER_CA_MAY_ISSUE = (
    *("rateLimited", "caa", "rejectedIdentifier", "unsupportedIdentifier", "externalAccountRequired"),
    PREFLIGHT_REFUSAL,
)


class DirectoryFallback:
    """The directories of an issuer, and where their orders are recorded."""

    def __init__(
        self,
        directories: list[Directory],
        servers: Servers,
        renewals: RenewalRecords,
        order_records: JsonRecords,
        timeout: float,
    ) -> None:
        """Take the directories in the order in which they are tried. *timeout* is in seconds, for each order."""
        self.directories, self.servers, self.renewals = directories, servers, renewals
        self.order_records, self.timeout = order_records, timeout

    def run(self, request: Request, csr: bytes, host: str, step: OrderStep[Result]) -> tuple[Result, Directory]:
        """Take a step at the first directory that does not refuse; return its result, and the directory."""
        refusals: list[str] = []
        candidates = self._directories_with_order_first(request, csr)
        for directory in candidates:
            try:
                return self.run_at(directory, request, csr, host, step), directory
            except (Problem, Unreachable) as error:
                is_last = directory is candidates[-1]
                if is_last and not refusals:
                    raise
                refusals.append(str(error))
                if is_last or not (is_server_failure(error) or error_code(error) in OTHER_CA_MAY_ISSUE):
                    joined = Problem(" · ".join(refusals), error_code(error))
                    joined.failed_challenges = getattr(error, "failed_challenges", [])
                    raise joined from error
                display.warning(escape_control_characters(f"{error}. Asking the next directory of {request['issuer']}"))
                if not is_server_failure(error):  # so that the next run begins with the directory that is tried now
                    self.order_records.remove(self._order_name(directory, request, csr))
            except TlsError as error:
                if refusals:
                    raise Problem(" · ".join([*refusals, str(error)])) from error
                raise
        raise AssertionError

    def _directories_with_order_first(self, request: Request, csr: bytes) -> list[Directory]:
        """Return the directories in their order, but first those at which an earlier run placed an order."""

        def has_no_order(directory: Directory) -> bool:
            return not self.order_records.read(self._order_name(directory, request, csr), ("order",)).get("order")

        return sorted(self.directories, key=has_no_order)

    def _order_name(self, directory: Directory, request: Request, csr: bytes) -> str:
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.orders import order_name

        return order_name(directory.url, csr, request["domains"])

    def run_at(self, directory: Directory, request: Request, csr: bytes, host: str, step: OrderStep[Result]) -> Result:
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.orders import OrderSpec

        orders = self.servers.orders(directory, self.order_records, self.timeout)
        now = utc_now()
        replaces = self.renewals.predecessor(host, request["name"], directory.url, request["domains"], now)
        kind = self.renewals.kind_of_order(host, request["name"], replaces, request["domains"], now)
        spec = OrderSpec(csr, request["domains"], directory.profile, replaces, directory.preferred_root, kind, request)
        return step(orders, spec)
