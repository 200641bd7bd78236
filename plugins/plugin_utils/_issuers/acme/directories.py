# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ACME directories of an issuer: well-known ones by a short name, others by their URL."""

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
# The domains by which CAA records name a CA whose directory announces none in C(meta.caaIdentities), the recommended one first.
# Sources: the help pages of the CAs. For LiteSSL there is none.
SECTIGO_IDENTITIES = ("sectigo.com", "comodoca.com", "usertrust.com", "trust-provider.com")
CAA_IDENTITIES: dict[str, tuple[str, ...]] = {
    WELL_KNOWN[name]: identities
    for name, identities in {
        "letsencrypt": ("letsencrypt.org",),
        "letsencrypt-staging": ("letsencrypt.org",),
        "google": ("pki.goog",),
        "google-staging": ("pki.goog",),
        "zerossl": SECTIGO_IDENTITIES,
        "sslcom": ("ssl.com",),
        "actalis": ("actalis.it",),
    }.items()
}
PREFLIGHT_MODES = ("refuse", "warn", "off")
# Where a request that never succeeded is tried first, unless the issuer has a test_directory.
TEST_DIRECTORIES = {"letsencrypt": "letsencrypt-staging"}

# How many names a certificate may have, by profile, and without one (None).
MAX_NAMES_OF_LETSENCRYPT: dict[str | None, int] = {None: 100, "classic": 100, "tlsserver": 25, "shortlived": 25}
MAX_NAMES: dict[str, dict[str | None, int]] = {
    WELL_KNOWN["letsencrypt"]: MAX_NAMES_OF_LETSENCRYPT,
    WELL_KNOWN["letsencrypt-staging"]: MAX_NAMES_OF_LETSENCRYPT,
}

# The settings of one directory. Their defaults are those of the issuer.
DIRECTORY_SETTINGS: dict[str, dict[str, t.Any]] = {
    "directory": {"type": "str", "required": True},
    "eab_kid": {"type": "str"},
    "eab_hmac": {"type": "str", "no_log": True},
    "profile": {"type": "str"},
    "preferred_root": {"type": "str"},
    "ca_file": {"type": "path"},
    "limits": {"type": "dict"},
}
INHERITED = tuple(name for name in DIRECTORY_SETTINGS if name != "directory")


class Directory(t.NamedTuple):
    """A directory with its settings."""

    url: str
    eab_kid: str | None = None
    eab_hmac: str | None = None
    profile: str | None = None
    preferred_root: str | None = None
    ca_file: str | None = None
    limits: dict[str, t.Any] | None = None  # as CaLimits takes them

    def check_names(self, names: list[str]) -> None:
        """Raise TlsError if the CA does not put so many names into a certificate."""
        maximum = MAX_NAMES.get(self.url, {}).get(self.profile)
        if maximum is not None and len(names) > maximum:
            profile = f" with the profile {self.profile}" if self.profile else ""
            raise TlsError(
                f"the request has {len(names)} domains, and this CA puts {maximum} into a certificate at the most{profile}; split the request"
            )


def preflight_mode(setting: str | None, url: str) -> str:
    """Return one of PREFLIGHT_MODES. Private CAs know nothing of CAA, so the default is off for directories that are not well-known."""
    return setting or ("refuse" if url in WELL_KNOWN.values() else "off")


def directories(settings: dict[str, t.Any]) -> list[Directory]:
    """Return the directories of an issuer in the order in which they are tried.

    *settings* are those of the issuer.
    """
    return [_directory(one, settings) for one in _configured(settings)]


def test_directory(settings: dict[str, t.Any]) -> Directory | None:
    """Return the directory at which a request that never succeeded is tried first, if there is one."""
    first, chosen = _configured(settings)[0], settings.get("test_directory")
    if chosen is None:
        chosen = TEST_DIRECTORIES.get(str(first.get("directory") if isinstance(first, dict) else first))
    without_account = {**settings, "eab_kid": None, "eab_hmac": None, "preferred_root": None, "limits": None}
    return _directory(chosen, without_account) if chosen else None


def _configured(settings: dict[str, t.Any]) -> list[t.Any]:
    return settings.get("directories") or [settings.get("directory") or "letsencrypt"]


def _directory(setting: t.Any, settings: dict[str, t.Any]) -> Directory:
    """Return a directory from its own setting, a name, URL or dictionary, and from those of the issuer."""
    own = setting if isinstance(setting, dict) else {"directory": str(setting)}
    checked = ArgumentSpecValidator(DIRECTORY_SETTINGS).validate(own)
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
    merged = {name: own[name] if own[name] is not None else settings.get(name) for name in INHERITED}
    if bool(merged["eab_kid"]) != bool(merged["eab_hmac"]):
        raise TlsError("of eab_kid and eab_hmac one is missing; write both, as the CA gives them out")
    return Directory(url, **merged)
