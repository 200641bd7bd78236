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

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import check_request_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import ADOPTED_FILES, SUBJECT_FIELDS
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import normal_names
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import (
    normal_renew_before,
    parse_duration,
)

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
UNIT = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,254}")  # systemd.unit(5)
SHORTEST_PASSPHRASE = 8
LONGEST_PASSPHRASE = (
    1023  # bytes: PEM_BUFSIZE of OpenSSL without the zero at its end; a line of nginx's file may have 4095
)
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
        _check_passphrase(request["key_passphrase"])
        completed["encrypt_key"] = has_encrypted_key(request)
        completed["links"] = _all_links(request)
        _check_exports(request["exports"], completed["links"])
        _check_command(request["validate"])
        if request["lifetime"]:
            parse_duration(request["lifetime"])
        if request["renew_before"]:
            completed["renew_before"] = normal_renew_before(request["renew_before"])
        if request["keep"] < 1:
            raise TlsError(
                f"keep is {request['keep']}, and a way back needs at least one earlier version; write 1 or more"
            )
        if not 1 <= request["port"] <= 65535:
            raise TlsError(f"port is {request['port']}, and ports are 1 to 65535; correct it")
    except TlsError as error:
        raise TlsError(f"certificate request {name}: {error}", **error.details) from error
    return completed


def has_encrypted_key(request: dict) -> bool:
    """Say whether the private key of a request is to be encrypted, also of one as people write it."""
    wanted = request.get("encrypt_key")
    return request.get("key_passphrase") is not None if wanted is None else boolean(str(wanted), strict=False)


def check_distinct_requests(requests: list[dict]) -> None:
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
    lists = [request["exports"] for request in requests if isinstance(request.get("exports"), list)]
    exports = _repeated([str(export.get("path")) for one in lists for export in one if isinstance(export, dict)])
    if exports:
        raise TlsError(f"two exports of a host are to be written to {exports}; give each a path of its own")


def _linked_paths(request: dict) -> list[str]:
    """Return the paths that are links, or that are to be, of a request that may make no sense yet."""
    links, adopt = (request[word] if isinstance(request.get(word), dict) else {} for word in ("links", "adopt"))
    return sorted({*map(str, links), *(str(adopt[option]) for option in ADOPTED_FILES if adopt.get(option))})


def _repeated(words: list) -> str:
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
    for field in SUBJECT_FIELDS:
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


def _check_mode(mode: str, where: str = "") -> None:
    if not re.fullmatch("0?[0-7]{3}", mode) or int(mode, 8) & 0o037 or not int(mode, 8) & 0o400:
        raise TlsError(
            f"{where}mode is {mode}, and the private key's file must be readable by its owner, at most readable by its group, "
            'and closed to all others; write "0600" or "0640"'
        )


def _check_passphrase(passphrase: str | None) -> None:
    """Make sure that nginx finds a passphrase in a line of its file, whole. Nothing of it is told."""
    if passphrase is None:
        return
    if not _is_printable(passphrase):
        raise TlsError(
            "key_passphrase has a line break or another control character, and nginx reads it from one line; take that away, "
            "or have another one made"
        )
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise TlsError(
            f"key_passphrase {'is empty' if not passphrase else 'is too short to protect anything'}; write one of {SHORTEST_PASSPHRASE} "
            "characters or more, or leave it out and write encrypt_key: true to have one made on the host"
        )
    if len(passphrase.encode()) > LONGEST_PASSPHRASE:
        raise TlsError(
            f"key_passphrase has more than {LONGEST_PASSPHRASE} bytes, and OpenSSL would not take the whole of it; shorten it"
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
    for option, file in ADOPTED_FILES.items():
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


def _check_exports(exports: list, links: dict) -> None:
    for export in exports:
        path = export["path"]
        for one in filter(None, (path, export["password_file"])):
            _check_path("exports", one)
        where = f"exports: {path}: "
        if export["state"] == "present":
            _check_password(export, where)
        if export["mode"] and export["format"] != "der":
            _check_mode(export["mode"], where)
        elif export["mode"] and (not re.fullmatch("0?[0-7]{3}", export["mode"]) or int(export["mode"], 8) & 0o133):
            raise TlsError(
                f'{where}mode is {export["mode"]}, and others may at most read a certificate; write "0644" or "0640"'
            )
        _check_words({"owner": export["owner"], "group": export["group"]})
        for unit in (*export["restart"], *export["reload"]):
            if not UNIT.fullmatch(unit):
                raise TlsError(f"{where}{unit!r} cannot be a unit of systemd; write its name, such as tomcat10")
    password_files = {export["password_file"] for export in exports}  # which several may share
    shared = _repeated([*(export["path"] for export in exports), *password_files, *links])
    if shared:
        raise TlsError(f"exports: {shared} is to be several files; give each a path of its own")


def _check_password(export: dict, where: str) -> None:
    """Make sure that a keystore, and nothing else, has one password and one name."""
    password = export["password"]
    if export["format"] != "pkcs12":
        unfit = [word for word in ("password", "password_file", "friendly_name") if export[word] is not None]
        if unfit:
            raise TlsError(f"{where}{unfit[0]} is for format: pkcs12 alone; leave it out, or choose that")
        return
    if (password is None) == (export["password_file"] is None):
        raise TlsError(f"{where}a keystore needs either password or password_file; write one of them")
    if password is not None and not re.fullmatch("[ -~]{1,128}", password):
        raise TlsError(
            f"{where}password is text of letters, digits and signs that ASCII has, 128 at most, since programs do not agree on others; "
            "choose another one"
        )
    name = export["friendly_name"]
    if name is not None and not (0 < len(name) <= 64 and name == name.strip() and _is_printable(name)):
        raise TlsError(
            f"{where}friendly_name is {name!r}, and it is printable text of 64 characters at most; correct it"
        )
