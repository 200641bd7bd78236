# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that read a certificate are notified of each version once, again after a crash, and until it succeeds."""

from __future__ import annotations

import json
import os
import types

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import certificate_install
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._store import notifications
from ansible_collections.evergreen.tls.plugins.modules import certificate_export
from ansible_collections.evergreen.tls.tests.unit.plugins.modules import test_certificate_export

# Writes down its arguments and its environment, and fails while a file beside it says so.
HOOK = """#!/bin/sh
echo "$*" >> "$0.calls"
env | sort > "$0.environment"
[ ! -e "$0.fails" ] || { printf 'no route\\033[31m to pbx\\n' >&2; exit 7; }
"""
UNITS = {"reload": ["haproxy"], "restart": ["tomcat10"]}


class Host(test_certificate_export.Host):
    """A host with a certificate, units, and a program that notes how it was run."""

    def __init__(self, folder):
        super().__init__(folder)
        self.hook = folder / "hook"
        self.hook.write_text(HOOK)
        self.hook.chmod(0o755)

    def options(self, **options):
        """Return a complete request with these options."""
        checked = ArgumentSpecValidator({"request": REQUEST_SPEC}).validate(
            {"request": {"name": "web", "domains": test_certificate_export.NAMES, **options}}
        )
        assert checked.error_messages == []
        return checked.validated_parameters["request"]

    def notify(self, part="all", check=False, **options):
        """Run the module."""
        directory = os.path.dirname(self.store.path)
        params = {"request": self.options(**options), "directory": directory, "passwords": {}, "part": part}
        return certificate_export.decide(types.SimpleNamespace(params=params, check_mode=check))

    def calls(self):
        """Return the arguments of each run of the program since this was asked last."""
        path = self.folder / "hook.calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def go_back(self):
        """Put the version before in use."""
        self.store.switch(self.store.versions()[-2])


@pytest.fixture
def host(tmp_path, monkeypatch):
    # The temporary folders of tests belong to the user who runs them, and /tmp may be written by all.
    monkeypatch.setattr(notifications, "COMMAND_ENVIRONMENT", {"PATH": os.environ["PATH"]})
    made = Host(tmp_path)
    monkeypatch.setenv("PATH", f"{made.programs}:{os.environ['PATH']}")
    made.install()
    return made


def test_programs_are_notified_of_each_version_once(host):
    options = {**UNITS, "run_after": [[str(host.hook), "{name}"]]}
    first = host.notify(**options)
    assert first["changed"] is True
    assert first["units"] == {"tomcat10": "was restarted", "haproxy": "was reloaded"}
    assert first["commands"] == {f"{host.hook} '{{name}}'": "was run"}
    assert first["msg"] == f"tomcat10 was restarted, haproxy was reloaded, {host.hook} '{{name}}' was run"
    assert (host.told(), host.calls()) == (["restart tomcat10", "reload-or-restart haproxy"], ["web"])
    again = host.notify(**options)
    assert (again["changed"], again["msg"]) == (False, "all programs that read web have been notified")
    assert "diff" not in again
    host.install()
    assert host.notify(**options)["fresh"] is True
    assert (host.told(), host.calls()) == (["restart tomcat10", "reload-or-restart haproxy"], ["web"])


def test_the_first_notification_does_not_make_the_certificate_new(host):
    assert host.notify(**UNITS)["fresh"] is False


def test_programs_are_notified_of_the_version_before_where_that_is_in_use_again(host):
    host.notify(reload=["haproxy"])
    host.install()
    host.notify(reload=["haproxy"])
    host.told()
    host.go_back()
    assert host.notify(reload=["haproxy"])["units"] == {"haproxy": "was reloaded"}
    assert host.told() == ["reload-or-restart haproxy"]


def test_a_program_that_failed_with_a_new_version_is_notified_of_the_version_before(host):
    host.notify(reload=["haproxy"])
    host.install()
    host.unit("haproxy", fails=True)
    with pytest.raises(TlsError, match="haproxy could not be reloaded"):
        host.notify(reload=["haproxy"])
    host.unit("haproxy")
    host.go_back()
    assert host.notify(reload=["haproxy"])["units"] == {"haproxy": "was reloaded"}


def test_a_program_that_is_added_is_notified_and_one_that_is_gone_is_forgotten(host):
    host.notify(reload=["haproxy"])
    host.told()
    assert host.notify(restart=["tomcat10"])["units"] == {"tomcat10": "was restarted"}
    assert host.notify(reload=["haproxy"])["units"] == {"haproxy": "was reloaded"}


def test_a_unit_that_is_restarted_is_not_reloaded_as_well(host):
    assert host.notify(restart=["haproxy"], reload=["haproxy"])["units"] == {"haproxy": "was restarted"}
    assert host.told() == ["restart haproxy"]
    assert host.notify(restart=["haproxy"], reload=["haproxy"])["changed"] is False


def test_a_unit_that_reads_an_export_as_well_is_notified_once(host):
    bundle = {"path": str(host.out / "site.pem"), "format": "pem", "reload": ["haproxy"]}
    host.notify(exports=[bundle], reload=["haproxy"])
    assert host.told() == ["reload-or-restart haproxy"]
    assert host.notify(exports=[bundle], reload=["haproxy"])["changed"] is False
    host.install()
    host.notify(exports=[bundle], reload=["haproxy"])
    assert host.told() == ["reload-or-restart haproxy"]


def test_exports_and_programs_may_come_in_two_calls(host):
    options = {"exports": [{"path": str(host.out / "site.pem"), "format": "pem"}], **UNITS}
    assert (host.notify(part="exports", **options)["units"], host.told()) == ({}, [])
    assert host.notify(part="programs", **options)["exports"] == []
    assert host.told() == ["restart tomcat10", "reload-or-restart haproxy"]
    assert host.notify(**options)["changed"] is False


def test_a_command_that_fails_is_named_with_its_words_and_run_again_until_it_succeeds(host):
    (host.folder / "hook.fails").touch()
    options = {"reload": ["haproxy"], "run_after": [[str(host.hook), "pbx"], ["/bin/true"]]}
    with pytest.raises(TlsError) as caught:
        host.notify(**options)
    assert str(caught.value) == (
        f"haproxy was reloaded, /bin/true was run. run_after: {host.hook} pbx failed (exit status 7): no route?[31m to pbx; "
        "put right what it says, or correct run_after. The next run tries again"
    )
    assert (caught.value.details["unnotified"], caught.value.details["changed"]) == (True, True)
    assert (host.told(), host.calls()) == (["reload-or-restart haproxy"], ["pbx"])
    (host.folder / "hook.fails").unlink()
    assert host.notify(**options)["commands"] == {f"{host.hook} pbx": "was run"}
    assert (host.told(), host.calls()) == ([], ["pbx"])
    assert host.notify(**options)["changed"] is False


def test_a_failure_does_not_say_that_all_is_well(host):
    host.keystore.touch()  # which systemctl of the test reads
    host.unit("haproxy", fails=True)
    with pytest.raises(TlsError) as caught:
        host.notify(reload=["haproxy"])
    assert str(caught.value) == (
        "haproxy could not be reloaded: Job for haproxy.service failed.; see journalctl --unit haproxy for why. The next run tries again"
    )


def test_a_failure_of_an_export_is_more_than_a_program_that_was_not_notified(host):
    host.unit("haproxy", fails=True)
    with pytest.raises(TlsError) as caught:
        host.notify(exports=[{"path": str(host.out / "site.pem"), "format": "pem", "reload": ["haproxy"]}])
    assert caught.value.details["unnotified"] is False


def test_a_command_that_takes_too_long_is_ended(host, monkeypatch):
    monkeypatch.setattr(notifications, "COMMAND_TIMEOUT_S", 0.2)
    with pytest.raises(
        TlsError, match="/bin/sleep 30 was ended after 0.2 s: it printed nothing; have it start what takes"
    ):
        host.notify(run_after=[["/bin/sleep", "30"]])


def test_a_command_that_a_signal_ends_is_named_with_the_signal(host):
    with pytest.raises(TlsError, match=r"failed \(ended by signal 15\): it printed nothing; put right"):
        host.notify(run_after=[["/bin/sh", "-c", "kill -TERM $$"]])


def test_a_command_knows_the_certificate_and_nothing_of_the_task(host, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "hidden")
    result = host.notify(run_after=[[str(host.hook), "{name}:{folder}:{fingerprint}", "$HOME; {x y}"]])
    folder = f"{host.store.path}/current"
    assert host.calls() == [f"web:{folder}:{result['fingerprint']} $HOME; {{x y}}"]
    environment = dict(line.split("=", 1) for line in (host.folder / "hook.environment").read_text().splitlines())
    assert {name: environment[name] for name in environment if name.startswith("EVERGREEN_")} == {
        "EVERGREEN_NAME": "web",
        "EVERGREEN_FOLDER": folder,
        "EVERGREEN_VERSION": "v0001",
        "EVERGREEN_FINGERPRINT": result["fingerprint"],
        "EVERGREEN_DOMAINS": "www.example.org",
    }
    assert os.path.exists(f"{environment['EVERGREEN_FOLDER']}/privkey.pem")
    assert "VAULT_TOKEN" not in environment


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda hook: hook.unlink(), "is not on this host; install it, or correct run_after"),
        (lambda hook: hook.chmod(0o775), "can be written by others, who could have root run anything; run chmod go-w"),
        (lambda hook: hook.chmod(0o757), "can be written by others, who could have root run anything; run chmod go-w"),
        (lambda hook: hook.chmod(0o644), "cannot be executed; run chmod u.x on it"),
        (lambda hook: (hook.unlink(), hook.mkdir()), "is not a program; correct run_after"),
    ],
)
def test_a_program_that_must_not_or_cannot_be_run_is_not(host, change, sentence):
    change(host.hook)
    with pytest.raises(TlsError, match=f"run_after: {host.hook} {sentence}"):
        host.notify(run_after=[[str(host.hook)]])
    assert host.calls() == []


def test_a_program_of_another_user_is_not_run(host, monkeypatch):
    monkeypatch.setattr(notifications, "is_trusted", lambda _status: False)
    with pytest.raises(
        TlsError, match=f"run_after: {host.hook} belongs to .*, who could have root run anything; run chown"
    ):
        host.notify(run_after=[[str(host.hook)]])


def test_a_program_in_a_folder_that_others_can_write_to_is_not_run(host):
    folder = host.folder / "shared"
    folder.mkdir()
    host.hook.rename(folder / "hook")
    folder.chmod(0o777)
    with pytest.raises(TlsError, match="run_after: the folder .*/shared of .* can be written by everybody"):
        host.notify(run_after=[[str(folder / "hook")]])


def test_check_mode_says_who_would_be_notified_and_notifies_nobody(host):
    options = {**UNITS, "run_after": [[str(host.hook)]]}
    result = host.notify(check=True, **options)
    sentences = ["tomcat10 would be restarted", "haproxy would be reloaded", f"{host.hook} would be run"]
    assert (result["changed"], result["msg"]) == (True, ", ".join(sentences))
    assert result["diff"] == {"before": "", "after": "".join(f"{sentence}\n" for sentence in sentences)}
    assert (host.told(), host.calls()) == ([], [])
    assert not (host.folder / "evergreen/web/exports.json").exists()


def test_a_host_without_systemd_is_told_to_use_a_command(host, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        TlsError, match="systemd cannot be asked for haproxy: systemctl: No such file or directory; leave out reload"
    ):
        host.notify(reload=["haproxy"])


def test_a_key_with_a_passphrase_is_not_needed_to_notify_programs(host):
    key = os.path.join(host.store.path, host.store.current(), "privkey.pem")
    with open(key, "w", encoding="ascii") as stream:
        stream.write("not for this module")
    assert host.notify(reload=["haproxy"])["changed"] is True


def test_without_a_certificate_nobody_is_notified(tmp_path):
    bare = Host(tmp_path)
    assert bare.notify(check=True, reload=["haproxy"])["msg"] == "web is not installed yet"
    with pytest.raises(TlsError, match="no certificate of web is installed; install it first"):
        bare.notify(reload=["haproxy"])


def test_an_old_record_of_exports_is_read_and_holds_no_arguments_for_others(host):
    path = host.folder / "evergreen/web/exports.json"
    path.write_text('{"written": {}, "pending": {}}')
    path.chmod(0o600)
    host.notify(run_after=[["/bin/true", "{name}"]])
    assert json.loads(path.read_text())["notified"] == {
        'run_after ["/bin/true", "{name}"]': f"v0001 {host.notify(run_after=[['/bin/true', '{name}']])['fingerprint']}"
    }
    assert test_certificate_export.mode_of(path) == 0o600


def test_programs_are_notified_again_where_a_link_led_elsewhere(host):
    link = host.out / "cert.pem"
    options = {"links": {str(link): "fullchain.pem"}, "reload": ["haproxy"]}
    params = {"request": host.options(**options), "directory": os.path.dirname(host.store.path), "issuers": {}}
    params |= {"state": "present", "chain": None, "roots": None, "revoked": {}}
    install = types.SimpleNamespace(params=params, check_mode=False)
    host.store.correct_paths(host.store.current(), host.options(**options))
    host.notify(**options)
    assert host.notify(**options)["changed"] is False
    link.unlink()
    link.symlink_to("/nowhere")
    params["chain"] = (host.store.file(host.store.current(), "fullchain.pem") or b"").decode()
    assert certificate_install.decide(install)["changed"] is True
    assert host.notify(**options)["units"] == {"haproxy": "was reloaded"}


def test_check_mode_of_an_installation_says_who_would_be_notified(host):
    options = {"reload": ["haproxy"], "run_after": [["/bin/true"]]}
    params = {"request": host.options(**options), "directory": os.path.dirname(host.store.path), "issuers": {}}
    params |= {"state": "present", "chain": None, "roots": None, "revoked": {}}
    params["request"]["name"] = "new"
    result = certificate_install.decide(types.SimpleNamespace(params=params, check_mode=True))
    assert result["msg"].endswith(", haproxy would be reloaded, /bin/true would be run")
    assert result["diff"]["after"].endswith("haproxy would be reloaded\n/bin/true would be run\n")
