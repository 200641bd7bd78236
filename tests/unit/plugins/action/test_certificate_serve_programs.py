# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When programs are notified of a certificate: after nginx presents it, before it is proved, and again of the version before.

The host is played by the results of its modules; the scenario hooks has real ones.
"""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.tests.unit.plugins.action import test_certificate_serve as usual
from ansible_collections.evergreen.tls.tests.unit.plugins.action.test_certificate_serve import (
    INSTALLED,
    REFUSED,
    REQUEST,
    serve,
)

WITH_PROGRAMS = {**REQUEST, "reload": ["postfix"], "run_after": [["/usr/local/sbin/tell-pbx"]]}
WITH_BOTH = {**WITH_PROGRAMS, "exports": [{"path": "/etc/haproxy/www.pem", "format": "pem"}]}
BY_POSTFIX = {**WITH_PROGRAMS, "served_by": "other"}
NOT_NOTIFIED = "postfix could not be reloaded; see journalctl. The next run tries again"


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


class Host(usual.Host):
    """One with programs that read the certificate in use. known: the version that they know; deaf: whether they do not react."""

    def __init__(self, *arguments, known="v0001", exported="v0001", deaf=False, **more):
        super().__init__(*arguments, **more)
        self.known, self.exported, self.deaf = known, exported, deaf
        self.order = []

    def nginx_reload(self, arguments):
        self.order.append("reload")
        return super().nginx_reload(arguments)

    def handshake_verify(self, arguments):
        self.order.append("look")
        return super().handshake_verify(arguments)

    def certificate_export(self, arguments):
        part = arguments["part"]
        self.order.append(part)
        result = {"changed": False, "fresh": False, "fingerprint": self.current, "msg": "as it should be", "units": {}}
        if part != "programs" and arguments["request"]["exports"] and self.exported != self.current:
            self.exported = self.current
            result.update(changed=True, fresh=True, msg="/etc/haproxy/www.pem is written")
        if part == "exports" or self.known == self.current:
            return result
        result.update(fresh=True)
        if self.deaf:
            return {**result, "failed": True, "unnotified": True, "msg": NOT_NOTIFIED}
        self.known = self.current
        return {**result, "changed": True, "units": {"postfix": "was reloaded"}, "msg": "postfix was reloaded"}


class HostOfPostfix(Host):
    """One without nginx: what Postfix has read is what is served."""

    def nginx_reload(self, _arguments):
        raise AssertionError("there is no nginx here")

    def certificate_export(self, arguments):
        result = super().certificate_export(arguments)
        self.served = self.known
        return result


def test_programs_are_notified_after_nginx_presents_the_certificate_and_before_it_is_proved():
    host = Host(served="v0001")
    result = serve(host, requests=[WITH_PROGRAMS])
    assert host.order == ["reload", "all", "look"]
    assert (host.known, result["failed"], result["changed"]) == ("v0002", False, True)
    assert result["exported"] == "postfix was reloaded"


def test_exports_come_first_and_programs_after_nginx():
    host = Host(served="v0001")
    result = serve(host, requests=[WITH_BOTH])
    assert host.order == ["exports", "reload", "all", "look"]
    assert result["exported"] == "/etc/haproxy/www.pem is written, postfix was reloaded"


def test_programs_that_know_the_certificate_leave_it_at_a_look():
    host = Host(known="v0002")
    result = serve(host, requests=[WITH_PROGRAMS], obtained=INSTALLED)
    assert host.order == ["look", "all"]
    assert (result["changed"], result["failed"], "exported" in result) == (False, False, False)


def test_programs_that_a_killed_run_left_behind_are_notified_although_clients_get_the_certificate():
    host = Host()
    result = serve(host, requests=[WITH_PROGRAMS], obtained=INSTALLED)
    assert host.order == ["look", "all", "reload", "look"]
    assert (host.known, result["changed"], result["failed"]) == ("v0002", True, False)
    assert result["exported"] == "postfix was reloaded"


@pytest.mark.parametrize("obtained", [{}, INSTALLED], ids=["new", "seen by clients"])
def test_a_program_that_cannot_be_notified_is_a_failure_and_the_certificate_stays(obtained):
    host = Host(served="v0002" if obtained else "v0001", deaf=True)
    result = serve(host, requests=[WITH_PROGRAMS], obtained=obtained)
    assert (host.current, host.served, result["failed"], "put_back" in result) == ("v0002", "v0002", True, False)
    assert result["msg"] == f"www.example.org, new.example.org proved from the controller. {NOT_NOTIFIED}"
    assert "exported" not in result


def test_programs_are_notified_again_of_the_version_before_where_the_new_one_is_not_proved():
    host = Host(served="v0001", good=["v0001"])
    result = serve(host, requests=[WITH_PROGRAMS])
    assert (host.current, host.served, host.known, result["put_back"]) == ("v0001", "v0001", "v0001", "v0001")
    assert host.order == ["reload", "all", "look", "reload", "all", "look"]


def test_nobody_is_notified_of_a_version_that_nginx_does_not_load():
    host = Host(served="v0001", nginx={"v0002": {"fresh": True}})
    result = serve(host, requests=[WITH_PROGRAMS])
    assert host.order == ["reload", "reload", "all", "look"]
    assert (host.known, result["failed"], result["put_back"]) == ("v0001", True, "v0001")


def test_a_program_that_does_not_react_to_the_version_before_either_is_named():
    host = Host(served="v0001", good=["v0001"], known="v0000", deaf=True)
    result = serve(host, requests=[WITH_PROGRAMS])
    assert (result["failed"], result["put_back"]) == (True, "v0001")
    assert result["msg"].startswith(f"{REFUSED['msg']}. v0001 of www is in use again: ")
    assert result["msg"].endswith(f". {NOT_NOTIFIED}")


def test_exports_that_cannot_be_written_do_not_keep_programs_from_being_notified():
    class Full(Host):
        def certificate_export(self, arguments):
            if arguments["part"] != "programs":
                self.order.append(arguments["part"])
                return {"failed": True, "msg": "the disk is full; free some space"}
            return super().certificate_export(arguments)

    host = Full(served="v0001")
    result = serve(host, requests=[WITH_BOTH])
    assert host.order == ["exports", "reload", "programs", "look"]
    assert (host.known, result["failed"]) == ("v0002", True)
    assert result["msg"].endswith("new.example.org proved from the controller. the disk is full; free some space")


def test_what_other_programs_serve_is_proved_after_they_are_notified():
    host = HostOfPostfix(served="v0001")
    result = serve(host, requests=[BY_POSTFIX], obtained=INSTALLED)
    assert (host.order, host.served) == (["all", "look"], "v0002")
    assert (result["failed"], result["exported"]) == (False, "postfix was reloaded")


def test_a_command_that_fails_does_not_take_back_what_another_program_serves():
    class Half(HostOfPostfix):
        def certificate_export(self, arguments):
            result = super().certificate_export(arguments)
            return {**result, "failed": True, "unnotified": True, "msg": "tell-pbx failed (exit status 1)"}

    host = Half(served="v0001")
    result = serve(host, requests=[BY_POSTFIX], obtained=INSTALLED)
    assert (host.current, host.served, result["failed"], "put_back" in result) == ("v0002", "v0002", True, False)
    assert (
        result["msg"] == "www.example.org, new.example.org proved from the controller. tell-pbx failed (exit status 1)"
    )


def test_a_command_that_fails_is_reported_although_clients_get_the_certificate():
    class Half(HostOfPostfix):
        def certificate_export(self, _arguments):
            return {
                "failed": True,
                "unnotified": True,
                "msg": "tell-pbx failed (exit status 1)",
                "fingerprint": "v0002",
            }

    result = serve(Half(), requests=[BY_POSTFIX], obtained=INSTALLED)
    assert (result["failed"], "put_back" in result) == (True, False)


def test_what_a_program_does_not_serve_makes_way_for_the_version_before():
    host = HostOfPostfix(served="v0001", deaf=True)
    result = serve(host, requests=[BY_POSTFIX])
    assert (host.current, result["failed"], result["put_back"]) == ("v0001", True, "v0001")
    assert result["msg"].startswith(f"{REFUSED['msg']}. v0001 of www is in use again: ")
    assert result["msg"].endswith(f". {NOT_NOTIFIED}")
