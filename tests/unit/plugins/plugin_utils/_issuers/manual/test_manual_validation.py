# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A manual request says what its CA wants to see: on the page for the ticket, in each run that waits, and in a diagnosis."""

from __future__ import annotations

import time

import pytest
import yaml

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import Pending
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import issue_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import (
    check_request_for_issuer,
    open_issuer,
    with_defaults,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import new_key, some_key
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER

APEX, NAME = "example.org", "_26a5.example.org"
CSR = make_csr(some_key(), [APEX], {})
RECORD = {"type": "dns", "name": NAME, "record": "TXT", "value": "2026Abc"}
REQUEST = {
    "name": "www",
    "domains": [APEX],
    "issuer": "bought",
    "type": "ECC",
    "size": 2048,
    "curve": "secp256r1",
    "lifetime": None,
    "allowed_domains": [],
    "validation": [RECORD],
}


class Desk:
    def __init__(self, folder, here):
        self.folder, self.settings = (
            folder,
            {
                "type": "manual",
                "directory": str(folder / "desk"),
                "resolvers": [f"{RESOLVER}:{here.port}"],
                "caa_identities": ["sectigo.com"],
            },
        )

    @property
    def issuer(self):
        return open_issuer("bought", {"bought": self.settings})

    def ask(self, host="web1", csr=CSR, **changes):
        return issue_once(self.issuer, {**REQUEST, **changes}, csr, host, None, {"reason": "it expires soon"})

    def obstacles(self, host="web1", **changes):
        return self.issuer.find_obstacles({**REQUEST, **changes}, host, time.monotonic() + 5)

    def text(self, ending):
        return (self.folder / f"desk/outbox/www_web1{ending}").read_text(encoding="utf-8")


@pytest.fixture
def desk(here, tmp_path):
    here.zone("org")
    return Desk(tmp_path, here)


def test_each_run_that_waits_says_what_the_ca_does_not_see(desk, here):
    zone = here.zone(APEX)
    first = desk.ask()
    assert isinstance(first, Pending) and first.changed
    assert (
        f"; the TXT record {NAME} is missing in {APEX}; add it with the value 2026Abc · CAs wait 3 days"
        in first.sentence
    )
    zone.records.update(type(zone)(APEX, [(NAME, "TXT", "2026Abc")]).records)
    second = desk.ask()
    assert not second.changed
    assert second.sentence.endswith(
        "the CA sees what it wants, and has not answered yet; usual for DV is up to 30 minutes, and a day at the most"
    )


def test_check_mode_says_the_same_and_changes_nothing(desk, here):
    here.zone(APEX)
    desk.ask()
    before = desk.text(".yml")
    pending = desk.issuer.find_pending(REQUEST, CSR, "web1")
    assert f"the TXT record {NAME} is missing" in pending.sentence
    assert desk.text(".yml") == before


def test_without_validation_nothing_is_looked_at(desk, here):
    here.zone(APEX)
    pending = desk.ask(validation=[])
    assert pending.sentence.endswith("/desk/inbox") and "validation" not in yaml.safe_load(desk.text(".yml"))
    assert here.resolver.queries == []


def test_the_page_for_the_ticket_has_a_line_for_it(desk, here):
    here.zone(APEX)
    desk.ask()
    line = f"the TXT record {NAME} with the value 2026Abc"
    assert yaml.safe_load(desk.text(".yml"))["validation"] == [line]
    assert f"<th>The CA wants to see</th><td>{line}</td>" in desk.text(".html")


def test_what_the_ca_asks_for_later_is_written_into_files_that_are_still_there(desk, here):
    here.zone(APEX)
    desk.ask(validation=[])
    (desk.folder / "desk/outbox/www_web1.html").unlink()  # as a person takes it away
    pending = desk.ask()
    assert not pending.changed
    assert yaml.safe_load(desk.text(".yml"))["validation"]
    assert not (desk.folder / "desk/outbox/www_web1.html").exists()


def test_a_diagnosis_has_names_caa_records_and_validation(desk, here):
    here.zone(APEX, (APEX, "CAA", '0 issue "letsencrypt.org"'))
    codes = [(one.severity, one.code) for one in desk.obstacles()]
    assert ("blocks", "caa.ca") in codes and ("blocks", "validation.record") in codes
    assert not any(code == "validation.deadline" for _severity, code in codes), "nothing is handed in yet"
    desk.ask()
    assert ("note", "validation.deadline") in [(one.severity, one.code) for one in desk.obstacles()]
    assert not any(one.code == "validation.deadline" for one in desk.obstacles(host="web2"))


def test_a_signing_request_that_another_order_had_is_refused(desk, here):
    here.zone(APEX)
    desk.ask()
    with pytest.raises(TlsError) as caught:
        desk.ask(host="web2")
    assert "the signing request of www (public key " in str(caught.value)
    assert (
        "for www of web1, and CAs refuse one that was used before; have another key made with -e certificate_force=true"
        in str(caught.value)
    )
    assert isinstance(desk.ask(host="web2", csr=make_csr(new_key(), [APEX], {})), Pending)


def test_a_private_ca_signs_a_request_as_often_as_it_is_asked(desk, here):
    here.zone(APEX)
    desk.settings["rules"] = "private"
    desk.ask()
    assert isinstance(desk.ask(host="web2"), Pending)


ISSUERS = {
    "bought": {"type": "manual", "organizations": {"ours": {"organization_name": "Ours"}}},
    "acme": {"type": "acme"},
}


@pytest.mark.parametrize("kind", ["OV", "EV"])
def test_the_company_phone_is_required_where_a_public_ca_calls_the_company(kind):
    request = with_defaults({**REQUEST, "organization": "ours", "kind": kind}, ISSUERS)
    with pytest.raises(TlsError) as caught:
        check_request_for_issuer(request, ISSUERS)
    assert (
        f"the organisation ours has no phone, and public CAs call the company for kind: {kind}; add for example"
        in str(caught.value)
    )


@pytest.mark.parametrize(
    ("phone", "kind", "rules"),
    [("+44 20 7946 0000", "EV", "public"), (None, "DV", "public"), (None, None, "public"), (None, "OV", "private")],
)
def test_a_phone_is_in_no_subject_and_required_of_nobody_else(phone, kind, rules):
    organizations = {"ours": {"organization_name": "Ours", "phone": phone}}
    issuers = {"bought": {"type": "manual", "rules": rules, "organizations": organizations}}
    request = with_defaults({**REQUEST, "organization": "ours", "kind": kind}, issuers)
    check_request_for_issuer(request, issuers)
    assert "phone" not in request and request["organization_name"] == "Ours"


def test_another_kind_is_refused():
    options = {name: spec.get("default") for name, spec in REQUEST_SPEC["options"].items()}
    with pytest.raises(TlsError) as caught:
        complete_request({**options, **REQUEST, "kind": "ov"})
    assert str(caught.value).endswith("kind is 'ov', and CAs validate DV, OV, EV; write one of these, or leave it out")
    assert complete_request({**options, **REQUEST, "kind": "OV"})["validation"] == [RECORD]


def test_an_issuer_without_people_has_no_use_for_validation():
    with pytest.raises(TlsError) as caught:
        check_request_for_issuer({**REQUEST, "issuer": "acme"}, ISSUERS)
    assert (
        "validation is for issuers of type manual and for certificates that a cloud makes, and acme is of type acme"
        in str(caught.value)
    )
    check_request_for_issuer({**REQUEST, "issuer": "acme", "cloud": {"hosted": True}}, ISSUERS)
