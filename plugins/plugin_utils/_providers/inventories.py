# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lists the certificates of an account, by its type. A further cloud is one line in LISTERS."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.account_certificates import CertificateEntry
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.certificates import AlibabaCertificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.client import AlibabaClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws import inventory as aws
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent import inventory as tencent
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.client import TencentClient

Lister = t.Callable[[Account, datetime.datetime, bool], list[CertificateEntry]]


def _of_tencent(account: Account, now: datetime.datetime, has_bindings: bool) -> list[CertificateEntry]:
    return tencent.list_certificates(TencentClient(account.name, **account.settings), now, has_bindings)


def _of_aws(account: Account, now: datetime.datetime, has_bindings: bool) -> list[CertificateEntry]:
    return aws.list_certificates(AwsSession(account.name, account.settings), now, has_bindings)


def _of_alibaba(account: Account, now: datetime.datetime, has_bindings: bool) -> list[CertificateEntry]:
    client = AlibabaClient(account.name, **account.settings)
    return AlibabaCertificates(client).list_all(now, has_bindings)


# By type of account: the account, the time now, and whether to look up what presents each certificate. Raises TlsError.
LISTERS: dict[str, Lister] = {"tencent": _of_tencent, "aws": _of_aws, "alibaba": _of_alibaba}
