# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The issuer C(type: acme): certificates of Let's Encrypt and all others who speak ACME (RFC 8555).

The account is here and the keys are on the hosts. What is remembered lies in a folder of the controller, by default
~/.evergreen/acme, which all issuers share unless they are told otherwise: one key, and so one thumbprint, for all CAs.

acme/
├── account.key           the key of the accounts
├── accounts/             the account at each directory
├── orders/               each order that is under way, by its signing request: what a killed run goes on with
├── answers/              what was issued of late, by its signing request (answers.py)
├── certificates/         what each request of a host has, and when the CA wants it renewed
├── limits/  failures/    who is to be left alone for how long
├── succeeded/            what was had before, and needs no test
└── places/               orders that are worked on at this moment
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import threading
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import NO_CROSS_SIGNING
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.revocation_reasons import REVOCATION_REASONS
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import (
    AccountKeys,
    base64url,
    thumbprint,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import (
    Directory,
    directories,
    test_directory,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem, Unreachable
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import Failures, Limits, Places
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_info import Renewals
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import (
    IssueRequest,
    RenewalAdvice,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import State, file_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import (
    AcmeAccount,
    ChallengeFiles,
    Solver,
    solver_type,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import DNS_PERSIST_01

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

display = Display()
Result = t.TypeVar("Result")
Step = t.Callable[[t.Any, t.Any], Result]  # what is done with the orders of an account for what is wanted

NO_THUMBPRINT = "thumbprint-of-a-key-that-is-not-yet-made---"
KEPT = datetime.timedelta(days=60)  # what nobody asks for again
ASKED_AT_ONCE = 10  # certificates about which CAs are asked at a time
# Refusals with which somebody else may have no difficulty. Whoever cannot see a host will not be alone with that.
ELSEWHERE = ("rateLimited", "caa", "rejectedIdentifier", "unsupportedIdentifier", "externalAccountRequired")


class Acme:
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
        "at_once": {"type": "int", "default": 50},
        "timeout": {"type": "str", "default": "5m"},
    }
    DEFAULTS: t.ClassVar[dict[str, t.Any]] = {}

    def __init__(self, **settings: t.Any) -> None:
        self.settings = settings
        self.directories = directories(settings)
        self.test_directory = test_directory(settings)
        self.timeout = parse_duration(settings["timeout"]).total_seconds()
        if settings["at_once"] < 1:
            raise TlsError(f"at_once is {settings['at_once']}, and orders need one place at least; write 1 or more")
        self.state = State(os.path.abspath(settings["folder"]))
        self.keys = AccountKeys(self.state, settings["account_key"])
        self.cache_directory = os.path.join(self.state.path, "answers")
        self.renewals = Renewals(self.state.within("certificates"))
        self.failures = Failures(self.state.within("failures"))
        self.cross_signing = NO_CROSS_SIGNING
        self.remarks: list[str] = []
        self.preferred_roots: list[str | None] = [one.preferred_root for one in self.directories]
        self._asking = threading.BoundedSemaphore(ASKED_AT_ONCE)
        self._opening = threading.Lock()
        self._asked: list[t.Any] | None = None

    @staticmethod
    def settings_of_name(name: str) -> dict[str, t.Any]:
        """Return no settings."""
        return {}

    @property
    def at_once(self) -> int:
        """Return how many orders of one run may be under way at a time. Commands of users are not run side by side for one host."""
        return 1 if solver_type(self.settings["solver"]) == "command" else self.settings["at_once"]

    def roots(self) -> bytes | None:
        """Return the roots that clients trust, where the issuer names them; None for those of the system."""
        path = self.settings["roots"]
        if not path:
            return None
        pem = read_file(path)
        if pem is None:
            raise TlsError(
                f"roots {path} does not exist; correct the path, or leave it out for a CA that systems trust"
            )
        parse_chain(pem)
        return pem

    def thumbprint(self, pretend: bool = False) -> str:
        """Return the thumbprint of the account's key, with which hosts answer challenges by HTTP.

        The key is made if need be, unless somebody only *pretends* to deploy.
        """
        if pretend and not self.keys.is_there():
            return NO_THUMBPRINT
        return thumbprint(self.keys.current())

    def terms(self, request: Request) -> dict[str, t.Any]:
        """Return what decides on a certificate beside the signing request."""
        return {
            "names": request["domains"],
            "directories": [[one.url, one.profile, one.preferred_root] for one in self.directories],
        }

    def issue(self, request: IssueRequest, csr: bytes, host: str) -> bytes:
        """Order a certificate, from the first directory that gives one. What failed is left to rest for a while."""
        with self._at_work(request, host):
            self._try_out(request, csr, host, _obtained)
            chain, directory = self._ordered(request, csr, host, _obtained)
        self._remember(request, chain, host, directory)
        self.failures.forget(host, request["name"])
        self._tidy()
        return chain

    def begin_order(self, request: IssueRequest, csr: bytes, host: str) -> list[ChallengeFiles]:
        """Order a certificate as far as what hosts have to show for it in files, and return where: C(host), C(path) and C(files).

        Whoever is asked first by issue() is asked here.
        """
        with self._at_work(request, host):
            answers = self._try_out(request, csr, host, _begun) or []
            answers += self._ordered(request, csr, host, _begun)[0]
        return self._solver().challenge_files(answers, host)

    # not a parser: it reads what the collection has made or checked
    def record(self, request: Request, chain: list, host: str) -> None:
        """Forget the order of a chain, which is kept elsewhere by now: the same signing request may come again, for another one."""
        self._forget_orders(to_pem(chain[:1]).decode())
        self.renewals.add(host, request["name"], chain[0])

    # not a parser: it reads what the collection has made or checked
    def revoke(self, serial_number: str, reason: str, pretend: bool = False) -> bool:
        """Have the CA revoke a certificate that was ordered from here; say whether that is new."""
        found = self.renewals.find(serial_number)
        if found is None:
            raise TlsError(
                f"{self.renewals.state.path} knows no valid certificate with the serial number {serial_number}; revoke it from the "
                "controller that ordered it"
            )
        host, request, entry = found
        if entry.get("revoked"):
            return False
        if pretend:
            return True
        known = [directory for directory in self.directories if directory.url == entry.get("directory")]
        directory = known[0] if known else Directory(entry["directory"], ca_file=self.settings["ca_file"])
        certificate = x509.load_pem_x509_certificate(entry["certificate"].encode())
        content = {
            "certificate": base64url(certificate.public_bytes(serialization.Encoding.DER)),
            "reason": REVOCATION_REASONS[reason].code,
        }
        account = self._account(directory)
        what = f"revoking {serial_number} at {directory.url}"
        is_new = True
        try:
            account.post(account.network.address("revokeCert"), content, what)
        except Problem as refusal:
            if refusal.code != "alreadyRevoked":
                raise
            is_new = False
        self.renewals.revoke(host, request, serial_number)
        self._forget_orders(entry["certificate"])
        return is_new

    def advice(self, host: str, request: str, leaf: x509.Certificate | None = None) -> dict[str, RenewalAdvice]:
        """Return when the CA wants the certificates of a request renewed, by serial number, and why.

        It is asked where what it said before is no longer fresh; where it cannot be asked, what it said before holds. The
        certificate *leaf* was seen on the host, and is asked about from now on if it was not before.
        """
        if leaf is not None:
            self.renewals.add(host, request, leaf)
        now = utc_now()
        for name in self.renewals.stale(host, request, now):
            with self._asking:
                self.renewals.ask(host, request, name, self._networks(), now)
        return self.renewals.advice(host, request)

    def accounts(self) -> dict[str, str]:
        """Return the address of the account at each directory, made if need be."""
        return {directory.url: self._account(directory).address() for directory in self.directories}

    def change_key(self) -> str:
        """Give all accounts another key; return its thumbprint. What was interrupted goes on."""
        with self.state.locked("change", patience=self.timeout):
            for directory in self.directories:
                self._account(directory).change_key()
            self.keys.change()
        return self.thumbprint()

    @contextlib.contextmanager
    def _at_work(self, request: Request, host: str) -> t.Iterator[None]:
        """Take one of the places for orders, where no failure of before says to wait; and have the next run know of another one."""
        wanted = self._wanted(request)
        self.failures.respect(host, request["name"], wanted)
        for directory in self.directories:
            directory.check_names(request["domains"])
        try:
            with Places(self.state.within("places"), self.settings["at_once"]).taken(2 * self.timeout):
                yield
        except (Problem, Unreachable) as error:
            if getattr(error, "code", "") != "rateLimited":  # the limits are kept beside
                self.failures.remember(host, request["name"], wanted, str(error))
            raise

    def _ordered(self, request: Request, csr: bytes, host: str, step: Step[Result]) -> tuple[Result, Directory]:
        """Return what a step with an order comes to, and at which directory."""
        refusals: list[str] = []
        asked = self._in_turn(request, csr)
        for directory in asked:
            try:
                return self._order(directory, request, csr, host, step), directory
            except (Problem, Unreachable) as error:
                is_last = directory is asked[-1]
                if is_last and not refusals:
                    raise
                refusals.append(str(error))
                if is_last or not (_is_away(error) or getattr(error, "code", "") in ELSEWHERE):
                    raise Problem(" · ".join(refusals), getattr(error, "code", "")) from error
                display.warning(f"{error}. Asking the next directory of {request['issuer']}")
                if not _is_away(error):  # so that the next run begins with the one that is asked now
                    self._orders().remove(self._order_name(directory, request, csr))
            except TlsError as error:
                if refusals:
                    raise Problem(" · ".join([*refusals, str(error)])) from error
                raise
        raise AssertionError

    def _in_turn(self, request: Request, csr: bytes) -> list[Directory]:
        """Return the directories in the order in which they are asked: first one where an earlier run has left an order."""
        orders = self._orders()
        return sorted(
            self.directories, key=lambda one: not orders.read(self._order_name(one, request, csr)).get("order")
        )

    def _orders(self) -> State:
        return self.state.within("orders")

    def _order_name(self, directory: Directory, request: Request, csr: bytes) -> str:
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.orders import order_name

        return order_name(directory.url, csr, request["domains"])

    def _order(self, directory: Directory, request: Request, csr: bytes, host: str, step: Step[Result]) -> Result:
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.orders import Orders, Wanted

        account = self._account(directory)
        replaced = self.renewals.predecessor(host, request["name"], directory.url, request["domains"], utc_now())
        wanted = Wanted(csr, request["domains"], directory.profile, replaced, directory.preferred_root)
        return step(Orders(self._orders(), account, self._solver(account), self.timeout), wanted)

    def _try_out(self, request: Request, csr: bytes, host: str, step: Step[Result]) -> Result | None:
        """Order a request that never succeeded at the test directory first, so that mistakes are made where they cost nothing."""
        directory = self.test_directory
        succeeded, name = self.state.within("succeeded"), self._success(request)
        if directory is None or succeeded.read(name) or not self._can_be_tried():
            return None
        try:
            return self._order(directory, request, csr, host, step)
        except (Problem, Unreachable) as error:
            if not _is_away(error) and getattr(error, "code", "") not in ELSEWHERE:
                raise
            display.warning(f"{error}. Going on without the test")
            return None

    def _can_be_tried(self) -> bool:
        """Say whether a test tells anything: the standing records of dns-persist-01 name an account, and that of a test is another."""
        return self._solver().challenge_type != DNS_PERSIST_01

    def _remember(self, request: Request, chain: bytes, host: str, directory: Directory) -> None:
        """Write down what was issued, and that what there was before has a successor."""
        leaf = parse_chain(chain)[0]
        before = list(self.renewals.present(host, request["name"]))
        new = self.renewals.add(host, request["name"], leaf, directory=directory.url, replaced=False)
        self.renewals.replace(host, request["name"], [name for name in before if name != new])
        self.state.within("succeeded").write(self._success(request), {"at": utc_now().isoformat()})

    def _forget_orders(self, certificate: str) -> None:
        """Forget the orders that came to a certificate, so that nobody gets it again."""
        orders = self._orders()
        for name in orders.names():
            if certificate.strip() in orders.read(name).get("chain", ""):
                orders.remove(name)

    def _tidy(self) -> None:
        """Remove once a day what nobody asks for again."""
        if self.state.read("swept").get("day") == f"{utc_now():%Y-%m-%d}":
            return
        self.state.write("swept", {"day": f"{utc_now():%Y-%m-%d}"})
        for name in ("orders", "limits", "failures", "certificates"):
            self.state.within(name).sweep(KEPT * (10 if name == "certificates" else 1), utc_now())

    # not a parser: it reads what the collection has made or checked
    def _wanted(self, request: Request) -> str:
        """Return what stands for all that decides whether an order succeeds; with another one a failure need not rest."""
        asked = {key: value for key, value in self.settings.items() if key not in ("at_once", "timeout")}
        content = json.dumps([request["domains"], request["type"], asked], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()

    def _success(self, request: Request) -> str:
        """Return the name of what has to be had once before: these domains, shown in this way, at this CA."""
        solver = json.dumps(self.settings["solver"], sort_keys=True, default=str)
        return file_name(solver, self.directories[0].url, *sorted(request["domains"]))

    def _account(self, directory: Directory) -> t.Any:
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account import Account, Registration

        settings = self.settings
        registration = Registration(
            tuple(settings["email"]), settings["terms_of_service_agreed"], directory.eab_kid, directory.eab_hmac
        )
        return Account(self.state.within("accounts"), self.keys, self._network(directory), registration)

    def _solver(self, account: t.Any = None) -> Solver:
        """Return the solver, which without an account can say what it is, and show nothing."""
        from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver

        if account is None:
            return open_solver(self.settings["solver"], AcmeAccount(self.thumbprint()))

        def meta() -> dict:
            return account.network.directory().get("meta") or {}

        return open_solver(
            self.settings["solver"], AcmeAccount(thumbprint(account.signer().key.key), account.address, meta)
        )

    def _network(self, directory: Directory, is_hurried: bool = False) -> t.Any:
        # The libraries of ACME are loaded where something is asked, and not for a look at certificates that are fine.
        from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import client as acme_network

        acme_network.require_libraries()
        limits = Limits(self.state.within("limits"), directory.url)
        return acme_network.Network(directory.url, limits, directory.ca_file, is_hurried)

    def _networks(self) -> list[t.Any]:
        """Return the ways to all directories that can be asked at this moment, for questions that can wait for the next run."""
        with self._opening:
            if self._asked is None:
                self._asked = []
                for directory in self.directories:
                    with contextlib.suppress(TlsError):
                        network = self._network(directory, is_hurried=True)
                        network.directory()
                        self._asked.append(network)
        return self._asked


def _obtained(orders: t.Any, wanted: t.Any) -> bytes:
    return orders.obtain(wanted)


def _begun(orders: t.Any, wanted: t.Any) -> list:
    return orders.begin(wanted)


def _is_away(error: TlsError) -> bool:
    """Say whether somebody could not answer, rather than would not."""
    return isinstance(error, Unreachable) or getattr(error, "status", 0) >= 500
