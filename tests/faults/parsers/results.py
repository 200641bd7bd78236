# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what modules return and what runs leave."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.action import handshake_verify
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    public_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions import clock_skew
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.module_results import (
    RESULT_SPECS,
    validated_result,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.certificate_info import describe_installed
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal import make_report, survey_result
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal_table import report_text
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.run_records import time_of_record
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, decode_text, encode_json, parse_json
from ansible_collections.evergreen.tls.tests.faults.parsers.samples import CSR, KEY, NAMES, PEM
from ansible_collections.evergreen.tls.tests.unit import recorded_runs
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW


def read_handshake_result(value: t.Any) -> None:
    """Read a value as the result of handshake_verify on a host."""
    if isinstance(value, dict):  # as the results of modules always are
        handshake_verify._described(validated_result("handshake_verify", value))


def read_info_result(value: t.Any) -> None:
    if isinstance(value, dict):
        result = validated_result("certificate_info", value)
        if not result.get("failed"):
            describe_installed(result)


def read_module_results(value: t.Any) -> None:
    """Read a value as the result of each module."""
    for module in RESULT_SPECS if isinstance(value, dict) else ():
        with contextlib.suppress(TlsError):
            validated_result(module, value)


def read_host_time(content: bytes) -> None:
    skew = clock_skew.measured_skew(NOW, decode_text(content), NOW)
    clock_skew.skew_message(skew)
    clock_skew.is_excessive(skew)


def read_run_variables(value: t.Any) -> None:
    """Read a value as the variables that a run set on its hosts, including the endpoints of the survey."""
    if isinstance(value, dict):
        report_text(make_report(survey_result(list(value), value.get), value.get), 100)


RUN_VARIABLES = {
    host: {
        "renew_found": {
            "endpoints": [recorded_runs.row(), recorded_runs.row(host="web2", state="unknown")],
            "fine_requests": 3,
        },
        **recorded_runs.dealt_with([recorded_runs.ISSUED], [served]),
        "renew_failed": failed,
    }
    for host, served, failed in (
        ("web1", recorded_runs.SERVED, ""),
        ("web2", {"name": "www", "failed": True, "msg": recorded_runs.UNPROVED}, "it does not answer"),
    )
}
INFO_RESULT = {
    "now": NOW.isoformat(),
    "certificates": [
        {
            "name": "www",
            "path": "/etc/evergreen/www",
            "version": "v0002",
            "versions": ["v0001", "v0002"],
            "waiting_since": None,
            "issuer": "local",
            "chain": PEM.decode(),
            "public_key": public_pem(KEY.public_key()).decode(),
        },
        {
            "name": "new",
            "path": "/etc/evergreen/new",
            "version": None,
            "versions": [],
            "waiting_since": NOW.isoformat(),
        },
    ],
}
MODULE_RESULTS = (
    INFO_RESULT,
    {
        "changed": True,
        "due": True,
        "reason": "certificate_force is set",
        "csr": CSR.decode(),
        "diff": {"before": "", "after": "due\n"},
    },
    {
        "failed": True,
        "msg": "nginx refuses its configuration",
        "fresh": True,
        "addresses": ["127.0.0.1"],
        "warnings": ["x"],
    },
    {
        "changed": False,
        "host_state": [[["has", "nft"], True]],
        "fingerprints": {"www": "ab"},
        "loaded": ["www"],
        "running": True,
    },
)

RESULTS_PARSERS = (
    Parser(
        *("action/handshake_verify", "the result of the module", parse_json(read_handshake_result)),
        *(
            encode_json(
                {"changed": False, "handshakes": [{"name": NAMES[0], "address": "192.0.2.1", "chain": PEM.decode()}]}
            ),
            "json",
        ),
    ),
    Parser(
        "actions/module_results",
        "results of modules",
        parse_json(read_module_results),
        encode_json(*MODULE_RESULTS),
        "json",
    ),
    Parser(
        "reports/certificate_info",
        "the result of certificate_info",
        parse_json(read_info_result),
        encode_json(INFO_RESULT),
        "json",
    ),
    Parser(
        "actions/clock_skew", "the time of a host", read_host_time, (NOW.isoformat().encode(), b"2026-11-21 10:00:00Z")
    ),
    Parser(
        "reports/renewal",
        "variables of hosts after a run",
        parse_json(read_run_variables),
        encode_json(RUN_VARIABLES),
        "json",
    ),
    Parser(
        "reports/run_records",
        "the name of a record",
        lambda content: time_of_record(decode_text(content)),
        (b"2026-11-21T12-30-05Z-5f0c9a1be2d37748.json",),
    ),
)
