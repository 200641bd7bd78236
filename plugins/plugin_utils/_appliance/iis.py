# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An appliance of the preset C(iis): a Windows server with OpenSSH, whose IIS presents the certificate."""

from __future__ import annotations

import contextlib
import json
import secrets
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.pkcs12 import make_keystore
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.iis_script import (
    powershell_command,
    script_input,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.presented import ApplianceService
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import CommandResult, Session
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.sftp import SftpFiles, open_sftp
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

try:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

SCRIPT_TIMEOUT_S = 120.0  # PowerShell loads its modules slowly
# Windows Server 2016 reads no other. The keystore is there for seconds, readable by its user alone, and its password is random.
ENCRYPTION = "legacy"
PASSWORD_BYTES = 24
MAX_MESSAGE_CHARACTERS = 300

Before = list[
    dict[str, str | None]
]  # host_name, and the thumbprint that was bound to it: "" for none, None for no binding


class IisService(ApplianceService):
    """A CertificateService: IIS on a Windows server."""

    _password: str = ""  # of the keystore that was uploaded

    # not a parser: it looks at the type of a certificate that was parsed before
    def check(self, chain: list[x509.Certificate]) -> None:
        """Raise TlsError for a type of key that Windows does not use for TLS."""
        super().check(chain)
        if isinstance(chain[0].public_key(), (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
            raise TlsError(
                f"{self.title}: IIS has no TLS with keys of this type; write type: ECC or RSA in the request"
            )

    def find(self, chain: list[x509.Certificate], label: str) -> str | None:
        """Return the identifier of the certificate if it is presented, else None."""
        (binding,) = self.bindings()
        expected = self._identifier(chain[0])
        return expected if binding.certificate == expected else None

    def upload(self, chain: list[x509.Certificate], key: PrivateKeyTypes, label: str) -> str:
        """Upload a keystore with a random password into the home of the user."""
        self._password = secrets.token_urlsafe(PASSWORD_BYTES)
        keystore = make_keystore(key, chain, self._password, self._name, ENCRYPTION)
        with self._session() as session:
            files = self._files(session)
            files.write_private(self._keystore_path(files), keystore)
        return self._identifier(chain[0])

    def bind(self, binding: Binding, certificate: str) -> None:
        """Import the keystore, bind the certificate to each host name, and prove that clients get it.

        Where that fails, each host name gets back what it had. Then the certificate of before is removed, if it was imported here.
        """
        with self._session(self._patience_s) as session:
            files = self._files(session)
            path = self._keystore_path(files)
            try:
                before = self._run(session, "bind", pfx=windows_path(path), password=self._password)
            finally:
                with contextlib.suppress(TlsError):
                    files.remove(path)
            try:
                self._prove()
            except TlsError as error:
                try:
                    self._run(session, "restore", before=before)
                except TlsError as restoring:
                    raise TlsError(f"{error}. The bindings of before cannot be put back: {restoring}") from error
                raise TlsError(f"{error}. The bindings of before are back") from error
            self._run(session, "clean", before=before)

    def _unpresented(self, current: str | None) -> Binding:
        """Return the binding as clients see it: IIS is not asked."""
        return Binding(self._resource, current, "ready")

    def _session(self, more_s: float = 0.0) -> Session:
        return Session(self._options, 3 * SCRIPT_TIMEOUT_S + more_s)

    def _files(self, session: Session) -> SftpFiles:
        files = open_sftp(session)
        if files is None:
            raise TlsError(
                f"{session.where}: the SSH server has no SFTP; add Subsystem sftp sftp-server.exe to its sshd_config"
            )
        return files

    def _keystore_path(self, files: SftpFiles) -> str:
        return f"{files.home()}/.evergreen-{self._name}.pfx"

    def _run(self, session: Session, action: str, **values: t.Any) -> Before:
        """Run an action of the script, and return what was bound before."""
        values = {
            "action": action,
            "name": self._name,
            "thumbprint": thumbprint(self._expected()),
            "site": self._options["site"],
            "port": self._endpoints[0][1],
            "host_names": self._options["host_names"] or self._domains,
            **values,
        }
        result = session.run(powershell_command(), SCRIPT_TIMEOUT_S, script_input(values))
        return parse_script_result(result, session.where)


def thumbprint(certificate: x509.Certificate) -> str:
    """Return the SHA-1 fingerprint of a certificate in upper-case hexadecimal digits, by which Windows finds it."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()


def windows_path(path: str) -> str:
    r"""Return a path of SFTP as Windows writes it.

    >>> windows_path("/C:/Users/Administrator/.evergreen-www.pfx")
    'C:\\Users\\Administrator\\.evergreen-www.pfx'
    """
    return path.lstrip("/").replace("/", "\\")


def parse_script_result(result: CommandResult, where: str) -> Before:
    """Return what was bound before, as the script prints it in its last line. Raises TlsError where the script failed."""
    lines = result.output.decode("utf-8", "replace").strip().splitlines()
    try:
        answer = json.loads(lines[-1] if lines else "")
        error = answer["error"]
        before = [{"host_name": one["host_name"], "thumbprint": one["thumbprint"]} for one in answer["before"] or []]
        if not all(isinstance(value, (str, type(None))) for one in before for value in one.values()):
            raise TypeError(before)
    except (ValueError, TypeError, KeyError, RecursionError) as failure:
        raise TlsError(
            f"{where}: PowerShell does not answer as it should (exit code {result.status}: {result.errors or 'it says nothing'}); the shell of "
            "OpenSSH has to be cmd.exe or powershell.exe, and the user an administrator"
        ) from failure
    if error:
        raise TlsError(
            f"{where}: IIS refuses it ({escape_as_one_line(str(error))[:MAX_MESSAGE_CHARACTERS]}); correct site and host_names of the "
            "appliance, or what it names"
        )
    return before
