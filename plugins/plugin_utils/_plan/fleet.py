# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a fleet requests, and what the records of the controller have of it. Nothing is asked over the network, and nothing is written."""

from __future__ import annotations

import collections
import datetime
import typing as t

from ansible.errors import AnsibleError

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import renewal_time
from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.cloud import is_hosted
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.fact_check import check_facts
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.first_renewals import earliest_advice
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.issuer import Acme
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_info import advice_of_ca
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import Issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.open_issuers import OpenIssuers
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import endpoints_of_host

Account = tuple[str, str]  # the folder of an ACME issuer, and the URL of its first directory


class Current(t.NamedTuple):
    """The certificate of a request, as the records have it."""

    begin: datetime.datetime
    end: datetime.datetime
    renew_at: datetime.datetime
    window: tuple[datetime.datetime, datetime.datetime] | None  # of its renewal information
    has_same_names: bool  # as the request


class Subject(t.NamedTuple):
    """A request of a host."""

    host: str
    request: str
    names: tuple[str, ...]
    issuer: str
    account: Account | None  # None where no limits are counted
    current: Current | None
    may_spread: bool = True  # its first renewal; not where it says itself when it is renewed


class Fleet(t.NamedTuple):
    """All requests of the hosts of a play."""

    subjects: list[Subject]
    hosted: list[Request]  # those whose certificates a cloud makes
    issuers: dict[Account, Acme]
    faults: list[str]  # sentences about hosts and requests that cannot be read


# not a parser: it reads the inventory, and what the collection has made or checked
def read_fleet(
    hosts: t.Iterable[str],
    variables_of: t.Callable[[str], t.Mapping[str, t.Any]],
    now: datetime.datetime,
    requests: t.Collection[str] = (),
) -> Fleet:
    """Return the requests of hosts. requests: the names of the requested ones; all of them if it is empty."""
    fleet, open_issuers = Fleet([], [], {}, []), t.cast(OpenIssuers, {})
    for host in hosts:
        try:
            variables = variables_of(host)
            check_facts(variables, host)
            # What a controller may not see of a host is of no concern here: no endpoint is looked at.
            adapted = collections.ChainMap({"certificate_verify_from": None}, t.cast(t.Any, variables))
            endpoints, faults = endpoints_of_host(host, adapted, open_issuers)
        except AnsibleError as error:
            fleet.faults.append(f"{host}: its variables cannot be read: {' '.join(str(error).split()).rstrip('.')}")
            continue
        except Exception as error:
            fleet.faults.append(f"{host}: {failure_sentence(error)}")
            continue
        fleet.faults.extend(f"{host}: {fault.reason}" for fault in faults)
        by_name = {endpoint.request["name"]: endpoint for endpoint in endpoints}
        for name, endpoint in by_name.items():
            if requests and name not in requests:
                continue
            if is_hosted(endpoint.request):
                fleet.hosted.append(endpoint.request)
                continue
            try:
                fleet.subjects.append(read_subject(endpoint.request, endpoint.issuer, fleet.issuers, now))
            except Exception as error:
                fleet.faults.append(f"{host}, {name}: {failure_sentence(error)}")
    return fleet


def read_subject(request: Request, issuer: Issuer, issuers: dict[Account, Acme], now: datetime.datetime) -> Subject:
    """Return a request with what the records of its issuer have. issuers: gets the issuer, if it is of the type acme."""
    host, name = t.cast(str, request.get("host")), request["name"]
    names = tuple(request["domains"])
    if isinstance(issuer, Acme):
        account = issuer.folder.path, issuer.directories[0].url
        issuers.setdefault(account, issuer)
        return Subject(
            host,
            name,
            names,
            request["issuer"],
            account,
            _current_of_acme(issuer, request, now),
            not request.get("renew_before"),
        )
    issued = [one for one in issuer.issued(host, name) if not one.revoked]
    begin, end = (parse_date(issued[-1].issued_at), parse_date(issued[-1].not_after)) if issued else (None, None)
    current = None
    if begin and end:
        renew_at = renewal_time(begin, end, request.get("renew_before"), f"{host}/{name}")
        current = Current(begin, end, renew_at, None, True)
    return Subject(host, name, names, request["issuer"], None, current)


# not a parser: it reads what the collection has made or checked
def _current_of_acme(issuer: Acme, request: Request, now: datetime.datetime) -> Current | None:
    host, name = t.cast(str, request.get("host")), request["name"]
    records = issuer.renewals.current(host, name)
    if not records:
        return None
    identifier, record = max(records.items(), key=lambda item: item[1]["not_before"])
    begin, end = parse_date(record["not_before"]), parse_date(record["not_after"])
    if begin is None or end is None:
        return None
    edges = [edge for edge in map(parse_date, record.get("window") or []) if edge]
    may_spread = issuer.settings["spread"] and not request.get("renew_before")
    advice = earliest_advice(
        advice_of_ca(record), issuer.first_renewals.spread(host, name, record) if may_spread else None
    )
    advised = parse_date(advice["at"]) if advice else None
    renew_at = renewal_time(begin, end, request.get("renew_before"), f"{host}/{name}", advised)
    kind = issuer.renewals.kind_of_order(host, name, identifier, list(request["domains"]), now)
    return Current(begin, end, renew_at, (edges[0], edges[1]) if len(edges) == 2 else None, kind.has_same_names)
