# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a fleet: what it says of new, due and expired certificates, and that a CA which enforces its limits issues in that order."""

from __future__ import annotations

import collections
import datetime
import json

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.utils.display import Display
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.evergreen.tls.plugins.action import plan
from ansible_collections.evergreen.tls.plugins.action.plan import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import limit_records
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import WELL_KNOWN
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.unit.acme_server import ERROR, AcmeServer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

DAY = datetime.timedelta(days=1)
AUTHORITY = Authority("Planned CA")


@pytest.fixture
def fleet(tmp_path):
    """Return a function that makes the variables of a play on hosts, each with a request named www."""

    def made(domains, issuers=None, **more):
        variables = {
            "certificate_issuers": issuers or {"ca": {"type": "acme", "folder": str(tmp_path / "acme")}},
            "certificate_requests": [{"name": "www", "domains": "{{ own }}", "issuer": "ca"}],
            **more,
        }
        hosts = {host: {"own": names} for host, names in domains.items()}
        path = tmp_path / "inventory.json"
        path.write_text(json.dumps({"web": {"vars": variables, "hosts": hosts}}))
        loader = DataLoader()
        inventory = InventoryManager(loader, [str(path)])
        return {
            "ansible_play_hosts_all": [host.name for host in inventory.get_hosts()],
            "hostvars": HostVars(inventory, VariableManager(loader, inventory), loader),
        }

    return made


@pytest.fixture
def warnings(monkeypatch):
    shown = []
    monkeypatch.setattr(Display, "warning", lambda _self, text, **_options: shown.append(text))
    return shown


def run(task_vars, check_mode=False, **arguments):
    """Return what the action answers."""
    task = Task()
    task.args = arguments
    task.check_mode = check_mode
    connection = connection_loader.get("local", PlayContext())
    return ActionModule(task, connection, None, None, None, None).run(task_vars=task_vars)


def record(tmp_path, host, names, days, directory=WELL_KNOWN["letsencrypt"]):
    """Record a certificate that was issued to a host. days: when its validity begins and ends, from now."""
    issuer = open_issuer("ca", {"ca": {"type": "acme", "folder": str(tmp_path / "acme")}})
    leaf = AUTHORITY.leaf(names, some_key(), days=days)
    issuer.renewals.add(host, "www", leaf, {"directory": directory, "issued": True, "replaced": False})
    return issuer


def test_a_new_fleet_has_its_dates_its_limit_and_what_lifts_it(fleet, tmp_path, capsys):
    result = run(fleet({f"web{number}": [f"web{number}.example.org"] for number in range(60)}))
    at_once = [one for one in result["certificates"] if one["waits_for"] is None]
    assert len(result["certificates"]) == 60 and len(at_once) == 50
    [limit] = result["limits"]
    assert (limit["subject"], limit["number"], limit["at_once"]) == ("names in example.org", 60, 50)
    wait = parse_date(limit["done"]) - utc_now()
    assert abs(wait - 10 * datetime.timedelta(days=7) / 50) < datetime.timedelta(minutes=2)
    printed = capsys.readouterr().out
    assert printed.startswith(
        "60 certificates to be issued (60 new): 10 wait for a limit of the CA, and all are issued by "
    )
    assert "Put several names into a certificate, or a wildcard by DNS" in printed
    assert "160 hours" in printed and "200 days" in printed
    assert not (tmp_path / "acme").exists(), "nothing is written"
    domains = {f"web{number}": [f"web{number}.example.org"] for number in range(60)}
    unspread = {"ca": {"type": "acme", "folder": str(tmp_path / "acme"), "spread": False}}
    assert "enrol at most 6 hosts a day, with --limit" in run(fleet(domains, unspread))["table"]
    assert "enrol at most" not in printed, "first renewals are spread, and no day has many"
    pairs = [(one["busiest_day"], one["busiest_day_spread"]) for one in result["loads"] if one["lifetime_h"] != 160]
    assert len(pairs) == 3 and all(after < before / 2 for before, after in pairs)


def test_renewals_are_due_by_their_dates_and_do_not_wait_for_new_ones(fleet, tmp_path):
    record(tmp_path, "old", ["old.example.org"], (-70, 20))
    record(tmp_path, "soon", ["soon.example.org"], (-55, 35))
    record(tmp_path, "later", ["later.example.org"], (-1, 89))
    hosts = ["old", "soon", "later", *(f"new{number}" for number in range(55))]
    result = run(fleet({host: [f"{host}.example.org"] for host in hosts}))
    rows = {one["host"]: one for one in result["certificates"]}
    assert "later" not in rows and len(rows) == 57
    assert (rows["old"]["kind"], rows["old"]["waits_for"]) == ("renewal", None)
    soon = parse_date(rows["soon"]["at"]) - utc_now()
    assert datetime.timedelta(0) < soon < 6 * DAY and rows["soon"]["waits_for"] is None
    assert sum(bool(one["waits_for"]) for one in rows.values()) == 5


def test_the_task_fails_where_a_certificate_is_late_and_writes_the_plan(fleet, tmp_path):
    hosts = fleet({f"web{number}": ["www.example.org"] for number in range(7)})
    path = tmp_path / "plan.json"
    result = run(hosts, until="2d", fail_when="late", path=str(path))
    assert result["failed"] and "2 wait for a limit of the CA" in result["msg"] and "; 1 of them late" in result["msg"]
    written = json.loads(path.read_text())
    assert [one["is_late"] for one in written["certificates"]] == [False] * 6 + [True]
    assert "Give each host a name of its own" in written["limits"][0]["remedy"]
    assert "failed" not in run(hosts, until="30d", fail_when="late")
    path.unlink()
    run(hosts, check_mode=True, path=str(path))
    assert not path.exists()


@pytest.mark.parametrize("until", ["tomorrow", "2026-13-40", "-5d"])
def test_a_date_that_is_none_is_refused(fleet, until):
    result = run(fleet({"web1": ["www.example.org"]}), until=until)
    assert result["failed"]
    assert result["msg"] == (
        f"plan_until: '{until}' is neither a date nor a duration; write one such as 2026-12-24 or 14d"
    )


def test_a_schedule_that_is_too_coarse_is_named(fleet):
    hosts = fleet({"web1": ["www.example.org"]})
    coarse = run(hosts, schedule_times=["00/4:00"])["table"]
    assert (
        "of renewals are inside the window of their renewal information, where no limit counts; run more often: schedule_times"
        in coarse
    )
    assert "run more often" not in run(hosts, schedule_times=["hourly"])["table"]
    assert "the schedule is not understood" in run(hosts, schedule_times=["Mon *-*-* 03:00"])["table"]


def test_a_revocation_is_told_how_many_certificates_can_be_replaced_today(fleet, tmp_path, warnings):
    names = ["www.example.org", "example.org"]
    for number in range(10):
        record(tmp_path, f"web{number}", names, (-30, 60))
    hosts = fleet({f"web{number}": names for number in range(10)})
    result = run(hosts, mode="replacement", requests=["www"])
    assert result["msg"].startswith("of 10 certificates, 5 can be replaced today; web5 (www) on ")
    assert "issues 5 certificates a week for the names example.org,www.example.org" in result["msg"]
    assert warnings == [result["msg"]]
    refused = run(hosts, mode="replacement", requests=["all"], fail_when="late")
    assert refused["failed"] and refused["msg"].endswith("nothing is revoked; set revoke_when_late to warn")
    few = fleet({f"web{number}": names for number in range(4)})
    assert (
        run(few, mode="replacement")["msg"]
        == "all 4 certificates can be replaced today, as far as limits are known here"
    )


def test_a_plan_that_cannot_be_made_keeps_no_certificate_from_being_revoked(fleet, monkeypatch, warnings):
    def fail(*_arguments, **_options):
        raise OSError("no records")

    monkeypatch.setattr(plan, "read_fleet", fail)
    result = run(fleet({"web1": ["www.example.org"]}), mode="replacement")
    assert "failed" not in result and result["msg"] in warnings
    assert result["msg"].startswith("it is not known when the CA issues all certificates: ")


def test_free_certificates_of_a_cloud_are_counted_against_its_quotas(fleet, tmp_path):
    request = {
        "name": "www",
        "domains": "{{ own }}",
        "issuer": "ca",
        "served_by": "cloud",
        "cloud": {"account": "shop", "service": "cdn", "hosted": True},
    }
    hosts = {f"shop{number}": [f"a{number}.b.example.cn"] for number in range(14)}
    result = run(fleet(hosts, certificate_requests=[request]))
    assert result["faults"] == []
    assert [(one["domain"], one["names"], one["sustainable"]) for one in result["quotas"]] == [
        ("", 14, 13),
        ("example.cn", 14, 13),
    ]
    assert (
        "14 free certificates requested for example.cn, 20 allowed: they count until they expire, even when they are revoked"
        in result["table"]
    )


def test_a_request_that_makes_no_sense_is_told_and_keeps_no_other_from_its_date(fleet):
    result = run(fleet({"web1": ["www.example.org"], "web2": ["no name"]}))
    assert [one["host"] for one in result["certificates"]] == ["web1"]
    [fault] = result["faults"]
    assert fault.startswith("web2: ")


class Tokens:
    """The limit of a CA: so many certificates for a domain at once, and one more in each interval."""

    def __init__(self, number, interval, now):
        self.number, self.interval, self.tokens, self.seen = number, interval, number, now

    def take(self, now):
        self.tokens = min(self.number, self.tokens + (now - self.seen) / self.interval)
        self.seen = now
        if self.tokens < 1 - 1e-6:
            return False
        self.tokens -= 1
        return True


class LimitingServer(AcmeServer):
    """A CA that enforces a limit for the domain of all names. refusals: how often it had to."""

    def __init__(self, folder):
        super().__init__(folder)
        self.now = utc_now()
        self.limit, self.refusals = Tokens(3, datetime.timedelta(days=7) / 3, self.now), 0

    def act(self, path, payload):
        if path == "/order" and not self.limit.take(self.now):
            self.refusals += 1
            return 429, {}, {"type": f"{ERROR}rateLimited", "detail": "too many certificates already issued"}
        return super().act(path, payload)


def test_a_ca_that_enforces_its_limits_issues_in_the_order_of_the_plan(fleet, tmp_path, monkeypatch):
    server = LimitingServer(tmp_path)
    try:
        settings = {
            "type": "acme",
            "folder": str(tmp_path / "acme"),
            "directory": server.url,
            "ca_file": server.ca_file,
            "solver": {"type": "http", "check": False},
            "limits": {"registered_domain": 3},
        }
        monkeypatch.setattr(limit_records, "utc_now", lambda: server.now)
        hosts = {f"web{number}": [f"web{number}.example.org"] for number in range(7)}
        planned = run(fleet(hosts, {"ca": settings}))["certificates"]
        issuer = open_issuer("ca", {"ca": settings})
        issued, put_off = [], collections.Counter()
        for one in planned:  # each host is tried at each of these times, as the schedule does
            server.now = max(server.now, parse_date(one["at"]) + datetime.timedelta(seconds=2))
            for host, names in hosts.items():
                if host in issued:
                    continue
                try:
                    request = {"name": "www", "domains": names, "issuer": "ca", "type": "ECC"}
                    issuer.issue(request, make_csr(some_key(), names, {}), host)
                    issued.append(host)
                except TlsError as error:
                    assert "the order is put off until" in str(error)
                    put_off[host] += 1
        assert issued == [one["host"] for one in planned] and len(issued) == 7
        assert server.refusals == 0 and len(server.orders) == 7
        assert [host for host in hosts if not put_off[host]] == ["web0", "web1", "web2"]
    finally:
        server.listener.stop()
