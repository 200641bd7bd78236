# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of the modules of the collection: which keys they have, of which types."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import MAX_TEXT_CHARACTERS, shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters, shorten_lines
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

BOOL: dict[str, t.Any] = {"type": "bool"}
TEXT: dict[str, t.Any] = {"type": "str"}
TEXTS: dict[str, t.Any] = {"type": "list", "elements": "str"}
DICT: dict[str, t.Any] = {"type": "dict"}

MAX_KEY_CHARACTERS = 60  # of a key that a sentence names

# What any module may return.
COMMON = {
    **dict.fromkeys(("changed", "failed"), BOOL),
    "msg": TEXT,
    "diff": DICT,
    "warnings": TEXTS,
    "missing": {"type": "str", "choices": ["python3-cryptography"]},  # the package that is to be installed first
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
RESULT_SPECS: dict[str, dict[str, dict[str, t.Any]]] = {
    "acme_challenge_files": {},
    "certificate_export": {
        "exports": {"type": "list", "elements": "dict", "options": {"path": TEXT, "changed": BOOL}},
        "units": DICT,
        "fresh": BOOL,
        "fingerprint": TEXT,
    },
    "certificate_info": {
        "now": {"type": "str", "required": True},
        "certificates": {"type": "list", "elements": "dict", "required": True, "options": INSTALLED},
    },
    "certificate_install": {"version": TEXT, "certificate": DICT, "pruned": TEXTS, "put_back": TEXT, "now": TEXT},
    "certificate_request": {
        "due": BOOL,
        **dict.fromkeys(("reason", "csr", "since", "ready", "in_use", "fingerprint", "exposed", "now"), TEXT),
        "valid": {"type": "dict", "options": VALID},
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
    "nginx_reload": {"fingerprint": TEXT, "addresses": TEXTS, "reason": TEXT, "fresh": BOOL},
    "nginx_sites": {
        "path": TEXT,
        "waiting": TEXTS,
        "fingerprints": DICT,
        "loaded": TEXTS,
        "running": BOOL,
        "nginx_version": TEXT,
        "openssl_version": TEXT,
    },
}


# Ansible itself adds these to the result of a module, and shows them.
# AnsibleModule.add_path_info adds what it knows of the file to a result with a path.
ADDED_BY_ANSIBLE = (
    "_ansible_parsed",
    "deprecations",
    "exception",
    "gid",
    "group",
    "invocation",
    "mode",
    "module_stderr",
    "module_stdout",
    "owner",
    "rc",
    "secontext",
    "size",
    "state",
    "uid",
)
# By these keys Ansible itself is told facts, and what became of a task. They are left out where no spec lists them.
# Values that others than people read: other tasks go on with them, or whole results are in them.
CARRIED = ("chain", "chain_before", "csr", "host_state", "path", "public_key", "results")
STEERING = ("ansible_facts", "ansible_stats", "failed_when_result", "results", "skipped", "unreachable")

# In these a module of the collection says a sentence of its own, which may name a certificate, paths and what to do.
SENTENCES = ("msg", "reason")
MAX_SENTENCE_CHARACTERS = 2 * MAX_TEXT_CHARACTERS


def validated_result(module: str, result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the result of a module, once it has the form that its spec says. A host that was taken over may return anything.

    Only the form is checked: the values are as true as the host. Raises TlsError for a value of another form, for a key that
    neither the spec lists nor Ansible adds, and for a failure without a reason.
    """
    spec = {**COMMON, **RESULT_SPECS[module]}
    unknown = sorted(str(key) for key in result if key not in (*spec, *ADDED_BY_ANSIBLE, *STEERING))
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
    if checked.error_messages:
        raise TlsError(
            f"the host does not answer {module} as it should: {shorten(spec_errors(checked))}; look at what it is doing"
        )
    valid = _shortened({key: checked.validated_parameters[key] for key in given})
    valid.update(
        {key: escape_control_characters(valid[key], keep_line_breaks=True) for key in ("msg", "reason") if key in valid}
    )
    if "warnings" in valid:
        valid["warnings"] = [escape_control_characters(text, keep_line_breaks=True) for text in valid["warnings"]]
    if "diff" in valid:
        texts = {
            key: escape_control_characters(text, keep_line_breaks=True, keep_tabs=True)
            for key, text in valid["diff"].items()
            if isinstance(text, str)
        }
        valid["diff"] = {**valid["diff"], **texts}
    if valid.get("failed") and not valid.get("msg"):
        raise TlsError(f"{module} failed, and the host does not say why; look at what it is doing")
    return {**{key: result[key] for key in ADDED_BY_ANSIBLE if key in result}, **valid}


def _shortened(value: t.Any, maximum: int = MAX_TEXT_CHARACTERS) -> t.Any:
    """Return a value with its texts as short as people read those of others, other than those that are CARRIED."""
    if isinstance(value, dict):
        return {
            shorten(str(key)): one
            if key in CARRIED
            else _shortened(one, MAX_SENTENCE_CHARACTERS if key in SENTENCES else MAX_TEXT_CHARACTERS)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_shortened(one, maximum) for one in value]
    return shorten_lines(value, maximum) if isinstance(value, str) else value


def _text_of_warning(warning: t.Any) -> t.Any:
    """Return the text of a warning, which ansible-core 2.19 wraps in a WarningSummary."""
    return getattr(getattr(warning, "event", None), "msg", warning)


def _without_none(value: t.Any) -> t.Any:
    """Return a value without the None in its dictionaries: what is required is more than that."""
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list) else value
