# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates are read from files of every form, as openssl, Windows, mail programs, APIs and word processors write them."""

from __future__ import annotations

import base64
import email.message
import io
import json
import time
import urllib.parse
import zipfile

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.file_formats import read_certificate_file
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.certificate_files import read_certificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import check_issued_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import read_cross_signing
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.roots import read_roots
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.settings_files import unreadable_messages
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW, Authority, key_pem, openssl, some_key

KEY = some_key()
ROOT = Authority("Forms Root CA")
ISSUING = Authority("Forms Issuing CA", above=ROOT)
CHAIN = ISSUING.chain(["www.example.org"], KEY)
REQUEST = {"name": "web", "domains": ["www.example.org"], "type": "ECC", "size": 2048, "curve": "secp256r1"}


def der(certificates):
    return b"".join(one.public_bytes(Encoding.DER) for one in certificates)


def text_of(certificates):
    return to_pem(certificates).decode()


def relabelled(label):
    return lambda certificates: to_pem(certificates).replace(b" CERTIFICATE-", f" {label}-".encode())


def pkcs7_as(label):
    def write(certificates):
        body = base64.encodebytes(pkcs7.serialize_certificates(certificates, Encoding.DER)).decode()
        return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()

    return write


def quoted(certificates):
    lines = text_of(certificates).splitlines()
    return ("Hello,\r\n\r\nhere it is:\r\n> " + "\r\n> ".join(lines) + "\r\n\r\nYour CA\r\n").encode()


def mail(certificates, *, inline=False, nested=False):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "ca@ca.example",
        "ops@example.org",
        "Zertifikat für www.example.org",
    )
    message.set_content(
        "Anbei.\n\n" + (text_of(certificates) if inline else ""), cte="quoted-printable" if inline else None
    )
    if not inline:
        for number, one in enumerate(certificates):
            message.add_attachment(der([one]), maintype="application", subtype="pkix-cert", filename=f"{number}.cer")
    if nested:
        outer = email.message.EmailMessage()
        outer["From"], outer["Subject"] = "boss@example.org", "Fwd"
        outer.set_content("see below")
        outer.add_attachment(message)
        message = outer
    return message.as_bytes()


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("readme.txt", "thank you")
        archive.writestr("certificates.eml", content)
    return stream.getvalue()


def vault(certificates):
    leaf, *rest = certificates
    data = {"certificate": text_of([leaf]), "ca_chain": [text_of([one]) for one in rest], "serial_number": "17:67"}
    return json.dumps({"request_id": "0", "lease_duration": 0, "data": data}, indent=2).encode()


def with_dashes(dash):
    return lambda certificates: text_of(certificates).replace("-----", dash).encode()


def html_mail(certificates):
    message = email.message.EmailMessage()
    message["From"] = "ca@ca.example"
    message.set_content("See the other part.")
    message.add_alternative(text_of(certificates).replace("\n", "<br>\n"), subtype="html")
    return message.as_bytes()


FORMS = {
    "PEM": to_pem,
    "PEM with CRLF": lambda certificates: to_pem(certificates).replace(b"\n", b"\r\n"),
    "PEM with CR alone": lambda certificates: to_pem(certificates).replace(b"\n", b"\r"),
    "PEM in one line": lambda certificates: to_pem(certificates).replace(b"\n", b" "),
    "PEM with a byte order mark": lambda certificates: b"\xef\xbb\xbf" + to_pem(certificates),
    "PEM between text": lambda certificates: b"subject=CN = www\n\n" + to_pem(certificates) + b"\n# the end \xff\n",
    "PEM that is quoted in a mail": quoted,
    "PEM that is indented": lambda certificates: b"    " + to_pem(certificates).replace(b"\n", b"\n    "),
    "UTF-16 of PowerShell": lambda certificates: text_of(certificates).encode("utf-16"),
    "UTF-16 without a mark": lambda certificates: text_of(certificates).encode("utf-16-le"),
    "UTF-16 of the other order": lambda certificates: b"\xfe\xff" + text_of(certificates).encode("utf-16-be"),
    "X509 CERTIFICATE": relabelled("X509 CERTIFICATE"),
    "another label": relabelled("CERTIFICATE CHAIN"),
    "a label of nobody": relabelled("OUR CA"),
    "PKCS #7": pkcs7_as("PKCS7"),
    "PKCS #7 that is called CERTIFICATE": pkcs7_as("CERTIFICATE"),
    "PKCS #7 that is called CMS": pkcs7_as("CMS"),
    "PKCS #7 in DER": lambda certificates: pkcs7.serialize_certificates(certificates, Encoding.DER),
    "bare Base64 of PKCS #7": lambda certificates: base64.encodebytes(
        pkcs7.serialize_certificates(certificates, Encoding.DER)
    ),
    "several DER": der,
    "Base64 of several DER": lambda certificates: base64.b64encode(der(certificates)),
    "JSON of Vault": vault,
    "JSON with Base64 of DER": lambda certificates: json.dumps(
        [base64.b64encode(der([one])).decode() for one in certificates]
    ).encode(),
    "JSON in JSON": lambda certificates: json.dumps({"body": vault(certificates).decode()}).encode(),
    "a JSON string": lambda certificates: json.dumps(text_of(certificates)).encode(),
    "written line breaks": lambda certificates: to_pem(certificates).replace(b"\n", b"\\n"),
    "written line breaks of Windows": lambda certificates: to_pem(certificates).replace(b"\n", b"\\r\\n"),
    "half of a JSON document": lambda certificates: vault(certificates)[:-20],
    "typographic dashes": with_dashes("–––––"),
    "an em dash for each two hyphens": with_dashes("——-"),
    "PEM without any line break": lambda certificates: to_pem(certificates).replace(b"\n", b""),
    "PEM in lower-case lines": lambda certificates: (
        to_pem(certificates)
        .replace(b"BEGIN CERTIFICATE", b"begin certificate")
        .replace(b"END CERTIFICATE", b"end certificate")
    ),
    "non-breaking spaces": lambda certificates: text_of(certificates).replace(" ", "\u00a0").encode(),
    "fullwidth dashes": with_dashes("\uff0d" * 5),
    "UTF-16 of the other order without a mark": lambda certificates: text_of(certificates).encode("utf-16-be"),
    "UTF-32": lambda certificates: text_of(certificates).encode("utf-32"),
    "several DER on lines": lambda certificates: b"\r\n".join(der([one]) for one in certificates) + b"\r\n",
    "DER before PEM": lambda certificates: der(certificates[:1]) + to_pem(certificates[1:]),
    "PEM before DER": lambda certificates: to_pem(certificates[:1]) + der(certificates[1:]),
    "Base64 of each DER": lambda certificates: b"\n".join(base64.encodebytes(der([one])) for one in certificates),
    "Base64 for URLs": lambda certificates: base64.urlsafe_b64encode(der(certificates)).rstrip(b"="),
    "Base64 of PEM": lambda certificates: base64.encodebytes(to_pem(certificates)),
    "a Secret of Kubernetes": lambda certificates: (
        b"kind: Secret\ndata:\n  tls.crt: " + base64.b64encode(to_pem(certificates)) + b"\n  tls.key: bm8=\n"
    ),
    "XML": lambda certificates: b"".join(
        b"<ds:X509Certificate>\n" + base64.encodebytes(der([one])) + b"</ds:X509Certificate>" for one in certificates
    ),
    "JSON with a list of lines": lambda certificates: json.dumps([text_of(certificates).splitlines()]).encode(),
    "codes of a URL": lambda certificates: urllib.parse.quote(text_of(certificates)).encode(),
    "a form of a browser": lambda certificates: b"cert=" + urllib.parse.quote_plus(text_of(certificates)).encode(),
    "HTML with line breaks": lambda certificates: b"<p>" + to_pem(certificates).replace(b"\n", b"<br />\n") + b"</p>",
    "HTML in one line": lambda certificates: b"<p>" + to_pem(certificates).replace(b"\n", b"</p><p>") + b"</p>",
    "HTML with entities": lambda certificates: (
        to_pem(certificates).replace(b"+", b"&#43;").replace(b"/", b"&#x2F;").replace(b"-", b"&#45;")
    ),
    "RTF": lambda certificates: b"{\\rtf1\\ansi " + to_pem(certificates).replace(b"\n", b"\\par\n") + b"}",
    "strings of JavaScript": lambda certificates: b" +\n".join(
        b'"' + line + b'\\n"' for line in to_pem(certificates).splitlines()
    ),
    "a difference": lambda certificates: b"".join(b"+" + line + b"\n" for line in to_pem(certificates).splitlines()),
    "a comment": lambda certificates: b"".join(b"// " + line + b"\n" for line in to_pem(certificates).splitlines()),
    "colours of a terminal": lambda certificates: to_pem(certificates).replace(b"\n", b"\x1b[0m\n\x1b[32m"),
    "numbered lines": lambda certificates: b"".join(
        b"%4d  %s\n" % (number, line) for number, line in enumerate(to_pem(certificates).splitlines())
    ),
    "dashes of Windows": lambda certificates: to_pem(certificates).replace(b"-----", b"\x96\x96\x96\x96\x96"),
}
CONTROLLER_FORMS = {
    "a mail with attachments": mail,
    "a mail with text in quoted-printable": lambda certificates: mail(certificates, inline=True),
    "a mail in a mail": lambda certificates: mail(certificates, nested=True),
    "a mail in an archive": lambda certificates: zipped(mail(certificates)),
    "a mail in HTML": html_mail,
    "a mail with a header of nobody": lambda certificates: b"X0-Odd: 1\n" + mail(certificates),
    "a mail after empty lines": lambda certificates: b"\r\n\n" + mail(certificates),
    "a mailbox": lambda certificates: b"From ca@ca.example Mon Nov 30 12:00:00 2026\n" + mail(certificates),
}
ALL_FORMS = {**FORMS, **CONTROLLER_FORMS}


@pytest.mark.parametrize("form", FORMS)
def test_a_host_reads_it(form):
    contents = read_certificate_file(FORMS[form](CHAIN))
    assert sorted(map(str, contents.certificates)) == sorted(map(str, CHAIN))
    assert contents.messages == [] and not contents.has_private_key


@pytest.mark.parametrize("form", ALL_FORMS)
def test_it_is_an_answer_of_a_ca(form):
    assert check_issued_chain(ALL_FORMS[form](CHAIN), KEY.public_key(), REQUEST, ROOT.pem, NOW) == CHAIN


@pytest.mark.parametrize("form", ALL_FORMS)
def test_it_is_a_file_of_roots_and_of_chain_extra(tmp_path, form):
    path = tmp_path / "roots"
    path.write_bytes(ALL_FORMS[form]([ROOT.certificate]))
    assert read_roots(str(path)) == ROOT.pem
    path.write_bytes(ALL_FORMS[form]([ISSUING.certificate]))
    assert read_cross_signing({"chain_extra": str(path)}).extra == (ISSUING.certificate,)


@pytest.mark.parametrize("arguments", [("-addtrust", "serverAuth", "-trustout"), ("-outform", "der"), ("-text",)])
def test_what_openssl_writes_of_a_root_is_read(tmp_path, arguments):
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    openssl(tmp_path, "x509", "-in", "root.pem", "-out", "out", *arguments)
    assert read_roots(str(tmp_path / "out")) == ROOT.pem


def test_pem_itself_may_stand_where_a_path_is_expected():
    assert read_roots(ROOT.pem.decode()) == ROOT.pem
    assert read_cross_signing({"chain_extra": ISSUING.pem.decode()}).extra == (ISSUING.certificate,)
    with pytest.raises(
        TlsError, match="^roots: the text: its block CERTIFICATE is damaged; copy it again from what the CA sent$"
    ):
        read_roots(ROOT.pem.decode()[:-30])


@pytest.mark.parametrize("first", [True, False])
def test_a_member_that_cannot_be_read_is_passed_over_and_named(tmp_path, first):
    broken = Authority("Broken").pem.replace(b"MII", b"MIX", 1)
    path = tmp_path / "roots.pem"
    path.write_bytes(broken + ROOT.pem if first else ROOT.pem + broken)
    assert read_roots(str(path)) == ROOT.pem
    message = "its block CERTIFICATE is damaged; copy it again from what the CA sent"
    assert unreadable_messages({"roots": str(path)}) == [f"roots: {path}: {message}"]
    answer = to_pem(CHAIN) + broken if first else broken + to_pem(CHAIN)
    assert check_issued_chain(answer, KEY.public_key(), REQUEST, ROOT.pem, NOW) == CHAIN


@pytest.mark.parametrize(
    "form", ["PEM", "JSON of Vault", "UTF-16 of PowerShell", "a mail with text in quoted-printable"]
)
def test_a_private_key_is_seen_in_every_form(form):
    content = ALL_FORMS[form](CHAIN)
    key = key_pem(KEY).decode()
    if form.startswith("JSON"):
        content = json.dumps({"key": key, **json.loads(content)}).encode()
    elif form.startswith("UTF-16"):
        content += key.encode("utf-16-le")
    else:
        content += b"\n" + key.encode()
    with pytest.raises(TlsError, match="the answer holds a private key, and keys are made on hosts alone; destroy it"):
        check_issued_chain(content, KEY.public_key(), REQUEST, ROOT.pem, NOW)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty; see what should have written it"),
        (
            b'{"errors": ["permission denied"]}',
            "it holds no certificate in any form that is known here; see what it is",
        ),
        (
            b"From: a@b\nSubject: c\n\nno news\n",
            "it holds no certificate in any form that is known here; see what it is",
        ),
        (
            b"From: a@b\nContent-Type: multipart/mixed; boundary=x\n" + b"\n--x\n" * 2000,
            "it is a mail with too much in it; put the files that it brings into the inbox instead",
        ),
    ],
)
def test_what_holds_none_is_told_as_it_is(content, message):
    assert read_certificates(content).messages == [message]


@pytest.mark.parametrize(
    "content",
    [
        *(b"-" * 1_000_000, b"MII" * 330_000, b"A=" * 500_000, b"<" * 1_000_000, b"&#" * 500_000, b"\x1b[0" * 300_000),
        b"-----BEGIN" + b" " * 900_000,
        b"-----BEGIN X-----\n" * 50_000,
        b"X" * 500_000 + b": ",
    ],
    ids=lambda content: content[:12].decode(),
)
def test_a_file_of_nothing_takes_seconds(content):
    start = time.monotonic()
    assert read_certificate_file(content).certificates == []
    assert time.monotonic() - start < 20


def test_what_is_written_is_the_same_certificates(tmp_path):
    for number, form in enumerate(ALL_FORMS):
        path = tmp_path / str(number)
        path.write_bytes(ALL_FORMS[form](CHAIN[1:]))
        assert parse_chain(read_roots(str(path))) == CHAIN[1:], form
    assert number > 30
