# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what a site serves: a folder, an application behind it, a redirect, or a status code."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

CONTENT_OPTIONS = ("root", "proxy_pass", "redirect", "return_code")

# What may stand in a configuration without quotes.
CONFIG_PATH = re.compile(r"/[\w.,:@%+=~/-]*")
UPSTREAM_URL = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/@%+,=&?\[\]-]*")
REDIRECT_URL = re.compile(r"https?://[A-Za-z0-9\[$][A-Za-z0-9._~:/@%+,=&?\[\]#!*()$-]*")
TIME = re.compile(r"[0-9]{1,9}(?:ms|[smhdwMy])?")  # https://nginx.org/en/docs/syntax.html
ACCESS_LOG = re.compile(r"off|/[\w.,:@%+=~/-]*[\w.,:@%+=~-](?: [A-Za-z0-9_]{1,64})?")
ERROR_LOG = re.compile(r"/[\w.,:@%+=~/-]*[\w.,:@%+=~-](?: (?:debug|info|notice|warn|error|crit|alert|emerg))?")
WEBSOCKET_READ_TIMEOUT = "1h"  # nginx ends a connection on which nothing comes for 60 s, unless it is told otherwise
VARIABLE = re.compile(r"\$(\w*)")  # of nginx


def check_content(site: dict[str, t.Any]) -> None:
    """Raise TlsError unless a site has one of CONTENT_OPTIONS, or C(extra), fit for a configuration."""
    options = [option for option in CONTENT_OPTIONS if site.get(option) is not None]
    if len(options) > 1:
        raise TlsError(f"it has both {' and '.join(options)}; keep one of them")
    if not options and not site.get("extra"):
        raise TlsError(f"it does not say what to answer; give it one of {', '.join(CONTENT_OPTIONS)}, or extra")
    if site["websocket"] and "proxy_pass" not in options:
        raise TlsError("websocket is for sites with proxy_pass; add that or leave out websocket")
    if site.get("root") is not None:
        variables = {"host", "server_name"}
        _check_text("root", site["root"], CONFIG_PATH, variables, "an absolute path without blanks and quotes")
    if site.get("proxy_pass") is not None:
        _check_text("proxy_pass", site["proxy_pass"], UPSTREAM_URL, set(), "a URL such as http://127.0.0.1:8080")
    if site.get("redirect") is not None:
        variables = {"host", "server_name", "request_uri", "args"}
        _check_text("redirect", site["redirect"], REDIRECT_URL, variables, "a URL such as https://www.example.org")
    _check_return_code(site.get("return_code"))
    _check_proxy_read_timeout(site)
    _check_log(
        "access_log", site.get("access_log"), ACCESS_LOG, "off, or an absolute path and, if need be, a log_format"
    )
    _check_log("error_log", site.get("error_log"), ERROR_LOG, "an absolute path and, if need be, a level such as warn")


def _check_text(option: str, text: str, pattern: re.Pattern[str], variables: set[str], description: str) -> None:
    """Raise TlsError unless the text fits the pattern and has no other variables of nginx.

    description: of the pattern, for people.
    """
    without_variables = VARIABLE.sub(lambda match: "V" if match.group(1) in variables else match.group(), text)
    if "$" in without_variables:
        allowed = f"; it takes {', '.join('$' + name for name in sorted(variables))}" if variables else ""
        raise TlsError(f"{option} {text!r} has a variable that does not belong there{allowed}; use extra for more")
    if not pattern.fullmatch(without_variables):
        raise TlsError(f"{option} is {text!r}; write {description}, or use extra for more")


def _check_return_code(code: int | None) -> None:
    if code is not None and (not 200 <= code <= 599 or 300 <= code <= 399):
        raise TlsError(f"return_code is {code}; choose one such as 404 or 444, and redirect for another address")


def _check_proxy_read_timeout(site: dict[str, t.Any]) -> None:
    timeout = site.get("proxy_read_timeout")
    if timeout is None:
        return
    if site.get("proxy_pass") is None:
        raise TlsError("proxy_read_timeout is for sites with proxy_pass; add that or leave out proxy_read_timeout")
    if not TIME.fullmatch(timeout):
        raise TlsError(f"proxy_read_timeout is {timeout!r}; write a time of nginx such as 90s or 1h, or leave it out")


def _check_log(option: str, value: str | None, pattern: re.Pattern[str], description: str) -> None:
    """Raise TlsError unless the value fits the pattern and its path has no C(..). description: of the pattern, for people."""
    if value is not None and (not pattern.fullmatch(value) or ".." in value.split(" ")[0].split("/")):
        raise TlsError(f"{option} is {value!r}; write {description}, or use extra for more")
