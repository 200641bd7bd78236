# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the survey finds of servers that are right, of those that are wrong, and of inventories that make no sense."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import resource
import socket

import pytest
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    not_after,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import describe_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import subject_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import renewal_time
from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._tls import handshake
from ansible_collections.evergreen.tls.plugins.plugin_utils import _boundary as boundary
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports import open_issuers, survey
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import (
    Finding,
    endpoints_of_host,
    refused_requests,
    renewal_order,
    shuffle_seed,
    survey_hosts,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey_table import (
    findings_table,
)
from ansible_collections.evergreen.tls.tests.unit import servers
from ansible_collections.evergreen.tls.tests.unit.fake_ca import (
    DAY,
    NOW,
    YEAR_ZERO,
    Authority,
    garbled_pem,
    pem_valid_until,
    some_key,
)
from ansible_collections.evergreen.tls.tests.unit.servers import (
    answer_together,
    closed_port,
    drip,
    full_port,
    hang_up,
    keep_silent,
    plain_http,
    reset,
    send_garbage,
)

NAME = "www.example.org"
KEY = some_key()
ROOT = Authority("Survey Root CA")
ISSUING = Authority("Survey Issuing CA", above=ROOT)
CHAIN = ISSUING.chain([NAME], KEY)


class Fleet:
    """Hosts of an inventory, and what the survey finds of them."""

    def __init__(self, folder):
        self.folder = folder
        self.hosts = {}

    def add(self, host, port, address="127.0.0.1", domains=(NAME,), variables=None, **request):
        """Add a host with one request; *variables* are further ones, or others."""
        request = {"name": "www", "domains": list(domains), "port": port, **request}
        self.hosts[host] = {
            "ansible_host": address,
            "certificate_requests": [request],
            "certificate_issuers": {"local": {"type": "local_ca", "directory": str(self.folder)}},
            **(variables or {}),
        }
        return self

    def findings(self, progress=lambda what, done, total: None, **options):
        """Return what is found."""
        return survey_hosts(list(self.hosts), self.hosts.__getitem__, progress, **options)

    def finding(self, **options):
        """Return the only thing that is found."""
        (finding,) = self.findings(**options)
        return finding


@pytest.fixture
def fleet(tmp_path):
    folder = tmp_path / "ca"
    folder.mkdir()
    (folder / "root.pem").write_bytes(ROOT.pem)
    return Fleet(folder)


@pytest.fixture(autouse=True)
def short_timeout(monkeypatch):
    monkeypatch.setattr(handshake, "HANDSHAKE_TIMEOUT_S", 3.0)


def test_an_endpoint_that_serves_what_it_should_is_fine(start, fleet):
    server = start().present(CHAIN)
    finding = fleet.add("web1", server.port).finding()
    assert finding == Finding(
        host="web1",
        state="fine",
        reason="",
        request="www",
        name=NAME,
        address="127.0.0.1",
        port=server.port,
        protocol="TLSv1.3",
        certificate=describe_chain(CHAIN),
        days_left=finding.days_left,
        renew_at=finding.renew_at,
    )
    assert 89.9 < finding.days_left <= 90
    assert datetime.timedelta(days=56) < parse_date(finding.renew_at) - NOW < datetime.timedelta(days=60, minutes=1)


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        (
            ISSUING.chain([NAME], KEY, days=(-80, 10)),
            f"it expires on {NOW + 10 * DAY:%Y-%m-%d %H:%M:%S} UTC, and 11% of its lifetime is left",
        ),
        (
            ISSUING.chain(["old.example.org"], KEY),
            (
                "the certificate does not cover www.example.org and covers old.example.org, which nobody asked for; "
                "have it issued for www.example.org"
            ),
        ),
        (
            Authority("Stranger CA").chain([NAME], KEY),
            "the chain ends at Stranger CA, which is not a root of the issuer (Survey Root CA); have it issued again",
        ),
        (
            CHAIN[:1],
            (
                "the chain ends at Survey Issuing CA, which is not a root of the issuer (Survey Root CA); "
                "have it issued again"
            ),
        ),
        (
            ISSUING.chain([NAME], KEY, days=(2, 90)),
            f"the certificate is valid only from {NOW + 2 * DAY:%Y-%m-%d %H:%M:%S} UTC, and the clock here says ",
        ),
    ],
    ids=["in its window", "other names", "untrusted root", "incomplete chain", "not valid yet"],
)
def test_an_endpoint_that_serves_something_else_is_due(start, fleet, chain, reason):
    finding = fleet.add("web1", start().present(chain).port).finding()
    assert (finding.state, finding.protocol) == ("due", "TLSv1.3")
    assert finding.reason.startswith(reason)
    assert finding.certificate == describe_chain(chain)


def test_a_server_that_sends_the_leaf_alone_is_told_to_serve_fullchain_pem(start, fleet):
    """Endpoints of an issuer of another type, whose root is known, and of one that systems trust."""
    manual = {"type": "manual", "directory": str(fleet.folder / "manual"), "roots": str(fleet.folder / "root.pem")}
    issuers = {"certificate_issuers": {"corporate": manual, "public": {**manual, "roots": None}}}
    port = start().present(CHAIN[:1]).port
    for name in ("corporate", "public"):
        fleet.add(name, port, variables=issuers, issuer=name, type="ECC")
    for finding in fleet.findings():
        assert finding.state == "due"
        assert finding.reason == (
            "the server sends the certificate alone, without Survey Issuing CA, which signed it; serve fullchain.pem (ssl_certificate of "
            "nginx); if Survey Issuing CA is no CA of its issuer, have it issued again"
        )


def test_of_a_private_ca_it_is_known_that_the_chain_is_on_the_disk(start, tmp_path):
    fleet = Fleet(tmp_path / "pki")
    ca = open_issuer("local", {"local": {"type": "local_ca", "directory": str(fleet.folder)}})
    ca.make()
    issuing = x509.load_pem_x509_certificate((fleet.folder / "issuing.pem").read_bytes())
    key = serialization.load_pem_private_key((fleet.folder / "issuing.key").read_bytes(), None)
    authority = Authority("Evergreen", key=key)
    authority.certificate = issuing
    finding = fleet.add("web1", start().present(authority.chain([NAME], KEY)[:1]).port).finding()
    assert finding.reason == (
        f"the server sends the certificate alone, without {subject_name(issuing)}, which signed it; "
        "serve fullchain.pem (ssl_certificate of nginx), not cert.pem"
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (None, "its settings are no dictionary; write"),
        ({"type": "locla_ca"}, "there is no type 'locla_ca', only"),
        ({"type": "local_ca", "root": to_pem(CHAIN).decode()}, "root is the text of a PEM file, and its path is"),
        ({"type": "manual", "roots": "/nowhere/root.pem"}, "roots: /nowhere/root.pem does not exist; correct the path"),
    ],
    ids=["no settings", "a wrong type", "PEM as a path", "no file of roots"],
)
def test_a_broken_issuer_is_a_finding_about_its_request_and_hides_no_other(start, fleet, settings, sentence):
    port = start().present(CHAIN).port
    local = {"type": "local_ca", "directory": str(fleet.folder)}
    requests = [
        {"name": name, "domains": [NAME], "port": port, "issuer": issuer}
        for name, issuer in (("first", "local"), ("middle", "broken"), ("last", "local"))
    ]
    variables = {"certificate_requests": requests, "certificate_issuers": {"local": local, "broken": settings}}
    fleet.add("web1", port, variables=variables)
    broken, *others = fleet.findings()
    assert (broken.request, broken.state) == ("middle", "unknown")
    assert sentence in broken.reason and "\n" not in broken.reason and "MII" not in broken.reason
    assert {finding.request: finding.state for finding in others} == {"first": "fine", "last": "fine"}


@pytest.mark.parametrize("host", ["web1", "web9"])
def test_what_the_private_ca_has_revoked_is_due(start, fleet, host):
    serial = f"{CHAIN[0].serial_number:x}"
    record = {
        "serial_number": serial,
        "host": host,
        "request": "www",
        "names": [NAME],
        "certificate": to_pem(CHAIN[:1]).decode(),
    }
    dates = {"not_after": (NOW + DAY).isoformat(), "issued_at": NOW.isoformat(), "revoked_at": NOW.isoformat()}
    (fleet.folder / "issued").mkdir()
    (fleet.folder / "issued" / f"{serial}.json").write_text(json.dumps({**record, **dates, "reason": "key_compromise"}))
    finding = fleet.add("web1", start().present(CHAIN).port).finding()
    assert (finding.state, finding.reason) == ("due", f"it is revoked (key compromise), serial number {serial}")


def test_an_endpoint_whose_key_is_of_another_type_is_due(start, fleet):
    finding = fleet.add("web1", start().present(CHAIN).port, type="RSA", size=3072).finding()
    assert (finding.state, finding.reason) == ("due", "its key is ECC secp256r1, and RSA 3072 is wanted")


def test_an_endpoint_is_due_when_the_host_itself_would_say_so(start, fleet):
    """The moment is spread by host and request, as on the host."""
    chain = ISSUING.chain([NAME], KEY, days=(-62, 33))
    port = start().present(chain).port
    for number in range(20):
        fleet.add(f"web{number}", port)
    due = {finding.host for finding in fleet.findings() if finding.state == "due"}
    life = not_before(chain[0]), not_after(chain[0])
    assert due == {host for host in fleet.hosts if renewal_time(*life, None, f"{host}/www") <= NOW}
    assert 0 < len(due) < 20


def test_an_endpoint_whose_certificate_has_expired_is_told_apart(start, fleet):
    finding = fleet.add("web1", start().present(ISSUING.chain([NAME], KEY, days=(-90, -3))).port).finding()
    assert finding.state == "expired"
    assert finding.reason == f"the certificate expired on {NOW - 3 * DAY:%Y-%m-%d %H:%M:%S} UTC; have it issued again"
    assert -3.1 < finding.days_left <= -3


def test_each_domain_at_each_address_is_an_endpoint(start, fleet):
    server = start().present(ISSUING.chain([NAME, "*.example.org"], KEY))
    fleet.add("web1", 443, domains=[NAME, "*.Example.ORG"])
    fleet.hosts["web1"]["certificate_endpoint"] = [f"127.0.0.1:{server.port}", f"localhost:{server.port}"]
    assert [(finding.address, finding.name, finding.state) for finding in fleet.findings()] == [
        ("127.0.0.1", "*.example.org", "fine"),
        ("localhost", "*.example.org", "fine"),
        ("127.0.0.1", NAME, "fine"),
        ("localhost", NAME, "fine"),
    ]
    assert sorted(server.server_names) == ["evergreen-probe.example.org"] * 2 + [NAME] * 2


def test_an_endpoint_may_have_an_address_of_version_6(start, fleet):
    try:
        server = start(family=socket.AF_INET6).present(CHAIN)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    fleet.add("web1", 443, variables={"certificate_endpoint": f"[::1]:{server.port}"})
    fleet.add("web2", server.port, "::1")
    assert [(finding.address, finding.port, finding.state) for finding in fleet.findings()] == [
        ("::1", server.port, "fine"),
        ("::1", server.port, "fine"),
    ]


@pytest.mark.parametrize("days", [(-1, 90), (-90, -3)])
def test_what_the_system_does_not_trust_is_due_or_expired_and_still_described(start, fleet, days):
    (fleet.folder / "root.pem").unlink()  # an issuer whose roots are not known here
    chain = ISSUING.chain([NAME], KEY, days=days)
    finding = fleet.add("web1", start().present(chain).port).finding()
    assert finding.state == ("due" if days[1] > 0 else "expired")
    assert ("clients cannot trust the certificate" if days[1] > 0 else "the certificate expired on") in finding.reason
    assert finding.certificate == describe_chain(chain)


def test_what_the_system_trusts_is_fine(start, fleet, tmp_path, monkeypatch):
    (fleet.folder / "root.pem").rename(tmp_path / "system.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    server = start().present(CHAIN)
    assert fleet.add("web1", server.port).finding().state == "fine"
    assert server.connections == 1


def test_bad_endpoints_are_one_finding_each_and_hide_no_other(start, fleet):
    huge = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), bytes(1000000))
    garbled = garbled_pem(ISSUING.certificate, b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x06")  # version 7
    fleet.add("silent", start(keep_silent).port)
    fleet.add("drips", start(drip).port)
    fleet.add("http", start(plain_http).port)
    fleet.add("reset", start(reset).port)
    fleet.add("hangs-up", start(hang_up).port)
    fleet.add("garbage", start(send_garbage).port)
    fleet.add("huge", start().present(ISSUING.chain([NAME], KEY, extensions=[huge])).port)
    fleet.add("garbled", start().present_pem(to_pem(CHAIN[:1]) + garbled).port)
    fleet.add("unresolved", 443, "no-such-host.invalid")
    fleet.add("unspeakable", 443, "no..such..host")
    fleet.add("no-address.invalid", 443, variables={"ansible_host": None})
    fleet.add("closed", closed_port())
    fleet.add("good", start().present(CHAIN).port)
    with full_port() as full:
        findings = fleet.add("dropped", full).findings()
    reasons = {finding.host: finding.reason.partition(f" port {finding.port}: ")[2] for finding in findings}
    assert len(findings) == len(reasons) == len(fleet.hosts)
    _header, *rows, _sum = findings_table(findings, None, 100).splitlines()
    assert sorted(row.split()[0] for row in rows if not row.startswith(" ")) == sorted(fleet.hosts)
    assert {finding.host for finding in findings if finding.state != "unknown"} == {"good"}
    not_tls = "what answers does not speak TLS; see which program or server block listens there"
    endless = "what listens there has not finished a handshake within 3 seconds; see which program it is, and its load"
    unresolved = {host: reasons.pop(host) for host in ("unresolved", "unspeakable", "no-address.invalid")}
    assert reasons == {
        "silent": endless,
        "drips": endless,
        "dropped": "no answer within 3 seconds; open the port on every firewall on the way",
        "http": not_tls,
        "reset": "Connection reset by peer; see that the server runs and can be reached",
        "hangs-up": "the server closed the connection in the middle of the handshake; see its error log",
        "garbage": not_tls,
        "huge": "the handshake failed (EXCESSIVE_MESSAGE_SIZE); see the error log of the server",
        "garbled": "the certificate that is presented cannot be read; replace it",
        "closed": "nothing listens there; start nginx with a site on that port",
        "good": "",
    }
    for reason in unresolved.values():
        assert reason.startswith("the address cannot be resolved (") and reason.endswith("); correct ansible_host")
    assert {finding.host: finding.address for finding in findings}["no-address.invalid"] == "no-address.invalid"


def test_an_endpoint_is_waited_for_as_long_as_the_timeout_says(start, fleet):
    finding = fleet.add("web1", start(keep_silent).port).finding(timeout=1.0)
    assert finding.reason.endswith(
        "has not finished a handshake within 1 seconds; see which program it is, and its load"
    )


def test_dead_endpoints_cost_their_timeout_once_and_not_in_series(start, fleet, monkeypatch):
    """All are connected before the first is answered, and a good one has been seen meanwhile."""
    monkeypatch.setattr(handshake, "HANDSHAKE_TIMEOUT_S", 60.0)
    server = start(answer_together(40))
    for number in range(40):
        fleet.add(f"web{number}", server.port)
    fleet.add("good", start().present(CHAIN).port)
    *dead, good = fleet.findings()
    assert good.state == "fine"
    assert {finding.reason.partition(": ")[2] for finding in dead} == {
        "the server closed the connection in the middle of the handshake; see its error log"
    }
    assert server.connections == 40


def test_only_so_many_handshakes_are_made_at_once(start, fleet, monkeypatch):
    monkeypatch.setattr(handshake, "HANDSHAKE_TIMEOUT_S", 60.0)
    server = start(answer_together(2))
    for number in range(4):
        fleet.add(f"web{number}", server.port)
    assert {finding.reason.partition(": ")[2] for finding in fleet.findings(at_once=2)} == {
        "the server closed the connection in the middle of the handshake; see its error log"
    }
    assert server.connections == 4 and not server.others


@pytest.fixture
def many_open_files():
    """Hold more files open than a survey ever opens."""
    with contextlib.ExitStack() as stack:
        for _number in range(300):
            stack.enter_context(open(os.devnull, "rb"))
        yield


@pytest.mark.usefixtures("many_open_files")
def test_no_more_handshakes_are_made_at_once_than_files_may_still_be_opened(start, fleet, monkeypatch):
    monkeypatch.setattr(handshake, "HANDSHAKE_TIMEOUT_S", 60.0)  # the server answers one after the other
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    port = start().present(CHAIN).port
    for number in range(200):
        fleet.add(f"web{number}", port)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 60, hard))
    try:
        findings = fleet.findings()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {(finding.state, finding.reason) for finding in findings} == {("fine", "")}
    assert len(findings) == 200


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        (
            {"certificate_requests": [{"name": "www", "domain": [NAME]}]},
            "there is no certificate_requests.domain (did you mean domains?); missing required arguments: domains found in",
        ),
        (
            {"certificate_requests": [{"name": "www", "domains": [NAME], "type": "DSA"}]},
            (
                "value of type must be one of: RSA, ECC, Ed25519, got: DSA found in certificate_requests; "
                "correct the inventory"
            ),
        ),
        (
            {"certificate_requests": ["www"]},
            "Elements value for option 'certificate_requests' is of type str and we were unable to convert to dict; write a dictionary, as in",
        ),
        ({"certificate_requests": {"www": [NAME]}}, "argument 'certificate_requests' is of type dict"),
        ({"certificate_requests": 443}, "Value '443' in the sub parameter field 'certificate_requests'"),
        (
            {"certificate_requests": [{"name": "www", "domains": ["www..example.org"]}]},
            (
                "certificate request www: 'www..example.org' is not a DNS name: a part between its dots is empty; "
                "correct it"
            ),
        ),
        (
            {"certificate_requests": [{"name": "www", "domains": []}]},
            "certificate request www: the list of domains is empty; name at least one DNS name or IP address",
        ),
        (
            {"certificate_requests": [{"name": "../www", "domains": [NAME]}]},
            "'../www' cannot name a request, since it names a folder on the host",
        ),
        (
            {"certificate_requests": [{"name": "www", "domains": [name]} for name in (NAME, "b.example.org")]},
            "two certificate requests are named www; give each request of a host a name of its own",
        ),
        (
            {"certificate_requests": [{"name": "www", "domains": [NAME], "issuer": "corprate"}]},
            "there is no issuer named corprate, only local; add it to certificate_issuers or correct the request",
        ),
        ({"certificate_issuers": ["local"]}, "argument 'certificate_issuers' is of type list"),
        ({"certificate_endpoint": "192.0.2.1:https"}, "'192.0.2.1:https' is no address; write certificate_endpoint as"),
        (
            {"certificate_verify_from": "host"},
            "it cannot be seen from here, as certificate_verify_from says; renew looks at it on the host itself",
        ),
    ],
)
def test_a_host_whose_inventory_makes_no_sense_is_one_finding_and_the_others_are_seen(start, fleet, variables, reason):
    fleet.add("bad", 443, variables=variables).add("good", start().present(CHAIN).port)
    bad, good = fleet.findings()
    assert bad.reason.startswith(reason)
    assert bad == Finding("bad", "unknown", bad.reason, bad.request)
    assert bad.request in ("", *(one["name"] for one in requests_of(fleet.hosts["bad"])))
    assert good.state == "fine"


def requests_of(variables):
    """Return the requests of a host that are dictionaries."""
    requests = variables["certificate_requests"]
    return [one for one in requests if isinstance(one, dict)] if isinstance(requests, list) else []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"name": "bad", "domains": [NAME], "issuer": "corprate"}, "there is no issuer named corprate"),
        (
            {"name": "bad", "domains": ["www..example.org"]},
            "certificate request bad: 'www..example.org' is not a DNS name",
        ),
        ({"name": "bad", "domains": [NAME], "type": "DSA"}, "value of type must be one of: RSA, ECC, Ed25519"),
        ({"name": "bad", "domains": [NAME], "issuer": "broken"}, "roots: /nowhere/root.pem does not exist"),
        (
            {"name": "bad", "domains": [NAME], "issuer": "odd"},
            "it ended in an error that is not foreseen (KeyError: 'odd'); ",
        ),
    ],
)
def test_a_request_that_makes_no_sense_hides_no_other_of_its_host(start, fleet, monkeypatch, bad, reason):
    def odd_issuer(name, issuers):
        if name == "odd":
            raise KeyError(name)
        return open_issuer(name, issuers)

    monkeypatch.setattr(open_issuers, "open_issuer", odd_issuer)
    port = start().present(CHAIN).port
    fleet.add("web1", port)
    fleet.hosts["web1"]["certificate_requests"].insert(0, bad)
    fleet.hosts["web1"]["certificate_issuers"]["broken"] = {"type": "manual", "roots": "/nowhere/root.pem"}
    found, fine = fleet.findings()
    assert (found.state, found.request, found.host) == ("unknown", "bad", "web1")
    assert found.reason.startswith(reason)
    assert (fine.state, fine.request) == ("fine", "www")
    assert "web1  bad " in findings_table([found, fine], 200, 100)


def test_a_certificate_with_a_date_that_there_is_not_hides_no_other_endpoint(start, fleet):
    odd_pem = pem_valid_until(ISSUING, YEAR_ZERO, [NAME], KEY)
    fleet.add("odd", start().present_pem(odd_pem).port).add("web1", start().present(CHAIN).port)
    odd, fine = fleet.findings()
    assert odd.state == "unknown"
    assert odd.reason.endswith(": the certificate that is presented cannot be read; replace it")
    assert odd.reason.startswith(f"{NAME} at 127.0.0.1 port ")
    assert (fine.host, fine.state) == ("web1", "fine")


@pytest.mark.parametrize("error", [KeyError("k"), RecursionError("deep"), x509.InvalidVersion("v", 7), MemoryError()])
@pytest.mark.parametrize("broken", ["handshake", "why_replace", "describe_chain", "advice"])
def test_whatever_a_look_raises_is_a_finding_of_that_look(start, fleet, monkeypatch, broken, error):
    work = getattr(survey, broken)

    def break_first(*arguments, **more):
        if not broken_once:
            broken_once.append(True)
            raise error
        return work(*arguments, **more)

    broken_once, shown = [], []
    monkeypatch.setattr(survey, broken, break_first)
    monkeypatch.setattr(boundary.display, "vvv", shown.append)
    port = start().present(CHAIN).port
    fleet.add("web1", port).add("web2", port)
    first, second = fleet.findings(at_once=1)
    assert (first.state, second.state) == ("unknown", "fine")
    assert first.reason.startswith(f"it ended in an error that is not foreseen ({type(error).__name__}")
    assert first.reason.endswith("; run this again with -vvv, and report what that shows")
    assert len(shown) == 1 and "break_first" in shown[0]


def test_roots_that_cannot_be_read_are_a_finding(fleet):
    (fleet.folder / "root.pem").unlink()
    (fleet.folder / "root.pem").mkdir()
    assert fleet.add("web1", 443).finding() == Finding(
        "web1",
        "unknown",
        f"{fleet.folder}/root.pem: Is a directory; move away the folder that stands in the place of a file "
        "and run this again",
        "www",
    )


def test_variables_that_make_no_sense_to_ansible_are_a_finding(tmp_path):
    (tmp_path / "inventory.yml").write_text(f"""
web:
  vars:
    ansible_host: 127.0.0.1
    certificate_requests: [{{name: www, domains: ["{{{{ domain }}}}"], port: {closed_port()}}}]
  hosts:
    bad:
    worse: {{domain: www.example.org, certificate_endpoint: "{{{{ address }}}}"}}
    good: {{domain: www.example.org}}
""")
    loader = DataLoader()
    inventory = InventoryManager(loader, [str(tmp_path / "inventory.yml")])
    variables = HostVars(inventory, VariableManager(loader, inventory), loader)
    bad, good, worse = survey_hosts(["bad", "worse", "good"], variables.__getitem__, lambda what, done, total: None)
    assert good.reason.endswith("nothing listens there; start nginx with a site on that port")
    for host, finding, name in (("bad", bad, "domain"), ("worse", worse, "address")):
        assert finding == Finding(host, "unknown", finding.reason, refused=True)
        assert f"'{name}' is undefined" in finding.reason
        assert finding.reason.startswith("its variables cannot be read: ")
        assert finding.reason.endswith("; correct the inventory") and "\n" not in finding.reason


def test_a_host_whose_variables_cannot_be_read_keeps_no_other_from_being_renewed(start, fleet):
    """It would fail in a wave, and a wave of which nothing succeeds ends a run."""

    class Undecryptable(dict):
        def get(self, *_arguments):
            raise AnsibleError("Decryption failed (no vault secrets were found that could decrypt).")

    served = start().present(ISSUING.chain([NAME], KEY, days=(-90, 3))).port
    findings = fleet.add("due", served).findings()
    variables = {"due": {}, "sealed": Undecryptable()}
    findings += survey_hosts(["due", "sealed"], variables.__getitem__, lambda what, done, total: None)
    reason = "its variables cannot be read: Decryption failed (no vault secrets were found that could decrypt); correct the inventory"
    assert [finding.reason for finding in findings if finding.host == "sealed"] == [reason]
    assert renewal_order(findings, "seed") == ["due"]
    assert refused_requests(findings) == {}


@pytest.mark.parametrize("variables", [{"certificate_requests": []}, {"certificate_requests": None}])
def test_a_host_without_requests_has_nothing_to_serve(fleet, variables):
    assert fleet.add("web1", 443, variables={**variables, "certificate_force": True}).findings(inspect=True) == []
    assert fleet.add("web2", 443, variables={**variables, "certificate_verify_from": "host"}).findings() == []


def test_a_host_without_any_variables_has_nothing_to_serve():
    assert survey_hosts(["web1"], {"web1": {}}.__getitem__, lambda what, done, total: None) == []


@pytest.mark.parametrize(
    ("options", "force", "reasons"),
    [
        ({}, False, [""]),
        ({}, "no", [""]),
        ({}, True, ["certificate_force is set", ""]),
        ({}, "yes", ["certificate_force is set", ""]),
        ({"inspect": True}, False, ["its disk is inspected", ""]),
        ({"inspect": True}, True, ["its disk is inspected", ""]),
    ],
)
def test_a_host_that_is_forced_or_inspected_has_something_due(start, fleet, options, force, reasons):
    findings = fleet.add("web1", start().present(CHAIN).port, variables={"certificate_force": force}).findings(
        **options
    )
    assert [finding.reason for finding in findings] == reasons
    assert [finding.state for finding in findings] == ["due", "fine"][-len(reasons) :]


def test_the_worst_comes_first(start, fleet):
    def serve(days):
        return start().present(ISSUING.chain([NAME], KEY, days=days)).port

    fleet.add("long", serve((-1, 90))).add("short", serve((-1, 80)))
    fleet.add("due-later", serve((-90, 9))).add("due-soon", serve((-90, 3)))
    fleet.add("b-closed", closed_port()).add("a-closed", closed_port())
    fleet.add("expired", serve((-90, -1))).add("long-expired", serve((-90, -9)))
    assert [finding.host for finding in fleet.findings()] == [
        *("long-expired", "expired", "a-closed", "b-closed", "due-soon", "due-later", "short", "long")
    ]


def test_progress_is_called_for_each_host_and_each_endpoint(start, fleet):
    fleet.add("web1", start().present(CHAIN).port).add("web2", closed_port()).add("web3", 443, type="DSA")
    calls = []
    fleet.findings(progress=lambda *call: calls.append(call))
    read, checked = "hosts whose variables are read", "endpoints looked at"
    assert calls == [(read, 1, 3), (read, 2, 3), (read, 3, 3), (checked, 1, 2), (checked, 2, 2)]


def test_hosts_that_answered_are_renewed_first_in_an_order_that_the_seed_decides():
    findings = [Finding(f"web{number}", "due", "certificate_force is set") for number in range(9)]
    findings += [Finding("silent", "unknown", "no answer"), Finding("silent", "due", "certificate_force is set")]
    findings += [Finding("fine", "fine", ""), Finding("web3", "fine", "")]
    first = renewal_order(findings, "2026-11-21")
    assert first == renewal_order(list(reversed(findings)), "2026-11-21")
    assert sorted(first[:9]) == [f"web{number}" for number in range(9)]
    assert first[9:] == ["silent"]
    assert len({renewal_order(findings, f"2026-11-{day}")[0] for day in range(10, 31)}) > 3


def test_a_seed_holds_for_four_hours():
    morning = datetime.datetime(2026, 11, 21, 8, 0, tzinfo=datetime.timezone.utc)
    seeds = [shuffle_seed(morning + datetime.timedelta(hours=hours)) for hours in (0, 3.9, 4, 24)]
    assert seeds == ["2026-11-21/2", "2026-11-21/2", "2026-11-21/3", "2026-11-22/2"]


def test_control_characters_of_a_certificate_are_escaped(start, fleet):
    chain = [*CHAIN[:1], Authority("Evil\x1b[2J\nweb9  fine", above=ROOT).certificate]
    findings = fleet.add("web1", start().present(chain).port).findings()
    header, row, total = findings_table(findings, 200, 6).split("\n")
    assert row.endswith(
        "Evil?[2J?web9  fine did not sign the certificate before it; order the chain leaf first, without strangers"
    )
    assert (header.split()[0], total) == ("host", "1 endpoint of 1 host: 1 due")


def test_what_the_issuer_says_of_its_requests_is_what_has_to_be_served():
    variables = {
        "certificate_issuers": {"bought": {"type": "manual", "may_add": ["www"]}},
        "certificate_requests": [{"name": "www", "domains": ["example.org"], "issuer": "bought"}],
    }
    ((endpoint,), _faults) = endpoints_of_host("web1", variables, {})
    request = endpoint.request
    assert (request["type"], request["size"], request["renew_before"]) == ("RSA", 2048, "0.500000")
    assert request["allowed_domains"] == ["www.example.org"]


def behind_load_balancer(server, connection):
    """Read a header of the PROXY protocol, version 1, before the handshake."""
    header = b""
    while not header.endswith(b"\r\n"):
        header += connection.recv(1) or b"\r\n"
        if len(header) > 107:  # the longest one
            return
    if re.fullmatch(rb"PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n", header):
        servers.handshake(server, connection)


def test_a_site_that_speaks_the_proxy_protocol_is_looked_at_with_its_header(start, fleet):
    port = start(behind_load_balancer).present(CHAIN).port

    def state(**site):
        return fleet.add("web1", port, variables={"nginx_sites": [{"name": "www", **site}]}).finding().state

    assert state(https_port=port, proxy_protocol=True) == "fine"
    assert state(https_port=str(port), proxy_protocol="yes") == "fine"
    assert state(https_port=port) == "unknown"
    assert state(proxy_protocol=True) == "unknown"  # at port 443
    sites = {"nginx_sites": [{"name": "www", "https_port": port, "proxy_protocol": True}]}
    fleet.add(
        "web1", port, variables={**sites, "certificate_endpoint": "127.0.0.1"}
    )  # a load balancer sends the header
    assert fleet.finding().state == "unknown"


class Broken(dict):
    """Variables of a host of which one cannot be evaluated."""

    def get(self, name, default=None):
        if name == "nginx_sites":
            raise AnsibleError("'domain' is undefined")
        return super().get(name, default)


@pytest.mark.parametrize("sites", ["text", 7, [7], [{"proxy_protocol": True, "https_port": "x"}]])
def test_sites_that_make_no_sense_hide_no_endpoint(start, fleet, sites):
    port = start().present(CHAIN).port
    assert fleet.add("web1", port, variables={"nginx_sites": sites}).finding().state == "fine"
    fleet.hosts["web1"] = Broken(fleet.hosts["web1"])
    assert fleet.finding().state == "fine"
