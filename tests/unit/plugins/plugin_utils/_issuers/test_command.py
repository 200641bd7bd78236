# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Any program can be a CA: it returns a chain, a pending request, or an error."""

from __future__ import annotations

import datetime
import os
import pathlib
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import Pending
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import issue_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

ROOT = Authority("Command Root CA", key=some_key(20, "RSA"))
NAMES = ["www.example.org", "xn--bcher-kva.example"]
CHAIN = ROOT.chain(NAMES, some_key())
REQUEST = {
    "name": "www",
    "domains": NAMES,
    "issuer": "ours",
    "type": "ECC",
    "size": 2048,
    "curve": "secp256r1",
    "lifetime": "9d",
    "allowed_domains": [],
    "reason": "certificate_force is set",
    "challenge_password": "correct horse",
    "mode": "0640",
}
CSR = make_csr(some_key(), NAMES, {"challenge_password": "correct horse"})

# A CA as people write it around openssl: it signs what stands on its standard input, for the names of the environment.
OPENSSL_CA = """
set -eu
cd "$(dirname "$0")"
names=$(echo "$EVERGREEN_NAMES" | python3 -c 'import json, sys; print(",".join(f"DNS:{name}" for name in json.load(sys.stdin)))')
cat > request.csr
printf 'subjectAltName=%s\\nbasicConstraints=critical,CA:FALSE\\nkeyUsage=digitalSignature\\nextendedKeyUsage=serverAuth\\n' "$names" > extensions
printf 'authorityKeyIdentifier=keyid\\n' >> extensions
echo 'Warning: this CA is a script' >&2
echo 'Warning: and talks before it answers'
openssl x509 -req -in request.csr -CA ca.pem -CAkey ca.key -set_serial 77 -days 9 -extfile extensions
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that issues with a shell script."""

    def issue(script, csr=CSR, **settings):
        (tmp_path / "ca.sh").write_text(script)
        (tmp_path / "ca.pem").write_bytes(ROOT.pem)
        (tmp_path / "ca.key").write_bytes(key_pem(ROOT.key))
        (tmp_path / "chain.pem").write_bytes(to_pem(CHAIN))
        settings = {
            "type": "command",
            "argv": ["sh", str(tmp_path / "ca.sh"), "and more"],
            "roots": str(tmp_path / "ca.pem"),
            "directory": str(tmp_path / "state"),
            **settings,
        }
        return issue_once(open_issuer("ours", {"ours": settings}), REQUEST, csr, "web1", None, {"since": None})

    return issue


def refusal(run, script, **settings):
    with pytest.raises(TlsError) as caught:
        run(script, **settings)
    return str(caught.value)


def test_a_script_around_openssl_is_a_ca(run):
    issued = run(OPENSSL_CA)
    assert issued.is_new and [one.serial_number for one in issued.chain] == [77]
    assert not run("echo it is not asked again >&2; exit 1", argv=["sh", issued_by(run), "and more"]).is_new


def issued_by(run):
    """Return the path of the script, which is the same in a test."""
    return run.__closure__[0].cell_contents.joinpath("ca.sh").as_posix()


def test_a_program_gets_the_request_without_secrets(run, tmp_path):
    run(
        f"cat > {tmp_path}/csr; env | grep ^EVERGREEN > {tmp_path}/env; cat {tmp_path}/chain.pem",
        environment={"TOKEN": "t"},
    )
    assert (tmp_path / "csr").read_bytes() == CSR
    assert sorted((tmp_path / "env").read_text().splitlines()) == [
        'EVERGREEN_NAMES=["www.example.org", "xn--bcher-kva.example"]',
        (
            'EVERGREEN_REQUEST={"name": "www", "domains": ["www.example.org", "xn--bcher-kva.example"], "host": "web1", '
            '"reason": "certificate_force is set", "type": "ECC", "size": 2048, "curve": "secp256r1", "lifetime": "9d"}'
        ),
    ]


def test_a_program_never_sees_a_request_that_the_inventory_does_not_make(run, tmp_path):
    password = {"challenge_password": "correct horse"}
    other = make_csr(
        some_key(), NAMES, {**password, "organization_name": "Domain Admins", "common_name": "bank.example"}
    )
    for csr in (other, CSR + other, b"text\n" + CSR):
        assert "the signing request" in refusal(run, f"touch {tmp_path}/seen; exit 1", csr=csr)
    assert not (tmp_path / "seen").exists()
    run(f"cat > {tmp_path}/csr; cat {tmp_path}/chain.pem", csr=CSR.replace(b"\n", b"\r\n"))
    assert (tmp_path / "csr").read_bytes() == CSR


def test_a_program_gets_the_environment_of_its_issuer_and_that_of_the_run(run, tmp_path):
    run(f'echo "$TOKEN $HOME" > {tmp_path}/env; cat {tmp_path}/chain.pem', environment={"TOKEN": 5})
    assert (tmp_path / "env").read_text().split() == ["5", os.environ["HOME"]]


def test_a_program_need_not_read_its_input(run, tmp_path):
    huge = CSR + b"\n" * 500_000
    assert run(f"cat {tmp_path}/chain.pem", csr=huge).chain == CHAIN


def test_exit_status_75_is_pending(run):
    pending = run("echo 'Ticket 4711 is open,' >&2; echo 'ask the security team' >&2; exit 75")
    assert isinstance(pending, Pending)
    assert pending.sentence == "sh says: Ticket 4711 is open, ask the security team"
    assert not pending.changed and pending.until is None
    assert run("exit 75").sentence == "sh waits for somebody (exit status 75)"


def test_a_request_is_pending_since_its_csr_was_made(run, tmp_path):
    issuer = open_issuer("ours", {"ours": {"type": "command", "argv": ["sh", "-c", "exit 75"]}})
    pending = issuer.issue({**REQUEST, "since": "2026-11-01T10:00:00+00:00"}, CSR, "web1")
    assert pending.since == datetime.datetime(2026, 11, 1, 10, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "cat chain.pem; echo 'the database is locked' >&2; exit 1",
            "sh exited with 1, and the certificate that it printed is refused: the database is locked; correct it and run this again",
        ),
        ("echo 'no token' >&2; exit 2", "sh exited with 2: no token; correct it and run this again"),
        ("exit 3", "sh exited with 3: it said nothing; correct it and run this again"),
        ("kill -TERM $$", "sh was killed by SIGTERM: it said nothing; correct it and run this again"),
        (
            "echo 'no role' >&2",
            "no role; have it print one on its standard output, or exit with 75 while somebody has to act",
        ),
        ("echo '{}'", "sh printed no certificate in PEM (3 bytes): it said nothing; have it print one"),
        (
            "head -c 3000000 /dev/zero",
            "sh prints more than 1048576 bytes, and chains have a few thousand; see what it prints",
        ),
        ("cat chain.pem ca.key", "the answer holds a private key, and keys are made on hosts alone"),
        ("printf 'a\\033[31mb\\n' >&2; exit 1", "sh exited with 1: a?[31mb; correct it"),
    ],
)
def test_a_program_that_fails_is_an_error(run, tmp_path, script, sentence):
    assert sentence in refusal(run, f"cd {tmp_path}; {script}")


def test_a_program_that_hangs_is_killed_with_its_children(run, tmp_path):
    script = f"sleep 1000 & echo $! > {tmp_path}/child; echo 'Password:' >&2; wait"
    assert refusal(run, script, timeout="2s") == (
        "sh was ended after 2 s without an answer: Password:; see what it waits for, or raise timeout of the issuer"
    )
    child = pathlib.Path("/proc", (tmp_path / "child").read_text().strip())
    deadline = time.monotonic() + 30
    while child.exists() and "Z" not in (child / "stat").read_text().split() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists() or "Z" in (child / "stat").read_text().split()


def test_children_that_keep_the_output_open_are_not_waited_for(run, tmp_path):
    assert run(f"sleep 1000 & cat {tmp_path}/chain.pem").chain == CHAIN


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"argv": ["/nowhere/sign"]},
            "/nowhere/sign cannot be run on the controller: No such file or directory; correct argv of the issuer",
        ),
        ({"argv": []}, "issuer ours: argv is empty; write the program and its arguments, as a list"),
        ({"timeout": "soon"}, "issuer ours: 'soon' is not a length of time"),
        (
            {"roots": "/nowhere.pem"},
            "roots: /nowhere.pem does not exist; correct the path, or leave it out for a CA that systems trust",
        ),
    ],
)
def test_wrong_settings_are_refused(run, settings, sentence):
    assert sentence in refusal(run, "exit 75", **settings)


@pytest.mark.parametrize("start", ["", "setsid "], ids=["in its group", "outside of it"])
def test_a_child_that_stays_and_floods_does_not_lose_the_answer(run, tmp_path, start):
    started = time.monotonic()
    issued = run(f"{start}sh -c 'timeout 9 yes >&2' & cat {tmp_path}/chain.pem; sleep 0.1", timeout="20s")
    assert issued.chain[0] == CHAIN[0] and time.monotonic() - started < 8


def test_a_certificate_is_revoked_with_the_tools_of_its_ca(tmp_path):
    settings = {"type": "command", "argv": ["/usr/bin/vault"], "directory": str(tmp_path)}
    issuer = open_issuer("ours", {"ours": settings})
    with pytest.raises(TlsError) as caught:
        issuer.revoke("abc", "superseded")
    assert str(caught.value) == (
        "a certificate of vault is revoked with the tools of that CA; its serial number is abc. "
        f"{tmp_path}/issued has no record of it, since it was issued before records were kept or from another controller, so nothing here keeps "
        "its host from using it again: have a new one made with -e certificate_force=true first"
    )
    leaf = CHAIN[0]
    issuer.record({"name": "www"}, [leaf], "web1")
    with pytest.raises(TlsError) as caught:
        issuer.revoke(f"{leaf.serial_number:x}", "superseded")
    assert str(caught.value).endswith(f"; its serial number is {leaf.serial_number:x}")
    assert issuer.revocation(f"{leaf.serial_number:x}") == "superseded"
