# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the people of a CA want to see: checked while a request waits, and for a diagnosis."""

from __future__ import annotations

import datetime
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import Pending, expect_date
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.outbox import Outbox
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.queue import WITHDRAWN, Queue, QueueRecord
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.obstacles import NameChecks

CHECK_TIMEOUT_S = 10.0  # for all that one request waits for
DATE_CHARACTERS = len("2026-01-01")
DIGEST_CHARACTERS = 16  # of a fingerprint, in a sentence


class ValidationChecks(NameChecks):
    """An issuer whose CA wants to see records or files. Its settings are C(resolvers) and C(caa_identities)."""

    settings: dict[str, t.Any]
    queue: Queue
    outbox: Outbox

    def find_obstacles(self, request: Request, host: str, deadline: float) -> list[Finding]:
        """Return what stands in the way of a request, as far as it is seen from here."""
        dates = [one["handed_in"] for one in self.queue.pending(host) if one["request"] == request["name"]]
        since = expect_date(min(dates)) if dates else None
        return [*super().find_obstacles(request, host, deadline), *self._check(request, since, deadline)]

    def with_validation(self, pending: Pending, request: Request) -> Pending:
        """Return a request that waits, with what the CA does not see yet, or how long it usually takes."""
        if not request.get("validation"):
            return pending
        from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.validation import validation_summary

        summary = validation_summary(self._check(request, pending.since, time.monotonic() + CHECK_TIMEOUT_S))
        return pending._replace(sentence=f"{pending.sentence}; {summary}") if summary else pending

    def _with_new_validation(self, record: QueueRecord, request: Request) -> QueueRecord:
        """Return the record of a request that waits, written again where the CA wants to see something else by now."""
        from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.validation import describe_validation

        described = describe_validation(request.get("validation"))
        if record.get("validation", []) == described:
            return record
        changed: QueueRecord = {**record, "validation": described}
        self.outbox.update(changed)
        self.queue.put(changed)
        return changed

    def _check(self, request: Request, since: datetime.datetime | None, deadline: float) -> list[Finding]:
        # Not above: these load dnspython, which a survey does not need.
        from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.validation import check_validation
        from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient

        client = DnsClient(self.settings["resolvers"])
        return check_validation(request, client, self.settings["caa_identities"], since, utc_now(), deadline)


# not a parser: it reads what the collection has made or checked
def check_unused(record: QueueRecord | None, request: Request, csr: bytes, host: str) -> None:
    """Raise TlsError for a CSR that was handed in for another request: CAs refuse one that an order had before.

    record: the one of its public key.
    """
    if record is None or record["state"] == WITHDRAWN or (record["host"], record["request"]) == (host, request["name"]):
        return
    if load_csr(record["csr"].encode()).tbs_certrequest_bytes == load_csr(csr).tbs_certrequest_bytes:
        raise TlsError(
            f"the signing request of {request['name']} (public key {record['key'][:DIGEST_CHARACTERS]}…) was handed in on "
            f"{record['handed_in'][:DATE_CHARACTERS]} for {record['request']} of {record['host']}, and CAs refuse one that was used before; have "
            "another key made with -e certificate_force=true, and leave out reuse_key"
        )
