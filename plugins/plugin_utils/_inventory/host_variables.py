# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of a host, with templates that name hostvars resolved.

C(hostvars[host]) of Ansible resolves the templates of a variable without C(hostvars). So an address such as
C({{ hostvars['gateway'].ansible_host }}), which works in a task, would be undefined there.
"""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Mapping

from ansible.template import Templar

TEMPLATE_DELIMITERS = ("{{", "{%", "{#", "#jinja2:")


class HostVariables(Mapping[str, t.Any]):
    """The variables of a host. The templates of a variable are resolved when it is read. An undefined variable raises AnsibleError."""

    def __init__(self, hostvars: t.Mapping[str, t.Any], variables: t.Mapping[str, t.Any]) -> None:
        self._hostvars = hostvars
        self._vars = {**variables, "hostvars": hostvars}  # facts_of() reads it as that of Ansible's own class

    @functools.cached_property
    def _templar(self) -> Templar:
        return Templar(loader=getattr(self._hostvars, "_loader", None), variables=self._vars)

    def __getitem__(self, name: str) -> t.Any:
        value = self._vars[name]
        return self._templar.template(value) if may_have_template(value) else value

    def __contains__(self, name: object) -> bool:
        return name in self._vars

    def __iter__(self) -> t.Iterator[str]:
        return iter(self._vars)

    def __len__(self) -> int:
        return len(self._vars)


def may_have_template(value: t.Any) -> bool:
    """Say whether Ansible is to evaluate a value: it holds text with delimiters of Jinja, or what is neither text nor data, as text of a vault.

    Most of what an inventory holds is neither, and its evaluation takes a hundred times longer than this look.

    >>> may_have_template({"domains": ["www.example.org"], "keep": 3}), may_have_template(["{{ domain }}"])
    (False, True)
    """
    if isinstance(value, str):
        return any(delimiter in value for delimiter in TEMPLATE_DELIMITERS)
    if isinstance(value, dict):
        return any(may_have_template(one) for pair in value.items() for one in pair)
    if isinstance(value, (list, tuple)):
        return any(map(may_have_template, value))
    return not (value is None or isinstance(value, (bool, int, float)))


def variables_of_host(hostvars: t.Mapping[str, t.Any], host: str) -> t.Mapping[str, t.Any]:
    """Return the variables of a host. Raises KeyError if Ansible knows no such host."""
    raw_get = getattr(hostvars, "raw_get", None)
    if raw_get is None:  # a dictionary, whose values are resolved
        return t.cast("t.Mapping[str, t.Any]", hostvars[host])
    if host not in hostvars:
        raise KeyError(host)
    return HostVariables(hostvars, raw_get(host))


def variables_of_task(task_vars: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """Return the variables of the host of a task. They are those of the task, as they are, where there are no hostvars."""
    hostvars, host = task_vars.get("hostvars") or {}, task_vars.get("inventory_hostname")
    return variables_of_host(hostvars, host) if host is not None and host in hostvars else task_vars
