# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work of the module nginx_reload: reload nginx until it presents the installed certificate."""

from __future__ import annotations

import functools
import glob
import os
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import (
    Module,
    ModuleResult,
    require_cryptography,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import NginxProcess
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC, Request
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import MAX_FILE_BYTES, read_file
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import listening_sockets
from ansible_collections.evergreen.tls.plugins.module_utils._text import printable, shorten
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake

if t.TYPE_CHECKING:
    from cryptography import x509

AGREEING_CHECKS = 3  # in a row, since workers that are shutting down may still accept connections
MIN_POLL_INTERVAL_S = 0.01
FIRST_POLL_INTERVAL_S = 0.02
MAX_POLL_INTERVAL_S = 0.5
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # where to connect for an address that stands for all

# The one definition of the options of nginx_reload. Described for people in plugins/modules/nginx_reload.yml.
OPTIONS: dict[str, dict[str, t.Any]] = {
    "request": REQUEST_SPEC,
    "directory": {"type": "path", "default": "/etc/evergreen"},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "started": {"type": "bool", "default": False},
    "proxy_protocol": {"type": "bool", "default": False},
    "await_site": {"type": "bool", "default": False},
    "await_names": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 30},
}


class Options(t.TypedDict):
    """The options of the module; see OPTIONS."""

    request: Request
    directory: str
    addresses: list[str]
    started: bool  # whether nginx is started if it does not run
    proxy_protocol: bool  # whether connections begin with a header of the PROXY protocol
    await_site: bool  # whether a first certificate may wait for its site
    await_names: list[str]  # domains that may wait for their site
    timeout: float  # seconds


class Result(ModuleResult, total=False):
    """What the module returns."""

    fingerprint: str  # SHA-256 of the installed certificate
    addresses: list[str]  # that were checked
    reason: str  # why nginx was reloaded
    waiting: dict[str, t.Any]  # for: what is waited for; names: the domains that wait, where others are presented
    fresh: bool  # on failure: whether nginx has not loaded the installed version yet


class Difference(t.NamedTuple):
    """A domain and address for which nginx does not present the installed certificate."""

    domain: str
    address: str
    sentence: str
    failure: str | None  # as handshake() names it, or "another" for another certificate


def decide(module: Module) -> Result:
    """Reload nginx if it does not present the installed certificate at all addresses."""
    require_cryptography()
    options = t.cast(Options, module.params)
    request = options["request"]
    name = request["name"]
    current = os.path.join(options["directory"], name, "current")
    certificate = installed_certificate(os.path.join(current, "fullchain.pem"))
    if certificate is None and module.check_mode:
        return {"changed": False, "msg": f"{name} is not installed yet"}
    if certificate is None:
        raise TlsError(f"no certificate of {name} is installed; install it first, with certificate_install")

    opened = functools.cache(lambda: NginxProcess(module))
    addresses, differences = find_differences(options, certificate, opened)
    result: Result = {"changed": False, "fingerprint": fingerprint(certificate), "addresses": addresses}
    later = names_without_site(opened, options, differences) if differences else []
    suffix = ""
    if later:
        others = [domain for domain in request["domains"] if domain not in later]
        options = {**options, "request": {**request, "domains": others}}
        differences = [one for one in differences if one.domain not in later]
        sentence = f"no server block of nginx has {', '.join(later)} yet; run evergreen.tls.deploy, which writes the site of {name}"
        result, suffix = {**result, "waiting": {"for": sentence, "names": later}}, f"; {sentence}"
    if not differences:
        return {**result, "msg": f"nginx presents the installed certificate of {name}{suffix}"}
    if options["await_site"] and awaits_site(opened(), options, differences):
        sentence = (
            f"the first certificate of {name} is installed, and no site of nginx has it yet; run evergreen.tls.deploy"
        )
        return {**result, "waiting": {"for": sentence}, "msg": sentence}
    reason = ". ".join(grouped_by_address(differences))
    after = f"presented: {describe_certificate(certificate)}\n"
    result = {**result, "changed": True, "reason": reason, "diff": {"before": f"{reason}\n", "after": after}}
    if module.check_mode:
        return {**result, "msg": f"nginx would be reloaded: {reason}"}

    nginx = opened()
    is_fresh = nginx.is_newer_than_loaded(current)
    try:
        reload_nginx(nginx, options, certificate)
    except TlsError as error:
        raise TlsError(str(error), fresh=is_fresh) from error
    addresses, _differences = find_differences(options, certificate, opened)
    return {**result, "addresses": addresses, "msg": f"nginx presents the certificate of {name} now{suffix}"}


def names_without_site(
    nginx: t.Callable[[], NginxProcess], options: Options, differences: list[Difference]
) -> list[str]:
    """Return the domains of await_names that no server block of nginx has at the port; none where all domains are such.

    They were added to the request after its site was written. nginx: called where there are some.
    """
    names = sorted({one.domain for one in differences} & set(options["await_names"]))
    port = options["request"]["port"]
    later = [name for name in names if not nginx().server_blocks_for(name, port)]
    return later if set(later) < set(options["request"]["domains"]) else []


def awaits_site(nginx: NginxProcess, options: Options, differences: list[Difference]) -> bool:
    """Return whether a certificate is the first one of its request, and no server block of nginx has one of its names at the port."""
    request = options["request"]
    versions = glob.glob(os.path.join(glob.escape(os.path.join(options["directory"], request["name"])), "v[0-9]*"))
    return len(versions) == 1 and not any(nginx.server_blocks_for(one.domain, request["port"]) for one in differences)


# not a parser: it only passes on foreign input
def reload_nginx(nginx: NginxProcess, options: Options, certificate: x509.Certificate) -> None:
    """Reload or start nginx, and wait until it presents the certificate. Raises TlsError if it does not."""
    request = options["request"]
    error = nginx.test_error()
    if error:
        raise TlsError(
            f"nginx refuses its configuration, and goes on with what it has loaded: {error}; repair that, then run this again"
        )
    end = nginx.error_log_size()
    if nginx.master_pid() is None:
        nginx.check_startable(request["port"])
    if nginx.master_pid() or not options["started"]:
        nginx.reload()
    else:
        nginx.start()
    differences, error = wait_until_presented(nginx, options, certificate, end)
    if error:
        raise TlsError(
            f"nginx did not load its configuration, and goes on with what it has loaded: {error}; "
            "remove the cause, then run this again"
        )
    if not differences:
        return
    sentences = explain_differences(nginx, options, differences)
    errors = [line for line in nginx.error_log_since(end).splitlines() if "[notice]" not in line]
    if errors:
        sentences.append(f"The error log says: {shorten(printable(' '.join(errors)))}")
    raise TlsError(
        f"nginx was reloaded and does not present {describe_certificate(certificate)}. {'. '.join(sentences)}"
    )


def installed_certificate(path: str) -> x509.Certificate | None:
    """Return the leaf of the chain in a file, or None if there is no file.

    Raises TlsError for a file without certificates.
    """
    pem = read_file(path, max_bytes=MAX_FILE_BYTES)
    try:
        return parse_chain(pem)[0] if pem is not None else None
    except TlsError as error:
        raise TlsError(
            f"{path} holds no certificate that can be read; have it issued again, with certificate_force: true"
        ) from error


def find_differences(
    options: Options, certificate: x509.Certificate, nginx: t.Callable[[], NginxProcess]
) -> tuple[list[str], list[Difference]]:
    """Return the checked addresses, and the domains with another certificate there. nginx: called where there are differences.

    Without addresses in the options, those count at which a server block with the domain listens: a site of others may listen at some alone.
    """
    port = options["request"]["port"]
    listening = sorted({listener.address for listener in listening_sockets() if listener.port == port})
    addresses = options["addresses"] or [LOOPBACK.get(address, address) for address in listening] or ["127.0.0.1"]
    differences = _all_differences(options, certificate, addresses)
    if not differences or len(addresses) == 1 or options["addresses"]:
        return addresses, differences
    process = nginx()
    answering = {
        domain: {address for address in addresses if process.answers_at(probe_name(domain), address, port)}
        for domain in {difference.domain for difference in differences}
    }
    return addresses, [one for one in differences if one.address in (answering[one.domain] or addresses)]


def _all_differences(options: Options, certificate: x509.Certificate, addresses: list[str]) -> list[Difference]:
    """Return the domains with another certificate at one of the addresses."""
    port, domains = options["request"]["port"], options["request"]["domains"]
    differences = []
    for address in addresses:
        for domain in domains:
            try:
                chain, _protocol = handshake(address, port, domain, proxy_protocol=bool(options.get("proxy_protocol")))
            except TlsError as error:
                differences.append(Difference(domain, address, str(error), error.details.get("failure")))
                continue
            if fingerprint(chain[0]) != fingerprint(certificate):
                where = f"{probe_name(domain)} at {address} port {port}"
                sentence = f"{where} presents another certificate: {describe_certificate(chain[0])}"
                differences.append(Difference(domain, address, sentence, "another"))
    return differences


def wait_until_presented(
    nginx: NginxProcess, options: Options, certificate: x509.Certificate, end: int
) -> tuple[list[Difference], str | None]:
    """Wait until nginx presents the certificate, gives up loading, or the time is over.

    AGREEING_CHECKS in a row have to find it presented.
    Return the differences that remain, and the error for which nginx gave up. *end* is that of error_log_size().
    """
    deadline = time.monotonic() + nginx.reload_timeout(options["timeout"])
    agreeing, delay = 0, FIRST_POLL_INTERVAL_S
    while True:
        _addresses, differences = find_differences(options, certificate, lambda: nginx)
        agreeing = 0 if differences else agreeing + 1
        if agreeing == AGREEING_CHECKS:
            return [], None
        is_over = time.monotonic() > deadline
        error = nginx.reload_error(end, is_over) if differences else None
        if error or (differences and is_over):
            return differences, error
        time.sleep(delay)
        delay = min(delay * 1.5, MAX_POLL_INTERVAL_S) if differences else MIN_POLL_INTERVAL_S


# not a parser: it reads what the collection has made or checked
def grouped_by_address(differences: t.Iterable[Difference]) -> list[str]:
    """Return the sentences of differences; those that differ in the address alone are one sentence, which names all addresses."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in differences:
        before, _address, after = one.sentence.partition(one.address)
        groups.setdefault((before, after), []).append(one.address if one.address in one.sentence else "")
    return [before + " and ".join(dict.fromkeys(addresses)) + after for (before, after), addresses in groups.items()]


def explain_differences(nginx: NginxProcess, options: Options, differences: t.Iterable[Difference]) -> list[str]:
    """Return a sentence for each cause: the differences that have it, then the cause with its remedy, once."""
    by_cause: dict[str, list[Difference]] = {}
    for difference in differences:
        by_cause.setdefault(find_cause(nginx, options, difference), []).append(difference)
    grouped = {cause: ", ".join(grouped_by_address(of_cause)) for cause, of_cause in by_cause.items()}
    return [f"{sentences}: {cause}" if cause else sentences for cause, sentences in grouped.items()]


def find_cause(nginx: NginxProcess, options: Options, difference: Difference) -> str:
    """Return the cause of a difference in the configuration with its remedy, or nothing if it is not known."""
    request = options["request"]
    blocks = nginx.server_blocks_for(difference.domain, request["port"])
    place = None if options.get("proxy_protocol") else nginx.proxy_protocol_place(request["port"])
    if place:
        return (
            f"port {request['port']} speaks the PROXY protocol, by the server block at {place}; write proxy_protocol: true for its site, "
            "or take it away there"
        )
    if difference.failure == "nothing" and not blocks:
        return "no server block of nginx has that name there; if its site has waited for this first certificate, run evergreen.tls.deploy"
    if difference.failure == "nothing" or (not blocks and difference.failure != "another"):
        return ""
    if not blocks:
        return "no server block of nginx has that name on that port; add a site for it to nginx_sites, and run evergreen.tls.deploy"
    first = blocks[0]
    foreign = [path for path in first.certificates if f"/{request['name']}/current/" not in path]
    if not foreign:
        return f"the server block at {first.place} answers to that name; see whether another process has its port"
    if len(foreign) < len(first.certificates):
        return f"the server block at {first.place} has the certificate {foreign[0]} as well, and clients may get that one; take it away there"
    return (
        f"the server block at {first.place} answers to that name, with the certificate {' and '.join(foreign)}; remove it, or let it "
        "refer to the installed one"
    )
