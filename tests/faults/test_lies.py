# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAs that lie: refused with a sentence of its own, or put right; the certificate in use stays what it was until a good one is there."""

from __future__ import annotations

import os
import pathlib
import threading

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action.certificate_issue import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils._certificates import path_validation
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance import checks
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import issue
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import ISSUERS
from ansible_collections.evergreen.tls.tests.faults import pair_checks
from ansible_collections.evergreen.tls.tests.faults.lying_ca import LIES, PUT_RIGHT, RSA_ROOT, LyingCa, chain_of
from ansible_collections.evergreen.tls.tests.faults.scenarios import ROOT, Scenario, due, plain

# What only the checks of the controller refuse: what is harmless on a host beside a good chain, and what only a complete verifier sees.
NOT_FOR_HOSTS = (
    *("a private key", "an encrypted private key", "50 MB"),
    *("below a CA for other names", "below a CA that may have none below it"),
    *("for programs besides", "for anything", "the common name of a bank", "the organization of somebody"),
)
ASKED_LATER = "the CA is asked again from "
REFUSED = "the answer of liar for the certificate of web is refused, and nothing is changed: "
SCENARIO = Scenario("a CA that lies", "certificate_request", due, plain)
ROOTS = (ROOT.pem + RSA_ROOT.pem).decode()


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


@pytest.fixture
def sign(monkeypatch):
    """Return a function that has a signing request signed by a malicious CA, as the playbooks do."""
    present = {}
    monkeypatch.setitem(ISSUERS, "liar", lambda number: present[number])
    ISSUERS["liar"].SETTINGS = {"number": {"type": "int"}}
    ISSUERS["liar"].DEFAULTS = {}
    ISSUERS["liar"].settings_of_name = lambda _name: {}

    def issued(csr, ca):
        present[id(ca)] = ca
        task = Task()
        task.action = "evergreen.tls.certificate_issue"
        issuers = {"liar": {"type": "liar", "number": id(ca)}}
        task.args = {"request": {**plain(None), "issuer": "liar"}, "csr": csr, "issuers": issuers}
        return ActionModule(task, None, None, None, None, None).run(task_vars={"inventory_hostname": "web1"})

    return issued


@pytest.fixture
def sandbox(prepare_sandbox):
    """A host whose certificate is due, and asks for another."""
    return prepare_sandbox(SCENARIO)


class PendingHost:
    """A host whose certificate is due, and that has asked for another."""

    def __init__(self, host):
        self.host = host
        self.csr = host.ask(plain(host))["csr"]
        self.before, self.in_use = pair_checks.snapshot(host.top), pair_checks.fingerprint_in_use(host.store)

    def install(self, chain):
        """Pass a chain to certificate_install, without the checks of the controller."""
        return self.host.run("certificate_install", request=plain(self.host), chain=chain, roots=ROOTS).result()

    def why_touched(self):
        """Return what has changed, or None."""
        if pair_checks.fingerprint_in_use(self.host.store) != self.in_use:
            return "another certificate is in use"
        return None if pair_checks.snapshot(self.host.top) == self.before else "something was changed"

    def why_not_renewed(self):
        """Return why the certificate in use is not a valid one for the pending key, or None."""
        if pair_checks.fingerprint_in_use(self.host.store) == self.in_use:
            return "the old certificate is in use"
        key = os.path.join(self.host.store, "v0002", "privkey.pem")
        if os.stat(key).st_ino != self.before["etc/evergreen/web/next/privkey.pem"][0]:
            return "the key that waited is not used"
        return pair_checks.why_broken(os.path.join(self.host.store, "current"), ROOT.pem)


def test_a_ca_that_lies_is_refused_with_its_reason_and_the_old_certificate_stays_in_use(sandbox, sign, tally):
    titles, hosts = list(LIES), sandbox.programs.maxsize
    shares = [tuple(titles[number::hosts]) for number in range(hosts)]
    violations = sandbox.play(
        lambda host, *titles: violations_of_lies(host, titles, sign), shares, lambda *_titles: "a CA"
    )
    tally.add_lies("a CA", len(LIES))
    assert not violations, "\n".join(violations)


def violations_of_lies(host, titles, sign):
    """Send a host the lies of a CA and then a valid chain; return the violations.

    After each lie, the record is removed that keeps a CA from being asked again by each run.
    """
    pending, cache_directory, violations = PendingHost(host), f"{host.folder}/answers", []
    for title in titles:
        make, sentence = LIES[title]
        raw = make(pending.csr.encode())
        result = sign(pending.csr, LyingCa(cache_directory, lambda _csr, raw=raw: raw))
        refused = result.get("failed") and result["msg"].startswith(REFUSED) and sentence in result["msg"]
        violations += [] if refused else [f"{title}: the controller says {result}"]
        again = sign(pending.csr, LyingCa(cache_directory, chain_of()))
        violations += [] if again["msg"].startswith(ASKED_LATER) else [f"{title}: the CA is asked again at once"]
        forget_refusals(cache_directory)
        if raw and title not in NOT_FOR_HOSTS:  # as if the controller checked nothing
            result = pending.install(raw.decode(errors="replace"))
            refused = result.get("failed") and result["msg"].startswith("the chain for web is refused: ")
            violations += [] if refused else [f"{title}: the host says {result}"]
        violations += [f"{title}: {why}" for why in [pending.why_touched()] if why]
    result = sign(pending.csr, LyingCa(cache_directory, chain_of()))
    pending.install(result.get("chain"))
    return violations + [why for why in [pending.why_not_renewed()] if why]


def forget_refusals(cache_directory):
    """Remove what is remembered of refused answers, as the sentence about them says."""
    for path in pathlib.Path(cache_directory).glob("*.refused"):
        path.unlink()


def test_what_a_ca_means_well_is_put_right_and_comes_into_use(sandbox, sign, tally):
    def lie(host, title):
        pending = PendingHost(host)
        result = sign(pending.csr, LyingCa(f"{host.folder}/answers", PUT_RIGHT[title]))
        violations = [f"the controller says {result}"] if result.get("failed") else []
        pending.install(result.get("chain"))
        chain = result.get("chain", "")
        violations += [] if chain.count("BEGIN") in (2, 3) and ROOT.pem.decode() not in chain else ["it is no chain"]
        return violations + [why for why in [pending.why_not_renewed()] if why]

    violations = sandbox.play(lie, list(PUT_RIGHT))
    tally.add_lies("a CA", len(PUT_RIGHT))
    assert not violations, "\n".join(violations)


def test_a_ca_that_never_answers_is_given_up_and_the_next_run_has_the_same_request_signed(
    sandbox, sign, monkeypatch, tally
):
    monkeypatch.setattr(issue, "ISSUE_TIMEOUT_S", 0.5)
    let_go = threading.Event()

    def hang(host, _title):
        pending, cache_directory = PendingHost(host), f"{host.folder}/answers"
        result = sign(pending.csr, LyingCa(cache_directory, lambda csr: let_go.wait() and b""))
        sentence = (
            "liar has not answered for 0 seconds, and nothing is changed; see that it can be reached from the controller, "
            "then run this again"
        )
        violations = [] if result.get("msg") == sentence else [f"it says {result}"]
        violations += [why for why in [pending.why_touched()] if why]
        monkeypatch.setattr(issue, "ISSUE_TIMEOUT_S", 60)
        pending.install(sign(pending.csr, LyingCa(cache_directory, chain_of())).get("chain"))
        return violations + [why for why in [pending.why_not_renewed()] if why]

    violations = sandbox.play(hang, ["never"])
    let_go.set()
    tally.add_lies("a CA", 1)
    assert not violations, "\n".join(violations)


def test_a_ca_that_answers_the_second_time_only_is_asked_with_the_same_key_and_request(sandbox, sign, tally):
    def fail(_csr):
        raise TlsError("the CA is closed for lunch; come back later")

    def ask_twice(host, _title):
        pending = PendingHost(host)
        ca = LyingCa(f"{host.folder}/answers", fail, chain_of())
        result = sign(pending.csr, ca)
        violations = [] if result.get("msg") == "the CA is closed for lunch; come back later" else [f"it says {result}"]
        violations += [why for why in [pending.why_touched()] if why]
        again = host.ask(plain(host))
        violations += [] if again["csr"] == pending.csr and not again["changed"] else ["another request was made"]
        pending.install(sign(again["csr"], ca).get("chain"))
        violations += [] if ca.csrs == [pending.csr.encode()] * 2 else ["the CA was asked for something else"]
        return violations + [why for why in [pending.why_not_renewed()] if why]

    violations = sandbox.play(ask_twice, ["the second time only"])
    tally.add_lies("a CA", 1)
    assert not violations, "\n".join(violations)


# Checks that are left out, on the controller or on the host, a lie that is not found without them, and how that shows.
NO_CHECK = "from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import certificate_install"
SWITCHED_OFF = {
    "all checks of the controller": (
        issue,
        "check_issued_chain",
        lambda result, *_others: parse_chain(result),
        "more names",
        "",
    ),
    "its check": (checks, "check_chain", lambda *_arguments: None, "more names", ""),
    "its order": (checks, "order_chain", lambda certificates, *_others: certificates, "another key", ""),
    "its name constraints": (
        path_validation,
        "check_name_constraints",
        lambda *_arguments, **_options: None,
        "below a CA for other names",
        "",
    ),
    "the check of the host": (
        checks,
        "MAX_BYTES",
        checks.MAX_BYTES,
        "more names",
        f"{NO_CHECK}\ncertificate_install.check_chain = lambda *arguments: None",
    ),
}


@pytest.mark.parametrize("part", SWITCHED_OFF)
def test_a_check_that_is_left_out_is_missed(part, prepare_sabotaged, sign, monkeypatch):
    owner, name, instead, title, sabotage = SWITCHED_OFF[part]
    sandbox = prepare_sabotaged(SCENARIO, sabotage)
    monkeypatch.setattr(owner, name, instead)
    assert sandbox.play(lambda host, title: violations_of_lies(host, [title], sign), [title])
