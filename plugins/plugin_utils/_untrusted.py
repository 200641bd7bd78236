# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that hosts, programs or people wrote, and that may be malformed.

Code reads such a value as if it were well formed, and one message covers every way in which it is not.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

MALFORMED_INPUT_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
)


@contextlib.contextmanager
def reject_malformed_input(message: str) -> t.Iterator[None]:
    """Raise TlsError(message) where the code within raises TlsError, or fails over a malformed value."""
    try:
        yield
    except (*MALFORMED_INPUT_ERRORS, TlsError) as error:
        raise TlsError(message) from error
