# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is installed in the store on the controller is brought to the service that presents it."""

from __future__ import annotations

import types

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import certificate_deploy
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import write_key
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment import walk
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.installed import upload_prefix
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.fake_service import FakeService

AUTHORITY = Authority()
DOMAIN = "static.example.org"
OFF = {"redirect": False, "hsts": 0, "tls_versions": ["TLSv1.2", "TLSv1.3"]}


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


class Site:
    """A store on the controller, and a service."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.service = folder / "store", FakeService(DOMAIN, spread=3.0, settings=OFF)
        self.opened, self.connection = [], types.SimpleNamespace(transport="local")
        self.cloud = {}
        self.redirects = []
        monkeypatch.setattr(certificate_deploy, "open_service", self._open)
        clock = self.service.clock
        for function in ("deploy_certificate", "settle"):
            original = getattr(certificate_deploy, function)

            def with_clock(*arguments, original=original, **more):
                return original(*arguments, **more, clock=clock)

            monkeypatch.setattr(certificate_deploy, function, with_clock)
        monkeypatch.setattr(certificate_deploy, "check_redirect", lambda *where: self.redirects.append(where))

    def _open(self, _request, accounts, _prefix):
        self.opened.append(accounts)
        return self.service

    def install(self, number=1, passphrase=None, names=(DOMAIN,)):
        """Put a version into the store and in use."""
        folder = self.folder / "static" / f"v{number:04d}"
        folder.mkdir(parents=True)
        for above in (self.folder, self.folder / "static", folder):
            above.chmod(0o755)
        key = some_key(number)
        chain = AUTHORITY.chain([*names], key)
        (folder / "fullchain.pem").write_bytes(to_pem(chain))
        (folder / "privkey.pem").write_bytes(write_key(key, passphrase))
        if passphrase:
            (folder / "passphrase").write_bytes(passphrase + b"\n")
        current = self.folder / "static" / "current"
        current.unlink(missing_ok=True)
        current.symlink_to(folder.name)
        return chain

    def deploy(self, check_mode=False, served_by="cloud", **arguments):
        task = Task()
        task.action, task.check_mode = "evergreen.tls.certificate_deploy", check_mode
        cloud = {"cloud": self.cloud} if served_by == "cloud" else {}
        request = {"name": "static", "domains": [DOMAIN], "served_by": served_by, **cloud}
        task.args = {"request": request, "directory": str(self.folder), **arguments}
        action = certificate_deploy.ActionModule(task, self.connection, None, None, None, None)
        return action.run(task_vars={"inventory_hostname": "cdn1", "cloud_accounts": {"main": {"type": "tencent"}}})


@pytest.fixture
def site(tmp_path, monkeypatch):
    return Site(tmp_path, monkeypatch)


def test_the_certificate_in_use_is_uploaded_and_bound(site):
    chain = site.install()
    result = site.deploy()
    assert not result.get("failed"), result["msg"]
    assert (result["changed"], result["uploaded"], result["certificate"]) == (True, True, "cert-1")
    assert result["fingerprint"] == fingerprint(chain[0])
    assert result["canonical_names"] == {DOMAIN: f"{DOMAIN}.cdn.example"}
    assert (
        result["msg"]
        == f"uploaded the certificate (SHA-256 {fingerprint(chain[0])[:16]}…) to the fake service and bound it to {DOMAIN}"
    )
    assert site.service.lying["cert-1"][0] == f"evergreen/cdn1/static/{fingerprint(chain[0])[:16]}"
    again = site.deploy()
    assert (again["changed"], again["uploaded"], "diff" in again) == (False, False, False)


def test_the_accounts_are_those_of_the_inventory_unless_the_task_names_others(site):
    site.install()
    site.deploy()
    site.deploy(accounts={"other": {"type": "aws"}})
    assert site.opened == [{"main": {"type": "tencent"}}, {"other": {"type": "aws"}}]


def test_a_key_that_is_encrypted_on_the_disk_is_decrypted_in_memory(site):
    site.install(passphrase=b"a passphrase of a test")
    assert site.deploy()["uploaded"]


def test_an_appliance_is_opened_with_the_addresses_at_which_clients_reach_it(site, monkeypatch):
    site.install()
    opened = []

    def open_appliance(request, endpoints):
        opened.append((request["appliance"]["user"], endpoints))
        return site.service

    monkeypatch.setattr(certificate_deploy, "open_appliance", open_appliance)
    appliance = {"user": "root", "agent": True, "preset": "nginx"}
    request = {"name": "static", "domains": [DOMAIN], "served_by": "appliance", "appliance": appliance}
    assert site.deploy(request=request)["uploaded"]
    proved = site.deploy(request=request, proved=True)
    assert (proved["changed"], proved["msg"]) == (False, "")
    assert opened == [("root", [("cdn1", 443)])]


def test_check_mode_says_what_would_be_done(site):
    chain = site.install()
    result = site.deploy(check_mode=True)
    assert (result["changed"], site.service.changing_calls()) == (True, [])
    assert result["msg"].startswith(
        f"would upload the certificate (SHA-256 {fingerprint(chain[0])[:16]}…) to the fake service"
    )
    assert result["diff"]["after"].startswith(f"{DOMAIN}: a new upload ({DOMAIN}, issued by Test Root CA")


def test_check_mode_knows_that_there_is_no_certificate_yet(site):
    result = site.deploy(check_mode=True)
    assert (result["changed"], result["msg"]) == (True, "would deploy the certificate of static once it is installed")
    assert "has no certificate in" in site.deploy()["msg"]


def test_a_change_that_takes_longer_is_waiting(site):
    site.cloud = {"patience": "2s"}
    site.install()
    result = site.deploy()
    assert not result.get("failed")
    assert result["msg"] == result["waiting"]["for"]
    assert result["msg"].startswith(
        f"the fake service has not brought it into effect for {DOMAIN} after 2s (a change is under way); the"
    )


def test_once_it_is_proved_the_settings_follow_and_old_uploads_go(site):
    site.cloud = {"redirect": True, "keep": 1}
    for number in (1, 2, 3):
        site.install(number)
        site.deploy()
    result = site.deploy(proved=True)
    assert not result.get("failed"), result["msg"]
    assert (result["changed"], result["removed"]) == (True, ["cert-1"])
    assert result["msg"] == f"set redirect to on for {DOMAIN}, removed 1 old from the fake service"
    assert [domain for domain, _address in site.redirects] == [DOMAIN]
    assert result["diff"]["before"] == f"{DOMAIN}: redirect: off\n"
    assert site.deploy(proved=True)["changed"] is False


def test_a_setting_that_the_service_does_not_have_is_refused_before_the_upload(site):
    site.cloud = {"hsts": 60}
    del site.service.state[DOMAIN]["settings"]["hsts"]
    site.install()
    result = site.deploy()
    assert result["failed"] and "take cloud.hsts out of the certificate request" in result["msg"]
    assert site.service.changing_calls() == []


def test_a_key_of_another_certificate_is_not_sent(site):
    site.install()
    (site.folder / "static/v0001/privkey.pem").write_bytes(write_key(some_key(9)))
    result = site.deploy()
    assert result["failed"] and "privkey.pem is not the key of fullchain.pem; have a new pair made" in result["msg"]
    assert site.service.named("upload") == []


def test_another_connection_than_local_is_refused(site):
    site.install()
    site.connection.transport = "ssh"
    result = site.deploy()
    assert result["failed"] and result["msg"].endswith(
        "connection of this host is ssh; set ansible_connection: local for it"
    )


def test_a_certificate_of_nginx_is_not_deployed_from_here(site):
    result = site.deploy(served_by="nginx")
    assert result["failed"] and "served_by is nginx, and only cloud and appliance" in result["msg"]


def test_a_store_that_this_user_cannot_read_names_what_to_set(site, monkeypatch):
    site.install()

    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied", "/etc/evergreen/static/current")

    monkeypatch.setattr(certificate_deploy.installed_pair.__globals__["Store"], "current", refuse)
    result = site.deploy()
    assert (
        result["failed"]
        and "set ansible_become: false for this host, and a certificate_directory of this user" in result["msg"]
    )


def test_a_label_has_room_for_the_longest_names():
    prefix = upload_prefix({"name": "n" * 128}, "h" * 200)
    assert len(prefix) + 16 <= 100
    assert prefix != upload_prefix({"name": "n" * 127 + "m"}, "h" * 200)


def test_the_intervals_between_two_looks_have_no_end():
    intervals = walk.intervals()
    assert [next(intervals) for _number in range(8)][-2:] == [10.0, 10.0]
