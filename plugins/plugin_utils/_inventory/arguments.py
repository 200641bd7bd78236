# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments and variables as people write them, held against what Ansible knows of them."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import MALFORMED_INPUT_ERRORS


def validated(validator: t.Any, arguments: t.Mapping[str, t.Any]) -> t.Any:
    """Return what an ArgumentSpecValidator finds. Raises TlsError for what it stumbles over itself, such as C(port: .inf)."""
    try:
        return validator.validate(arguments)
    except MALFORMED_INPUT_ERRORS as error:
        raise TlsError(f"a value is of a kind that does not belong there ({error}); correct the inventory") from error
