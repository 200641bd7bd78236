# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine that a module runs on, and the one door to AnsibleModule."""

from __future__ import annotations

import copy
import typing as t

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error

try:
    import cryptography  # noqa: F401, pylint: disable=unused-import
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True


class ModuleResult(t.TypedDict, total=False):
    """What every module returns. Modules that return more extend it."""

    changed: bool
    failed: bool
    msg: str
    diff: dict[str, t.Any]  # before, after, before_header, after_header
    warnings: list[str]
    missing: str  # the package that is to be installed first


class Module(t.Protocol):
    """The part of AnsibleModule that the collection uses."""

    params: dict[str, t.Any]
    check_mode: bool

    def get_bin_path(self, arg: str, required: bool = False, opt_dirs: t.Any = None) -> t.Any:
        """Return the path of a program, or None where there is none."""

    def warn(self, warning: str) -> None:
        """Warn the user."""

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        """Exit with a failure."""

    def exit_json(self, **kwargs: t.Any) -> t.NoReturn:
        """Exit with a result."""


def answer(module, decide: t.Callable[[t.Any], dict[str, t.Any]]) -> t.NoReturn:
    """Exit with what C(decide(module)) returns, or fail with the sentence that it raises."""
    result = answered(module, decide)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


def answered(module, decide: t.Callable[[t.Any], dict[str, t.Any]]) -> dict[str, t.Any]:
    """Return what C(decide(module)) returns, or the sentence that it raises as a failed result."""
    try:
        return decide(module)
    except TlsError as error:
        return {**error.details, "failed": True, "msg": str(error)}
    except OSError as error:
        return {"failed": True, "msg": str(system_error(error))}


def with_arguments(module, options: dict[str, t.Any], arguments: dict[str, t.Any]):
    """Return a module as it is, but with other options and arguments. Raises TlsError for arguments that are none of these options."""
    checked = ArgumentSpecValidator(options).validate(arguments)
    if checked.error_messages:
        raise TlsError(f"{'; '.join(checked.error_messages)}; correct it")
    other = copy.copy(module)
    other.params = checked.validated_parameters
    return other


def require_cryptography() -> None:
    """Make sure that Python's cryptography library is here."""
    if not HAS_CRYPTOGRAPHY:
        sentence = missing_required_lib("cryptography", url="https://cryptography.io/")
        raise TlsError(
            f"{sentence}. Install the package python3-cryptography on this host", missing="python3-cryptography"
        )
