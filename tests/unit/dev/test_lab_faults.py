# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands before an ACME server in a lab and fails as it is told. The server is Pebble."""

from __future__ import annotations

import concurrent.futures
import datetime
import json
import pathlib
import ssl
import sys
import time
import urllib.error
import urllib.request

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import new_key
from ansible_collections.evergreen.tls.tests.unit.pebble import failing_proxy, running_pebble

sys.path.append(str(pathlib.Path(__file__).parents[3] / "dev"))

from lab_faults import Rule

NAME = "www.example.org"
NOW = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def pebble(tmp_path_factory):
    with running_pebble(tmp_path_factory.mktemp("pebble")) as (server, hosts):
        server.hosts = hosts
        yield server


@pytest.fixture
def proxy(pebble):
    with failing_proxy(pebble) as proxy:
        yield proxy


@pytest.fixture
def issue(pebble, proxy, tmp_path):
    """Return a function that has a certificate issued by way of the proxy."""

    def issued():
        settings = {"type": "acme", "directory": proxy.url, "ca_file": pebble.ca_file, "folder": str(tmp_path)}
        issuer = open_issuer("ca", {"ca": {**settings, "solver": {"type": "http", "check": False}}})
        pebble.hosts.thumbprint = issuer.thumbprint()
        request = {"name": "www", "domains": [NAME], "issuer": "ca", "type": "ECC"}
        return issuer.issue(request, make_csr(new_key(), [NAME], {}), "web1")

    return issued


@pytest.fixture
def ask(pebble, proxy):
    """Return a function that asks the control of the proxy, or tells it something."""

    def asked(path, content=None):
        data = None if content is None else json.dumps(content).encode()
        context = ssl.create_default_context(cafile=pebble.ca_file)
        with urllib.request.urlopen(f"{proxy.control}{path}", data, context=context) as answer:
            return json.loads(answer.read())

    return asked


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_passes_is_known_by_its_step_and_its_names(issue, ask):
    issue()
    steps = [(one["step"], one["names"]) for one in ask("/seen") if one["status"] < 400]
    before = [("directory", ""), ("newNonce", ""), ("newAccount", "")]
    during = [(step, NAME) for step in ("newOrder", "authorization", "challenge", "validation", "finalize")]
    assert [step for number, step in enumerate(steps) if step not in steps[:number]][:8] == before + during
    assert steps[-1] == ("certificate", NAME)
    assert {step for step, _names in steps} <= {step for step, _names in before + during} | {"issuance", "certificate"}


def test_the_directory_leads_back_to_the_proxy(pebble, proxy):
    context = ssl.create_default_context(cafile=pebble.ca_file)
    with urllib.request.urlopen(proxy.url, context=context) as answer:
        directory = json.loads(answer.read())
    assert directory["newOrder"].startswith(proxy.url.removesuffix("dir"))


@pytest.mark.parametrize(("moment", "heard"), [("before", 0), ("after", 1)])
def test_what_is_held_is_cut_off_when_it_is_released(issue, ask, pebble, moment, heard):
    issue()
    before = pebble.count("Added order")
    ask("/rules", [{"do": "hold", "step": "newOrder", "names": NAME, "moment": moment, "times": 1}])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(issue)
        until(lambda: ask("/held"))
        assert [(one["step"], one["names"]) for one in ask("/held")] == [("newOrder", NAME)]
        assert pebble.count("Added order") == before + heard
        assert not run.done()
        ask("/release", [])
        run.result()  # since whoever asked asks once more
    assert pebble.count("Added order") == before + heard + 1
    until(lambda: not ask("/held"))


@pytest.mark.parametrize(
    "rule", [{"do": "explode"}, {"do": "cut", "moment": "sometimes"}, {"do": "cut", "colour": "red"}]
)
def test_a_rule_that_makes_no_sense_is_refused(ask, rule):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        ask("/rules", [rule])


def test_a_rule_is_about_what_it_names():
    rule = Rule("cut", step="order", names=NAME, moment="after", times=2)
    assert rule.applies("order", NAME, "after", 1) and rule.applies("order", NAME, "after", 2)
    assert not rule.applies("order", NAME, "after", 3)
    assert not rule.applies("order", NAME, "before", 1)
    assert not rule.applies("finalize", NAME, "after", 1)
    assert not rule.applies("order", "example.org", "after", 1)
    assert Rule("cut").applies("anything", "", "before", 1000)


def test_the_same_seed_chooses_the_same():
    def chosen(seed):
        rule = Rule("cut", share=0.05, seed=seed)
        return [time_ for time_ in range(2000) if rule.applies("order", NAME, "before", time_)]

    assert chosen(1) == chosen(1) != chosen(2)
    assert 50 < len(chosen(1)) < 150


def test_times_to_come_back_are_numbers_or_dates():
    assert "Retry-After" not in Rule("refuse").headers(NOW)
    assert Rule("refuse", wait=90).headers(NOW)["Retry-After"] == "90"
    assert Rule("refuse", wait=90, as_date=True).headers(NOW)["Retry-After"] == "Sat, 21 Nov 2026 12:01:30 GMT"
