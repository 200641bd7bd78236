# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate that the inventory no longer has is listed, and removed once nobody needs it."""

from __future__ import annotations

import os
import types

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import certificate_remove
from ansible_collections.evergreen.tls.plugins.module_utils._store.deployed import read_deployed
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions
from ansible_collections.evergreen.tls.plugins.module_utils._tls import presented
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

ISSUING = Authority("Removal CA")
DAY_S = 86400
GRACE_S = 7 * DAY_S


class Host:
    """A host with certificates in a folder, at a time."""

    def __init__(self, folder, monkeypatch):
        self.directory = folder / "evergreen"
        self.time = 1_800_000_000
        self.monkeypatch = monkeypatch
        monkeypatch.setattr(certificate_remove, "time", types.SimpleNamespace(time=lambda: self.time))

    def put(self, name, number=1):
        """Put a certificate in use, as certificate_install does."""
        folder = self.directory / name / "v0001"
        folder.mkdir(parents=True)
        key = some_key(number)
        chain = ISSUING.chain([f"{name}.example.org"], key)
        contents = {"privkey.pem": key_pem(key), "fullchain.pem": to_pem(chain), "cert.pem": to_pem(chain[:1])}
        for file, content in contents.items():
            (folder / file).write_bytes(content)
        (folder.parent / "current").symlink_to("v0001")
        (folder.parent / "lock").touch()

    def run(self, *names, check=False, **options):
        """Run the module with requests of these names, or with requests that are dictionaries."""
        requests = [one if isinstance(one, dict) else request(one) for one in names]
        arguments = {"directory": str(self.directory), "host": "web1", "requests": requests, **options}
        checked = ArgumentSpecValidator(certificate_remove.OPTIONS).validate(arguments)
        assert not checked.error_messages
        module = types.SimpleNamespace(
            params=checked.validated_parameters, check_mode=check, get_bin_path=lambda *_arguments, **_options: None
        )
        return certificate_remove.decide(module)

    def states(self, *names, **options):
        """Return the names and states of what the module lists."""
        return {one["name"]: one["state"] for one in self.run(*names, **options)["unused"]}

    def names(self):
        return sorted(os.listdir(self.directory))


def request(name, **more):
    return {"name": name, "domains": [f"{name}.example.org"], **more}


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


@pytest.fixture
def deployed(host):
    """A host on which two certificates were deployed."""
    host.put("old", 1)
    host.put("www", 2)
    first = host.run("old", "www")
    assert (first["changed"], first["unused"]) == (False, [])
    return host


def test_a_host_without_certificates_has_none_to_remove(host):
    result = host.run()
    assert (result["changed"], result["unused"]) == (False, [])
    assert not host.directory.exists()


def test_the_grace_time_begins_with_the_first_run_without_a_request(deployed):
    result = deployed.run("www")
    assert result["changed"] is True
    assert [(one["name"], one["state"]) for one in result["unused"]] == [("old", "waiting")]
    assert result["msg"] == (
        "no request of this host is named old any more: the first deploy after 2027-01-22 08:00 UTC removes "
        f"{deployed.directory}/old with its key"
    )
    assert result["diff"]["before"] == "old: in use\n"
    assert result["diff"]["after"] == "old: removed after 2027-01-22 08:00 UTC\n"
    deployed.time += DAY_S
    again = deployed.run("www")
    assert (again["changed"], again["unused"]) == (False, result["unused"])
    assert "diff" not in again


def test_nothing_is_removed_before_the_grace_time_is_over_whoever_asks_for_it(deployed):
    deployed.run("www")
    deployed.time += GRACE_S - 1
    assert deployed.states("www", remove=["old"]) == {"old": "waiting"}
    assert deployed.names() == ["old", "www"]


def test_what_is_due_is_removed_once_the_controller_has_seen_that_no_client_gets_it(deployed):
    deployed.run("www")
    deployed.time += GRACE_S
    listed = deployed.run("www")
    assert (listed["changed"], listed["unused"][0]["state"]) == (False, "due")
    assert listed["unused"][0]["domains"] == ["old.example.org"]
    assert len(listed["unused"][0]["fingerprints"]) == 1
    removed = deployed.run("www", remove=["old", "www"])
    assert (removed["changed"], removed["msg"]) == (True, f"{deployed.directory}/old is removed with its key")
    assert (removed["diff"]["before"], removed["diff"]["after"]) == ("old: no longer requested\n", "")
    assert deployed.names() == ["www"], "a certificate with a request stays, though it is named"
    assert deployed.run("www", remove=["old"]) == {
        "changed": False,
        "unused": [],
        "msg": "the inventory has all certificates of the host",
    }


def test_without_a_grace_time_one_run_lists_it_and_the_next_call_removes_it(deployed):
    listed = deployed.run("www", grace=0)
    assert (listed["changed"], listed["unused"][0]["state"]) == (True, "due")
    assert deployed.states("www", grace=0, remove=["old"]) == {"old": "removed"}
    assert deployed.names() == ["www"]


def test_check_mode_lists_and_changes_nothing(deployed):
    before = read_deployed(Versions(str(deployed.directory), "old"))
    waiting = deployed.run("www", check=True)
    assert (waiting["changed"], waiting["unused"][0]["state"]) == (True, "waiting")
    due = deployed.run("www", check=True, grace=0)
    assert (due["changed"], due["msg"]) == (True, f"{deployed.directory}/old would be removed with its key")
    assert due["diff"]["before"].startswith("old: in use\n")
    assert read_deployed(Versions(str(deployed.directory), "old")) == before
    assert deployed.names() == ["old", "www"]


def test_a_request_that_comes_back_ends_the_grace_time(deployed):
    deployed.run("www")
    assert deployed.run("old", "www")["unused"] == []
    deployed.time += GRACE_S
    assert deployed.states("www") == {"old": "waiting"}


def test_a_clock_that_was_ahead_does_not_keep_a_certificate_for_ever(deployed):
    deployed.time += 100 * DAY_S
    deployed.run("www")
    deployed.time -= 100 * DAY_S
    assert deployed.states("www", grace=0) == {"old": "due"}


def test_a_request_that_makes_no_sense_keeps_its_certificate(deployed):
    assert deployed.states("www", kept=["old"], grace=0) == {}


def test_what_another_host_of_the_inventory_has_on_the_same_machine_is_nothing_of_this_host(host):
    host.put("other")
    host.run("other", host="web2")
    assert host.states(grace=0, remove=["other"]) == {}
    assert host.names() == ["other"]


@pytest.mark.parametrize("kind", ["made by somebody else", "with a record that cannot be read"])
def test_what_deploy_did_not_put_there_stays(host, kind):
    host.put("other")
    if kind == "with a record that cannot be read":
        (host.directory / "other/deployed.json").write_text('{"host": "web1"}')
    result = host.run(grace=0, remove=["other"])
    assert result["changed"] is False
    assert result["msg"] == (
        f"{host.directory}/other belongs to no request of this host, and deploy has no record that it put it there: it stays; "
        "if nobody needs it, remove it with certificate_install and state=absent"
    )
    assert host.names() == ["other"]


@pytest.mark.parametrize("what", ["a file", "a folder", "a link to a certificate"])
def test_what_is_no_certificate_is_not_even_listed(deployed, tmp_path, what):
    path = deployed.directory / "mine"
    if what == "a file":
        path.write_text("mine")
    elif what == "a folder":
        path.mkdir()
        (path / "lock").touch()
    else:
        path.symlink_to("www")
    assert deployed.states("old", "www", grace=0, remove=["mine"]) == {}
    assert os.path.lexists(path)


def test_links_that_lead_to_the_certificate_are_removed_and_no_others(host, tmp_path):
    host.put("old")
    link, changed = tmp_path / "server.pem", tmp_path / "other.pem"
    link.symlink_to(host.directory / "old/current/fullchain.pem")
    changed.symlink_to("elsewhere")
    host.run(request("old", links={str(link): "fullchain.pem", str(changed): "fullchain.pem"}))
    host.run(grace=0)
    assert host.states(grace=0, remove=["old"]) == {"old": "removed"}
    assert not link.is_symlink()
    assert os.readlink(changed) == "elsewhere"


def test_exports_stay_and_are_named(deployed):
    (deployed.directory / "old/exports.json").write_text('{"written": {"/srv/keystore.p12": null}, "pending": {}}')
    deployed.run("www", grace=0)
    result = deployed.run("www", grace=0, remove=["old"])
    assert result["msg"] == (
        f"{deployed.directory}/old is removed with its key; its exports /srv/keystore.p12 stay: remove them where nobody reads them"
    )


def test_what_nginx_names_is_kept_and_the_others_are_removed(deployed, monkeypatch):
    def check(_finder, folder):
        if folder.endswith("/old"):
            raise TlsError("/etc/nginx/nginx.conf:7 names it")

    monkeypatch.setattr(certificate_remove, "check_unreferenced", check)
    for check_mode in (True, False):
        result = deployed.run(grace=0, check=check_mode, remove=["old", "www"])
        assert result["unused"][0]["sentence"] == (
            f"{deployed.directory}/old is not removed: /etc/nginx/nginx.conf:7 names it"
        )
    assert deployed.names() == ["old"]
    assert deployed.run(grace=0, remove=["old"])["changed"] is False


def test_what_a_client_of_the_host_still_gets_is_kept(deployed, monkeypatch):
    deployed.run("www", grace=0)
    chain = ISSUING.chain(["old.example.org"], some_key(3))
    served = {"chain": chain}
    monkeypatch.setattr(presented, "handshake", lambda *_arguments, **_options: (served["chain"], "TLSv1.3"))
    (deployed.directory / "old/v0002").mkdir()
    (deployed.directory / "old/v0002/fullchain.pem").write_bytes(to_pem(chain))
    result = deployed.run("www", grace=0, remove=["old"])
    assert result["unused"][0]["state"] == "kept"
    assert result["msg"] == (
        f"{deployed.directory}/old is not removed: old.example.org at 127.0.0.1 port 443 is still answered with it; "
        "take it out of the configuration of what listens there, then run this again"
    )
    served["chain"] = ISSUING.chain(["old.example.org"], some_key(4))
    assert deployed.states("www", grace=0, remove=["old"]) == {"old": "removed"}, "another certificate is served"


@pytest.mark.parametrize("left", [".old.removed", ".old.gone"])
def test_a_removal_that_was_killed_is_finished(deployed, left):
    deployed.run("www", grace=0)
    os.rename(deployed.directory / "old", deployed.directory / left)
    deployed.run("www", grace=0)
    assert deployed.states("www", grace=0, remove=["old"]) in ({"old": "removed"}, {})
    assert deployed.names() == ["www"]


def test_a_removal_that_was_killed_is_undone_where_the_request_is_back(deployed):
    os.rename(deployed.directory / "old", deployed.directory / ".old.removed")
    assert deployed.run("old", "www")["unused"] == []
    assert deployed.names() == ["old", "www"]


def test_a_folder_that_others_can_change_is_left_alone(deployed):
    deployed.run("www", grace=0)
    os.chmod(deployed.directory / "old/v0001", 0o777)
    result = deployed.run("www", grace=0, remove=["old"])
    assert result["unused"][0]["state"] == "kept"
    assert "can be written by others" in result["msg"]


def test_an_error_of_the_system_is_a_failure_and_the_others_are_removed(deployed, monkeypatch):
    deployed.run(grace=0)
    remove = certificate_remove.remove

    def failing(request, store, check_mode):
        if request["name"] == "old":
            raise OSError(5, "Input/output error", store.path)
        return remove(request, store, check_mode)

    monkeypatch.setattr(certificate_remove, "remove", failing)
    with pytest.raises(TlsError, match=f"^{deployed.directory}/old: Input/output error; ") as caught:
        deployed.run(grace=0, remove=["old", "www"])
    assert caught.value.details["changed"] is True
    assert deployed.names() == ["old"]
