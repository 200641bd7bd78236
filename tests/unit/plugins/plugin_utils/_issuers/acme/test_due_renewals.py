# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Renewals for which a limit leaves places free: those of the same names that are due soon and outside of their windows."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after, not_before
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import renewal_time
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import OrderKind
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import WELL_KNOWN
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.due_renewals import due_renewals
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW, Authority, some_key

DAY = datetime.timedelta(days=1)
LETSENCRYPT = WELL_KNOWN["letsencrypt"]
NAMES = ("example.org", "www.example.org")
AUTHORITY = Authority("Issuing CA")


@pytest.fixture
def issuer(tmp_path):
    return open_issuer("ca", {"ca": {"type": "acme", "folder": str(tmp_path)}})


def add(issuer, host="web1", names=NAMES, days=(-59, 31), **known):
    """Record a certificate, which is due in two days by default."""
    leaf = AUTHORITY.leaf(names, some_key(), days=days)
    issuer.renewals.add(host, "www", leaf, {"directory": LETSENCRYPT, "issued": True, **known})
    return renewal_time(not_before(leaf), not_after(leaf), None, f"{host}/www")


def test_a_renewal_that_is_due_within_a_week_needs_a_place(issuer):
    at = add(issuer)
    assert due_renewals(issuer.renewals, LETSENCRYPT, reversed(NAMES), NOW) == [at]


@pytest.mark.parametrize(
    "certificate",
    [
        {"names": NAMES[:1]},
        {"days": (-1, 89)},
        {"days": (-80, 10)},
        {"days": (-91, -1)},
        {"directory": "https://ca.example.org/directory"},
        {"replaced": True},
        {"revoked": True},
        {"window": [(NOW - 5 * DAY).isoformat(), (NOW + 5 * DAY).isoformat()], "chosen": NOW.isoformat()},
    ],
    ids=["other names", "later", "its host is gone", "expired", "another CA", "replaced", "revoked", "in its window"],
)
def test_other_certificates_need_none(issuer, certificate):
    add(issuer, **certificate)
    assert due_renewals(issuer.renewals, LETSENCRYPT, NAMES, NOW) == []


def test_an_order_of_a_new_host_is_put_off_for_the_renewals_that_are_recorded(issuer):
    counts = issuer.servers.counts(issuer.directories[0])
    for number in range(2):
        add(issuer, f"web{number}")
        counts.reserve(f"order {number}", NAMES, OrderKind())
        counts.confirm(f"order {number}", NAMES, OrderKind())
    counts.check("new host", NAMES, OrderKind())
    for number in range(2, 5):
        add(issuer, f"web{number}")
    with pytest.raises(
        Problem, match="what is left is for 5 renewals that are due within a week; the order is put off"
    ):
        counts.check("new host", NAMES, OrderKind())
    counts.check("renewal", NAMES, OrderKind(has_same_names=True))


def test_an_order_after_an_expired_certificate_leaves_no_place_to_renewals(issuer):
    add(issuer, "web1")
    later = NOW + 32 * DAY
    assert issuer.renewals.predecessor("web1", "www", LETSENCRYPT, NAMES, later) is None
    assert issuer.renewals.kind_of_order("web1", "www", None, NAMES, later) == OrderKind(has_expired=True)
    assert issuer.renewals.kind_of_order("web2", "www", None, NAMES, later) == OrderKind()
