# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy before an ACME server that fails as it is told: it refuses, cuts off, and holds on to what passes.

It rewrites nothing. An ACME server that names its addresses after the host it was asked by is known by the proxy's address from
then on. From what passes, the proxy learns which step of which order each request is (class StepsOfUrls), and rules (class Rule) say what
becomes of it.

POST /rules     [{"do": "refuse", "step": "newOrder", …}, …] are the rules from now on
POST /release   there are no rules any more, and what is held is cut off
GET  /held      what is held at this moment
GET  /seen      all that has passed, and what was done to it

As a program, it stands in a container of its own in a lab (lab_parts.py) before the server of the directory that it is told.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import email.utils
import http.client
import http.server
import json
import pathlib
import random
import socket
import ssl
import struct
import sys
import threading
import time
import typing as t
import urllib.parse

HOME = pathlib.Path("/lab")
PORT, CONTROL_PORT = 14000, 15000
PROBLEM = "application/problem+json"
SERVER_TIMEOUT_S = 60.0
HOLD_TIMEOUT_S = 600.0
OWN = (
    "connection",
    "transfer-encoding",
    "content-length",
    "keep-alive",
)  # headers of a connection, not of what it carries
ACTIONS = ("refuse", "cut", "halve", "hold")


@dataclasses.dataclass(frozen=True)
class Rule:
    """What becomes of requests at a step of the orders for some names, wherever they are not said: at every step, of all.

    do       refuse: they are answered with *status*, *problem*, and *wait*, after which seconds to come back (as a date with *as_date*)
             cut: the connection is reset · halve: it is reset amid the answer · hold: nothing happens until it is released
    moment   before: the server never hears of them · after: it has done what they ask for
    times    how often at each step of each order
    share    how often otherwise, by a choice that hangs on *seed*, the names, the step, and the how manieth time it is
    """

    do: str
    step: str | None = None
    names: str | None = None
    moment: str = "before"
    status: int = 500
    problem: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    wait: int | None = None
    as_date: bool = False
    times: int | None = None
    share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError unless the rule is valid."""
        if self.do not in ACTIONS or self.moment not in ("before", "after"):
            raise ValueError(
                f"a rule does one of {', '.join(ACTIONS)}, before or after, and not {self.do!r} {self.moment!r}"
            )

    def applies(self, step: str, names: str, moment: str, time_: int) -> bool:
        """Return whether the rule applies to the *time_*-th request at a step, counted from one."""
        if self.moment != moment or self.step not in (None, step) or self.names not in (None, names):
            return False
        if self.times is not None and time_ > self.times:
            return False
        return random.Random(f"{self.seed} {self.do} {self.moment} {names} {step} {time_}").random() < self.share

    def headers(self, now: datetime.datetime) -> dict[str, str]:
        """Return the headers of a refusal."""
        if self.wait is None:
            return {"Content-Type": PROBLEM}
        until = now + datetime.timedelta(seconds=self.wait)
        retry_after = email.utils.format_datetime(until, usegmt=True) if self.as_date else str(self.wait)
        return {"Content-Type": PROBLEM, "Retry-After": retry_after}


class StepsOfUrls:
    """The step of an order that each URL of an ACME server belongs to, learnt from its responses."""

    def __init__(self, directory: str) -> None:
        """Begin with the path of the directory."""
        self.about = {directory: ("directory", "")}
        self.past: set[tuple[str, str]] = set()  # orders, and how far they have come

    def step(self, path: str, content: bytes) -> tuple[str, str]:
        """Return the step that a request is, and the names of its order."""
        step, order = self.about.get(path, ("", ""))
        if step == "newOrder":
            return step, names_of(payload(content))
        if not step:  # there are addresses to which something is added
            return next((name for start, (name, _) in self.about.items() if path.startswith(f"{start}/")), "other"), ""
        if step == "authorization" and ("challenge", order) in self.past:
            step = "validation"
        elif step == "order" and ("finalize", order) in self.past:
            step = "issuance"
        return step, order

    def learn(self, path: str, status: int, headers: t.Mapping[str, str], body: bytes) -> None:
        """Learn the steps of the URLs in a response."""
        document = parsed(body)
        if status >= 400:
            return
        step, order = self.about.get(path, ("", ""))
        if step == "directory":
            self._add([(url, name) for name, url in document.items()], "")
            return
        if step in ("challenge", "finalize"):
            self.past.add((step, order))
        if isinstance(document.get("finalize"), str):
            order = names_of(document)
            if step == "newOrder":
                self.past -= {("challenge", order), ("finalize", order)}
                self._add([(headers.get("Location"), "order")], order)
            self._add([(document["finalize"], "finalize"), (document.get("certificate"), "certificate")], order)
            self._add([(url, "authorization") for url in document.get("authorizations") or []], order)
        elif isinstance(document.get("challenges"), list):
            self._add([(one.get("url"), "challenge") for one in document["challenges"]], order)

    def _add(self, steps: t.Iterable[tuple[t.Any, str]], order: str) -> None:
        for url, step in steps:
            if isinstance(url, str) and url.startswith("https://"):
                self.about[urllib.parse.urlsplit(url).path] = (step, order)


class Proxy:
    """The rules and the log of the proxy."""

    def __init__(self, directory: str, trust: ssl.SSLContext) -> None:
        """Stand before the server of this directory."""
        url = urllib.parse.urlsplit(directory)
        self.server, self.trust = url.netloc, trust
        self.lock, self.steps = threading.Lock(), StepsOfUrls(url.path)
        self.seen: list[dict[str, t.Any]] = []
        self.held: list[dict[str, t.Any]] = []
        self.follow([])

    def follow(self, rules: list[dict[str, t.Any]]) -> None:
        """Replace the rules."""
        made = [Rule(**rule) for rule in rules]
        with self.lock:
            self.rules, self.times = made, dict[tuple[int, str, str], int]()
            self.released = threading.Event()

    def release(self) -> None:
        """Remove all rules, and cut off what is held."""
        released = self.released
        self.follow([])
        released.set()

    def pass_on(self, method: str, path: str, headers: t.Mapping[str, str], content: bytes) -> Answer | None:
        """Return the response to a request, or None if the connection is cut off."""
        with self.lock:
            step, names = self.steps.step(path, content)
            entry = {"number": len(self.seen), "method": method, "step": step, "names": names}
            self.seen.append(entry)
        rule = self.rule(step, names, "before")
        if rule:
            return self.fail(rule, entry, None)
        answer = self.ask(method, path, headers, content)
        entry["status"] = answer.status
        with self.lock:
            self.steps.learn(path, answer.status, answer.headers, answer.body)
        if is_bad_nonce(answer):  # the server has not done what was asked for
            return answer
        rule = self.rule(step, names, "after")
        return self.fail(rule, entry, answer) if rule else answer

    def rule(self, step: str, names: str, moment: str) -> Rule | None:
        """Return the first rule that a request meets with."""
        with self.lock:
            first = None
            for number, rule in enumerate(self.rules):
                place = (number, step, names)
                self.times[place] = self.times.get(place, 0) + (rule.moment == moment)
                if not first and rule.applies(step, names, moment, self.times[place]):
                    first = rule
            return first

    def fail(self, rule: Rule, entry: dict[str, t.Any], answer: Answer | None) -> Answer | None:
        """Apply a rule to a request."""
        entry["done"] = f"{rule.do} {rule.status if rule.do == 'refuse' else rule.moment}"
        print(json.dumps(entry), flush=True)
        if rule.do == "refuse":
            headers = rule.headers(datetime.datetime.now(datetime.timezone.utc))
            return Answer(rule.status, headers, json.dumps(rule.problem).encode(), [])
        if rule.do == "hold":
            released = self.released
            self.held.append(entry)
            released.wait(HOLD_TIMEOUT_S)
            self.held.remove(entry)
        return dataclasses.replace(answer, half=True) if answer and rule.do == "halve" else None

    def ask(self, method: str, path: str, headers: t.Mapping[str, str], content: bytes) -> Answer:
        """Return the response of the server."""
        connection = http.client.HTTPSConnection(self.server, timeout=SERVER_TIMEOUT_S, context=self.trust)
        with contextlib.closing(connection):
            passed = {name: value for name, value in headers.items() if name.lower() not in OWN}
            connection.request(method, path, body=content or None, headers=passed)
            reply = connection.getresponse()
            body = reply.read()
            listed = [(name, value) for name, value in reply.getheaders() if name.lower() not in OWN]
            return Answer(reply.status, reply.headers, body, listed)


@dataclasses.dataclass(frozen=True)
class Answer:
    """A response. listed: the headers one by one. half: whether only half of the body is sent."""

    status: int
    headers: t.Mapping[str, str]
    body: bytes
    listed: list[tuple[str, str]]
    half: bool = False


def listener(address: tuple[str, int], context: ssl.SSLContext, handler: type) -> http.server.ThreadingHTTPServer:
    """Return a server that speaks TLS."""
    server = http.server.ThreadingHTTPServer(address, handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


class Handler(http.server.BaseHTTPRequestHandler):
    """What both servers have in common."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def content(self) -> bytes:
        """Return what comes with a request."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, answer: Answer) -> None:
        """Answer."""
        self.send_response_only(answer.status)
        for name, value in answer.listed or [*answer.headers.items(), ("Date", email.utils.formatdate(usegmt=True))]:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.half else answer.body)

    def cut(self) -> None:
        """Reset the connection, as whatever dies on the way would."""
        self.close_connection = True
        with contextlib.suppress(OSError), socket.socket(fileno=self.connection.detach()) as bare:
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def finish(self) -> None:
        """Part from a connection, which may be cut already."""
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *_words: t.Any) -> None:
        """Log nothing here; fail() logs."""


def passing(proxy: Proxy) -> type[Handler]:
    """Return what answers to clients."""

    class Passing(Handler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_HEAD(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            with contextlib.suppress(OSError):  # whoever asked is gone
                answer = proxy.pass_on(self.command, self.path, self.headers, self.content())
                if answer:
                    self.reply(answer)
                if answer is None or answer.half:
                    self.cut()

    return Passing


def control(proxy: Proxy) -> type[Handler]:
    """Return what answers to whoever says how the proxy is to fail."""

    class Control(Handler):
        def do_POST(self) -> None:
            content, status, message = self.content(), 200, "done"
            if self.path == "/rules":
                try:
                    proxy.follow(json.loads(content))
                except (TypeError, ValueError) as error:
                    status, message = 400, str(error)
            elif self.path == "/release":
                proxy.release()
            else:
                status, message = 404, "there are /rules and /release"
            self.say(status, message)

        def do_GET(self) -> None:
            values = {"/held": proxy.held, "/seen": proxy.seen}
            self.say(200 if self.path in values else 404, values.get(self.path, "there are /held and /seen"))

        def say(self, status: int, value: t.Any) -> None:
            body = json.dumps(value).encode()
            self.reply(Answer(status, {"Content-Type": "application/json"}, body, []))

    return Control


def payload(content: bytes) -> dict[str, t.Any]:
    """Return what a signed request says, whoever signed it."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = json.loads(content)["payload"]
        return parsed(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return {}


def parsed(body: bytes) -> dict[str, t.Any]:
    """Return the object of a document; an empty one where it is none."""
    with contextlib.suppress(ValueError):
        document = json.loads(body)
        return document if isinstance(document, dict) else {}
    return {}


def names_of(order: dict[str, t.Any]) -> str:
    """Return the names of an order as one text."""
    return ",".join(sorted(str(one["value"]) for one in order.get("identifiers") or []))


def is_bad_nonce(answer: Answer) -> bool:
    """Return whether the server refuses a request for its nonce."""
    return answer.status == 400 and str(parsed(answer.body).get("type", "")).endswith(":badNonce")


def serve(proxy: Proxy, context: ssl.SSLContext, host: str, ports: tuple[int, int]) -> list[http.server.HTTPServer]:
    """Start the servers of a proxy, for clients and for its control; return both."""
    servers = [
        listener((host, port), context, handler) for port, handler in zip(ports, (passing(proxy), control(proxy)))
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    return servers


def main() -> None:
    """Stand before the server of the directory that the first argument names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(HOME / "faults.pem"), str(HOME / "faults.key"))
    proxy = Proxy(sys.argv[1], ssl.create_default_context(cafile=str(HOME / "ca.pem")))
    serve(proxy, context, "0.0.0.0", (PORT, CONTROL_PORT))
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
