# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variable C(cloud_accounts): the accounts with clouds, by name."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors, validate_arguments

# Settings that accounts of every type have. endpoint: the URL that stands in for that of every service, for tests and private clouds.
SHARED_SETTINGS: dict[str, dict[str, t.Any]] = {
    "endpoint": {"type": "str"},
    "ca_file": {"type": "path"},
    "region": {"type": "str"},
    "role_arn": {"type": "str"},
}

# The settings of each type of account; the keys are the values of its type.
ACCOUNT_SETTINGS: dict[str, dict[str, dict[str, t.Any]]] = {
    "tencent": {
        **SHARED_SETTINGS,
        "secret_id": {"type": "str"},
        "secret_key": {"type": "str", "no_log": True},
        "token": {"type": "str", "no_log": True},
        "site": {"type": "str", "choices": ["china", "international"], "default": "china"},
        "cvm_role": {"type": "str"},
    },
    "aws": {
        **SHARED_SETTINGS,
        "endpoint": {"type": "str", "aliases": ["endpoint_url"]},  # as users of amazon.aws know them
        "ca_file": {"type": "path", "aliases": ["ca_bundle"]},
        "access_key": {"type": "str"},
        "secret_key": {"type": "str", "no_log": True},
        "session_token": {"type": "str", "no_log": True},
        "profile": {"type": "str"},
        "external_id": {"type": "str"},
    },
    "alibaba": {
        **SHARED_SETTINGS,
        "access_key_id": {"type": "str"},
        "access_key_secret": {"type": "str", "no_log": True},
        "security_token": {"type": "str", "no_log": True},
    },
}
ACCOUNT_TYPES = tuple(ACCOUNT_SETTINGS)
EXAMPLE = "main: {type: tencent, secret_id: …, secret_key: …}"


class Account(t.NamedTuple):
    """An account of C(cloud_accounts), checked. Its settings are never shown: they hold secrets."""

    name: str
    type: str
    settings: dict[str, t.Any]  # those of ACCOUNT_SETTINGS, None where there is no value

    def __repr__(self) -> str:
        """Leave the settings out, which hold secrets."""
        return f"Account({self.name!r}, {self.type!r})"


def find_account(name: str | None, accounts: t.Any, types: t.Container[str] = ACCOUNT_TYPES) -> Account:
    """Return the account of this name; without a name the only one.

    accounts: the value of C(cloud_accounts), unchecked. types: those that may be used here.
    Raises TlsError where there is no such account, or its settings are wrong.
    """
    if not isinstance(accounts, dict) or not all(isinstance(settings, dict) for settings in accounts.values()):
        raise TlsError(f"cloud_accounts is no dictionary of dictionaries; write {EXAMPLE} there")
    if not accounts:
        needed = "no cloud account is known" if name is None else f"there is no account named {name}"
        raise TlsError(
            f"{needed}: the inventory has no cloud_accounts for this host, or an empty one; write cloud_accounts: {{{EXAMPLE}}} there, as "
            f"docs/cloud.md says for the types {', '.join(sorted(ACCOUNT_SETTINGS))}"
        )
    name = _only_name(accounts) if name is None else name
    if name not in accounts:
        raise TlsError(
            f"there is no account named {name}, only {', '.join(sorted(map(str, accounts)))}; "
            "add it to cloud_accounts, or correct the name"
        )
    settings = accounts[name]
    kind = str(settings.get("type"))
    if kind not in ACCOUNT_SETTINGS:
        raise TlsError(
            f"cloud account {name}: there is no type {kind!r}, only {', '.join(sorted(ACCOUNT_SETTINGS))}; correct cloud_accounts"
        )
    if kind not in types:
        raise TlsError(
            f"cloud account {name} is of type {kind}, which cannot be used here; name an account of another type"
        )
    explicit = {key: value for key, value in settings.items() if key != "type"}
    checked = validate_arguments(ArgumentSpecValidator(ACCOUNT_SETTINGS[kind]), explicit)
    if checked.error_messages:
        raise TlsError(f"cloud account {name}: {spec_errors(checked)}; correct cloud_accounts")
    return Account(str(name), kind, checked.validated_parameters)


def _only_name(accounts: dict[str, t.Any]) -> str:
    if len(accounts) != 1:
        raise TlsError(
            f"no account is named, and cloud_accounts has {len(accounts)} ({', '.join(sorted(map(str, accounts)))}); write account: NAME"
        )
    return next(iter(accounts))
