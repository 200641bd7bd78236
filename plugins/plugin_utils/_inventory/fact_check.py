# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts that would take the place of variables of the inventory.

Ansible puts the facts of a host, gathered or from a fact cache, into the variables of the host, where they win over the inventory. A
host that was taken over would say in this way which certificates it has to get, and which programs the controller runs.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

# What the names of all variables begin with that the roles, playbooks and actions of this collection read.
VARIABLE_PREFIXES = (
    "certificate_",
    "check_variables_",
    "cloud_accounts",
    "deploy_",
    "diagnose_",
    "firewall_",
    "nginx_",
    "plan_",
    "renew_",
    "revoke_",
    "schedule_",
    "scan_",
    "survey_",
)
MAX_NAMES = 4  # of facts that a sentence names
MAX_NAME_CHARACTERS = 50


def overriding_facts(facts: t.Any) -> list[str]:
    """Return the names of those facts that are variables of this collection, in ascending order.

    facts: C(ansible_facts) of a host. Only the names at the top are looked at: no other fact becomes a variable.

    >>> overriding_facts({"hostname": "web1", "local": {"nginx_path": "/"}, "nginx_sites": []})
    ['nginx_sites']
    """
    return sorted(name for name in facts or () if isinstance(name, str) and name.startswith(VARIABLE_PREFIXES))


def facts_of(variables: t.Mapping[str, t.Any]) -> t.Any:
    """Return C(ansible_facts) of the variables of a host, without evaluating them.

    C(hostvars) would look for templates in each of thousands of facts, which takes a hundred times longer than all that is needed here.
    """
    raw = getattr(variables, "_vars", variables)
    return raw.get("ansible_facts")


def overriding_facts_error(facts: t.Any, host: str) -> str:
    """Return why facts of a host are refused, or an empty text."""
    names = overriding_facts(facts)
    if not names:
        return ""
    named = [escape_as_one_line(name[:MAX_NAME_CHARACTERS]) for name in names[:MAX_NAMES]]
    more = [f"{len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else []
    listed = " and ".join(filter(None, [", ".join([*named, *more][:-1]), [*named, *more][-1]]))
    return (
        f"the facts of {host} hold {listed}, and would take the place of what the inventory says; find out whether the host or a playbook set "
        "them, rename them there, and clear a fact cache with --flush-cache"
    )


def check_facts(variables: t.Mapping[str, t.Any], host: str) -> None:
    """Raise TlsError if a fact of a host is a variable of this collection. variables: those of the host."""
    error = overriding_facts_error(facts_of(variables), host)
    if error:
        raise TlsError(error)


def options_from_inventory(
    options: dict[str, t.Any],
    names: t.Mapping[str, str],
    variables: t.Mapping[str, t.Any],
    others: t.Iterable[str],
    variables_of: t.Callable[[str], t.Mapping[str, t.Any]],
) -> dict[str, t.Any]:
    """Return the options of a task that runs once for many hosts, without what facts of its host say.

    Ansible reads such options from the variables of one host. Where a fact of it has the name of one of them, the variable of the first
    other host without such facts counts; where that has none, the default of the option does.

    options: as the task has them. names: the name of the variable of each option. variables: of the host of the task. variables_of:
    returns those of one of the *others*. Raises TlsError if no host is left to be asked.
    """
    overridden = overriding_facts(facts_of(variables))
    changed = [option for option, name in names.items() if name in overridden and option in options]
    if not changed:
        return options
    for host in others:
        trusted = variables_of(host)
        if not overriding_facts(facts_of(trusted)):
            found = {option: trusted.get(names[option]) for option in changed}
            kept = {option: value for option, value in options.items() if option not in changed}
            return {**kept, **{option: value for option, value in found.items() if value is not None}}
    raise TlsError(overriding_facts_error(facts_of(variables), variables.get("inventory_hostname", "")))
