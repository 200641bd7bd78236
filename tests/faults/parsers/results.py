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
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.installed import describe_installed
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal import (
    make_report,
    report_text,
    survey_result,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.run_records import time_of_record
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, encoded, of_json, text
from ansible_collections.evergreen.tls.tests.faults.parsers.samples import CSR, KEY, NAMES, PEM
from ansible_collections.evergreen.tls.tests.unit import recorded_runs
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW


def read_handshakes(value: t.Any) -> None:
    """Take what a host that looks at itself says that it saw."""
    if isinstance(value, dict):  # as the results of modules always are
        handshake_verify._described(validated_result("handshake_verify", value))


def read_info_result(value: t.Any) -> None:
    if isinstance(value, dict):
        told = validated_result("certificate_info", value)
        if not told.get("failed"):
            describe_installed(told)


def read_testimonies(value: t.Any) -> None:
    """Take a value as the answer of each module."""
    for module in RESULT_SPECS if isinstance(value, dict) else ():
        with contextlib.suppress(TlsError):
            validated_result(module, value)


def read_clock(content: bytes) -> None:
    ahead = clock_skew.measured_skew(NOW, text(content), NOW)
    clock_skew.skew_message(ahead)
    clock_skew.is_excessive(ahead)


def read_left_variables(value: t.Any) -> None:
    """Take variables as the run left them on two hosts, and the survey's findings beside them."""
    if isinstance(value, dict):
        report_text(make_report(survey_result(list(value), value.get), value.get), 100)


LEFT = {
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
TESTIMONIES = (
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
        *("handshake_verify", "what a host sees of itself", of_json(read_handshakes)),
        *(
            encoded(
                {"changed": False, "handshakes": [{"name": NAMES[0], "address": "192.0.2.1", "chain": PEM.decode()}]}
            ),
            "json",
        ),
    ),
    Parser("testimonies", "what modules answer", of_json(read_testimonies), encoded(*TESTIMONIES), "json"),
    Parser(
        "installed certificates",
        "what a host says of its certificates",
        of_json(read_info_result),
        encoded(INFO_RESULT),
        "json",
    ),
    Parser("clocks", "what the clock of a host says", read_clock, (NOW.isoformat().encode(), b"2026-11-21 10:00:00Z")),
    Parser("reports", "what tasks leave on hosts", of_json(read_left_variables), encoded(LEFT), "json"),
    Parser(
        "records",
        "the name of a record",
        lambda content: time_of_record(text(content)),
        (b"2026-11-21T12-30-05Z-5f0c9a1be2d37748.json",),
    ),
)
