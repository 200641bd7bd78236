# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of C(cloud), and of requests whose certificate is presented by no program of the host."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import (
    CLOUD_SPEC,
    REMOTE_SERVERS,
    TLS_VERSIONS,
    Cloud,
    Request,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import is_printable

MAX_HSTS_S = 63_072_000  # two years, the most that https://hstspreload.org/ names


def check_remote_server(request: Request) -> None:
    """Raise TlsError for options that make no sense where no program of the host presents the certificate.

    The key of such a certificate is in the store on the controller and with the service, and nowhere else.
    """
    if request["served_by"] not in REMOTE_SERVERS:
        return
    served_by = request["served_by"]
    for option in ("exports", "links", "adopt", "restart", "reload", "run_after"):
        if t.cast("dict[str, t.Any]", request)[option]:
            raise TlsError(
                f"{option} is for a program of the host that reads the key, and with served_by: {served_by} there is none; leave it out"
            )
    if request["reuse_key"]:
        raise TlsError(
            f"reuse_key is for hosts that keep their key, and with served_by: {served_by} others get a copy of it; leave it out, "
            "so that each renewal has a new key"
        )


def is_hosted(request: t.Mapping[str, t.Any]) -> bool:
    """Say whether the cloud makes the certificate of a request and keeps its key. The request need not be complete."""
    cloud = request.get("cloud")
    return isinstance(cloud, dict) and bool(cloud.get("hosted"))


def completed_cloud(request: Request) -> Cloud | None:
    """Return C(cloud) of a request with all options, None where no cloud presents the certificate. Raises TlsError."""
    cloud: t.Mapping[str, t.Any] | None = request["cloud"]
    if request["served_by"] != "cloud":
        if cloud is not None:
            raise TlsError(f"cloud is for served_by: cloud, and it is {request['served_by']}; correct one of them")
        return None
    options = {name: spec.get("default") for name, spec in CLOUD_SPEC.items()}
    completed = t.cast(Cloud, {**options, **(cloud or {})})
    for name in ("account", "service", "region", "zone", "load_balancer", "listener"):
        value = t.cast("dict[str, t.Any]", completed)[name]
        if value is not None and not (value and is_printable(value)):
            raise TlsError(f"cloud.{name} is {value!r}, which is empty or has control characters; correct it")
    if not all(resource and is_printable(resource) for resource in completed["resources"]):
        raise TlsError("cloud.resources has a name that is empty or has control characters; correct it")
    _check_settings(completed)
    return completed


def _check_settings(cloud: Cloud) -> None:
    if cloud["free_quota"] < 1:
        raise TlsError(
            f"cloud.free_quota is {cloud['free_quota']}; write how many free certificates the account may have, 20 for example"
        )
    keep, hsts, versions = cloud["keep"], cloud["hsts"], cloud["tls_versions"]
    if keep is not None and keep < 1:
        raise TlsError(
            f"cloud.keep is {keep}, and a way back needs at least one earlier upload; write 1 or more, or leave it out"
        )
    if hsts is not None and not 0 <= hsts <= MAX_HSTS_S:
        raise TlsError(f"cloud.hsts is {hsts}, and it is 0 to {MAX_HSTS_S} seconds; correct it")
    if hsts and cloud["redirect"] is False:
        raise TlsError("cloud.hsts has clients use HTTPS alone, and cloud.redirect is false; take one of them back")
    if versions is not None:
        order = [version for version in TLS_VERSIONS if version in versions]
        first = TLS_VERSIONS.index(order[0]) if order else 0
        if not order or set(versions) != set(TLS_VERSIONS[first : first + len(order)]):
            raise TlsError(
                f"cloud.tls_versions is {', '.join(versions) or 'empty'}, and it is to have some of {', '.join(TLS_VERSIONS)} that follow each "
                "other; write for example [TLSv1.2, TLSv1.3]"
            )
        cloud["tls_versions"] = order
    try:
        parse_duration(cloud["patience"])
    except TlsError as error:
        raise TlsError(f"cloud.patience: {error}") from error
