# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have one certificate issued for one CSR, although runs are killed and several controllers work at the same time."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import csr_to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import why_replace
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cache import CachedChain, IssuedCache
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import (
    chain_warnings,
    check_csr,
    check_issued_chain,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import key_digest
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.leaf import usage_warning
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import Pending
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.settings_files import unreadable_messages
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import (
    AcmeIssuer,
    ChallengeFiles,
    Issuer,
    IssueRequest,
    RefusedAnswer,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

ISSUE_TIMEOUT_S = 900.0  # for any CA, however long it looks at DNS; issuers that should be quick have their own timeout

Result = t.TypeVar("Result")


class Issued(t.NamedTuple):
    """A chain that may be installed."""

    chain: list[x509.Certificate]
    roots: bytes | None  # PEM
    is_new: bool  # False for a cached chain
    warnings: list[str]


# not a parser: it only passes on foreign input
def issue_once(
    issuer: Issuer,
    request: Request,
    csr: bytes,
    host: str,
    in_use: str | None = None,
    context: dict[str, t.Any] | None = None,
) -> Issued | Pending:
    """Have a CSR signed, or return the chain that an earlier run had issued for it and did not install.

    The CSR is checked against the request, and the chain against both; neither the host nor the CA is trusted.
    in_use: fingerprint of the certificate on the host. It is never returned again, though its CSR may be the same when the key is reused.
    context: further keys of IssueRequest for the issuer.
    Raises TlsError when the CSR, the CA or its chain is refused.
    """
    checked = check_csr(csr, request)
    csr, public_key = csr_to_pem(checked), checked.public_key()  # what is checked is what is sent
    _check_key(issuer, public_key, request, host)
    request = _with_rules(request, issuer)
    terms = {**issuer.terms(request), **issuer.cross_signing.terms()}
    with IssuedCache(issuer.cache_directory).entry(csr, terms) as entry:
        roots = issuer.roots()
        warnings: list[str] = []
        chain = _usable(entry.read(), public_key, request, host, roots, in_use, issuer)
        is_new = not chain
        if not chain:
            entry.check_refusals(utc_now())
            issue_request = t.cast(IssueRequest, {**request, **(context or {}), "in_use": in_use})
            try:
                issued = _in_time(request, lambda: issuer.issue(issue_request, csr, host))
            except RefusedAnswer as error:
                _remember(entry, error)
                raise
            if isinstance(issued, Pending):
                return issued
            roots = issuer.roots()  # the private CA may have been made meanwhile
            try:
                chain = check_issued_chain(issued, public_key, request, roots, utc_now(), issuer.cross_signing)
            except TlsError as error:
                _remember(entry, error)
                raise TlsError(
                    f"the answer of {request['issuer']} for the certificate of {request['name']} is refused, and nothing is changed: {error}"
                ) from error
            try:
                entry.write(chain, utc_now())
            except OSError as error:  # the certificate is used all the same
                warnings.append(
                    f"{request['issuer']} issues this certificate again if this run dies now: {system_error(error)}"
                )
        issuer.record(request, chain, host)
    other_root = issuer.cross_signing.why_other_root(chain, parse_chain(roots) if roots else [])
    warnings += chain_warnings(chain, roots, utc_now())
    warnings += unreadable_messages(getattr(issuer, "certificate_files", {}))
    warnings += [one for one in (other_root, usage_warning(chain[0])) if one]
    return Issued(chain, roots, is_new, warnings + issuer.remarks)


def _remember(entry: CachedChain, error: TlsError) -> None:
    """Record that an answer was refused. Where that cannot be written, the CA is asked again by the next run."""
    with contextlib.suppress(OSError):
        entry.record_refusal(str(error), utc_now())


# not a parser: it only passes on foreign input
def begin_once(
    issuer: AcmeIssuer, request: Request, csr: bytes, host: str, in_use: str | None = None
) -> list[ChallengeFiles]:
    """Place the order for a CSR and return the files that hosts have to serve.

    There are none where a cached chain can be used. Raises TlsError as issue_once() does.
    """
    checked = check_csr(csr, request)
    csr, public_key = csr_to_pem(checked), checked.public_key()  # what is checked is what is sent
    _check_key(issuer, public_key, request, host)
    request = _with_rules(request, issuer)
    terms = {**issuer.terms(request), **issuer.cross_signing.terms()}
    with IssuedCache(issuer.cache_directory).entry(csr, terms) as entry:
        if _usable(entry.read(), public_key, request, host, issuer.roots(), in_use, issuer):
            return []
        entry.check_refusals(utc_now())
        return _in_time(request, lambda: issuer.begin_order(t.cast(IssueRequest, request), csr, host))


def _with_rules(request: Request, issuer: Issuer) -> Request:
    """Return a request with what the settings of its issuer allow in an answer."""
    return {
        **request,
        "may_add_subject": getattr(issuer, "may_add_subject", False),
        "strict_profile": getattr(issuer, "is_public", False),
    }


def _check_key(issuer: Issuer, public_key: PublicKey, request: Request, host: str) -> None:
    """Raise TlsError for a key that was compromised. An honest host makes another one: certificate_request is told what is revoked."""
    compromised_keys = getattr(issuer, "compromised_keys", None)
    if compromised_keys and key_digest(public_key) in compromised_keys(host, request["name"]):
        raise TlsError(
            f"{host} offers a key for {request['name']} for which a certificate was revoked, since the key was compromised; have another key made "
            "with -e certificate_force=true, and if it comes again, look at what the host is doing"
        )


def _in_time(request: Request, call: t.Callable[[], Result]) -> Result:
    """Return the result of a call to a CA. Raises TlsError after ISSUE_TIMEOUT_S."""
    try:
        return run_with_timeout(ISSUE_TIMEOUT_S, call)
    except TimeoutError as error:
        raise TlsError(
            f"{request['issuer']} has not answered for {ISSUE_TIMEOUT_S:.0f} seconds, and nothing is changed; "
            "see that it can be reached from the controller, then run this again"
        ) from error


def _usable(
    cached: list[x509.Certificate] | None,
    public_key: PublicKey,
    request: Request,
    host: str,
    roots: bytes | None,
    in_use: str | None,
    issuer: Issuer,
) -> list[x509.Certificate] | None:
    """Return a cached chain if it can be used, else None.

    The CA might issue it now, it is not due on its host, and it is not the one in use.
    """
    if not cached:
        return None
    now = utc_now()
    try:
        check_issued_chain(to_pem(cached), public_key, request, roots, now, issuer.cross_signing)
    except TlsError:
        return None
    trusted = parse_chain(roots) if roots else None
    is_due = why_replace(cached, public_key, None, {**request, "host": host}, now, trusted) is not None
    return None if is_due or fingerprint(cached[0]) == in_use else cached
