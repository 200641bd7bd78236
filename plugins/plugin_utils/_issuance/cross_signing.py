# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Crossings: a CA whose certificate several roots have signed, and the way that an issuer wants a chain to take there.

Clients that know the newest root need none. Those that know an older one alone get there by a certificate with which that one signed
the newer one; servers have to send it.
"""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import common_name, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    is_authority,
    is_signed_by,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file

# The settings that issuers of every type have for this.
CROSS_SIGNING_SETTINGS: dict[str, t.Any] = {
    "chain_extra": {"type": "path"},
    "preferred_root": {"type": "str"},
}


class CrossSigning(t.NamedTuple):
    """The certificates that an issuer adds to what is served, and the common names of the roots that it may lead to."""

    extra: tuple = ()
    roots: tuple = ()

    def leads(self, certificate: t.Any, known: t.Iterable) -> bool:
        """Say whether a preferred root has signed a certificate, as far as that root is among those that are known."""
        if common_name(certificate.issuer) not in self.roots:
            return False
        namesakes = [one for one in known if one.subject == certificate.issuer]
        return not namesakes or any(is_signed_by(certificate, one) for one in namesakes)

    def extended(self, chain: list, known: t.Iterable) -> list:
        """Return a chain with what the issuer adds, as far as it leads on; one that leads to a preferred root is long enough."""
        chain = list(chain)
        while not self.leads(chain[-1], known):
            upper = next((one for one in self.extra if one not in chain and is_signed_by(chain[-1], one)), None)
            if upper is None:
                break
            chain.append(upper)
        return chain

    def why_other_root(self, chain: list, known: t.Iterable) -> str | None:
        """Say that a chain does not lead to a preferred root, or return None where it does, or none is preferred."""
        if not self.roots or self.leads(chain[-1], known):
            return None
        return (
            f"the chain leads to {common_name(chain[-1].issuer)}, since nothing in the answer or in chain_extra leads to the preferred_root "
            f"{' or '.join(self.roots)}; have the CA give you what that one has signed, and name it in chain_extra, or correct preferred_root"
        )

    def terms(self) -> dict[str, t.Any]:
        """Return what decides on a chain, for issuers that say anything of it."""
        digest = hashlib.sha256(to_pem(list(self.extra))).hexdigest() if self.extra else None
        return {
            key: value for key, value in {"chain_extra": digest, "preferred_root": list(self.roots)}.items() if value
        }


NO_CROSS_SIGNING = CrossSigning()


def read_cross_signing(settings: dict[str, t.Any], further: t.Iterable = ()) -> CrossSigning:
    """Return the cross_signing that the settings of an issuer describe; it may have *further* roots that it prefers."""
    path, roots = (
        settings.get("chain_extra"),
        tuple(filter(None, {settings.get("preferred_root"): 0, **dict.fromkeys(further)})),
    )
    if not path:
        return CrossSigning((), roots)
    pem = read_file(path)
    if pem is None:
        raise TlsError(f"chain_extra: {path} does not exist; correct the path, or leave it out")
    try:
        extra = parse_chain(pem)
    except TlsError as error:
        raise TlsError(
            f"chain_extra: {path} holds no certificates in PEM that can be read; put those of CAs there that others have signed, too"
        ) from error
    for one in extra:
        if one.subject == one.issuer or not is_authority(one):
            what = "a root, which clients have or do not believe" if is_authority(one) else "no certificate of a CA"
            raise TlsError(f"chain_extra: {path} holds {common_name(one.subject)}, which is {what}; take it out")
    return CrossSigning(tuple(extra), roots)
