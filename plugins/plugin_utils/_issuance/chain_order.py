# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the chain out of certificates in whatever order and number: candidate paths are tried, the shortest first."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    CanonicalName,
    is_self_issued,
    issuer_of,
    subject_of,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import (
    NO_CROSS_SIGNING,
    CrossSigning,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.signatures import (
    MAX_CHAIN_LENGTH,
    SignatureChecks,
    has_same_ca,
)

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_PATHS = 1000  # that are looked at for one leaf; honest answers have a few

Check = t.Callable[[list["x509.Certificate"]], object]  # of a chain, leaf first; it raises TlsError


# not a parser: it accepts every chain
def accept_all(_chain: list[x509.Certificate]) -> None:
    """Accept a chain."""


def order_chain(
    certificates: list[x509.Certificate],
    public_key: PublicKey,
    roots: list[x509.Certificate],
    cross_signing: CrossSigning = NO_CROSS_SIGNING,
    check: Check = accept_all,
) -> list[x509.Certificate]:
    """Return the chain of *public_key* out of certificates, leaf first, without the root.

    Each certificate is signed by the next. The root, duplicates and unrelated certificates are left out.
    Several leaves and CAs that sign each other allow several chains. Of those that pass *check*, the shortest to a preferred root is
    returned, else the shortest to any of the *roots*, else the longest that nothing continues; the last two are extended by
    C(chain_extra).
    No chain has more than MAX_CHAIN_LENGTH certificates, and MAX_PATHS chains of a leaf are looked at.
    Raises TlsError when no certificate has the key, and the fault of the best chain when none passes.
    """
    leaves = [one for one in dict.fromkeys(certificates) if public_bytes(one.public_key()) == public_bytes(public_key)]
    if not leaves:
        raise TlsError(
            "no certificate in the answer belongs to the key of the request; have the same request issued again"
        )
    fault: TlsError | None = None
    for leaf in leaves:
        search = PathSearch(leaf, certificates, roots, cross_signing)
        for chain in search.by_preference():
            try:
                check(chain)
                return chain
            except TlsError as error:
                fault = fault or error
        fault = search.fault or fault
    raise t.cast(TlsError, fault)


class PathSearch:
    """The paths from a leaf to roots, through certificates that may be in any order, of several CAs, or in circles."""

    def __init__(
        self,
        leaf: x509.Certificate,
        certificates: list[x509.Certificate],
        roots: list[x509.Certificate],
        cross_signing: CrossSigning,
    ) -> None:
        self.leaf, self.cross_signing = leaf, cross_signing
        self.roots = [one for one in roots if is_self_issued(one)]  # others are CAs that a file of roots has besides
        distinct = list(dict.fromkeys([*certificates, *cross_signing.extra, *roots]))
        self.known = [*self.roots, *(one for one in distinct if is_self_issued(one))]
        self.candidates: dict[CanonicalName, list[x509.Certificate]] = {}  # by subject
        for one in distinct:
            if not is_self_issued(one) and one != leaf:
                self.candidates.setdefault(subject_of(one).canonical, []).append(one)
        self.fault: TlsError | None = None  # why not all paths were looked at
        self._signature_checks = SignatureChecks()

    def by_preference(self) -> list[list[x509.Certificate]]:
        """Return the chains of the leaf, the best first."""
        preferred, trusted, others = [], [], []
        for chain, is_continued in self.paths():
            if self.cross_signing.is_below_preferred_root(chain[-1], self.known, self.is_signed_by):
                preferred.append(chain)
            elif self.is_trusted(chain):
                trusted.append(chain)
            elif not is_continued:
                others.append(chain)
        others = [] if self.fault else sorted(others, key=len, reverse=True)  # there may be better ones
        extended = [self.cross_signing.extend_chain(chain, self.known, self.is_signed_by) for chain in trusted + others]
        return preferred + extended

    def paths(self) -> t.Iterator[tuple[list[x509.Certificate], bool]]:
        """Yield the chains of the leaf, each as long as the one before or longer, and whether a longer one continues it.

        One that is trusted is not continued, unless an issuer prefers a root.
        """
        queue = collections.deque([[self.leaf]])
        for _count in range(MAX_PATHS):
            if not queue:
                return
            chain = queue.popleft()
            is_last = len(chain) == MAX_CHAIN_LENGTH or (not self.cross_signing.roots and self.is_trusted(chain))
            uppers = [] if is_last else self._uppers(chain)
            yield chain, bool(uppers)
            queue.extend([*chain, upper] for upper in uppers[: MAX_PATHS - len(queue)])

    def is_trusted(self, chain: list[x509.Certificate]) -> bool:
        """Say whether the last certificate of a chain is a root, or a root has signed it."""
        return any(chain[-1] == root or self.is_signed_by(chain[-1], root) for root in self.roots)

    def is_signed_by(self, certificate: x509.Certificate, ca: x509.Certificate) -> bool:
        """Say whether the key of *ca* made a signature. Beyond the limit of signatures the answer is no, and *fault* is set."""
        try:
            return self._signature_checks(certificate, ca)
        except TlsError as error:
            self.fault = error
            return False

    def _uppers(self, chain: list[x509.Certificate]) -> list[x509.Certificate]:
        """Return the certificates that may follow a chain. The same CA, by name and key, is in a chain once."""
        namesakes = self.candidates.get(issuer_of(chain[-1]).canonical, [])
        return [one for one in namesakes if self.is_signed_by(chain[-1], one) and not has_same_ca(chain, one)]
