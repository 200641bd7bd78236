# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The account at an ACME server. It is created on first use (RFC 8555, section 7.3)."""

from __future__ import annotations

import base64
import binascii
import json
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import (
    AccountKey,
    AccountKeys,
    thumbprint,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.client import Client, Response, Signer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem, words_of_ca
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import is_url, origin_of
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name

try:
    import josepy
    from acme import messages
    from cryptography.hazmat.primitives.asymmetric import rsa
except ImportError:  # said by require_libraries(), before anything here is called
    pass

ACCOUNT_LOCK_TIMEOUT_S = 180.0  # for which a fork waits for the one that creates the account


class Registration(t.NamedTuple):
    """The settings of the issuer with which an account is created."""

    email: tuple[str, ...] = ()
    is_terms_agreed: bool = True
    eab_kid: str | None = None
    eab_hmac: str | None = None


class Account:
    """The account of a key at the server of a directory."""

    def __init__(self, folder: JsonRecords, keys: AccountKeys, client: Client, registration: Registration) -> None:
        self.folder, self.keys, self.client, self.registration = folder, keys, client, registration
        self.name = file_name(client.url, re.sub("^https?://", "", client.url))
        self._signer: Signer | None = None

    def post(
        self, url: str, payload: t.Any, subject: str, names: t.Sequence[str] = (), accept: str | None = None
    ) -> Response:
        """Return the response to a request of the account, as Client.post() does.

        An account that the server has forgotten is created again.
        """
        try:
            return self.client.post(url, payload, self.signer(), subject, names, accept)
        except Problem as refusal:
            if refusal.code != "accountDoesNotExist":
                raise
        self.forget()
        return self.client.post(url, payload, self.signer(), subject, names, accept)

    def url(self) -> str:
        """Return the URL of the account."""
        return self.signer().account_url or ""

    def known_url(self) -> str | None:
        """Return the URL of the account, or None if there is none yet."""
        recorded = self._signer or self._recorded()
        return recorded.account_url if recorded else None

    def key(self) -> AccountKey:
        """Return the private key of the account, or the one with which it would be created."""
        recorded = self._signer or self._recorded()
        return recorded.key.key if recorded else self.keys.current()

    def signer(self) -> Signer:
        """Return what signs for the account.

        The account is created if there is none, by one of any number of forks.
        """
        if self._signer is None:
            self._signer = self._recorded(self._contact())
        if self._signer is None:
            with self.folder.locked(self.name, ACCOUNT_LOCK_TIMEOUT_S):
                self._signer = (
                    self._recorded(self._contact()) or self._with_new_contact(self._recorded()) or self._create()
                )
        return self._signer

    def forget(self) -> None:
        """Remove the record of an account that the server does not know."""
        gone, self._signer = self._signer, None
        with self.folder.locked(self.name, ACCOUNT_LOCK_TIMEOUT_S):
            if gone and self.folder.read(self.name).get("account") == gone.account_url:
                self.folder.remove(self.name)

    # not a parser: it reads what the collection has made or checked
    def change_key(self) -> None:
        """Give the account the next key (RFC 8555, section 7.3.5)."""
        new = _signer_of(self.keys.next())
        if self._find_existing(new):  # an interrupted attempt has changed the key already
            return
        old, url = self.signer(), self.client.resource_url("keyChange")
        content = {"account": old.account_url, "oldKey": old.key.public_key().to_partial_json()}
        inner = json.loads(new.sign(json.dumps(content).encode(), url, None))
        self.client.post(url, inner, old, f"changing the key of the account at {self.client.url}")
        self._record(old.account_url or "", new)

    def _find_existing(self, signer: Signer) -> bool:
        """Say whether the server has an account with this key (RFC 8555, section 7.3.1). If so, record it."""
        url, subject = self.client.resource_url("newAccount"), f"looking for an account at {self.client.url}"
        try:
            response = self.client.post(url, {"onlyReturnExisting": True}, signer, subject)
        except Problem as refusal:
            if refusal.code != "accountDoesNotExist":
                raise
            return False
        self._record(self._account_url(response, subject), signer)
        return True

    def _recorded(self, contact: list[str] | None = None) -> Signer | None:
        """Return the signer of the recorded account, if its key is still here.

        None if there is no such account, or its contact is not the given one.
        """
        record = self.folder.read(self.name, ("account", "key"))
        if not is_url(record.get("account")) or (contact is not None and record.get("contact") != contact):
            return None
        keys = [key for key in self.keys.all() if thumbprint(key) == record.get("key")]
        return _signer_of(keys[0], record["account"]) if keys else None

    def _with_new_contact(self, signer: Signer | None) -> Signer | None:
        """Update the contact at the CA; return the signer, or None if there is no such account."""
        if signer is None:
            return None
        subject = f"changing the contact of the account at {self.client.url}"
        try:
            self.client.post(signer.account_url or "", {"contact": self._contact()}, signer, subject)
        except Problem as refusal:
            if refusal.code != "accountDoesNotExist":
                raise
            return None
        self._record(signer.account_url or "", signer)
        return signer

    def _create(self) -> Signer:
        signer = _signer_of(self.keys.current())
        url, subject = self.client.resource_url("newAccount"), f"making an account at {self.client.url}"
        try:
            response = self.client.post(url, self._new_account(signer), signer, subject)
        except Problem as refusal:
            if refusal.code not in ("unauthorized", "malformed") or not self.registration.eab_kid:
                raise
            raise refusal.with_remedy(
                "correct eab_kid and eab_hmac of the issuer, or have the CA give out new ones"
            ) from refusal
        account_url = self._account_url(response, subject)
        self._record(account_url, signer)
        return Signer(signer.key, account_url)

    def _account_url(self, response: Response, subject: str) -> str:
        """Return the URL of the account that a response is about. Raises TlsError if it does not say that."""
        account_url = response.location(subject)
        if account_url is None:
            raise TlsError(
                f"{self.client.url} made an account and did not say where; see the status page of the CA, then run this again"
            )
        if origin_of(account_url) != origin_of(self.client.resource_url("newAccount")):
            # A record of dns-persist-01 or CAA with the account of somebody else would let that account have certificates.
            raise TlsError(
                f"{subject}: the CA says that the account is {words_of_ca(account_url)}, which is on another server than {response.url}; "
                "see the status page of the CA"
            )
        return account_url

    def _new_account(self, signer: Signer) -> dict[str, t.Any]:
        """Return the payload for newAccount."""
        terms = self.client.meta("termsOfService")
        if terms and not self.registration.is_terms_agreed:
            raise TlsError(
                f"{self.client.url} makes accounts for those who agree to {words_of_ca(terms)}; read it, and set terms_of_service_agreed of the issuer to true"
            )
        payload: dict[str, t.Any] = {"contact": self._contact()} if self.registration.email else {}
        if terms:
            payload["termsOfServiceAgreed"] = True
        if self.registration.eab_kid and self.registration.eab_hmac:
            payload["externalAccountBinding"] = self._external_account_binding(signer)
        elif self.client.meta("externalAccountRequired"):
            raise TlsError(
                f"{self.client.url} makes accounts for its customers only; set eab_kid and eab_hmac of the issuer to what it gives you"
            )
        return payload

    # not a parser: it catches what the library raises
    def _external_account_binding(self, signer: Signer) -> dict[str, t.Any]:
        """Return the key signed with the HMAC of the customer (RFC 8555, section 7.3.4)."""
        hmac = (self.registration.eab_hmac or "").strip().rstrip("=").replace("+", "-").replace("/", "_")
        try:
            base64.b64decode(hmac + "=" * (-len(hmac) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise TlsError(
                "eab_hmac of the issuer is not base64url; copy it again from where the CA shows it"
            ) from error
        directory = messages.Directory({"newAccount": self.client.resource_url("newAccount")})
        return messages.ExternalAccountBinding.from_data(
            signer.key.public_key(), self.registration.eab_kid or "", hmac, directory
        )

    def _contact(self) -> list[str]:
        return [f"mailto:{address}" for address in self.registration.email]

    def _record(self, account_url: str, signer: Signer) -> None:
        key, contact = thumbprint(signer.key.key), self._contact()
        self.folder.write(
            self.name, {"directory": self.client.url, "account": account_url, "key": key, "contact": contact}
        )
        self._signer = Signer(signer.key, account_url)


def _signer_of(key: AccountKey, account_url: str | None = None) -> Signer:
    """Return what signs with a private key."""
    kind = josepy.JWKRSA if isinstance(key, rsa.RSAPrivateKey) else josepy.JWKEC
    return Signer(kind(key=key), account_url)
