# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything in plugins/ that reads what others wrote, by name: how it is fed bytes, and what it likes to eat."""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import functools
import io
import json
import os
import shutil
import signal
import socket
import ssl
import tempfile
import types
import typing as t
import zipfile
from unittest import mock

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)

from ansible_collections.evergreen.tls.plugins.action import handshake_verify
from ansible_collections.evergreen.tls.plugins.action.firewall_port import ActionModule as FirewallAction
from ansible_collections.evergreen.tls.plugins.filter.request_domains import request_domains
from ansible_collections.evergreen.tls.plugins.module_utils._certificates import pkcs12 as keystores
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    parse_certificate,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    check_chain,
    describe_chain,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr, make_csr, requested_names
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    load_key,
    public_bytes,
    public_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import check_request_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import (
    Installed,
    renewal_time,
    why_renew,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import certificate_install as installation
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import certificate_request as preparation
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import nginx_reload as presentation
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import config as configurations
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import process as nginx_process
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import site_certificates
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import OPTIONS
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import (
    first_error,
    load_error,
    parse_build,
    taken_port,
)
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._store import exports
from ansible_collections.evergreen.tls.plugins.module_utils._store.adopt import take_in
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system import procfs, systemd
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import create_file
from ansible_collections.evergreen.tls.plugins.module_utils._tls import handshake as handshakes
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions import clock_skew
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.module_results import (
    RESULT_SPECS,
    validated_result,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall import firewalld, nftables, parse_nft
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.change import plan_change
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.detect import detect_firewall, initial_queries
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import evaluate, find_allow_rules
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import normal_name, normal_names
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import (
    normal_renew_before,
    parse_duration,
    parse_renew_before,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import host_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.request import (
    check_distinct_requests,
    complete_request,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import normal_sites
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance import cache as answers
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance import cross_signing
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import (
    check_csr,
    check_issued_chain,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import expect_date
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import local_ca
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import (
    account_key,
    client,
    directories,
    renewal_info,
    resources,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import limited_scopes, retry_after
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.file_formats import read_certificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.inbox import InboxFile, unused_file_messages
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.intermediates import ca_issuers_urls
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.installed import describe_installed
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal import make_report, survey_result
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal_table import report_text
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.run_records import time_of_record
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import endpoints_of_host
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import command as solver_command
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import persist
from ansible_collections.evergreen.tls.tests.unit import recorded_firewalls, recorded_nft, recorded_nginx, recorded_runs
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, key_pem, some_key

PATIENCE = 20  # seconds of the processor that one input may take; honest ones take thousandths
NAMES = ["www.example.org", "*.shop.example", "192.0.2.1"]
KEY = some_key()
ROOT = Authority("Fed Root CA")
ISSUING = Authority("Fed Issuing CA", above=ROOT)
CHAIN = ISSUING.chain(NAMES, KEY)
CSR = make_csr(KEY, NAMES, {})
WANTED = complete_request(
    ArgumentSpecValidator(REQUEST_SPEC["options"]).validate({"name": "www", "domains": NAMES}).validated_parameters
)
PORT_ACCESSES = parse_port_accesses([80, 443], "tcp", ["192.0.2.0/24", "2001:db8::/32"]) + parse_port_accesses(
    [443], "tcp", []
)


class Parser(t.NamedTuple):
    """A function that takes foreign bytes: the file it is in, what is done with it, honest inputs, and what they are made of."""

    file: str
    what: str
    parse: t.Callable[[bytes], t.Any]
    seeds: tuple[bytes, ...]
    kind: str = "text"
    signer: t.Callable[[bytes], bytes] | None = None

    @property
    def name(self) -> str:
        """Return what people call it."""
        return f"{self.file}: {self.what}"


class Hang(BaseException):
    """A parser that has not ended after PATIENCE; no parser catches it."""


def feed(parser: Parser, content: bytes) -> None:
    """Feed a parser: it returns, or says in a sentence what to do. All else is an AssertionError."""
    try:
        with patience():
            parser.parse(content)
    except TlsError as error:
        assert ";" in str(error), f"{parser.name} ends in no advice: {error}"
    except (Exception, Hang) as error:
        raise AssertionError(f"{parser.name}: {type(error).__name__}: {str(error)[:200]}") from error
    except BaseException as error:  # as Rust's panics are
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise AssertionError(f"{parser.name}: {type(error).__name__}: {str(error)[:200]}") from error


@contextlib.contextmanager
def patience() -> t.Iterator[None]:
    """End what takes too long. What counts is the time of the processor, so that a busy machine changes nothing."""

    def end(_signal, _frame):
        raise Hang(f"no end within {PATIENCE} seconds of the processor")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# -- how each is fed -------------------------------------------------------------------------------------------------


def text(content: bytes) -> str:
    """Return text as programs and files are read."""
    return content.decode(errors="surrogateescape")


def of_json(parse: t.Callable[[t.Any], t.Any]) -> t.Callable[[bytes], t.Any]:
    """Feed a parser what JSON stands for: Ansible itself refuses what is none, and what nests too deeply."""

    @functools.wraps(parse)
    def fed(content: bytes) -> t.Any:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            return None
        return parse(value)

    return fed


def signed_by(key: t.Any) -> t.Callable[[bytes], bytes]:
    """Return what signs with a key."""
    return lambda content: key.sign(content, ec.ECDSA(hashes.SHA256()))


def checked(spec: dict, value: t.Any) -> dict:
    """Return arguments as Ansible hands them over, with defaults; TlsError as the actions raise it."""
    if not isinstance(value, dict):  # as the arguments of a task always are
        raise TlsError("no dictionary; write one")
    action = TlsAction.__new__(TlsAction)
    action.ARGUMENTS, action._task = spec, types.SimpleNamespace(args=value, action="evergreen.tls.any")
    return action._checked(value)


def read_chain(content: bytes) -> None:
    chain = parse_chain(content)
    assert [one.fingerprint(hashes.SHA256()) for one in parse_chain(to_pem(chain))] == [
        one.fingerprint(hashes.SHA256()) for one in chain
    ]
    describe_chain(chain)
    describe_certificate(chain[0])
    check_chain(chain, KEY.public_key(), NAMES, NOW, [ROOT.certificate])


def read_certificate(der: bytes) -> None:
    certificate = parse_certificate(der)
    assert parse_certificate(der).fingerprint(hashes.SHA256()) == certificate.fingerprint(hashes.SHA256())
    describe_certificate(certificate)
    describe_chain([certificate])


def judge_renewal(content: bytes) -> str | None:
    key, _line, chain = content.partition(b"\n\n")
    return why_renew(Installed(key, chain, "local"), {**WANTED, "host": "web1"}, NOW, [ROOT.certificate])


def read_key(content: bytes) -> None:
    key = load_key(content)
    describe_key(key.public_key())
    assert public_bytes(load_key(key_pem(key)).public_key()) == public_bytes(key.public_key())
    public_pem(key.public_key())


def read_trial(content: bytes) -> t.Any:
    with tempfile.TemporaryDirectory(prefix="evergreen-fed-") as folder:
        store = Store(folder, "web")
        os.mkdir(store.path)
        os.symlink("v0001", os.path.join(store.path, "current"))
        create_file(store.trial, content)
        return store.version_on_trial()


def read_made_by_hand(content: bytes) -> None:
    """Adopt the key and the chain that stand before and after an empty line."""
    key, _line, chain = content.partition(b"\n\n")
    with tempfile.TemporaryDirectory(prefix="evergreen-fed-") as folder:
        store = Store(os.path.join(folder, "evergreen"), "web")
        paths = {option: os.path.join(folder, option) for option in ("key", "certificate", "chain")}
        request = {**WANTED, "host": "web1", "mode": "0600", "links": {}, "adopt": paths}
        for path, part in zip(paths.values(), (key, chain, chain)):
            create_file(path, part, 0o644)
        with store.lock():
            version = take_in(store, request)
        assert store.file(version, "privkey.pem") == key
        assert store.why_renew(version, request, NOW, None)  # since others could read the key, if for nothing else


def read_chain_extra(content: bytes) -> None:
    with mock.patch.object(cross_signing, "read_file", return_value=content):
        one = cross_signing.read_cross_signing({"chain_extra": "/extra.pem", "preferred_root": "Old Root"})
    one.why_other_root(one.extend_chain(CHAIN, CHAIN), CHAIN)


def read_waiting_request(content: bytes) -> t.Any:
    files = {"privkey.pem": key_pem(KEY), "request.csr": content, "issuer": b"local"}
    store = types.SimpleNamespace(
        file=lambda _version, name: files[name],
        check_private=lambda *_arguments: None,
        private_key=lambda *_arguments: KEY,
        current=lambda: None,
    )
    return preparation.waiting_request(store, WANTED)


def read_file_of_inbox(content: bytes) -> None:
    found = read_certificates(content, ["correct horse"])
    assert found.certificates or found.messages or found.has_private_key
    assert all(";" in message for message in found.messages)
    unused_file_messages([InboxFile("answer", *found)], {})
    for certificate in found.certificates:
        ca_issuers_urls(certificate)


def read_keystore(content: bytes) -> None:
    for encryption in keystores.ENCRYPTIONS:
        keystores.keystore_difference(content, KEY, CHAIN, "correct horse", "site", encryption)


def read_ledger(content: bytes) -> None:
    wanted = {"path": "/etc/site.p12", "friendly_name": None, "restart": ["tomcat10"], "reload": [], "state": "present"}
    export = exports.Export(wanted, "site")
    with mock.patch.object(exports, "read_file", return_value=content):
        ledger = exports.Ledger(types.SimpleNamespace(path="/etc/evergreen/site"))
    for verb, unit in ledger.pending_actions([export]):
        ledger.mark_done([export], verb, unit)
    assert not ledger.pending_actions([export])


def read_password(content: bytes) -> None:
    wanted = {"path": "/a", "friendly_name": None, "restart": [], "reload": [], "password_file": "/b"}
    with mock.patch.object(exports, "read_file", return_value=content):
        password = exports.Export(wanted, "site").password()
    assert password and password.isprintable()


def read_state_of_unit(content: bytes) -> None:
    with mock.patch.object(systemd, "run_command", return_value=(0, text(content))):
        systemd.refresh_unit("reload", "haproxy")


def read_installed(content: bytes) -> None:
    with mock.patch.object(presentation, "read_file", return_value=content):
        describe_certificate(presentation.installed_certificate("/etc/evergreen/www/current/fullchain.pem"))


def read_chain_in_use(content: bytes) -> t.Any:
    """Have a chain installed beside these bytes, which are what every file of the version in use holds."""
    module = types.SimpleNamespace(params={"chain": ROOT.pem.decode(), "roots": None}, check_mode=True)
    store = types.SimpleNamespace(
        current=lambda: "v0001",
        file=lambda version, _name: content if version == "v0001" else None,
        private_key=lambda _version: load_key(content),
        next="/etc/evergreen/www/next",
    )
    return installation.install(module, WANTED, store)


def read_fingerprint(content: bytes) -> str:
    with mock.patch.object(site_certificates, "read_file", return_value=content):
        return site_certificates.leaf_fingerprint("/etc/evergreen/www")


def read_handshakes(value: t.Any) -> None:
    """Take what a host that looks at itself says that it saw."""
    if isinstance(value, dict):  # as the results of modules always are
        handshake_verify._described(validated_result("handshake_verify", value))


def read_info_result(value: t.Any) -> None:
    if isinstance(value, dict):
        told = validated_result("certificate_info", value)
        if not told.get("failed"):
            describe_installed(told)


def read_testimonies(value: t.Any) -> None:
    """Take a value as the answer of each module."""
    for module in RESULT_SPECS if isinstance(value, dict) else ():
        with contextlib.suppress(TlsError):
            validated_result(module, value)


def read_nginx(content: bytes) -> None:
    nginx = parse_build(text(content))
    assert nginx.version >= (1, 18)
    assert isinstance(nginx.rejects_handshakes and nginx.switches_http2_by_site and nginx.keeps_protocols_by_site, bool)


def read_configuration(content: bytes) -> None:
    """Take what `nginx -T` prints as the files of a configuration, and ask of them all that is ever asked."""
    main, ours = recorded_nginx.MAIN, recorded_nginx.OURS
    first, *others = text(content).split("# configuration file ")
    given = {main: first, **{path: rest for path, _colon, rest in (other.partition(":\n") for other in others)}}
    files = configurations.read_config(
        main,
        lambda path: given[path].encode(errors="surrogateescape") if path in given else None,
        lambda pattern: [path for path in given if fnmatch.fnmatchcase(path, pattern)],
    )
    for server in configurations.server_blocks(files, main):
        assert server.place
    configurations.directive_value(files, main, "pid")
    configurations.is_included(files, main, ours)
    configurations.http_includes(files, main)
    configurations.copies_for_test(files, main, ours, ours + ".new", lambda path: path + ".copy")


def read_processes(content: bytes) -> None:
    with mock.patch.object(procfs, "_read", return_value=text(content)):
        procfs.listening_sockets()
        for read in (procfs.program_name, procfs.command_line, procfs.start_time):
            read(1)
        procfs.child_pids(1)


def read_master(content: bytes) -> None:
    """Take the first line as what the pid file holds, and the rest as configuration and error log."""
    pid, _line, rest = content.partition(b"\n")
    one = nginx_process.NginxProcess.__new__(nginx_process.NginxProcess)
    one.build = parse_build(recorded_nginx.BOOKWORM)
    with (
        mock.patch.object(
            nginx_process, "read_file", side_effect=lambda path, _since=0: pid if path.endswith(".pid") else rest
        ),
        mock.patch.object(
            nginx_process, "_read_regular", return_value=rest
        ),  # with or without an nginx on this machine
        mock.patch.object(nginx_process, "_find_paths", return_value=[]),
    ):
        one.master_pid()
        one.error_log_path()
        one.server_blocks_for("www.example.org", 443)
        first_error(one.error_log_since(0))


def shake_hands(content: bytes) -> None:
    """Have a server answer to a client's hello with these bytes, whatever it said, and hang up."""
    server, client = socket.socketpair()
    with server, client:
        server.settimeout(0)
        with contextlib.suppress(OSError):  # more than the system holds for the client
            server.send(content)
        server.shutdown(socket.SHUT_WR)
        with mock.patch.object(handshakes, "_connect", return_value=client):
            handshakes.handshake("192.0.2.1", 443, "www.example.org")
    raise AssertionError("a handshake succeeded over bytes that were recorded")


def read_domains(content: bytes) -> None:
    names = normal_names(text(content))
    assert [normal_name(name) for name in names] == names


def read_durations(content: bytes) -> None:
    said = text(content)
    with contextlib.suppress(TlsError):
        parse_duration(said)
    normal = normal_renew_before(said)
    assert normal_renew_before(normal) == normal
    assert parse_renew_before(said)
    assert NOW <= renewal_time(NOW, NOW + 90 * DAY, normal, "web1/www") <= NOW + 90 * DAY


def evaluate_rules(ruleset: dict, chain: str) -> None:
    for access in PORT_ACCESSES:
        evaluate(ruleset, chain, access)
        evaluate(ruleset, chain, access, ignore_allow_rules=True)
        for rule in find_allow_rules(ruleset, chain, access):
            rule.allows_only(PORT_ACCESSES)
            parse_nft.format_nft_rule(rule)


def read_iptables(content: bytes) -> None:
    evaluate_rules(parse_iptables(text(content)), "INPUT")


def read_nftables(content: bytes) -> None:
    for base in parse_nft.parse_nftables(text(content)):
        assert base.name and base.ip_versions
        evaluate_rules(base.ruleset, base.chain)


def read_nft_file(content: bytes) -> None:
    for rules in parse_nft.parse_nft_file(text(content)).values():
        for rule in rules:
            again = parse_nft.parse_nft_allow_rule(parse_nft.format_nft_rule(rule))
            assert again and (again.protocols, again.ports, again.sources) == (rule.protocols, rule.ports, rule.sources)
    _rest, blocks = nftables.split_blocks(text(content))
    lines = nftables.parse_block(blocks[0]) if blocks else []
    whole = nftables.replace_block(text(content), lines)
    assert nftables.replace_block(whole, lines) == whole


def read_zone(content: bytes) -> None:
    listing, _line, service = text(content).partition("\n\n")
    firewalld.service_names(listing)
    for zone in firewalld.split_zones(text(content)).values():
        evaluate_rules(firewalld.parse_zone(zone, {"https": service, "http": listing}), "zone")


def read_routes(content: bytes) -> None:
    first, _line, second = text(content).partition("\n\n")
    firewalld.default_interface(first, second)


def plan_firewall_change(results: t.Any) -> None:
    """Take results of queries as a host returns them in firewall_commands, all of them at once."""
    for state in ("open", "closed"):
        spec = checked(FirewallAction.ARGUMENTS, {"ports": [443], "state": state})
        change = recorded_firewalls.plan_at_once(
            functools.partial(plan_change, spec=spec), HostState(results), lambda _query_sets: []
        )
        if change:
            change.result(change.expected_rules(), change.firewall.warnings, True)
            for command in change.commands:
                command.to_arguments()


def read_problem(value: t.Any) -> None:
    """Take a problem document of a CA, as the answer to an order and as that of an authorization."""
    refusal = problem("the order", value, 429, retry_after({"Retry-After": "1"}, NOW))
    limited_scopes(refusal.words, ["www.example.org", "*.example.org", "192.0.2.1"])


def read_reply(content: bytes) -> None:
    """Take what an ACME server answers: the object, and what it says of names and of a window for a renewal."""
    response = client.Response("https://ca.example", 400, {"Retry-After": text(content)}, content, {})
    response.retry_after()
    client._json_value(response)
    document = response.json()
    resources.names_of_order(document)
    renewal_info.window(document, NOW)


def read_account_key(content: bytes) -> None:
    """Take what somebody gives as the key of an account."""
    account_key.thumbprint(account_key.load_account_key(content, "account_key of the issuer"))


def read_directory(value: t.Any) -> None:
    """Take what somebody says of the directory of an issuer."""
    directories._directory(value, {})


def read_persistent_record(content: bytes) -> None:
    """Take the text of a record that lets an account have certificates."""
    accounts = ["https://ca.example/acct/1"]
    persist.why_not(text(content), ["letsencrypt.org"], accounts, True, NOW.timestamp())


def read_records(value: t.Any) -> None:
    """Have a CA find what it wrote down for a certificate that is to be revoked, and for its revocation list."""
    ca, serial_number = private_ca()
    path = os.path.join(ca.directory, "issued", f"{serial_number}.json")
    with open(path, encoding="ascii") as stream:
        honest = stream.read()
    with open(path, "w", encoding="ascii") as stream:
        json.dump(value, stream)
    try:
        with mock.patch.object(local_ca, "replace_file"):
            with contextlib.suppress(TlsError):
                ca.revoke(serial_number, "superseded", True)
            with ca._opened() as (key, issuing):
                ca._write_crl(key, issuing)
    finally:
        with open(path, "w", encoding="ascii") as stream:
            stream.write(honest)


def read_answered(content: bytes) -> None:
    """Have a CA find these bytes as its revocation list, its certificates, its key and a record."""
    ca, serial_number = private_ca()
    read, seen = local_ca.read_file, []
    for part in ("crl.pem", "issuing.pem", "root.pem", "issuing.key", f"{serial_number}.json"):

        def instead(path, part=part):
            return content if part in path else read(path)

        with mock.patch.object(local_ca, "read_file", instead), mock.patch.object(local_ca, "replace_file"):
            try:
                ca.issue(WANTED, CSR, "web1")
                ca.roots()
                ca.revoke(serial_number, "superseded", True)
            except TlsError as error:
                seen.append(error)
            except OSError as error:  # of which the actions make a sentence
                seen.append(system_error(error))
    if seen:
        raise seen[0]


@functools.lru_cache(maxsize=None)
def private_ca() -> tuple[local_ca.LocalCa, str]:
    """Return a CA that has issued a certificate, and its serial number."""
    folder = tempfile.mkdtemp(prefix="evergreen-fed-")
    ca = open_issuer("local", {"local": {"type": "local_ca", "directory": folder}})
    ca.record(WANTED, parse_chain(ca.issue(WANTED, CSR, "web1")), "web1")
    FOLDERS.append(folder)
    return ca, os.listdir(os.path.join(folder, "issued"))[0].partition(".")[0]


FOLDERS: list[str] = []


def remove_folders() -> None:
    """Remove what private_ca() made."""
    private_ca.cache_clear()
    while FOLDERS:
        shutil.rmtree(FOLDERS.pop())


def read_requests(value: t.Any) -> None:
    """Take a request as the inventory has it through all that looks at it."""
    complete = complete_request(checked({"request": REQUEST_SPEC}, {"request": value})["request"])
    assert complete_request(complete)["domains"] == complete["domains"]


def read_variables(variables: t.Any) -> None:
    if isinstance(variables, dict):
        with contextlib.suppress(TlsError):
            check_distinct_requests(variables.get("certificate_requests"))
        endpoints_of_host("web1", variables, {})


def read_sites(value: t.Any) -> None:
    normal_sites(checked(OPTIONS, value))


def filter_domains(value: t.Any) -> None:
    with contextlib.suppress(AnsibleFilterError):
        request_domains(value)


def read_settings(value: t.Any) -> None:
    if isinstance(value, dict):
        for name in value:
            with mock.patch.object(local_ca, "read_file", return_value=None):
                open_issuer(str(name), value)


def read_log(content: bytes) -> None:
    load_error(text(content), 1234)
    taken_port(text(content))


def read_clock(content: bytes) -> None:
    ahead = clock_skew.measured_skew(NOW, text(content), NOW)
    clock_skew.skew_message(ahead)
    clock_skew.is_excessive(ahead)


def read_answers(content: bytes) -> None:
    with mock.patch.object(answers, "read_file", return_value=content):
        answers.CachedChain(answers.IssuedCache("/nowhere"), "/nowhere/x.pem").read()


def read_left_variables(value: t.Any) -> None:
    """Take variables as the run left them on two hosts, and the survey's findings beside them."""
    if isinstance(value, dict):
        report_text(make_report(survey_result(list(value), value.get), value.get), 100)


# -- the table -------------------------------------------------------------------------------------------------------


def flights() -> tuple[bytes, ...]:
    """Return what servers say first: to a client of TLS 1.3, to one of TLS 1.2, and to one they do not like."""
    found = [b"\x15\x03\x03\x00\x02\x02\x28", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""]
    with tempfile.NamedTemporaryFile() as file:
        file.write(to_pem(CHAIN) + key_pem(KEY))
        file.flush()
        for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server_side, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), handshakes._context(None, False)
            server_side.load_cert_chain(file.name)
            server_side.maximum_version = newest
            to_server, to_client, rest = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
            for side in (
                client_side.wrap_bio(rest, to_server),
                server_side.wrap_bio(to_server, to_client, server_side=True),
            ):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
            found.append(to_client.read())
    return tuple(found)


def listing(files: dict[str, str]) -> bytes:
    """Return the files of a configuration as `nginx -T` prints them, but for the words before the first."""
    (_main, first), *others = files.items()
    return "".join([first, *(f"# configuration file {path}:\n{content}" for path, content in others)]).encode()


def query_results(host: t.Any, backend: str = "auto") -> bytes:
    """Return all that a recorded host returns to queries, as it travels."""
    state = HostState(host.run_queries(initial_queries(backend)))
    recorded_firewalls.plan_at_once(lambda one: detect_firewall(one, backend, PORT_ACCESSES), state, host.run_queries)
    return json.dumps([[list(query), result] for query, result in state.results.items()]).encode()


def encoded(*values: t.Any) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


PEM = to_pem(CHAIN)
DER = tuple(one.public_bytes(Encoding.DER) for one in (*CHAIN, ROOT.certificate))
KEYS = tuple(key_pem(some_key(0, kind)) for kind in ("ECC", "RSA", "Ed25519"))
OTHER_KEYS = tuple(
    some_key(0, kind).private_bytes(Encoding.PEM, form, protection)
    for kind, form, protection in (
        ("RSA", PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        ("ECC", PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        ("ECC", PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret")),
        ("ECC", PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
    )
)
CSRS = (
    CSR,
    make_csr(some_key(0, "Ed25519"), NAMES, {}),
    make_csr(some_key(0, "RSA"), NAMES, {"organization_name": "Évergreen"}),
)
LISTINGS = (
    *(
        recorded_firewalls.IPTABLES_NOW,
        recorded_firewalls.RULES_V4,
        recorded_firewalls.RULES_V6,
        recorded_firewalls.IPTABLES_RULES,
    ),
    *(
        part.replace("{6}", "")
        for part in (recorded_firewalls.UFW_NOW, recorded_firewalls.UFW_RULES, recorded_firewalls.UFW_BEFORE)
    ),
)
NFT_LISTINGS = tuple(
    recorded_nft.listing(("input", expression), ("services", [{"jump": {"target": "input"}}]), sets=sets).encode()
    for expression, *_expected in recorded_nft.NFT_RULES
    for sets in ((), [{"name": "web", "type": "inet_service", "elem": [80, 443]}])
)
HOSTS = (
    recorded_firewalls.firewalld(),
    recorded_firewalls.ufw(),
    recorded_firewalls.iptables(),
    recorded_firewalls.nftables(recorded_firewalls.nft_port(4, {"set": [22, 80]}), recorded_firewalls.DENY_RULE),
)
ROUTES = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\n"
    f"{'0' * 32} 00 {'0' * 32} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth3\n"
)
SOCKETS = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23456 1 0000000000000000\n"
    "   1: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
    "00000000     0        0 23457 1 0000000000000000\n"
)
STAT = (
    "1234 (nginx: (x) y) S 1 1234 1234 0 -1 4194560 97 0 0 0 0 0 0 0 20 0 1 0 8563 10567680 376 18446744073709551615\n"
)
REQUEST_WORDS = {
    "name": "www.example.org",
    "domains": ["www.example.org", "*.bücher.example", "2001:DB8:0::1"],
    "issuer": "corporate",
    "type": "RSA",
    "size": 3072,
    "organization_name": "Évergreen",
    "country_name": "DE",
    "email_address": "ops@example.org",
    "lifetime": "90d",
    "renew_before": "1/4",
    "mode": "0640",
    "keep": 2,
    "links": {"/etc/nginx/server.pem": "fullchain.pem"},
    "validate": "nginx -t -c '/etc/nginx/nginx.conf'",
    "port": 8443,
    "served_by": "other",
    "exports": [
        {
            "path": "/etc/tomcat10/site.p12",
            "password": "correct horse",
            "friendly_name": "tomcat",
            "restart": ["tomcat10"],
        },
        {"path": "/etc/haproxy/site.pem", "format": "pem", "group": "haproxy", "mode": "0640", "reload": ["haproxy"]},
        {"path": "/srv/site.cer", "format": "der", "mode": "0644"},
    ],
}
MISSPELLED_REQUEST = {**REQUEST_WORDS, "lifetme": "90d"}  # is refused, with the list of what is supported
ISSUERS = {"corporate": {"type": "local_ca", "directory": "/nowhere/pki", "name": "Corporate", "lifetime": "30d"}}
SITES = {
    "sites": [
        {
            "name": "www.example.org",
            "root": "/var/www/$host",
            "hsts": {"max_age": 31536000, "include_subdomains": True},
        },
        {
            "name": "shop",
            "proxy_pass": "http://127.0.0.1:8080",
            "websocket": True,
            "server_names": ["shop.example.org"],
        },
        {
            "name": "old",
            "redirect": "https://www.example.org$request_uri",
            "server_names": ["old.example.org"],
            "hsts": True,
        },
        {"name": "gone", "return_code": 404, "https_port": 8443, "http_port": 8080, "extra": "deny all;"},
    ],
    "domains": {"www.example.org": ["www.example.org", "example.org"]},
    "session_timeout": "1d",
}
LEFT = {
    host: {
        "renew_found": {
            "endpoints": [recorded_runs.row(), recorded_runs.row(host="web2", state="unknown")],
            "fine_requests": 3,
        },
        **recorded_runs.dealt_with([recorded_runs.ISSUED], [served]),
        "renew_failed": failed,
    }
    for host, served, failed in (
        ("web1", recorded_runs.SERVED, ""),
        ("web2", {"name": "www", "failed": True, "msg": recorded_runs.UNPROVED}, "it does not answer"),
    )
}
INFO_RESULT = {
    "now": NOW.isoformat(),
    "certificates": [
        {
            "name": "www",
            "path": "/etc/evergreen/www",
            "version": "v0002",
            "versions": ["v0001", "v0002"],
            "waiting_since": None,
            "issuer": "local",
            "chain": PEM.decode(),
            "public_key": public_pem(KEY.public_key()).decode(),
        },
        {
            "name": "new",
            "path": "/etc/evergreen/new",
            "version": None,
            "versions": [],
            "waiting_since": NOW.isoformat(),
        },
    ],
}
RECORD = {
    "serial_number": "7b",
    "host": "web1",
    "request": "www",
    "names": NAMES,
    "not_after": (NOW + 90 * DAY).isoformat(),
    "issued_at": NOW.isoformat(),
    "revoked_at": None,
    "reason": None,
    "certificate": PEM.decode(),
}
TESTIMONIES = (
    INFO_RESULT,
    {
        "changed": True,
        "due": True,
        "reason": "certificate_force is set",
        "csr": CSR.decode(),
        "diff": {"before": "", "after": "due\n"},
    },
    {
        "failed": True,
        "msg": "nginx refuses its configuration",
        "fresh": True,
        "addresses": ["127.0.0.1"],
        "warnings": ["x"],
    },
    {
        "changed": False,
        "host_state": [[["has", "nft"], True]],
        "fingerprints": {"www": "ab"},
        "loaded": ["www"],
        "running": True,
    },
)
LOGS = (
    "2026/11/21 12:00:00 [notice] 1234#1234: signal process started\n2026/11/21 12:00:01 [emerg] 1234#1234: unknown directive\n",
    "bind() to 0.0.0.0:443 failed (98: Address already in use)",
)


def zipped(content: bytes) -> bytes:
    """Return an archive with a file in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("chain.pem", content)
    return packed.getvalue()


PILE = [*parse_chain(PEM), ROOT.certificate]
INBOX = (
    PEM + ROOT.pem,
    pkcs7.serialize_certificates(PILE, serialization.Encoding.DER),
    pkcs7.serialize_certificates(PILE, serialization.Encoding.PEM),
    pkcs12.serialize_java_truststore(
        [pkcs12.PKCS12Certificate(one, None) for one in PILE], serialization.BestAvailableEncryption(b"correct horse")
    ),
    zipped(PEM),
    base64.encodebytes(ssl.PEM_cert_to_DER_cert(ROOT.pem.decode())),
)
RECORDS = (RECORD, {**RECORD, "revoked_at": NOW.isoformat(), "reason": "superseded"})

KEYSTORES = tuple(
    keystores.make_keystore(KEY, CHAIN, "correct horse", "site", encryption) for encryption in keystores.ENCRYPTIONS
)
LEDGER = {
    "written": {"/etc/site.p12": "/etc/keystorePass.txt", "/etc/site.pem": None},
    "pending": {"/etc/site.p12": ["reload haproxy"]},
}

PROBLEMS = (
    {
        "type": "urn:ietf:params:acme:error:rejectedIdentifier",
        "detail": "Error creating new order",
        "status": 400,
        "subproblems": [
            {
                "type": "urn:ietf:params:acme:error:caa",
                "detail": "CAA forbids",
                "identifier": {"type": "dns", "value": "www.example.org"},
            }
        ],
    },
    {
        "type": "urn:ietf:params:acme:error:rateLimited",
        "detail": 'too many for "example.org"',
        "instance": "https://ca.example",
    },
)
REPLIES = (
    {
        "status": "pending",
        "identifiers": [{"type": "dns", "value": "www.example.org"}, {"type": "ip", "value": "2001:db8::1"}],
        "authorizations": ["https://ca.example/1"],
        "finalize": "https://ca.example/2",
    },
    {"suggestedWindow": {"start": "2026-11-01T00:00:00Z", "end": "2026-11-02T00:00:00.123456789Z"}},
    *PROBLEMS,
)
PERSISTENT_RECORDS = (
    b"letsencrypt.org; accounturi=https://ca.example/acct/1; policy=wildcard; persistUntil=1795000000",
)
DIRECTORIES = (
    {"directory": "https://ca.example/directory", "eab_kid": "kid", "eab_hmac": "aGk", "profile": "shortlived"},
)

PARSERS = (
    Parser("chains", "a chain", read_chain, (PEM, PEM + ROOT.pem, ROOT.pem), "der", signed_by(ISSUING.key)),
    Parser("portraits", "a certificate", read_certificate, DER, "der", signed_by(ISSUING.key)),
    Parser(
        "renewal",
        "a key and a chain that are installed",
        judge_renewal,
        (KEYS[0] + b"\n" + PEM,),
        "der",
        signed_by(ISSUING.key),
    ),
    Parser("store", "what to go back to", read_trial, (b'{"version": "v0001", "before": null, "links": {"/a": "b"}}',)),
    Parser(
        *("adoption", "a pair that somebody made by hand", read_made_by_hand, (KEYS[0] + b"\n" + PEM,)),
        *("der", signed_by(ISSUING.key)),
    ),
    Parser("cross_signing", "the certificates that an issuer adds", read_chain_extra, (ISSUING.pem, PEM), "der"),
    Parser("keys", "a private key", read_key, (*KEYS, *OTHER_KEYS), "der"),
    Parser(
        "keys", "a signing request", lambda content: requested_names(load_csr(content)), CSRS, "der", signed_by(KEY)
    ),
    Parser("preparation", "a signing request that waits", read_waiting_request, CSRS, "der", signed_by(KEY)),
    Parser("installation", "the chain in use", read_chain_in_use, (PEM,), "der"),
    Parser("site_certificates", "the certificate in use", read_fingerprint, (PEM,), "der"),
    Parser(
        *("handshake_verify", "what a host sees of itself", of_json(read_handshakes)),
        *(
            encoded(
                {"changed": False, "handshakes": [{"name": NAMES[0], "address": "192.0.2.1", "chain": PEM.decode()}]}
            ),
            "json",
        ),
    ),
    Parser("presentation", "the certificate in use", read_installed, (PEM,), "der"),
    Parser(
        "checks",
        "a signing request of a host",
        lambda content: check_csr(content, WANTED),
        CSRS,
        "der",
        signed_by(KEY),
    ),
    Parser(
        *(
            "checks",
            "the answer of a CA",
            lambda content: check_issued_chain(content, KEY.public_key(), WANTED, ROOT.pem, NOW),
        ),
        *((PEM, ISSUING.pem + PEM + ROOT.pem + PEM), "der", signed_by(ISSUING.key)),
    ),
    Parser(
        "waiting", "a moment that a host tells", lambda content: expect_date(text(content)), (NOW.isoformat().encode(),)
    ),
    Parser("contents", "a file in the inbox of a CA with people in it", read_file_of_inbox, INBOX, "der"),
    Parser("keystores", "a keystore", read_keystore, KEYSTORES, "der"),
    Parser("exports", "what was written", read_ledger, encoded(LEDGER), "json"),
    Parser("exports", "a password", read_password, (b"correct horse\r\nbattery\n",)),
    Parser(
        "units", "the state of a unit", read_state_of_unit, (b"LoadState=loaded\nActiveState=active\nCanReload=yes\n",)
    ),
    Parser("handshakes", "what a server answers", shake_hands, flights()),
    Parser(
        "nginx",
        "nginx -V",
        read_nginx,
        tuple(said.encode() for said in (recorded_nginx.BULLSEYE, recorded_nginx.BOOKWORM, recorded_nginx.SID)),
    ),
    Parser(
        "nginx",
        "complaints of nginx",
        lambda content: first_error(text(content)),
        (b'nginx: [emerg] unknown directive "x" in /x:1\n',),
    ),
    Parser("configurations", "nginx -T", read_configuration, (listing(recorded_nginx.FILES),)),
    Parser(
        "master",
        "pid file, configuration and log",
        read_master,
        (
            b"1234\n" + listing(recorded_nginx.FILES),
            b"1234\nhttp { server { listen 443 ssl; server_name www.example.org; } }",
        ),
    ),
    Parser(
        "processes",
        "listings in /proc",
        read_processes,
        (SOCKETS.encode(), STAT.encode(), b"nginx: master process\0-g\0"),
    ),
    Parser(
        "parse_iptables", "iptables -S, and files of it and of ufw", read_iptables, tuple(map(str.encode, LISTINGS))
    ),
    Parser("parse_nft", "nft -j list ruleset", read_nftables, NFT_LISTINGS, "json"),
    Parser(
        "parse_nft",
        "a file for nft",
        read_nft_file,
        tuple(
            map(
                str.encode,
                (
                    recorded_firewalls.NFT_FILE,
                    (
                        f"{recorded_firewalls.NFT_FILE}\n{nftables.BLOCK_BEGIN}\ntable inet filter {{\n\tchain input {{\n\t}}\n}}\n"
                        f"add rule inet filter input tcp dport 443 accept\n{nftables.BLOCK_END}\n"
                    ),
                ),
            )
        ),
    ),
    Parser(
        *("firewalld", "zones and services of firewalld", read_zone),
        tuple(
            map(
                str.encode,
                (
                    f"{recorded_firewalls.ZONE}\n{recorded_firewalls.HTTPS}",
                    recorded_firewalls.TRUSTED + recorded_firewalls.DROP,
                ),
            )
        ),
    ),
    Parser("firewalld", "routes in /proc", read_routes, (ROUTES.encode(),)),
    Parser(
        "host_state",
        "what a host says of its firewall",
        of_json(plan_firewall_change),
        tuple(map(query_results, HOSTS)),
        "json",
    ),
    Parser("testimonies", "what modules answer", of_json(read_testimonies), encoded(*TESTIMONIES), "json"),
    Parser("nginx", "the log of a reload", read_log, tuple(map(str.encode, LOGS))),
    Parser("answers", "an answer that was kept", read_answers, (PEM,), "der", signed_by(ISSUING.key)),
    Parser(
        "installed certificates",
        "what a host says of its certificates",
        of_json(read_info_result),
        encoded(INFO_RESULT),
        "json",
    ),
    Parser("clocks", "what the clock of a host says", read_clock, (NOW.isoformat().encode(), b"2026-11-21 10:00:00Z")),
    Parser("reports", "what tasks leave on hosts", of_json(read_left_variables), encoded(LEFT), "json"),
    Parser("local_ca", "records", of_json(read_records), encoded(*RECORDS), "json"),
    Parser("local_ca", "files", read_answered, (b"7b", PEM, KEYS[0], *encoded(RECORD)), "der"),
    Parser(
        "records",
        "the name of a record",
        lambda content: time_of_record(text(content)),
        (b"2026-11-21T12-30-05Z-5f0c9a1be2d37748.json",),
    ),
    Parser("names", "the name of a request", lambda content: check_request_name(text(content)), (b"www.example.org",)),
    Parser(
        "domains",
        "domains",
        read_domains,
        ("www.example.org, *.bücher.example".encode(), b"2001:DB8:0::1,192.0.2.1,xn--bcher-kva.example"),
    ),
    Parser("durations", "a duration or a share", read_durations, (b"90d", b"1/3", b"25%", b"0.25", b"12 h")),
    Parser(
        *(
            "addresses",
            "an endpoint",
            lambda content: host_addresses({"certificate_endpoint": text(content)}, "web1", 443),
        ),
        (b"192.0.2.1:8443", b"[2001:db8::1]:8443", b"www.example.org", b"fe80::1%eth0"),
    ),
    Parser("completion", "a request", of_json(read_requests), encoded(REQUEST_WORDS, MISSPELLED_REQUEST), "json"),
    Parser(
        *("survey", "the variables of a host", of_json(read_variables)),
        encoded(
            {
                "certificate_requests": [REQUEST_WORDS],
                "certificate_issuers": ISSUERS,
                "certificate_endpoint": ["192.0.2.1"],
            }
        ),
        "json",
    ),
    Parser("site options", "sites", of_json(read_sites), encoded(SITES), "json"),
    Parser("request_domains", "requests", of_json(filter_domains), encoded([REQUEST_WORDS]), "json"),
    Parser("issuers", "issuers", of_json(read_settings), encoded(ISSUERS), "json"),
    Parser("acme_problems", "a problem document", of_json(read_problem), encoded(*PROBLEMS), "json"),
    Parser("acme_client", "what an ACME server answers", read_reply, encoded(*REPLIES), "json"),
    Parser("acme_account_key", "the key of an account", read_account_key, KEYS, "der"),
    Parser(
        *(
            "acme_renewal_info",
            "the name of a certificate",
            lambda content: renewal_info.certificate_id(parse_chain(content)[0]),
        ),
        (PEM,),
        "der",
        signed_by(ISSUING.key),
    ),
    Parser("persist", "a persistent record", read_persistent_record, PERSISTENT_RECORDS),
    Parser(
        *(
            "solver_command",
            "the command of a solver",
            lambda content: solver_command.argv_of(text(content), "command"),
        ),
        (b"/usr/local/bin/dns 'a b' --now",),
    ),
    Parser("acme_directories", "a directory", of_json(read_directory), encoded("letsencrypt", *DIRECTORIES), "json"),
)
