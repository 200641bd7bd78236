# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What CAs say about renewals (RFC 9773), how it is kept, and that surveys and hosts hear of it."""

from __future__ import annotations

import datetime
import json
import pathlib
import subprocess
import sys

import pytest
from ansible.playbook.task import Task
from cryptography import x509

from ansible_collections.evergreen.tls.plugins.action.certificate_request import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import client
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_info import certificate_id
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_window import renewal_instant, window
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import survey_hosts
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import closed_port

NAME = "www.example.org"
HOUR = datetime.timedelta(hours=1)
LEAF = Authority("Issuing CA").leaf([NAME], some_key())
SERIAL = f"{LEAF.serial_number:x}"


@pytest.fixture
def settings(server, tmp_path):
    (tmp_path / "roots.pem").write_bytes(server.authority.above.pem)
    return {
        "type": "acme",
        "directory": server.url,
        "ca_file": server.ca_file,
        "folder": str(tmp_path / "acme"),
        "roots": str(tmp_path / "roots.pem"),
    }


def advice(settings, leaf=LEAF):
    return open_issuer("ca", {"ca": settings}).advice("web1", "www", leaf)


def record(settings):
    """Return the path of what is remembered about the request."""
    return next(pathlib.Path(settings["folder"], "certificates").glob("*.json"))


def only_record(settings):
    """Return what is remembered about the only certificate of the request."""
    (entry,) = json.loads(record(settings).read_text())["certificates"].values()
    return entry


def forget_when_to_ask(settings):
    content = json.loads(record(settings).read_text())
    for entry in content["certificates"].values():
        del entry["next"]
    record(settings).write_text(json.dumps(content))


def hours_until(text):
    return (datetime.datetime.fromisoformat(text) - datetime.datetime.now(datetime.timezone.utc)) / HOUR


def test_a_certificate_id_is_that_of_rfc_9773():
    # the example of RFC 9773, section 4.1
    identifier = bytes.fromhex("69885b6b87464041e1b37b847ba0ae2cde01c8d4")
    key = some_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(0x87654321)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.AuthorityKeyIdentifier(identifier, None, None), critical=False)
        .sign(key, LEAF.signature_hash_algorithm)
    )
    assert certificate_id(certificate) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


def test_an_instant_in_the_window_is_chosen_and_kept(settings, server):
    server.suggest(NOW + 10 * DAY, NOW + 12 * DAY, explanationURL="https://ca.example/why\x1b")
    first = advice(settings)
    assert NOW + 10 * DAY <= datetime.datetime.fromisoformat(first[SERIAL]["at"]) <= NOW + 12 * DAY
    assert "wants it renewed from" in first[SERIAL]["reason"] and first[SERIAL]["reason"].endswith(
        "; see https://ca.example/why"
    )
    assert advice(settings) == first
    assert server.count("/renewal/") == 1
    forget_when_to_ask(settings)
    assert advice(settings) == first  # the window is the same
    assert server.count("/renewal/") == 2
    server.suggest(NOW + 20 * DAY, NOW + 22 * DAY)
    forget_when_to_ask(settings)
    assert advice(settings)[SERIAL]["at"] > first[SERIAL]["at"]


def test_controllers_that_share_nothing_choose_the_same_instant(settings, server, tmp_path):
    server.suggest(NOW + 10 * DAY, NOW + 12 * DAY)
    instants = {advice({**settings, "folder": str(tmp_path / f"home{number}")})[SERIAL]["at"] for number in range(3)}
    assert len(instants) == 1


def test_an_instant_that_was_drawn_at_random_gives_way(settings, server):
    server.suggest(NOW + 10 * DAY, NOW + 12 * DAY)
    chosen = advice(settings)
    content = json.loads(record(settings).read_text())
    for entry in content["certificates"].values():
        entry["chosen"] = (NOW + 11 * DAY).isoformat()
    record(settings).write_text(json.dumps(content))
    forget_when_to_ask(settings)
    assert advice(settings) == chosen


def test_instants_are_spread_over_the_first_half_of_the_window_whatever_its_time_zone():
    start, end = NOW.replace(microsecond=0), NOW.replace(microsecond=0) + 2 * DAY
    instants = [renewal_instant(f"AKI.{number}", start, end) for number in range(1000)]
    assert all(start <= instant < start + DAY for instant in instants)
    for quarter in range(4):
        edges = start + quarter * DAY / 4, start + (quarter + 1) * DAY / 4
        assert 150 < sum(edges[0] <= instant < edges[1] for instant in instants) < 350
    elsewhere = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    assert renewal_instant("AKI.1", start.astimezone(elsewhere), end.astimezone(elsewhere)) == instants[1]
    assert renewal_instant("AKI.1", start, end + HOUR) != instants[1]  # another window is another instant


@pytest.mark.parametrize(("sent", "hours"), [("21600", 6), ("1", 1 / 60), ("864000000", 24), ("never", 6)])
def test_the_ca_is_asked_again_when_it_wants_but_not_at_any_time(settings, server, sent, hours):
    server.suggest(NOW, NOW + DAY)
    server.answer("/renewal/" + certificate_id(LEAF), 200, server.renewal, {"Retry-After": sent})
    advice(settings)
    assert hours_until(only_record(settings)["next"]) == pytest.approx(hours, abs=0.05)


@pytest.mark.parametrize(
    ("status", "content", "hours"),
    [
        (404, {"type": "urn:ietf:params:acme:error:malformed", "detail": "unknown"}, 6),
        (500, {}, 1 / 60),
        (0, {}, 1 / 60),
        (200, b"<html>", 6),
    ],
)
def test_a_ca_that_does_not_answer_is_asked_later_and_what_it_said_holds(settings, server, status, content, hours):
    server.suggest(NOW, NOW + DAY)
    before = advice(settings)
    forget_when_to_ask(settings)
    server.answer("/renewal/" + certificate_id(LEAF), status, content)
    assert advice(settings) == before
    assert hours_until(only_record(settings)["next"]) == pytest.approx(hours, abs=0.05)


def test_a_ca_that_stays_away_is_asked_less_and_less(settings, server):
    server.suggest(NOW, NOW + DAY)
    advice(settings)
    settings = {**settings, "directory": server.url}
    waits = []
    for _number in range(12):
        forget_when_to_ask(settings)
        client.CONNECTIONS.clear()  # as in another process
        server.answer("/directory", 0)
        advice(settings)
        waits.append(hours_until(only_record(settings)["next"]) * 60)
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360], abs=1)


def test_a_ca_without_renewal_information_is_asked_tomorrow(settings):
    assert advice(settings) == {}
    assert hours_until(only_record(settings)["next"]) == pytest.approx(24, abs=0.05)


def test_nobody_is_asked_about_what_has_expired(settings, server):
    server.suggest(NOW, NOW + DAY)
    assert advice(settings, Authority("Issuing CA").leaf([NAME], some_key(), days=(-90, -1))) == {}
    assert server.count("/renewal/") == 0


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"start": NOW, "end": NOW + DAY}, (NOW, NOW + DAY)),
        ({"start": NOW - 9 * DAY, "end": NOW - 8 * DAY}, (NOW - 9 * DAY, NOW - 8 * DAY)),
        ({"start": NOW, "end": NOW + 999 * DAY}, (NOW, not_after(LEAF))),
        ({"start": NOW + DAY, "end": NOW}, None),
        ({"start": NOW, "end": NOW}, None),
        ({"start": not_after(LEAF), "end": not_after(LEAF) + DAY}, None),
        ({"start": NOW}, None),
        ({"start": "soon", "end": "later"}, None),
        ("now", None),
        (None, None),
    ],
)
def test_a_window_has_to_make_sense(sent, expected):
    words = (
        {edge: getattr(value, "isoformat", lambda value=value: value)() for edge, value in sent.items()}
        if isinstance(sent, dict)
        else sent
    )
    assert window({"suggestedWindow": words}, not_after(LEAF)) == expected


def test_dates_are_read_as_cas_write_them():
    start, end = window(
        {"suggestedWindow": {"start": "2026-01-02T04:00:00Z", "end": "2026-01-03T04:00:00.123456789Z"}}, not_after(LEAF)
    )
    assert (start.isoformat(), end.isoformat()) == ("2026-01-02T04:00:00+00:00", "2026-01-03T04:00:00.123456+00:00")


class Fleet:
    """A host that serves a certificate of the ACME server."""

    def __init__(self, start, server, settings):
        self.chain = server.authority.chain([NAME], some_key())
        self.leaf = self.chain[0]
        self.variables = {
            "ansible_host": "127.0.0.1",
            "certificate_requests": [
                {"name": "www", "domains": [NAME], "issuer": "ca", "port": start().present(self.chain).port}
            ],
            "certificate_issuers": {"ca": settings},
        }

    def finding(self):
        (finding,) = survey_hosts(["web1"], lambda host: self.variables, lambda *progress: None)
        return finding


@pytest.fixture
def fleet(start, server, settings):
    return Fleet(start, server, settings)


def passed_to_host(fleet, check_mode=False):
    """Return what certificate_request tells a host about renewals."""
    task, passed = Task(), []
    task.action, task.check_mode = "evergreen.tls.certificate_request", check_mode
    variables = fleet.variables
    task.args = {"request": variables["certificate_requests"][0], "issuers": variables["certificate_issuers"]}
    action = ActionModule(task, None, None, None, None, None)

    def execute(*_name, module_args, task_vars):
        passed.append(module_args)
        return {"changed": False}

    action._execute_module = execute
    action.run(task_vars={"inventory_hostname": "web1"})
    return passed[0]["renewals"]


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


def test_a_survey_finds_due_what_the_ca_wants_renewed_and_the_host_gets_the_advice(fleet, server):
    server.suggest(NOW - 2 * DAY, NOW - DAY, explanationURL="https://ca.example/incident")
    finding = fleet.finding()
    assert finding.state == "due"
    assert finding.reason.endswith("UTC on; see https://ca.example/incident")
    requests_before = len(server.requested_paths)
    for check_mode in (False, True):
        passed_on = passed_to_host(fleet, check_mode)
        assert passed_on[f"{fleet.leaf.serial_number:x}"]["reason"] == finding.reason
        assert passed_on[f"{fleet.leaf.serial_number:x}"]["at"] < NOW.isoformat()
    assert fleet.finding() == finding._replace(days_left=fleet.finding().days_left)
    assert len(server.requested_paths) == requests_before  # what the CA said is fresh


def test_a_survey_finds_fine_what_the_ca_wants_renewed_later(fleet, server):
    server.suggest(NOW + DAY, NOW + 2 * DAY)
    assert fleet.finding().state == "fine"
    assert list(passed_to_host(fleet)) == [f"{fleet.leaf.serial_number:x}"]


def test_a_survey_does_without_a_ca_that_is_away(fleet, settings):
    settings["directory"] = f"https://127.0.0.1:{closed_port()}/directory"
    assert fleet.finding().state == "fine"
    assert passed_to_host(fleet) == {}


def test_a_survey_does_without_a_folder_to_remember_in(fleet, settings, server):
    server.suggest(NOW - 2 * DAY, NOW - DAY)
    pathlib.Path(settings["folder"]).write_text("in the way")
    assert fleet.finding().state == "fine"


def test_a_survey_of_other_issuers_does_not_even_load_what_acme_needs():
    script = (
        "import sys; from ansible_collections.evergreen.tls.plugins.plugin_utils._reports import survey; "
        "from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import registry; "
        "registry.open_issuer('ca', {'ca': {'type': 'acme'}}); "
        "print(sorted({'acme', 'josepy', 'requests', 'dns'} & set(sys.modules)))"
    )
    path = ":".join(entry for entry in sys.path if entry)
    ended = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": path}, capture_output=True, check=True, text=True
    )
    assert ended.stdout.strip() == "[]"
