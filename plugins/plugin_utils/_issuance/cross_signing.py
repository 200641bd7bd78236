# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cross-signing: several roots have signed the key of one CA, and an issuer prefers that its chains lead to one of them.

Clients that know the newest root need no cross-signed certificate. Clients that know an older root only need the certificate
with which that root has signed the newer one, so servers have to send it.
"""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    has_issuer,
    is_self_issued,
    issuer_name,
    subject_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import is_ca
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.settings_files import read_setting, setting_label
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.signatures import SignedBy

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

# The settings that issuers of every type have for this.
CROSS_SIGNING_SETTINGS: dict[str, t.Any] = {
    "chain_extra": {"type": "path"},
    "preferred_root": {"type": "str"},
}


class CrossSigning(t.NamedTuple):
    """The certificates of C(chain_extra), and the common names of the preferred roots."""

    extra: tuple[x509.Certificate, ...] = ()
    roots: tuple[str, ...] = ()

    def is_below_preferred_root(
        self, certificate: x509.Certificate, known: t.Iterable[x509.Certificate], is_signed_by: SignedBy = is_signed_by
    ) -> bool:
        """Say whether a preferred root has signed a certificate.

        known: CA certificates. The signature is checked if the root is among them; else its name decides.
        """
        if issuer_name(certificate) not in self.roots:
            return False
        namesakes = [one for one in known if has_issuer(certificate, one)]
        return not namesakes or any(is_signed_by(certificate, one) for one in namesakes)

    def extend_chain(
        self,
        chain: list[x509.Certificate],
        known: t.Iterable[x509.Certificate],
        is_signed_by: SignedBy = is_signed_by,
    ) -> list[x509.Certificate]:
        """Return a chain with the certificates of C(chain_extra) that continue it, as far as a preferred root."""
        chain, known = list(chain), list(known)
        while not self.is_below_preferred_root(chain[-1], known, is_signed_by):
            upper = next((one for one in self.extra if one not in chain and is_signed_by(chain[-1], one)), None)
            if upper is None:
                break
            chain.append(upper)
        return chain

    def why_other_root(self, chain: list[x509.Certificate], known: t.Iterable[x509.Certificate]) -> str | None:
        """Say that a chain does not lead to a preferred root; None when it does, or none is preferred."""
        if not self.roots or self.is_below_preferred_root(chain[-1], known):
            return None
        return (
            f"the chain leads to {issuer_name(chain[-1])}, since nothing in the answer or in chain_extra leads to the preferred_root "
            f"{' or '.join(self.roots)}; have the CA give you what that one has signed, and name it in chain_extra, or correct preferred_root"
        )

    def terms(self) -> dict[str, t.Any]:
        """Return what decides on a chain, for Issuer.terms(); nothing when the issuer sets none of it."""
        digest = hashlib.sha256(to_pem(list(self.extra))).hexdigest() if self.extra else None
        return {
            key: value for key, value in {"chain_extra": digest, "preferred_root": list(self.roots)}.items() if value
        }


NO_CROSS_SIGNING = CrossSigning()


def read_cross_signing(settings: dict[str, t.Any], further_roots: t.Iterable[str | None] = ()) -> CrossSigning:
    """Return the CrossSigning that the settings of an issuer describe.

    settings: with the keys of CROSS_SIGNING_SETTINGS. further_roots: common names that are preferred as well.
    Raises TlsError when C(chain_extra) is no file of CA certificates, or holds a root.
    """
    path = settings.get("chain_extra")
    roots = tuple(dict.fromkeys(root for root in (settings.get("preferred_root"), *further_roots) if root))
    if not path:
        return CrossSigning((), roots)
    extra = read_setting("chain_extra", path).certificates
    for one in extra:
        if is_self_issued(one) or not is_ca(one):
            what = "a root, which clients have or do not believe" if is_ca(one) else "no certificate of a CA"
            raise TlsError(
                f"chain_extra: {setting_label(path)} holds {subject_name(one)}, which is {what}; take it out"
            )
    return CrossSigning(tuple(extra), roots)
