# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For how long no free certificate is ordered after a refusal: kept on the disk, so that later runs and other hosts observe it."""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import (
    JsonRecords,
    date_to_wait_for,
    file_name,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import (
    RATE_LIMIT_CODES,
    TencentError,
    matches,
)

MAX_PAUSE = datetime.timedelta(days=8)
DEFAULT_PAUSE = datetime.timedelta(minutes=10)  # after "too often": the API names no time
QUOTA_PAUSE = datetime.timedelta(hours=6)  # somebody may revoke a certificate meanwhile
QUOTA_CODES = ("FailedOperation.ExceedsFreeLimit",)  # of the account
DOMAIN_QUOTA_CODES = ("FailedOperation.MainDomainCertificateCountLimit",)  # of the primary domain
TIME_IN_WORDS = re.compile(r"\b([0-9]{1,4})\s*(second|minute|hour|day)s?\b", re.IGNORECASE)
ACCOUNT = "account"  # the scope of a pause that is for all domains


class OrderPauses:
    """The pauses of one account, by primary domain."""

    def __init__(
        self, folder: JsonRecords, account: str, key: str, now: t.Callable[[], datetime.datetime] = utc_now
    ) -> None:
        """Take the name of an account, and what tells it from others of that name: the identifier of its key."""
        self.folder, self.record, self.now = folder, file_name(key, f"pauses-{account}"), now

    def check(self, zone: str) -> None:
        """Raise TlsError while no certificate is ordered for a primary domain."""
        pauses = self.folder.read(self.record)
        for scope in (ACCOUNT, zone):
            pause = pauses.get(scope)
            pause = pause if isinstance(pause, dict) else {}
            until = date_to_wait_for(pause.get("until"), MAX_PAUSE, self.now())
            if until:
                raise TlsError(
                    f"{pause.get('sentence')}; nothing is ordered again before {format_date(until)}, unless with certificate_force=true"
                )

    def refused(self, error: TlsError, zone: str) -> TlsError:
        """Return a refusal of an order, with the time until which it is remembered where waiting helps."""
        code = error.code if isinstance(error, TencentError) else ""
        pause = pause_of(code, str(error))
        if pause is None:
            return error
        until = self.now() + pause
        scope = zone if matches(code, DOMAIN_QUOTA_CODES) else ACCOUNT
        with self.folder.locked(self.record):
            pauses = self.folder.read(self.record)
            self.folder.write(self.record, {**pauses, scope: {"until": until.isoformat(), "sentence": str(error)}})
        return TlsError(
            f"{error}; nothing is ordered again before {format_date(until)}, unless with certificate_force=true"
        )


def pause_of(code: str, words: str) -> datetime.timedelta | None:
    """Return how long to wait after a refusal, as its words say or its code implies; None where waiting does not help."""
    if matches(code, RATE_LIMIT_CODES):
        pause = DEFAULT_PAUSE
    elif matches(code, (*QUOTA_CODES, *DOMAIN_QUOTA_CODES)):
        pause = QUOTA_PAUSE
    else:
        return None
    named = TIME_IN_WORDS.search(words)
    if named:
        pause = datetime.timedelta(**{f"{named[2].lower()}s": int(named[1])})
    return min(max(pause, datetime.timedelta(seconds=1)), MAX_PAUSE)
