# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a certificate is due, and why."""

from __future__ import annotations

import datetime
import re

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import (
    Installed,
    renewal_time,
    why_due_regardless,
    why_exposed,
    why_renew,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import normal_renew_before
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, key_pem, some_key

try:
    from hypothesis import given
    from hypothesis import strategies as some
except ImportError:  # the oldest and the newest Debian are asked without it
    given = None

SECOND = datetime.timedelta(seconds=1)
NAMES = ["www.example.org"]
REQUEST = {"name": "web", "host": "web1", "domains": NAMES, "issuer": "local", "type": "ECC", "curve": "secp256r1"}
REQUEST = {**REQUEST, "size": 2048, "renew_before": None}
ROOT = Authority()
KEY = some_key()
KEY_PEM = key_pem(KEY)
CHAIN = ROOT.chain(NAMES, KEY, days=(0, 90))
LEAF = CHAIN[0]
PEM = to_pem(CHAIN)


def normal(renew_before):
    """Return what people write as hosts get it."""
    return normal_renew_before(renew_before) if renew_before else renew_before


def reason(key=KEY_PEM, chain=PEM, issuer="local", exposed=None, now=NOW, roots=None, forced=False, **options):
    """Return why_renew() for a certificate that lives for 90 days from now."""
    request = {**REQUEST, **options}
    request["renew_before"] = normal(request["renew_before"])
    return why_renew(Installed(key, chain, issuer, exposed=exposed), request, now, roots, forced)


def bounds(lifetime, left):
    """Return between which two moments a certificate becomes due of which *left* has to be left."""
    return NOW + lifetime - left - lifetime / 30, NOW + lifetime - left


@pytest.mark.parametrize(
    ("lifetime", "renew_before", "left"),
    [
        (90 * DAY, None, 30 * DAY),
        (10 * DAY, None, 10 * DAY / 3),
        (10 * DAY - SECOND, None, (10 * DAY - SECOND) / 2),
        (6 * DAY, None, 3 * DAY),
        (DAY, None, DAY / 2),
        (90 * DAY, "", 30 * DAY),
        (90 * DAY, "1/3", 30 * DAY),
        (90 * DAY, " 2 / 3 ", 60 * DAY),
        (90 * DAY, "33%", 29.7 * DAY),
        (90 * DAY, "50 %", 45 * DAY),
        (90 * DAY, "0.25", 22.5 * DAY),
        (90 * DAY, ".5", 45 * DAY),
        (90 * DAY, "30d", 30 * DAY),
        (90 * DAY, "12h", DAY / 2),
        (6 * DAY, "1/3", 2 * DAY),
    ],
)
def test_what_has_to_be_left_is_a_share_or_a_length_of_time(lifetime, renew_before, left):
    moments = [renewal_time(NOW, NOW + lifetime, normal(renew_before), f"web{number}/web") for number in range(200)]
    earliest, latest = bounds(lifetime, left)
    assert earliest - SECOND <= min(moments) and max(moments) <= latest + SECOND
    assert max(moments) - min(moments) > lifetime / 30 * 0.9  # spread over all of it


def test_a_host_has_the_same_moment_in_every_run():
    moments = {renewal_time(NOW, NOW + 90 * DAY, None, "web1/web") for _run in range(5)}
    assert len(moments) == 1
    assert moments != {renewal_time(NOW, NOW + 90 * DAY, None, "web2/web")}


@pytest.mark.parametrize("renew_before", ["90d", "91d"])
def test_a_duration_that_is_no_shorter_than_the_lifetime_gives_way_to_the_default(renew_before):
    assert renewal_time(NOW, NOW + 90 * DAY, normal(renew_before), "web1/web") == renewal_time(
        NOW, NOW + 90 * DAY, None, "web1/web"
    )


def test_a_certificate_is_never_due_before_it_is_valid():
    assert min(renewal_time(NOW, NOW + 90 * DAY, normal("99%"), f"web{number}") for number in range(50)) == NOW


if given:

    @given(
        lifetime=some.timedeltas(min_value=30 * SECOND, max_value=20000 * DAY),
        start=some.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2200, 1, 1)),  # noqa: DTZ001
        seed=some.text(),
    )
    def test_by_default_a_certificate_is_due_in_the_second_half_of_its_life(lifetime, start, seed):
        """Short-lived ones, which are due at half of it, up to a thirtieth of it before."""
        start = start.replace(tzinfo=datetime.timezone.utc)
        moment = renewal_time(start, start + lifetime, None, seed)
        earliest = lifetime / 2 if lifetime >= 10 * DAY else lifetime / 2 - lifetime / 30
        assert start + earliest - SECOND <= moment < start + lifetime

    @given(
        days=some.integers(1, 5000),
        renew_before=some.sampled_from(["1/3", "99/100", "1%", "0.000001", "1s", "1h"]),
        after=some.timedeltas(min_value=datetime.timedelta(0), max_value=5000 * DAY),
        seed=some.text(),
    )
    def test_a_certificate_is_due_at_its_end_and_ever_after(days, renew_before, after, seed):
        assert renewal_time(NOW, NOW + days * DAY, normal(renew_before), seed) <= NOW + days * DAY + after

    @given(some.text(min_size=1, max_size=8) | some.text(alphabet="0123456789/%.smhdw -", max_size=12))
    def test_any_text_is_a_share_or_a_length_of_time_or_is_refused(text):
        try:
            moment = renewal_time(NOW, NOW + 90 * DAY, normal(text), "web1/web")
        except TlsError:
            return
        assert NOW <= moment <= NOW + 90 * DAY


def test_a_good_certificate_is_not_due():
    assert reason() is None
    assert reason(roots=[ROOT.certificate]) is None


def test_a_certificate_is_due_from_its_moment_on_and_says_so():
    moment = renewal_time(NOW, NOW + 90 * DAY, None, "web1/web")
    assert reason(now=moment - SECOND) is None
    assert reason(now=moment) == (
        f"it expires on {NOW + 90 * DAY:%Y-%m-%d %H:%M:%S} UTC, and {(NOW + 90 * DAY - moment) / (90 * DAY):.0%} "
        "of its lifetime is left"
    )
    assert reason(now=moment, renew_before="5%") is None
    assert reason(now=moment - DAY, renew_before="45d").startswith("it expires on ")


@pytest.mark.parametrize("days", [90, 91, 4000])
def test_a_certificate_that_has_expired_is_due_whatever_is_left_to_be(days):
    assert reason(now=NOW + days * DAY, renew_before="1s") == (
        f"the certificate expired on {NOW + 90 * DAY:%Y-%m-%d %H:%M:%S} UTC; have it issued again"
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"chain": None}, "there is no certificate yet"),
        ({"chain": None, "key": None}, "there is no certificate yet"),
        ({"key": None}, "its private key is missing"),
        (
            {"key": b"garbage"},
            "its private key file holds no private key that can be read; move it away to have a new one made",
        ),
        ({"chain": b"garbage"}, "it holds no PEM certificate; have it issued again"),
        (
            {"key": key_pem(some_key(7))},
            "the certificate belongs to another private key; have the request of this host issued again",
        ),
        (
            {"domains": ["www.example.org", "example.org"]},
            "the certificate does not cover example.org; have it issued for example.org, www.example.org",
        ),
        ({"type": "RSA"}, "its key is ECC secp256r1, and RSA 2048 is wanted"),
        ({"curve": "secp384r1"}, "its key is ECC secp256r1, and ECC secp384r1 is wanted"),
        ({"type": "Ed25519"}, "its key is ECC secp256r1, and Ed25519 is wanted"),
        ({"issuer": "corporate"}, "it was issued by corporate, and local is wanted"),
        (
            {"roots": [Authority("Another root").certificate]},
            "the chain ends at Test Root CA, which is not a root of the issuer (Another root); have it issued again",
        ),
    ],
)
def test_a_certificate_is_due_for_a_reason(changes, sentence):
    assert reason(**changes) == sentence


def test_a_certificate_that_is_not_there_is_due_even_if_it_is_forced():
    assert why_renew(None, REQUEST, NOW, None, True) == "there is no certificate yet"


@pytest.mark.parametrize("chain", [PEM, None, b"garbage"])
def test_a_certificate_is_due_when_it_is_forced_whatever_it_is_like(chain):
    assert reason(chain=chain, forced=True) == "certificate_force is set"


def test_a_key_that_others_may_know_is_the_last_reason():
    assert reason(exposed="its key leaked") == "its key leaked"
    assert reason(exposed="its key leaked", issuer="corporate") == "it was issued by corporate, and local is wanted"


@pytest.mark.parametrize(
    ("forced", "inspected", "sentence"),
    [
        (False, False, None),
        (True, False, "certificate_force is set"),
        (False, True, "its disk is inspected"),
        (True, True, "its disk is inspected"),
    ],
)
def test_a_host_is_due_when_the_user_says_so(forced, inspected, sentence):
    assert why_due_regardless(forced, inspected) == sentence


def test_a_key_is_exposed_by_a_mode_beyond_the_one_that_is_allowed():
    assert why_exposed("/etc/key.pem", 0o640, 0o640) is None
    assert why_exposed("/etc/key.pem", 0o644, 0o640) == "its key could be read by others in /etc/key.pem (mode 0644)"


def test_a_certificate_of_an_issuer_that_was_not_noted_is_kept():
    assert reason(issuer=None) is None


def test_a_size_is_looked_at_for_rsa_alone():
    assert reason(size=4096) is None
    key = some_key(kind="RSA")
    chain = to_pem(ROOT.chain(NAMES, key, days=(0, 90)))
    assert reason(key=key_pem(key), chain=chain, type="RSA", curve="secp521r1") is None
    assert reason(key=key_pem(key), chain=chain, type="RSA", size=4096) == "its key is RSA 2048, and RSA 4096 is wanted"


@pytest.mark.parametrize(
    ("advised", "days", "due"),
    [
        (3, 2, None),
        (3, 4, "the CA says so"),
        (-3, 0, "the CA says so"),
        (59.5, 59, None),  # without the CA, some hosts would renew from day 57 on
        (59.5, 59.9, "the CA says so"),
        (300, 59.9, None),
        (300, 60.1, "it expires on .* and 33% of its lifetime is left"),  # it cannot let a certificate expire
    ],
)
def test_a_ca_may_want_a_renewal_earlier_and_never_later_than_the_lifetime_does(advised, days, due):
    serial_number = f"{LEAF.serial_number:x}"
    renewals = {serial_number: {"at": (NOW + advised * DAY).isoformat(), "reason": "the CA says so"}}
    for host in range(10):
        sentence = reason(now=NOW + days * DAY, renewals=renewals, host=f"web{host}")
        assert sentence is None if due is None else re.match(due, sentence)


def test_what_a_ca_says_of_another_certificate_means_nothing():
    assert reason(renewals={"abc": {"at": NOW.isoformat(), "reason": "the CA says so"}}) is None


def test_what_a_person_wants_earlier_is_earlier():
    renewals = {f"{LEAF.serial_number:x}": {"at": (NOW + 50 * DAY).isoformat(), "reason": "the CA says so"}}
    assert "lifetime is left" in reason(now=NOW + 31 * DAY, renewals=renewals, renew_before="60d")
