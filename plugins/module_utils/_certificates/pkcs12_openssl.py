# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keystores by the program openssl, where the library writes none that all clients can use."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
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
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with (
        _in_memory(pem) as key_file,
        _in_memory(to_pem(chain)) as certificates,
        _in_memory(password.encode()) as secret,
    ):
        command = ["openssl", "pkcs12", "-export", "-inkey", f"/dev/fd/{key_file}", "-in", f"/dev/fd/{certificates}"]
        command += ["-name", friendly_name, "-passout", f"fd:{secret}", *OPTIONS[encryption]]
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(key_file, certificates, secret),
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TlsError(_failure(str(error))) from error
    if ended.returncode:
        raise TlsError(_failure(ended.stderr.decode(errors="replace").strip().partition("\n")[0]))
    return ended.stdout


@contextlib.contextmanager
def _in_memory(content: bytes) -> t.Iterator[int]:
    """Return a descriptor from which a program reads a content that is in memory alone."""
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("openssl"), "w+b") as stream:
            stream.write(content)
            stream.seek(0)
            yield stream.fileno()
        return
    with _through_pipe(content) as descriptor:  # macOS
        yield descriptor


@contextlib.contextmanager
def _through_pipe(content: bytes) -> t.Iterator[int]:
    """Return the end of a pipe from which a content is read once, whatever its size."""
    reading, writing = os.pipe()
    writer = threading.Thread(target=_write, args=(writing, content), daemon=True)
    writer.start()
    try:
        yield reading
    finally:
        os.close(reading)  # which ends a write that nobody reads
        writer.join()


def _write(descriptor: int, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb") as stream:
        stream.write(content)


def _failure(why: str) -> str:
    return (
        f"cryptography {cryptography.__version__} of this host writes PKCS #12 without localKeyID, which some clients need, and openssl "
        f"writes none ({why}); install openssl, or another version of python3-cryptography"
    )
