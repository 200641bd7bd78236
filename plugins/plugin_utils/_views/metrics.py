# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The survey document and the records of runs as metrics, in the text format of Prometheus.

Times are seconds since 1970 and do not change between two surveys, so that Prometheus stores little.
Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._documents import run_document, survey_document
from ansible_collections.evergreen.tls.plugins.plugin_utils._documents.run_document import OutcomeEntry, RunDocument
from ansible_collections.evergreen.tls.plugins.plugin_utils._documents.survey_document import (
    EndpointEntry,
    SurveyDocument,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._libraries import install_command
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

try:
    import prometheus_client
    from prometheus_client.core import GaugeMetricFamily
except ImportError:  # only needed for metrics
    prometheus_client = None  # type: ignore[assignment]  # a module that is missing

DETAILS = ("endpoint", "request")
MAX_ENDPOINTS_IN_DETAIL = 2000  # from as many on, a series stands for a request of a host
FINGERPRINT_DIGITS = 16
ENDPOINT_LABELS = ("host", "request", "domain", "address", "port", "contact")
INFO_LABELS = (*ENDPOINT_LABELS, "issuer", "key", "protocol", "fingerprint")


def survey_metrics(
    survey: SurveyDocument,
    runs: list[RunDocument],
    detail: str | None = None,
    has_info: bool = True,
    fleet: str = "",
) -> bytes:
    """Return the text that the textfile collector of node_exporter reads.

    detail: one of DETAILS; None chooses by the number of endpoints. With C(request), a series stands for all endpoints of a
    request of a host: times are those of the certificate with the least life left.
    has_info: whether to add C(evergreen_endpoint_certificate_info), which takes a quarter of the text.
    fleet: a label of each series, for two inventories on one controller.
    Raises TlsError where the library prometheus_client is missing, or detail is none of DETAILS.
    """
    if prometheus_client is None:
        raise TlsError(
            "metrics_path needs the Python library prometheus_client on the controller; "
            f"{install_command('prometheus_client')}"
        )
    if detail not in (None, *DETAILS):
        raise TlsError(f"metrics_detail is {detail!r}, and has to be one of {', '.join(DETAILS)}")
    is_short = detail == "request" or (detail is None and len(survey["endpoints"]) >= MAX_ENDPOINTS_IN_DETAIL)
    families = _Families(fleet)
    for group in _groups(survey["endpoints"], is_short):
        _add_endpoints(families, group, has_info)
    _add_survey(families, survey)
    _add_runs(families, [run for run in runs if not run["check_mode"]])
    registry = prometheus_client.CollectorRegistry()
    registry.register(families)
    return bytes(prometheus_client.generate_latest(registry))


class _Families:
    """Gauges by name, in the order of their first value."""

    def __init__(self, fleet: str) -> None:
        self.fleet = {"fleet": fleet} if fleet else {}
        self.families: dict[str, GaugeMetricFamily] = {}
        self.seen: set[tuple[str, ...]] = set()

    def add(self, name: str, documentation: str, value: float | None, labels: dict[str, str] | None = None) -> None:
        """Add a value. None is left out, and so is a second value with the same labels: one of these spoils the file."""
        if value is None:
            return
        labels = {**(labels or {}), **self.fleet}
        texts = [shorten(escape_as_one_line(text)) for text in labels.values()]
        if (name, *texts) in self.seen:
            return
        self.seen.add((name, *texts))
        if name not in self.families:
            self.families[name] = GaugeMetricFamily(f"evergreen_{name}", documentation, labels=list(labels))
        self.families[name].add_metric(texts, value)

    def collect(self) -> t.Iterable[GaugeMetricFamily]:
        """Return the gauges, as prometheus_client calls this method of a collector."""
        return self.families.values()


def _seconds(text: str | None) -> float | None:
    """Return seconds since 1970; None for a text that is no date."""
    date = parse_date(text)
    return date.timestamp() if date else None


def _groups(endpoints: list[EndpointEntry], is_short: bool) -> list[list[EndpointEntry]]:
    """Return the endpoints that share a series, those of a group from the worst on."""
    groups: dict[t.Any, list[EndpointEntry]] = {}
    for number, endpoint in enumerate(endpoints):
        is_of_request = is_short and endpoint["request"]
        key = (endpoint["host"], endpoint["request"]) if is_of_request else number
        entry = EndpointEntry(**{**endpoint, "name": "", "address": "", "port": 0}) if is_of_request else endpoint
        groups.setdefault(key, []).append(entry)
    return [sorted(group, key=_rank) for group in groups.values()]


def _rank(endpoint: EndpointEntry) -> tuple[bool, float]:
    """Return what sorts the certificate with the least life left first, and endpoints without certificate last."""
    life = endpoint["life_left"]
    return endpoint["certificate"] is None, 1.0 if life is None else life


# not a parser: what read the document has checked its fields
def _add_endpoints(families: _Families, group: list[EndpointEntry], has_info: bool) -> None:
    """Add the series of endpoints that share their labels, the worst endpoint first."""
    endpoint = group[0]
    labels = {
        "host": endpoint["host"],
        "request": endpoint["request"],
        "domain": endpoint["name"],
        "address": endpoint["address"],
        "port": str(endpoint["port"] or ""),
        "contact": ", ".join(endpoint["contact"]),
    }
    is_reachable = all(one["certificate"] is not None for one in group)
    families.add(
        "endpoint_reachable", "1 if the last survey read a certificate from the endpoint.", float(is_reachable), labels
    )
    families.add(
        "endpoint_due",
        "1 if the certificate of the endpoint is to be renewed, or has expired.",
        float(any(one["state"] in ("expired", "due") for one in group)),
        labels,
    )
    families.add(
        "endpoint_renewal_timestamp_seconds",
        "When the certificate that an endpoint serves is to be renewed.",
        _seconds(endpoint["renew_at"]),
        labels,
    )
    certificate = endpoint["certificate"]
    if certificate is None:
        return
    not_after, chain_not_after = _seconds(certificate["not_after"]), _seconds(certificate["chain_not_after"])
    families.add(
        "endpoint_not_before_timestamp_seconds",
        "When the certificate that an endpoint serves becomes valid.",
        _seconds(certificate["not_before"]),
        labels,
    )
    families.add(
        "endpoint_not_after_timestamp_seconds",
        "When the certificate that an endpoint serves expires.",
        not_after,
        labels,
    )
    if not_after is not None and chain_not_after is not None and chain_not_after < not_after:
        families.add(
            "endpoint_chain_not_after_timestamp_seconds",
            "When a certificate of the chain expires, where that is before the certificate of the server does.",
            chain_not_after,
            labels,
        )
    if has_info:
        of_certificate = {
            "issuer": certificate["issuer"],
            "key": certificate["key"],
            "protocol": endpoint["protocol"] or "",
            "fingerprint": certificate["fingerprint"][:FINGERPRINT_DIGITS],
        }
        families.add(
            "endpoint_certificate_info", "The certificate that an endpoint serves.", 1.0, {**labels, **of_certificate}
        )


def _add_survey(families: _Families, survey: SurveyDocument) -> None:
    """Add what the survey says as a whole."""
    for state in survey_document.STATES:
        families.add(
            "endpoints", "Endpoints of the last survey by state.", survey["counts"].get(state, 0), {"state": state}
        )
    started, finished = _seconds(survey["started"]), _seconds(survey["finished"])
    families.add("survey_timestamp_seconds", "When the last survey ended.", finished)
    if started is not None and finished is not None:
        families.add("survey_duration_seconds", "How long the last survey took.", finished - started)


# not a parser: what read the document has checked its fields
def _add_runs(families: _Families, runs: list[RunDocument]) -> None:
    """Add what the newest run says, and when the last one succeeded."""
    dated = sorted(
        (moment, number) for number, run in enumerate(runs) if (moment := _seconds(run["finished"])) is not None
    )
    if not dated:
        return
    newest, number = dated[-1]
    run = runs[number]
    families.add("run_timestamp_seconds", "When the last run ended.", newest)
    families.add(
        "run_success_timestamp_seconds",
        "When the last run ended in which nothing failed and no host was left untouched.",
        next((moment for moment, one in reversed(dated) if _is_success(runs[one])), None),
    )
    for state in run_document.STATES:
        families.add(
            "run_requests", "Requests of the last run by state.", run["counts"].get(state, 0), {"state": state}
        )
    families.add("run_stopped", "1 if failures stopped the last run.", float(bool(run["stopped_by"])))
    for outcome in run["outcomes"]:
        _add_waiting(families, outcome)


def _is_success(run: RunDocument) -> bool:
    """Return whether nothing failed in a run, and it reached each host."""
    return not run["stopped_by"] and not any(run["counts"].get(state) for state in ("failed", "untouched"))


def _add_waiting(families: _Families, outcome: OutcomeEntry) -> None:
    """Add since when a request waits for people or its CA, if it does."""
    if outcome["state"] == "waiting":
        families.add(
            "request_waiting_since_timestamp_seconds",
            "Since when a request waits for its certificate.",
            _seconds(outcome["since"]),
            {
                "host": outcome["host"],
                "request": outcome["request"],
                "issuer": outcome["issuer"],
                "contact": ", ".join(outcome["contact"]),
            },
        )
