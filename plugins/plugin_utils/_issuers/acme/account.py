# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The account at an ACME server, which is made on first use (RFC 8555, section 7.3)."""

from __future__ import annotations

import base64
import binascii
import json
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import AccountKeys, thumbprint
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.client import Network, Reply, Signer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import State, file_name

try:
    import josepy
    from acme import messages
    from cryptography.hazmat.primitives.asymmetric import rsa
except ImportError:  # said by require_libraries(), before anything here is called
    pass

PATIENCE = 180.0  # seconds that a fork waits for the one that makes the account


class Registration(t.NamedTuple):
    """What an account is made with."""

    email: tuple[str, ...] = ()
    agreed: bool = True
    eab_kid: str | None = None
    eab_hmac: str | None = None


class Account:
    """The account of a key at the server of a directory."""

    def __init__(self, state: State, keys: AccountKeys, network: Network, registration: Registration) -> None:
        self.state, self.keys, self.network, self.registration = state, keys, network, registration
        self.name = file_name(network.url, re.sub("^https?://", "", network.url))
        self._signer: Signer | None = None

    def post(
        self, url: str, content: t.Any, what: str, names: t.Sequence[str] = (), accept: str | None = None
    ) -> Reply:
        """Return the answer to a request of the account. Where the server has forgotten the account, it is made again."""
        try:
            return self.network.post(url, content, self.signer(), what, names, accept)
        except Problem as refusal:
            if refusal.code != "accountDoesNotExist":
                raise
        self.forget()
        return self.network.post(url, content, self.signer(), what, names, accept)

    def address(self) -> str:
        """Return the address of the account, which is its name at the CA."""
        return self.signer().account or ""

    def signer(self) -> Signer:
        """Return who signs for the account, once there is one; of any number of forks one makes it."""
        if self._signer is None:
            self._signer = self._known(self._contact())
        if self._signer is None:
            with self.state.locked(self.name, PATIENCE):
                self._signer = self._known(self._contact()) or self._told(self._known()) or self._made()
        return self._signer

    def forget(self) -> None:
        """Forget an account that the server does not know any more."""
        gone, self._signer = self._signer, None
        with self.state.locked(self.name, PATIENCE):
            if gone and self.state.read(self.name).get("account") == gone.account:
                self.state.remove(self.name)

    # not a parser: it reads what the collection has made or checked
    def change_key(self) -> None:
        """Have the account use the key that is to follow (RFC 8555, section 7.3.5)."""
        following = _signing(self.keys.following())
        if self._found(following):  # an attempt that was interrupted came as far as this
            return
        old, url = self.signer(), self.network.address("keyChange")
        content = {"account": old.account, "oldKey": old.key.public_key().to_partial_json()}
        inner = json.loads(following.sign(json.dumps(content).encode(), url, None))
        self.network.post(url, inner, old, f"changing the key of the account at {self.network.url}")
        self._remember(old.account or "", following)

    def _found(self, signer: Signer) -> bool:
        """Say whether the server knows an account with this key; if so, it is used from now on."""
        url, what = self.network.address("newAccount"), f"looking for an account at {self.network.url}"
        try:
            reply = self.network.post(url, {"onlyReturnExisting": True}, signer, what)
        except Problem as refusal:
            if refusal.code != "accountDoesNotExist":
                raise
            return False
        self._remember(reply.headers.get("Location", ""), signer)
        return True

    def _known(self, contact: list[str] | None = None) -> Signer | None:
        """Return who signs, if an earlier run made the account with a key that is still here, and for this contact if that matters."""
        record = self.state.read(self.name)
        if not record.get("account") or (contact is not None and record.get("contact") != contact):
            return None
        keys = [key for key in self.keys.all() if thumbprint(key) == record.get("key")]
        return _signing(keys[0], record["account"]) if keys else None

    def _told(self, signer: Signer | None) -> Signer | None:
        """Tell the CA that an account has another contact than before."""
        if signer is None:
            return None
        what = f"changing the contact of the account at {self.network.url}"
        try:
            self.network.post(signer.account or "", {"contact": self._contact()}, signer, what)
        except Problem as refusal:
            if refusal.code != "accountDoesNotExist":
                raise
            return None
        self._remember(signer.account or "", signer)
        return signer

    def _made(self) -> Signer:
        signer = _signing(self.keys.current())
        url, what = self.network.address("newAccount"), f"making an account at {self.network.url}"
        try:
            reply = self.network.post(url, self._application(signer), signer, what)
        except Problem as refusal:
            if refusal.code not in ("unauthorized", "malformed") or not self.registration.eab_kid:
                raise
            raise refusal.advising(
                "correct eab_kid and eab_hmac of the issuer, or have the CA give out new ones"
            ) from refusal
        address = reply.headers.get("Location")
        if not address:
            raise TlsError(
                f"{self.network.url} made an account and did not say where; see the status page of the CA, then run this again"
            )
        self._remember(address, signer)
        return Signer(signer.key, address)

    def _application(self, signer: Signer) -> dict[str, t.Any]:
        """Return what the server is told to make an account."""
        terms = self.network.meta("termsOfService")
        if terms and not self.registration.agreed:
            raise TlsError(
                f"{self.network.url} makes accounts for those who agree to {terms}; read it, and set terms_of_service_agreed of the issuer to true"
            )
        application: dict[str, t.Any] = {"contact": self._contact()} if self.registration.email else {}
        if terms:
            application["termsOfServiceAgreed"] = True
        if self.registration.eab_kid and self.registration.eab_hmac:
            application["externalAccountBinding"] = self._binding(signer)
        elif self.network.meta("externalAccountRequired"):
            raise TlsError(
                f"{self.network.url} makes accounts for its customers only; set eab_kid and eab_hmac of the issuer to what it gives you"
            )
        return application

    # not a parser: it catches what the library raises
    def _binding(self, signer: Signer) -> dict[str, t.Any]:
        hmac = (self.registration.eab_hmac or "").strip().rstrip("=").replace("+", "-").replace("/", "_")
        try:
            base64.b64decode(hmac + "=" * (-len(hmac) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise TlsError(
                "eab_hmac of the issuer is not base64url; copy it again from where the CA shows it"
            ) from error
        return messages.ExternalAccountBinding.from_data(
            signer.key.public_key(), self.registration.eab_kid or "", hmac, self.network.directory()
        )

    def _contact(self) -> list[str]:
        return [f"mailto:{address}" for address in self.registration.email]

    def _remember(self, address: str, signer: Signer) -> None:
        key, contact = thumbprint(signer.key.key), self._contact()
        self.state.write(self.name, {"directory": self.network.url, "account": address, "key": key, "contact": contact})
        self._signer = Signer(signer.key, address)


def _signing(key: t.Any, account: str | None = None) -> Signer:
    """Return who signs with a private key."""
    kind = josepy.JWKRSA if isinstance(key, rsa.RSAPrivateKey) else josepy.JWKEC
    return Signer(kind(key=key), account)
