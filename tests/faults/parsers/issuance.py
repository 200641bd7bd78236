# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what CAs send: chains, files in the inbox, ACME, DNS; and of the files of a private CA."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import json
import os
import shutil
import ssl
import tempfile
import typing as t
import zipfile
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import (
    pkcs7,
    pkcs12,
)

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, error_text, system_error
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance import cache, cross_signing, settings_files
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.certificate_files import read_certificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import (
    check_csr,
    check_issued_chain,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import expect_date
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import (
    local_ca,
    local_ca_records,
    private_authority,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import (
    account_key,
    client,
    directories,
    renewal_info,
    renewal_window,
    resources,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import limited_scopes, retry_after
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.response import Response
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.inbox import InboxFile, unused_file_messages
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.intermediates import ca_issuers_urls
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import command, persist
from ansible_collections.evergreen.tls.tests.faults.parsers.certificates import KEYSTORES
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import (
    Parser,
    decode_text,
    encode_json,
    parse_json,
    signer_of,
)
from ansible_collections.evergreen.tls.tests.faults.parsers.samples import (
    CHAIN,
    CSR,
    CSRS,
    ISSUING,
    KEY,
    KEYS,
    NAMES,
    PEM,
    REQUEST,
    ROOT,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, with_indefinite_lengths


def read_chain_extra(content: bytes) -> None:
    with mock.patch.object(settings_files, "read_file", return_value=content):
        addition = cross_signing.read_cross_signing({"chain_extra": "/extra.pem", "preferred_root": "Old Root"})
    addition.why_other_root(addition.extend_chain(CHAIN, CHAIN), CHAIN)


def read_inbox_file(content: bytes) -> None:
    parsed = read_certificates(content, ["correct horse"])
    assert parsed.certificates or parsed.messages or parsed.has_private_key
    assert all(";" in message for message in parsed.messages)
    unused_file_messages([InboxFile("answer", *parsed)], {})
    for certificate in parsed.certificates:
        ca_issuers_urls(certificate)


def read_problem(value: t.Any) -> None:
    """Read a problem document as the response to an order."""
    refusal = problem("the order", value, 429, retry_after({"Retry-After": "1"}, NOW))
    limited_scopes(refusal.words, ["www.example.org", "*.example.org", "192.0.2.1"])


def read_response(content: bytes) -> None:
    """Read the headers of an ACME response, and its body as each object of ACME and as renewal information."""
    url, text = "https://ca.example", decode_text(content)
    headers = dict.fromkeys(("Retry-After", "Date", "Link", "Location", "Replay-Nonce"), text)
    response = Response(url, 400, headers, content, client.links_of(url, headers))
    client.nonce_of(response)
    assert error_text(ValueError(text)).isprintable(), "what a library says of an answer"
    response.retry_after()
    response.json_or_empty()
    _accept(lambda: response.location("the order"))
    document = response.json()
    _accept(lambda: resources.read_directory(document, url))
    _accept(lambda: resources.names_of_order(resources.read_order(document, url, "the order")))
    _accept(lambda: resources.name_of(resources.read_authorization(document, url, "the order")))
    resources.names_of_order(document)
    window = renewal_window.window(document, NOW)
    if window is not None:
        renewal_window.renewal_instant("a.b", *window)


def read_key_identifiers(content: bytes) -> None:
    """Read the identifier of the key that signed a certificate, for renewal information and to find a private CA."""
    leaf = parse_chain(content)[0]
    renewal_info.certificate_id(leaf)
    private_authority.authority_key_identifier(leaf)


def _accept(read: t.Callable[[], t.Any]) -> None:
    """Read what may be refused, with advice."""
    try:
        read()
    except TlsError as error:
        assert ";" in str(error), error


def read_account_key(content: bytes) -> None:
    """Read a file as the account_key of an issuer."""
    account_key.thumbprint(account_key.load_account_key(content, "account_key of the issuer"))


def read_directory(value: t.Any) -> None:
    """Read a value as the directory of an issuer."""
    directories._directory(value, {})


def read_persistent_record(content: bytes) -> None:
    """Read the text of a persistent record (draft-ietf-acme-dns-persist)."""
    accounts = ["https://ca.example/acct/1"]
    persist.why_not(decode_text(content), ["letsencrypt.org"], accounts, True, NOW.timestamp())


def read_records(value: t.Any) -> None:
    """Have a private CA read this as its record of a certificate, to revoke it and to write the revocation list."""
    ca, serial_number = private_ca()
    path = os.path.join(ca.directory, "issued", f"{serial_number}.json")
    with open(path, encoding="ascii") as stream:
        valid = stream.read()
    with open(path, "w", encoding="ascii") as stream:
        json.dump(value, stream)
    try:
        with mock.patch.object(local_ca, "replace_file"):
            with contextlib.suppress(TlsError):
                ca.revoke(serial_number, "superseded", True)
            with ca._opened() as (key, issuing):
                ca._write_crl(key, issuing)
    finally:
        with open(path, "w", encoding="ascii") as stream:
            stream.write(valid)


def read_ca_files(content: bytes) -> None:
    """Have a private CA read these bytes as its revocation list, its certificates, its key and a record."""
    ca, serial_number = private_ca()
    read_file, errors = local_ca.read_file, []
    for part in ("crl.pem", "issuing.pem", "root.pem", "issuing.key", f"{serial_number}.json"):

        def read_content(path, part=part):
            return content if part in path else read_file(path)

        with (
            mock.patch.object(local_ca, "read_file", read_content),
            mock.patch.object(local_ca_records, "read_file", read_content),
            mock.patch.object(local_ca, "replace_file"),
        ):
            try:
                ca.issue(REQUEST, CSR, "web1")
                ca.roots()
                ca.revoke(serial_number, "superseded", True)
            except TlsError as error:
                errors.append(error)
            except OSError as error:  # of which the actions make a sentence
                errors.append(system_error(error))
    if errors:
        raise errors[0]


@functools.lru_cache(maxsize=None)
def private_ca() -> tuple[local_ca.LocalCa, str]:
    """Return a CA that has issued a certificate, and its serial number."""
    folder = tempfile.mkdtemp(prefix="evergreen-fed-")
    ca = open_issuer("local", {"local": {"type": "local_ca", "directory": folder}})
    ca.record(REQUEST, parse_chain(ca.issue(REQUEST, CSR, "web1")), "web1")
    FOLDERS.append(folder)
    return ca, os.listdir(os.path.join(folder, "issued"))[0].partition(".")[0]


FOLDERS: list[str] = []


def remove_folders() -> None:
    """Remove what private_ca() made."""
    private_ca.cache_clear()
    while FOLDERS:
        shutil.rmtree(FOLDERS.pop())


def read_refusals(value: t.Any) -> None:
    """Read a value as the record of refused answers."""
    entry = cache.CachedChain(cache.IssuedCache("/nowhere"), "/nowhere/x.pem", "/nowhere/x.refused")
    with (
        mock.patch.object(cache, "read_file", return_value=json.dumps(value).encode()),
        mock.patch.object(cache, "replace_file"),
    ):
        entry.record_refusal("it is odd; correct it", NOW)
        entry.check_refusals(NOW)


def read_cached_chain(content: bytes) -> None:
    with mock.patch.object(cache, "read_file", return_value=content):
        entry = cache.CachedChain(cache.IssuedCache("/nowhere"), "/nowhere/x.pem", "/nowhere/x.refused")
        entry.read()


RECORD = {
    "serial_number": "7b",
    "host": "web1",
    "request": "www",
    "names": NAMES,
    "not_after": (NOW + 90 * DAY).isoformat(),
    "issued_at": NOW.isoformat(),
    "revoked_at": None,
    "reason": None,
    "certificate": PEM.decode(),
}


def zipped(content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive with a file in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("chain.pem", content)
    return packed.getvalue()


CERTIFICATES = [*parse_chain(PEM), ROOT.certificate]
INBOX = (
    PEM + ROOT.pem,
    pkcs7.serialize_certificates(CERTIFICATES, serialization.Encoding.DER),
    pkcs7.serialize_certificates(CERTIFICATES, serialization.Encoding.PEM),
    pkcs12.serialize_java_truststore(
        [pkcs12.PKCS12Certificate(one, None) for one in CERTIFICATES],
        serialization.BestAvailableEncryption(b"correct horse"),
    ),
    zipped(PEM),
    base64.encodebytes(ssl.PEM_cert_to_DER_cert(ROOT.pem.decode())),
    zipped(zipped(pkcs7.serialize_certificates(CERTIFICATES, serialization.Encoding.DER)), zipfile.ZIP_DEFLATED),
    x509.load_pem_x509_csr(CSR).public_bytes(serialization.Encoding.DER),
    *(with_indefinite_lengths(keystore, depth) for keystore in KEYSTORES for depth in (2, 9)),
    json.dumps({"chain": [PEM.decode(), ROOT.pem.decode().splitlines()]}).encode(),
    b"<c>" + base64.encodebytes(ssl.PEM_cert_to_DER_cert(ROOT.pem.decode())) + b"</c> \x1b[1m",
    b"<p>" + PEM.replace(b"\n", b"<br>\n").replace(b"-", b"&#45;") + b"</p>",
    b"X-Odd: 1\nMIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(PEM),
    base64.urlsafe_b64encode(ssl.PEM_cert_to_DER_cert(ROOT.pem.decode())),
    PEM + ssl.PEM_cert_to_DER_cert(ROOT.pem.decode()),
)
RECORDS = (RECORD, {**RECORD, "revoked_at": NOW.isoformat(), "reason": "superseded"})
PROBLEMS = (
    {
        "type": "urn:ietf:params:acme:error:rejectedIdentifier",
        "detail": "Error creating new order",
        "status": 400,
        "subproblems": [
            {
                "type": "urn:ietf:params:acme:error:caa",
                "detail": "CAA forbids",
                "identifier": {"type": "dns", "value": "www.example.org"},
            }
        ],
    },
    {
        "type": "urn:ietf:params:acme:error:rateLimited",
        "detail": 'too many for "example.org"',
        "instance": "https://ca.example",
    },
)
RESPONSES = (
    {
        "status": "pending",
        "identifiers": [{"type": "dns", "value": "www.example.org"}, {"type": "ip", "value": "2001:db8::1"}],
        "authorizations": ["https://ca.example/1"],
        "finalize": "https://ca.example/2",
    },
    {"suggestedWindow": {"start": "2026-11-01T00:00:00Z", "end": "2026-11-02T00:00:00.123456789Z"}},
    *PROBLEMS,
)
PERSISTENT_RECORDS = (
    b"letsencrypt.org; accounturi=https://ca.example/acct/1; policy=wildcard; persistUntil=1795000000",
)
DIRECTORIES = (
    {"directory": "https://ca.example/directory", "eab_kid": "kid", "eab_hmac": "aGk", "profile": "shortlived"},
)

ISSUANCE_PARSERS = (
    Parser("issuance/cross_signing", "chain_extra", read_chain_extra, (ISSUING.pem, PEM), "der"),
    Parser(
        "issuance/checks",
        "a signing request of a host",
        lambda content: check_csr(content, REQUEST),
        CSRS,
        "der",
        signer_of(KEY),
    ),
    Parser(
        *(
            "issuance/checks",
            "an issued chain",
            lambda content: check_issued_chain(
                content, KEY.public_key(), {**REQUEST, "strict_profile": True}, ROOT.pem, NOW
            ),
        ),
        *((PEM, ISSUING.pem + PEM + ROOT.pem + PEM), "der", signer_of(ISSUING.key)),
    ),
    Parser(
        "issuance/pending",
        "a time from a host",
        lambda content: expect_date(decode_text(content)),
        (NOW.isoformat().encode(),),
    ),
    Parser("issuance/certificate_files", "a file in the inbox", read_inbox_file, INBOX, "der"),
    Parser(
        "issuance/cache",
        "the record of refused answers",
        parse_json(read_refusals),
        encode_json({"count": 3, "until": (NOW + DAY).isoformat(), "sentence": "it is odd; correct it"}),
        "json",
    ),
    Parser("issuance/cache", "a cached chain", read_cached_chain, (PEM,), "der", signer_of(ISSUING.key)),
    Parser("issuers/local_ca", "records", parse_json(read_records), encode_json(*RECORDS), "json"),
    Parser("issuers/local_ca", "files", read_ca_files, (b"7b", PEM, KEYS[0], *encode_json(RECORD)), "der"),
    Parser("issuers/acme/problems", "a problem document", parse_json(read_problem), encode_json(*PROBLEMS), "json"),
    Parser("issuers/acme/client", "a response of an ACME server", read_response, encode_json(*RESPONSES), "json"),
    Parser("issuers/acme/account_key", "the key of an account", read_account_key, KEYS, "der"),
    Parser(
        *(
            "issuers/acme/renewal_info",
            "a certificate",
            read_key_identifiers,
        ),
        (PEM,),
        "der",
        signer_of(ISSUING.key),
    ),
    Parser("solvers/persist", "a persistent record", read_persistent_record, PERSISTENT_RECORDS),
    Parser(
        *(
            "solvers/command",
            "the command of a solver",
            lambda content: command.argv_of(decode_text(content), "command"),
        ),
        (b"/usr/local/bin/dns 'a b' --now",),
    ),
    Parser(
        "issuers/acme/directories",
        "a directory",
        parse_json(read_directory),
        encode_json("letsencrypt", *DIRECTORIES),
        "json",
    ),
)
