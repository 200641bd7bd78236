# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules of the collection answer, as far as the controller looks at it. A host that was taken over may say anything."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

BOOL: dict[str, t.Any] = {"type": "bool"}
TEXT: dict[str, t.Any] = {"type": "str"}
TEXTS: dict[str, t.Any] = {"type": "list", "elements": "str"}
DICT: dict[str, t.Any] = {"type": "dict"}

# What any module may say.
EVERYWHERE = {"changed": BOOL, "failed": BOOL, "msg": TEXT, "diff": DICT, "warnings": TEXTS}

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
EXHIBIT = {
    **{name: {"type": "str", "required": True} for name in ("name", "path")},
    **dict.fromkeys(("version", "waiting_since", "issuer", "chain", "public_key", "problem"), TEXT),
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
        "certificates": {"type": "list", "elements": "dict", "required": True, "options": EXHIBIT},
    },
    "certificate_install": {"version": TEXT, "certificate": DICT, "pruned": TEXTS, "put_back": TEXT, "now": TEXT},
    "certificate_request": {
        "due": BOOL,
        "missing": {"type": "str", "choices": ["python3-cryptography"]},
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
        "verified_from": TEXT,
    },
    "nginx_reload": {"fingerprint": TEXT, "addresses": TEXTS, "reason": TEXT, "fresh": BOOL},
    "nginx_sites": {"path": TEXT, "waiting": TEXTS, "fingerprints": DICT, "loaded": TEXTS, "running": BOOL},
}


# By these words Ansible itself is told what became of a task. No module of the collection says them.
STEERING = ("ansible_stats", "failed_when_result", "results", "skipped", "unreachable")


def validated_result(module: str, answer: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the answer of a module, once all that is looked at has the form that it has to have.

    What is said there is not believed for that. Raises TlsError for anything else.
    """
    answer = {name: said for name, said in answer.items() if name not in STEERING}
    spec = {**EVERYWHERE, **RESULT_SPECS[module]}
    if answer.get("failed") is True:  # as modules say it, and not in words that turn out to mean no
        spec = {name: {**kind, "required": False} for name, kind in spec.items()}
    with reject_malformed_input(f"the host does not answer {module} as it should; look at what it is doing"):
        said = _without_nothing({name: answer[name] for name in spec if name in answer})
        checked = ArgumentSpecValidator(spec).validate(said)
    if checked.error_messages:
        raise TlsError(
            f"the host does not answer {module} as it should: {spec_errors(checked)}; look at what it is doing"
        )
    understood = {name: checked.validated_parameters[name] for name in said}
    lines = {name: understood[name] for name in ("msg", "reason") if name in understood}
    understood.update({name: escape_control_characters(text, keep_line_breaks=True) for name, text in lines.items()})
    if "diff" in understood:
        texts = {name: text for name, text in understood["diff"].items() if isinstance(text, str)}
        shown = {name: escape_control_characters(text, keep_line_breaks=True) for name, text in texts.items()}
        understood["diff"] = {**understood["diff"], **shown}
    if understood.get("failed") and not understood.get("msg"):
        raise TlsError(f"{module} failed, and the host does not say why; look at what it is doing")
    return {**{name: answer[name] for name in answer if name not in spec}, **understood}


def _without_nothing(value: t.Any) -> t.Any:
    """Return a value without the None in its dictionaries: what is required is more than that."""
    if isinstance(value, dict):
        return {key: _without_nothing(one) for key, one in value.items() if one is not None}
    return [_without_nothing(one) for one in value] if isinstance(value, list) else value
