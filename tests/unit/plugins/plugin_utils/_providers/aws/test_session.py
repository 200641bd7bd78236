# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts of type aws: where credentials come from, what fails in which words, and what is never logged."""

from __future__ import annotations

import base64
import logging
import subprocess
import sys

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import write_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import find_account
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws import client as client_module
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.acm import AcmCertificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession
from ansible_collections.evergreen.tls.tests.cloud.aws.server import Refusal
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

ROLE = "arn:aws:iam::123456789012:role/evergreen"


def error_of(settings, service="acm", action="ListCertificates"):
    with pytest.raises(TlsError) as caught:
        AwsSession("shop", settings).client(service).call(action)
    return str(caught.value)


def key_of_last_call(cloud, settings):
    """Return the access key with which a call was signed."""
    keys = []
    cloud._check_list_certificates = lambda call: keys.append(call.access_key)
    AwsSession("shop", settings).client("acm").call("ListCertificates")
    return keys[-1]


def test_keys_come_from_the_account(cloud, settings):
    assert key_of_last_call(cloud, settings) == "AKIAEXAMPLE"


def test_keys_come_from_the_environment_if_the_account_has_none(cloud, settings, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert key_of_last_call(cloud, {**settings, "access_key": None, "secret_key": None}) == "AKIAENVIRONMENT"


def test_keys_come_from_a_profile(cloud, settings, tmp_path):
    (tmp_path / "credentials").write_text(
        "[web]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\n", encoding="utf-8"
    )
    assert (
        key_of_last_call(cloud, {**settings, "access_key": None, "secret_key": None, "profile": "web"}) == "AKIAPROFILE"
    )


def test_a_role_is_assumed_once_and_its_keys_are_used(cloud, settings):
    session = AwsSession("shop", {**settings, "role_arn": ROLE})
    assert cloud.calls == []  # it is assumed when it is needed
    keys = []
    cloud._check_list_certificates = lambda call: keys.append(call.access_key)
    for _number in range(2):
        session.client("acm").call("ListCertificates")
    assert cloud.actions() == ["AssumeRole", "ListCertificates", "ListCertificates"]
    assert len(set(keys)) == 1 and keys[0].startswith("ASIA")


def test_a_refused_role_is_told(cloud, settings):
    cloud.refusals["AssumeRole"] = Refusal("AccessDenied", "User is not authorized to perform: sts:AssumeRole", 403)
    text = error_of({**settings, "role_arn": ROLE})
    assert "sts:AssumeRole of the account shop" in text and "allow sts:AssumeRole to this key or role" in text


def test_names_of_amazon_aws_are_taken(cloud):
    settings = {
        "type": "aws",
        "access_key": "A",
        "secret_key": "B",
        "endpoint_url": cloud.url,
        "ca_bundle": "/etc/passwd",
    }
    account = find_account("shop", {"shop": settings})
    assert account.settings["endpoint"] == cloud.url and account.settings["ca_file"] == "/etc/passwd"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"secret_key": None}, "the account shop has no secret_key; give it both"),
        ({"access_key": None}, "has no access_key; give it both"),
        ({"access_key": None, "secret_key": None, "session_token": "x"}, "has a session_token without access_key"),
        ({"profile": "web"}, "has both profile and access_key; remove one of them"),
        ({"role_arn": "evergreen"}, "has the role_arn 'evergreen', which is none; write it like arn:aws:iam::"),
        ({"endpoint": "http://cloud.example.org"}, "to which no key may be sent; write one with https://"),
        ({"endpoint": "cloud"}, "to which no key may be sent; write one with https://"),
        (
            {"ca_file": "/nowhere/roots.pem"},
            "names the file /nowhere/roots.pem with roots, which cannot be read; correct ca_bundle",
        ),
        (
            {"access_key": None, "secret_key": None, "profile": "nobody"},
            "correct profile of the account in cloud_accounts",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_sent(cloud, settings, change, sentence):
    with pytest.raises(TlsError) as caught:
        AwsSession("shop", {**settings, **change})
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value).replace("secret_key", "")
    assert cloud.calls == []


def test_an_endpoint_of_the_environment_is_checked_as_well(settings, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://cloud.example.org")
    session = AwsSession("shop", {**settings, "endpoint": None})
    with pytest.raises(TlsError, match="has the endpoint 'http://cloud.example.org', to which no key may be sent"):
        session.client("acm")


def test_a_session_does_not_show_its_settings(session):
    assert repr(session) == "AwsSession('shop')"


def test_missing_credentials_are_told(settings):
    text = error_of({**settings, "access_key": None, "secret_key": None})
    assert text.startswith("acm:ListCertificates of the account shop failed (NoCredentialsError")
    assert "give the account access_key and secret_key or a profile in cloud_accounts" in text


def test_a_missing_region_is_told(settings):
    assert "write the region of the account in cloud_accounts, as in region: eu-central-1" in error_of(
        {**settings, "region": None}
    )


def test_a_missing_library_is_told(tmp_path):
    script = (
        "import sys; sys.modules['boto3'] = None\n"
        "from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws import acm, cloudfront, load_balancer\n"
        "from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession\n"
        "try:\n    AwsSession('shop', {})\nexcept Exception as error:\n    print(type(error).__name__, error)\n"
        "print('botocore' in sys.modules)"
    )
    path = ":".join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    sentence = (
        "accounts of type aws need the Python library boto3 on the controller; run pip install 'boto3 >= 1.34' with the Python of "
        "ansible-playbook"
    )
    assert done.stdout == f"TlsError {sentence}\nFalse\n"


@pytest.mark.parametrize(
    ("code", "status", "remedy"),
    [
        ("UnrecognizedClientException", 400, "correct access_key and secret_key of the account in cloud_accounts"),
        ("SignatureDoesNotMatch", 403, "correct access_key and secret_key"),
        ("RequestExpired", 400, "set the clock of this machine"),
        ("ExpiredTokenException", 400, "the session token is over; get a new one"),
        ("AccessDeniedException", 400, "allow acm:ListCertificates to this key or role; the policy"),
        ("ThrottlingException", 400, "nothing is wrong here; run this again later"),
        ("InternalFailure", 500, "run this again later"),
        ("SomethingElse", 503, "run this again later"),
        ("SomethingNew", 400, "look the code up in the API reference of the service"),
    ],
)
def test_a_refusal_names_the_call_the_code_the_request_and_what_to_do(
    cloud, settings, monkeypatch, code, status, remedy
):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    cloud.refusals["ListCertificates"] = Refusal(code, "the words of AWS", status)
    text = error_of(settings)
    assert text.startswith(
        f"AWS refuses acm:ListCertificates of the account shop: {code} (the words of AWS), request ID 11111111-2222; "
    )
    assert remedy in text


def test_a_clock_that_is_off_is_told_whatever_the_code(cloud, settings):
    message = "Signature expired: 20261130T120000Z is now earlier than 20261130T121500Z"
    cloud.refusals["ListCertificates"] = Refusal("InvalidSignatureException", message)
    assert error_of(settings).endswith("; set the clock of this machine")


def test_text_of_others_is_short_and_quotes_no_encoded_key(cloud, settings):
    cloud.refusals["ListCertificates"] = Refusal(
        "ValidationException", f"Value '{'QUJD' * 500}' at privateKey\x1b[2J {'x ' * 400}"
    )
    text = error_of(settings)
    assert len(text) < 700 and "QUJDQUJD" not in text and "(not shown)" in text


@pytest.mark.parametrize("answer", [b"<html>Welcome to the proxy</html>", b"", b'{"CertificateSummaryList": ', b"[]"])
def test_an_answer_of_something_else_is_told(cloud, session, answer):
    cloud.answers["ListCertificates"] = answer
    with pytest.raises(TlsError) as caught:
        session.client("acm").items("ListCertificates", "CertificateSummaryList")
    assert "acm:ListCertificates of the account shop" in str(caught.value)
    assert "endpoint" in str(caught.value)


def test_html_in_place_of_xml_is_told(cloud, session):
    cloud.answers["ListDistributions"] = b"<html>Welcome to the proxy"
    with pytest.raises(TlsError, match="something other than AWS answers there"):
        session.client("cloudfront").items("ListDistributions", "DistributionList.Items")


def test_a_closed_port_is_told(settings, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    text = error_of({**settings, "endpoint": "http://127.0.0.1:9"})
    assert "EndpointConnectionError" in text and "see that the endpoint can be reached from the controller" in text


def test_a_certificate_of_the_endpoint_that_does_not_verify_is_told(settings, start, authority, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    key = some_key()
    port = start().present(authority.chain(["localhost"], key), key).port
    text = error_of({**settings, "endpoint": f"https://localhost:{port}"})
    assert "does not verify; name the roots of your proxy or endpoint by ca_bundle of the account" in text


def test_a_call_that_gets_no_answer_ends_in_time(cloud, session, monkeypatch):
    monkeypatch.setattr(client_module, "CALL_TIMEOUT_S", 0.3)
    cloud.held.add("ListCertificates")
    with pytest.raises(TlsError, match=r"acm:ListCertificates of the account shop did not end in time"):
        session.client("acm").call("ListCertificates")


def test_what_fails_for_a_moment_is_tried_again_but_an_import_is_not(cloud, session, authority, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    cloud.refusals["ListCertificates"] = cloud.refusals["ImportCertificate"] = Refusal("InternalFailure", "", 500)
    acm = AcmCertificates(session.client("acm"), session.client("resourcegroupstaggingapi"))
    key = some_key()
    for call in (
        lambda: acm.find(authority.chain(["a.example"], key)),
        lambda: acm.upload(authority.chain(["a.example"], key), key, "x"),
    ):
        with pytest.raises(TlsError):
            call()
    assert cloud.actions() == ["ListCertificates"] * 4 + ["ImportCertificate"]


@pytest.mark.parametrize("is_refused", [False, True])
def test_neither_key_nor_secrets_are_in_any_log_or_error(cloud, settings, authority, caplog, is_refused):
    """All that botocore logs at DEBUG is read: for an import that succeeds, and for one that fails."""
    caplog.set_level(logging.DEBUG)
    secrets = []
    cloud._finish_assume_role = lambda _call, body, _kept: secrets.extend(
        body.decode().partition(f"<{name}>")[2].partition("<")[0] for name in ("SecretAccessKey", "SessionToken")
    )
    if is_refused:
        cloud.refusals["ImportCertificate"] = Refusal("ValidationException", "the words of AWS")
    session = AwsSession("shop", {**settings, "secret_key": "a-secret-of-the-account", "role_arn": ROLE})
    acm = AcmCertificates(session.client("acm"), session.client("resourcegroupstaggingapi"))
    key = some_key(kind="RSA")
    texts = []
    try:
        acm.upload(authority.chain(["www.example.org"], key), key, "evergreen/www.example.org/0123456789abcdef")
    except TlsError as error:
        texts += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    logged = "\n".join([*(record.getMessage() for record in caplog.records), caplog.text, *texts])
    assert "Making request for OperationModel(name=ImportCertificate)" in logged  # the log was on
    assert "bytes that are not logged" in logged
    assert len(secrets) == 2 and all(len(secret) > 20 for secret in secrets)
    pem = write_key(key)
    lines = pem.decode().splitlines()[1:-1]
    encoded = base64.b64encode(pem).decode()
    pieces = [*lines, *(encoded[start : start + 60] for start in range(0, len(encoded) - 60, 60))]
    leaked = [piece for piece in [*pieces, *secrets, "a-secret-of-the-account", "PRIVATE KEY"] if piece in logged]
    assert leaked == []
