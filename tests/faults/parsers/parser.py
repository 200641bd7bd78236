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

PATIENCE = 20  # seconds of the processor that one input may take; honest ones take thousandths


class Parser(t.NamedTuple):
    """A function that takes foreign bytes: the file it is in, what is done with it, honest inputs, and what they are made of."""

    file: str
    what: str
    parse: t.Callable[[bytes], t.Any]
    seeds: tuple[bytes, ...]
    kind: str = "text"
    signer: t.Callable[[bytes], bytes] | None = None

    @property
    def name(self) -> str:
        """Return what people call it."""
        return f"{self.file}: {self.what}"


class Hang(BaseException):
    """A parser that has not ended after PATIENCE; no parser catches it."""


def feed(parser: Parser, content: bytes) -> None:
    """Feed a parser: it returns, or says in a sentence what to do. All else is an AssertionError."""
    try:
        with patience():
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
def patience() -> t.Iterator[None]:
    """End what takes too long. What counts is the time of the processor, so that a busy machine changes nothing."""

    def end(_signal, _frame):
        raise Hang(f"no end within {PATIENCE} seconds of the processor")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def text(content: bytes) -> str:
    """Return text as programs and files are read."""
    return content.decode(errors="surrogateescape")


def of_json(parse: t.Callable[[t.Any], t.Any]) -> t.Callable[[bytes], t.Any]:
    """Feed a parser what JSON stands for: Ansible itself refuses what is none, and what nests too deeply."""

    @functools.wraps(parse)
    def fed(content: bytes) -> t.Any:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            return None
        return parse(value)

    return fed


def signed_by(key: t.Any) -> t.Callable[[bytes], bytes]:
    """Return what signs with a key."""
    return lambda content: key.sign(content, ec.ECDSA(hashes.SHA256()))


def checked(spec: dict, value: t.Any) -> dict:
    """Return arguments as Ansible hands them over, with defaults; TlsError as the actions raise it."""
    if not isinstance(value, dict):  # as the arguments of a task always are
        raise TlsError("no dictionary; write one")
    action = TlsAction.__new__(TlsAction)
    action.ARGUMENTS, action._task = spec, types.SimpleNamespace(args=value, action="evergreen.tls.any")
    return action._checked(value)


def encoded(*values: t.Any) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)
