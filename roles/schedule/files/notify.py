# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell people that a run of a schedule failed: by a command, a mail, a webhook, or several of them.

The settings are a file, since they may hold passwords. Whoever cannot be told does not keep the others from being told.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import email.message
import email.utils
import http.client
import json
import os
import pathlib
import shlex
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import typing as t
import urllib.error
import urllib.parse
import urllib.request

ANSWER_TIMEOUT_S = 30.0  # for each answer of a server
COMMAND_TIMEOUT_S = 150.0
CHANNEL_TIMEOUT_S = 180.0  # for all of a channel; systemd gives ten minutes to all of them
MAX_LOG_LINES = 200
FAILURE = "d9b373ed55a64feb8242e02dbe79a49c"  # what systemd says when a unit has failed (sd-messages.h)
MAX_TEXT_CHARACTERS = 300  # of what servers say
# Joiners and spaces that are kept beside what is printable, as plugin_utils/_terminal.py keeps them.
KEPT = "\u200c\u200d\u00a0\u2009\u202f\u3000"
Settings = dict[str, t.Any]


class NotifyError(Exception):
    """A sentence that says who could not be told, and why, and ends in what to do."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What there is to notify."""

    host: str
    unit: str
    time: str
    log: str

    @property
    def headline(self) -> str:
        """The failure in one line."""
        return f"{self.unit} failed on {self.host}"

    @property
    def text(self) -> str:
        """The failure as people read it."""
        return f"{self.headline} at {self.time}. Its log ends like this:\n\n{self.log}\n"


def run_command(command: str, report: Report) -> None:
    """Give the report to a command, as text and in its environment."""
    words = {"HOST": report.host, "UNIT": report.unit, "TIME": report.time}
    environment = {**os.environ, **{f"EVERGREEN_{name}": value for name, value in words.items()}}
    try:
        done = subprocess.run(
            shlex.split(command), input=report.text, env=environment, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NotifyError(
            f"the command cannot be run: {reason_of(error)}; correct schedule_on_failure.command"
        ) from error
    if done.returncode:
        raise NotifyError(f"the command ended with status {done.returncode}; run it by hand to see what it lacks")


def send_mail(mail: Settings, report: Report) -> None:
    """Send the report through a mail server. A password only goes where nobody can listen."""
    host = mail.get("host") or "localhost"
    encrypted, starttls = mail.get("tls", False), mail.get("starttls", False)
    port = int(mail.get("port") or (465 if encrypted else 587 if starttls else 25))
    server = f"the mail server {host}, port {port},"
    if mail.get("password") and not (encrypted or starttls or is_loopback(host)):
        raise NotifyError(
            f"{server} would be sent a password in the clear; set schedule_on_failure.mail.starttls or tls"
        )
    trust = ssl.create_default_context()
    try:
        with (
            smtplib.SMTP_SSL(host, port, timeout=ANSWER_TIMEOUT_S, context=trust)
            if encrypted
            else smtplib.SMTP(host, port, timeout=ANSWER_TIMEOUT_S)
        ) as connection:
            if starttls:
                connection.starttls(context=trust)
            if mail.get("user"):
                connection.login(mail["user"], mail.get("password", ""))
            refused = connection.send_message(letter(mail, report))
    except smtplib.SMTPAuthenticationError as error:
        raise NotifyError(
            f"{server} does not know the user or the password; correct schedule_on_failure.mail"
        ) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotifyError(
            f"{server} did not take the mail: {reason_of(error)}; correct schedule_on_failure.mail"
        ) from error
    if refused:
        raise NotifyError(f"{server} refuses {', '.join(sorted(refused))}; correct schedule_on_failure.mail.to")


def letter(mail: Settings, report: Report) -> email.message.EmailMessage:
    """Return the report as a mail."""
    message = email.message.EmailMessage()
    message["Subject"] = report.headline
    message["From"] = mail.get("from") or f"evergreen@{report.host}"
    message["To"] = ", ".join(as_list(mail["to"]))
    message["Date"] = email.utils.localtime()
    message["Message-ID"] = email.utils.make_msgid(domain=report.host)
    message["Auto-Submitted"] = "auto-generated"  # so that nobody's holiday notice answers
    message.set_content(report.text)
    return message


def call_webhook(webhook: Settings, report: Report) -> None:
    """Post the report as JSON. The address may be a secret, so complaints only name its host."""
    address = urllib.parse.urlsplit(webhook["url"])
    place = f"the webhook at {address.hostname}"
    if address.scheme not in ("http", "https") or not address.hostname:
        raise NotifyError("the webhook is no address of http or https; correct schedule_on_failure.webhook.url")
    body = {**dataclasses.asdict(report), "text": report.text}
    headers = {"Content-Type": "application/json", **webhook.get("headers", {})}
    request = urllib.request.Request(webhook["url"], json.dumps(body).encode(), headers, method="POST")
    try:
        urllib.request.build_opener(NoDetour).open(request, timeout=ANSWER_TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        raise NotifyError(
            f"{place} answered {error.code} {shorten(str(error.reason))}; correct schedule_on_failure.webhook"
        ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotifyError(
            f"{place} was not reached: {reason_of(error)}; correct schedule_on_failure.webhook"
        ) from error


class NoDetour(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: a redirected POST would arrive without its body, and its headers with somebody else."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None


CHANNELS: dict[str, t.Callable[[t.Any, Report], None]] = {
    "command": run_command,
    "mail": send_mail,
    "webhook": call_webhook,
}


def is_loopback(host: str) -> bool:
    """Say whether a mail server is this machine."""
    return host in ("localhost", "::1") or host.startswith("127.")


def as_list(value: t.Any) -> list[str]:
    """Return one or several recipients as a list."""
    return [value] if isinstance(value, str) else list(value)


def reason_of(error: Exception) -> str:
    """Return what went wrong, without the full stop that some libraries put."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, Exception):
        error = inner
    return shorten(str(getattr(error, "strerror", None) or error or type(error).__name__)).rstrip(".")


def escape(text: str) -> str:
    """Return a text with "?" for each control character, and for those that change the direction of text."""
    return "".join(
        character if character.isprintable() or character in KEPT or character in "\n\t" else "?" for character in text
    )


def shorten(text: str) -> str:
    """Return the beginning of what a server says."""
    return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[: MAX_TEXT_CHARACTERS - 1]}…"


def notify(settings: Settings, report: Report) -> list[str]:
    """Tell everybody; return the complaints."""
    complaints = []
    for name, channel in CHANNELS.items():
        if settings.get(name):
            complaints += notify_in_time(name, channel, settings[name], report)
    return complaints


def notify_in_time(name: str, channel: t.Callable[[t.Any, Report], None], setting: t.Any, report: Report) -> list[str]:
    """Tell those behind one channel; return what is to complain of. A server that answers byte by byte is not waited for."""
    complaints: list[str] = []

    def run() -> None:
        try:
            channel(setting, report)
        except NotifyError as error:
            complaints.append(escape(str(error)))
        except Exception as error:  # Settings can be wrong in ways that only a library below knows.
            complaints.append(f"{name} met {type(error).__name__}; correct schedule_on_failure.{name}")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(CHANNEL_TIMEOUT_S)
    if thread.is_alive():
        return [
            f"{name} has not ended within {CHANNEL_TIMEOUT_S:.0f} seconds; see what answers there, or correct schedule_on_failure.{name}"
        ]
    return complaints


def journal_of(unit: str) -> str:
    """Return what systemd's journal holds of the run of a service that failed."""
    identity = failed_run_of(unit)
    chosen = [f"_SYSTEMD_INVOCATION_ID={identity}", "+", f"INVOCATION_ID={identity}"]
    return output_of("journalctl", "--quiet", "--no-pager", "--output=cat", f"--lines={MAX_LOG_LINES}", *chosen)


def failed_run_of(unit: str) -> str:
    """Return how systemd calls the last run of a service that it has said to have failed; the next may have begun meanwhile."""
    chosen = [f"MESSAGE_ID={FAILURE}", f"UNIT={unit}.service"]
    try:
        entry = json.loads(output_of("journalctl", "--quiet", "--no-pager", "--output=json", "--lines=1", *chosen))
        return str(entry["INVOCATION_ID"])
    except (ValueError, KeyError, TypeError):  # the journal is of an older systemd, or of somebody else
        return output_of("systemctl", "show", "--property=InvocationID", "--value", f"{unit}.service").strip()


def output_of(*words: str) -> str:
    """Return what a program prints, or why there is nothing."""
    try:
        return subprocess.run(words, capture_output=True, text=True, errors="replace", check=False).stdout
    except OSError as error:
        return f"{words[0]}: {reason_of(error)}"


def last_lines(text: str) -> str:
    """Return the end of a log."""
    return "\n".join(text.rstrip().splitlines()[-MAX_LOG_LINES:]) or "(There is none.)"


def main(arguments: list[str] | None = None) -> None:
    """Tell everybody that a unit failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=pathlib.Path, required=True, help="whom to tell, in JSON")
    parser.add_argument("--log", type=pathlib.Path, help="the log of the run; by default it is in the journal")
    parser.add_argument("unit", help="what failed")
    given = parser.parse_args(arguments)
    try:
        settings = json.loads(given.settings.read_text(encoding="utf-8"))
        log = given.log.read_text(encoding="utf-8", errors="replace") if given.log else journal_of(given.unit)
    except (OSError, ValueError) as error:
        sys.exit(
            f"Nobody was told, since {given.settings} or the log cannot be read: {error}; run evergreen.tls.schedule again"
        )
    now = datetime.datetime.now(datetime.timezone.utc)
    report = Report(
        socket.gethostname(), escape(given.unit), now.isoformat(timespec="seconds"), escape(last_lines(log))
    )
    complaints = notify(settings, report)
    if complaints:
        sys.exit("\n".join(f"Not everybody was told: {complaint}." for complaint in complaints))
    told = ", ".join(name for name in CHANNELS if settings.get(name))
    result = f"told by {told}" if told else "nobody is told, since schedule_on_failure is empty"
    sys.stdout.write(f"{report.headline}; {result}.\n")


if __name__ == "__main__":
    main()
