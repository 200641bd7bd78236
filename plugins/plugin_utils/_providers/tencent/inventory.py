# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies in the certificate service of an account: each certificate, until when it is valid, and what presents it. Reads only."""

from __future__ import annotations

import datetime
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.account_certificates import (
    BoundTo,
    CertificateEntry,
    by_end,
    days_until,
    shown_time,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.certificates import (
    LOOK_IS_FRESH,
    MAX_PAGES,
    NOT_ALLOWED_CODES,
    PAGE_SIZE,
    TASK_DONE,
    TASK_INTERVAL_S,
    TASK_RUNNING,
    TASK_TIMEOUT_S,
    Client,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import TencentError, matches
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.free_certificates import (
    FREE_PACKAGES,
    read_time,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.stored_service import (
    LABEL_BEGIN,
    objects_at,
    text_at,
)

MAX_CERTIFICATES_OF_TASK = 100
STATUSES = {
    0: "pending",
    1: "issued",
    2: "failed",
    3: "expired",
    4: "pending",
    5: "pending",
    6: "cancelled",
    7: "cancelled",
    8: "pending",
    9: "revoked",
    10: "revoked",
    11: "pending",
    12: "revoked",
    13: "pending",
    14: "cancelled",
    15: "pending",
}


def list_certificates(
    client: Client, now: datetime.datetime, has_bindings: bool, sleep: t.Callable[[float], None] = time.sleep
) -> list[CertificateEntry]:
    """Return the certificates of an account, the one that ends first first.

    has_bindings: whether to look up what presents them, which takes seconds for each hundred.
    """
    listed: list[dict[str, t.Any]] = []
    for page in range(MAX_PAGES):
        parameters = {"Offset": page * PAGE_SIZE, "Limit": PAGE_SIZE}
        certificates = objects_at(client.call("ssl", "DescribeCertificates", parameters), "Certificates")
        listed += [one for one in certificates if text_at(one, "CertificateId")]
        if len(certificates) < PAGE_SIZE:
            break
    bound = bindings_of(client, [text_at(one, "CertificateId") for one in listed], sleep) if has_bindings else {}
    entries = [read_entry(one, bound, now) for one in listed]
    return by_end(entries)


def read_entry(
    one: dict[str, t.Any], bound: dict[str, list[BoundTo] | None], now: datetime.datetime
) -> CertificateEntry:
    """Return a certificate as the API lists it. bound: by certificate, what presents it."""
    begin, end = read_time(one.get("CertBeginTime")), read_time(one.get("CertEndTime"))
    names = one.get("SubjectAltName")
    domains = [name for name in (names if isinstance(names, list) else []) if isinstance(name, str)]
    status = one.get("Status")
    is_free = text_at(one, "PackageType") in FREE_PACKAGES
    certificate = text_at(one, "CertificateId")
    return {
        "certificate": certificate,
        "alias": text_at(one, "Alias"),
        "domains": domains or [name for name in [text_at(one, "Domain")] if name],
        "origin": "upload" if text_at(one, "From") == "upload" else ("free" if is_free else "bought"),
        "status": STATUSES.get(status, "unknown") if isinstance(status, int) else "unknown",
        "not_before": shown_time(begin),
        "not_after": shown_time(end),
        "days_left": days_until(end, now),
        "ours": text_at(one, "Alias").startswith(LABEL_BEGIN),
        "bound_to": bound.get(certificate),
    }


def bindings_of(
    client: Client, names: list[str], sleep: t.Callable[[float], None] = time.sleep
) -> dict[str, list[BoundTo] | None]:
    """Return what presents each certificate, by a look now. A certificate for which that is not known is left out."""
    bound: dict[str, list[BoundTo] | None] = {}
    for start in range(0, len(names), MAX_CERTIFICATES_OF_TASK):
        chunk = names[start : start + MAX_CERTIFICATES_OF_TASK]
        parameters = {"CertificateIds": chunk, "IsCache": LOOK_IS_FRESH}
        try:
            started = client.call("ssl", "CreateCertificateBindResourceSyncTask", parameters)
        except TencentError as error:
            if matches(error.code, NOT_ALLOWED_CODES):
                return bound
            raise
        tasks = {text_at(one, "TaskId"): text_at(one, "CertId") for one in objects_at(started, "CertTaskIds")}
        for task, resources in _finished_tasks(client, list(tasks), sleep).items():
            bound[tasks[task]] = resources
    return bound


def _finished_tasks(
    client: Client, tasks: list[str], sleep: t.Callable[[float], None]
) -> dict[str, list[BoundTo] | None]:
    """Return the results of tasks, by task. One that does not end in time is left out."""
    results: dict[str, list[BoundTo] | None] = {}
    waited = 0.0
    while waited < TASK_TIMEOUT_S:
        pending = [task for task in tasks if task not in results]
        if not pending:
            break
        answer = client.call("ssl", "DescribeCertificateBindResourceTaskResult", {"TaskIds": pending})
        for one in objects_at(answer, "SyncTaskBindResourceResult"):
            if one.get("Status") != TASK_RUNNING and text_at(one, "TaskId") in pending:
                results[text_at(one, "TaskId")] = read_bound(one)
        sleep(TASK_INTERVAL_S if len(results) < len(tasks) else 0)
        waited += TASK_INTERVAL_S
    return results


def read_bound(result: dict[str, t.Any]) -> list[BoundTo] | None:
    """Return what a task has found; None where it failed, or a region could not be looked at."""
    if result.get("Status") != TASK_DONE:
        return None
    bound: list[BoundTo] = []
    for kind in objects_at(result, "BindResourceResult"):
        for region in objects_at(kind, "BindResourceRegionResult"):
            count = region.get("TotalCount")
            if region.get("Error") or not isinstance(count, int):
                return None
            if count:
                bound.append(
                    {"service": text_at(kind, "ResourceType"), "region": text_at(region, "Region"), "resources": count}
                )
    return bound
