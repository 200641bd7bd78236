# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what the inventory says."""

from __future__ import annotations

import contextlib
import typing as t
from unittest import mock

from ansible.errors import AnsibleFilterError

from ansible_collections.evergreen.tls.plugins.filter.request_domains import request_domains
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import (
    renewal_time,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import OPTIONS
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import (
    check_distinct_requests,
    complete_request,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.domains import normal_name, normal_names
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import (
    normal_renew_before,
    parse_duration,
    parse_renew_before,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import host_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import normal_sites
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.validation import completed_validation
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import local_ca
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import endpoints_of_host
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import (
    Parser,
    decode_text,
    encode_json,
    parse_json,
    validate_task_arguments,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW


def read_domains(content: bytes) -> None:
    names = normal_names(decode_text(content))
    assert [normal_name(name) for name in names] == names


def read_durations(content: bytes) -> None:
    duration = decode_text(content)
    with contextlib.suppress(TlsError):
        parse_duration(duration)
    normal = normal_renew_before(duration)
    assert normal_renew_before(normal) == normal
    assert parse_renew_before(duration)
    assert NOW <= renewal_time(NOW, NOW + 90 * DAY, normal, "web1/www") <= NOW + 90 * DAY


def read_request(value: t.Any) -> None:
    """Validate and complete a value as a request of the inventory."""
    complete = complete_request(validate_task_arguments({"request": REQUEST_SPEC}, {"request": value})["request"])
    assert complete_request(complete)["domains"] == complete["domains"]


def read_validation(value: t.Any) -> None:
    """Complete what a CA wants to see. What is complete stays as it is."""
    completed = completed_validation(value, ["www.example.org", "example.org"])
    assert completed_validation(completed, ["www.example.org", "example.org"]) == completed


def read_host_variables(variables: t.Any) -> None:
    if isinstance(variables, dict):
        with contextlib.suppress(TlsError):
            check_distinct_requests(variables.get("certificate_requests"))
        endpoints_of_host("web1", variables, {})


def read_sites(value: t.Any) -> None:
    normal_sites(validate_task_arguments(OPTIONS, value))


def read_filter_argument(value: t.Any) -> None:
    with contextlib.suppress(AnsibleFilterError):
        request_domains(value)


def read_issuers(value: t.Any) -> None:
    if isinstance(value, dict):
        for name in value:
            with mock.patch.object(local_ca, "read_file", return_value=None):
                open_issuer(str(name), value)


VALIDATION = [
    {"type": "dns", "name": "_26A5.example.org.", "record": "CNAME", "value": "x.sectigo.com."},
    {"type": "file", "url": "http://example.org/.well-known/pki-validation/fileauth.txt", "content": "2026abc"},
]
REQUEST_OPTIONS = {
    "name": "www.example.org",
    "domains": ["www.example.org", "*.bücher.example", "2001:DB8:0::1"],
    "issuer": "corporate",
    "type": "RSA",
    "size": 3072,
    "organization_name": "Évergreen",
    "country_name": "DE",
    "email_address": "ops@example.org",
    "lifetime": "90d",
    "renew_before": "1/4",
    "mode": "0640",
    "keep": 2,
    "links": {"/etc/nginx/server.pem": "fullchain.pem"},
    "validate": "nginx -t -c '/etc/nginx/nginx.conf'",
    "port": 8443,
    "served_by": "other",
    "exports": [
        {
            "path": "/etc/tomcat10/site.p12",
            "password": "correct horse",
            "friendly_name": "tomcat",
            "restart": ["tomcat10"],
        },
        {"path": "/etc/haproxy/site.pem", "format": "pem", "group": "haproxy", "mode": "0640", "reload": ["haproxy"]},
        {"path": "/srv/site.cer", "format": "der", "mode": "0644"},
    ],
    "restart": ["dovecot"],
    "reload": ["postfix"],
    "run_after": [["/usr/local/sbin/publish", "{name}", "{folder}"]],
}
APPLIANCE_REQUEST = {
    "name": "appliance",
    "domains": ["www.example.org"],
    "served_by": "appliance",
    "appliance": {
        "user": "root",
        "key_file": "/home/ops/.ssh/id_ed25519",
        "host_key": ["SHA256:" + "A" * 43],
        "files": [
            {"path": "/etc/ssl/www.key", "content": "key", "mode": "0640"},
            {"path": "/etc/ssl/www.pem", "content": "fullchain", "mode": "0644"},
            {"path": "/etc/ssl/www.p12", "content": "pkcs12", "password": "changeit"},
        ],
        "verify": "nginx -t",
        "commands": [{"command": "nginx -s reload", "timeout": 10, "exit_codes": [0, 1]}],
        "patience": "1m",
    },
}
IIS_REQUEST = {
    **APPLIANCE_REQUEST,
    "appliance": {
        "user": "Administrator",
        "password": "secret",
        "preset": "iis",
        "site": "Shop",
        "host_names": ["*.example.org"],
    },
}
MISSPELLED_REQUEST = {**REQUEST_OPTIONS, "lifetme": "90d"}  # is refused, with the list of what is supported
ISSUERS = {"corporate": {"type": "local_ca", "directory": "/nowhere/pki", "name": "Corporate", "lifetime": "30d"}}
SITES = {
    "sites": [
        {
            "name": "www.example.org",
            "root": "/var/www/$host",
            "hsts": {"max_age": 31536000, "include_subdomains": True},
        },
        {
            "name": "shop",
            "proxy_pass": "http://127.0.0.1:8080",
            "websocket": True,
            "server_names": ["shop.example.org"],
        },
        {
            "name": "old",
            "redirect": "https://www.example.org$request_uri",
            "server_names": ["old.example.org"],
            "hsts": True,
        },
        {"name": "gone", "return_code": 404, "https_port": 8443, "http_port": 8080, "extra": "deny all;"},
    ],
    "domains": {"www.example.org": ["www.example.org", "example.org"]},
    "session_timeout": "1d",
}

INVENTORY_PARSERS = (
    Parser(
        "inventory/domains",
        "domains",
        read_domains,
        ("www.example.org, *.bücher.example".encode(), b"2001:DB8:0::1,192.0.2.1,xn--bcher-kva.example"),
    ),
    Parser("inventory/durations", "a duration or a share", read_durations, (b"90d", b"1/3", b"25%", b"0.25", b"12 h")),
    Parser(
        *(
            "inventory/endpoints",
            "an endpoint",
            lambda content: host_addresses({"certificate_endpoint": decode_text(content)}, "web1", 443),
        ),
        (b"192.0.2.1:8443", b"[2001:db8::1]:8443", b"www.example.org", b"fe80::1%eth0"),
    ),
    Parser(
        "inventory/complete_request",
        "a request",
        parse_json(read_request),
        encode_json(REQUEST_OPTIONS, MISSPELLED_REQUEST, APPLIANCE_REQUEST, IIS_REQUEST),
        "json",
    ),
    Parser(
        *("inventory/validation", "what a CA wants to see", parse_json(read_validation)),
        encode_json(VALIDATION, VALIDATION[0]),
        "json",
    ),
    Parser(
        *("reports/survey", "the variables of a host", parse_json(read_host_variables)),
        encode_json(
            {
                "certificate_requests": [REQUEST_OPTIONS],
                "certificate_issuers": ISSUERS,
                "certificate_endpoint": ["192.0.2.1"],
            }
        ),
        "json",
    ),
    Parser("inventory/sites", "sites", parse_json(read_sites), encode_json(SITES), "json"),
    Parser(
        "filter/request_domains", "requests", parse_json(read_filter_argument), encode_json([REQUEST_OPTIONS]), "json"
    ),
    Parser("issuers/registry", "issuers", parse_json(read_issuers), encode_json(ISSUERS), "json"),
)
