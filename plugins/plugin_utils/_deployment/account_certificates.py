# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that lie in an account with a cloud, in one form for all clouds."""

from __future__ import annotations

import datetime
import typing as t


class BoundTo(t.TypedDict):
    """Resources of one service in one region that present a certificate."""

    service: str
    region: str  # empty for services without regions
    resources: int
    names: t.NotRequired[list[str]]  # those of the resources, where the cloud says them


class CertificateEntry(t.TypedDict):
    """One certificate of an account."""

    certificate: str  # the identifier
    alias: str  # its name in the account
    domains: list[str]
    origin: str  # upload, free, bought or private
    status: str  # pending, issued, failed, expired, cancelled, revoked or unknown
    not_before: str | None
    not_after: str | None
    days_left: int | None
    ours: bool  # whether this collection uploaded or ordered it
    bound_to: list[BoundTo] | None  # None where that is not known


def shown_time(moment: datetime.datetime | None) -> str | None:
    """Return a time with its zone as text, in UTC."""
    return moment.astimezone(datetime.timezone.utc).isoformat(timespec="seconds") if moment else None


def days_until(moment: datetime.datetime | None, now: datetime.datetime) -> int | None:
    """Return how many whole days are left until a time with its zone."""
    return (moment - now).days if moment else None


def by_end(entries: t.Iterable[CertificateEntry]) -> list[CertificateEntry]:
    """Return certificates in the order of their ends; those without one come last."""
    return sorted(entries, key=lambda one: (one["not_after"] or "9999", one["certificate"]))


def counted_resources(resources: t.Iterable[tuple[str, str, str]]) -> list[BoundTo]:
    """Return resources by service and region. resources: service, region and name of each.

    >>> counted_resources([("cdn", "", "a"), ("cdn", "", "b")])
    [{'service': 'cdn', 'region': '', 'resources': 2, 'names': ['a', 'b']}]
    """
    names: dict[tuple[str, str], list[str]] = {}
    for service, region, name in sorted(set(resources)):
        names.setdefault((service, region), []).append(name)
    return [
        {"service": service, "region": region, "resources": len(named), "names": named}
        for (service, region), named in names.items()
    ]
