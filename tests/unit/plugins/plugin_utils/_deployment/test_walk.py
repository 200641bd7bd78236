# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate is uploaded once and bound, whatever interrupts the run, and waiting is an outcome of its own."""

from __future__ import annotations

import contextlib
import threading

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import (
    Pair,
    deploy_certificate,
    deployment_diff,
    describe_deployment,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.fake_service import FakeService, Killed

PATIENCE_S = 60.0
AUTHORITY = Authority()
LOCK = threading.Lock()


def pair(number=1):
    key = some_key(number)
    return Pair(
        AUTHORITY.chain(["a.example.org", "b.example.org"], key), lambda: key, f"evergreen/a/{number}", lambda: LOCK
    )


FIRST, SECOND = pair(1), pair(2)


def deploy(service, one=FIRST, patience_s=PATIENCE_S, is_check=False):
    return deploy_certificate(service, one, patience_s, is_check, service.clock)


def holding(service, one=FIRST):
    """Have the resources of a service present a certificate already; return the service without its calls."""
    deploy(service, one)
    service.calls.clear()
    return service


def test_a_first_certificate_is_uploaded_once_and_bound_to_each_resource():
    service = FakeService("a.example.org", "b.example.org")
    done = deploy(service)
    assert service.changing_calls() == [
        ("upload", FIRST.label),
        ("bind", "a.example.org"),
        ("bind", "b.example.org"),
    ]
    assert (done.is_uploaded, done.pending) == (True, [])
    assert {binding.certificate for binding in done.bindings} == {"cert-1"}


def test_nothing_is_changed_where_all_is_bound():
    service = holding(FakeService("a.example.org", "b.example.org"))
    done = deploy(service)
    assert (done.is_changed, service.calls) == (False, [("bindings",), ("find",)])
    assert describe_deployment(service, FIRST, done, is_check=False) == (
        "a.example.org, b.example.org: bound to it already in the fake service"
    )


def test_one_resource_that_differs_is_bound_alone():
    service = holding(FakeService("a.example.org", "b.example.org"))
    service.state["b.example.org"]["certificate"] = None
    done = deploy(service)
    assert service.changing_calls() == [("bind", "b.example.org")]
    assert [binding.resource for binding in done.bound] == ["b.example.org"]


def test_a_certificate_that_lies_there_is_bound_without_an_upload():
    service = holding(FakeService("a.example.org"))
    deploy(service, SECOND)
    service.calls.clear()
    done = deploy(service, FIRST)
    assert service.changing_calls() == [("bind", "a.example.org")]
    assert describe_deployment(service, FIRST, done, is_check=False) == "bound it to a.example.org in place of cert-2"


def test_the_key_is_read_for_an_upload_alone():
    def unreadable():
        raise AssertionError("the key is read")

    service = holding(FakeService("a.example.org"))
    assert not deploy(service, FIRST._replace(read_key=unreadable)).is_changed
    assert deploy(service, SECOND._replace(read_key=unreadable), is_check=True).is_uploaded
    with pytest.raises(AssertionError, match="the key is read"):
        deploy(service, SECOND._replace(read_key=unreadable))


def test_check_mode_changes_nothing_and_says_what_would_be_done():
    service = holding(FakeService("a.example.org"))
    done = deploy(service, SECOND, is_check=True)
    assert (service.changing_calls(), done.is_changed) == ([], True)
    shown = fingerprint(SECOND.chain[0])[:16]
    assert describe_deployment(service, SECOND, done, is_check=True) == (
        f"would upload the certificate (SHA-256 {shown}…) to the fake service and would bind it to a.example.org in place of cert-1"
    )
    diff = deployment_diff(service, SECOND, done)
    assert diff["before"] == "a.example.org: cert-1\n"
    assert diff["after"].startswith("a.example.org: a new upload (a.example.org, issued by Test Root CA, valid until ")


def test_check_mode_of_a_deployed_certificate_says_that_nothing_would_change():
    assert not deploy(holding(FakeService("a.example.org")), is_check=True).is_changed


def test_an_unfit_resource_is_refused_before_anything_is_uploaded():
    service = FakeService("a.example.org", "b.example.org")
    service.state["b.example.org"]["fate"] = "unfit"
    with pytest.raises(TlsError, match="the fake service: b.example.org: the console says no; ask there"):
        deploy(service)
    assert service.changing_calls() == []


def test_an_unfit_certificate_is_refused_before_anything_is_asked(monkeypatch):
    service = FakeService("a.example.org")

    def refuse(_chain):
        raise TlsError("ECC keys are refused; write type: RSA")

    monkeypatch.setattr(service, "check", refuse)
    with pytest.raises(TlsError, match="write type: RSA"):
        deploy(service)
    assert service.calls == []


def test_a_service_without_resources_is_refused():
    with pytest.raises(TlsError, match="names no resource; write cloud.resources"):
        deploy(FakeService())


def test_a_busy_resource_is_waited_for():
    service = holding(FakeService("a.example.org"))
    service.state["a.example.org"]["until"] = service.time + 20
    done = deploy(service, SECOND)
    assert (done.pending, done.bindings[0].certificate) == ([], "cert-1" if not done.is_uploaded else done.certificate)
    assert len(service.named("upload")) == 1


def test_a_resource_that_is_busy_for_ever_is_left_waiting_with_the_certificate_before():
    service = holding(FakeService("a.example.org", "b.example.org"))
    service.state["b.example.org"]["until"] = float("inf")
    done = deploy(service, SECOND)
    assert [binding.resource for binding in done.pending] == ["b.example.org"]
    assert [binding.resource for binding in done.bound] == ["a.example.org"]
    assert service.state["b.example.org"]["certificate"] == "cert-1"
    assert service.time < 3 * PATIENCE_S


def test_a_change_that_takes_longer_than_the_patience_is_left_waiting_and_found_by_the_next_run():
    service = FakeService("a.example.org", spread=100.0)
    done = deploy(service, patience_s=30.0)
    assert [binding.state for binding in done.pending] == ["busy"]
    assert service.time <= 31
    service.calls.clear()
    again = deploy(service, patience_s=200.0)
    assert (service.changing_calls(), again.is_changed, again.pending) == ([], False, [])


def test_a_service_that_says_it_failed_is_a_failure_in_its_words_and_is_tried_again_by_the_next_run(monkeypatch):
    service = FakeService("a.example.org")
    service.state["a.example.org"]["fate"] = "failed"
    with pytest.raises(TlsError, match="the fake service: a.example.org: the console says no; ask there"):
        deploy(service)
    service.state["a.example.org"]["fate"] = "ready"
    service.calls.clear()
    deploy(service)
    assert service.named("upload") == []


def test_a_resource_that_failed_is_bound_again():
    service = holding(FakeService("a.example.org"))
    service.state["a.example.org"]["fate"] = "failed"
    bind = service.bind

    def mend(binding, certificate):
        bind(binding, certificate)
        service.state["a.example.org"]["fate"] = "ready"

    service.bind = mend
    assert [binding.resource for binding in deploy(service).bound] == ["a.example.org"]


def test_a_service_that_accepts_a_change_and_does_not_make_it_is_a_failure():
    service = holding(FakeService("a.example.org"))
    service.bind = lambda _binding, _certificate: None
    with pytest.raises(TlsError, match="which was accepted, and is bound to cert-1; see who else changes it"):
        deploy(service, SECOND)


def number_of_calls():
    service = holding(FakeService("a.example.org", "b.example.org"))
    deploy(service, SECOND)
    return len(service.calls)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_is_killed_at_any_call_uploads_nothing_twice_when_it_is_run_again(moment):
    total = number_of_calls()
    assert total > 5
    for number in range(total):
        service = holding(FakeService("a.example.org", "b.example.org"))
        service.kill = (number, moment)
        with pytest.raises(Killed):
            deploy(service, SECOND)
        service.kill = None
        done = deploy(service, SECOND)
        assert done.pending == []
        assert {one["certificate"] for one in service.state.values()} == {done.certificate}
        stored = [print_ for _label, print_ in service.lying.values()]
        assert sorted(stored) == sorted({*stored}), f"uploaded twice when killed {moment} call {number}"


def test_two_runs_at_once_upload_once():
    service = FakeService("a.example.org", spread=0.0)
    both = threading.Barrier(2)
    find = service.find

    def find_together(chain, label):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
        return find(chain, label)

    service.find = find_together
    runs = [threading.Thread(target=deploy, args=(service,)) for _number in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(service.named("upload")) == 1
    assert service.state["a.example.org"]["certificate"] == "cert-1"


def test_another_run_that_bound_the_resource_meanwhile_is_seen():
    service = holding(FakeService("a.example.org", spread=5.0))
    deploy(service, SECOND)
    deploy(service, FIRST)
    service.calls.clear()
    state = service.state["a.example.org"]
    state["until"] = service.time + 3
    bindings = service.bindings

    def other_run():
        seen = bindings()
        state["certificate"] = "cert-2"  # right after the first look
        return seen

    service.bindings = other_run
    done = deploy(service, SECOND)
    assert (done.pending, service.named("upload")) == ([], [])
