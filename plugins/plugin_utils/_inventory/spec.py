# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments and variables of the inventory, held against an argument spec of Ansible."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator, ValidationResult
from ansible.module_utils.errors import UnsupportedError

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import check_home, check_no_pem
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import MALFORMED_INPUT_ERRORS


def validate_arguments(
    validator: ArgumentSpecValidator, arguments: t.Mapping[str, t.Any], pem_options: t.Collection[str] = ()
) -> ValidationResult:
    """Return the result of the validator, with what is wrong in its C(errors).

    pem_options: those of the type path that may be the text of the file as well.
    Raises TlsError for a value on which the validator itself fails, such as C(port: .inf), for a path that HOME leads astray, and for text
    of PEM in the place of a path.
    """
    for option, spec in validator.argument_spec.items():
        if spec.get("type") == "path":
            if option not in pem_options:
                check_no_pem(option, arguments.get(option))
            check_home(option, arguments.get(option, spec.get("default")))
    try:
        return validator.validate(arguments)
    except MALFORMED_INPUT_ERRORS as error:
        raise TlsError(f"a value is of a kind that does not belong there ({error}); correct the inventory") from error


def spec_errors(result: ValidationResult) -> str:
    """Return what is wrong with the validated arguments, as one sentence; nothing if they fit the spec."""
    sentences = []
    for error in result.errors.errors:
        if isinstance(error, UnsupportedError):
            unsupported = [name if isinstance(name, str) else ".".join(name) for name in result.unsupported_parameters]
            supported = str(error).partition("include: ")[2].rstrip(".")
            sentences.append(f"there is no {', '.join(sorted(unsupported))}, but {supported}")
        else:
            sentences.append(str(error).rstrip(". "))
    return "; ".join(sentences)
