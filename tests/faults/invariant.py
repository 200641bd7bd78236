# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold at each moment of a scenario, and after an ordinary run."""

from __future__ import annotations

import os

from ansible_collections.evergreen.tls.tests.faults import pair_checks
from ansible_collections.evergreen.tls.tests.faults.scenarios import ROOT, Host, Scenario


class Invariant:
    """The invariant of a scenario, defined by its initial state and the end of an undisturbed run."""

    def __init__(self, scenario: Scenario, base: Host, done: Host) -> None:
        self.scenario = scenario
        self.before = pair_checks.fingerprint_in_use(base.store)
        self.new = pair_checks.fingerprint_in_use(done.store)
        complete = pair_checks.complete_folders(done.store, ROOT.pem)
        self.ready = set(complete.values()) - {self.before}
        lasting = {
            fingerprint
            for name, fingerprint in complete.items()
            if pair_checks.lasts(os.path.join(done.store, name), days=60)
        }
        current = os.path.join(base.store, "current")
        self.good = lasting - {self.before} | (
            {self.before} if self.before and pair_checks.lasts(current, days=60) else set()
        )
        self.finds_passphrase = os.path.exists(os.path.join(base.store, "current", "passphrase"))
        self.links = {os.path.basename(path): _leads_to(path, base.top) for path in scenario.links(base)}

    def in_use(self, host: Host) -> str | None:
        """Return the fingerprint of what is in use on a host."""
        return pair_checks.fingerprint_in_use(host.store)

    def violations(self, host: Host) -> list[str]:
        """Return the violations on a host now."""
        violations = pair_checks.open_keys(host.top, self.scenario.key_mode)
        in_use = pair_checks.fingerprint_in_use(host.store)
        removed = self.scenario.may_remove and not os.path.lexists(host.store)
        if in_use is not None:
            broken = pair_checks.why_broken(os.path.join(host.store, "current"), ROOT.pem)
            violations += [f"current: {broken}"] if broken else []
            if self.finds_passphrase and not os.path.exists(os.path.join(host.store, "current", "passphrase")):
                violations.append("nginx does not find the file of the passphrase any more")
            violations += (
                []
                if in_use in {self.before, self.new, *self.ready}
                else [f"current holds a strange certificate, {in_use}"]
            )
        elif self.before and not removed:
            violations.append("there is no current any more")
        is_refused = self.scenario.request(host).get("validate") == "false" and in_use in self.ready - {self.new}
        if is_refused and pair_checks.tried_version(host.store) != os.readlink(os.path.join(host.store, "current")):
            violations.append("what is refused is in use, and nobody will ask about it again")
        hidden = os.path.join(host.directory, ".web.removed")
        if removed and os.path.isdir(hidden):
            broken = pair_checks.why_broken(os.path.join(hidden, "current"), ROOT.pem)
            violations += [f"what was put out of sight: {broken}"] if broken else []
        adopted = self.scenario.adopted(host)
        unpaired = pair_checks.why_unpaired(adopted["key"], adopted["certificate"]) if adopted else None
        violations += [f"where it was made by hand: {unpaired}"] if unpaired else []
        for path, target in self.scenario.links(host).items():
            leads, before = _leads_to(path, host.top), self.links[os.path.basename(path)]
            if leads not in (before, os.path.relpath(target, host.top)) and not (removed and leads is None):
                violations.append(f"{path} leads to {leads}")
            elif before is not None and not os.path.exists(path) and not removed:
                violations.append(f"{path} leads to nothing any more")
        return violations

    def violations_after_all(self, host: Host) -> list[str]:
        """Do an ordinary run; return the violations then: unfinished work, leftovers, a certificate issued twice."""
        stores = (host.store, os.path.join(host.directory, ".web.removed"))
        whole = {
            fingerprint for store in stores for fingerprint in pair_checks.complete_folders(store, ROOT.pem).values()
        }
        issued = host.issued
        result = self.scenario.ordinary(host)
        if result.get("failed"):
            return [f"the ordinary run fails: {result['msg']}"]
        violations = self.violations_when_done(host)
        if host.issued - issued > (0 if whole & self.good else 1):
            violations.append("a certificate was asked for although a complete one was there")
        before = pair_checks.snapshot(host.top)
        result = self.scenario.ordinary(host)
        if result.get("failed") or result["changed"] or pair_checks.snapshot(host.top) != before:
            violations.append(f"a further run changes something: {result.get('msg')}")
        return violations

    def violations_when_done(self, host: Host) -> list[str]:
        """Return the violations after all work is done."""
        violations = pair_checks.open_keys(host.top, self.scenario.key_mode)
        links = self.scenario.links(host)
        also, adopted = ("next",) * self.scenario.waits, "v0001" if self.scenario.adopted(host) else ""
        violations += [
            f"{path} is left over" for path in pair_checks.left_over(host.directory, also=also, adopted=adopted)
        ]
        if self.scenario.end == "absent":
            violations += [f"{path} is still there" for path in (host.store, *links) if os.path.lexists(path)]
        else:
            broken = pair_checks.why_broken(os.path.join(host.store, "current"), ROOT.pem)
            violations += [f"current: {broken}"] if broken else []
            leads = {path: os.path.islink(path) and os.readlink(path) for path in links}
            violations += [f"{path} leads to {leads[path]}" for path in links if leads[path] != links[path]]
        strangers = {os.path.join(host.link_folder, name) for name in os.listdir(host.link_folder)} - set(links)
        return violations + [f"{path} is left over" for path in strangers]


def _leads_to(path: str, top: str) -> str | None:
    if not os.path.islink(path):
        return None
    return os.path.relpath(os.path.join(os.path.dirname(path), os.readlink(path)), top)
