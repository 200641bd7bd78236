# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service for an appliance, as its preset says."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Appliance, Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.presets import with_preset
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import require_paramiko
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import CertificateService


def open_appliance(request: Request, endpoints: list[tuple[str, int]]) -> CertificateService:
    """Return the service for the appliance of a request. It connects when it has to.

    request: complete, with served_by: appliance. endpoints: addresses and ports at which clients reach the appliance.
    Raises TlsError where the controller has no paramiko.
    """
    require_paramiko()
    from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.file_service import FileService
    from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.iis import IisService

    options = request["appliance"]
    if options is None:
        raise AssertionError("the request has no appliance")
    appliance: Appliance = {**with_preset(options, request["name"]), "host": options["host"] or endpoints[0][0]}
    service = IisService if appliance["preset"] == "iis" else FileService
    return service(request, appliance, endpoints)
