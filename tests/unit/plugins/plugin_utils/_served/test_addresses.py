# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import threading
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake
from ansible_collections.evergreen.tls.plugins.plugin_utils._served import checks, observation
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.checks import check_served
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.served_sites import NAME, fingerprint_of
from ansible_collections.evergreen.tls.tests.unit.servers import answering_port, closed_port, drip, full_port


def test_the_same_certificate_at_all_addresses_is_fine(site):
    chain = site.authority.chain([NAME], some_key())
    for address in ("127.0.0.1", "127.0.0.2", "::1"):
        site.present(address, chain)
    (finding,) = site.check("served", fingerprint=fingerprint_of(chain))
    assert (finding.severity, finding.code) == ("fine", "served")
    assert finding.sentence.startswith(
        f"127.0.0.1 port {site.port}, 127.0.0.2 port {site.port} and ::1 port {site.port} present"
    )
    assert len(finding.evidence) == 3 and fingerprint_of(chain) in finding.evidence[2]


def test_an_old_certificate_at_one_of_three_addresses_is_found(site):
    new, old = site.authority.chain([NAME], some_key()), site.authority.chain([NAME], some_key(), days=(-60, 3))
    site.present("127.0.0.1", new)
    site.present("127.0.0.2", new)
    site.present("::1", old)
    (finding,) = site.check("served", fingerprint=fingerprint_of(new))
    assert (finding.severity, finding.code) == ("blocks", "served.other")
    assert finding.sentence.startswith(f"::1 port {site.port} presents another certificate for {NAME}")
    assert f"127.0.0.1 port {site.port} and 127.0.0.2 port {site.port} the installed one" in finding.sentence
    assert finding.sentence.endswith("or correct the DNS record")


def test_without_an_installed_certificate_the_newest_one_is_the_right_one(site):
    site.present("127.0.0.1", site.authority.chain([NAME], some_key(), days=(-60, 3)))
    site.present("127.0.0.2", site.authority.chain([NAME], some_key(), days=(-1, 90)))
    (finding,) = site.check("served")
    assert finding.sentence.startswith(f"127.0.0.1 port {site.port} presents another certificate")
    assert f"127.0.0.2 port {site.port} the newest one" in finding.sentence


def test_a_cdn_in_front_is_named_by_its_headers(site):
    installed = site.authority.chain([NAME], some_key())
    site.present("127.0.0.1", installed)
    site.dns.by_name[NAME].clear()  # the inventory knows that one
    site.present(
        "127.0.0.2", headers=[("Server", "cdn\x1b[31m/1"), ("Via", "1.1 edge"), ("X-Cache", "HIT " + "x" * 4000)]
    )
    (finding,) = site.check("served", fingerprint=fingerprint_of(installed), endpoints=(("127.0.0.1", site.port),))
    assert (finding.severity, finding.code) == ("risk", "served.proxy")
    assert (
        "a CDN or a load balancer stands there (Server: cdn [31m/1, Via: 1.1 edge, X-Cache: HIT xxx" in finding.sentence
    )
    assert len(finding.sentence) <= checks.MAX_SENTENCE_CHARACTERS
    assert finding.sentence.endswith("certificate_cloud of the request or in its settings")


def test_the_same_certificate_at_a_cdn_is_fine(site):
    chain = site.authority.chain([NAME], some_key())
    site.present("127.0.0.1", chain)
    site.present("127.0.0.2", chain, headers=[("Server", "cdn")])
    assert [one.severity for one in site.check("served", endpoints=(("127.0.0.1", site.port),))] == ["fine"]


@pytest.mark.parametrize(
    ("names", "days", "has_intermediate", "sentence"),
    [
        (["other.example.org"], (-1, 90), True, "the certificate is for other names"),
        ([NAME], (-90, -1), True, "has expired; renew it and have it served"),
        ([NAME], (-1, 90), False, "see that the server sends fullchain.pem, not cert.pem"),
    ],
)
def test_a_certificate_that_clients_refuse_blocks(site, names, days, has_intermediate, sentence):
    chain = Authority("Intermediate", site.authority).chain(names, some_key(), days=days)
    site.present("127.0.0.1", chain if has_intermediate else chain[:1])
    (finding,) = site.check("served", fingerprint=fingerprint_of(chain))
    assert (finding.severity, finding.code) == ("blocks", "served.untrusted")
    assert sentence in finding.sentence


def test_an_address_at_which_nothing_listens_blocks(site):
    site.present("127.0.0.1")
    site.dns.by_name[NAME].append("127.0.0.9")
    silent, fine = site.check("served")
    assert (silent.code, fine.severity) == ("served.unreachable", "fine")
    assert silent.sentence.startswith(f"no certificate for {NAME} comes from 127.0.0.9 port {site.port}: ")
    assert "nothing listens there" in silent.sentence and silent.sentence.endswith("or remove its DNS record")


def test_a_name_without_addresses_is_unknown(site):
    (finding,) = site.check("served")
    assert (finding.severity, finding.code) == ("unknown", "served.dns")
    assert finding.sentence.endswith("create an A or AAAA record")


def test_an_address_to_which_there_is_no_route_is_unknown(site, monkeypatch):
    def without_ipv6(address, *arguments, **options):
        if ":" in address:
            raise TlsError("no route") from OSError(errno.ENETUNREACH, "Network is unreachable")
        return handshake(address, *arguments, **options)

    monkeypatch.setattr(observation, "handshake", without_ipv6)
    site.present("127.0.0.1")
    site.dns.by_name[NAME].append("2001:db8::1")
    unrouted, fine = site.check("served")
    assert (unrouted.severity, unrouted.code, fine.severity) == ("unknown", "served.unrouted", "fine")
    assert unrouted.sentence.startswith(f"this controller has no route to 2001:db8::1 port {site.port}")


def test_a_wildcard_is_asked_for_by_a_name_that_it_covers(site):
    chain = site.authority.chain(["*.example.org"], some_key())
    site.present("127.0.0.1", chain)
    site.dns.by_name["evergreen-probe.example.org"] = site.dns.by_name.pop(NAME)
    (finding,) = site.check("served", domain="*.example.org")
    assert finding.severity == "fine" and "for evergreen-probe.example.org" in finding.sentence


def test_a_wildcard_without_a_record_at_a_cloud_is_one_finding(site):
    probe = "evergreen-probe.example.invalid"  # without an address anywhere (RFC 6761, section 6.4)
    (finding,) = site.check("served", domain="*.example.invalid", endpoints=((probe, site.port),))
    assert (finding.severity, finding.code) == ("unknown", "served.dns")
    assert finding.sentence.startswith(f"{probe} has no address in DNS")


def test_a_host_of_a_wildcard_without_a_record_is_looked_at(site):
    closed = closed_port()
    findings = site.check("served", domain="*.example.invalid", endpoints=(("127.0.0.1", closed),))
    assert [one.code for one in findings] == ["served.dns", "served.unreachable"]


@pytest.mark.parametrize("answer", [drip, None])
def test_servers_that_never_finish_cost_no_more_than_the_deadline(site, answer):
    def trickle(connection):
        drip(None, connection)

    with answering_port(trickle) if answer else full_port() as port:
        start = time.monotonic()
        (finding,) = site.check(
            "served", dns=type(site.dns)(**{NAME: ["127.0.0.1"]}), port=port, deadline=time.monotonic() + 0.3
        )
        assert time.monotonic() - start < 2
    assert (finding.severity, finding.code) == ("unknown", "served.late")


def test_resolvers_that_never_answer_cost_no_more_than_the_deadline(site):
    released = threading.Event()

    class Silent:
        def addresses(self, _name):
            released.wait(10)

    (finding,) = site.check("served", dns=Silent(), deadline=time.monotonic() + 0.1)
    released.set()
    assert (finding.severity, finding.code) == ("unknown", "served.dns")
    assert "do not say the addresses of www.example.org in time" in finding.sentence


def test_a_check_that_fails_has_found_something_unknown(site, monkeypatch):
    def fail(_served):
        raise LookupError("\x1b[2Jno such thing")

    site.dns.by_name[NAME] = ["127.0.0.9"]
    monkeypatch.setitem(checks.CHECKS, "broken", fail)
    finding = check_served(site.subject(port=closed_port()))[-1]
    assert (finding.severity, finding.code) == ("unknown", "broken.failed")
    assert finding.sentence.startswith(f"the check broken of {NAME} failed") and "\x1b" not in finding.sentence


def test_many_names_whose_servers_are_silent_cost_one_deadline(site):
    dns = type(site.dns)(**{f"www{number}.example.org": ["127.0.0.1"] for number in range(64)})
    with full_port() as port:
        start = time.monotonic()
        subjects = [site.subject(domain=name, dns=dns, port=port, deadline=start + 0.5) for name in dns.by_name]
        results = map_in_threads(check_served, subjects)  # sixteen at a time
        assert time.monotonic() - start < 5
    assert len(results) == 64
    assert {one.severity for findings in results for one in findings} == {"unknown"}
    assert {one.code for findings in results for one in findings} == {"served.late", "served.dns"}
