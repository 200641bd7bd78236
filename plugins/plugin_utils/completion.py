# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes a request for a certificate complete, as people write it in C(certificate_requests).

Hosts get complete requests only.
"""

from __future__ import annotations

import collections
import os
import re
import shlex
import unicodedata

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.names import check_request_name
from ansible_collections.evergreen.tls.plugins.module_utils.requests import ADOPTED, SUBJECT
from ansible_collections.evergreen.tls.plugins.plugin_utils.domains import normal_names
from ansible_collections.evergreen.tls.plugins.plugin_utils.durations import duration, normal_renewal

# What a version of a certificate holds; links may lead to any of them.
FILES = ("privkey.pem", "cert.pem", "chain.pem", "fullchain.pem")

UNPRINTABLE = ("Cc", "Cs")  # control characters, and halves of characters
# RFC 5280, appendix A.1, in characters; email addresses as in RFC 5321. UTF-8 takes more bytes, which is no matter.
LONGEST = {
    "state_or_province_name": 128,
    "locality_name": 128,
    "organization_name": 64,
    "organizational_unit_name": 64,
    "email_address": 254,
}
LONGEST_COMMON_NAME = 64  # RFC 5280, appendix A.1, ub-common-name


def complete_request(request: dict) -> dict:
    """Return the request with names and times in their normal form, once everything in it makes sense."""
    name = check_request_name(request["name"])
    try:
        completed = {**request, "domains": normal_names(request["domains"])}
        if request["allowed_domains"]:
            completed["allowed_domains"] = normal_names(request["allowed_domains"])
        _check_subject(request)
        _check_words(request)
        _check_mode(request["mode"])
        completed["links"] = _all_links(request)
        _check_command(request["validate"])
        if request["lifetime"]:
            duration(request["lifetime"])
        if request["renew_before"]:
            completed["renew_before"] = normal_renewal(request["renew_before"])
        if request["keep"] < 1:
            raise TlsError(
                f"keep is {request['keep']}, and a way back needs at least one earlier version; write 1 or more"
            )
        if not 1 <= request["port"] <= 65535:
            raise TlsError(f"port is {request['port']}, and ports are 1 to 65535; correct it")
    except TlsError as error:
        raise TlsError(f"certificate request {name}: {error}", **error.details) from error
    return completed


def check_distinct(requests: list[dict]) -> None:
    """Make sure that no two requests of a host share a name, and so a folder, or the path of a link."""
    if not isinstance(requests, list) or not all(isinstance(request, dict) for request in requests):
        raise TlsError(
            "certificate_requests is no list of dictionaries; write - name: … and domains: […] for each certificate"
        )
    names = _repeated([str(request.get("name")) for request in requests])
    if names:
        raise TlsError(f"two certificate requests are named {names}; give each request of a host a name of its own")
    links = _repeated([path for request in requests for path in _linked_paths(request)])
    if links:
        raise TlsError(f"two certificate requests have a link at {links}; give it to one of them")


def _linked_paths(request: dict) -> list[str]:
    """Return the paths that are links, or that are to be, of a request that may make no sense yet."""
    links, adopt = (request[word] if isinstance(request.get(word), dict) else {} for word in ("links", "adopt"))
    return sorted({*map(str, links), *(str(adopt[option]) for option in ADOPTED if adopt.get(option))})


def _repeated(words: list[str]) -> str:
    return ", ".join(sorted(word for word, times in collections.Counter(words).items() if times > 1))


def _is_printable(text: str) -> bool:
    return not any(unicodedata.category(character) in UNPRINTABLE for character in text)


def _check_words(request: dict) -> None:
    """Make sure that words that hosts hand on to their system, or write down, are what they seem to be."""
    for field in ("issuer", "owner", "group"):
        value = request.get(field)
        if value and (value != value.strip() or not _is_printable(value)):
            raise TlsError(
                f"{field} is {value!r}, and a name has no control characters, nor blanks around it; correct it"
            )


def _check_subject(request: dict) -> None:
    for field in SUBJECT:
        value = request.get(field)
        if value is not None and not (value.strip() and _is_printable(value)):
            raise TlsError(
                f"{field} is {value!r}, and a subject field holds printable text; correct it or leave it out"
            )
    for field, longest in LONGEST.items():
        if len(request.get(field) or "") > longest:
            raise TlsError(f"{field} has {len(request[field])} characters, and {longest} are allowed; shorten it")
    password = request.get("challenge_password") or ""
    if len(password) > 255 or not all(" " <= character <= "~" for character in password):
        raise TlsError(
            "challenge_password is text of letters, digits and signs that ASCII has, 255 at most; have the CA give you another one"
        )
    if len((request.get("common_name") or "").encode()) > LONGEST_COMMON_NAME:
        raise TlsError(
            f"common_name has {len(request['common_name'].encode())} bytes, and {LONGEST_COMMON_NAME} are allowed; "
            "shorten it, or leave it out: clients look at domains alone"
        )
    if not (request.get("email_address") or "").isascii():
        raise TlsError(
            f"email_address is {request['email_address']!r}, and certificates hold it in ASCII; correct it or leave it out"
        )
    if request.get("country_name") is not None and not re.fullmatch("[A-Za-z]{2}", request["country_name"]):
        raise TlsError(
            f"country_name is {request['country_name']!r}, and a country has two letters (ISO 3166); correct it"
        )


def _check_mode(mode: str) -> None:
    if not re.fullmatch("0?[0-7]{3}", mode) or int(mode, 8) & 0o037 or not int(mode, 8) & 0o400:
        raise TlsError(
            f"mode is {mode}, and the private key's file must be readable by its owner, at most readable by its group, "
            'and closed to all others; write "0600" or "0640"'
        )


def _check_command(command: str | None) -> None:
    try:
        words = shlex.split(command or "true")
    except ValueError as error:
        raise TlsError(f"validate: {command!r} is no command: {error}; correct its quotes") from error
    if not all(map(_is_printable, words)):
        raise TlsError(f"validate: {command!r} has control characters, which no program takes; correct it")
    if not words:
        raise TlsError("validate is empty; write a command such as nginx -t, or leave it out")


def _all_links(request: dict) -> dict[str, str]:
    """Return the links of a request, together with those that take the place of what is adopted."""
    links, adopt = dict(request["links"]), request.get("adopt") or {}
    _check_links(links)
    for option, file in ADOPTED.items():
        path = adopt.get(option)
        if path:
            _check_path("adopt", path)
            if links.setdefault(path, file) != file:
                raise TlsError(
                    f"adopt: {path} is to lead to {file} once it is adopted, and not to {links[path]} as well; give each path one meaning, "
                    "and split a file that holds both"
                )
    return links


def _check_path(option: str, path: str) -> None:
    if not os.path.isabs(path) or os.path.normpath(path) != path or not _is_printable(path):
        raise TlsError(f"{option}: {path!r} is not an absolute path in its plain form; correct it")


def _check_links(links: dict) -> None:
    for path, file in links.items():
        _check_path("links", path)
        if file not in FILES:
            raise TlsError(
                f"links: {path} leads to {file!r}, and a certificate has {', '.join(FILES)}; choose one of these"
            )
