# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is served in the end is what clients can be seen to get: the newest version, or the one before.

The host is played by the results of its modules; the scenarios rollback and hard_nginx have real ones.
"""

from __future__ import annotations

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action.certificate_serve import ActionModule

REQUEST = {"name": "www", "domains": ["www.example.org", "new.example.org"]}
OLD_NAMES = ["www.example.org"]  # what the first version covers
INSTALLED = {"certificates": [{"name": "www", "failed": False, "fingerprint": "v0002"}]}  # as certificate_obtain says
REFUSED = {"failed": True, "msg": "seen from the controller: it is refused"}


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


class Host:
    """A host with a first and a second version, of which *current* is in use, *served* by nginx, and *good* for clients."""

    def __init__(self, current="v0002", served="v0002", good=("v0001", "v0002"), answered=True, nginx=None):
        self.current, self.served, self.good, self.answered = current, served, good, answered
        self.nginx = nginx or {}  # what nginx_reload returns for a version that nginx does not load
        self.proofs = []

    async def run_action(self, name, arguments, _task_vars):
        return getattr(self, name.rpartition(".")[2])(arguments)

    def nginx_reload(self, _arguments):
        if self.current in self.nginx:
            return {"failed": True, "msg": "nginx refuses it", **self.nginx[self.current]}
        changed, self.served = self.served != self.current, self.current
        return {"changed": changed, "fingerprint": self.current, "msg": f"nginx presents {self.current}"}

    def handshake_verify(self, arguments):
        self.proofs.append((self.served, arguments["request"]["domains"]))
        if self.served == arguments["fingerprint"] and self.served in self.good:
            return {"problems": [], "msg": f"{', '.join(arguments['request']['domains'])} proved from the controller"}
        return {**REFUSED, "problems": [REFUSED["msg"]], "answered": self.answered}

    def certificate_install(self, arguments):
        version = "v0001" if arguments.get("state") == "previous" else "v0002"
        if version == self.current:
            return {"changed": False, "msg": "www has no earlier version that could be served"}
        self.current = version
        put_back = {"put_back": version} if version == "v0001" else {}
        names = OLD_NAMES if version == "v0001" else REQUEST["domains"]
        certificate = {"names": names, "fingerprint": version}
        msg = f"{version} of www is in use{' again' if put_back else ''}"
        return {"changed": True, **put_back, "certificate": certificate, "msg": msg}


def serve(host, **arguments):
    """Return what became of the certificate of a host."""
    (certificate,) = serve_all(host, **arguments)["certificates"]
    return certificate


def serve_all(host, **arguments):
    """Return what became of all certificates of a host."""
    task = Task()
    task.action, task.args = "evergreen.tls.certificate_serve", {"requests": [REQUEST], **arguments}
    action = ActionModule(task, None, None, None, None, None)
    action.run_action = host.run_action
    return action.run(task_vars={})


def pending(waiting, **certificate):
    """Return what certificate_obtain returns for a request that waits for its issuer."""
    return {"certificates": [{"name": "www", "failed": False, "waiting": waiting, **certificate}]}


def test_what_clients_see_already_needs_no_login():
    host = Host(nginx={"v0002": {}})
    assert serve(host, obtained=INSTALLED)["failed"] is False


def test_the_fingerprint_that_nginx_sites_read_last_is_the_one_that_clients_have_to_see():
    obtained = {**INSTALLED, "nginx": {"fingerprints": {"www": "v0003"}}}
    host = Host(current="v0003", served="v0003", good=["v0003"], nginx={"v0003": {}})
    assert serve(host, obtained=obtained)["failed"] is False


@pytest.mark.parametrize(
    "obtained",
    [
        pytest.param({"certificates": [{"name": "www", "failed": True, "msg": "the CA is away"}]}, id="it failed"),
        pytest.param(pending({"names": []}), id="it is pending and none is in use"),
    ],
)
def test_a_request_without_a_certificate_is_not_served(obtained):
    host = Host()
    result = serve_all(host, obtained=obtained)
    assert (result["certificates"], result["changed"], result["failed"], host.proofs) == ([], False, False, [])


@pytest.mark.parametrize(
    "obtained", [{}, {"failed": True, "msg": "the inventory is wrong"}, {"certificates": [], "nginx": {"failed": True}}]
)
def test_a_request_of_which_nothing_is_known_is_served_all_the_same(obtained):
    host = Host(served="v0001")
    assert (serve(host, obtained=obtained)["changed"], host.served) == (True, "v0002")


def test_a_new_version_that_is_proved_stays():
    host = Host(served="v0001")
    result = serve(host)
    assert (host.current, host.served, result["changed"], result["failed"]) == ("v0002", "v0002", True, False)
    assert result["msg"] == "www.example.org, new.example.org proved from the controller"


@pytest.mark.parametrize(
    ("served", "loaded"),
    [
        pytest.param("v0001", [], id="it was reloaded for it"),
        pytest.param("v0002", ["www"], id="nginx_sites has loaded it in this run"),
        pytest.param("v0002", [], id="a run was killed between reload and proof"),
    ],
)
def test_a_version_that_is_not_proved_makes_way_for_the_one_before_which_is_proved(served, loaded):
    host = Host(served=served, good=["v0001"])
    result = serve(host, obtained={"certificates": [], "nginx": {"loaded": loaded}})
    assert (host.current, host.served, result["failed"], result["put_back"]) == ("v0001", "v0001", True, "v0001")
    assert host.proofs[-1] == ("v0001", OLD_NAMES)
    assert result["msg"] == (
        f"{REFUSED['msg']}. v0001 of www is in use again: www.example.org proved from the controller"
    )


@pytest.mark.parametrize("fresh", [True, False])
def test_a_version_that_nginx_never_loaded_makes_way_where_it_is_fresh(fresh):
    host = Host(served="v0001", nginx={"v0002": {"fresh": fresh}})
    result = serve(host)
    assert (host.current, host.served, result["failed"]) == ("v0001" if fresh else "v0002", "v0001", True)
    back = ". v0001 of www is in use again: www.example.org proved from the controller"
    assert result["msg"] == f"nginx refuses it{back if fresh else ''}"


def test_a_rollback_that_clients_do_not_see_either_says_so():
    host = Host(served="v0001", good=[])
    result = serve(host)
    assert (host.current, host.served, result["put_back"]) == ("v0001", "v0001", "v0001")
    assert result["msg"] == (
        f"{REFUSED['msg']}. v0001 of www is in use again, and nginx presents it, but it is not proved: {REFUSED['msg']}"
    )


def test_what_was_served_when_the_run_began_is_served_again_where_going_back_proves_nothing():
    host = Host(good=[])
    result = serve(host)
    assert (host.current, host.served, result["failed"], "put_back" in result) == ("v0002", "v0002", True, False)
    assert result["msg"] == (
        f"{REFUSED['msg']}. v0001 of www, the version before, is not proved either: {REFUSED['msg']}. v0002 of www is in use"
    )


def test_a_host_that_does_not_answer_keeps_what_it_had_when_the_run_began():
    host = Host(good=[], answered=False)
    result = serve(host)
    assert (host.current, result["changed"], result["msg"]) == ("v0002", False, REFUSED["msg"])


def test_a_first_version_has_nothing_to_go_back_to():
    host = Host(current="v0001", served="v0001", good=[])
    assert serve(host)["msg"] == f"{REFUSED['msg']}. www has no earlier version that could be served"


@pytest.mark.parametrize("names", [OLD_NAMES, ["old.example.org"]])
def test_while_a_request_waits_what_is_in_use_is_presented_for_its_own_names_and_not_proved(names):
    domains = []

    class Waiting(Host):
        def nginx_reload(self, arguments):
            domains.append(arguments["request"]["domains"])
            return super().nginx_reload(arguments)

    host = Waiting(current="v0001", served="v0000", good=[])
    result = serve(host, obtained=pending({"names": names}, fingerprint="v0001"), verify_from="host")
    assert (result["failed"], result["changed"], host.served, host.proofs) == (False, True, "v0001", [])
    assert domains == [names] and result["msg"] == "nginx presents v0001"


class ExportingHost(Host):
    """One on which programs read exports, and may not like what is in them."""

    def __init__(self, *arguments, exported="v0001", refused=(), unable=None, **more):
        super().__init__(*arguments, **more)
        self.exported, self.refused, self.unable = exported, refused, unable
        self.order = []

    def certificate_export(self, _arguments):
        self.order.append("export")
        if self.unable:
            return {"failed": True, "msg": self.unable}
        changed, self.exported = self.exported != self.current, self.current
        result = {"changed": changed, "fresh": changed, "fingerprint": self.current, "msg": "it is written"}
        if not changed:
            return {**result, "units": {}, "msg": "the exports of www are as they should be"}
        if self.current in self.refused:
            return {**result, "failed": True, "msg": "tomcat10 could not be restarted"}
        return {**result, "units": {"tomcat10": "was restarted"}}

    def nginx_reload(self, arguments):
        self.order.append("reload")
        return super().nginx_reload(arguments)

    def handshake_verify(self, arguments):
        self.order.append("look")
        self.timeouts = [*getattr(self, "timeouts", []), arguments["timeout"]]
        return super().handshake_verify(arguments)


class HostOfTomcat(ExportingHost):
    """One without nginx: what is exported is what is served."""

    def nginx_reload(self, _arguments):
        raise AssertionError("there is no nginx here")

    def certificate_export(self, arguments):
        result = super().certificate_export(arguments)
        if not result.get("failed"):
            self.served = self.exported
        return result


EXPORTS = [{"path": "/etc/tomcat10/www.p12", "password": "secret", "restart": ["tomcat10"]}]
EXPORTED = {**REQUEST, "exports": EXPORTS}
BY_TOMCAT = {**EXPORTED, "served_by": "other"}


def test_exports_are_written_before_nginx_is_reloaded_so_that_a_killed_run_is_seen_from_outside():
    host = ExportingHost(served="v0001")
    result = serve(host, requests=[EXPORTED])
    assert host.order == ["export", "reload", "look"]
    assert (result["failed"], result["exported"], host.timeouts) == (False, "it is written", [60])


def test_exports_that_are_as_they_should_be_leave_it_at_a_look():
    host = ExportingHost(exported="v0002")
    result = serve(host, requests=[EXPORTED], obtained=INSTALLED)
    assert host.order == ["export", "look"]
    assert (result["changed"], result["failed"], "exported" in result) == (False, False, False)


def test_a_host_without_exports_is_not_asked_for_them():
    host = ExportingHost()
    serve(host)
    assert "export" not in host.order


def test_exports_that_cannot_be_written_are_told_and_nginx_goes_on_with_the_new_version():
    host = ExportingHost(served="v0001", unable="the folder does not exist; create it")
    result = serve(host, requests=[EXPORTED])
    assert (host.current, host.served, result["failed"]) == ("v0002", "v0002", True)
    assert result["msg"].startswith("www.example.org")
    assert result["msg"].endswith(" proved from the controller. the folder does not exist; create it")
    assert "put_back" not in result


def test_exports_that_cannot_be_written_are_told_also_where_nothing_is_proved():
    host = ExportingHost(served="v0001", good=[], unable="haproxy could not be reloaded")
    result = serve(host, requests=[EXPORTED])
    assert result["msg"].startswith(f"{REFUSED['msg']}. v0001")
    assert result["msg"].endswith(". haproxy could not be reloaded")


def test_a_version_that_others_do_not_start_with_makes_way_for_the_one_before_everywhere():
    host = ExportingHost(served="v0001", refused=["v0002"])
    result = serve(host, requests=[EXPORTED])
    assert (host.current, host.served, host.exported) == ("v0001", "v0001", "v0001")
    assert (result["failed"], result["put_back"]) == (True, "v0001")
    assert result["msg"].startswith("tomcat10 could not be restarted. v0001 of www is in use again: ")


def test_exports_follow_where_nginx_goes_back():
    host = ExportingHost(served="v0001", good=["v0001"])
    result = serve(host, requests=[EXPORTED])
    assert (host.current, host.served, host.exported, result["failed"]) == ("v0001", "v0001", "v0001", True)


def test_what_other_programs_serve_is_proved_without_nginx():
    host = HostOfTomcat(served="v0001")
    result = serve(host, requests=[BY_TOMCAT], obtained=INSTALLED)
    assert (host.order, host.served) == (["export", "look"], "v0002")
    assert (result["changed"], result["failed"], result["exported"]) == (True, False, "it is written")
    assert result["msg"] == "www.example.org, new.example.org proved from the controller"


def test_what_other_programs_serve_goes_back_where_it_is_not_proved():
    host = HostOfTomcat(served="v0001", good=["v0001"])
    result = serve(host, requests=[BY_TOMCAT])
    assert (host.current, host.served, result["put_back"]) == ("v0001", "v0001", "v0001")
    assert result["msg"] == (
        f"{REFUSED['msg']}. v0001 of www is in use again: www.example.org proved from the controller"
    )


def test_what_other_programs_serve_stays_where_their_export_cannot_be_written():
    host = HostOfTomcat(served="v0001", unable="no password")
    result = serve(host, requests=[BY_TOMCAT])
    assert (host.current, host.order, result["failed"], result["msg"]) == ("v0002", ["export"], True, "no password")


def test_a_rollback_that_other_programs_do_not_bring_to_clients_says_so():
    host = HostOfTomcat(served="v0001", good=[])
    assert serve(host, requests=[BY_TOMCAT])["msg"] == (
        f"{REFUSED['msg']}. v0001 of www is in use again, and the host presents it, but it is not proved: {REFUSED['msg']}"
    )


class Untrusted(Host):
    """A host that presents what is installed, to clients that do not trust it. same_ca: whether the version before is of the same CA."""

    def __init__(self, same_ca, **more):
        super().__init__(good=(), **more)
        self.same_ca, self.switched, self.untrusted = same_ca, [], True

    def handshake_verify(self, arguments):
        return {**super().handshake_verify(arguments), "untrusted": self.untrusted}

    def certificate_info(self, arguments):
        assert arguments == {"directory": "/etc/evergreen", "name": "www"}
        return {"certificates": [{"name": "www", "same_ca": self.same_ca}]}

    def certificate_install(self, arguments):
        self.switched.append(arguments.get("state"))
        return super().certificate_install(arguments)


@pytest.mark.parametrize("served", ["v0001", "v0002"])
def test_nothing_is_put_back_where_the_version_before_would_not_be_trusted_either(served):
    host = Untrusted(same_ca=True, served=served)
    result = serve(host, obtained=INSTALLED)
    assert result["failed"] and "put_back" not in result
    assert result["msg"] == (
        f"{REFUSED['msg']}. The version before leads to the same CA and would fail alike, so nothing is put back"
    )
    assert (host.current, host.served, host.switched) == ("v0002", "v0002", [])


@pytest.mark.parametrize("same_ca", [False, None, "yes"])
def test_a_version_of_another_ca_that_is_not_trusted_makes_way(same_ca):
    host = Untrusted(same_ca=same_ca, served="v0001")
    host.good = ("v0001",)
    result = serve(host, obtained=INSTALLED)
    assert result["failed"] and result["put_back"] == "v0001" and host.served == "v0001"


def test_what_fails_for_more_than_trust_makes_way_though_the_ca_is_the_same():
    host = Untrusted(same_ca=True, served="v0001")
    host.untrusted, host.good = False, ("v0001",)
    assert serve(host, obtained=INSTALLED)["put_back"] == "v0001"


@pytest.mark.parametrize(
    ("sites", "has_header"),
    [
        ([], False),
        ([{"name": "www"}], False),
        ([{"name": "www", "proxy_protocol": "yes"}], True),
        ([{"name": "a", "certificate": "www", "proxy_protocol": True}], True),
        ([{"name": "www", "certificate": "other", "proxy_protocol": True}], False),
    ],
)
def test_proofs_speak_the_proxy_protocol_where_a_site_of_the_certificate_asks_for_it(sites, has_header):
    host, steps = Host(served="v0001"), []

    async def run_action(name, arguments, task_vars):
        steps.append((name.rpartition(".")[2], arguments.get("proxy_protocol", False)))
        return await Host.run_action(host, name, arguments, task_vars)

    host.run_action = run_action
    assert serve(host, obtained=INSTALLED, sites=sites)["failed"] is False
    assert dict(steps) == {"nginx_reload": has_header, "handshake_verify": has_header}


@pytest.mark.parametrize(
    ("sites", "names"),
    [
        ([], []),
        ([{"name": "www", "http3": False}], []),
        ([{"name": "www", "http3": "yes"}], ["www.example.org", "new.example.org"]),
        ([{"name": "a", "certificate": "www", "http3": True, "server_names": ["a.example.org"]}], ["a.example.org"]),
        ([{"name": "www", "certificate": "other", "http3": True}], []),
    ],
)
def test_the_names_of_sites_with_http3_are_proved_over_quic_as_well(sites, names):
    host, steps = Host(served="v0001"), {}

    async def run_action(name, arguments, task_vars):
        steps[name.rpartition(".")[2]] = arguments.get("http3_names", [])
        return await Host.run_action(host, name, arguments, task_vars)

    host.run_action = run_action
    assert serve(host, obtained=INSTALLED, sites=sites)["failed"] is False
    assert steps == {"nginx_reload": [], "handshake_verify": names}


@pytest.mark.parametrize(
    ("sites", "profile", "versions"),
    [
        ([{"name": "www"}], "intermediate", None),
        ([{"name": "www"}], "modern", ["TLSv1.3"]),
        ([{"name": "www", "profile": "modern"}], "intermediate", ["TLSv1.3"]),
        ([{"name": "www", "tls_versions": ["TLSv1.2"]}], "modern", ["TLSv1.2"]),
        ([{"name": "www", "profile": "modern"}, {"name": "a", "certificate": "www"}], "intermediate", None),
        ([{"name": "www", "profile": "misspelled", "tls_versions": "TLSv1.3"}], "modern", None),
        ([{"name": "www", "tls_versions": ["SSLv3"]}], "modern", None),
        ([], "modern", None),
    ],
)
def test_proofs_show_that_a_modern_site_accepts_no_older_version_of_tls(sites, profile, versions):
    host, steps = Host(served="v0001"), []

    async def run_action(name, arguments, task_vars):
        steps.append((name.rpartition(".")[2], arguments.get("tls_versions")))
        return await Host.run_action(host, name, arguments, task_vars)

    host.run_action = run_action
    assert serve(host, obtained=INSTALLED, sites=sites, profile=profile)["failed"] is False
    assert dict(steps)["handshake_verify"] == versions


class FirstCertificate(Host):
    """A host that has its first certificate, and no site of nginx for it."""

    def __init__(self):
        super().__init__(served=None)
        self.reloads = []

    def nginx_reload(self, arguments):
        self.reloads.append(arguments)
        if arguments.get("await_site"):
            return {
                "changed": False,
                "msg": "it waits",
                "waiting": {"for": "no site of nginx has it yet; run evergreen.tls.deploy"},
            }
        return {"failed": True, "msg": "nothing listens there"}


def test_a_first_certificate_that_a_renewal_brings_waits_for_the_site_of_the_inventory():
    host = FirstCertificate()
    result = serve(host, obtained=INSTALLED, sites=[{"name": "www", "return_code": 404}])
    assert result["failed"] is False
    assert result["waiting"] == {"for": "no site of nginx has it yet; run evergreen.tls.deploy"}


@pytest.mark.parametrize("sites", [[], [{"name": "shop"}]])
def test_a_first_certificate_without_a_site_in_the_inventory_waits_with_one_instruction(sites):
    result = serve(FirstCertificate(), obtained=INSTALLED, sites=sites)
    sentence = "no site of nginx has it yet; run evergreen.tls.deploy, once nginx_sites has a site for it"
    assert (result["failed"], result["changed"]) == (False, False)
    assert (result["msg"], result["waiting"]) == (sentence, {"for": sentence})


class HostWithANewName(Host):
    """A host whose nginx presents the certificate, and has no server block for the name that was added to the request."""

    def nginx_reload(self, arguments):
        result = super().nginx_reload(arguments)
        if "new.example.org" not in arguments["request"]["domains"]:
            return result
        names = [name for name in arguments.get("await_names", []) if name == "new.example.org"]
        sentence = "no server block of nginx has new.example.org yet; run evergreen.tls.deploy"
        return {**result, "waiting": {"for": sentence, "names": names}} if names else {**result, "failed": True}

    def handshake_verify(self, arguments):
        result = super().handshake_verify(arguments)
        return {**REFUSED, "problems": ["x"]} if "new.example.org" in arguments["request"]["domains"] else result


@pytest.mark.parametrize(
    "sites", [[{"name": "www"}], [{"name": "other", "certificate": "www", "server_names": ["new.example.org"]}]]
)
def test_a_name_that_was_added_to_a_request_waits_for_deploy_and_the_others_are_proved(sites):
    host = HostWithANewName()
    result = serve(host, obtained=INSTALLED, sites=sites)
    assert result["failed"] is False and "put_back" not in result
    assert result["waiting"] == {"for": "no server block of nginx has new.example.org yet; run evergreen.tls.deploy"}
    assert result["msg"] == (
        "www.example.org proved from the controller; no server block of nginx has new.example.org yet; run evergreen.tls.deploy"
    )
    assert host.proofs[-1] == ("v0002", ["www.example.org"])


@pytest.mark.parametrize("sites", [[], [{"name": "shop"}], [{"name": "www", "server_names": ["www.example.org"]}]])
def test_a_name_for_which_the_inventory_has_no_site_waits_for_nothing(sites):
    assert serve(HostWithANewName(), obtained=INSTALLED, sites=sites)["failed"] is True


def test_a_name_that_was_added_waits_for_nothing_where_the_others_are_not_proved():
    result = serve(HostWithANewName(good=("v0001",)), obtained=INSTALLED, sites=[{"name": "www"}])
    assert result["failed"] is True and result["put_back"] == "v0001" and "waiting" not in result


def test_a_deployment_waits_for_no_site():
    assert serve(FirstCertificate(), obtained=INSTALLED, sites=[{"name": "www"}], started=True)["failed"] is True


class SeenHost(Host):
    """A host of which a proof has its handshakes as well."""

    def handshake_verify(self, arguments):
        return {**super().handshake_verify(arguments), "handshakes": [{"certificate": {"not_after": None}}]}


@pytest.mark.parametrize("sites", [[], [{"name": "www"}]])
def test_a_deployment_ends_with_its_sites_and_then_with_what_could_not_be_obtained(monkeypatch, sites):
    shown = []
    monkeypatch.setattr(f"{ActionModule.__module__}.printer", lambda _display: shown.append)
    failed = {"name": "shop", "failed": True, "msg": "there is no issuer named corprate"}
    obtained = {"failed": True, "msg": "it failed", "certificates": [*INSTALLED["certificates"], failed]}
    serve(SeenHost(), obtained=obtained, sites=sites, started=True)
    (text,) = shown
    first, last = text.splitlines()
    assert first.startswith("https://www.example.org/")
    assert last == "shop failed: there is no issuer named corprate"
