# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keystores by the program openssl, where the library writes none that all clients can use."""

from __future__ import annotations

import os
import subprocess
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

try:
    import cryptography
    from cryptography.hazmat.primitives import serialization
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

TIMEOUT_S = 60.0
# The options of openssl-pkcs12(1), by the values of the option encryption.
OPTIONS = {
    "modern": ("-keypbe", "AES-256-CBC", "-certpbe", "AES-256-CBC", "-macalg", "sha256"),
    "legacy": ("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"),
}


# not a parser: it reads what the collection has made or checked
def make_keystore_with_openssl(
    key: PrivateKeyTypes, chain: list[x509.Certificate], password: str, friendly_name: str, encryption: str
) -> bytes:
    """Return a keystore in DER, as make_keystore() does. The key and the password are in memory alone.

    Raises TlsError where openssl is not there, or fails.
    """
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + to_pem(chain)
    with _memory_file("pair", pem) as pair, _memory_file("password", password.encode()) as secret:
        command = ["openssl", "pkcs12", "-export", "-in", f"/dev/fd/{pair.fileno()}", "-name", friendly_name]
        command += ["-passout", f"fd:{secret.fileno()}", *OPTIONS[encryption]]
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(pair.fileno(), secret.fileno()),
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TlsError(_failure(str(error))) from error
    if ended.returncode:
        raise TlsError(_failure(ended.stderr.decode(errors="replace").strip().partition("\n")[0]))
    return ended.stdout


def _memory_file(name: str, content: bytes) -> t.BinaryIO:
    """Return a file that exists in memory alone, at its beginning."""
    stream = t.cast("t.BinaryIO", open(os.memfd_create(name), "w+b"))  # noqa: SIM115  # the caller closes it
    stream.write(content)
    stream.seek(0)
    return stream


def _failure(why: str) -> str:
    return (
        f"cryptography {cryptography.__version__} of this host writes PKCS #12 without localKeyID, which some clients need, and openssl "
        f"writes none ({why}); install openssl, or another version of python3-cryptography"
    )
