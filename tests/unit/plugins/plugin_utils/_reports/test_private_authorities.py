# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A controller that has not the private CA of the fleet, or another one, is told so by what hosts serve."""

from __future__ import annotations

import shutil

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import (
    Finding,
    refused_requests,
    renewal_order,
    survey_hosts,
    why_not_make,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import closed_port

NAME = "www.example.org"
KEY = some_key()
NEW = "-e certificate_new_authority=true"


class Home:
    """A controller with a home of its own, and the hosts of an inventory that it shares with others."""

    def __init__(self, folder, hosts):
        self.folder, self.hosts = folder, hosts
        self.settings = {"corporate": {"type": "local_ca", "directory": str(folder / "pki")}}
        self.variables = {}

    def ca(self, name="corporate"):
        return open_issuer(name, self.settings)

    def chain(self, name="corporate"):
        """Return a chain of the CA of this home, which is made if there is none."""
        request = {"name": "www", "domains": [NAME], "lifetime": None}
        return parse_chain(self.ca(name).issue(request, make_csr(KEY, [NAME], {}), "web1"))

    def variables_of(self, host):
        return {
            "ansible_host": "127.0.0.1",
            "certificate_issuers": self.settings,
            "certificate_requests": [
                {"name": "www", "domains": [NAME], "issuer": "corporate", "port": self.hosts[host]}
            ],
            **self.variables,
        }

    def survey(self, **options):
        return survey_hosts(list(self.hosts), self.variables_of, lambda *_progress: None, **options)


@pytest.fixture
def homes(tmp_path, start):
    """Return two controllers. Three hosts serve certificates of the CA of the first one; the other home is empty."""
    hosts = {}
    first, other = Home(tmp_path / "first", hosts), Home(tmp_path / "other", hosts)
    hosts.update({f"web{number}": start().present(first.chain()).port for number in range(3)})
    return first, other


def absence(home, serving="3 hosts serve certificates"):
    return (
        f"the issuer corporate has no CA in {home.folder}/pki on this controller, and {serving} of one; run this where the CA is, or set root; "
        f"evergreen.tls.deploy makes another one with {NEW}"
    )


def test_the_home_with_the_ca_finds_all_fine(homes):
    first, _other = homes
    assert {finding.state for finding in first.survey()} == {"fine"}
    assert refused_requests(first.survey()) == {}


@pytest.mark.parametrize("authorities_only", [False, True])
def test_an_empty_home_is_refused_before_any_login_and_nothing_is_made(homes, authorities_only):
    _first, other = homes
    findings = other.survey(authorities_only=authorities_only)
    assert {(one.state, one.refused, one.reason) for one in findings} == {("unknown", True, absence(other))}
    assert renewal_order(findings, "seed") == []
    assert refused_requests(findings) == {host: {"www": absence(other)} for host in other.hosts}
    assert not other.folder.exists()
    assert len(absence(other)) < 400


def test_a_host_that_does_not_answer_is_refused_with_the_others(homes):
    _first, other = homes
    other.hosts["web3"] = closed_port()
    findings = other.survey(inspect=True)  # whoever is inspected would be logged in to
    assert {one.reason for one in findings if one.host == "web3" and one.request} == {absence(other)}
    assert renewal_order(findings, "seed") == []


def test_a_copy_of_the_home_is_the_one(homes):
    first, other = homes
    shutil.copytree(first.folder, other.folder)
    assert {finding.state for finding in other.survey()} == {"fine"}


def test_a_home_with_another_ca_of_the_same_name_is_refused(homes):
    first, other = homes
    other.chain()
    findings = other.survey()
    (reason,) = {one.reason for one in findings}
    assert reason == (
        f"the issuer corporate has another CA in {other.folder}/pki on this controller ({other.ca().root_name()}) than the one of which "
        f"3 hosts serve certificates; run this where that CA is, or correct directory; evergreen.tls.deploy replaces them with {NEW}"
    )
    assert first.ca().root_name() not in reason and renewal_order(findings, "seed") == []


@pytest.mark.parametrize("has_ca", [False, True])
def test_whoever_wants_a_new_ca_may_have_it(homes, has_ca):
    _first, other = homes
    if has_ca:
        other.chain()
    other.variables = {"certificate_new_authority": "true"}
    findings = other.survey()
    assert {(one.state, one.refused) for one in findings} == {("due", False)}
    assert sorted(renewal_order(findings, "seed")) == ["web0", "web1", "web2"]


def test_with_the_root_at_hand_certificates_are_judged_without_the_ca(homes):
    first, other = homes
    other.settings["corporate"]["root"] = str(first.folder / "pki/root.pem")
    assert {finding.state for finding in other.survey()} == {"fine"}
    assert not other.folder.exists()


def test_with_the_root_at_hand_what_is_due_is_refused_and_nothing_else(homes):
    first, other = homes
    other.settings["corporate"]["root"] = str(first.folder / "pki/root.pem")
    other.variables = {
        "certificate_requests": [{**other.variables_of("web0")["certificate_requests"][0], "renew_before": "99%"}]
    }
    assert {one.refused for one in first.survey()} == {False}
    findings = other.survey()
    assert {(one.state, one.refused) for one in findings} == {("unknown", True)}
    assert findings[0].reason.endswith(
        "; run this where the CA is, or correct directory or root; none is made where root is set"
    )


def test_a_fleet_that_is_new_is_not_refused(tmp_path, start):
    stranger = Authority("Distribution CA").chain([NAME], KEY)
    home = Home(tmp_path / "home", {"web1": start().present(stranger).port, "web2": closed_port()})
    findings = home.survey()
    assert refused_requests(findings) == {}
    assert {one.host: one.state for one in findings} == {"web1": "due", "web2": "unknown"}
    assert why_not_make(home.ca(), list(home.hosts), home.variables_of) is None


def test_another_private_ca_of_the_same_controller_is_no_other_controller(tmp_path, start):
    home = Home(tmp_path / "home", {})
    home.settings["staging"] = {"type": "local_ca", "directory": str(tmp_path / "home/staging")}
    home.hosts["web1"] = start().present(home.chain("staging")).port
    assert refused_requests(home.survey()) == {}  # the request moves from staging to corporate, which is made
    home.chain()
    (finding,) = home.survey()
    assert (finding.state, finding.refused) == ("due", False)


def test_a_ca_is_not_made_though_one_host_alone_serves_a_certificate_of_it(homes):
    _first, other = homes
    for host in ("web1", "web2"):
        other.hosts[host] = closed_port()
    assert why_not_make(other.ca(), list(other.hosts), other.variables_of) == absence(
        other, "1 host serves a certificate"
    )
    assert not other.folder.exists()


def test_the_other_requests_of_a_host_are_renewed():
    refused = Finding("web1", "unknown", "no CA", "www", NAME, "192.0.2.1", 443, refused=True)
    due = Finding("web1", "due", "it expires", "shop", "shop.example.org", "192.0.2.1", 443)
    fine = due._replace(state="fine", reason="")
    forced = Finding("web1", "due", "its disk is inspected")
    assert renewal_order([refused, due], "seed") == ["web1"]
    assert renewal_order([refused, fine], "seed") == []
    assert renewal_order([refused, fine, forced], "seed") == ["web1"]
    assert renewal_order([refused, forced], "seed") == []
