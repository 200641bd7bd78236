# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that others have put together: hosts, programs, people. They are read as if they had the shape that they should have."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

MISSHAPEN = (ArithmeticError, AttributeError, LookupError, RecursionError, StopIteration, TypeError, ValueError)


@contextlib.contextmanager
def shaped(sentence: str) -> t.Iterator[None]:
    """Say *sentence* where a value turns out to have another shape than it is read with, or a part of it cannot be read."""
    try:
        yield
    except (*MISSHAPEN, TlsError) as error:
        raise TlsError(sentence) from error
