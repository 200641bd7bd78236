# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a function as a module; the only file of module_utils that imports from Ansible."""

from __future__ import annotations

import copy
import platform
import sys
import traceback
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error, unexpected_error
from ansible_collections.evergreen.tls.plugins.module_utils._packages import Interpreter, cryptography_package

try:
    import cryptography  # noqa: F401, pylint: disable=unused-import
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True


TRACEBACK_VERBOSITY = 3  # how many times -v is given


class ModuleResult(t.TypedDict, total=False):
    """The keys that every module may return. Modules that return more extend it."""

    changed: bool
    failed: bool
    msg: str
    diff: dict[str, t.Any]  # before, after, before_header, after_header
    warnings: list[str]
    missing: str  # the package that has to be installed first


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


Work = t.Callable[[Module], t.Mapping[str, t.Any]]  # the work of a module; raises TlsError if it fails


def run_module(module: Module, decide: Work) -> t.NoReturn:
    """Run the work of a module and exit with its result, or with its failure."""
    result = result_of(module, decide)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


def result_of(module: Module, decide: Work) -> dict[str, t.Any]:
    """Run the work of a module and return its result. Whatever it raises becomes a failed result.

    An error that is not foreseen keeps its traceback at C(-vvv).
    """
    try:
        return dict(decide(module))
    except TlsError as error:
        return {**error.details, "failed": True, "msg": str(error)}
    except OSError as error:
        return {"failed": True, "msg": str(system_error(error))}
    except Exception as error:
        result: dict[str, t.Any] = {"failed": True, "msg": unexpected_error(error)}
        if getattr(module, "_verbosity", 0) >= TRACEBACK_VERBOSITY:
            result["exception"] = traceback.format_exc()
        return result


def with_arguments(module: Module, options: dict[str, t.Any], arguments: dict[str, t.Any]) -> Module:
    """Return a copy of a module with these arguments, validated against an argument spec.

    Raises TlsError if the arguments do not fit the spec.
    """
    checked = ArgumentSpecValidator(options).validate(arguments)
    if checked.error_messages:
        raise TlsError(f"{'; '.join(checked.error_messages)}; correct it")
    other = copy.copy(module)
    other.params = checked.validated_parameters
    return other


def require_cryptography() -> None:
    """Raise TlsError unless Python's cryptography library is installed."""
    if not HAS_CRYPTOGRAPHY:
        interpreter = Interpreter(sys.executable, sys.version_info[1], sys.prefix != sys.base_prefix)
        package = cryptography_package(interpreter)
        remedy = f"install the package {package}" if package else f"run {sys.executable} -m pip install cryptography"
        raise TlsError(
            f"Python's cryptography library is not there for {sys.executable} of {platform.node()}; {remedy}, or set "
            "ansible_python_interpreter to a Python that has it",
            **({"missing": package} if package else {}),
        )
