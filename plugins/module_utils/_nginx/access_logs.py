# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where nginx logs the requests of CAs, by its configuration (https://nginx.org/en/docs/http/ngx_http_log_module.html)."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import (
    ServerBlock,
    Statement,
    inside_blocks,
    server_blocks,
    statements_in,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.server_names import blocks_for_name

CHALLENGE_FOLDER = "acme-challenge"  # of a location that answers a CA
HTTP_PORT = 80  # of http-01 (RFC 8555, section 8.3)
MAX_LOGS = 200  # of a configuration, that are read


class AccessLog(t.NamedTuple):
    """A file into which nginx logs requests. obstacle: why not all requests can be read there, empty where they can."""

    path: str
    obstacle: str = ""


class LogPlan(t.NamedTuple):
    """The logs of a host, and why requests for its names may be in none of them."""

    logs: list[AccessLog]  # of all servers: a request may come to another one than it should
    unlogged: list[str]


def plan_logs(files: dict[str, str], main: str, prefix: str, default: str, domains: t.Sequence[str]) -> LogPlan:
    """Return where requests of a CA for these domains may be logged.

    files: the configuration. main: its main file. prefix: of relative paths. default: the log that nginx was built with.
    """
    http = list(inside_blocks(files, main, "http"))
    inherited = _own_logs(http)
    if inherited is None:
        inherited = [["access_log", default]]
    servers: list[list[list[str]]] = []  # in the order of server_blocks()
    every = list(inherited)
    for path, statement in http:
        if statement.words[0] == "server":
            challenge, others = _logs_of_server(files, main, path, statement, inherited)
            servers.append(challenge)
            every += [*challenge, *others]
    logs = {log.path: log for log in (_access_log(words, prefix) for words in every) if log}
    return LogPlan(list(logs.values())[:MAX_LOGS], _unlogged(server_blocks(files, main), servers, domains, prefix))


def _unlogged(
    blocks: list[ServerBlock], servers: list[list[list[str]]], domains: t.Sequence[str], prefix: str
) -> list[str]:
    """Return why requests for the domains may be in no file, once for each reason. servers: the directives of each block."""
    numbers = {id(block): number for number, block in enumerate(blocks)}
    reasons: dict[str, None] = {}
    for domain in domains:
        named = blocks_for_name(blocks, domain, HTTP_PORT)
        others = [block for block in blocks if any(listen.port == HTTP_PORT for listen in block.listens)]
        for block in named[:1] or others:  # one of the others is the default server of an address
            directives = servers[numbers[id(block)]]
            if not any(_access_log(words, prefix) for words in directives):
                reasons[f"the server block at {block.place} logs {_no_file(directives)}"] = None
    return list(reasons)


def _no_file(directives: list[list[str]]) -> str:
    """Return into what a server logs that logs into no file that is known."""
    values = [words[1] for words in directives if len(words) > 1]
    if any(value.startswith("syslog:") for value in values):
        return "to syslog"
    return "into files whose names have variables" if any("$" in value for value in values) else "no requests"


def _logs_of_server(
    files: dict[str, str], main: str, path: str, statement: Statement, inherited: list[list[str]]
) -> tuple[list[list[str]], list[list[str]]]:
    """Return the access_log directives for challenges at a server block, and those of all its other locations."""
    body = statements_in(files, main, path, statement)
    own = _own_logs(body)
    own = inherited if own is None else own
    challenge, others = own, list(own)
    level = [(place, inner) for place, inner in body if inner.block]
    while level:
        place, inner = level.pop()
        members = statements_in(files, main, place, inner)
        found = _own_logs(members)
        if found is not None:
            others += found
            is_location = inner.words[0] == "location" and CHALLENGE_FOLDER in " ".join(inner.words[1:])
            challenge = found if is_location else challenge
        level += [pair for pair in members if pair[1].block]
    return challenge, others


def _own_logs(level: t.Iterable[tuple[str, Statement]]) -> list[list[str]] | None:
    """Return the access_log directives of one level, or None where it inherits those of the level above."""
    own = [inner.words for _path, inner in level if inner.words[0] == "access_log" and len(inner.words) > 1]
    return own or None


def _access_log(words: list[str], prefix: str) -> AccessLog | None:
    """Return the file of a directive; None for C(off), syslog and a name with variables."""
    value, parameters = words[1], words[2:]
    if value == "off" or value.startswith("syslog:") or "$" in value:
        return None
    names = {parameter.partition("=")[0] for parameter in parameters}
    obstacle = ""
    if "gzip" in names:
        obstacle = "is compressed"
    elif names & {"buffer", "flush"}:
        obstacle = "is written later, by its buffer"
    elif "if" in names:
        obstacle = "has only some of the requests, by its condition"
    return AccessLog(os.path.normpath(os.path.join(prefix, value)), obstacle)
