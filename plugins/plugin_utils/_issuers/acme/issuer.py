# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The issuer C(type: acme): certificates of Let's Encrypt and all other ACME servers (RFC 8555).

The account key is on the controller, the keys of certificates are on the hosts. The issuer keeps its records in a folder of the controller,
by default ~/.evergreen/acme. All issuers share it by default: one account key, and so one thumbprint, for all CAs.

acme/
├── account.key           the key of the accounts
├── accounts/             the account at each directory
├── orders/               each unfinished order, by its CSR, with which a killed run continues
├── answers/              issued chains, by CSR (IssuedCache)
├── certificates/         the certificates of each request of a host, with their renewal information
├── limits/  failures/    rate limits of CAs, and requests that failed
├── counts/               orders and certificates, as far as CAs count them (LimitRecords)
├── succeeded/            requests that need no test
└── places/               the slots for orders
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import threading
import time
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_before, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import RenewalAdvice, Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import absolute_folder
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import NO_CROSS_SIGNING
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import RecordedIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.revocation_reasons import REVOCATION_REASONS
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.roots import read_roots
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import (
    AccountKeys,
    base64url,
    thumbprint,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import RENEWAL_PERIOD, CaLimits
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import (
    PREFLIGHT_MODES,
    Directory,
    directories,
    preflight_mode,
    test_directory,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.fallback import (
    OTHER_CA_MAY_ISSUE,
    DirectoryFallback,
    OrderStep,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.first_renewals import FirstRenewals
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.limit_finding import check_limits
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    PREFLIGHT_REFUSAL,
    MalformedResponse,
    Problem,
    Unreachable,
    error_code,
    is_server_failure,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import FailureBackoff, OrderSlots
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_info import RenewalRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.servers import Servers
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import IssueRequest
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import ChallengeFiles, solver_type
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import (
    DNS_PERSIST_01,
    ChallengeResponse,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

if t.TYPE_CHECKING:
    from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.orders import Orders, OrderSpec

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

display = Display()
Result = t.TypeVar("Result")

THUMBPRINT_PLACEHOLDER = "thumbprint-of-a-key-that-is-not-yet-made---"
RECORDS_KEPT = datetime.timedelta(days=60)  # since they were last written
CERTIFICATE_RECORDS_KEPT = datetime.timedelta(days=600)
MAX_RENEWAL_QUERIES = 10  # at a time


class Acme(RecordedIssuer):
    """The issuer C(type: acme)."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        "directory": {"type": "str", "default": "letsencrypt"},
        "directories": {"type": "list", "elements": "raw"},
        "test_directory": {"type": "str"},
        "folder": {"type": "path", "default": "~/.evergreen/acme"},
        "email": {"type": "list", "elements": "str", "default": []},
        "terms_of_service_agreed": {"type": "bool", "default": True},
        "eab_kid": {"type": "str"},
        "eab_hmac": {"type": "str", "no_log": True},
        "account_key": {"type": "str", "no_log": True},
        "solver": {"type": "raw", "default": "http"},
        "profile": {"type": "str"},
        "preferred_root": {"type": "str"},
        "ca_file": {"type": "path"},
        "roots": {"type": "path"},
        "limits": {"type": "dict"},
        "preflight": {"type": "str", "choices": list(PREFLIGHT_MODES)},
        "spread": {"type": "bool", "default": True},
        "at_once": {"type": "int", "default": 50},
        "timeout": {"type": "str", "default": "5m"},
    }
    DEFAULTS: t.ClassVar[dict[str, t.Any]] = {"rules": "public"}

    def __init__(self, **settings: t.Any) -> None:
        self.settings = settings
        self.directories = directories(settings)
        self.test_directory = test_directory(settings)
        limits = [CaLimits(one.url, one.limits) for one in self.directories]  # raises TlsError for limits that are none
        self.timeout = parse_duration(settings["timeout"]).total_seconds()
        if settings["at_once"] < 1:
            raise TlsError(f"at_once is {settings['at_once']}, and orders need one place at least; write 1 or more")
        self.folder = JsonRecords(absolute_folder("folder", settings["folder"]))
        self.keys = AccountKeys(self.folder, settings["account_key"])
        self.servers = Servers(settings, self.folder, self.keys)
        self.cache_directory = os.path.join(self.folder.path, "answers")
        self.order_records = self.folder.subfolder("orders")
        self.issued_records = self.renewals = RenewalRecords(self.folder.subfolder("certificates"))
        self.fallback = DirectoryFallback(
            self.directories, self.servers, self.renewals, self.order_records, self.timeout
        )
        self.first_renewals = FirstRenewals(self.folder.subfolder("days"), self.renewals.folder, limits)
        self.failures = FailureBackoff(self.folder.subfolder("failures"))
        self.cross_signing = NO_CROSS_SIGNING
        self.certificate_files: dict[str, str] = {}
        self.is_public = self.may_add_subject = False
        self.remarks: list[str] = []
        self.preferred_roots: list[str | None] = [one.preferred_root for one in self.directories]
        self._renewal_queries = threading.BoundedSemaphore(MAX_RENEWAL_QUERIES)

    @staticmethod
    def settings_of_name(name: str) -> dict[str, t.Any]:
        """Return no settings."""
        return {}

    @property
    def at_once(self) -> int:
        """Return how many orders of one run may be under way at a time.

        The solver command runs one program at a time.
        """
        return 1 if solver_type(self.settings["solver"]) == "command" else self.settings["at_once"]

    def roots(self) -> bytes | None:
        """Return the roots of the setting C(roots) in PEM; None for those of the system."""
        return read_roots(self.settings["roots"])

    def thumbprint(self, pretend: bool = False) -> str:
        """Return the thumbprint of the account key, which hosts serve for http-01.

        The key is generated if there is none. With *pretend*, a placeholder is returned instead.
        """
        if pretend and not self.keys.has_key():
            return THUMBPRINT_PLACEHOLDER
        return thumbprint(self.keys.current())

    def terms(self, request: Request) -> dict[str, t.Any]:
        """Return what decides on a certificate beside the CSR."""
        return {
            "names": request["domains"],
            "directories": [[one.url, one.profile, one.preferred_root] for one in self.directories],
        }

    def issue(self, request: IssueRequest, csr: bytes, host: str) -> bytes:
        """Order a certificate from the first directory that issues one; return the chain in PEM.

        A request that never succeeded is ordered from the test directory first. One that failed is not tried again for a while.
        """
        with self._working_on(request, host):
            self._try_test_directory(request, csr, host, _obtain)
            chain, directory = self.fallback.run(request, csr, host, _obtain)
        self._record_issued(request, chain, host, directory)
        self.failures.clear(host, request["name"])
        self._sweep()
        return chain

    def begin_order(self, request: IssueRequest, csr: bytes, host: str) -> list[ChallengeFiles]:
        """Place the order that issue() will finish; return the files that hosts have to serve for it."""
        with self._working_on(request, host):
            responses = self._try_test_directory(request, csr, host, _begin) or []
            responses += self.fallback.run(request, csr, host, _begin)[0]
        return self.servers.solver().challenge_files(responses, host)

    def find_obstacles(self, request: Request, host: str, deadline: float) -> list[Finding]:
        """Return what an order from the first directory meets. Nothing is ordered, registered or written."""
        directory, domains, now = self.directories[0], request["domains"], utc_now()
        kind = self.renewals.kind_of_next_order(host, request["name"], directory.url, domains, now)
        limits = check_limits(self.servers.counts(directory), domains, kind, now)
        return [*self.servers.find_obstacles(directory, domains, deadline), limits]

    def expected_refusals(self, request: Request, host: str, is_deployed: bool) -> list[str]:
        """Return what check mode says about an order. The setting C(preflight) decides whether to look."""
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.preflight import (
            PREFLIGHT_TIMEOUT_S,
            refusals_expected,
        )

        if preflight_mode(self.settings["preflight"], self.directories[0].url) == "off":
            return []
        findings = self.find_obstacles(request, host, time.monotonic() + PREFLIGHT_TIMEOUT_S)
        return refusals_expected(findings, is_deployed)

    # not a parser: it reads what the collection has made or checked
    def record(self, request: Request, chain: list[x509.Certificate], host: str) -> None:
        """Forget the order of a chain, which is cached by now.

        The same CSR may come again, for another certificate.
        """
        self._forget_orders(to_pem(chain[:1]).decode())
        self.renewals.add(host, request["name"], chain[0], {"issued": True})

    # not a parser: it reads what the collection has made or checked
    def revoke(self, serial_number: str, reason: str, pretend: bool = False) -> bool:
        """Revoke a certificate that was ordered from here (RFC 8555, section 7.6).

        Return whether it was not revoked before.
        """
        found = self.renewals.find(serial_number)
        url = found[2].get("directory") if found else None
        if found is None or not url:
            raise TlsError(
                f"{self.renewals.folder.path} knows no valid certificate with the serial number {serial_number}; revoke it from the "
                "controller that ordered it"
            )
        record = found[2]
        if record.get("revoked"):
            return False
        if pretend:
            return True
        known = [directory for directory in self.directories if directory.url == url]
        account = self.servers.account(known[0] if known else Directory(url, ca_file=self.settings["ca_file"]))
        certificate = x509.load_pem_x509_certificate(record["certificate"].encode())
        payload = {
            "certificate": base64url(certificate.public_bytes(serialization.Encoding.DER)),
            "reason": REVOCATION_REASONS[reason].code,
        }
        is_new = True
        try:
            account.post(account.client.resource_url("revokeCert"), payload, f"revoking {serial_number} at {url}")
        except Problem as refusal:
            if refusal.code != "alreadyRevoked":
                raise
            is_new = False
        self.renewals.mark_revoked(serial_number, reason)
        self._forget_orders(record["certificate"])
        return is_new

    def advice(
        self, host: str, request: str, leaf: x509.Certificate | None = None, may_spread: bool = True
    ) -> dict[str, RenewalAdvice]:
        """Return the renewal information of the certificates of a request, by serial number.

        The CA is asked if its last information is no longer fresh. If it cannot be asked, its last information holds.
        leaf: a certificate that was seen on the host. It is recorded, if it is not yet. may_spread: whether a first renewal may be earlier than usual.
        """
        if leaf is not None:
            self.renewals.add(host, request, leaf)
        now = utc_now()
        for name in self.renewals.stale(host, request, now):
            with self._renewal_queries:
                self.renewals.update(host, request, name, self.servers.reachable_clients(self.directories), now)
        is_spread = may_spread and self.settings["spread"]
        return self.renewals.advice(host, request, self.first_renewals.spread if is_spread else None)

    def accounts(self) -> dict[str, str]:
        """Return the URL of the account at each directory. Accounts are created if there are none."""
        return {directory.url: self.servers.account(directory).url() for directory in self.directories}

    def change_key(self) -> str:
        """Give all accounts another key; return its thumbprint. An interrupted change is completed."""
        with self.folder.locked("change", self.timeout):
            for directory in self.directories:
                self.servers.account(directory).change_key()
            self.keys.change()
        return self.thumbprint()

    @contextlib.contextmanager
    def _working_on(self, request: Request, host: str) -> t.Iterator[None]:
        """Hold a slot for orders. Raises TlsError if the request may not be tried yet; records its failure."""
        digest = self._digest(request)
        self.failures.check(host, request["name"], digest)
        for directory in self.directories:
            directory.check_names(request["domains"])
        try:
            with OrderSlots(self.folder.subfolder("places"), self.settings["at_once"]).slot(2 * self.timeout):
                yield
        except (MalformedResponse, Problem, Unreachable) as error:
            # RateLimits has recorded the first; the second cost nothing.
            if error_code(error) not in ("rateLimited", PREFLIGHT_REFUSAL):
                self.failures.record(host, request["name"], digest, str(error))
            raise

    def _try_test_directory(self, request: Request, csr: bytes, host: str, step: OrderStep[Result]) -> Result | None:
        """Take a step at the test directory, if the request never succeeded: mistakes cost nothing there."""
        directory = self.test_directory
        has_succeeded = self.folder.subfolder("succeeded").read(self._success_name(request))
        if directory is None or has_succeeded or not self._is_testable():
            return None
        try:
            return self.fallback.run_at(directory, request, csr, host, step)
        except (Problem, Unreachable) as error:
            if not is_server_failure(error) and error_code(error) not in OTHER_CA_MAY_ISSUE:
                raise
            display.warning(escape_control_characters(f"{error}. Going on without the test"))
            return None

    def _is_testable(self) -> bool:
        """Say whether a test means anything.

        A persistent record names an account, and that of the test directory is another one.
        """
        return self.servers.solver().challenge_type != DNS_PERSIST_01

    def _record_issued(self, request: Request, chain: bytes, host: str, directory: Directory) -> None:
        """Record that a certificate was issued, and that it replaces all others of the request."""
        name, leaf = request["name"], parse_chain(chain)[0]
        before, is_first = list(self.renewals.current(host, name)), not self.renewals.has_issued(host, name)
        new = self.renewals.add(host, name, leaf, {"directory": directory.url, "issued": True, "replaced": False})
        self.renewals.mark_replaced(host, name, [one for one in before if one != new])
        if is_first:
            self.first_renewals.add(host, name, f"{leaf.serial_number:x}", not_before(leaf), request["domains"])
        self.folder.subfolder("succeeded").write(self._success_name(request), {"at": utc_now().isoformat()})

    def _forget_orders(self, certificate: str) -> None:
        """Remove the records of orders with this certificate in PEM, so that nobody gets it again."""
        for name in self.order_records.names():
            if certificate.strip() in self.order_records.read(name, ("chain",)).get("chain", ""):
                self.order_records.remove(name)

    def _sweep(self) -> None:
        """Remove old records, once a day."""
        now = utc_now()
        today = f"{now:%Y-%m-%d}"
        if self.folder.read("swept").get("day") == today:
            return
        self.folder.write("swept", {"day": today})
        for name in ("orders", "limits", "failures"):
            self.folder.subfolder(name).remove_older(RECORDS_KEPT, now)
        self.folder.subfolder("counts").remove_older(RENEWAL_PERIOD, now)
        for name in ("certificates", "days"):
            self.folder.subfolder(name).remove_older(CERTIFICATE_RECORDS_KEPT, now)

    # not a parser: it reads what the collection has made or checked
    def _digest(self, request: Request) -> str:
        """Return a digest of all that decides whether an order succeeds.

        A request with another one may be tried at once.
        """
        settings = {key: value for key, value in self.settings.items() if key not in ("at_once", "timeout", "spread")}
        content = json.dumps([request["domains"], request["type"], settings], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()

    def _success_name(self, request: Request) -> str:
        """Return the name of the record that these domains were validated in this way by this CA."""
        solver = json.dumps(self.settings["solver"], sort_keys=True, default=str)
        return file_name(solver, self.directories[0].url, *sorted(request["domains"]))


def _obtain(orders: Orders, spec: OrderSpec) -> bytes:
    return orders.obtain(spec)


def _begin(orders: Orders, spec: OrderSpec) -> list[ChallengeResponse]:
    return orders.begin(spec)
