# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A parser of foreign bytes, and how it is fed."""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import types
import typing as t

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction

PROCESSOR_TIMEOUT_S = 20  # for one input; valid ones take milliseconds


class Parser(t.NamedTuple):
    """A function that reads foreign bytes.

    file: the file below plugins/, without its extension, the name of the layer and underscores. what: what it reads.
    seeds: valid inputs. kind: what they consist of (text, der or json). signer: signs DER that was changed.
    """

    file: str
    what: str
    parse: t.Callable[[bytes], t.Any]
    seeds: tuple[bytes, ...]
    kind: str = "text"
    signer: t.Callable[[bytes], bytes] | None = None

    @property
    def name(self) -> str:
        """Return the label of the parser, which regressions.py uses as well."""
        return f"{self.file}: {self.what}"


class Hang(BaseException):
    """A parser did not end within PROCESSOR_TIMEOUT_S. No parser catches this."""


def feed(parser: Parser, content: bytes) -> None:
    """Run a parser on an input.

    Raises AssertionError unless it returns, or raises TlsError with a sentence that ends in what to do.
    """
    try:
        with limit_processor_time():
            parser.parse(content)
    except TlsError as error:
        assert ";" in str(error), f"{parser.name} ends in no advice: {error}"
    except (Exception, Hang) as error:
        raise AssertionError(f"{parser.name}: {type(error).__name__}: {str(error)[:200]}") from error
    except BaseException as error:  # as Rust's panics are
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise AssertionError(f"{parser.name}: {type(error).__name__}: {str(error)[:200]}") from error


@contextlib.contextmanager
def limit_processor_time() -> t.Iterator[None]:
    """Raise Hang after PROCESSOR_TIMEOUT_S of processor time, which does not depend on how busy the machine is."""

    def end(_signal, _frame):
        raise Hang(f"no end within {PROCESSOR_TIMEOUT_S} seconds of the processor")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, PROCESSOR_TIMEOUT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def decode_text(content: bytes) -> str:
    """Decode the output of a program, or a file, as the plugins do."""
    return content.decode(errors="surrogateescape")


def parse_json(parse: t.Callable[[t.Any], t.Any]) -> t.Callable[[bytes], t.Any]:
    """Return a function that passes the value of a JSON text. Ansible itself refuses malformed and too deeply nested JSON."""

    @functools.wraps(parse)
    def parse_value(content: bytes) -> t.Any:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            return None
        return parse(value)

    return parse_value


def signer_of(key: t.Any) -> t.Callable[[bytes], bytes]:
    """Return a function that signs with a key."""
    return lambda content: key.sign(content, ec.ECDSA(hashes.SHA256()))


def validate_task_arguments(spec: dict, value: t.Any) -> dict:
    """Return the arguments of a task with defaults, as actions validate them. Raises TlsError as they do."""
    if not isinstance(value, dict):  # as the arguments of a task always are
        raise TlsError("no dictionary; write one")
    action = TlsAction.__new__(TlsAction)
    action.ARGUMENTS, action._task = spec, types.SimpleNamespace(args=value, action="evergreen.tls.any")
    return action._checked(value)


def encode_json(*values: t.Any) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)
