# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of the modules of the collection: which keys they have, of which types."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._packages import CRYPTOGRAPHY_PACKAGES
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.host_text import (
    ADDED_BY_ANSIBLE,
    added_by_ansible,
    check_size,
    readable_diff,
    readable_values,
    readable_warnings,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

BOOL: dict[str, t.Any] = {"type": "bool"}
TEXT: dict[str, t.Any] = {"type": "str"}
TEXTS: dict[str, t.Any] = {"type": "list", "elements": "str"}
DICT: dict[str, t.Any] = {"type": "dict"}

PACKAGES = (*CRYPTOGRAPHY_PACKAGES, "nginx")  # those that a host may have installed
MAX_KEY_CHARACTERS = 60  # of a key that a sentence names

# What any module may return.
COMMON = {
    **dict.fromkeys(("changed", "failed"), BOOL),
    "msg": TEXT,
    "diff": DICT,
    "warnings": TEXTS,
    "missing": TEXT,  # the package that is to be installed first
}

HANDSHAKE = {
    "name": TEXT,
    "address": TEXT,
    "port": {"type": "int"},
    "protocol": TEXT,
    "chain": {"type": "str", "required": True},
}
VALID = {
    "names": {**TEXTS, "required": True},
    **{name: {**TEXT, "required": True} for name in ("not_before", "not_after")},
}
INSTALLED = {
    **{name: {"type": "str", "required": True} for name in ("name", "path")},
    **dict.fromkeys(("version", "waiting_since", "issuer", "chain", "chain_before", "public_key", "problem"), TEXT),
    "versions": {**TEXTS, "required": True},
    "encrypted": BOOL,
}
UNUSED = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["unknown", "waiting", "due", "kept", "removed"], "required": True},
    "sentence": {"type": "str", "required": True},
    "remove_after": TEXT,
    **dict.fromkeys(("domains", "fingerprints"), TEXTS),
    "port": {"type": "int"},
}
TOKEN_REQUESTS = {
    "token": {"type": "str", "required": True, "no_log": False},
    **{name: {"type": "int", "required": True} for name in ("requests", "addresses")},
    "statuses": {**TEXTS, "required": True},
}
NAME_VIEW = {
    "name": {"type": "str", "required": True},
    **dict.fromkeys(("addresses", "txt", "caa"), TEXTS),
    "http": {
        "type": "dict",
        "options": {"status": {"type": "int", "required": True}, **dict.fromkeys(("location", "body"), TEXT)},
    },
    "errors": {"type": "dict", "options": dict.fromkeys(("addresses", "txt", "caa", "http"), TEXT)},
}
CONFIGURED = {
    **{name: {"type": "str", "required": True} for name in ("place", "server", "certificate", "form")},
    **dict.fromkeys(("key", "chain", "key_mode", "key_owner", "issuer", "not_after", "key_type"), TEXT),
    **dict.fromkeys(("public_key", "fingerprint", "manager", "refusal"), TEXT),
    **dict.fromkeys(("names", "domains"), TEXTS),
    "ports": {"type": "list", "elements": "int"},
    **dict.fromkeys(("matches", "served", "managed", "exposed"), BOOL),
}
RESULT_SPECS: dict[str, dict[str, dict[str, t.Any]]] = {
    "acme_challenge_files": {},
    "certificate_export": {
        "exports": {"type": "list", "elements": "dict", "options": {"path": TEXT, "changed": BOOL}},
        "units": DICT,
        "commands": DICT,
        "fresh": BOOL,
        "unnotified": BOOL,
        "fingerprint": TEXT,
    },
    "certificate_info": {
        "now": {"type": "str", "required": True},
        "certificates": {"type": "list", "elements": "dict", "required": True, "options": INSTALLED},
    },
    "certificate_install": {"version": TEXT, "certificate": DICT, "pruned": TEXTS, "put_back": TEXT, "now": TEXT},
    "certificate_remove": {"unused": {"type": "list", "elements": "dict", "options": UNUSED}},
    "certificate_request": {
        "due": BOOL,
        **dict.fromkeys(("reason", "csr", "since", "ready", "in_use", "fingerprint", "exposed", "now"), TEXT),
        "valid": {"type": "dict", "options": VALID},
    },
    "challenge_requests": {
        "tokens": {"type": "list", "elements": "dict", "options": TOKEN_REQUESTS},
        "usual_addresses": {"type": "int"},
        "obstacles": TEXTS,
    },
    "firewall_commands": {
        "changed": {"type": "bool", "required": True},
        "host_state": {"type": "list", "elements": "list", "required": True},
    },
    "handshake_verify": {
        "handshakes": {"type": "list", "elements": "dict", "options": HANDSHAKE},
        "problems": TEXTS,
        "answered": BOOL,
        "untrusted": BOOL,
        "verified_from": TEXT,
    },
    "host_batch": {"results": {"type": "list", "elements": "dict", "required": True}},
    "network_view": {"names": {"type": "list", "elements": "dict", "options": NAME_VIEW}},
    "nginx_reload": {
        "fingerprint": TEXT,
        "addresses": TEXTS,
        "reason": TEXT,
        "fresh": BOOL,
        "waiting": {"type": "dict", "options": {"for": {"type": "str", "required": True}, "names": TEXTS}},
    },
    "nginx_sites": {
        "path": TEXT,
        "waiting": TEXTS,
        "fingerprints": DICT,
        "loaded": TEXTS,
        "running": BOOL,
        "nginx_version": TEXT,
        "openssl_version": TEXT,
    },
    "tls_inventory": {
        "certificates": {"type": "list", "elements": "dict", "required": True, "options": CONFIGURED},
        "problems": TEXTS,
    },
}


# By these keys Ansible itself is told facts, and what became of a task. They are left out where no spec lists them.
STEERING = ("ansible_facts", "ansible_stats", "failed_when_result", "results", "skipped", "unreachable")

# Ansible on the host adds these to the result of a module. They become warnings.
DEPRECATIONS = "deprecations"


def validated_result(module: str, result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the result of a module, once it has the form that its spec says. A host that was taken over may return anything.

    Only the form is checked: the values are as true as the host. Raises TlsError for a value of another form, for a key that
    neither the spec lists nor Ansible adds, and for a failure without a reason.
    """
    check_size(module, result)
    spec = {**COMMON, **RESULT_SPECS[module]}
    unknown = sorted(str(key) for key in result if key not in (*spec, *ADDED_BY_ANSIBLE, DEPRECATIONS, *STEERING))
    if unknown:
        raise TlsError(
            f"{module} returns {escape_control_characters(unknown[0][:MAX_KEY_CHARACTERS])} on the host, which is no key of its result; "
            "look at what it is doing"
        )
    if result.get("failed") is True:  # as modules say it, and not in words that turn out to mean no
        spec = {key: {**kind, "required": False} for key, kind in spec.items()}
    with reject_malformed_input(f"the host does not answer {module} as it should; look at what it is doing"):
        given = _without_none({key: result[key] for key in spec if key in result})
        if isinstance(given.get("warnings"), list):
            given["warnings"] = [_text_of_warning(warning) for warning in given["warnings"]]
        checked = ArgumentSpecValidator(spec).validate(given)
        valid = {} if checked.error_messages else _readable(checked.validated_parameters, given, result)
    if checked.error_messages:
        raise TlsError(
            f"the host does not answer {module} as it should: {shorten(spec_errors(checked))}; look at what it is doing"
        )
    package = valid.get("missing")
    if package and package not in PACKAGES:
        raise TlsError(
            f"{module} misses the package {shorten(package)} on the host, which is none that is installed; look at what it is doing"
        )
    if valid.get("failed") and not valid.get("msg"):
        raise TlsError(f"{module} failed, and the host does not say why; look at what it is doing")
    return valid


def _readable(validated: dict[str, t.Any], given: t.Collection[str], result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the validated values of the keys that were given, and those that Ansible adds, in the form in which people read them."""
    readable = {**added_by_ansible(result), **readable_values({key: validated[key] for key in given if key != "diff"})}
    warnings = validated["warnings"] if "warnings" in given else []
    deprecations = [_text_of_warning(one) for one in _as_list(result.get(DEPRECATIONS))]
    warnings = [*warnings, *(text for text in deprecations if isinstance(text, str))]
    if warnings or "warnings" in given:
        readable["warnings"] = readable_warnings(warnings)
    if "diff" in given:
        readable["diff"] = readable_diff(validated["diff"])
    return readable


def _as_list(value: t.Any) -> list[t.Any]:
    return value if isinstance(value, list) else []


def _text_of_warning(warning: t.Any) -> t.Any:
    """Return the text of a warning or deprecation, which ansible-core 2.19 wraps in a summary, and older ones in a dictionary."""
    if isinstance(warning, dict):
        return warning.get("msg", warning)
    return getattr(getattr(warning, "event", None), "msg", warning)


def _without_none(value: t.Any) -> t.Any:
    """Return a value without the None in its dictionaries: what is required is more than that."""
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list) else value
