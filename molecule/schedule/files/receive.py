# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A mail server with STARTTLS and passwords, and a webhook: they write what they get into files of the current folder."""

import http.server
import pathlib
import ssl
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult


class Webhook(http.server.BaseHTTPRequestHandler):
    """Keeps the body of each request to the right address, with the right token."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = self.path == "/hooks/Hook-Secret" and self.headers["Authorization"] == "Bearer Token-Secret"
        if known:
            with open("hooks.jsonl", "ab") as stream:
                stream.write(body + b"\n")
        self.send_response(200 if known else 403)
        self.end_headers()

    def log_message(self, *_words):
        """Keep the address out of the journal, in which the secrets of the schedule are looked for."""


class MailServer(Controller):
    """Takes mails of those who log in over an encrypted connection."""

    def factory(self):
        trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trust.load_cert_chain("server.pem", "server.key")
        return SMTP(self.handler, tls_context=trust, require_starttls=True, auth_required=True, authenticator=is_known)


def is_known(_server, _session, _envelope, _mechanism, data):
    return AuthResult(success=data.login == b"schedule" and data.password == b"Mail-Secret", handled=False)


MailServer(Mailbox(pathlib.Path("mails")), hostname="", port=587).start()
threading.Thread(target=http.server.HTTPServer(("", 8080), Webhook).serve_forever).start()
