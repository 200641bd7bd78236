# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An account is checked before it is used, and its secrets are in no text."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import find_account

MAIN = {"type": "tencent", "secret_id": "AKID1", "secret_key": "hush"}
SHOP = {"type": "aws", "access_key": "AKIA1", "secret_key": "hush"}


def test_the_only_account_needs_no_name():
    account = find_account(None, {"main": MAIN})
    assert (account.name, account.type, account.settings["site"], account.settings["token"]) == (
        "main",
        "tencent",
        "china",
        None,
    )


def test_an_account_shows_no_secret():
    assert "hush" not in f"{find_account('main', {'main': MAIN})!r} {find_account('main', {'main': MAIN})}"


@pytest.mark.parametrize(
    ("name", "accounts", "types", "words"),
    [
        (
            None,
            {},
            {"tencent"},
            r"no cloud account is known: the inventory has no cloud_accounts .*; write cloud_accounts: \{main: .*\} there, as docs/cloud.md says",
        ),
        ("main", {}, {"tencent"}, "there is no account named main: the inventory has no cloud_accounts for this host"),
        (None, {"main": MAIN, "shop": SHOP}, {"tencent"}, r"cloud_accounts has 2 \(main, shop\); write account: NAME"),
        ("man", {"main": MAIN}, {"tencent"}, "there is no account named man, only main; add it to cloud_accounts"),
        (
            "main",
            {"main": {**MAIN, "type": "tencnet"}},
            {"tencent"},
            "there is no type 'tencnet', only alibaba, aws, tencent",
        ),
        ("main", {"main": {"secret_id": "x"}}, {"tencent"}, "there is no type 'None'"),
        ("shop", {"shop": SHOP}, {"tencent"}, "cloud account shop is of type aws, which cannot be used here"),
        (
            "main",
            {"main": {**MAIN, "secret": "hush"}},
            {"tencent"},
            "cloud account main: there is no secret \\(did you mean secret_id\\?\\); correct cloud_accounts",
        ),
        (
            "main",
            {"main": {**MAIN, "site": "moon"}},
            {"tencent"},
            "value of site must be one of: china, international, got: moon",
        ),
        ("main", [MAIN], {"tencent"}, "cloud_accounts is no dictionary of dictionaries; write main:"),
        ("main", {"main": "hush"}, {"tencent"}, "cloud_accounts is no dictionary of dictionaries"),
    ],
)
def test_a_wrong_account_is_refused_without_its_secrets(name, accounts, types, words):
    with pytest.raises(TlsError, match=words) as caught:
        find_account(name, accounts, types)
    assert "hush" not in str(caught.value)
