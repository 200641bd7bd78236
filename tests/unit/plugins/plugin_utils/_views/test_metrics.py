# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Metrics, read by the parser of prometheus_client."""

from __future__ import annotations

import collections
import datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._views import metrics

RENEW_AT = "2026-11-29T15:12:44+00:00"
HOSTILE = ["\x1b[2J", 'a"b', "a\\", "a\nb 1", "{x}", "\u202eabc", "\ud800", "x" * 65536]


def certificate(**changes):
    return {
        "common_name": "www.example.org",
        "names": ["www.example.org"],
        "issuer": "Example CA",
        "chain": ["www.example.org", "Example CA"],
        "chain_not_after": "2027-02-01T00:00:00+00:00",
        "key": "ECC secp256r1",
        "signature": "ecdsa-with-SHA384",
        "serial_number": "01",
        "fingerprint": "ab" * 32,
        "not_before": "2026-10-01T00:00:00+00:00",
        "not_after": "2026-12-30T00:00:00+00:00",
        **changes,
    }


def endpoint(**changes):
    return {
        "host": "web5",
        "request": "www.example.org",
        "name": "www.example.org",
        "address": "192.0.2.5",
        "port": 443,
        "state": "fine",
        "code": None,
        "reason": "",
        "since": "2026-11-29T16:00:00+00:00",
        "contact": ["web@example.org", "ops"],
        "issuer": "letsencrypt",
        "managed": True,
        "renew_at": RENEW_AT,
        "protocol": "TLSv1.3",
        "accepts": None,
        "days_left": 22.3,
        "life_left": 0.24,
        "certificate": certificate(),
        **changes,
    }


def unreachable(**changes):
    return endpoint(
        **{
            "state": "unknown",
            "code": "unreachable",
            "certificate": None,
            "renew_at": None,
            "life_left": None,
            **changes,
        }
    )


def survey(*endpoints):
    return {
        "started": "2026-11-30T08:00:00+00:00",
        "finished": "2026-11-30T08:00:24+00:00",
        "counts": dict(collections.Counter(one["state"] for one in endpoints)),
        "endpoints": list(endpoints),
    }


def outcome(**changes):
    return {
        "host": "web5",
        "request": "shop",
        "state": "waiting",
        "since": "2026-11-20T00:00:00+00:00",
        "issuer": "digicert",
        "contact": [],
        **changes,
    }


def run(finished, *outcomes, check_mode=False, stopped_by=()):
    return {
        "finished": finished,
        "check_mode": check_mode,
        "counts": dict(collections.Counter(one["state"] for one in outcomes)),
        "stopped_by": list(stopped_by),
        "outcomes": list(outcomes),
    }


def samples(text):
    """Return the values by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def values(text, name):
    return [value for (one, labels), value in samples(text).items() if one == f"evergreen_{name}"]


def seconds(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def test_an_endpoint_has_its_times_and_its_labels():
    text = metrics.survey_metrics(survey(endpoint()), [])
    labels = (
        *(("address", "192.0.2.5"), ("contact", "web@example.org, ops"), ("domain", "www.example.org")),
        *(("host", "web5"), ("port", "443"), ("request", "www.example.org")),
    )
    parsed = samples(text)
    assert parsed["evergreen_endpoint_renewal_timestamp_seconds", labels] == seconds(RENEW_AT)
    assert parsed["evergreen_endpoint_not_after_timestamp_seconds", labels] == seconds(certificate()["not_after"])
    assert parsed["evergreen_endpoint_not_before_timestamp_seconds", labels] == seconds(certificate()["not_before"])
    assert parsed["evergreen_endpoint_reachable", labels] == 1
    assert values(text, "survey_duration_seconds") == [24]
    assert values(text, "endpoint_chain_not_after_timestamp_seconds") == []


def test_the_end_of_a_chain_is_told_where_it_comes_before_that_of_the_certificate():
    end = "2026-12-02T00:00:00+00:00"
    text = metrics.survey_metrics(survey(endpoint(certificate=certificate(chain_not_after=end))), [])
    assert values(text, "endpoint_chain_not_after_timestamp_seconds") == [seconds(end)]


def test_an_endpoint_without_certificate_is_unreachable_and_has_no_times():
    text = metrics.survey_metrics(survey(unreachable()), [])
    assert values(text, "endpoint_reachable") == [0]
    assert values(text, "endpoint_not_after_timestamp_seconds") == []
    assert b'evergreen_endpoints{state="unknown"} 1.0' in text


def test_the_states_are_those_of_the_document():
    states = ["expired", "due", "due", "fine"]
    entries = [endpoint(state=state, address=f"192.0.2.{number}") for number, state in enumerate(states)]
    text = metrics.survey_metrics(survey(*entries), [])
    counts = {
        dict(labels)["state"]: value for (name, labels), value in samples(text).items() if name == "evergreen_endpoints"
    }
    assert counts == {"expired": 1, "unknown": 0, "due": 2, "fine": 1}
    assert sum(values(text, "endpoint_due")) == 3


def test_endpoints_of_a_request_share_a_series_which_is_as_bad_as_the_worst():
    late = endpoint(address="192.0.2.6", life_left=0.01, certificate=certificate(not_after="2026-12-02T00:00:00+00:00"))
    document = survey(endpoint(), late, unreachable(address="192.0.2.7"))
    text = metrics.survey_metrics(document, [], detail="request")
    assert values(text, "endpoint_not_after_timestamp_seconds") == [seconds("2026-12-02T00:00:00+00:00")]
    assert values(text, "endpoint_reachable") == [0]
    assert len(values(metrics.survey_metrics(document, []), "endpoint_reachable")) == 3


def test_endpoints_of_others_keep_their_own_series_in_short_metrics():
    document = survey(*(endpoint(host="", request="", name=name, managed=False) for name in ("a.example", "b.example")))
    assert len(values(metrics.survey_metrics(document, [], detail="request"), "endpoint_reachable")) == 2


def test_many_endpoints_are_told_by_request():
    entries = [endpoint(address=f"192.0.2.{number}") for number in range(metrics.MAX_ENDPOINTS_IN_DETAIL)]
    assert len(values(metrics.survey_metrics(survey(*entries), []), "endpoint_reachable")) == 1
    assert len(values(metrics.survey_metrics(survey(*entries[1:]), []), "endpoint_reachable")) == len(entries) - 1


def test_a_second_endpoint_with_the_same_labels_is_left_out():
    text = metrics.survey_metrics(survey(endpoint(), endpoint()), [])
    assert text.count(b"\nevergreen_endpoint_reachable{") == 1


def test_info_can_be_left_out():
    document = survey(endpoint())
    assert b'fingerprint="abababababababab"' in metrics.survey_metrics(document, [])
    assert b"certificate_info" not in metrics.survey_metrics(document, [], has_info=False)


def test_each_series_carries_the_fleet():
    text = metrics.survey_metrics(survey(endpoint()), [run("2026-11-30T08:00:00+00:00")], fleet="shop")
    assert len(samples(text)) > 10
    assert all(dict(labels)["fleet"] == "shop" for name, labels in samples(text))


def test_the_last_run_and_the_last_success_are_two_times():
    runs = [
        run("2026-11-30T12:00:00+00:00", outcome(), outcome(state="failed"), stopped_by=["web5"]),
        run("2026-11-30T08:00:00+00:00", outcome(state="fine")),
        run("2026-11-30T16:00:00+00:00", outcome(state="fine"), check_mode=True),
    ]
    text = metrics.survey_metrics(survey(), runs)
    assert values(text, "run_timestamp_seconds") == [seconds("2026-11-30T12:00:00+00:00")]
    assert values(text, "run_success_timestamp_seconds") == [seconds("2026-11-30T08:00:00+00:00")]
    assert values(text, "run_stopped") == [1]
    assert values(text, "request_waiting_since_timestamp_seconds") == [seconds("2026-11-20T00:00:00+00:00")]
    assert b'evergreen_run_requests{state="failed"} 1.0' in text


def test_a_fleet_without_runs_has_no_metrics_of_runs():
    assert b"evergreen_run" not in metrics.survey_metrics(survey(endpoint()), [])


@pytest.mark.parametrize("field", ["host", "request", "name", "address", "protocol"])
def test_a_hostile_text_of_an_endpoint_adds_no_line_and_no_label(field):
    plain = metrics.survey_metrics(survey(endpoint()), [])
    assert HOSTILE
    for text in HOSTILE:
        written = metrics.survey_metrics(survey(endpoint(**{field: text})), [])
        assert len(samples(written)) == len(samples(plain))
        assert written.count(b"\n") == plain.count(b"\n")
        assert b"\x1b" not in written
        assert max(map(len, written.split(b"\n"))) < 2000


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(metrics, "prometheus_client", None)
    with pytest.raises(TlsError, match="metrics_path needs the Python library prometheus_client.* run pip install '"):
        metrics.survey_metrics(survey(), [])


def test_an_unknown_detail_is_refused():
    with pytest.raises(TlsError, match="metrics_detail is 'host', and has to be one of endpoint, request"):
        metrics.survey_metrics(survey(), [], detail="host")
