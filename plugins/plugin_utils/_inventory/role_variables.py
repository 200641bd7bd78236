# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of the roles: what their argument specifications say about them, and which names there are."""

from __future__ import annotations

import functools
import pathlib
import re
import typing as t

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.fact_check import VARIABLE_PREFIXES
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.misspellings import closest_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors, validate_arguments

COLLECTION = pathlib.Path(__file__).resolve().parents[3]
ROLES = ("certificate", "firewall", "nginx", "schedule")  # those with variables of their own
VARIABLE_SIMILARITY = (
    0.85  # from which on a variable is a misspelling of another one, by difflib.SequenceMatcher.ratio()
)
PREFIXES = ("cloud_", *(prefix for prefix in VARIABLE_PREFIXES if prefix.endswith("_")))
# A name in an expression or a key, and not a part of another one, such as evergreen.tls.firewall_port; and one that has a default there.
VARIABLE_NAME = re.compile(rf"(?<![\w.])(?:{'|'.join(PREFIXES)})\w+")
OPTIONAL_NAME = re.compile(rf"{VARIABLE_NAME.pattern}(?= \| default\()")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def role_options(role: str) -> dict[str, dict[str, t.Any]]:
    """Return the options of a role by name, as its meta/argument_specs.yml has them."""
    text = (COLLECTION / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8")
    options: dict[str, dict[str, t.Any]] = yaml.load(text, LOADER)["argument_specs"]["main"]["options"]
    return options


@functools.cache
def public_variables() -> frozenset[str]:
    """Return the names of the variables that users write: the options of roles, and what playbooks and roles read besides."""
    options = [name for role in ROLES for name in role_options(role)]
    exact = [prefix for prefix in VARIABLE_PREFIXES if not prefix.endswith("_")]
    return frozenset([*options, *exact, *_names_in("playbooks"), *_names_in("roles", OPTIONAL_NAME)])


@functools.cache
def known_variables() -> frozenset[str]:
    """Return the names of all variables of the collection: those that users write, and those that its roles set."""
    return public_variables() | _names_in("roles")


# not a parser: it reads files of the collection
def _names_in(folder: str, pattern: re.Pattern[str] = VARIABLE_NAME) -> frozenset[str]:
    """Return the names in the YAML files of a folder of the collection that look like variables of it, without those of modules."""
    modules = {path.stem for path in (COLLECTION / "plugins/modules").iterdir()}
    texts = [path.read_text(encoding="utf-8") for path in sorted((COLLECTION / folder).rglob("*.yml"))]
    return frozenset(name for text in texts for name in pattern.findall(text)) - modules


@functools.cache
def meant_variable(name: str) -> str | None:
    """Return the variable of the collection of which another one is a misspelling, or None.

    Only a name with one of our prefixes, as many words and the same digits is one: nginx_sites_extra and nginx_ipv4 are names of users.

    >>> meant_variable("nginx_site"), meant_variable("nginx_sites_extra"), meant_variable("nginx_version")
    ('nginx_sites', None, None)
    """
    if not name.startswith(PREFIXES) or name in known_variables():
        return None
    alike = [one for one in public_variables() if _shape(one) == _shape(name)]
    return closest_name(name, alike, VARIABLE_SIMILARITY)


def _shape(name: str) -> tuple[int, str]:
    """Return how many words a name has, and its digits."""
    return name.count("_"), re.sub(r"\D", "", name)


def misspelling_sentence(names: t.Iterable[str]) -> str:
    """Return a sentence about the first of the names that is a misspelling of a variable of the collection, or an empty text."""
    for name in sorted(name for name in names if isinstance(name, str) and name.startswith(PREFIXES)):
        meant = meant_variable(name)
        if meant:
            return f"there is no variable {name} (did you mean {meant}?); correct its name in the inventory, or rename one of your own"
    return ""


def inventory_names(names: t.Iterable[str], hostvars: t.Any, host: str) -> list[str]:
    """Return the names of the variables of a host without those that tasks of this run registered or set."""
    cache = getattr(getattr(hostvars, "_variable_manager", None), "_nonpersistent_fact_cache", {})
    set_by_tasks = cache.get(host, {})
    return [name for name in names if name not in set_by_tasks]


def check_role_variables(role: str, variables: t.Mapping[str, t.Any]) -> None:
    """Raise TlsError where variables do not fit the specification of a role.

    variables: those of the role that are set, with their templates resolved.
    """
    for name, spec in role_options(role).items():
        if name not in variables:
            if spec.get("required"):
                raise TlsError(f"{name} is missing; write it into the inventory")
            continue
        value = variables[name]
        if isinstance(value, str) and spec.get("elements") == "dict":
            raise TlsError(
                f"{name} is a text, and a list of dictionaries belongs there; write it into the inventory or a file for -e @FILE, or pass "
                f"JSON, as in -e '{{\"{name}\": […]}}'"
            )
        is_list = spec.get("elements") == "dict" and isinstance(value, list)
        for item in value if is_list else [value]:
            is_named = is_list and isinstance(item, dict) and "name" in item
            errors = spec_errors(
                validate_arguments(ArgumentSpecValidator({name: spec}), {name: [item] if is_list else item})
            )
            if errors and is_named:
                errors = errors.replace(f"{name}.", "").replace(f" found in {name}", "")
                raise TlsError(f"{shorten(str(item['name']), 60)} of {name}: {errors}; correct the inventory")
            if errors:
                raise TlsError(f"{errors}; correct the inventory")
