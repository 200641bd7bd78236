# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a certificate request. plugin_utils/_inventory/complete_request.py completes one."""

from __future__ import annotations

import typing as t

# What presents a certificate. That of REMOTE_SERVERS is no program of the host: its connection is local.
SERVERS = ["nginx", "other", "cloud", "appliance"]
REMOTE_SERVERS = ("cloud", "appliance")
KEY_TYPES = ["RSA", "ECC", "Ed25519"]
RSA_KEY_SIZES = [2048, 3072, 4096]
ECC_CURVES = ["secp256r1", "secp384r1", "secp521r1"]
CERTIFICATE_KINDS = ["DV", "OV", "EV"]  # by what a public CA validates
TLS_VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]  # the oldest first

# The options of a subject, named as in community.crypto, and the attributes of NameOID (RFC 5280, section 4.1.2.4).
SUBJECT_FIELDS = {
    "country_name": "COUNTRY_NAME",
    "state_or_province_name": "STATE_OR_PROVINCE_NAME",
    "locality_name": "LOCALITY_NAME",
    "organization_name": "ORGANIZATION_NAME",
    "organizational_unit_name": "ORGANIZATIONAL_UNIT_NAME",
    "email_address": "EMAIL_ADDRESS",
    "common_name": "COMMON_NAME",
}

# A further form of a certificate (_store/exports.py), in a file of its own.
EXPORT_SPEC = {
    "path": {"type": "path", "required": True},
    "format": {"type": "str", "choices": ["pkcs12", "pem", "der", "der_key"], "default": "pkcs12"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "password": {"type": "str", "no_log": True},
    "password_file": {"type": "path", "no_log": False},
    "friendly_name": {"type": "str"},
    "encryption": {"type": "str", "choices": ["modern", "legacy"], "default": "modern"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str"},
    "restart": {"type": "list", "elements": "str", "default": []},
    "reload": {"type": "list", "elements": "str", "default": []},
}

# The options of C(adopt), and the file of a version to which the path of each becomes a link.
ADOPTED_FILES = {"key": "privkey.pem", "certificate": "fullchain.pem", "chain": "chain.pem"}

# The service of a cloud that presents the certificate (plugin_utils/_providers/registry.py names the services).
CLOUD_SPEC: dict[str, dict[str, t.Any]] = {
    "account": {"type": "str"},
    "service": {"type": "str"},
    "resources": {"type": "list", "elements": "str", "default": []},
    "region": {"type": "str"},
    "zone": {"type": "str"},
    "load_balancer": {"type": "str"},
    "listener": {"type": "str"},
    "redirect": {"type": "bool"},
    "hsts": {"type": "int"},
    "tls_versions": {
        "type": "list",
        "elements": "str",
    },  # without choices, which Ansible refuses for the None of a complete request
    "hosted": {"type": "bool", "default": False},
    "reimport": {"type": "bool", "default": False},
    "free_quota": {"type": "int", "default": 20},
    "keep": {"type": "int"},
    "patience": {"type": "str", "default": "15m"},
}

# A file of an appliance, and a command that is run there.
APPLIANCE_CONTENTS = ["fullchain", "cert", "chain", "key", "combined", "pkcs12"]
APPLIANCE_FILE_SPEC = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str", "choices": APPLIANCE_CONTENTS, "required": True},
    "mode": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "encryption": {"type": "str", "choices": ["modern", "legacy"], "default": "modern"},
}
APPLIANCE_COMMAND_SPEC = {
    "command": {"type": "str", "required": True},
    "timeout": {"type": "int", "default": 30},
    "exit_codes": {"type": "list", "elements": "int", "default": [0]},
}
APPLIANCE_PRESETS = ["none", "nginx", "haproxy", "iis"]

# A machine without Python that presents the certificate, and that is reached by SSH (plugin_utils/_appliance).
APPLIANCE_SPEC = {
    "host": {"type": "str"},
    "port": {"type": "int", "default": 22},
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "no_log": True},
    "key_file": {"type": "path", "no_log": False},
    "key_passphrase": {"type": "str", "no_log": True},
    "agent": {"type": "bool", "default": False},
    "host_key": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "known_hosts": {"type": "path", "default": "~/.ssh/known_hosts"},
    "preset": {"type": "str", "choices": APPLIANCE_PRESETS, "default": "none"},
    "files": {"type": "list", "elements": "dict", "default": [], "options": APPLIANCE_FILE_SPEC},
    "verify": {"type": "str"},
    "commands": {"type": "list", "elements": "dict", "default": [], "options": APPLIANCE_COMMAND_SPEC},
    "timeout": {"type": "int", "default": 10},
    "patience": {"type": "str", "default": "30s"},
    "transfer": {"type": "str", "choices": ["auto", "sftp", "exec"], "default": "auto"},
    "legacy_algorithms": {"type": "bool", "default": False},
    "site": {"type": "str", "default": "Default Web Site"},
    "host_names": {"type": "list", "elements": "str", "default": []},
}

# The one definition of a request, an option of all modules and actions that take one. It is documented in
# plugins/doc_fragments/request.py.
REQUEST_SPEC: dict[str, t.Any] = {
    "type": "dict",
    "required": True,
    "options": {
        "name": {"type": "str", "required": True},
        "domains": {"type": "list", "elements": "str", "required": True},
        "issuer": {"type": "str", "default": "local"},
        "type": {"type": "str", "choices": KEY_TYPES, "default": "ECC"},
        "size": {"type": "int", "choices": RSA_KEY_SIZES, "default": 2048},
        "curve": {"type": "str", "choices": ECC_CURVES, "default": "secp256r1"},
        **{field: {"type": "str"} for field in SUBJECT_FIELDS},
        "organization": {"type": "str"},
        "kind": {"type": "str"},  # without choices, which Ansible refuses for the None of a complete request
        "validation": {"type": "raw"},
        "challenge_password": {"type": "str", "no_log": True},
        "allowed_domains": {"type": "list", "elements": "str", "default": []},
        "lifetime": {"type": "str"},
        "renew_before": {"type": "str"},
        "reuse_key": {"type": "bool", "default": False, "no_log": False},
        "encrypt_key": {"type": "bool", "no_log": False},
        "key_passphrase": {"type": "str", "no_log": True},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "mode": {"type": "str", "default": "0600"},
        "keep": {"type": "int", "default": 3},
        "links": {"type": "dict", "default": {}},
        "adopt": {
            "type": "dict",
            "options": {
                "key": {"type": "str", "required": True, "no_log": False},
                "certificate": {"type": "str", "required": True},
                "chain": {"type": "str"},
            },
        },
        "validate": {"type": "str"},
        "port": {"type": "int", "default": 443},
        "served_by": {"type": "str", "choices": SERVERS, "default": "nginx"},
        "cloud": {"type": "dict", "options": CLOUD_SPEC},
        "appliance": {"type": "dict", "options": APPLIANCE_SPEC},
        "exports": {"type": "list", "elements": "dict", "default": [], "options": EXPORT_SPEC},
        "restart": {"type": "list", "elements": "str", "default": []},
        "reload": {"type": "list", "elements": "str", "default": []},
        "run_after": {"type": "list", "elements": "list", "default": []},
    },
}


class Export(t.TypedDict, total=False):
    """One item of C(exports), with the options of EXPORT."""

    path: str
    format: str
    state: str
    password: str | None
    password_file: str | None
    friendly_name: str | None
    encryption: str
    owner: str | None
    group: str | None
    mode: str | None
    restart: list[str]
    reload: list[str]


class Cloud(t.TypedDict, total=False):
    """The value of C(cloud), with the options of CLOUD_SPEC."""

    account: str | None
    service: str | None
    resources: list[str]
    region: str | None
    zone: str | None
    load_balancer: str | None
    listener: str | None
    redirect: bool | None
    hsts: int | None  # seconds
    tls_versions: list[str] | None
    hosted: bool
    reimport: bool
    free_quota: int
    keep: int | None
    patience: str


class ApplianceFile(t.TypedDict, total=False):
    """One item of C(files) of an appliance, with the options of APPLIANCE_FILE_SPEC."""

    path: str
    content: str
    mode: str | None  # octal
    password: str | None
    encryption: str


class ApplianceCommand(t.TypedDict, total=False):
    """One item of C(commands) of an appliance, with the options of APPLIANCE_COMMAND_SPEC."""

    command: str
    timeout: int  # seconds
    exit_codes: list[int]


class Appliance(t.TypedDict, total=False):
    """The value of C(appliance), with the options of APPLIANCE_SPEC."""

    host: str
    port: int
    user: str
    password: str | None
    key_file: str | None
    key_passphrase: str | None
    agent: bool
    host_key: list[str]
    known_hosts: str
    preset: str  # one of APPLIANCE_PRESETS
    files: list[ApplianceFile]
    verify: str | None
    commands: list[ApplianceCommand]
    timeout: int  # seconds
    patience: str
    transfer: str
    legacy_algorithms: bool
    site: str
    host_names: list[str]


class Validation(t.TypedDict, total=False):
    """One item of C(validation): what a CA with people in it wants to see (plugin_utils/_inventory/validation.py)."""

    type: str  # dns or file
    name: str  # of the record, without its last dot
    record: str  # CNAME or TXT
    value: str
    url: str
    content: str


class RenewalAdvice(t.TypedDict):
    """When a CA wants a certificate renewed (RFC 9773), and why."""

    at: str  # a date in ISO 8601
    reason: str


class Request(t.TypedDict, total=False):
    """A certificate request, with the options of REQUEST. All of them are there once it is complete.

    Five keys are no options: the controller adds them, for the host that the request belongs to and for its issuer.
    """

    name: str
    domains: list[str]
    issuer: str
    type: str
    size: int
    curve: str
    country_name: str | None
    state_or_province_name: str | None
    locality_name: str | None
    organization_name: str | None
    organizational_unit_name: str | None
    email_address: str | None
    common_name: str | None
    organization: str | None
    kind: str | None  # one of CERTIFICATE_KINDS
    validation: list[Validation]
    challenge_password: str | None
    allowed_domains: list[str]
    lifetime: str | None
    renew_before: t.Any  # as it is written: a share, or a duration
    reuse_key: bool
    encrypt_key: bool | None
    key_passphrase: str | None
    owner: str | None
    group: str | None
    mode: str
    keep: int
    links: dict[str, str]  # path: file in the version folder
    adopt: dict[str, str | None] | None  # key, certificate, chain: paths
    validate: str | None
    port: int
    served_by: str  # one of SERVERS
    cloud: Cloud | None
    appliance: Appliance | None
    exports: list[Export]
    restart: list[str]  # units of systemd
    reload: list[str]  # units of systemd
    run_after: list[list[str]]  # commands

    host: str  # as the inventory names it
    renewals: dict[str, RenewalAdvice]  # by serial number, in hexadecimal digits
    revoked: dict[str, str]  # the reasons for what is revoked of it, by serial number
    passphrase: str | None  # for a key that is to be encrypted
    strict_profile: bool  # whether the issuer is a public CA, whose chains have to fit the profile of the web
    may_add_subject: bool  # whether the issuer may write fields into the subject that the request does not have


def key_mode(request: Request) -> int:
    """Return the mode of the private key's file."""
    return int(request["mode"], 8)
