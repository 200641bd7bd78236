# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificate requests, checked and completed. People write them in C(certificate_requests); hosts get complete ones only."""

from __future__ import annotations

import shlex
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import check_request_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import (
    ADOPTED_FILES,
    CERTIFICATE_KINDS,
    Request,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.appliance import check_appliance
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.cloud import check_remote_server, completed_cloud
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import normal_names
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import (
    normal_renew_before,
    parse_duration,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.exports import check_exports
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.notifications import check_notifications
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.subject import check_subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.validation import completed_validation
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import (
    check_key_mode,
    check_names,
    check_path,
    is_printable,
    repeated,
)

# The files of a version of a certificate. A link may lead to any of them.
VERSION_FILES = ("privkey.pem", "cert.pem", "chain.pem", "fullchain.pem")
MIN_PASSPHRASE_CHARACTERS = 8
# PEM_BUFSIZE of OpenSSL without the zero at its end. A line of nginx's ssl_password_file may have 4095.
MAX_PASSPHRASE_BYTES = 1023


def complete_request(request: t.Mapping[str, t.Any]) -> Request:
    """Return the request with names and times in their normal form, and the links of what is adopted.

    request: one that fits REQUEST, with all options. Raises TlsError, with the name of the request, for what makes no sense.
    """
    name = check_request_name(request["name"])
    try:
        return _completed(t.cast("Request", request))
    except TlsError as error:
        raise TlsError(f"certificate request {name}: {error}", **error.details) from error


def has_encrypted_key(request: t.Mapping[str, t.Any]) -> bool:
    """Return whether the private key of a request is to be encrypted. The request need not be complete."""
    encrypt_key = request.get("encrypt_key")
    if encrypt_key is None:
        return request.get("key_passphrase") is not None
    return boolean(str(encrypt_key), strict=False)


def check_distinct_requests(requests: t.Any) -> None:
    """Raise TlsError where two requests of a host share a name, a link, or the path of an export.

    requests: C(certificate_requests) as people write it, of any shape.
    """
    if not isinstance(requests, list) or not all(isinstance(request, dict) for request in requests):
        raise TlsError(
            "certificate_requests is no list of dictionaries; write - name: … and domains: […] for each certificate"
        )
    names = repeated(str(request.get("name")) for request in requests)
    if names:
        raise TlsError(f"two certificate requests are named {names}; give each request of a host a name of its own")
    links = repeated(path for request in requests for path in _link_paths(request))
    if links:
        raise TlsError(f"two certificate requests have a link at {links}; give it to one of them")
    lists = [request["exports"] for request in requests if isinstance(request.get("exports"), list)]
    paths = repeated(str(export.get("path")) for exports in lists for export in exports if isinstance(export, dict))
    if paths:
        raise TlsError(f"two exports of a host are to be written to {paths}; give each a path of its own")


def _completed(request: Request) -> Request:
    completed: Request = {**request, "domains": normal_names(request["domains"])}
    if request["allowed_domains"]:
        completed["allowed_domains"] = normal_names(request["allowed_domains"])
    check_subject(request)
    check_names({"issuer": request["issuer"], "owner": request["owner"], "group": request["group"]})
    check_key_mode(request["mode"])
    _check_passphrase(request["key_passphrase"])
    completed["encrypt_key"] = has_encrypted_key(request)
    check_remote_server(request)
    completed["cloud"] = completed_cloud(request)
    kind = request.get("kind")
    if kind is not None and kind not in CERTIFICATE_KINDS:
        raise TlsError(
            f"kind is {kind!r}, and CAs validate {', '.join(CERTIFICATE_KINDS)}; write one of these, or leave it out"
        )
    completed["validation"] = completed_validation(request.get("validation"), completed["domains"])
    completed["links"] = _links_with_adopted(request)
    check_exports(request["exports"], completed["links"])
    check_notifications(request)
    _check_validate(request["validate"])
    check_appliance(request)
    if request["lifetime"]:
        parse_duration(request["lifetime"])
    if request["renew_before"]:
        completed["renew_before"] = normal_renew_before(request["renew_before"])
    _check_numbers(request)
    return completed


def _check_numbers(request: Request) -> None:
    if request["keep"] < 1:
        raise TlsError(f"keep is {request['keep']}, and a way back needs at least one earlier version; write 1 or more")
    if not 1 <= request["port"] <= 65535:
        raise TlsError(f"port is {request['port']}, and ports are 1 to 65535; correct it")


def _check_passphrase(passphrase: str | None) -> None:
    """Raise TlsError unless nginx can read the passphrase from one line. The message does not contain it."""
    if passphrase is None:
        return
    if not is_printable(passphrase):
        raise TlsError(
            "key_passphrase has a line break or another control character, and nginx reads it from one line; take that away, "
            "or have another one made"
        )
    if len(passphrase) < MIN_PASSPHRASE_CHARACTERS:
        raise TlsError(
            f"key_passphrase {'is empty' if not passphrase else 'is too short to protect anything'}; write one of "
            f"{MIN_PASSPHRASE_CHARACTERS} characters or more, or leave it out and write encrypt_key: true to have one made on the host"
        )
    if len(passphrase.encode()) > MAX_PASSPHRASE_BYTES:
        raise TlsError(
            f"key_passphrase has more than {MAX_PASSPHRASE_BYTES} bytes, and OpenSSL would not take the whole of it; shorten it"
        )


def _check_validate(command: str | None) -> None:
    if not command:
        return
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise TlsError(f"validate: {command!r} is no command: {error}; correct its quotes") from error
    if not all(map(is_printable, words)):
        raise TlsError(f"validate: {command!r} has control characters, which no program takes; correct it")
    if not words:
        raise TlsError("validate is empty; write a command such as nginx -t, or leave it out")


def _links_with_adopted(request: Request) -> dict[str, str]:
    """Return the links of a request, with those for what it adopts: file by path."""
    links, adopt = dict(request["links"]), request.get("adopt") or {}
    for path, file in links.items():
        check_path("links", path)
        if file not in VERSION_FILES:
            raise TlsError(
                f"links: {path} leads to {file!r}, and a certificate has {', '.join(VERSION_FILES)}; choose one of these"
            )
    for option, file in ADOPTED_FILES.items():
        adopted_path = adopt.get(option)
        if adopted_path:
            check_path("adopt", adopted_path)
            if links.setdefault(adopted_path, file) != file:
                raise TlsError(
                    f"adopt: {adopted_path} is to lead to {file} once it is adopted, and not to {links[adopted_path]} as well; "
                    "give each path one meaning, and split a file that holds both"
                )
    return links


def _link_paths(request: dict[str, t.Any]) -> list[str]:
    """Return the paths that are or become links, of a request of any shape."""
    links, adopt = (request[option] if isinstance(request.get(option), dict) else {} for option in ("links", "adopt"))
    return sorted({*map(str, links), *(str(adopt[option]) for option in ADOPTED_FILES if adopt.get(option))})
