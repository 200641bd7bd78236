# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules on a host, each run as a program of its own, from a first request to the removal of it all."""

from __future__ import annotations

import datetime
import json
import os
import re
import stat
import subprocess
import sys

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr, requested_names
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import load_key
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.certificate_info import describe_installed
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

MODULES = "ansible_collections.evergreen.tls.plugins.modules"
NAMES = ["www.example.org", "example.org"]
ROOT = Authority("Module Root CA")
ISSUING = Authority("Module Issuing CA", above=ROOT)
ROOTS = ROOT.pem.decode()
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": "ignore"}

# Runs modules as programs, each in a process of its own that already has what takes long to import.
RUNNER = f"""
import atexit, gc, json, os, runpy, sys, traceback
from ansible.module_utils import basic
from {MODULES} import certificate_info, certificate_install, certificate_request
gc.freeze()
for line in sys.stdin:
    name, arguments, output = json.loads(line)
    process = os.fork()
    if not process:
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
        os.dup2(1, 2)
        basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = json.dumps(arguments).encode(), "legacy"
        sys.argv = [name]
        del sys.modules["{MODULES}." + name]
        status = 1
        try:
            runpy.run_module("{MODULES}." + name, run_name="__main__")
            status = 0
        except SystemExit as ended:
            status = ended.code or 0
        except BaseException:
            traceback.print_exc()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(status)  # to tidy up all that was imported takes longer than everything before
    print(os.waitpid(process, 0)[1] >> 8, flush=True)
"""


@pytest.fixture(scope="module")
def runner():
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT, cwd="/"
    ) as process:
        yield process


class Host:
    """A host with a folder for certificates, on which modules run."""

    def __init__(self, folder, runner):
        self.runner = runner
        self.output = folder / "output"
        self.directory = folder / "evergreen"
        self.path = self.directory / "web"

    def run(self, module, check=False, **arguments):
        """Return what a module answers. It is one line of JSON, whatever happens, and never holds a key."""
        internal = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_remote_tmp": str(self.directory)}
        arguments = {"directory": str(self.directory), **arguments, **internal}
        job = [module, {"ANSIBLE_MODULE_ARGS": arguments}, str(self.output)]
        self.runner.stdin.write(json.dumps(job).encode() + b"\n")
        self.runner.stdin.flush()
        status = int(self.runner.stdout.readline())
        output = self.output.read_text()
        assert "Traceback" not in output and "PRIVATE KEY" not in output
        answer = json.loads(output)
        assert status == int(bool(answer.get("failed")))
        answer.pop("invocation", None)
        if module == "certificate_request" and not answer.get("failed"):  # for the controller, which compares clocks
            told = datetime.datetime.fromisoformat(answer.pop("now"))
            assert (
                datetime.timedelta()
                <= datetime.datetime.now(datetime.timezone.utc) - told
                < datetime.timedelta(hours=1)
            )
        return answer

    def ask(self, check=False, roots=ROOTS, force=False, passphrase=None, **request):
        """Run certificate_request."""
        arguments = {"request": wanted(**request), "roots": roots, "force": force, "passphrase": passphrase}
        return self.run("certificate_request", check, host="web1", **arguments)

    def in_use(self):
        """Return the fingerprint of the certificate that is in use, as openssl tells it."""
        return fingerprint_of(self.directory / "web/current/cert.pem")

    def install(self, chain=None, check=False, roots=ROOTS, state="present", **request):
        """Run certificate_install."""
        chain = to_pem(chain).decode() if chain else None
        arguments = {"request": wanted(**request), "chain": chain, "roots": roots, "state": state}
        return self.run("certificate_install", check, **arguments)

    def info(self, **arguments):
        """Run certificate_info, and describe what it tells."""
        told = self.run("certificate_info", **arguments)
        return told if told.get("failed") else describe_installed(told)

    def renew(self, days=(-1, 90), authority=ISSUING, **request):
        """Have a new certificate requested, issued and installed; return what the last step answered."""
        csr = load_csr(self.ask(force=self.path.exists(), **request)["csr"].encode())
        chain = authority.leaf(request.get("domains", NAMES), PublicKey(csr), days=days)
        request.pop("passphrase", None)
        return self.install([chain, authority.certificate], **request)

    def picture(self):
        """Return all that there is, with contents and modes, to compare with later."""
        picture = {}
        for folder, folders, files in os.walk(self.directory):
            for name in [*folders, *files]:
                path = os.path.join(folder, name)
                found = os.lstat(path)
                content = os.readlink(path) if stat.S_ISLNK(found.st_mode) else None
                if stat.S_ISREG(found.st_mode):
                    with open(path, "rb") as stream:
                        content = stream.read()
                picture[path] = (found.st_ino, stat.S_IMODE(found.st_mode), content)
        return picture


def fingerprint_of(path):
    """Return the fingerprint of the first certificate in a file, as openssl tells it."""
    argv = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", path]
    printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return printed.strip().partition("=")[2].replace(":", "").lower()


class PublicKey:
    """The key of a signing request, for an authority that only asks for its public part."""

    def __init__(self, csr):
        self.csr = csr

    def public_key(self):
        return self.csr.public_key()


def wanted(**changes):
    return {"name": "web", "domains": NAMES, **changes}


def signed(answer, authority=ISSUING, names=tuple(NAMES), **options):
    """Return the chain that an authority issues for the signing request in an answer."""
    key = PublicKey(load_csr(answer["csr"].encode()))
    return [authority.leaf(names, key, **options), authority.certificate]


@pytest.fixture
def host(tmp_path, runner):
    return Host(tmp_path, runner)


def test_a_certificate_is_requested_installed_and_then_not_due(host):
    asked = host.ask()
    assert (asked["changed"], asked["due"], asked["reason"]) == (True, True, "there is no certificate yet")
    assert requested_names(load_csr(asked["csr"].encode())) == set(NAMES)
    assert asked["diff"] == {"before": "", "after": "due: there is no certificate yet\n"}

    chain = signed(asked)
    installed = host.install(chain)
    assert (installed["changed"], installed["version"], installed["pruned"]) == (True, "v0001", [])
    assert installed["msg"] == "v0001 of web is in use"
    assert installed["certificate"]["names"] == sorted(NAMES)
    assert installed["diff"]["before"] == ""
    assert "issuer: Module Issuing CA\n" in installed["diff"]["after"]
    assert (host.path / "current/fullchain.pem").read_bytes() == to_pem(chain)

    before = host.picture()
    assert host.ask() == {"changed": False, "due": False, "fingerprint": host.in_use()}
    again = host.install(chain)
    assert (again["changed"], again["msg"], again["version"]) == (False, "web is in use", "v0001")
    assert "diff" not in again
    assert host.install()["changed"] is False
    assert host.picture() == before


def test_of_two_runs_at_once_the_second_leaves_what_the_first_installed(host):
    asked, again = host.ask(), host.ask()
    assert asked["csr"] == again["csr"]
    host.install(signed(asked))
    before = host.picture()
    second = host.install(signed(again))
    assert (second["changed"], second["msg"], second["version"]) == (False, "web is in use", "v0001")
    assert host.picture() == before


def test_check_mode_says_it_all_and_writes_nothing(host):
    asked = host.ask(check=True)
    assert (asked["changed"], asked["due"], asked["reason"]) == (True, True, "there is no certificate yet")
    assert "csr" not in asked
    installed = host.install(check=True)
    assert (installed["changed"], installed["msg"]) == (
        True,
        f"would install the certificate of www.example.org, example.org at {host.path}",
    )
    assert host.install(check=True, state="absent")["changed"] is False
    assert host.info() == {"changed": False, "certificates": []}
    assert not host.directory.exists()

    waiting = host.ask()
    chain = signed(waiting)
    before = host.picture()
    asked = host.ask(check=True)
    assert (asked["due"], asked["changed"], asked["csr"]) == (True, False, waiting["csr"])
    installed = host.install(chain, check=True)
    assert (installed["changed"], installed["msg"]) == (True, "would put a new version of web in use")
    assert "common_name: www.example.org\n" in installed["diff"]["after"]
    installed = host.install(check=True)
    assert installed["msg"] == "would install the certificate that the issuer returns"
    assert host.picture() == before

    host.install(chain)
    host.renew()
    before = host.picture()
    assert host.ask(check=True, force=True)["reason"] == "certificate_force is set"
    assert host.install(check=True, state="previous")["msg"] == "v0001 of web is in use again"
    assert host.install(check=True, state="absent")["msg"] == f"{host.path} is removed"
    assert host.picture() == before


def test_a_request_that_waits_is_kept_as_long_as_it_fits(host):
    asked = host.ask()
    before = host.picture()
    again = host.ask()
    assert (again["changed"], again["csr"]) == (False, asked["csr"])
    assert host.picture() == before
    for changes in (
        {"domains": [*NAMES, "new.example.org"]},
        {"type": "Ed25519"},
        {"type": "ECC", "organization_name": "Beispiel AG"},
        {"issuer": "corporate"},
    ):
        other = host.ask(**changes)
        assert other["changed"] and other["csr"] != asked["csr"]
        assert host.ask(**changes)["csr"] == other["csr"]
    assert sorted(os.listdir(host.path)) == ["lock", "next"]


def waits_for(host, days):
    """Have the request that waits do so for some days already."""
    since = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - datetime.timedelta(days=days)
    os.utime(host.path / "next/request.csr", (since.timestamp(), since.timestamp()))
    return since.isoformat()


def test_a_request_waits_for_days_whatever_else_the_inventory_says(host, tmp_path):
    asked = host.ask()
    since = waits_for(host, 80)
    for changes in (
        {},
        {"lifetime": "47d", "renew_before": "0.5", "keep": 9, "port": 8443, "validate": "true", "reuse_key": True},
        {"links": {str(tmp_path / "server.pem"): "cert.pem"}, "allowed_domains": ["example.net"]},
        {"domains": NAMES[::-1], "common_name": NAMES[0]},
    ):
        again = host.ask(**changes)
        assert (again["changed"], again["csr"], again["since"]) == (False, asked["csr"], since)
        assert host.ask(check=True, **changes)["csr"] == asked["csr"]


def test_a_request_that_waited_too_long_is_made_anew(host):
    asked = host.ask()
    waits_for(host, 80)
    arguments = {"request": wanted(), "roots": ROOTS, "host": "web1"}
    assert host.run("certificate_request", patience=81 * 86400, **arguments)["csr"] == asked["csr"]
    again = host.run("certificate_request", patience=79 * 86400, **arguments)
    assert again["changed"] and again["csr"] != asked["csr"]


def test_a_challenge_password_is_asked_for_and_a_new_one_asked_for_anew(host):
    asked = host.ask(challenge_password="correct horse")
    assert host.ask(challenge_password="correct horse")["csr"] == asked["csr"]
    assert host.ask(challenge_password="battery")["changed"] and host.ask()["changed"]


def test_a_request_that_nobody_wants_any_longer_is_taken_back(host):
    host.renew()
    host.ask(domains=[*NAMES, "new.example.org"])
    before = host.picture()
    for check in (True, False):
        assert host.picture() == before
        again = host.ask(check=check)
        assert (again["changed"], again["due"], again["msg"]) == (
            True,
            False,
            "the request for a certificate of web is withdrawn",
        )
        assert "since" not in again
    assert not (host.path / "next").exists()
    assert host.ask()["changed"] is False


def test_a_renewal_by_force_may_wait_although_nothing_is_due(host):
    host.renew()
    forced = host.ask(force=True)
    since = waits_for(host, 5)
    again = host.ask()
    assert (again["changed"], again["due"], again["since"]) == (False, False, since)
    assert host.ask(force=True)["csr"] == forced["csr"]
    assert host.install(signed(forced))["version"] == "v0002"


def test_what_waits_is_withdrawn_for_its_own_issuer_alone(host):
    host.ask(issuer="corporate")
    arguments = {"request": wanted(), "withdraw": True}
    assert host.run("certificate_request", **arguments)["changed"] is False
    arguments["request"]["issuer"] = "corporate"
    assert host.run("certificate_request", check=True, **arguments)["changed"]
    assert (host.path / "next").exists()
    assert host.run("certificate_request", **arguments)["changed"]
    assert not (host.path / "next").exists()
    again = host.run("certificate_request", **arguments)
    assert (again["changed"], again["due"], again["msg"]) == (False, False, "nothing waits for a certificate of web")


def test_what_is_in_use_meanwhile_is_told_with_its_names_and_dates(host):
    assert host.ask()["in_use"] is None
    host.renew(days=(-80, 10))
    asked = host.ask()
    assert asked["in_use"] == host.in_use()
    assert asked["valid"]["names"] == sorted(NAMES)
    assert asked["valid"]["not_before"] < asked["since"] < asked["valid"]["not_after"]


@pytest.mark.parametrize("name", ["privkey.pem", "request.csr", "issuer"])
@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_a_request_that_waits_broken_is_made_anew(host, name, content):
    asked = host.ask()
    (host.path / "next" / name).unlink()
    if content is not None:
        (host.path / "next" / name).write_bytes(content)
        (host.path / "next" / name).chmod(0o600)
    again = host.ask()
    assert again["changed"] and again["csr"] != asked["csr"]


def test_a_key_that_waits_open_to_others_is_made_anew(host):
    asked = host.ask()
    (host.path / "next/privkey.pem").chmod(0o644)
    again = host.ask()
    assert again["changed"] and again["csr"] != asked["csr"]
    assert stat.S_IMODE((host.path / "next/privkey.pem").stat().st_mode) == 0o600


def test_a_key_in_use_that_is_open_to_others_fails_until_force_replaces_it(host):
    host.renew()
    path = host.path / "current/privkey.pem"
    path.chmod(0o644)
    asked = host.ask()
    assert asked["failed"] and asked["msg"].startswith(
        f"{host.path}/v0001/privkey.pem can be read by others (mode 0644)"
    )
    chain = signed(host.ask(force=True))
    assert host.install(chain)["version"] == "v0002"
    assert host.ask()["due"] is False


@pytest.mark.parametrize("in_use", ["next", "v0001"])
def test_what_a_killed_run_left_ready_is_finished_and_not_issued_again(host, in_use):
    chain = signed(host.ask())
    host.install(chain)
    (host.path / "current").unlink()
    if in_use == "next":
        (host.path / "v0001").rename(host.path / "next")
    asked = host.ask()
    assert (asked["changed"], asked["due"], asked["ready"]) == (False, True, in_use)
    assert "csr" not in asked
    installed = host.install()
    assert (installed["changed"], installed["version"]) == (True, "v0001")
    assert host.ask() == {"changed": False, "due": False, "fingerprint": host.in_use()}


def test_what_a_killed_run_left_half_made_is_swept_away(host):
    host.renew()
    (host.path / ".next.0badcafe").mkdir()
    (host.path / ".next.0badcafe/privkey.pem").write_bytes(b"")
    host.ask(force=True)
    assert sorted(os.listdir(host.path)) == ["current", "lock", "next", "v0001"]


def public_key(host, version="current"):
    return load_key((host.path / version / "privkey.pem").read_bytes()).public_key().public_numbers()


def test_a_renewal_has_a_new_key_unless_the_old_one_is_to_be_kept(host):
    host.renew()
    host.renew()
    assert public_key(host, "v0001") != public_key(host, "v0002")
    host.renew(reuse_key=True)
    assert public_key(host, "v0003") == public_key(host, "v0002")
    host.renew(reuse_key=True, curve="secp384r1")
    assert public_key(host, "v0004").curve.name == "secp384r1"


def test_a_request_with_the_key_in_use_is_not_the_one_for_a_new_key(host):
    host.renew()
    kept = host.ask(force=True, reuse_key=True)
    assert host.ask(force=True, reuse_key=True)["csr"] == kept["csr"]
    assert host.ask(force=True)["csr"] != kept["csr"]
    host.renew()
    assert public_key(host, "v0001") != public_key(host, "v0002")


def test_a_key_that_cannot_be_read_is_not_kept(host):
    host.renew()
    (host.path / "current/privkey.pem").write_bytes(b"garbage")
    assert host.renew(reuse_key=True)["version"] == "v0002"


def test_a_key_that_others_could_read_is_not_kept(host):
    host.renew()
    (host.path / "current/privkey.pem").chmod(0o644)
    host.renew(reuse_key=True)
    assert public_key(host, "v0001") != public_key(host, "v0002")


def test_force_makes_it_due_whatever_its_state_is(host):
    host.renew()
    asked = host.ask(force=True)
    assert (asked["changed"], asked["due"], asked["reason"]) == (True, True, "certificate_force is set")
    again = host.ask(force=True)
    assert (again["changed"], again["csr"]) == (False, asked["csr"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"domains": [*NAMES, "new.example.org"]},
            "the certificate does not cover new.example.org; have it issued for ",
        ),
        ({"domains": NAMES[:1]}, "the certificate covers example.org, which nobody asked for; have it issued for "),
        ({"type": "RSA"}, "its key is ECC secp256r1, and RSA 2048 is wanted"),
        ({"issuer": "corporate"}, "it was issued by local, and corporate is wanted"),
        ({"renew_before": "0.99"}, "it expires on "),
        (
            {"roots": Authority("Another").pem.decode()},
            "the chain ends at Module Root CA, which is not a root of the issuer",
        ),
    ],
)
def test_a_certificate_is_due_for_a_reason(host, changes, reason):
    host.renew()
    asked = host.ask(**changes)
    assert asked["due"] and asked["reason"].startswith(reason)
    assert "csr" in asked and "ready" not in asked


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"name": "../web"}, "'../web' cannot name a request, since it names a folder on the host; use letters"),
        ({"type": "DSA"}, "value of type must be one of: RSA, ECC, Ed25519, got: DSA found in request"),
        ({"domain": "a.example"}, "Unsupported parameters for "),
    ],
)
@pytest.mark.parametrize("module", ["certificate_request", "certificate_install"])
def test_a_request_that_makes_no_sense_fails_with_one_sentence_and_changes_nothing(host, module, request_, sentence):
    answer = host.run(module, request=wanted(**request_))
    assert answer["failed"] and answer["msg"].startswith(sentence)
    assert not host.directory.exists()


def test_roots_that_cannot_be_read_fail(host):
    host.ask()
    assert host.ask(roots="garbage")["failed"]
    assert host.install(roots="garbage")["failed"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda asked: signed(asked, names=["other.example"]),
            "the certificate does not cover example.org, www.example",
        ),
        (lambda asked: signed(asked, days=(-9, -1)), "the certificate expired on "),
        (lambda asked: signed(asked, days=(1, 9)), "the certificate is valid only from "),
        (lambda asked: signed(asked, is_authority=True), "the certificate is one of a CA, not of a server; have it"),
        (lambda asked: signed(asked)[::-1], "the certificate belongs to another private key; have the request of"),
        (lambda asked: signed(asked)[:1], "the chain ends at Module Issuing CA, which is not a root of the issuer ("),
        (
            lambda asked: [*signed(asked)[:1], ROOT.certificate],
            "Module Root CA did not sign the certificate before it;",
        ),
        (lambda asked: signed(asked, Authority("Stranger")), "the chain ends at Stranger, which is not a root of"),
    ],
)
def test_a_chain_that_does_not_do_is_refused_and_changes_nothing(host, make, sentence):
    host.renew()
    chain = make(host.ask(force=True))
    before = host.picture()
    for check in (True, False):
        answer = host.install(chain, check=check)
        assert answer["failed"] and answer["msg"].startswith(f"the chain for web is refused: {sentence}")
    assert host.picture() == before


@pytest.mark.parametrize("chain", ["garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_chain_is_refused(host, chain):
    host.ask()
    before = host.picture()
    answer = host.run("certificate_install", request=wanted(), chain=chain)
    assert answer["failed"] and answer["msg"].endswith("; have it issued again")
    assert host.picture() == before


def test_installing_needs_a_request_before(host):
    chain = ISSUING.chain(NAMES, Authority().key)
    answer = host.install(chain)
    assert answer["failed"] and answer["msg"] == (
        f"{host.path} does not exist; request the certificate on this host first, with certificate_request"
    )
    host.renew()
    answer = host.install(chain)
    assert answer["failed"] and answer["msg"] == (
        f"no key is waiting in {host.path}/next; request the certificate on this host first, with certificate_request"
    )


def test_installing_needs_a_chain(host):
    host.ask()
    answer = host.install()
    assert answer["failed"] and answer["msg"] == (
        f"no certificate is ready in {host.path}; pass the chain that certificate_issue returned"
    )


def test_a_version_that_the_command_refuses_is_taken_back_and_kept(host, tmp_path):
    host.renew()
    script = tmp_path / "check"
    script.write_text(f"#!/bin/sh\nreadlink {host.path}/current\necho not that one >&2\nexit 1\n")
    script.chmod(0o755)
    answer = host.renew(validate=f"{script} a b")
    assert answer["failed"]
    assert answer["msg"].startswith(
        f"v0002 of web was refused by '{script} a b', and v0001 is in use as before: v0002\nnot that one; "
    )
    assert os.readlink(host.path / "current") == "v0001"
    asked = host.ask(domains=NAMES, renew_before="0.99")
    assert asked["due"]
    installed = host.install()
    assert (installed["changed"], installed["version"]) == (True, "v0002")


KILLED = "sh -c 'kill -KILL $PPID'"


def test_a_version_whose_trial_was_killed_is_tried_again_and_taken_back_when_it_is_refused(host, tmp_path):
    """Else nginx would go on with what it has, and would not start any more."""
    link = tmp_path / "server.pem"
    link.symlink_to("old.pem")
    links = {str(link): "fullchain.pem"}
    host.renew()
    with pytest.raises(ValueError):  # there is no answer
        host.renew(validate=KILLED, links=links)
    assert os.readlink(host.path / "current") == "v0002"
    asked = host.ask(validate="false", links=links)
    assert (asked["due"], asked["ready"]) == (False, "v0002")
    answer = host.install(validate="false", links=links)
    assert answer["failed"] and answer["msg"].startswith(
        "v0002 of web was refused by 'false', and v0001 is in use as before: exit status 1; "
    )
    assert os.readlink(host.path / "current") == "v0001"
    assert os.readlink(link) == "old.pem"
    assert not (host.path / "trial").exists()


def test_a_version_whose_trial_was_killed_stays_when_it_is_not_refused(host):
    host.renew()
    with pytest.raises(ValueError):
        host.renew(validate=KILLED)
    assert host.install(check=True, validate="true")["changed"]
    assert host.install(validate="true")["changed"]
    assert os.readlink(host.path / "current") == "v0002"
    assert "ready" not in host.ask(validate="true")
    assert host.install(validate="true")["changed"] is False


@pytest.mark.parametrize(
    "content", ["", "garbage", "[]", "[" * 100_000, '{"version": "v0002", "before": "v0001", "links": 3}']
)
def test_a_trial_that_cannot_be_read_gets_a_sentence(host, content):
    host.renew()
    host.renew()
    (host.path / "trial").write_text(content)
    answer = host.install(validate="false")
    assert answer["failed"] and answer["msg"] == (
        f"{host.path}/trial does not say which version was tried, and what was in use before; remove it and run this again"
    )
    assert os.readlink(host.path / "current") == "v0002"


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("false", "exit status 1"),
        ("/no/such/program -t", "/no/such/program: No such file or directory"),
        ("sh -c 'echo it is broken; exit 3'", "it is broken"),
    ],
)
def test_a_first_version_that_is_refused_is_in_use_nowhere(host, command, complaint):
    answer = host.renew(validate=command)
    assert answer["failed"]
    assert f"was refused by {command!r}, and nothing is in use as before: {complaint}; " in answer["msg"]
    assert not (host.path / "current").is_symlink()
    assert host.ask()["ready"] == "v0001"


def test_links_that_were_there_before_are_put_back_when_the_command_refuses(host, tmp_path):
    """Else a server that was moved here from elsewhere could not start any more."""
    (tmp_path / "old.pem").write_bytes(b"old")
    link, new = tmp_path / "server.pem", tmp_path / "server.key"
    link.symlink_to("old.pem")
    links = {str(link): "fullchain.pem", str(new): "privkey.pem"}
    assert host.renew(links=links, validate="false")["failed"]
    assert os.readlink(link) == "old.pem"
    assert not new.is_symlink()
    assert host.install(links=links, validate="true")["changed"]
    assert os.readlink(link) == f"{host.path}/current/fullchain.pem"
    assert host.renew(links=links, validate="false")["failed"]
    assert os.readlink(link) == f"{host.path}/current/fullchain.pem"


def test_links_and_attributes_of_the_key_are_settled_without_a_new_certificate(host, tmp_path):
    host.renew()
    link = tmp_path / "server.pem"
    changes = {"links": {str(link): "fullchain.pem"}, "mode": "0640"}
    assert host.ask(**changes) == {
        "changed": False,
        "due": False,
        "fingerprint": host.in_use(),
        "ready": "v0001",
    }
    tried = host.install(check=True, **changes)
    assert tried["changed"] and not link.exists()
    settled = host.install(**changes)
    assert settled["changed"]
    assert settled["msg"] == f"{link}, {host.path}/v0001/privkey.pem set right"
    assert link.resolve() == (host.path / "v0001/fullchain.pem").resolve()
    assert stat.S_IMODE((host.path / "v0001/privkey.pem").stat().st_mode) == 0o640
    assert host.ask(**changes) == {"changed": False, "due": False, "fingerprint": host.in_use()}
    assert host.install(**changes)["changed"] is False


def ask_and_install(host, path):
    """Return what certificate_request and certificate_install answer where a link is not possible: a CA is not asked, and nothing installed."""
    chain = signed(host.ask())
    links = {str(path): "fullchain.pem"}
    asked = host.ask(links=links)
    assert "csr" not in asked
    return asked, host.install(chain, links=links)


def test_a_link_takes_the_place_of_no_folder_and_of_nothing_among_the_certificates(host, tmp_path):
    folder = tmp_path / "folder"
    folder.symlink_to(tmp_path)
    for path, reason in (
        (folder, "leads to a folder; choose another path, or remove it"),
        (host.path / "current", "lies among the certificates themselves; choose a path outside"),
    ):
        for answer in ask_and_install(host, path):
            assert answer["failed"] and answer["msg"] == f"links: {path} {reason}"
    assert not (host.path / "current").is_symlink()


@pytest.mark.parametrize("change", ["file", "folder"])
def test_what_stands_in_the_place_of_a_link_stops_the_installation(host, tmp_path, change):
    path = tmp_path / "server.pem"
    if change == "file":
        path.write_bytes(b"kept")
    else:
        path.mkdir()
    for answer in ask_and_install(host, path):
        assert answer["failed"] and answer["msg"] == (
            f"links: {path} is there and is not a symbolic link; move it away and run this again"
        )
    assert not (host.path / "current").is_symlink()


def test_an_owner_that_is_not_there_stops_the_request(host):
    answer = host.ask(owner="nobody-of-that-name")
    assert answer["failed"] and answer["msg"] == (
        "owner: there is no user nobody-of-that-name on this host; create it or correct the request"
    )
    assert os.listdir(host.path) == ["lock"]


def test_earlier_versions_are_kept_as_far_as_the_request_says(host):
    pruned = [host.renew(keep=2)["pruned"] for _time in range(4)]
    assert pruned == [[], [], [], ["v0001"]]
    assert sorted(os.listdir(host.path)) == ["current", "lock", "v0002", "v0003", "v0004"]


def test_going_back_takes_the_newest_earlier_version_that_can_be_served(host):
    assert host.renew(days=(-9, 90))["version"] == "v0001"
    answer = host.install(state="previous")
    assert (answer["changed"], answer["msg"]) == (False, "web has no earlier version that could be served")
    host.renew()
    host.renew()
    (host.path / "v0002/privkey.pem").write_bytes(b"garbage")
    answer = host.install(state="previous")
    assert (answer["changed"], answer["version"], answer["msg"]) == (True, "v0001", "v0001 of web is in use again")
    assert host.install(state="previous")["changed"] is False


def test_going_back_needs_something_to_go_back_to(host):
    answer = host.install(state="previous")
    assert answer["failed"] and "request the certificate on this host first" in answer["msg"]


def test_removing_takes_keys_versions_and_links_away_and_is_done_once(host, tmp_path):
    link, foreign = tmp_path / "server.pem", tmp_path / "foreign.pem"
    links = {str(link): "fullchain.pem", str(foreign): "cert.pem"}
    host.renew(links=links)
    foreign.unlink()
    foreign.symlink_to("elsewhere")
    answer = host.install(state="absent", links=links, validate="true")
    assert (answer["changed"], answer["msg"]) == (True, f"{host.path} is removed")
    assert "common_name: www.example.org" in answer["diff"]["before"] and answer["diff"]["after"] == ""
    assert os.listdir(host.directory) == []
    assert not link.is_symlink() and os.readlink(foreign) == "elsewhere"
    answer = host.install(state="absent", links=links)
    assert (answer["changed"], answer["msg"]) == (False, f"there is nothing at {host.path}")


def test_what_the_configuration_still_needs_is_not_removed(host, tmp_path):
    link = tmp_path / "server.pem"
    changes = {"links": {str(link): "fullchain.pem"}}
    host.renew(**changes)
    before = host.picture()
    command = f"test -e {host.path}/current/fullchain.pem -a -e {link}"
    answer = host.install(state="absent", validate=command, **changes)
    assert answer["failed"] and answer["msg"] == (
        f"web is still in use, and is kept: {command!r} says exit status 1; take it out of the configuration first"
    )
    assert host.picture() == before
    assert link.resolve() == (host.path / "v0001/fullchain.pem").resolve()


@pytest.mark.parametrize("left", ["web/.next.0badcafe", ".web.gone"])
def test_what_a_killed_run_left_is_cleared_away_although_nothing_is_due(host, left):
    host.renew()
    before = host.picture()
    (host.directory / left).mkdir()
    (host.directory / left / "privkey.pem").write_bytes(b"")
    asked = host.ask()
    assert (asked["due"], asked["ready"]) == (False, "v0001")
    cleared = host.install()
    assert (cleared["changed"], cleared["msg"]) == (True, f"{host.directory / left} set right")
    assert host.picture() == before
    assert "ready" not in host.ask()


def test_a_link_that_a_killed_run_left_without_its_name_is_cleared_away(host, tmp_path):
    link = tmp_path / "server.pem"
    changes = {"links": {str(link): "fullchain.pem"}}
    host.renew(**changes)
    (tmp_path / ".server.pem.new").symlink_to("elsewhere")
    assert host.ask(**changes)["ready"] == "v0001"
    assert host.install(**changes)["changed"]
    assert not (tmp_path / ".server.pem.new").is_symlink() and link.exists()


def test_what_a_killed_removal_put_out_of_sight_is_put_back_and_not_issued_again(host):
    host.renew()
    before = host.picture()
    host.path.rename(host.directory / ".web.removed")
    assert host.ask(check=True)["due"]
    assert host.ask()["due"] is False
    assert host.picture() == before


@pytest.mark.parametrize("left", [".web.removed", ".web.gone"])
def test_keys_that_a_killed_removal_left_are_removed_by_the_next(host, left):
    host.renew()
    host.path.rename(host.directory / left)
    assert host.install(state="absent", check=True)["changed"]
    answer = host.install(state="absent")
    assert (answer["changed"], answer["msg"]) == (True, f"{host.path} is removed")
    assert os.listdir(host.directory) == []


@pytest.mark.parametrize("broken", ["missing version", "missing chain", "garbage"])
def test_a_certificate_in_use_that_is_broken_is_told_of_and_replaced(host, broken):
    host.renew()
    if broken == "missing version":
        (host.path / "v0001").rename(host.path / "elsewhere")
    elif broken == "missing chain":
        (host.path / "v0001/fullchain.pem").unlink()
    else:
        (host.path / "v0001/fullchain.pem").write_bytes(b"garbage")
    assert host.info()["certificates"][0]["problem"] == "it holds no PEM certificate; have it issued again"
    asked = host.ask(check=True)
    assert asked["due"]
    tried = host.install(check=True)
    assert tried["changed"] and "certificate" not in tried
    assert host.install(state="previous", check=True)["changed"] is False
    assert host.renew()["changed"]
    assert host.ask()["due"] is False


def test_a_folder_that_is_none_is_named(host, tmp_path):
    host.directory.mkdir()
    host.path.write_bytes(b"")
    answer = host.ask()
    assert answer["failed"] and answer["msg"] == f"{host.path} is not a folder; move it away and run this again"
    (host.path).unlink()
    host.path.symlink_to(tmp_path)
    answer = host.ask()
    assert answer["failed"] and answer["msg"] == f"{host.path} is not a folder; move it away and run this again"


PASSPHRASE = 'it\'s "quoted" \\ and naïve 中文'


def openssl_reads(host, version, passphrase=None):
    """Return the public key, as openssl reads it with the passphrase or with the file of that; None where it does not."""
    folder = host.path / version
    how = f"file:{folder / 'passphrase'}" if passphrase is None else f"pass:{passphrase}"
    argv = ["openssl", "pkey", "-in", folder / "privkey.pem", "-passin", how, "-pubout"]
    read = subprocess.run(argv, capture_output=True, text=True, check=False)
    return None if read.returncode else read.stdout


def expected(host):
    """Do what nginx_sites does once nginx looks for a passphrase."""
    (host.path / "current/passphrase").write_bytes(b"\n")


@pytest.mark.parametrize("given", [{"passphrase": PASSPHRASE}, {}], ids=["from a vault", "made here"])
def test_a_key_is_encrypted_from_its_first_moment(host, given):
    asked = host.ask(encrypt_key=True, **given)
    told = host.output.read_text()
    assert (host.path / "next/privkey.pem").read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert host.ask(encrypt_key=True, **given)["csr"] == asked["csr"]
    installed = host.install(signed(asked), encrypt_key=True)
    assert installed["version"] == "v0001" and "failed" not in installed
    told += host.output.read_text()

    kept = (host.path / "v0001/passphrase").read_bytes()
    assert kept == f"{PASSPHRASE}\n".encode() if given else len(kept) == 44
    assert stat.S_IMODE((host.path / "v0001/passphrase").stat().st_mode) == 0o600
    assert openssl_reads(host, "v0001") and not openssl_reads(host, "v0001", "correct horse")
    assert host.info()["certificates"][0]["encrypted"] is True
    told += host.output.read_text()
    assert kept.strip().decode() not in told and "quoted" not in told

    before = host.picture()
    assert host.ask(encrypt_key=True, **given) == {"changed": False, "due": False, "fingerprint": host.in_use()}
    assert host.install(encrypt_key=True)["changed"] is False
    assert host.picture() == before


def test_a_renewal_has_a_new_key_and_a_new_passphrase_of_the_host(host):
    host.renew(encrypt_key=True)
    host.renew(encrypt_key=True)
    host.renew(encrypt_key=True, reuse_key=True)
    read = [openssl_reads(host, version) for version in ("v0001", "v0002", "v0003")]
    assert read[0] != read[1] == read[2]
    assert len({(host.path / version / "passphrase").read_bytes() for version in ("v0001", "v0002", "v0003")}) == 3
    assert host.install(state="previous")["put_back"] == "v0002"


def test_another_passphrase_encrypts_the_same_key_anew_without_a_new_certificate(host):
    host.renew(encrypt_key=True, passphrase="correct horse")
    fingerprint, key = host.in_use(), openssl_reads(host, "v0001")
    before = host.picture()
    asked = host.ask(check=True, encrypt_key=True, passphrase=PASSPHRASE)
    assert (asked["changed"], asked["due"], asked["ready"]) == (True, False, "next")
    assert asked["msg"] == "the key of web is encrypted with another passphrase"
    assert asked["diff"] == {"before": "", "after": "the key of web is encrypted with another passphrase\n"}
    assert host.picture() == before

    for _killed_in_between in range(2):
        assert host.ask(encrypt_key=True, passphrase=PASSPHRASE) == asked
    assert host.install(encrypt_key=True)["version"] == "v0002"
    assert (host.in_use(), openssl_reads(host, "v0002")) == (fingerprint, key)
    assert openssl_reads(host, "v0002", PASSPHRASE) and not openssl_reads(host, "v0002", "correct horse")
    assert host.ask(encrypt_key=True, passphrase=PASSPHRASE)["changed"] is False

    host.install(state="previous", encrypt_key=True)
    assert openssl_reads(host, "current", "correct horse")
    before = sorted(host.path.iterdir())
    assert host.ask(encrypt_key=True, passphrase=PASSPHRASE)["changed"]
    assert host.install(encrypt_key=True)["version"] == "v0002"
    assert sorted(host.path.iterdir()) == before


def test_a_passphrase_of_the_host_takes_the_place_of_one_from_a_vault_and_back(host):
    host.renew(encrypt_key=True, passphrase=PASSPHRASE)
    for version, given in (("v0002", {}), ("v0003", {"passphrase": PASSPHRASE})):
        assert host.ask(encrypt_key=True, **given)["changed"]
        assert host.install(encrypt_key=True)["version"] == version
        assert bool(openssl_reads(host, version, PASSPHRASE)) is bool(given)
        assert host.ask(encrypt_key=True, **given)["changed"] is False


def test_a_key_in_use_is_encrypted_once_nginx_looks_for_its_passphrase(host):
    host.renew()
    before = host.picture()
    for force in (False, True):
        refused = host.ask(encrypt_key=True, force=force)
        assert refused["failed"] and refused["msg"] == (
            "the key of web is to be encrypted, and nginx has not been told where its passphrase will be; run "
            f"evergreen.tls.deploy, or, where nginx's configuration is your own, put an empty line into {host.path}/current/passphrase, "
            "for root alone to read, and name it there as ssl_password_file"
        )
    assert host.ask(encrypt_key=True, check=True)["msg"] == "the key of web is encrypted"
    assert host.picture() == before

    (host.path / "current/passphrase").write_bytes(b"")  # nginx_sites was killed before the configuration named it
    assert host.ask(encrypt_key=True)["failed"]
    expected(host)
    key = openssl_reads(host, "v0001")
    assert host.ask(encrypt_key=True)["msg"] == "the key of web is encrypted"
    host.install(encrypt_key=True)
    assert openssl_reads(host, "v0002") == key and not openssl_reads(host, "v0002", "correct horse")


def test_a_key_that_nginx_cannot_read_either_gives_way_to_an_encrypted_one(host):
    host.renew()
    (host.path / "v0001/privkey.pem").write_bytes(b"garbage")
    host.install(signed(host.ask(encrypt_key=True)), encrypt_key=True)
    assert openssl_reads(host, "v0002")


def test_without_a_passphrase_any_longer_the_key_is_plain_again_and_nginx_finds_an_empty_line(host):
    host.renew(encrypt_key=True, passphrase=PASSPHRASE)
    assert host.ask()["msg"] == "the key of web is no longer encrypted"
    host.install()
    assert (host.path / "v0002/privkey.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    assert (host.path / "v0002/passphrase").read_bytes() == b"\n"
    assert host.info()["certificates"][0]["encrypted"] is False
    assert host.ask()["changed"] is False
    host.renew()
    assert (host.path / "v0003/passphrase").read_bytes() == b"\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"another passphrase\n",
            "its private key file holds no private key that can be read with the passphrase beside it",
        ),
        (b"\n", "its private key file is protected by a passphrase; put an unprotected key there"),
        (None, "its private key file is protected by a passphrase; put an unprotected key there"),
    ],
)
def test_a_key_whose_passphrase_is_lost_is_due(host, content, reason):
    host.renew(encrypt_key=True)
    (host.path / "v0001/passphrase").unlink()
    if content:
        (host.path / "v0001/passphrase").write_bytes(content)
    assert host.info()["certificates"][0]["problem"].startswith(reason)
    asked = host.ask(encrypt_key=True)
    assert asked["due"] and asked["reason"].startswith(reason)
    host.install(signed(asked), encrypt_key=True)
    assert openssl_reads(host, "v0002")


def test_a_request_that_waits_for_people_is_not_made_anew_for_another_passphrase(host):
    asked = host.ask(encrypt_key=True, passphrase="correct horse")
    assert host.ask(encrypt_key=True, passphrase=PASSPHRASE)["csr"] == asked["csr"]
    host.install(signed(asked), encrypt_key=True)
    assert host.ask(encrypt_key=True, passphrase=PASSPHRASE)["changed"]
    host.install(encrypt_key=True)
    assert openssl_reads(host, "v0002", PASSPHRASE)


def test_information_tells_of_all_that_is_there(host):
    host.renew()
    host.renew()
    host.ask(name="shop", domains=["shop.example"])
    for name in (".hidden", "lost+found", "a b"):
        (host.directory / name).mkdir()
    (host.directory / "file").write_bytes(b"")
    before = host.picture()
    shop, web = host.info()["certificates"]
    assert (shop["name"], shop["version"], shop["versions"], shop["certificate"]) == ("shop", None, [], None)
    assert shop["waiting_since"].endswith("+00:00")
    assert (web["name"], web["path"], web["issuer"]) == ("web", str(host.path), "local")
    assert (web["version"], web["versions"], web["problem"]) == ("v0002", ["v0001", "v0002"], None)
    assert 89 < web["days_left"] <= 90
    assert web["waiting_since"] is None
    assert web["certificate"]["chain"] == ["www.example.org", "Module Issuing CA"]
    assert [found["name"] for found in host.info(name="web")["certificates"]] == ["web"]
    assert host.picture() == before


def test_information_about_what_is_not_there_is_no_error(host):
    found = host.info(name="web")["certificates"][0]
    assert (found["version"], found["versions"], found["waiting_since"]) == (None, [], None)
    answer = host.info(name="../web")
    assert answer["failed"] and answer["msg"].startswith("'../web' cannot name a request")


def test_information_tells_what_is_wrong(host):
    host.renew(days=(-9, 90))
    (host.path / "v0001/privkey.pem").write_bytes(b"garbage")
    found = host.info()["certificates"][0]
    assert found["problem"].startswith("its private key file holds no private key that can be read")
    assert found["certificate"]["names"] == sorted(NAMES)


@pytest.fixture
def by_hand(tmp_path):
    """Return the options of a request that adopts a pair, which is there and lasts for so many days."""

    def put(days=(-1, 90), mode=0o600, **changes):
        key, chain = some_key(3), ISSUING.chain(NAMES, some_key(3), days=days)
        paths = {"key": tmp_path / "server.key", "certificate": tmp_path / "server.pem"}
        for option, content in (("key", key_pem(key)), ("certificate", to_pem(chain))):
            paths[option].write_bytes(content)
            paths[option].chmod(mode)
        links = {str(paths["key"]): "privkey.pem", str(paths["certificate"]): "fullchain.pem"}
        return {"adopt": {option: str(path) for option, path in paths.items()}, "links": links, **changes}

    return put


def test_a_pair_made_by_hand_is_adopted_once_and_renewed_when_it_is_due(host, by_hand, tmp_path):
    changes = by_hand()
    key, certificate = tmp_path / "server.key", tmp_path / "server.pem"
    before = fingerprint_of(certificate)
    answer = host.ask(**changes)
    assert (answer["changed"], answer["due"]) == (True, False)
    assert answer["fingerprint"] == before == fingerprint_of(certificate)
    assert answer["msg"].startswith(
        f"{key} and {certificate} adopted as v0001 of web (www.example.org, issued by Module Issuing CA, valid until "
    )
    assert answer["diff"] == {
        "before": f"{key}: a file\n{certificate}: a file\n",
        "after": f"{key}: a link into {host.path}/current\n{certificate}: a link into {host.path}/current\n",
    }
    assert "exposed" not in answer
    picture = host.picture()
    assert host.ask(**changes) == {"changed": False, "due": False, "fingerprint": before}
    assert host.picture() == picture

    host.renew(**changes)
    assert (certificate.is_symlink(), key.is_symlink()) == (True, True)
    assert fingerprint_of(certificate) == host.in_use() != before
    assert host.info()["certificates"][0]["versions"] == ["v0001", "v0002"]
    assert host.install(state="previous", **changes)["put_back"] == "v0001"
    assert fingerprint_of(certificate) == before


@pytest.mark.parametrize(
    ("made", "request_", "reason"),
    [
        ({"days": (-80, 10)}, {}, "it expires on .* UTC, and 11% of its lifetime is left"),
        ({"mode": 0o640}, {}, r"its key could be read by others in .*/server.key \(mode 0640\)"),
        ({}, {"domains": NAMES[:1]}, "the certificate covers example.org, which nobody asked for"),
        ({}, {"type": "RSA"}, "its key is ECC secp256r1, and RSA 2048 is wanted"),
        ({}, {"roots": Authority("Other Root").pem.decode()}, "the chain ends at Module Root CA, which is not a root of the issuer"),
        ({}, {"force": True}, "certificate_force is set"),
    ],
)  # fmt: skip
def test_what_is_adopted_may_be_due_at_once_and_check_mode_knows(host, by_hand, tmp_path, made, request_, reason):
    changes = {**by_hand(**made), **request_}
    picture = host.picture()
    foretold = host.ask(check=True, **changes)
    assert host.picture() == picture and not (tmp_path / "server.key").is_symlink()
    assert "would be adopted for web (www.example.org, issued by" in foretold["msg"]
    answer = host.ask(**changes)
    for told in (foretold, answer):
        assert (told["changed"], told["due"]) == (True, True)
        assert re.match(reason, told["reason"])
        assert told["diff"]["after"].endswith(f"due: {told['reason']}\n")
        assert ("exposed" in told) == ("mode" in made)
    assert "BEGIN CERTIFICATE REQUEST" in answer["csr"]
    if "force" not in request_:
        again = host.ask(**changes)
        assert (again["changed"], again["reason"], again["csr"]) == (False, answer["reason"], answer["csr"])


def test_check_mode_foretells_an_adoption_of_what_is_not_due(host, by_hand, tmp_path):
    answer = host.ask(check=True, **by_hand())
    assert (answer["changed"], answer["due"]) == (True, False)
    assert not host.directory.exists() and not (tmp_path / "server.pem").is_symlink()


def test_a_key_that_others_may_know_is_not_kept_for_renewals(host, by_hand, tmp_path):
    answer = host.ask(**by_hand(mode=0o644, reuse_key=True))
    assert (
        answer["exposed"] == answer["reason"] == f"its key could be read by others in {tmp_path}/server.key (mode 0644)"
    )
    public = load_csr(answer["csr"].encode()).public_key().public_numbers()
    assert public != some_key(3).public_key().public_numbers()


def test_a_pair_that_cannot_be_adopted_stops_the_request_and_nothing_is_changed(host, by_hand, tmp_path):
    changes = by_hand()
    (tmp_path / "server.key").write_bytes(key_pem(some_key(4)))
    answer = host.ask(**changes)
    assert answer["failed"] and "does not belong to the key in" in answer["msg"]
    assert not host.directory.exists()


def test_links_come_with_the_first_certificate_where_nothing_was_made_by_hand(host, by_hand, tmp_path):
    changes = by_hand()
    for name in ("server.key", "server.pem"):
        (tmp_path / name).unlink()
    assert host.ask(**changes)["reason"] == "there is no certificate yet"
    host.renew(**changes)
    assert fingerprint_of(tmp_path / "server.pem") == host.in_use()
    assert host.ask(**changes)["changed"] is False
