# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Once a certificate is proved, the settings follow, and old uploads of the request go."""

from __future__ import annotations

import http.server

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.redirect import check_redirect
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.settle import (
    describe_settings,
    remove_old_uploads,
    settings_diff,
    settle,
)
from ansible_collections.evergreen.tls.tests.unit.fake_service import FakeService
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

OFF = {"redirect": False, "hsts": 0, "tls_versions": ["TLSv1.2", "TLSv1.3"]}


def service_with(*resources, **options):
    return FakeService(*(resources or ["a.example.org"]), settings=OFF, **options)


def settled(service, settings, prove=lambda _binding: None, **options):
    return settle(service, settings, prove, 60.0, clock=service.clock, **options)


def test_only_what_differs_is_set():
    service = service_with("a.example.org", "b.example.org")
    service.state["b.example.org"]["settings"]["redirect"] = True
    done = settled(service, {"redirect": True, "hsts": 0})
    assert service.changing_calls() == [("configure", "a.example.org")]
    assert [(binding.resource, changed) for binding, changed in done.changes] == [("a.example.org", {"redirect": True})]
    assert settled(service, {"redirect": True, "hsts": 0}).changes == []


def test_what_the_inventory_leaves_out_stays_as_it_is():
    service = service_with()
    assert (settled(service, {}).changes, service.changing_calls()) == ([], [])


def test_check_mode_shows_the_settings_before_and_after():
    service = service_with()
    done = settled(service, {"redirect": True, "tls_versions": ["TLSv1.3"]}, is_check=True)
    assert service.changing_calls() == []
    assert settings_diff(service, done.changes)["before"] == (
        "a.example.org: redirect: off\na.example.org: tls_versions: TLSv1.2, TLSv1.3\n"
    )
    assert settings_diff(service, done.changes)["after"] == (
        "a.example.org: redirect: on\na.example.org: tls_versions: TLSv1.3\n"
    )
    assert describe_settings(done.changes, is_check=True) == (
        "would set redirect to on, tls_versions to TLSv1.3 for a.example.org"
    )


def test_a_setting_that_the_service_does_not_have_is_refused():
    service = FakeService("a.example.org", settings={"redirect": False})
    with pytest.raises(TlsError, match="has no setting hsts that can be changed here; take cloud.hsts out"):
        settled(service, {"hsts": 300})
    assert service.changing_calls() == []


def test_a_redirect_that_is_switched_on_is_proved_once_it_is_in_effect():
    service = service_with()
    proved = []
    settled(service, {"redirect": True}, lambda binding: proved.append((binding.resource, service.time)))
    assert proved == [("a.example.org", pytest.approx(service.time))] and service.time >= service.spread


def test_a_redirect_that_is_not_proved_is_taken_back():
    service = service_with()

    def refuse(_binding):
        raise TlsError("http://a.example.org/ is answered with status 200; see the settings")

    with pytest.raises(TlsError, match="status 200; see the settings; the redirect of a.example.org is taken back"):
        settled(service, {"redirect": True, "hsts": 60}, refuse)
    assert service.state["a.example.org"]["settings"] == {**OFF, "hsts": 60}


def test_a_setting_that_is_not_in_effect_within_the_patience_is_pending_and_no_redirect_is_proved():
    service = service_with(spread=1000.0)

    def unexpected(_binding):
        raise AssertionError("proved")

    assert settled(service, {"redirect": True}, unexpected).pending == ["a.example.org"]


def with_uploads(count, **options):
    service = service_with(**options)
    for number in range(count):
        service.lying[f"cert-{number}"] = (f"evergreen/a/{number}", f"{number}")
    service.lying["theirs"] = ("bought", "x")
    service.lying["others"] = ("evergreen/ab/1", "y")
    return service


def test_old_uploads_go_and_the_newest_ones_stay():
    service = with_uploads(6)
    removed, warnings = remove_old_uploads(service, "evergreen/a/", "cert-5", keep=2)
    assert (sorted(removed), warnings) == (["cert-0", "cert-1", "cert-2"], [])
    assert sorted(service.lying) == ["cert-3", "cert-4", "cert-5", "others", "theirs"]


def test_what_is_bound_anywhere_stays():
    service = with_uploads(4)
    service.bound_elsewhere.add("cert-0")
    service.state["a.example.org"]["certificate"] = "cert-1"
    assert remove_old_uploads(service, "evergreen/a/", "cert-3", keep=0) == (["cert-2"], [])


def test_an_upload_of_which_the_bindings_are_not_known_stays_with_a_warning():
    service = with_uploads(2)
    uploads = service.uploads
    service.uploads = lambda prefix: [one._replace(is_bound=None) for one in uploads(prefix)]
    removed, warnings = remove_old_uploads(service, "evergreen/a/", "cert-1", keep=0)
    assert (removed, service.named("remove")) == ([], [])
    assert warnings == [
        "cert-0 (evergreen/a/0) stays in the fake service, as it is not known whether something is bound to it"
    ]


def test_a_removal_that_fails_is_a_warning():
    service = with_uploads(2)

    def refuse(_certificate):
        raise TlsError("the account has no such role; create it")

    service.remove = refuse
    assert remove_old_uploads(service, "evergreen/a/", "cert-1", keep=0) == (
        [],
        ["cert-0 (evergreen/a/0) is not removed: the account has no such role; create it"],
    )


def test_check_mode_removes_nothing():
    service = with_uploads(2)
    assert remove_old_uploads(service, "evergreen/a/", "cert-1", keep=0, is_check=True) == (["cert-0"], [])
    assert service.changing_calls() == []


class Site(http.server.BaseHTTPRequestHandler):
    answer = (301, "https://a.example.org/")

    def do_GET(self):
        status, location = self.answer
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def site():
    server = ThreadedServer(Site).start()
    yield server.server_port
    server.stop()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_https_at_the_same_name_is_proved_by_a_get(site, monkeypatch, status):
    monkeypatch.setattr(Site, "answer", (status, "https://a.example.org:443/"))
    check_redirect("a.example.org", "127.0.0.1", site)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, None), "is answered with status 200, and not by a redirect to https://a.example.org/; see the settings"),
        ((301, "http://a.example.org/"), "status 301 to http://a.example.org/, and not"),
        ((301, "https://evil.example/\x1b"), r"status 301 to https://evil.example/\??, and not"),
    ],
)
def test_whatever_else_is_answered_is_no_redirect(site, monkeypatch, answer, words):
    monkeypatch.setattr(Site, "answer", answer)
    with pytest.raises(TlsError, match=words):
        check_redirect("a.example.org", "127.0.0.1", site)


def test_a_closed_port_is_no_redirect(site):
    with pytest.raises(TlsError, match=r"http://a.example.org/ at 127.0.0.1 cannot be read .*; see what listens there"):
        check_redirect("a.example.org", "127.0.0.1", 1)
