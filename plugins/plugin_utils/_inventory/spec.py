# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments and variables of the inventory, held against an argument spec of Ansible."""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator, ValidationResult
from ansible.module_utils.errors import RequiredError, UnsupportedError

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.misspellings import closest_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import check_home, check_no_pem
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import MALFORMED_INPUT_ERRORS

MAX_ERRORS = 2  # that a sentence names
MAX_ERROR_CHARACTERS = 160
MAX_LIST_CHARACTERS = 80  # of the options that there are
EXAMPLE_VALUES = {
    "bool": "true or false",
    "dict": "a dictionary, as in {name: …}",
    "float": "a number",
    "int": "a whole number",
    "list": "a list, as in [one, two]",
}
# Of a value that is none of the choices, or of a list with such values, in the words of Ansible.
WRONG_CHOICE = re.compile(
    r"value of \S+ must be one (?:or more )?of: (?P<choices>.+?)(?:, got|\. Got no match for): (?P<value>.+?)(?: found in .+)?"
)
NO_DICTIONARY = "dictionary requested, could not parse JSON or key=value"  # in the words of Ansible


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
    """Return what is wrong with the validated arguments, as one short sentence; nothing if they fit the spec."""
    sentences: list[str] = []
    for error in sorted(result.errors.errors, key=_rank):
        sentences += _unknown_options(str(error)) if isinstance(error, UnsupportedError) else [_type_error(str(error))]
    distinct = list(dict.fromkeys(filter(None, sentences)))
    named = [shorten(sentence, MAX_ERROR_CHARACTERS) for sentence in distinct[:MAX_ERRORS]]
    return "; ".join([*named, *([f"and {len(distinct) - MAX_ERRORS} more"] if len(distinct) > MAX_ERRORS else [])])


def _unknown_options(error: str) -> list[str]:
    """Return a sentence for each option that is not in a spec, with the option that was probably meant, or those that there are."""
    names, _text, supported = error.rstrip(".").partition(". Supported parameters include: ")
    known = re.sub(r" \([^)]*\)", "", supported).split(", ")
    sentences = []
    for name in names.split(", "):
        option = name.rpartition(".")[2]
        meant = closest_name(option, known)
        sentences.append(
            f"there is no {name} (did you mean {meant}?)" if meant else f"there is no {name}, but {listed(known)}"
        )
    return sentences


def _rank(error: Exception) -> int:
    """Return the order of errors: values of another type, then options that there are not, then options that are missing."""
    return 2 if isinstance(error, RequiredError) else int(isinstance(error, UnsupportedError))


# not a parser: it reads names of options of the collection
def listed(names: list[str]) -> str:
    """Return as many of the names as a sentence has room for."""
    listed = ", ".join(names)
    return listed if len(listed) <= MAX_LIST_CHARACTERS else f"{listed[:MAX_LIST_CHARACTERS].rpartition(', ')[0]}, …"


# not a parser: it reads what Ansible says
def _type_error(error: str) -> str:
    """Return what Ansible says about a value of another type or choice, and nothing where it says so twice."""
    if error.startswith(NO_DICTIONARY):
        return ""
    choice = WRONG_CHOICE.fullmatch(error)
    if choice:
        choices = choice["choices"].split(", ")
        meant = closest_name(choice["value"], choices) or closest_name(choice["value"].lower(), choices)
        return f"{error} (did you mean {meant}?)" if meant else error
    start, convert, reason = error.partition(" unable to convert to ")
    kind = re.split(r"\W", reason)[0]
    return f"{start}{convert}{kind}; write {EXAMPLE_VALUES[kind]}" if kind in EXAMPLE_VALUES else error.rstrip(". ")
