# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether this controller has the private CA of the fleet: the root that the inventory pins, and the sentences where it has not.

A controller with an empty or a copied home would make a second CA, and move every host to it while clients trust the first one.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    ORGANIZATION,
    issuer_of,
    text_of,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import (
    absolute_folder,
    check_home,
    check_no_pem,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.settings_files import read_setting

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

SHA256 = re.compile("sha256:((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})", re.IGNORECASE)
NEW_AUTHORITY = "certificate_new_authority=true"

# When a CA may be made: in no case; where no endpoint of the inventory serves a certificate of one; in any case.
MAKE_CA = ("never", "first", "always")


class RootPin(t.NamedTuple):
    """The root that the inventory pins."""

    fingerprint: str | None  # SHA-256, lower-case hexadecimal digits; None where the file is missing
    path: str | None  # of the file, if it is one
    pem: bytes | None


def check_root_setting(root: str | None) -> str | None:
    """Return the setting root with its path expanded. Raises TlsError unless it is a path that begins with C(/), or a fingerprint."""
    if not root or SHA256.fullmatch(root):
        return root or None
    if root.lower().startswith("sha256:"):
        raise TlsError(f"root is {root!r}, and a fingerprint is sha256: and 64 hexadecimal digits; correct it")
    check_no_pem("root", root)
    check_home("root", root)
    return absolute_folder("root", os.path.expanduser(os.path.expandvars(root)))


def read_root_pin(root: str | None) -> RootPin | None:
    """Return the root that the setting names, None without one. Raises TlsError when the file holds no certificate, or several."""
    if not root:
        return None
    match = SHA256.fullmatch(root)
    if match:
        return RootPin(match[1].replace(":", "").lower(), None, None)
    if not os.path.exists(root):
        return RootPin(None, root, None)
    chain = read_setting("root", root).certificates
    if len(chain) > 1:
        raise TlsError(
            f"root: {root} holds {len(chain)} certificates, and a CA has one root; leave that one alone in it"
        )
    return RootPin(fingerprint(chain[0]), root, to_pem(chain))


def is_named_after(certificate: x509.Certificate, name: str) -> bool:
    """Return whether the issuer of a certificate is called as a private CA of this name calls its issuing CA."""
    issuer = issuer_of(certificate)
    organizations = [text_of(one) for one in issuer.attributes if one.oid == ORGANIZATION]
    return organizations == [name] and issuer.common_name.startswith(f"{name} Issuing CA ")


def authority_key_identifier(certificate: x509.Certificate) -> bytes | None:
    """Return the identifier of the key that signed a certificate, None without one."""
    try:
        return certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return None


# not a parser: it reads what the collection has made or checked
def subject_key_identifier(certificate: x509.Certificate) -> bytes:
    """Return the identifier of the key of a CA, as certificates name it that it signed."""
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def absence_sentence(issuer: str, absence: str, is_pinned: bool, serving: int | None = None) -> str:
    """Return why nothing is issued where this controller has not the CA of an issuer, and what to do.

    absence: what LocalCa.absence() returned. serving: how many hosts serve certificates of such a CA; None where nobody looked.
    """
    looked = "" if serving is None else f", and {_hosts(serving)} of one"
    if is_pinned:
        advice = "run this where the CA is, or correct directory or root; none is made where root is set"
    elif serving == 0:
        advice = "evergreen.tls.deploy makes it, or run this where the CA is"
    else:
        advice = (
            f"run this where the CA is, or set root; evergreen.tls.deploy makes another one with -e {NEW_AUTHORITY}"
        )
    return f"the issuer {issuer} {absence}{looked}; {advice}"


def other_authority_sentence(issuer: str, directory: str, own: str, serving: int) -> str:
    """Return why nothing is issued where hosts serve certificates of another CA of the same name. own: what the CA here is called."""
    return (
        f"the issuer {issuer} has another CA in {directory} on this controller ({own}) than the one of which {_hosts(serving)}; run this "
        f"where that CA is, or correct directory; evergreen.tls.deploy replaces them with -e {NEW_AUTHORITY}"
    )


def _hosts(serving: int) -> str:
    if serving == 0:
        return "no host serves a certificate"
    return "1 host serves a certificate" if serving == 1 else f"{serving} hosts serve certificates"
