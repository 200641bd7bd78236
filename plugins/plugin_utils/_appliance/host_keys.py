# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key by which an appliance proves who it is, held against the inventory or a file known_hosts."""

from __future__ import annotations

import base64
import hashlib
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error

try:
    import paramiko
except ImportError:  # reported by require_paramiko() before anything here is called
    pass

SSH_PORT = 22
# The types of keys of a server, the preferred first (RFC 8709, RFC 5656, RFC 8332, RFC 4253).
KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
)
RSA_SIGNATURES = frozenset({"rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"})  # of keys of the type ssh-rsa


# not a parser: it hashes a key that paramiko has read
def host_key_fingerprint(key: paramiko.PKey) -> str:
    """Return the fingerprint of a public key as ssh-keygen -l prints it: SHA-256 in base64 without padding (RFC 4648, section 3.2)."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


def same_type(key_type: str) -> frozenset[str]:
    """Return the algorithms of signatures by which a server may prove that it has a key of this type."""
    return RSA_SIGNATURES if key_type in RSA_SIGNATURES else frozenset({key_type})


class ExpectedKeys:
    """The keys that an appliance may show: fingerprints of the inventory, or else the lines of a file known_hosts.

    host, port: as the inventory names them. Raises TlsError for a file that cannot be read.
    """

    def __init__(self, host: str, port: int, fingerprints: list[str], known_hosts: str) -> None:
        self.host, self.port = host, port
        self._where = "host_key of the inventory"
        self._fingerprints = {fingerprint.rstrip("=") for fingerprint in fingerprints}
        self.key_types: tuple[str, ...] = ()  # the types of keys that are known; none where fingerprints decide
        if not fingerprints:
            self._where = os.path.expanduser(known_hosts)
            keys = _known_keys(self._where, host if port == SSH_PORT else f"[{host}]:{port}")
            self._fingerprints = {host_key_fingerprint(key) for key in keys}
            known = {name for key in keys for name in same_type(key.get_name())}
            self.key_types = tuple(name for name in KEY_TYPES if name in known)

    def accepts(self, key: paramiko.PKey) -> bool:
        """Return whether the appliance may show this key."""
        return host_key_fingerprint(key) in self._fingerprints

    def error(self, shown: t.Iterable[paramiko.PKey]) -> TlsError:
        """Return the error about keys that are not accepted, before anything secret was sent."""
        fingerprints = " and ".join(f"{key.get_name()} {host_key_fingerprint(key)}" for key in shown)
        server = f"{self.host} port {self.port}"
        if not self._fingerprints:
            return TlsError(
                f"{server}: the host key is not known: {self._where} has none for it, and it shows {fingerprints}; compare that with "
                "ssh-keygen -lf on its console, and write it as host_key of the appliance"
            )
        expected = " or ".join(sorted(self._fingerprints))
        return TlsError(
            f"{server}: the host key has changed: it shows {fingerprints}, and {self._where} has {expected}; something else may answer in "
            "its place. If it was installed anew, correct the host key there"
        )


# not a parser: paramiko reads the file, which the user of the controller owns
def _known_keys(path: str, name: str) -> list[paramiko.PKey]:
    """Return the keys that a file known_hosts has for a name; none where there is no such file."""
    keys = paramiko.HostKeys()
    try:
        keys.load(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise system_error(error) from error
    except (paramiko.SSHException, ValueError) as error:
        raise TlsError(f"{path} cannot be read as known_hosts ({error}); correct it, or write host_key") from error
    found = keys.lookup(name)
    return list(found.values()) if found else []
