# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAs with people in them: a request is handed in once, waits, and is answered by whatever comes back."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import http.server
import io
import os
import shutil
import subprocess
import zipfile

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)
from cryptography.x509.oid import AuthorityInformationAccessOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import Pending
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import issue_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual import issuer as manual
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.outbox import Outbox
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.queue import Queue
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, key_pem, new_key, some_key
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

ROOT = Authority("Manual Root CA")
ISSUING = Authority("Manual Issuing CA", above=ROOT)
NAMES = ["www.example.org", "example.org"]
SECRET = "correct horse"


class Desk:
    """An issuer with its folders, and a CSR for it."""

    def __init__(self, folder, **settings):
        self.folder = folder
        (folder / "roots.pem").write_bytes(ROOT.pem)
        self.settings = {"type": "manual", "directory": str(folder / "desk"), "roots": str(folder / "roots.pem")}
        self.settings.update(settings)
        self.key = some_key()
        self.csr = make_csr(self.key, NAMES, {})

    @property
    def issuer(self):
        return open_issuer("corporate", {"corporate": self.settings})

    @property
    def inbox(self):
        (self.folder / "desk/inbox").mkdir(parents=True, exist_ok=True)
        return self.folder / "desk/inbox"

    @property
    def outbox(self):
        return self.folder / "desk/outbox"

    def ask(self, csr=None, host="web1", remarks=None, **changes):
        """Return an Issued or a Pending; *remarks* is extended by those of the issuer."""
        issuer = self.issuer
        try:
            return issue_once(
                issuer, request_for(**changes), csr or self.csr, host, changes.get("in_use"), context(changes)
            )
        finally:
            if remarks is not None:
                remarks += issuer.remarks

    def refusal(self, **changes):
        with pytest.raises(TlsError) as caught:
            self.ask(**changes)
        return str(caught.value)

    def unused_files(self, **changes):
        """Return the remarks about unused files, while the request is pending."""
        remarks = []
        assert isinstance(self.ask(remarks=remarks, **changes), Pending)
        return remarks

    def files(self):
        return sorted(os.listdir(self.outbox))

    def put(self, name, content):
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


def request_for(**changes):
    words = {"name": "www", "domains": NAMES, "issuer": "corporate", "type": "ECC", "size": 2048, "curve": "secp256r1"}
    return {
        **words,
        "lifetime": None,
        "allowed_domains": [],
        **{k: v for k, v in changes.items() if k in ("name", "domains", "allowed_domains", "organization_name")},
    }


def context(changes):
    return {"reason": changes.get("reason", "it expires soon"), "since": None, "valid": changes.get("valid")}


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def der(certificate):
    return certificate.public_bytes(Encoding.DER)


def zipped(**members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return packed.getvalue()


CHAIN = ISSUING.chain(NAMES, some_key())
LEAF, MIDDLE = CHAIN
EC_KEY = bytes.fromhex("2a8648ce3d0201")  # the type of an elliptic curve key (RFC 5480, section 2.1.1)
SHUFFLED = [ROOT.certificate, MIDDLE, LEAF]


def test_a_request_is_handed_in_once_and_is_pending(desk):
    first = desk.ask()
    assert isinstance(first, Pending) and first.changed
    assert first.sentence == (
        f"hand {desk.outbox}/www_web1.csr in to corporate, and put what comes back into {desk.inbox}"
    )
    assert first.until - first.since == datetime.timedelta(days=90)
    assert desk.files() == ["www_web1.csr", "www_web1.html", "www_web1.yml"]
    assert (desk.outbox / "www_web1.csr").read_bytes() == desk.csr
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in desk.folder.rglob("*") if path.is_file()}
    for _run in range(3):
        again = desk.ask()
        assert (again.changed, again.since, again.sentence) == (False, first.since, first.sentence)
    assert {
        path: (path.stat().st_ino, path.read_bytes()) for path in desk.folder.rglob("*") if path.is_file()
    } == before


def test_files_that_are_taken_out_of_the_outbox_are_not_written_again(desk):
    desk.ask()
    (desk.outbox / "www_web1.csr").rename(desk.folder / "handed in.csr")
    assert not desk.ask().changed
    assert desk.files() == ["www_web1.html", "www_web1.yml"]


def test_what_is_handed_in_is_the_signing_request_that_was_checked_and_people_read_what_is_in_it(desk):
    odd = desk.csr.replace(b"\n", b"\r\n") + b"\n\n"
    desk.ask(csr=odd)
    assert (desk.outbox / "www_web1.csr").read_bytes() == desk.csr
    for csr in (make_csr(desk.key, NAMES, {"organization_name": "Domain Admins"}), desk.csr + desk.csr):
        with pytest.raises(TlsError, match="the signing request"):
            desk.ask(csr=csr)
    assert (desk.outbox / "www_web1.csr").read_bytes() == desk.csr
    manifest = yaml.safe_load((desk.outbox / "www_web1.yml").read_text(encoding="utf-8"))
    assert manifest["organization"] == "CN=www.example.org"


def test_a_request_with_the_same_key_and_other_content_takes_the_place_of_the_one_that_waits(desk):
    desk.ask()
    names = [*NAMES, "shop.example.org"]
    csr = make_csr(desk.key, names, {})
    assert desk.ask(csr=csr, domains=names).changed
    assert not desk.ask(csr=csr, domains=names).changed
    assert (desk.outbox / "www_web1.csr").read_bytes() == csr
    assert yaml.safe_load((desk.outbox / "www_web1.yml").read_text(encoding="utf-8"))["names"] == names


def test_the_manifest_has_everything_that_a_ticket_needs(desk):
    desk.settings["asked_by"] = "Web team <web@example.org>"
    valid = {"not_before": "2026-06-01T00:00:00+00:00", "not_after": "2026-12-18T00:00:00+00:00"}
    desk.csr = make_csr(desk.key, NAMES, {"organization_name": "例子公司 & Söhne"})
    desk.ask(valid=valid, reason="33% of its lifetime is left", organization_name="例子公司 & Söhne")
    manifest = yaml.safe_load((desk.outbox / "www_web1.yml").read_text(encoding="utf-8"))
    assert manifest["put_answer_into"] == str(desk.inbox)
    digest = hashlib.sha256(public_bytes(desk.key.public_key())).hexdigest()
    keys = [
        "names",
        "organization",
        "key",
        "why",
        "answer_by",
        "asked_by",
        "host",
        "request",
        "signing_request",
        "public_key_sha256",
    ]
    assert [manifest[key] for key in keys] == [
        NAMES,
        "CN=www.example.org,O=例子公司 & Söhne",
        "ECC secp256r1",
        "33% of its lifetime is left",
        "2026-12-18T00:00:00+00:00",
        "Web team <web@example.org>",
        "web1",
        "www",
        "www_web1.csr",
        digest,
    ]
    page = (desk.outbox / "www_web1.html").read_text(encoding="utf-8")
    assert "例子公司 &amp; Söhne" in page and "Web team &lt;web@example.org&gt;" in page
    assert desk.csr.decode() in page


def test_words_of_a_host_in_the_outbox_neither_move_the_cursor_nor_are_markup(desk):
    desk.ask(reason=f"\x1b[2J\u202e<script>{'x' * 5000}")
    manifest = yaml.safe_load((desk.outbox / "www_web1.yml").read_text(encoding="utf-8"))
    assert manifest["why"].startswith("?[2J?<script>x") and len(manifest["why"]) == 300
    page = (desk.outbox / "www_web1.html").read_text(encoding="utf-8")
    assert "?[2J?&lt;script&gt;x" in page and "<script>" not in page


class Tagged(str):
    """Stands for a tagged string of Ansible."""


def test_tagged_strings_of_ansible_are_written_as_plain_ones(desk):
    desk.settings["asked_by"] = Tagged("Web team")
    desk.ask(reason=Tagged("certificate_force is set"), domains=[Tagged(name) for name in NAMES])
    assert yaml.safe_load((desk.outbox / "www_web1.yml").read_text(encoding="utf-8"))["asked_by"] == "Web team"


def test_a_page_says_what_a_wildcard_covers(desk):
    names = ["*.example.org"]
    desk.ask(csr=make_csr(desk.key, names, {}), domains=names)
    page = (desk.outbox / "www_web1.html").read_text(encoding="utf-8")
    assert (
        "*.example.org covers one level: www.example.org, and neither example.org itself nor www.shop.example.org."
        in page
    )


def test_hosts_of_any_name_have_files_of_their_own(desk):
    desk.ask()
    for number, host in enumerate(["web/1", "web 1", "../etc", "<b>"], 1):
        desk.ask(csr=make_csr(some_key(number), NAMES, {}), host=host)
    stems = [name[:-4] for name in desk.files() if name.endswith(".csr")]
    assert len(stems) == 5 and all("/" not in stem and " " not in stem and "<" not in stem for stem in stems)
    assert {"www_web1", "www_web_1", "www_.._etc", "www__b_"} < set(stems)
    assert "&lt;b&gt;" in (desk.outbox / "www__b_.html").read_text(encoding="utf-8")


def test_the_bundle_has_all_pending_requests_and_is_reproducible(desk):
    desk.settings["bundle"] = True
    desk.ask()
    first = (desk.outbox / "requests.zip").read_bytes()
    other = make_csr(some_key(1), NAMES, {})
    desk.ask(csr=other, host="web2")
    with zipfile.ZipFile(desk.outbox / "requests.zip") as archive:
        assert len(archive.namelist()) == 6
        assert archive.read("www_web2.csr") == other
    desk.put("answer.pem", to_pem(ISSUING.chain(NAMES, some_key(1))))
    assert desk.ask(csr=other, host="web2").is_new
    assert (desk.outbox / "requests.zip").read_bytes() == first
    desk.put("answer.pem", to_pem(CHAIN))
    desk.ask()
    assert desk.files() == []


def legacy_pfx(folder, chain, password):
    """Return PKCS #12 without a key, as the openssl command writes it."""
    (folder / "chain.pem").write_bytes(to_pem(chain))
    argv = [
        "openssl",
        "pkcs12",
        "-export",
        "-nokeys",
        "-in",
        "chain.pem",
        "-out",
        "chain.pfx",
        "-passout",
        f"pass:{password}",
    ]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    return (folder / "chain.pfx").read_bytes()


FORMATS = {
    "PEM": lambda: {"a.txt": to_pem(SHUFFLED)},
    "PEM with words, carriage returns and a mark": lambda: {
        "mail.eml": b"\xef\xbb\xbfDear customer,\r\n" + to_pem(SHUFFLED).replace(b"\n", b"\r\n") + b"Regards\r\n"
    },
    "PEM in double bytes": lambda: {"a.pem": to_pem(SHUFFLED).decode().encode("utf-16")},
    "DER, each in a file": lambda: {f"{n}.cer": der(one) for n, one in enumerate(SHUFFLED)},
    "bare Base64": lambda: {"a": base64.encodebytes(der(LEAF)), "b": base64.b64encode(der(MIDDLE))},
    "PKCS #7 in DER": lambda: {"a.p7b": pkcs7.serialize_certificates(SHUFFLED, Encoding.DER)},
    "PKCS #7 in PEM": lambda: {"a.p7b": pkcs7.serialize_certificates(SHUFFLED, Encoding.PEM)},
    "PKCS #7 in bare Base64": lambda: {
        "a.p7b": base64.encodebytes(pkcs7.serialize_certificates(SHUFFLED, Encoding.DER))
    },
    "PKCS #12 with a password": lambda: {
        "a.pfx": pkcs12.serialize_java_truststore(
            [pkcs12.PKCS12Certificate(one, None) for one in SHUFFLED], BestAvailableEncryption(SECRET.encode())
        )
    },
    "ZIP of ZIP": lambda: {
        "a.zip": zipped(inner__zip=zipped(a__der=der(LEAF), readme__txt=b"Hello"), b__pem=MIDDLE and to_pem([MIDDLE]))
    },
    "a folder of files": lambda: {
        "answer of today/leaf.crt": to_pem([LEAF]),
        "answer of today/ca.crt": to_pem([MIDDLE]),
    },
}


@pytest.mark.parametrize("form", FORMATS)
def test_certificates_of_any_format_are_read(desk, form):
    desk.settings["passwords"] = ["another", SECRET]
    desk.ask()
    for name, content in FORMATS[form]().items():
        desk.put(name, content)
    issued = desk.ask()
    assert [fingerprint(one) for one in issued.chain] == [fingerprint(one) for one in CHAIN]
    assert issued.warnings == [] and desk.files() == []
    assert [path for path in desk.inbox.rglob("*") if path.is_file()] == []
    assert list((desk.folder / "desk/taken").iterdir())


def test_pkcs12_of_openssl_is_read(desk):
    desk.settings["passwords"] = [SECRET]
    desk.ask()
    desk.put("a.p12", legacy_pfx(desk.folder, SHUFFLED, SECRET))
    assert desk.ask().chain == CHAIN


def test_a_file_for_several_requests_stays_until_all_are_issued(desk):
    other = make_csr(some_key(1), NAMES, {})
    desk.ask()
    desk.ask(csr=other, host="web2")
    certificates = [MIDDLE, ISSUING.leaf(NAMES, some_key(1)), LEAF]
    path = desk.put("all.p7b", pkcs7.serialize_certificates(certificates, Encoding.DER))
    assert desk.ask().chain == CHAIN
    assert path.exists()
    remarks = []
    assert desk.ask(csr=other, host="web2", remarks=remarks).chain == [certificates[1], MIDDLE]
    assert remarks == [] and not path.exists()


def test_the_intermediate_of_an_earlier_chain_completes_a_later_one(desk):
    other = make_csr(some_key(1), NAMES, {})
    desk.ask()
    desk.ask(csr=other, host="web2")
    desk.put("first.pem", to_pem(CHAIN))
    desk.ask()
    leaf = ISSUING.leaf(NAMES, some_key(1))
    desk.put("second.pem", to_pem([leaf]))
    assert desk.ask(csr=other, host="web2").chain == [leaf, MIDDLE]


def test_configured_intermediates_complete_a_chain(desk):
    path = desk.folder / "intermediates.p7b"
    path.write_bytes(pkcs7.serialize_certificates([MIDDLE], Encoding.DER))
    desk.settings["intermediates"] = str(path)
    desk.put("leaf.pem", to_pem([LEAF]))
    assert desk.ask().chain == CHAIN


def test_an_incomplete_chain_is_refused_and_the_missing_certificate_named(desk):
    path = desk.put("leaf.pem", to_pem([LEAF]))
    assert desk.refusal() == (
        f"{path} answers the request www of web1, and is refused: the chain is not whole: the certificate Manual Issuing CA, which "
        "signed www.example.org, is missing; put it into the inbox beside the certificate, or name it in intermediates of the issuer, "
        "or set aia: true to have it fetched"
    )
    assert path.exists()
    desk.put("late.pem", to_pem([MIDDLE]))
    assert desk.ask().chain == CHAIN


def test_an_intermediate_of_the_right_name_that_did_not_sign_is_not_used(desk):
    namesake = Authority("Manual Issuing CA", above=ROOT)
    desk.put("leaf.pem", to_pem([LEAF]))
    path = desk.put("ca.pem", namesake.pem)
    assert f"is missing ({path} has one of that name, but it did not sign this); put it" in desk.refusal()
    desk.put("both.pem", namesake.pem + to_pem([MIDDLE]))
    assert desk.ask().chain == CHAIN


def test_of_two_chains_the_one_to_the_roots_is_chosen(desk):
    elsewhere = Authority("Another Root CA")
    crossed = Authority("Manual Issuing CA", above=elsewhere, key=ISSUING.key)
    desk.put("a.pem", to_pem([crossed.certificate, elsewhere.certificate, MIDDLE, LEAF]))
    assert desk.ask().chain == CHAIN


@pytest.mark.parametrize("place", ["inbox", "chain_extra"])
def test_of_several_chains_the_one_to_the_preferred_root_is_chosen(desk, place):
    crossed = Authority("Manual Root CA", above=Authority("Older Root CA"), key=ROOT.key).certificate
    desk.settings["preferred_root"] = "Older Root CA"
    if place == "inbox":
        desk.put("crossed.pem", to_pem([crossed]))
    else:
        (desk.folder / "extra.pem").write_bytes(to_pem([crossed]))
        desk.settings["chain_extra"] = str(desk.folder / "extra.pem")
    desk.put("answer.pem", to_pem([LEAF, MIDDLE]))
    issued = desk.ask()
    assert (issued.chain, issued.warnings) == ([*CHAIN, crossed], [])


class IntermediateServer:
    """A web server on which a CA publishes its intermediates."""

    def __init__(self, content, status=200):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        self.server = ThreadedServer(Handler).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/issuing.cer"

    def leaf(self):
        """Return a certificate with the URL of its issuer."""
        place = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(self.url)
        )
        return ISSUING.leaf(NAMES, some_key(), extensions=[x509.AuthorityInformationAccess([place])])


@pytest.mark.parametrize("content", [der(MIDDLE), pkcs7.serialize_certificates([MIDDLE], Encoding.DER)])
def test_an_intermediate_is_fetched_with_aia(desk, content):
    server = IntermediateServer(content)
    leaf = server.leaf()
    desk.put("leaf.pem", to_pem([leaf]))
    assert "or set aia: true to have it fetched" in desk.refusal()
    desk.settings["aia"] = True
    assert desk.ask().chain == [leaf, MIDDLE]
    server.server.stop()


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (b"x" * 100_000, 200, "the answer is too long, or takes too long"),
        (b"", 302, "the server answers with 302"),
        (der(Authority("Manual Issuing CA").certificate), 200, "holds no certificate that signed it"),
    ],
)
def test_a_wrong_response_for_an_intermediate_is_an_error(desk, content, status, sentence):
    desk.settings["aia"] = True
    server = IntermediateServer(content, status)
    desk.put("leaf.pem", to_pem([server.leaf()]))
    refused = desk.refusal()
    assert sentence in refused and refused.endswith("put it into the inbox")
    server.server.stop()


def test_a_certificate_for_another_key_is_named_and_stays(desk):
    path = desk.put("stray.pem", to_pem(ISSUING.chain(NAMES, some_key(7))))
    (message,) = desk.unused_files()
    assert message == (
        f"{path}: the certificate for example.org, www.example.org belongs to no key that waits here; have the CA sign a request of the "
        "outbox, or remove this file"
    )
    assert path.exists()


def test_a_ca_that_signed_nothing_is_named_when_nothing_is_pending(desk):
    stranger = desk.put("stranger.crt", Authority("A Stranger").pem)
    path = desk.put("ca.crt", to_pem([MIDDLE, ROOT.certificate]))
    assert desk.unused_files() == []
    desk.put("a.pem", to_pem([LEAF]))
    issued = desk.ask()
    assert issued.chain == CHAIN
    assert issued.warnings == [
        f"{stranger}: the CA A Stranger signed nothing that was asked for here; remove this file"
    ]
    assert stranger.exists() and not path.exists()


def test_a_certificate_for_other_names_is_refused(desk):
    path = desk.put("wrong.pem", to_pem(ISSUING.chain(["bank.example"], some_key())))
    assert desk.refusal() == (
        f"{path} answers the request www of web1, and is refused: the certificate does not cover example.org, www.example.org and covers "
        "bank.example, which nobody asked for; have it issued for example.org, www.example.org"
    )
    desk.put("right.pem", to_pem(CHAIN))
    assert desk.ask().chain == CHAIN


def test_additional_names_are_accepted_if_they_are_allowed(desk):
    names = ["example.org"]
    csr, chain = make_csr(desk.key, names, {}), ISSUING.chain([*names, "www.example.org"], desk.key)
    desk.put("a.pem", to_pem(chain))
    assert "covers www.example.org, which nobody asked for" in desk.refusal(csr=csr, domains=names)
    assert desk.ask(csr=csr, domains=names, allowed_domains=["www.example.org"]).chain == chain


def test_a_certificate_of_another_ca_is_refused(desk):
    desk.put("a.pem", to_pem(Authority("Somebody Else").chain(NAMES, some_key())))
    assert "is refused: the chain is not whole: the certificate Somebody Else, which signed" in desk.refusal()


def test_an_expired_certificate_is_refused(desk):
    desk.put("a.pem", to_pem(ISSUING.chain(NAMES, some_key(), days=(-90, -1))))
    assert "is refused: the certificate expired on" in desk.refusal()


def test_a_certificate_for_a_withdrawn_request_is_named(desk):
    desk.ask()
    assert desk.issuer.withdraw("web1", "www") and not desk.issuer.withdraw("web1", "www")
    assert desk.files() == [] and desk.issuer.pending_names("web1") == []
    path = desk.put("late.pem", to_pem(CHAIN))
    (message,) = desk.unused_files(csr=make_csr(some_key(3), NAMES, {}))
    assert message.startswith(
        f"{path}: the certificate for example.org, www.example.org answers the request www of web1, which waits no longer since "
    )
    assert message.endswith(
        ": it was withdrawn, since it is no longer wanted; have the CA revoke it, and remove this file"
    )


def test_a_new_request_replaces_the_pending_one(desk):
    desk.ask()
    later = desk.ask(csr=make_csr(some_key(3), [*NAMES, "new.example.org"], {}), domains=[*NAMES, "new.example.org"])
    assert later.changed
    assert desk.files() == ["www_web1.csr", "www_web1.html", "www_web1.yml"]
    assert "new.example.org" in (desk.outbox / "www_web1.yml").read_text()
    assert desk.issuer.pending_names("web1") == ["www"]
    desk.put("late.pem", to_pem(CHAIN))
    (message,) = desk.unused_files(
        csr=make_csr(some_key(3), [*NAMES, "new.example.org"], {}), domains=[*NAMES, "new.example.org"]
    )
    assert "another one took its place; have the CA revoke it, and remove this file" in message


def test_a_request_is_withdrawn_after_its_patience(desk, monkeypatch):
    desk.settings["patience"] = "30d"
    desk.ask(host="web9", csr=make_csr(some_key(9), NAMES, {}))
    later = NOW + 31 * DAY
    monkeypatch.setattr(manual, "utc_now", lambda: later)
    desk.ask()
    assert desk.files() == ["www_web1.csr", "www_web1.html", "www_web1.yml"]
    assert desk.issuer.pending_names("web9") == []
    desk.put("late.pem", to_pem(ISSUING.chain(NAMES, some_key(9))))
    assert "nobody answered it for 30 days; have the CA revoke it" in desk.unused_files()[0]


def test_a_reused_key_gets_a_new_certificate(desk):
    desk.put("first.pem", to_pem(CHAIN))
    first = desk.ask().chain[0]
    again = desk.ask(in_use=fingerprint(first))
    assert isinstance(again, Pending) and again.changed
    path = desk.put("first again.pem", to_pem(CHAIN))
    assert desk.unused_files(in_use=fingerprint(first)) == []
    renewed = ISSUING.chain(NAMES, some_key(), days=(0, 90))
    desk.put("second.pem", to_pem(renewed))
    assert desk.ask(in_use=fingerprint(first)).chain == renewed
    assert not path.exists()


def test_a_chain_that_was_not_installed_is_returned_again(desk):
    desk.put("a.pem", to_pem(CHAIN))
    desk.ask()
    shutil.rmtree(desk.folder / "desk/answers")
    assert desk.ask().chain == CHAIN
    assert desk.files() == []


@pytest.mark.parametrize(
    "content",
    [
        lambda: to_pem(CHAIN) + key_pem(new_key("RSA")),
        lambda: zipped(server__key=key_pem(new_key()), server__pem=to_pem(CHAIN)),
        lambda: pkcs12.serialize_key_and_certificates(b"a", some_key(), LEAF, [MIDDLE], NoEncryption()),
        lambda: pkcs12.serialize_key_and_certificates(
            b"a", some_key(), LEAF, [MIDDLE], BestAvailableEncryption(SECRET.encode())
        ),
    ],
    ids=["PEM with a chain", "ZIP", "PKCS #12", "PKCS #12 with a password"],
)
def test_a_private_key_beside_the_certificate_is_an_error(desk, content):
    desk.settings["passwords"] = [SECRET]
    path = desk.put("bought.pfx", content())
    refused = desk.refusal()
    assert str(path) in refused
    assert refused.endswith(
        "it holds a private key, and keys are made on hosts alone: whoever had this file can pose as the server. Destroy it here and wherever "
        "it came from, have the CA revoke its certificate, and have it sign the request in the outbox"
    )
    assert "PRIVATE KEY-----" not in refused and path.exists()


@pytest.mark.parametrize(
    "content",
    [
        lambda: key_pem(new_key()),
        lambda: key_pem(new_key("RSA")),
        lambda: zipped(server__key=key_pem(new_key())),
        lambda: b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
        lambda: new_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    ],
    ids=["PEM", "RSA", "ZIP", "protected PEM", "DER"],
)
def test_a_private_key_of_somebody_else_keeps_nobody_waiting_from_an_answer(desk, content):
    path = desk.put("stray.key", content())
    (message,) = desk.unused_files()
    assert (
        message.startswith(f"{path}: it holds a private key, and keys are made on hosts alone")
        and "Destroy it here" in message
    )
    assert "PRIVATE KEY-----" not in message and path.exists()
    desk.put("answer.pem", to_pem(CHAIN))
    issued = desk.ask()
    assert issued.chain == CHAIN and issued.warnings == [message]


def test_an_unrelated_private_key_is_a_warning(desk):
    desk.put("a.key", key_pem(new_key()))
    desk.put("a.pem", to_pem(CHAIN))
    issued = desk.ask()
    assert issued.chain == CHAIN
    assert len(issued.warnings) == 1 and "it holds a private key" in issued.warnings[0]


def legacy_pfx_with_iterations(number):
    """Return PKCS #12 whose password is to go through so many rounds before anybody knows whether it is right."""
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(0x1234567 // 100)
        .hmac_hash(hashes.SHA256())
        .build(b"other")
    )
    content = pkcs12.serialize_java_truststore([pkcs12.PKCS12Certificate(LEAF, None)], encryption)
    rounds = (0x1234567 // 100).to_bytes(3, "big")
    assert b"\x02\x03" + rounds in content
    return content.replace(b"\x02\x03" + rounds, b"\x02\x03" + (number & 0x7FFFFF).to_bytes(3, "big"))


def bomb():
    """Return an archive of a kilobyte or two that is a hundred megabytes long."""
    return zipped(zeros=b"\0" * 100_000_000)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            lambda: b"Dear customer, we need a phone call.",
            "it holds no certificate in any form that is known here; see what it is",
        ),
        (lambda: b"", "it is empty; see what should have written it"),
        (lambda: os.urandom(2_000_000), "it has 2000000 bytes, and certificates have a few thousand; see what it is"),
        (
            lambda: b"\x1f\x8b" + b"\0" * 100,
            "it is something that is archived in a way that is not read here; put what is in it into",
        ),
        (bomb, "it is an archive of more than 1000 files or 33554432 bytes, as nobody sends certificates; remove it"),
        (
            lambda: zipped(**{f"f{n}": b"x" for n in range(1500)}),
            "it is an archive of more than 1000 files or 33554432 bytes",
        ),
        (
            lambda: zipped(a=zipped(b=zipped(c=zipped(d=der(LEAF))))),
            "it has more than 3 archives within each other; unpack it yourself",
        ),
        (lambda: zipped(a=der(LEAF))[:-30], "it is an archive that cannot be read"),
        (
            lambda: make_csr(some_key(), NAMES, {}),
            "it holds a signing request, which is what the CA gets; put in what the CA",
        ),
        (
            lambda: x509.load_pem_x509_csr(make_csr(some_key(), NAMES, {})).public_bytes(Encoding.DER),
            "it is a signing request",
        ),
        (
            lambda: b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "its block CERTIFICATE is damaged; copy it again from what the CA sent",
        ),
        (
            lambda: legacy_pfx_with_iterations(2**31 - 1),
            "it is PKCS #12 that would take minutes to open, as nobody sends certificates; remove it",
        ),
        (
            lambda: b"-----BEGIN CERTIFICATE-----\n" * 37_000,
            "its block CERTIFICATE is damaged; copy it again from what the CA sent",
        ),
        (lambda: b"A" + b" " * 1_000_000 + b"!", "it holds no certificate in any form that is known here"),
        (
            lambda: pkcs7.serialize_certificates([LEAF], Encoding.DER).replace(EC_KEY, EC_KEY[:-1] + b"\x7f"),
            "its certificate number 1 cannot be read; see it with openssl x509 -text, and leave it out, or copy it again",
        ),
        (
            lambda: der(LEAF)[:200],
            "its certificate number 1 cannot be read; see it with openssl x509 -text, and leave it out, or copy it again",
        ),
        (
            lambda: pkcs12.serialize_key_and_certificates(
                b"a", some_key(), LEAF, [], BestAvailableEncryption(b"other")
            ),
            "it is PKCS #12, and its password is not among those in passwords of the issuer; add that, or have the chain sent as PEM",
        ),
    ],
)
def test_unusable_files_are_named_and_stay(desk, content, sentence):
    desk.settings["passwords"] = [SECRET]
    path = desk.put("strange", content())
    (message,) = desk.unused_files()
    assert message.startswith(f"{path}: {sentence}")
    desk.put("a.pem", to_pem(CHAIN))
    issued = desk.ask()
    assert issued.chain == CHAIN and issued.warnings == [message]
    assert path.exists()


def test_a_folder_that_is_odd_keeps_no_answer_from_being_taken(desk):
    path = desk.inbox
    for _number in range(1500):
        path = path / "a"
        os.mkdir(path)
    (desk.inbox / "closed").mkdir(mode=0o000)
    for number in range(200):
        desk.put(f"letters/{number}.txt", b"Dear customer")
    desk.put("answer.pem", to_pem(CHAIN))
    try:
        issued = desk.ask()
    finally:
        shutil.rmtree(desk.inbox / "letters")
        while path != desk.inbox:
            os.rmdir(path)
            path = path.parent
    assert issued.chain == CHAIN and len(issued.warnings) == 51
    assert issued.warnings[-1].startswith("and ") and issued.warnings[-1].endswith(
        "of that kind in the inbox; see what is put there"
    )


def test_a_deep_folder_is_named(desk):
    desk.put("/".join("abcdefghijklm") + "/answer.pem", to_pem(CHAIN))
    (message,) = desk.unused_files()
    assert (
        message
        == f"{desk.inbox}/{'/'.join('abcdefghijk')}: it lies within more than 10 folders; put what is in it further up"
    )


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "5", "{}", '{"key": 5}', "LINK", "FOLDER", "OTHER", "HALF"],
)
def test_one_record_that_cannot_be_read_keeps_nobody_else_waiting(desk, content):
    desk.ask(make_csr(new_key(), NAMES, {}), host="web2")
    (path,) = (desk.folder / "desk/requests").glob("*.json")
    text = path.read_text()
    if content in ("LINK", "FOLDER"):
        path.unlink()
        path.symlink_to("/etc/hostname") if content == "LINK" else path.mkdir()
    else:
        path.write_text({"OTHER": text.replace("handed_in", "given"), "HALF": text[:200]}.get(content, content))
    (message,) = desk.unused_files()
    assert str(path) in message
    desk.put("answer.pem", to_pem(CHAIN))
    issued = desk.ask()
    assert issued.chain == CHAIN and len(issued.warnings) == 1


def test_links_and_pipes_are_not_followed(desk):
    os.mkfifo(desk.inbox / "pipe")
    (desk.folder / "secret.pem").write_bytes(to_pem(CHAIN))
    (desk.inbox / "link").symlink_to(desk.folder / "secret.pem")
    (desk.inbox / "loop").symlink_to(desk.inbox)
    (desk.inbox / ".DS_Store").write_bytes(b"\0")
    assert desk.unused_files() == [
        f"{desk.inbox}/link: it cannot be read: it is a symbolic link; put the file itself there",
        f"{desk.inbox}/loop: it cannot be read: it is a symbolic link; put the file itself there",
        f"{desk.inbox}/pipe: it is no regular file; remove it",
    ]


def test_an_unreadable_inbox_is_an_error(desk, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    desk.ask()
    monkeypatch.setattr("os.scandir", refuse)
    assert desk.refusal() == (
        f"the inbox {desk.inbox} cannot be read: Permission denied; have it belong to who runs this, or correct inbox of the issuer"
    )


def test_find_pending_changes_nothing(desk):
    assert desk.issuer.find_pending(request_for(), desk.csr, "web1") is None
    assert not (desk.folder / "desk").exists()
    first = desk.ask()
    assert desk.issuer.find_pending(request_for(), desk.csr, "web1") == first._replace(changed=False)
    path = desk.put("a.pem", to_pem(CHAIN))
    assert desk.issuer.find_pending(request_for(), desk.csr, "web1") is None
    assert path.exists()


def test_an_issuer_has_a_folder_of_its_own_name(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    issuers = {"Corporate CA": {"type": "manual"}, "../other": {"type": "manual", "inbox": "~/in"}}
    first, second = (open_issuer(name, issuers) for name in issuers)
    folder = f"{tmp_path}/.evergreen/manual/Corporate_CA"
    assert (first.directory, first.inbox) == (folder, f"{folder}/inbox")
    assert (second.directory, second.inbox) == (f"{tmp_path}/.evergreen/manual/_other", f"{tmp_path}/in")
    assert list(tmp_path.iterdir()) == []


def test_revoking_is_left_to_people(desk):
    with pytest.raises(TlsError) as caught:
        desk.issuer.revoke("abc", "superseded")
    assert str(caught.value) == (
        "a certificate of a CA with people in it is revoked by them; tell them its serial number abc and the reason superseded. "
        f"{desk.issuer.directory}/issued has no record of it, since it was issued before records were kept or from another controller, so nothing "
        "here keeps its host from using it again: have a new one made with -e certificate_force=true first"
    )


def test_the_chain_of_a_public_ca_ends_at_a_root_of_the_system(desk, monkeypatch):
    del desk.settings["roots"]
    monkeypatch.setenv("SSL_CERT_FILE", str(desk.folder / "roots.pem"))
    desk.put("a.pem", to_pem(SHUFFLED))
    assert desk.ask().chain == CHAIN
    assert parse_chain(ROOT.pem)


@pytest.mark.parametrize("step", ["remove", "write_bundle", "_close", "put"])
@pytest.mark.parametrize("moment", ["handed in", "answered", "withdrawn"])
def test_a_run_that_is_killed_at_any_step_is_completed_by_the_next(desk, monkeypatch, step, moment):
    def die(*_arguments, **_more):
        raise KeyboardInterrupt

    owner = Queue if step == "_close" else Outbox
    desk.settings["bundle"] = True
    if moment != "handed in":
        desk.ask()
    if moment == "answered":
        desk.put("a.pem", to_pem(CHAIN))
    work = (lambda: desk.issuer.withdraw("web1", "www")) if moment == "withdrawn" else desk.ask
    with monkeypatch.context() as dying:
        dying.setattr(owner, step, die)
        with contextlib.suppress(KeyboardInterrupt):
            work()
    result = work()
    if moment == "answered":
        assert result.chain == CHAIN
    if moment == "handed in":
        assert isinstance(result, Pending) and "requests.zip" in desk.files() and len(desk.files()) == 4
    else:
        assert desk.files() == [] and desk.issuer.pending_names("web1") == []
