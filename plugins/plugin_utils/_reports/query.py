# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Queries in JMESPath, which choose what of a result is returned and written."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._libraries import install_command

try:
    import jmespath
except ImportError:  # only needed for a query
    jmespath = None  # type: ignore[assignment]  # a module that is missing


# not a parser: it catches what the library of queries raises
def compile_query(query: str | None, variable: str) -> t.Callable[[list[dict[str, t.Any]]], t.Any]:
    """Return a function that applies a JMESPath expression to findings, which are dictionaries.

    variable: the one from which the query comes, such as survey_query. Without a query, the function returns all findings.
    Raises TlsError when the expression makes no sense, and so does the function when it cannot be evaluated.
    """
    if not query:
        return lambda findings: findings
    if jmespath is None:
        raise TlsError(
            f"a {variable} needs the Python library jmespath on the controller; {install_command('jmespath')}"
        )
    try:
        expression = jmespath.compile(query)
    except jmespath.exceptions.JMESPathError as error:
        raise TlsError(f"{variable} {query!r} is no JMESPath expression: {error}; see https://jmespath.org/") from error

    # not a parser: it catches what the library of queries raises
    def search(findings: list[dict[str, t.Any]]) -> t.Any:
        plain = json.loads(json.dumps(findings))  # functions of JMESPath refuse text with tags of Ansible
        try:
            return expression.search(plain)
        except jmespath.exceptions.JMESPathError as error:
            raise TlsError(f"{variable} {query!r} cannot be answered: {error}; see https://jmespath.org/") from error

    return search
