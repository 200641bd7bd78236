# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who hears of a failed run, by real mail servers and webhooks, and the sentences where somebody does not."""

from __future__ import annotations

import email
import email.policy
import http.server
import importlib.util
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import time

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from ansible_collections.evergreen.tls.plugins.module_utils._text import MAX_TEXT_CHARACTERS
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters
from ansible_collections.evergreen.tls.tests.unit.servers import answering_port
from ansible_collections.evergreen.tls.tests.unit.threaded_server import ThreadedServer

PROGRAM = pathlib.Path(__file__).parents[3] / "roles/schedule/files/notify.py"


def load(path):
    """Return a program as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


notify = load(PROGRAM)
REPORT = notify.Report("controller.example.test", "evergreen-renew", "2026-11-21T12:00:00+00:00", "fatal: [wéb1]: gone")


class Letters:
    """Keeps what a mail server takes, but for one recipient that it does not know."""

    def __init__(self):
        self.taken = []

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.taken.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 OK"


class MailServer(Controller):
    """A mail server on a free port that may ask for encryption and a password."""

    def __init__(self, trust=None):
        super().__init__(Letters(), hostname="127.0.0.1", port=free_port())
        self.trust = trust

    def factory(self):
        locked = {"tls_context": self.trust, "require_starttls": True} if self.trust else {"auth_require_tls": False}
        return SMTP(self.handler, authenticator=is_known, **locked)


def is_known(_server, _session, _envelope, _mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"schedule", b"correct horse"), handled=False)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost, which is its own root."""
    folder = tmp_path_factory.mktemp("certificate")
    names = ["-subj", "/CN=mail", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command, *names], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def mail_server(request, certificate):
    """Start mail servers, which are gone after the test."""

    def start(encrypted=False):
        trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trust.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        server = MailServer(trust if encrypted else None)
        server.start()
        request.addfinalizer(server.stop)
        return server

    return start


@pytest.fixture
def webhook(request):
    """Start a webhook that answers with a status; return its address, and the requests that it gets."""

    def start(status=200, headers=()):
        calls = []

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                calls.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_words):
                pass

        server = ThreadedServer(Answer).start()
        request.addfinalizer(server.stop)
        return f"http://127.0.0.1:{server.server_port}/hooks/secret", calls

    return start


def mail_settings(server, **more):
    return {"to": "ops@example.test", "host": "127.0.0.1", "port": server.port, **more}


def test_a_mail_says_what_failed_where_and_how():
    letter = notify.letter({"to": ["ops@example.test", "second@example.test"]}, REPORT)
    assert letter["Subject"] == "evergreen-renew failed on controller.example.test"
    assert letter["From"] == "evergreen@controller.example.test"
    assert letter["To"] == "ops@example.test, second@example.test"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "at 2026-11-21T12:00:00+00:00. Its log ends like this:\n\nfatal: [wéb1]: gone" in letter.get_content()


def test_a_mail_is_delivered(mail_server):
    server = mail_server()
    notify.send_mail(mail_settings(server, **{"from": "schedule@example.test"}), REPORT)
    [(recipients, letter)] = server.handler.taken
    assert recipients == ["ops@example.test"]
    assert letter["From"] == "schedule@example.test"
    assert "fatal: [wéb1]: gone" in letter.get_content()


def test_a_mail_is_delivered_over_an_encrypted_connection_to_who_knows_the_password(
    mail_server, certificate, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    server = mail_server(encrypted=True)
    notify.send_mail(mail_settings(server, starttls=True, user="schedule", password="correct horse"), REPORT)
    assert len(server.handler.taken) == 1


def test_a_mail_server_that_nobody_vouches_for_is_not_believed(mail_server):
    server = mail_server(encrypted=True)
    with pytest.raises(
        notify.NotifyError, match=r"did not take the mail: .*certificate.*; correct schedule_on_failure.mail"
    ):
        notify.send_mail(mail_settings(server, starttls=True), REPORT)
    assert not server.handler.taken


def test_a_wrong_password_is_called_that_without_being_repeated(mail_server):
    server = mail_server()
    with pytest.raises(notify.NotifyError, match="does not know the user or the password") as refusal:
        notify.send_mail(mail_settings(server, user="schedule", password="wrong horse"), REPORT)
    assert "horse" not in str(refusal.value)


def test_a_password_goes_nowhere_in_the_clear():
    mail = {"to": "ops@example.test", "host": "mail.example.test", "user": "schedule", "password": "correct horse"}
    with pytest.raises(notify.NotifyError, match=r"would be sent a password in the clear; set .*starttls or tls"):
        notify.send_mail(mail, REPORT)


def test_a_recipient_that_is_not_known_is_named_and_the_others_get_their_mail(mail_server):
    server = mail_server()
    with pytest.raises(notify.NotifyError, match=r"refuses nobody@example.test; correct schedule_on_failure.mail.to"):
        notify.send_mail({**mail_settings(server), "to": ["nobody@example.test", "ops@example.test"]}, REPORT)
    assert len(server.handler.taken) == 1


def test_a_mail_server_that_does_not_run_is_named():
    port = free_port()
    with pytest.raises(
        notify.NotifyError, match=f"127.0.0.1, port {port}, did not take the mail: Connection refused; correct"
    ):
        notify.send_mail({"to": "ops@example.test", "host": "127.0.0.1", "port": port}, REPORT)


def test_a_webhook_gets_json_and_the_headers_that_it_wants(webhook):
    address, calls = webhook()
    notify.call_webhook({"url": address, "headers": {"Authorization": "Bearer token"}}, REPORT)
    [(path, headers, body)] = calls
    assert path == "/hooks/secret"
    assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer token", "application/json")
    assert json.loads(body) == {
        "host": REPORT.host,
        "unit": REPORT.unit,
        "time": REPORT.time,
        "log": REPORT.log,
        "text": REPORT.text,
    }


@pytest.mark.parametrize("status", [302, 403, 500])
def test_a_webhook_that_refuses_is_named_without_its_secret(webhook, status):
    address, calls = webhook(status, [("Location", "http://127.0.0.1:9/elsewhere")])
    with pytest.raises(notify.NotifyError, match=f"the webhook at 127.0.0.1 answered {status} .*; correct") as refusal:
        notify.call_webhook({"url": address}, REPORT)
    assert len(calls) == 1
    assert "secret" not in str(refusal.value)


def test_a_webhook_that_does_not_run_is_named_without_its_secret():
    address = f"http://127.0.0.1:{free_port()}/hooks/secret"
    with pytest.raises(
        notify.NotifyError, match=r"the webhook at 127.0.0.1 was not reached: Connection refused; correct"
    ) as e:
        notify.call_webhook({"url": address}, REPORT)
    assert "secret" not in str(e.value)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://example.test/", "hooks/secret", "http:///secret"])
def test_a_webhook_is_an_address_of_http(address):
    with pytest.raises(notify.NotifyError, match="the webhook is no address of http or https; correct"):
        notify.call_webhook({"url": address}, REPORT)


def test_a_command_gets_the_report_and_its_words(tmp_path):
    script = tmp_path / "command"
    script.write_text('#!/bin/sh\n{ echo "$1|$EVERGREEN_HOST|$EVERGREEN_UNIT|$EVERGREEN_TIME"; cat; } > "$2"\n')
    script.chmod(0o755)
    notify.run_command(f"{script} 'two words; $HOME' {tmp_path}/told", REPORT)
    first, *text = (tmp_path / "told").read_text().splitlines()
    assert first == f"two words; $HOME|{REPORT.host}|{REPORT.unit}|{REPORT.time}"
    assert text == REPORT.text.splitlines()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("false", "ended with status 1; run it by hand"),
        ("/nowhere/command", "cannot be run: No such file or directory; correct schedule_on_failure.command"),
        ("command 'unfinished", "cannot be run: No closing quotation; correct schedule_on_failure.command"),
    ],
)
def test_a_command_that_fails_is_reported(command, sentence):
    with pytest.raises(notify.NotifyError, match=sentence):
        notify.run_command(command, REPORT)


def test_who_cannot_be_told_does_not_keep_the_others_from_being_told(webhook):
    address, calls = webhook()
    messages = notify.notify({"command": "false", "webhook": {"url": address}}, REPORT)
    assert len(calls) == 1
    assert messages == ["the command ended with status 1; run it by hand to see what it lacks"]


@pytest.mark.parametrize("channel", ["mail", "webhook"])
def test_a_server_that_answers_byte_by_byte_does_not_keep_the_others_from_being_told(webhook, monkeypatch, channel):
    monkeypatch.setattr(notify, "CHANNEL_TIMEOUT_S", 1.0)

    def trickle(connection):
        while True:
            connection.sendall(b"2")
            time.sleep(0.1)

    address, calls = webhook()
    with answering_port(trickle) as slow:
        settings = {"mail": {"to": "ops@example.test", "host": "127.0.0.1", "port": slow}, "webhook": {"url": address}}
        if channel == "webhook":
            settings = {"command": "true", "webhook": {"url": f"http://127.0.0.1:{slow}/secret"}}
        started = time.monotonic()
        [message] = notify.notify(settings, REPORT)
    assert message.startswith(f"{channel} has not ended within 1 seconds; see what answers there")
    assert len(calls) == (channel == "mail") and time.monotonic() - started < 5 and "secret" not in message


def test_settings_that_nobody_thought_of_do_not_keep_the_others_from_being_told(mail_server, webhook):
    """A password that SMTP cannot carry, a port that is none, nobody to write to: libraries raise what they like."""
    server, (address, calls) = mail_server(), webhook()
    for wrong in ({"user": "schedule", "password": "pässwörd"}, {"port": "smtp"}, {"to": None}):
        mail = {**mail_settings(server), **wrong}
        [message] = notify.notify({"command": "true", "mail": mail, "webhook": {"url": address}}, REPORT)
        assert message.endswith("; correct schedule_on_failure.mail")
        assert "pässwörd" not in message
    assert len(calls) == 3


@pytest.mark.parametrize("webhook", [{"url": "http://[::1/secret"}, {"headers": {}}, "http://127.0.0.1/secret"])
def test_a_webhook_that_cannot_be_read_is_told_to_the_log_without_its_secret(webhook):
    [message] = notify.notify({"webhook": webhook}, REPORT)
    assert message.endswith("; correct schedule_on_failure.webhook")
    assert "secret" not in message


def run(tmp_path, settings, *words):
    """Run the program as the schedule does."""
    (tmp_path / "settings.json").write_text(settings)
    command = [sys.executable, str(PROGRAM), "--settings", str(tmp_path / "settings.json"), *words, "evergreen-renew"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_program_reads_the_end_of_a_log(tmp_path, webhook):
    address, calls = webhook()
    log = tmp_path / "renew.log"
    log.write_bytes(b"\xff first\n" + b"".join(b"line %d\n" % number for number in range(notify.MAX_LOG_LINES)))
    done = run(tmp_path, json.dumps({"webhook": {"url": address}}), "--log", str(log))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"evergreen-renew failed on {socket.gethostname()}; told by webhook.\n"
    lines = json.loads(calls[0][2])["log"].splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("line 0", f"line {notify.MAX_LOG_LINES - 1}", notify.MAX_LOG_LINES)


@pytest.mark.parametrize(
    ("output", "identity"), [('{"INVOCATION_ID": "0a0a"}', "0a0a"), ("", "0b0b"), ("{}", "0b0b"), ("[]", "0b0b")]
)
def test_the_journal_is_asked_for_the_run_that_failed(tmp_path, monkeypatch, output, identity):
    """The next run may have begun meanwhile; the last one is taken only where the journal does not name the one that failed."""
    journal = f"""case " $* " in *" --output=json "*) echo '{output}';; *) printf "%s\\n" "$@";; esac"""
    for name, script in {"systemctl": "echo 0b0b", "journalctl": journal}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    arguments = notify.journal_of("evergreen-renew").splitlines()
    assert arguments[-3:] == [f"_SYSTEMD_INVOCATION_ID={identity}", "+", f"INVOCATION_ID={identity}"]


def test_the_program_says_that_nobody_is_to_be_told(tmp_path):
    done = run(tmp_path, "{}", "--log", "/dev/null")
    assert done.returncode == 0
    assert "nobody is told, since schedule_on_failure is empty" in done.stdout


def test_the_program_fails_with_sentences_where_somebody_is_not_told(tmp_path):
    done = run(tmp_path, '{"command": "false", "webhook": {"url": "file:///x"}}', "--log", "/dev/null")
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["Not everybody was told"] * 2


@pytest.mark.parametrize("settings", ["", "{", '{"mail":'])
def test_the_program_says_that_its_settings_are_broken(tmp_path, settings):
    done = run(tmp_path, settings, "--log", "/dev/null")
    assert done.returncode == 1
    assert "Nobody was told, since" in done.stderr
    assert done.stderr.rstrip().endswith("run evergreen.tls.schedule again")
    assert "Traceback" not in done.stderr


def test_a_log_is_told_without_control_characters(tmp_path):
    (tmp_path / "log").write_text("a\x1b[2J\tb\n\x9b\u202eübel\n", encoding="utf-8")
    (tmp_path / "settings").write_text(json.dumps({"command": f"tee {tmp_path}/told"}))
    notify.main(["--settings", str(tmp_path / "settings"), "--log", str(tmp_path / "log"), "unit\x1b"])
    told = (tmp_path / "told").read_text(encoding="utf-8")
    assert "a?[2J\tb\n??übel" in told and "unit? failed" in told and "\x1b" not in told


def test_it_escapes_the_characters_that_the_collection_escapes():
    text = "".join(map(chr, range(0x110000)))
    assert notify.escape(text) == escape_control_characters(text, keep_line_breaks=True, keep_tabs=True)


def test_words_of_a_server_are_as_long_as_people_read():
    assert len(notify.reason_of(OSError("a" * 5000))) == notify.MAX_TEXT_CHARACTERS == MAX_TEXT_CHARACTERS
