# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The boundary around one of many: whatever one endpoint, file, request or host raises is a sentence about that one."""

from __future__ import annotations

import traceback

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._errors import (
    TlsError,
    is_failure,
    system_error,
    unexpected_error,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

display = Display()


def failure_sentence(error: BaseException) -> str:
    """Return the sentence about an error that is being handled; show the traceback of one that is not foreseen at C(-vvv).

    Raises the error again if it is no failure, but an interrupt for instance.
    """
    if not is_failure(error):
        raise error
    if isinstance(error, TlsError):
        return str(error)
    if isinstance(error, OSError):
        return str(system_error(error))
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    display.vvv(escape_control_characters(lines, keep_line_breaks=True))
    return unexpected_error(error)
