# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate many certificate requests in a fraction of the time.

The validator of Ansible takes its time for each option of a spec, and a request has a few of its fifty options. So each request is held against
the options that it has, and gets the defaults of the others, as the validator of the whole spec would fill them in.
"""

from __future__ import annotations

import functools
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import validate_arguments

OPTIONS: dict[str, dict[str, t.Any]] = REQUEST_SPEC["options"]
REQUIRED = frozenset(name for name, spec in OPTIONS.items() if spec.get("required"))


def validated_requests(items: t.Sequence[t.Any]) -> list[dict[str, t.Any]] | None:
    """Return requests as the argument spec completes them; None where one does not fit, so that the whole spec says why.

    items: as in the inventory, with the defaults of their issuers.
    """
    validated: list[dict[str, t.Any]] = []
    for item in items:
        if not isinstance(item, dict) or not REQUIRED <= item.keys() <= OPTIONS.keys():
            return None
        result = validate_arguments(_validator(frozenset(item)), item)
        if result.error_messages:
            return None
        validated.append({**_defaults(), **result.validated_parameters})
    return validated


@functools.lru_cache(maxsize=256)
def _validator(options: frozenset[str]) -> ArgumentSpecValidator:
    """Return the validator of some options. A fleet has few combinations of them."""
    return ArgumentSpecValidator({name: spec for name, spec in OPTIONS.items() if name in options})


def _defaults() -> dict[str, t.Any]:
    """Return the values of all options that a request leaves out, in new lists and dictionaries."""
    return {name: value.copy() if isinstance(value, (list, dict)) else value for name, value in _completed().items()}


@functools.lru_cache(maxsize=1)
def _completed() -> dict[str, t.Any]:
    smallest = {"name": "name", "domains": ["example.org"]}
    completed = ArgumentSpecValidator(OPTIONS).validate(smallest).validated_parameters
    return {name: value for name, value in completed.items() if name not in REQUIRED}
