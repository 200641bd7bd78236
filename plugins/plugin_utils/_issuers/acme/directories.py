# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ACME directories that an issuer asks: well-known ones by a short name, others by their address."""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors

WELL_KNOWN = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
    "google": "https://dv.acme-v02.api.pki.goog/directory",
    "google-staging": "https://dv.acme-v02.test-api.pki.goog/directory",
    "zerossl": "https://acme.zerossl.com/v2/DV90",
    "sslcom": "https://acme.ssl.com/sslcom-dv-ecc",
    "actalis": "https://acme-api.actalis.com/acme/directory",
    "litessl": "https://acme.litessl.com/acme/v2/directory",  # of TrustAsia
}
# Where a request that has never had a certificate is tried first, unless the issuer says something else.
TEST = {"letsencrypt": "letsencrypt-staging"}

# How many names a certificate may have: by profile, and without one.
LETSENCRYPT = {None: 100, "classic": 100, "tlsserver": 25, "shortlived": 25}
MOST_NAMES: dict[str, dict[str | None, int]] = {
    WELL_KNOWN["letsencrypt"]: LETSENCRYPT,
    WELL_KNOWN["letsencrypt-staging"]: LETSENCRYPT,
}

# What may be said of a directory in particular; by default what is said of the issuer.
SETTINGS = {
    "directory": {"type": "str", "required": True},
    "eab_kid": {"type": "str"},
    "eab_hmac": {"type": "str", "no_log": True},
    "profile": {"type": "str"},
    "preferred_root": {"type": "str"},
    "ca_file": {"type": "path"},
}
OWN = tuple(name for name in SETTINGS if name != "directory")


class Directory(t.NamedTuple):
    """A directory, and what is particular to it."""

    url: str
    eab_kid: str | None = None
    eab_hmac: str | None = None
    profile: str | None = None
    preferred_root: str | None = None
    ca_file: str | None = None

    def check_names(self, names: list[str]) -> None:
        """Make sure that the CA signs for so many names at once."""
        most = MOST_NAMES.get(self.url, {}).get(self.profile)
        if most is not None and len(names) > most:
            profile = f" with the profile {self.profile}" if self.profile else ""
            raise TlsError(
                f"the request has {len(names)} domains, and this CA puts {most} into a certificate at the most{profile}; split the request"
            )


def directories(settings: dict[str, t.Any]) -> list[Directory]:
    """Return the directories of an issuer, in the order in which they are asked."""
    wanted = settings.get("directories") or [settings.get("directory") or "letsencrypt"]
    return [_directory(one, settings) for one in wanted]


def test_directory(settings: dict[str, t.Any]) -> Directory | None:
    """Return the directory at which a request that never succeeded is tried first; None where there is none."""
    first = settings.get("directories") or [settings.get("directory") or "letsencrypt"]
    named = first[0].get("directory") if isinstance(first[0], dict) else first[0]
    wanted = settings.get("test_directory")
    wanted = TEST.get(named) if wanted is None else wanted
    bare = {**settings, "eab_kid": None, "eab_hmac": None, "preferred_root": None}
    return _directory(wanted, bare) if wanted else None


def _directory(said: t.Any, settings: dict[str, t.Any]) -> Directory:
    checked = ArgumentSpecValidator(SETTINGS).validate(said if isinstance(said, dict) else {"directory": str(said)})
    if checked.error_messages:
        raise TlsError(
            f"directories: {spec_errors(checked)}; write the name or address of each, or a dictionary with it"
        )
    own = checked.validated_parameters
    url = WELL_KNOWN.get(own["directory"], own["directory"])
    if not re.fullmatch(r"https://[^\s/]+\S*", url):
        raise TlsError(
            f"{own['directory']!r} is no ACME directory; write its address, which begins with https://, or one of {', '.join(WELL_KNOWN)}"
        )
    found = {name: own[name] if own[name] is not None else settings.get(name) for name in OWN}
    if bool(found["eab_kid"]) != bool(found["eab_hmac"]):
        raise TlsError("of eab_kid and eab_hmac one is missing; write both, as the CA gives them out")
    return Directory(url, **found)
